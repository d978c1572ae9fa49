"""Checks of a server's settings: what its binlog must hold, and who may follow it."""

from __future__ import annotations

from dts_pipeline.core.links import MarkKind
from dts_pipeline.core.schema import Dialect
from dts_pipeline.preflight.facts import Facts, SiteFacts
from dts_pipeline.preflight.findings import SKIP, error, warning
from dts_pipeline.preflight.registry import Problems, site_check

# REPLICATION_APPLIER came with MySQL 8.0.18, BINLOG REPLAY with MariaDB 10.5.2.
_OLDEST = {Dialect.MYSQL: (8, 0, 18), Dialect.MARIADB: (10, 5, 2)}
_LEDGER = frozenset(
    {"installation", "checkpoint", "batch", "conflict", "quarantine", "watermark", "written"}
)
_DAY = 86_400
_CLOCK_SECONDS = 1.0


@site_check("version_unsupported", "the server's version is supported")
def version(_facts: Facts, site: SiteFacts) -> Problems:
    """Older servers lack the privileges that the marks need."""
    oldest = _OLDEST[site.dialect]
    if site.release < oldest:
        name = ".".join(map(str, oldest))
        yield error(
            f"{site.dialect} {site.version} is older than {name}", f"Upgrade to {name} or later."
        )


@site_check("ledger_missing", "the ledger's tables are there")
def ledger(_facts: Facts, site: SiteFacts) -> Problems:
    """`dts init` was run."""
    missing = sorted(_LEDGER - site.ledger)
    if missing:
        yield error(
            f"schema dts lacks {', '.join(missing)}, or the account may not see it",
            "Run `dts init`, or have an administrator run what `dts init --print` shows.",
        )
    for name, rights in site.refused.items():
        if name.startswith("dts."):
            yield error(
                f"the account lacks {', '.join(rights)} on the ledger",
                "Run the GRANTs of `dts init --print`.",
                code="privilege_missing",
                table=name,
            )


@site_check("binlog_off", "the binlog is on")
def binlog(facts: Facts, site: SiteFacts) -> Problems:
    """Without a binlog there is nothing to capture."""
    if facts.is_source(site.name) and not site.is_on("log_bin"):
        yield error("log_bin is off: no change is logged", "Set log_bin and restart the server.")


@site_check("binlog_format", "binlog_format is ROW")
def binlog_format(facts: Facts, site: SiteFacts) -> Problems:
    """Statements carry no rows."""
    value = site.variables.get("binlog_format", "ROW").upper()
    if facts.is_source(site.name) and value != "ROW":
        yield error(
            f"binlog_format is {value}: changes logged as statements are not captured",
            "SET GLOBAL binlog_format = 'ROW', also in the server's option file; sessions that are "
            "open keep the old format until they reconnect.",
        )


@site_check("binlog_row_image", "binlog_row_image is FULL")
def binlog_row_image(facts: Facts, site: SiteFacts) -> Problems:
    """Conflicts are found by comparing the whole row before the change."""
    value = site.variables.get("binlog_row_image", "FULL").upper()
    if facts.is_source(site.name) and value != "FULL":
        yield error(
            f"binlog_row_image is {value}: rows arrive without all of their columns",
            "SET GLOBAL binlog_row_image = 'FULL', also in the server's option file; sessions that "
            "are open keep the old image until they reconnect.",
        )


@site_check("binlog_compressed", "binlog events are not compressed")
def binlog_compression(facts: Facts, site: SiteFacts) -> Problems:
    """Tried: MariaDB's compressed events never arrive, MySQL's share one position."""
    if not facts.is_source(site.name):
        return
    if site.is_on("log_bin_compress"):
        yield error(
            "log_bin_compress is on: the connector passes over compressed events without a word",
            "SET GLOBAL log_bin_compress = OFF, also in the server's option file; compare both "
            "sites, since changes may be missing already.",
        )
    if site.is_on("binlog_transaction_compression"):
        yield error(
            "binlog_transaction_compression is on: events of a transaction get the same position, "
            "by which duplicates are told from new events",
            "SET GLOBAL binlog_transaction_compression = OFF, also in the server's option file.",
        )


@site_check("binlog_partial_json", "JSON is logged whole")
def binlog_partial_json(facts: Facts, site: SiteFacts) -> Problems:
    """Partial updates hold a patch instead of the document."""
    if facts.is_source(site.name) and site.variables.get("binlog_row_value_options"):
        yield error(
            "binlog_row_value_options is set: updates of JSON are logged as patches",
            "SET GLOBAL binlog_row_value_options = '', also in the server's option file.",
        )


@site_check("binlog_durability", "a crash of the server loses no commit from the binlog")
def binlog_durability(facts: Facts, site: SiteFacts) -> Problems:
    """Rows that InnoDB keeps and the binlog loses, or the reverse, differ for ever.

    MariaDB's default is sync_binlog=0.
    """
    wanted = {"sync_binlog": "1", "innodb_flush_log_at_trx_commit": "1"}
    lax = [
        f"{name}={site.variables[name]}"
        for name, value in wanted.items()
        if site.variables.get(name, value) != value
    ]
    if facts.is_source(site.name) and lax:
        yield warning(
            f"{', '.join(lax)}: after a crash of the machine, rows may be in the table and not in "
            "the binlog, or carried to the other site and lost here, with no record of it",
            "SET GLOBAL sync_binlog = 1, innodb_flush_log_at_trx_commit = 1, also in the server's "
            "option file; after a crash under the old values compare the sites (`dts verify`).",
        )


@site_check("binlog_retention", "the binlog is kept for a day or longer")
def binlog_retention(facts: Facts, site: SiteFacts) -> Problems:
    """A connector that is down must find its place again."""
    seconds = site.number("binlog_expire_logs_seconds")
    days = site.number("expire_logs_days")
    kept = seconds if seconds is not None else (days or 0) * _DAY
    if facts.is_source(site.name) and 0 < kept < _DAY:
        yield warning(
            f"the binlog is kept for {kept / 3600:.1f} hours: a connector that is down for longer "
            "loses its place",
            "Raise binlog_expire_logs_seconds to some days.",
        )


@site_check("query_logging_off", "statements are logged where marks need it")
def query_logging(facts: Facts, site: SiteFacts) -> Problems:
    """A comment is seen only if the server logs the statement's text."""
    mysql = site.dialect is Dialect.MYSQL
    variable = "binlog_rows_query_log_events" if mysql else "binlog_annotate_row_events"
    if facts.mark is not MarkKind.COMMENT or not facts.is_source(site.name):
        yield SKIP
    elif not site.is_on(variable):
        yield error(
            f"{variable} is off: `mark: comment` cannot be seen",
            f"SET GLOBAL {variable} = ON, also in the server's option file; sessions that are open "
            "keep it off until they reconnect. Or use `mark: origin`.",
        )


@site_check("gtid_off", "GTIDs are on where marks need them")
def gtids(facts: Facts, site: SiteFacts) -> Problems:
    """MySQL's origin stamp is a GTID."""
    if facts.mark is not MarkKind.ORIGIN or site.dialect is not Dialect.MYSQL:
        yield SKIP
        return
    for variable in ("gtid_mode", "enforce_gtid_consistency"):
        value = site.variables.get(variable, "OFF").upper()
        if value != "ON":
            yield error(
                f"{variable} is {value}: `mark: origin` needs GTIDs",
                "Turn GTIDs on step by step as MySQL's manual says (OFF_PERMISSIVE, ON_PERMISSIVE, "
                "ON), or use `mark: comment`.",
            )


@site_check("read_only", "the server can be written")
def read_only(facts: Facts, site: SiteFacts) -> Problems:
    """Ledgers stand at targets; a source gets nothing but watermarks, and can do without."""
    if not any(site.is_on(variable) for variable in ("read_only", "super_read_only")):
        return
    if facts.is_target(site.name):
        yield error("it is read-only", "Point the site at the writable server, or turn it off.")
        return
    yield warning(
        "it is read-only: its links run without watermarks",
        "Their lag is told by the age of the newest applied commit, and verify, repair and load, "
        "which need watermarks, are refused. That is fine for a replica; its lag behind the server "
        "that it follows is not seen.",
    )


@site_check("replicas_attached", "no replica that could reorder the pipeline's writes")
def replicas(facts: Facts, site: SiteFacts) -> Problems:
    """MariaDB replicas may apply GTID domains in parallel."""
    wanted = facts.mark is MarkKind.ORIGIN and site.dialect is Dialect.MARIADB
    if not wanted or not facts.is_target(site.name):
        yield SKIP
        return
    if site.replicas is None:
        yield warning(
            "whether replicas are attached cannot be seen",
            "Grant PROCESS for the time of the check, or look yourself: a replica with "
            "slave_parallel_mode and several GTID domains can apply the pipeline's writes out of "
            "order with users' writes.",
            code="replicas_unknown",
        )
    elif site.replicas:
        yield warning(
            f"{site.replicas} other binlog reader(s) besides the connectors: a replica that "
            "applies GTID domains in parallel can reorder the pipeline's writes and users' writes",
            "On each replica set slave_domain_parallel_threads so that one domain cannot pass "
            "another (slave_parallel_threads = 0), or use `mark: comment`.",
        )


@site_check("invalid_dates", "invalid dates are refused by the server")
def invalid_dates(facts: Facts, site: SiteFacts) -> Problems:
    """A session can still set the mode for itself, which nothing shows beforehand."""
    modes = site.variables.get("sql_mode", "").upper().split(",")
    dated = [
        table.full_name
        for link in facts.links_from(site.name)
        for table in facts.carried(link)
        if any(column.data_type in ("date", "datetime") for column in table.columns)
    ]
    if "ALLOW_INVALID_DATES" in modes and dated:
        yield warning(
            "sql_mode has ALLOW_INVALID_DATES: a date such as 2023-02-31 stops the connector "
            f"for good ({len(set(dated))} table(s), {dated[0]} among them)",
            "Take it out of sql_mode, globally and in the applications' sessions, and mend the "
            "rows that have such dates.",
        )


@site_check("server_clock", "the clock agrees with this machine's")
def clock(facts: Facts, site: SiteFacts) -> Problems:
    """`newest` compares times that two servers made."""
    off = abs(site.clock_ahead)
    newest = any(
        policy and policy.kind == "newest"
        for link in facts.links
        for policy in (link.policy, *link.table_policies.values())
    )
    if off - site.clock_doubt > _CLOCK_SECONDS:
        way = "ahead of" if site.clock_ahead > 0 else "behind"
        yield warning(
            f"the server's clock is {off:.1f} s {way} this machine's"
            + (", and the policy `newest` compares times of both sites" if newest else ""),
            "Let all servers follow the same time source (NTP).",
        )


@site_check("cluster_untested", "the server is not part of a cluster")
def cluster(_facts: Facts, site: SiteFacts) -> Problems:
    """Certification and other writers of the same rows were not tried."""
    if site.is_on("wsrep_on") or site.variables.get("group_replication_group_name"):
        yield warning(
            "the server is a member of a cluster, which was not tried",
            "Write to one member only, and let the connector read from that one.",
        )
