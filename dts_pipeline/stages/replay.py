"""replay: the keys that a past range touched are made right at the target, with today's rows.

Never the range's own rows: what it wrote may have been changed or deleted since. On a pair the
keys are reconciled, the source winning; on a one-way link the state that the checkpoint has
reached is written again (`replay_lane`). The checkpoint never moves.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from dts_pipeline.core.batches import Plan
from dts_pipeline.core.conflicts import Kind
from dts_pipeline.core.decode import ValueDecodeError
from dts_pipeline.core.decode_keys import decode_keys
from dts_pipeline.core.links import Policy
from dts_pipeline.core.ranges import OffsetRanges
from dts_pipeline.core.selection import Selection, spelled
from dts_pipeline.errors import DtsError, TerminalError
from dts_pipeline.stages.pair import PairRuntime
from dts_pipeline.stages.plan import unlogged
from dts_pipeline.stages.reconcile import Carry, Patience, reconcile
from dts_pipeline.stages.replay_lane import write_again
from dts_pipeline.stages.runtime import LinkRuntime
from dts_pipeline.stages.selection import PIECE_EVENTS, SelectedRange, pieces, select

_BUSY_SECONDS = 600.0


@dataclass
class ReplayReport:
    """What became of a replay: counts per table, and what of the range is left.

    `keys` and `events` are what was read; the other counts are `ReconcileReport`'s, or those of a
    batch for a one-way link.
    """

    link: str
    ranges: OffsetRanges
    rest: OffsetRanges
    tables: dict[str, Counter[str]] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, tables: Mapping[str, Mapping[str, int]]) -> None:
        """Adds counts by table."""
        for name, counts in tables.items():
            self.tables.setdefault(name, Counter()).update(counts)

    @property
    def wants_attention(self) -> bool:
        """Whether keys were left that could not be made equal."""
        return any(c["again"] or c["undecided"] for c in self.tables.values())


Step = Callable[[ReplayReport], None]
"""Called after each piece of the range; what `rest` names then is all that is left to do."""


def survey(runtime: LinkRuntime, selection: Selection) -> ReplayReport:
    """What a replay would take on: events and keys per table; nothing is written."""
    selected = _selected(runtime, selection)
    report = ReplayReport(runtime.link.name, selected.ranges, selected.ranges)
    for _keys, rest in _fresh_keys(runtime, selected, report):
        report.rest = rest
    return report


def replay(
    runtime: LinkRuntime,
    pair: PairRuntime | None,
    selection: Selection,
    *,
    policy: Policy | None = None,
    carry: Carry | None = None,
    patience: Patience | None = None,
    step: Step = lambda report: None,
    piece_events: int = PIECE_EVENTS,
) -> ReplayReport:
    """Makes every key that the range touched right at the target; `pair` None: a one-way link.

    In pieces, each of which is done for good when `step` is called: what was stopped goes on with
    `report.rest`. Syncing goes on meanwhile. `policy` None: the source wins. `carry` and
    `patience`: see `reconcile`. `piece_events`: how many events a piece has.

    Raises what `select` and `reconcile` raise; `where` then has `rest`, the words to go on with.
    """
    began = time.monotonic()
    selected = _selected(runtime, selection)
    report = ReplayReport(runtime.link.name, selected.ranges, selected.ranges)
    wins = policy or Policy("site", runtime.link.source)
    try:
        if pair is None:
            _refuse_cascades(runtime, selected)
            for lane, own in _by_lane(runtime, selected):
                write_again(lane, own, wins, report.add)
            report.rest = OffsetRanges(())
            step(report)
        else:
            for keys, rest in _fresh_keys(runtime, selected, report, piece_events):
                if keys:
                    report.add(_reconciled(pair, keys, wins, carry, patience))
                report.rest, report.seconds = rest, time.monotonic() - began
                step(report)
    except DtsError as error:
        error.where["rest"] = spelled(report.rest, selection.tables)
        raise
    report.seconds = time.monotonic() - began
    return report


def _selected(runtime: LinkRuntime, selection: Selection) -> SelectedRange:
    if selection.is_open:
        raise TerminalError(
            "range_missing",
            "a replay needs a range",
            where={"link": runtime.link.name},
            remedy="Name offsets (--topic, --partition, --from, --until) or times (--since, "
            "--until-time).",
        )
    return select(runtime, selection)


def _by_lane(
    runtime: LinkRuntime, selected: SelectedRange
) -> Iterator[tuple[LinkRuntime, SelectedRange]]:
    """The parts of the range that each lane carries, with its own checkpoint."""
    plan = selected.plan
    tables = {topic: table.full_name for topic, table in plan.source_tables.items()}
    for lane in runtime.lanes:
        own = [
            r
            for r in selected.ranges
            if lane.link.takes(tables[r.topic_partition.topic], r.topic_partition.partition)
        ]
        if own:
            checkpoint = (lane.standing() if runtime.link.lanes else None) or plan.checkpoint
            yield (
                lane,
                replace(
                    selected,
                    ranges=OffsetRanges(tuple(own)),
                    plan=replace(plan, checkpoint=checkpoint),
                ),
            )


def _refuse_cascades(runtime: LinkRuntime, selected: SelectedRange) -> None:
    """What events say of a row is not all that happened to it where cascades are not logged."""
    tables = {table.full_name: table for table in selected.plan.source_tables.values()}
    topics = {wanted.topic_partition.topic for wanted in selected.ranges}
    children = {edge.child for edge in unlogged(runtime, tables)}
    found = sorted(name for name in children if runtime.link.topic_of(name) in topics)
    if found:
        raise TerminalError(
            "cascade_not_replayed",
            "the source does not log which rows of a table its foreign keys have changed, so the "
            "state that the checkpoint has reached cannot be told from the events",
            where={"link": runtime.link.name, "tables": ",".join(found)},
            remedy="Use `dts repair` for these tables, or name the others with --table.",
        )


def _fresh_keys(
    runtime: LinkRuntime,
    selected: SelectedRange,
    report: ReplayReport,
    piece_events: int = PIECE_EVENTS,
) -> Iterator[tuple[dict[str, pd.DataFrame], OffsetRanges]]:
    """Piece by piece the keys that no earlier piece had, decoded, by table; and what is left.

    A key counts whoever wrote it: what the other link carried to the source may be missing at the
    target as well, if that was restored.
    """
    seen: dict[str, set[bytes]] = {}
    for piece in pieces(runtime, selected.ranges, max_events=piece_events):
        fresh = {}
        rows = piece.events[piece.events["op"] != "t"]
        for name, own in rows.groupby("table", sort=True, observed=True):
            known = seen.setdefault(str(name), set())
            last = own.drop_duplicates("key", keep="last")
            new = last[[key not in known for key in last["key"].tolist()]]
            known.update(new["key"].tolist())
            report.add({str(name): {"events": len(own), "keys": len(new)}})
            if len(new):
                fresh[str(name)] = _decoded(selected.plan, new)
        yield fresh, piece.rest


def _decoded(plan: Plan, events: pd.DataFrame) -> pd.DataFrame:
    """The keys of a table's events; PoisonError with its place for one that cannot be decoded."""
    topic = events["topic"].iloc[0]
    if topic not in plan.tables or topic not in plan.source_tables:
        raise TerminalError(
            "table_missing",
            "the range has changes of a table that does not exist any more",
            where={"link": plan.link, "table": events["table"].iloc[0]},
            remedy="Leave the table out by naming the others with --table.",
        )
    try:
        source = plan.source_tables[topic]
        return decode_keys(events["key"].tolist(), plan.tables[topic], plan.modes, source=source)
    except ValueDecodeError as error:
        event = events.iloc[error.row]
        raise error.at(topic, int(event["partition"]), int(event["offset"])) from None


def _reconciled(
    pair: PairRuntime,
    keys: Mapping[str, pd.DataFrame],
    policy: Policy,
    carry: Carry | None,
    patience: Patience | None,
) -> Mapping[str, Mapping[str, int]]:
    """Reconciles; where settle or another replay of the pair is at it, waits for its end."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            found = reconcile(
                pair, keys, reason=Kind.REPLAY, policy=policy, carry=carry, patience=patience
            )
            return found.tables
        except TerminalError as error:
            if error.code != "reconcile_busy" or time.monotonic() > deadline:
                raise
