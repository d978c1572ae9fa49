"""touched: whether the keys that a link's last batches carried are the same at both sites.

The ledger says which offsets the batches covered, Kafka which keys stand there. A comparison of
just these keys costs one read a table and site; only keys that differ are judged as `verify` does,
between two watermarks, so that a row changed since is never taken for a difference.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from dts_pipeline.adapters.kafka_reader import KafkaReader
from dts_pipeline.core.envelope import parse_events
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.verification import RECORDED, STATE, State
from dts_pipeline.errors import DtsError
from dts_pipeline.stages.at_rest import Candidates, Carry, decoded, judge
from dts_pipeline.stages.compare import TableComparison, comparing
from dts_pipeline.stages.recorded import recorded
from dts_pipeline.stages.runtime import LinkRuntime
from dts_pipeline.stages.verify import Comparison, table_pairs

EVENTS = 20_000
"""So many offsets of the newest batches are looked at."""
_NOT_NOW = {"link_behind", "link_paused", "watermark_missing"}


@dataclass
class TouchedReport:
    """Counts over all tables; `batches` are the first and last batch looked at (0: none).

    Of a link's lanes, whose batches are numbered each by itself, those of the last that had any.

    `keys` were compared. `different`: at rest, and without an open record. `recorded`: with one.
    `unjudged`: they differed, and could not be told from changes on their way; `why` is the error
    code where that was for want of the links.
    """

    link: str
    batches: tuple[int, int] = (0, 0)
    keys: int = 0
    different: int = 0
    recorded: int = 0
    unjudged: int = 0
    why: str = ""
    tables: dict[str, Counter[str]] = field(default_factory=dict)


def touched(
    comparison: Comparison, *, events: int = EVENTS, carry: Carry | None = None
) -> TouchedReport:
    """Compares the keys of the newest batches of the comparison's first link.

    Raises what the reading of Kafka and of the sites raises. Links that are paused or behind are
    no error: the keys that differ are then `unjudged`.
    """
    runtime = comparison.links[0]
    report = TouchedReport(runtime.link.name)
    keys: dict[str, list[bytes]] = {}
    for lane in runtime.lanes:
        start, until = _offsets(lane, events, report)
        for name, found in _keys(lane, start, until, events).items():
            keys.setdefault(name, []).extend(found)
    if not keys:
        return report
    # A table that was dropped since has nothing to be compared.
    pairs = [pair for pair in table_pairs(comparison) if pair.name in keys]
    with ExitStack() as stack:
        candidates = []
        for pair in pairs:
            context = comparing(comparison.databases, pair, comparison.limits)
            table = stack.enter_context(context)
            source, target = pair.tables
            own = decoded(runtime, keys[pair.name], source, target)
            report.keys += len(own)
            candidates.append(Candidates(table, _different(table, own)))
        try:
            judge(comparison.all_links, candidates, carry, comparison.patience)
        except DtsError as error:
            if error.code not in _NOT_NOW:
                raise
            report.why = error.code
            for one in candidates:
                one.state[one.pending] = State.MOVING
        for one in candidates:
            _count(comparison, one, report)
    return report


def _different(table: TableComparison, keys: pd.DataFrame) -> pd.DataFrame:
    *_, state = table.states(keys)
    different = pd.Series(state, dtype=object).notna().to_numpy()
    return keys.iloc[np.flatnonzero(different)].reset_index(drop=True)


def _count(comparison: Comparison, found: Candidates, report: TouchedReport) -> None:
    at = np.flatnonzero(pd.Series(found.state, dtype=object).notna().to_numpy())
    keys = found.keys.iloc[at].reset_index(drop=True)
    known = recorded(comparison.all_links, found.comparison, keys)
    frame = pd.DataFrame({STATE: found.state[at], RECORDED: known})
    moving = (frame[STATE] == State.MOVING).to_numpy()
    counts = Counter(
        different=int((~moving & ~known).sum()),
        recorded=int((~moving & known).sum()),
        unjudged=int(moving.sum()),
    )
    report.tables[found.comparison.pair.name] = counts
    report.different += counts["different"]
    report.recorded += counts["recorded"]
    report.unjudged += counts["unjudged"]


def _offsets(
    runtime: LinkRuntime, events: int, report: TouchedReport
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Where the newest batches begin and end, as many as make up about `events` row events."""
    link = runtime.link
    newest = 0
    until: dict[TopicPartition, int] = {}
    start: dict[TopicPartition, int] = {}
    for batch in runtime.ledger.newest_batches(link.name, link.lane):
        begins, ends = _parsed(batch.from_offsets), _parsed(batch.until_offsets)
        until = until or ends
        start |= begins
        newest = newest or batch.batch
        report.batches = (batch.batch, newest)
        if sum(until[tp] - start.get(tp, until[tp]) for tp in until) >= events:
            break
    rows = [
        tp
        for tp in until
        if tp in start
        and tp.topic != link.transaction_topic
        and (link.own is None or link.own.has(tp.partition))
    ]
    lows = {tp: low for tp, (low, _) in runtime.admin.offsets(rows).items()}
    return (
        {tp: max(start[tp], lows[tp]) for tp in rows if tp in lows},
        {tp: until[tp] for tp in rows if tp in lows},
    )


def _parsed(offsets: str) -> dict[TopicPartition, int]:
    """The ledger's `{"topic[partition]": next}`."""
    found: Mapping[str, int] = json.loads(offsets)
    places = (
        (name.rpartition("[")[0], name.rpartition("[")[2][:-1], n) for name, n in found.items()
    )
    return {TopicPartition(topic, int(partition)): n for topic, partition, n in places}


def _keys(
    runtime: LinkRuntime,
    start: Mapping[TopicPartition, int],
    until: Mapping[TopicPartition, int],
    events: int,
) -> Mapping[str, Sequence[bytes]]:
    """The keys that stand there, by table, each once; of a larger batch its end."""
    for tp in start:
        start = {**start, tp: max(start[tp], until[tp] - events)}
    wanted = {tp: offset for tp, offset in start.items() if offset < until[tp]}
    if not wanted:
        return {}
    reader = KafkaReader(runtime.kafka)
    try:
        buffers = reader.read_to_end(wanted, until, 2**40)
        parts = [
            parse_events(
                tp,
                [m for m in buffer.messages if m.offset < until[tp]],
                runtime.link.source_names,
            )
            for tp, buffer in buffers.items()
        ]
    finally:
        reader.close()
    rows = pd.concat(parts, ignore_index=True)
    rows = rows[rows["key"].notna()].drop_duplicates(["table", "key"])
    return {str(name): own["key"].tolist() for name, own in rows.groupby("table")}
