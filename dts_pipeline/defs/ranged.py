"""The jobs over a range: `preview_<link>` and `replay_<link>`, which materialize nothing.

The range stands in the run's config, spelled as on the command line, or is the partition of a
replay: an hour, by the time when its messages came to Kafka. So the UI's backfill replays hours.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from dts_pipeline.config import Config, other_policy
from dts_pipeline.core.links import Link, Policy
from dts_pipeline.core.selection import Selection, parse_selection, spelled
from dts_pipeline.defs.entries import Entry
from dts_pipeline.defs.failures import failure_of, problem_of
from dts_pipeline.defs.keys import PROCESS_TAG
from dts_pipeline.defs.processes import this_process
from dts_pipeline.defs.resources import runtime_key
from dts_pipeline.errors import TerminalError

if TYPE_CHECKING:
    from dts_pipeline.stages.replay import ReplayReport

PREVIEW, REPLAY = "preview", "replay"
HOURS_BACK = timedelta(days=31)
"""How far back a backfill can choose hours; a range in the run's config has no such bound."""
_SCHEMA = {
    "ranges": dg.Field(
        [
            {
                "topic": str,
                "partition": dg.Field(int, default_value=0),
                "from": int,
                "until": dg.Field(dg.Noneable(int), default_value=None),
            }
        ],
        default_value=[],
        description="Offsets; `until` left out is the end as Kafka has it.",
    ),
    "since": dg.Field(dg.Noneable(str), default_value=None, description="ISO time, UTC."),
    "until_time": dg.Field(dg.Noneable(str), default_value=None),
    "tables": dg.Field([str], default_value=[], description="Only these; patterns work."),
    "policy": dg.Field(
        dg.Noneable(str), default_value=None, description="Such as {site: a}, as in dts.yaml."
    ),
}


def range_jobs(
    config: Config, links: Sequence[Link], entries: Mapping[str, Entry]
) -> list[dg.JobDefinition]:
    """Both jobs of every link."""
    now = datetime.now(UTC)
    previews = [preview_job(config, link) for link in links]
    own = [(link, entries[link.pair or link.name]) for link in links]
    return previews + [replay_job(config, link, entry, now) for link, entry in own]


def preview_job(config: Config, link: Link) -> dg.JobDefinition:
    """What a range, or without one what lies past the checkpoint, would do; nothing is written."""

    @dg.op(
        name=f"{link.name}__{PREVIEW}",
        config_schema=_SCHEMA,
        required_resource_keys={runtime_key(link.name)},
        out=dg.Out(dg.Nothing),
    )
    def look(context: dg.OpExecutionContext) -> None:
        """Stages and classifies the range in a transaction that may not write."""
        from dts_pipeline.stages.preview import preview

        _named(context)
        try:
            policy = _policy_of(config, link, context.op_config)
            runtime = getattr(context.resources, runtime_key(link.name))
            found = preview(runtime, selection_of(context.op_config), policy=policy, limit=0)
        except Exception as error:
            raise failure_of(problem_of(error, PREVIEW)) from None
        stops = {"stopping_tables": ", ".join(found.stops)} if found.stops else {}
        context.add_output_metadata(
            {
                "range": spelled(found.ranges) or "empty",
                **{kind: int(count) for kind, count in found.counts.items()},
                "tables": _table(found.tables),
                **stops,
            }
        )

    @dg.job(
        name=f"{PREVIEW}_{link.name}",
        executor_def=dg.in_process_executor,
        description=f"What a range would do at {link.target} right now; nothing is written.",
    )
    def job() -> None:
        look.alias(PREVIEW)()

    return job


def replay_job(config: Config, link: Link, entry: Entry, now: datetime) -> dg.JobDefinition:
    """Makes right at the target what a range or an hour touched; `now` (UTC) bounds the hours."""

    @dg.op(
        name=f"{link.name}__{REPLAY}",
        config_schema=_SCHEMA,
        required_resource_keys=entry.resources,
        out=dg.Out(dg.Nothing),
        pool=f"dts_replay_{entry.name}",
    )
    def again(context: dg.OpExecutionContext) -> None:
        """Reconciles the range's keys, in pieces; each is done for good."""
        from dts_pipeline.stages.replay import replay

        _named(context)
        runtime = getattr(context.resources, runtime_key(link.name))
        try:
            policy = _policy_of(config, link, context.op_config)
            report = replay(
                runtime,
                entry.pair(context) if entry.is_pair else None,
                selection_of(context.op_config, _hour(context)),
                policy=policy,
                step=_told(context),
            )
        except Exception as error:
            raise failure_of(problem_of(error, REPLAY)) from None
        context.add_output_metadata(
            {"range": spelled(report.ranges) or "empty", "tables": _table(report.tables)}
        )

    @dg.job(
        name=f"{REPLAY}_{link.name}",
        executor_def=dg.in_process_executor,
        partitions_def=hours(now),
        description=f"Makes right at {link.target} what a range of {link.source} touched.",
    )
    def job() -> None:
        again.alias(REPLAY)()

    return job


def hours(now: datetime) -> dg.HourlyPartitionsDefinition:
    """The hours of the last days; the current one counts, as far as it has come."""
    first = (now - HOURS_BACK).replace(hour=0, minute=0, second=0, microsecond=0)
    return dg.HourlyPartitionsDefinition(start_date=first, timezone="UTC", end_offset=1)


def selection_of(
    config: Mapping[str, Any], hour: tuple[datetime, datetime] | None = None
) -> Selection:
    """The range of a run's config, or of its partition; raises TerminalError `range_invalid`."""
    ranges, since, until = config["ranges"], config["since"], config["until_time"]
    if hour is not None:
        if ranges or since or until:
            raise TerminalError(
                "range_invalid",
                "a run over a partition names a range in its config too",
                remedy="Choose a partition or name a range, not both.",
            )
        since, until = (moment.isoformat() for moment in hour)
    return parse_selection(
        [entry["topic"] for entry in ranges],
        [entry["partition"] for entry in ranges],
        [entry["from"] for entry in ranges],
        [entry["until"] for entry in ranges],
        since=since,
        until_time=until,
        tables=config["tables"],
    )


def _hour(context: dg.OpExecutionContext) -> tuple[datetime, datetime] | None:
    """The run's hour; of the current one what is over.

    Raises TerminalError `range_ahead` for one that has not begun.
    """
    if not context.has_partition_key:
        return None
    window = context.partition_time_window
    now = datetime.now(UTC)
    if window.start >= now:
        raise TerminalError(
            "range_ahead",
            "the hour has not begun",
            where={"partition": context.partition_key},
            remedy="Replay it once it is over.",
        )
    return window.start, min(window.end, now)


def _policy_of(config: Config, link: Link, given: Mapping[str, Any]) -> Policy | None:
    return other_policy(config, link, given["policy"]) if given["policy"] else None


def _told(context: dg.OpExecutionContext) -> "Callable[[ReplayReport], None]":
    """Says after each piece how far it is, and with which words it can be gone on with."""

    def step(report: "ReplayReport") -> None:
        done, of = report.ranges.size - report.rest.size, report.ranges.size
        rest = spelled(report.rest)
        context.log.info(f"{done:,} of {of:,} offsets" + (f"; left: {rest}" if rest else ""))

    return step


def _named(context: dg.OpExecutionContext) -> None:
    """Names the process, so that the run monitor sees its end."""
    context.instance.add_run_tags(context.run_id, {PROCESS_TAG: this_process()})


def _table(tables: Mapping[str, Mapping[str, int]]) -> dg.TableMetadataValue:
    kinds = list(dict.fromkeys(kind for counts in tables.values() for kind in counts))
    records = [
        dg.TableRecord({"table": name, **{kind: int(counts.get(kind, 0)) for kind in kinds}})
        for name, counts in sorted(tables.items())
    ]
    columns = [dg.TableColumn("table"), *(dg.TableColumn(kind, "int") for kind in kinds)]
    return dg.MetadataValue.table(records, dg.TableSchema(columns))
