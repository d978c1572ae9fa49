"""plan_ranges: from the ledger's checkpoint and Kafka's offsets to what a run may do."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace

from dts_pipeline.adapters.kafka_admin import TopicSettings
from dts_pipeline.adapters.table_schema import read_tables
from dts_pipeline.core.batches import Checkpoint, PartitionCheckpoint, Plan
from dts_pipeline.core.continuity import NEW_START, refuse_break
from dts_pipeline.core.contract import CASCADE_REMEDY, is_grave, unlogged_cascades, untold
from dts_pipeline.core.decode_modes import ValueModes
from dts_pipeline.core.exclusion import EXCLUDE_UNKNOWN_REMEDY, unknown_columns
from dts_pipeline.core.lanes import refuse_divided
from dts_pipeline.core.links import Start
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.schema import ForeignKey, Table
from dts_pipeline.errors import TerminalError
from dts_pipeline.stages.contract import (
    connector_settings,
    refuse,
    setting_differences,
    table_differences,
)
from dts_pipeline.stages.counters import check_counters
from dts_pipeline.stages.ddl import made_alike
from dts_pipeline.stages.filters import check_filters
from dts_pipeline.stages.lanes import arranged
from dts_pipeline.stages.runtime import PACED_SECONDS, LinkRuntime

_MAX_SLOTS = 500
_Offsets = Mapping[TopicPartition, tuple[int, int]]


def plan_ranges(runtime: LinkRuntime) -> Plan:
    """Reads the checkpoint and Kafka's offsets; refuses what cannot be carried on from.

    Raises TerminalError: `ledger_missing`, `table_missing`, `topic_missing`, `topic_compacted`,
    `topic_recreated`, `partitions_added`, `offsets_lost`, `start_needed`, `source_changed`,
    `lanes_changed`, `lanes_divide`, a code of the contract between the sites' tables or of
    `stages.ddl.made_alike`; TransientError where a server is away.
    """
    link = runtime.link
    started = time.monotonic()
    runtime.ledger.installation()
    settings = connector_settings(runtime)
    alike = made_alike(runtime)
    source_tables, tables = alike.source, alike.target
    carried = source_tables
    if link.own:
        carried = read_tables(runtime.source, link.whole.matches, link.excluded_columns)
    refuse_divided(link, carried)
    found = setting_differences(runtime, settings, source_tables.values())
    refuse(runtime, (difference for difference in found if difference.changes_rows))
    check_tables(runtime, source_tables, tables)
    alike.remember()
    check_counters(link, source_tables, tables)
    _check_domain(runtime)
    checkpoint = arranged(runtime, carried)
    topics = link_topics(runtime, source_tables, checkpoint)
    offsets = runtime.admin.offsets(
        [TopicPartition(t.name, p) for t in topics.values() for p in range(t.partitions)]
    )
    if checkpoint is None:
        checkpoint = runtime.ledger.begin(_first_checkpoint(runtime, topics, offsets))
    else:
        refuse_break(checkpoint, runtime.source.facts.incarnation, topics, offsets)
    checkpoint = _with_new_topics(runtime, checkpoint, topics, offsets)
    until = {tp: high for tp, (_, high) in offsets.items()}
    return Plan(
        link=link.name,
        checkpoint=checkpoint,
        until=until,
        topic_ids={t.name: t.id for t in topics.values()},
        tables={link.topic_of(name): table for name, table in tables.items()},
        source_tables={link.topic_of(name): table for name, table in source_tables.items()},
        slots=1 if checkpoint.paused else _slots(runtime, checkpoint, until),
        deadline=started + runtime.limits.max_seconds,
        modes=ValueModes.of(settings or {}),
        cascades=unlogged(runtime, source_tables),
        altered=tuple(change.statement for change in alike.altered),
    )


def behind(runtime: LinkRuntime) -> int:
    """How many row events Kafka holds past the checkpoint; 0 while the lane is paused.

    1 for a link that never ran.
    """
    link = runtime.link
    checkpoint = runtime.ledger.read(link.name, link.lane)
    if checkpoint is None or checkpoint.paused:
        return 0 if checkpoint else 1
    rows = [tp for tp in checkpoint.partitions if tp.topic != link.transaction_topic]
    offsets = runtime.admin.offsets(rows)
    return _behind(checkpoint, {tp: high for tp, (_, high) in offsets.items()})


def connector_modes(runtime: LinkRuntime) -> ValueModes:
    """How the source's connector spells values; see `connector_settings`."""
    return ValueModes.of(connector_settings(runtime) or {})


def _behind(checkpoint: Checkpoint, until: Mapping[TopicPartition, int]) -> int:
    return sum(
        max(0, until[tp] - p.next_offset) for tp, p in checkpoint.partitions.items() if tp in until
    )


def _slots(
    runtime: LinkRuntime, checkpoint: Checkpoint, until: Mapping[TopicPartition, int]
) -> int:
    """Enough slots for what is there; those that find nothing left are skipped."""
    batches = math.ceil(_behind(checkpoint, until) / runtime.max_events)
    if runtime.link.max_events_per_second is not None:
        batches = min(batches, math.ceil(runtime.limits.max_seconds / PACED_SECONDS))
    return min(1 + 2 * batches, _MAX_SLOTS)


def check_tables(
    runtime: LinkRuntime, source: Mapping[str, Table], target: Mapping[str, Table]
) -> None:
    """Refuses tables (by `schema.table`) that do not fit between the sites, or would alter rows."""
    missing = sorted(set(source) - set(target))
    if missing:
        raise TerminalError(
            "table_missing",
            "a table of the source does not exist at the target",
            where={"link": runtime.link.name, "tables": ",".join(missing)},
            remedy=f"Create it at site {runtime.link.target}, or narrow the table patterns.",
        )
    _refuse_unknown_columns(runtime, source, target)
    found = table_differences(runtime, source, target)
    refuse(runtime, (difference for difference in found if is_grave(difference, runtime.link)))
    _refuse_cascades(runtime, source)
    check_filters(runtime.link, source, unlogged(runtime, source))
    for name in source:
        policy = runtime.link.policy_of(name)
        names = {c.name for c in target[name].written_columns}
        if policy and policy.column and policy.column not in names:
            raise TerminalError(
                "column_missing",
                "the column that the policy compares does not exist, or is a generated one",
                where={"link": runtime.link.name, "table": name, "column": policy.column},
                remedy="Add the column at both sites, or give the table another policy.",
            )


def _refuse_unknown_columns(
    runtime: LinkRuntime, source: Mapping[str, Table], target: Mapping[str, Table]
) -> None:
    """A misspelt name would let values be written over that were to be left alone."""
    link = runtime.link
    excluded = {name: c for name, c in link.excluded_columns.items() if link.matches(name)}
    for table, column in unknown_columns(excluded, source, target):
        raise TerminalError(
            "exclude_unknown",
            "`columns` names a column that the table has at neither site",
            where={"link": link.name, "table": table, "column": column},
            remedy=EXCLUDE_UNKNOWN_REMEDY,
        )


def unlogged(runtime: LinkRuntime, tables: Mapping[str, Table]) -> tuple[ForeignKey, ...]:
    """The foreign keys whose cascades apply carries out; `tables` as they are at the source."""
    facts = runtime.source.facts
    native = facts.native_foreign_keys
    return unlogged_cascades(tables, facts.dialect, facts.version, native=native)


def _refuse_cascades(runtime: LinkRuntime, tables: Mapping[str, Table]) -> None:
    """Rows that a cascade changes and no event tells of would stay as they are at the target."""
    for key in unlogged(runtime, tables):
        why = untold(key, tables)
        if why is not None:
            raise TerminalError(
                "cascade_not_carried",
                f"the source does not log the rows that a foreign key changes, and {why}",
                where={
                    "link": runtime.link.name,
                    "table": key.parent,
                    "child": key.child,
                    "constraint": key.name,
                },
                remedy=CASCADE_REMEDY,
            )


def _check_domain(runtime: LinkRuntime) -> None:
    """A mark that needs a GTID domain must have one, and no server's users may write under it."""
    link = runtime.link
    for database in (runtime.source, runtime.target):
        if database.facts.gtid_domain in link.all_mark_domains:
            raise TerminalError(
                "mark_domain_taken",
                "mark_domain_id is the server's own gtid_domain_id, so users' writes would be "
                "dropped as the pipeline's",
                where={
                    "link": link.name,
                    "site": database.site,
                    "domain": database.facts.gtid_domain,
                },
                remedy="Give mark_domain_id another number.",
            )
    needed = link.mark == "origin" and runtime.target.facts.dialect == "mariadb"
    if needed and link.mark_domain_id is None:
        raise TerminalError(
            "mark_domain_missing",
            "`mark: origin` writes to MariaDB under a GTID domain of its own; none is named",
            where={"link": link.name, "site": link.target},
            remedy="Set mark_domain_id of the pair or link to a number that no server uses as "
            "its gtid_domain_id.",
        )


def link_topics(
    runtime: LinkRuntime, tables: Mapping[str, Table], checkpoint: Checkpoint | None
) -> dict[str, TopicSettings]:
    """The link's topics that exist; a table without events yet has none.

    Those of the checkpoint are among them, also when their table has been dropped since. Raises
    TerminalError `topic_missing`, `topic_compacted`.
    """
    link = runtime.link
    names = {link.transaction_topic, *(link.topic_of(name) for name in tables)}
    if checkpoint is not None:
        names |= {tp.topic for tp in checkpoint.partitions}
    topics = runtime.admin.topics(names)
    if link.pair and link.transaction_topic not in topics:
        raise TerminalError(
            "topic_missing",
            "the source's transaction topic does not exist",
            where={"link": link.name, "topic": link.transaction_topic},
            remedy="Register the connector with provide.transaction.metadata=true "
            "(`dts connectors --register`), and check the site's topic_prefix.",
        )
    for topic in topics.values():
        if topic.compacted and link.pair:
            raise TerminalError(
                "topic_compacted",
                "a topic with cleanup.policy=compact loses marks and rows before the change",
                where={"link": link.name, "topic": topic.name},
                remedy="Set cleanup.policy=delete on the topic; what was compacted away already is "
                "lost, so compare both sites.",
            )
    return topics


def _first_checkpoint(
    runtime: LinkRuntime, topics: Mapping[str, TopicSettings], offsets: _Offsets
) -> Checkpoint:
    link = runtime.link
    partitions = {}
    # A lane that has no topic yet has nothing to look for in what is there already.
    is_bare = link.own is not None and topics.keys() <= {link.transaction_topic}
    latest = link.start is Start.LATEST or is_bare
    if latest:
        # Asked again, last: rows whose BEGIN comes later than this then lie behind their start.
        transactions = TopicPartition(link.transaction_topic, 0)
        offsets = {
            **offsets,
            **runtime.admin.offsets([tp for tp in offsets if tp == transactions]),
        }
    for tp, (low, high) in offsets.items():
        if link.start is Start.EARLIEST and low > 0 and not latest:
            raise TerminalError(
                "start_needed",
                "Kafka has already removed the beginning of a topic",
                where={"link": link.name, "topic": tp.topic, "partition": tp.partition},
                remedy="Make both sites equal, then set `start: available` (what Kafka still "
                "holds) or `start: latest` (only what comes from now on).",
            )
        first = high if latest else low
        partitions[tp] = PartitionCheckpoint(first, topics[tp.topic].id)
    return Checkpoint(
        link.name, link.lane, 1, 0, partitions, incarnation=runtime.source.facts.incarnation
    )


def _with_new_topics(
    runtime: LinkRuntime,
    checkpoint: Checkpoint,
    topics: Mapping[str, TopicSettings],
    offsets: _Offsets,
) -> Checkpoint:
    """Takes in the topics of new tables, from their beginning."""
    fresh = {}
    for tp, (low, _) in offsets.items():
        if tp in checkpoint.partitions:
            continue
        if low > 0:
            raise TerminalError(
                "offsets_lost",
                "Kafka has already removed the beginning of a new table's topic",
                where={"link": runtime.link.name, "topic": tp.topic, "partition": tp.partition},
                remedy=NEW_START,
            )
        fresh[tp] = PartitionCheckpoint(0, topics[tp.topic].id)
    if not fresh:
        return checkpoint
    wider = replace(checkpoint, partitions={**checkpoint.partitions, **fresh})
    return runtime.ledger.add_partitions(checkpoint, wider)
