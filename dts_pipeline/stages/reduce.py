"""normalize, drop_marked, compact: from what was read to at most one change per key."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from dts_pipeline.core import compaction, delta, marks
from dts_pipeline.core.batches import Batch, Plan
from dts_pipeline.core.duplicates import drop_duplicates, furthest_positions
from dts_pipeline.core.exclusion import without_excluded
from dts_pipeline.core.gtids import GtidSet
from dts_pipeline.core.links import Link
from dts_pipeline.core.pingpong import put_back
from dts_pipeline.errors import TerminalError
from dts_pipeline.stages.cascades import cascades_of
from dts_pipeline.stages.counters import split_counted
from dts_pipeline.stages.filters import of_inside_rows
from dts_pipeline.stages.runtime import LinkRuntime


def normalize(runtime: LinkRuntime, plan: Plan, batch: Batch) -> Batch:
    """Drops second copies (R7), orders the events as the source wrote them, recognises marks.

    `frame` gains `ordinal` (int64), `marked` (bool: to be dropped) and `returning` (bool: of these,
    what the pair's other link wrote); the events of keys whose counters are added up move to
    `counted` (rule R5); `cascades` is what follows from all of them unlogged. Of a lane by
    partition only its own partitions' events are left, and no events of rows that the link's
    filters leave out (`core/row_filter.py`). Raises TerminalError `mark_unseen`, `marks_disagree`,
    `truncate_event`, `source_position_regressed`, `source_position_ambiguous`; PoisonError for a
    row of a table with counters or such cascades.
    """
    began = time.monotonic()
    before = batch.before.partitions
    applied = GtidSet.parse(batch.before.applied_gtids)
    events = _without_truncates(runtime, batch.frame)
    kept = drop_duplicates(events, before, applied)
    _refuse_unseen(runtime, kept)
    _refuse_disagreeing(runtime, kept)
    marked, returning = _marks(runtime, kept)
    partitions = dict(batch.after.partitions)
    for tp, (position, ts_ms) in furthest_positions(kept).items():
        newest = max(partitions[tp].ts_ms, ts_ms)
        partitions[tp] = replace(partitions[tp], position=position, ts_ms=newest)
    kept = kept.assign(marked=marked, returning=returning)
    returned, bounced = {}, None
    if runtime.link.pair and _audits(runtime.link):
        returned = marks.returned_rows(kept)
    own = partial(_of_own_partitions, runtime.link)
    events, kept = own(events), own(kept)
    counts = {
        "events": len(own(batch.frame)),
        "duplicates": len(events) - len(kept),
        "marked": int(kept["marked"].sum()),
    }
    excluded = _excluded(plan)
    if excluded:
        kept = without_excluded(kept, excluded)
    if runtime.link.pair:
        bounced = put_back(kept, runtime.link.restless_columns)
    cascades = cascades_of(runtime.link, plan, kept) if plan.cascades else None
    if runtime.link.filters:
        everything = len(kept)
        kept = of_inside_rows(runtime.link, plan, kept)
        counts["outside"] = everything - len(kept)
    frame, counted = split_counted(runtime.link, plan, kept)
    return replace(
        batch,
        frame=frame,
        counted=counted,
        cascades=cascades,
        returned=returned,
        bounced=bounced,
        after=replace(batch.after, partitions=partitions),
        counts=counts,
        seconds={**batch.seconds, "normalize": time.monotonic() - began},
    )


def _marks(
    runtime: LinkRuntime, events: pd.DataFrame
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which events the link drops, and which of them its own pair's other link wrote.

    Others are dropped in a mesh only; they are no business of the pair's audit.
    """
    domains = runtime.link.all_mark_domains
    marked = marks.recognise(events, domains, runtime.carried)
    if runtime.others is runtime.carried:
        return marked, marked
    return marked, marks.recognise(events, domains, runtime.others)


def _excluded(plan: Plan) -> dict[str, list[str]]:
    """The columns that are left out, by table: dts.yaml's, and what `ddl: ignore` adds."""
    found = {
        table.full_name: [column.name for column in table.columns if column.excluded]
        for table in plan.source_tables.values()
    }
    return {name: columns for name, columns in found.items() if columns}


def _audits(link: Link) -> bool:
    """Of lanes by partition, all of which read everything, the first tells what came back."""
    return link.own is None or link.own.part == 0


def _of_own_partitions(link: Link, events: pd.DataFrame) -> pd.DataFrame:
    """The events that the lane writes; it read the others to know which transactions are whole."""
    if link.own is None or link.own.parts == 1:
        return events
    mine = [number for number in events["partition"].unique() if link.own.has(number)]
    own: pd.DataFrame = events[events["partition"].isin(mine)]
    return own.reset_index(drop=True)


def drop_marked(batch: Batch) -> Batch:
    """Keeps per key the user events after its last marked event; records the others (R2)."""
    began = time.monotonic()
    counting, superseded = compaction.drop_marked(batch.frame)
    counted = batch.counted
    if counted is not None:
        counted, overtaken = delta.compact(counted)
        superseded = pd.concat([superseded, overtaken], ignore_index=True)
    return replace(
        batch,
        frame=counting,
        superseded=superseded,
        counted=counted,
        counts={**batch.counts, "superseded": len(superseded)},
        seconds={**batch.seconds, "drop_marked": time.monotonic() - began},
    )


def compact(batch: Batch) -> Batch:
    """At most one change per key; `frame` has the columns of `compaction.CHANGE_COLUMNS`.

    With counters also `sums` and `crossed` (`delta.compact`), None and False for a change that is
    carried as a row.
    """
    began = time.monotonic()
    changes = compaction.compact(batch.frame)
    if batch.counted is not None:
        changes = pd.concat(
            [changes.assign(sums=None, crossed=False), batch.counted], ignore_index=True
        )
    return replace(
        batch,
        frame=changes,
        counted=None,
        counts={**batch.counts, "changes": len(changes)},
        seconds={**batch.seconds, "compact": time.monotonic() - began},
    )


def _without_truncates(runtime: LinkRuntime, events: pd.DataFrame) -> pd.DataFrame:
    truncates = events["op"] == "t"
    if not truncates.any():
        return events
    first = events[truncates].iloc[0]
    if runtime.link.truncate == "stop":
        raise TerminalError(
            "truncate_event",
            "a table was truncated at the source",
            where={
                "link": runtime.link.name,
                "table": first["table"],
                "topic": first["topic"],
                "offset": first["offset"],
            },
            remedy="Truncate it at the target as well, then set `truncate: ignore` until the link "
            "is past this event.",
        )
    return events[~truncates].reset_index(drop=True)


def _refuse_unseen(runtime: LinkRuntime, events: pd.DataFrame) -> None:
    """Fail closed: an event in which our mark could not be seen is never taken for a user's."""
    link = runtime.link
    if link.pair is None:
        return
    unseen = marks.unseen(events, link.mark)
    if not unseen.any():
        return
    first = events[unseen].iloc[0]
    what = {
        "origin": "no GTID: switch GTIDs on at the source (gtid_mode=ON on MySQL)",
        "comment": "no query: set include.query=true at the connector and query logging "
        "(binlog_rows_query_log_events or binlog_annotate_row_events) at the source",
    }[link.mark.value]
    raise TerminalError(
        "mark_unseen",
        f"{int(unseen.sum())} event(s) carry nothing in which the mark could be seen",
        where={
            "link": link.name,
            "mark": link.mark.value,
            "topic": first["topic"],
            "partition": first["partition"],
            "offset": first["offset"],
        },
        remedy=f"The events have {what}; then give the link a new start behind these events "
        "(docs/operations.md).",
    )


def _refuse_disagreeing(runtime: LinkRuntime, events: pd.DataFrame) -> None:
    """A write of ours says so twice where the statement arrives; if only once, whose is it?"""
    link = runtime.link
    groups = (runtime.carried, runtime.others)
    wrong = marks.disagreeing(events, link.all_mark_domains, link.writers, groups)
    if not wrong.any():
        return
    first = events[wrong].iloc[0]
    raise TerminalError(
        "marks_disagree",
        f"{int(wrong.sum())} event(s) have a GTID and a statement's comment of which only one is "
        "ours, or that name different writes",
        where={
            "link": link.name,
            "topic": first["topic"],
            "partition": first["partition"],
            "offset": first["offset"],
            "gtid": first["gtid"],
        },
        remedy="Somebody wrote under the pipeline's GTIDs, copied its statements, or strips "
        "comments from them. End that, compare both sites, then give the link a new start behind "
        "these events (docs/operations.md).",
    )
