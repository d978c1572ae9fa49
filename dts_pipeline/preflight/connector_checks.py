"""Checks of a connector's state and of whom and what it captures."""

from __future__ import annotations

from dts_pipeline.adapters.connect_api import RegisteredConnector
from dts_pipeline.adapters.connector_status import (
    BEGIN_ANEW,
    LARGER_THAN_KAFKA,
    MESSAGE_TOO_LARGE,
    NO_SUCH_PLACE,
    POSITION_LOST,
    RAISE_LIMIT,
)
from dts_pipeline.core.connector_config import CONNECTOR_CLASSES, WATERMARK_TABLE, is_captured
from dts_pipeline.core.links import MarkKind
from dts_pipeline.core.message_size import can_exceed
from dts_pipeline.preflight.facts import Facts
from dts_pipeline.preflight.findings import error, warning
from dts_pipeline.preflight.registry import Problems, connector_check

_REGISTER = "Run `dts connectors --register`."


@connector_check("connector_failed", "the connector and its task run")
def running(facts: Facts, site: str, connector: RegisteredConnector) -> Problems:
    """A connector that stands still sends nothing."""
    status = connector.status
    if status.met_too_large_message:
        links = facts.links_from(site)
        carried = {link.topic_of(t.full_name): t for link in links for t in facts.carried(link)}
        topics = sorted(n for n, t in carried.items() if can_exceed(t, status.limit_bytes or 0))
        yield error(
            f"{LARGER_THAN_KAFKA}; it can be one of {', '.join(topics) or 'no carried table'}",
            RAISE_LIMIT,
            code=MESSAGE_TOO_LARGE,
        )
    elif status.is_failed and status.lost_position:
        yield error(NO_SUCH_PLACE, BEGIN_ANEW, code=POSITION_LOST)
    elif not status.is_running:
        tasks = ", ".join(status.tasks) or "none"
        causes = f" ({' < '.join(status.causes)})" if status.causes else ""
        yield error(
            f"the connector is {status.state}, its task {tasks}{causes}",
            "Its status in Connect's REST interface has the trace: mend the cause, then resume or "
            "restart it (`dts connectors --register`).",
            code="connector_stopped" if status.state in ("PAUSED", "STOPPED") else "",
        )


@connector_check("connector_class", "the connector is made for this server")
def connector_class(facts: Facts, site: str, connector: RegisteredConnector) -> Problems:
    """MySQL's connector reads MariaDB's GTIDs wrongly, and the other way round."""
    known = facts.sites.get(site)
    found = connector.settings.get("connector.class", "")
    if known and found.rpartition(".")[2] != CONNECTOR_CLASSES[known.dialect].rpartition(".")[2]:
        yield error(f"{found} reads a {known.dialect} server", _REGISTER)


@connector_check("transaction_metadata_missing", "transactions are delimited")
def transaction_metadata(facts: Facts, site: str, connector: RegisteredConnector) -> Problems:
    """Pairs apply whole source transactions."""
    on = connector.settings.get("provide.transaction.metadata", "false").lower() == "true"
    if not on and any(link.pair for link in facts.links_from(site)):
        yield error(
            "provide.transaction.metadata is not true: the end of a transaction cannot be told",
            f"Set it to true. {_REGISTER}",
        )
    name = connector.settings.get("topic.transaction", "transaction")
    if name != "transaction":
        yield error(
            f"topic.transaction is {name}: the transaction topic is not where the pipeline looks",
            f"Leave topic.transaction out. {_REGISTER}",
            code="topic_naming",
        )


@connector_check("mark_unseen", "the connector sends what the mark needs")
def query(facts: Facts, site: str, connector: RegisteredConnector) -> Problems:
    """include.query repeats the whole statement on every row event."""
    on = connector.settings.get("include.query", "false").lower() == "true"
    if facts.mark is MarkKind.COMMENT and not on:
        yield error(
            "include.query is not true: `mark: comment` cannot be seen, and every event would stop "
            "the link",
            f"Set it to true. {_REGISTER}",
        )
    if facts.mark is MarkKind.ORIGIN and on:
        yield warning(
            "include.query is true: statements with their values are repeated in every event, "
            "though `mark: origin` needs no query",
            "Have it off when the connector is registered for the first time; taking it from a "
            "MariaDB connector that had it loses rows (docs/marks.md).",
            code="query_needless",
        )


@connector_check("connector_filters_marks", "the connector drops nothing by origin")
def gtid_filters(_facts: Facts, _site: str, connector: RegisteredConnector) -> Problems:
    """Marked events must arrive: compaction needs to see them."""
    for name in ("gtid.source.includes", "gtid.source.excludes"):
        if connector.settings.get(name):
            yield error(
                f"{name} keeps marked events away, so overwritten values would be brought back",
                f"Leave it out. {_REGISTER}",
            )


@connector_check("table_not_captured", "the connector captures every carried table")
def coverage(facts: Facts, site: str, connector: RegisteredConnector) -> Problems:
    """The include and exclude lists must let all tables of all links through."""
    names = {t.own_name for link in facts.links_from(site) for t in facts.carried(link)}
    for name in sorted({*names, WATERMARK_TABLE}):
        taken = _is_taken(connector, name)
        if taken is None:
            yield warning(
                "the connector's include or exclude list cannot be read here",
                "Compare it with what `dts connectors` prints.",
                code="include_list_unread",
            )
            return
        if not taken:
            yield error(
                "the connector leaves the table out",
                f"Add it to table.include.list. {_REGISTER}",
                table=name,
            )


def _is_taken(connector: RegisteredConnector, table: str) -> bool | None:
    schema = table.partition(".")[0]
    answers: list[bool | None] = []
    for setting, name in (("table", table), ("database", schema)):
        answers.append(is_captured(connector.settings.get(f"{setting}.include.list", ""), name))
        excluded = connector.settings.get(f"{setting}.exclude.list", "")
        if excluded:
            left_out = is_captured(excluded, name)
            answers.append(None if left_out is None else not left_out)
    if False in answers:
        return False
    return None if None in answers else True


@connector_check("replica_id_collides", "the connector's server id is its own")
def replica_id(facts: Facts, site: str, connector: RegisteredConnector) -> Problems:
    """A server throws out the older of two binlog readers with the same id."""
    own = connector.settings.get("database.server.id", "")
    servers = {s.variables.get("server_id"): f"site {s.name}" for s in facts.sites.values()}
    others = {
        c.settings.get("database.server.id"): f"connector {c.name}"
        for c in (facts.connectors or {}).values()
        if c.name != connector.name
    }
    taken = {**servers, **others}.get(own) if own else None
    if taken:
        yield error(
            f"database.server.id {own} is also that of {taken}: they throw each other out",
            f"Give it a number of its own. {_REGISTER}",
        )


@connector_check("snapshot_mode", "the connector takes no snapshot of rows")
def snapshot(facts: Facts, site: str, connector: RegisteredConnector) -> Problems:
    """Snapshot rows carry no mark: only one side of a pair may send them."""
    mode = connector.settings.get("snapshot.mode", "initial")
    quiet = {"no_data", "schema_only", "recovery", "schema_only_recovery", "never"}
    if mode not in quiet and any(link.pair for link in facts.links_from(site)):
        yield warning(
            f"snapshot.mode is {mode}: rows of a snapshot carry no mark and are applied as the "
            "other side's changes",
            "Use snapshot.mode=no_data, at least at one side of the pair, and load the first rows "
            f"on their own. {_REGISTER}",
        )
