"""Rule R7: events that the connector sent twice are dropped before anything else is decided.

After a crash the connector sends again from its last committed offset. The copy of an event has
the binlog position (file, pos, row; the delete of a key change before its insert) of the first
one, and positions otherwise only grow within a topic-partition. So an event at or before the
furthest position seen is a copy, as long as the source is the same server with the same binlogs
and the checkpoint has reached it, or its first copy is in view.
Where that is in doubt the link stops: a change taken for a copy would be lost.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dts_pipeline.core.batches import PartitionCheckpoint, SourcePosition
from dts_pipeline.core.gtids import GtidSet, numbered
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.errors import TerminalError

_POSITION = ["file", "pos", "row", "half"]


def drop_duplicates(
    events: pd.DataFrame,
    checkpoint: Mapping[TopicPartition, PartitionCheckpoint],
    applied: GtidSet,
) -> pd.DataFrame:
    """The events without second copies, and ordered as the source wrote them.

    `events`: see `envelope.parse_events`; each topic-partition in offset order. Adds the column
    `ordinal` (int64, 0, 1, 2 …): the order over all topic-partitions. Snapshot rows (op r) are
    never dropped and keep their place behind the event before them.

    Raises TerminalError `source_position_regressed` or `source_position_ambiguous`.
    """
    parts = []
    for _, group in events.groupby(["topic", "partition"], sort=False):
        place = TopicPartition(group["topic"].iloc[0], int(group["partition"].iloc[0]))
        parts.append(_drop_in_partition(group, checkpoint.get(place), applied))
    if not parts:
        return events.assign(ordinal=np.empty(0, dtype=np.int64))
    kept = pd.concat(parts, ignore_index=True)
    order = np.lexsort([kept[c].to_numpy() for c in ("offset", "_half", "_row", "_pos", "_file")])
    kept = kept.iloc[order].drop(columns=["_file", "_pos", "_row", "_half"]).reset_index(drop=True)
    return kept.assign(ordinal=np.arange(len(kept), dtype=np.int64))


def furthest_positions(events: pd.DataFrame) -> dict[TopicPartition, tuple[SourcePosition, int]]:
    """The last streamed position and the newest commit time (ms) of each topic-partition."""
    streamed = events[(events["op"] != "r") & (events["file"] > 0)]
    found: dict[TopicPartition, tuple[SourcePosition, int]] = {}
    by_partition = ["topic", "partition"]
    # MariaDB's commit times are the statements' seconds: they need not grow with the positions.
    newest = streamed.groupby(by_partition, sort=False)["ts_ms"].transform("max")
    last = streamed.assign(ts_ms=newest).drop_duplicates(by_partition, keep="last")
    columns = ("topic", "partition", *_POSITION, "ts_ms")
    for topic, partition, *place, ts_ms in zip(*(last[c].tolist() for c in columns), strict=True):
        found[TopicPartition(topic, partition)] = (SourcePosition(*place), ts_ms)
    return found


def _drop_in_partition(
    group: pd.DataFrame, known: PartitionCheckpoint | None, applied: GtidSet
) -> pd.DataFrame:
    streamed = (group["op"] != "r").to_numpy() & (group["file"] > 0).to_numpy()
    ranks = _ranks(group, known)
    best = np.maximum.accumulate(np.concatenate([ranks[:1], np.where(streamed, ranks[1:], -1)]))
    back = streamed & (ranks[1:] <= best[:-1])
    # What the checkpoint has not reached and nobody has seen is no copy: the broker refused it
    # (a row too large for its topic) while it took what came behind it.
    own = pd.Series(np.where(streamed, ranks[1:], -np.arange(1, len(ranks))))
    seen = (ranks[1:] <= ranks[0]) | own.duplicated().to_numpy()
    if back.any():
        held_up = _held_up(group["gtid"], ranks[1:], back & ~seen, streamed & ~back)
        _refuse_doubtful(group, streamed, back, held_up, known, applied)
    copies: npt.NDArray[np.bool_] = back & seen
    kept = group[~copies]
    return kept.assign(**_order_columns(kept, streamed[~copies]))


def _ranks(group: pd.DataFrame, known: PartitionCheckpoint | None) -> npt.NDArray[np.int64]:
    """Dense ranks of the positions, the checkpoint's first; equal positions share a rank."""
    position = known.position if known else None
    first = (position.file, position.pos, position.row, position.half) if position else (-1,) * 4
    columns = [np.concatenate([[first[i]], group[c].to_numpy()]) for i, c in enumerate(_POSITION)]
    order = np.lexsort(columns[::-1])
    changed = np.zeros(len(order), dtype=np.int64)
    for column in columns:
        ordered = column[order]
        changed[1:] |= ordered[1:] != ordered[:-1]
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.cumsum(changed)
    return ranks


def _held_up(
    gtids: pd.Series[Any],
    ranks: npt.NDArray[np.int64],
    unseen: npt.NDArray[np.bool_],
    ahead: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    """Which of the events that nobody has seen belong where they stand, in this very history.

    Their transaction's number lies between those of the same server (or domain) before and behind
    them. That of another server, or of binlogs begun anew, would not.
    """
    fits = np.zeros(len(gtids), dtype=np.bool_)
    if not unseen.any():
        return fits
    order = np.flatnonzero(ahead)[np.argsort(ranks[ahead], kind="stable")]
    known: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for rank, gtid in zip(ranks[order].tolist(), gtids.iloc[order], strict=True):
        if place := numbered(gtid):
            known[place[0]][0].append(rank)
            known[place[0]][1].append(place[1])
    for index in np.flatnonzero(unseen):
        place = numbered(gtids.iloc[index])
        if place is None or place[0] not in known:
            continue
        at_ranks, numbers = known[place[0]]
        at = bisect_left(at_ranks, ranks[index])
        beside = [*numbers[max(0, at - 1) : at], place[1], *numbers[at : at + 1]]
        fits[index] = at < len(numbers) and beside == sorted(beside)
    return fits


def _refuse_doubtful(
    group: pd.DataFrame,
    streamed: npt.NDArray[np.bool_],
    copies: npt.NDArray[np.bool_],
    held_up: npt.NDArray[np.bool_],
    known: PartitionCheckpoint | None,
    applied: GtidSet,
) -> None:
    """Stops the link where an event behind the furthest position may not be a copy."""
    seen_ms = np.maximum.accumulate(np.where(copies, 0, group["ts_ms"].to_numpy()))
    newest = np.maximum(seen_ms, known.ts_ms if known else 0)
    later = copies & (group["ts_ms"].to_numpy() > newest)
    own = set(group.loc[~copies, "gtid"].dropna())
    foreign = copies & ~_lookup(group["gtid"], lambda g: g is None or g in own or g in applied)
    doubtful = later | (foreign & ~held_up)
    if doubtful.any():
        raise _stop(
            "source_position_regressed",
            "the source's binlog position went back to transactions that were not applied yet: the "
            "source was replaced, failed over or its binlogs were reset",
            group,
            doubtful,
        )
    first_copy = group[streamed & ~copies].set_index(_POSITION)
    again = group[copies]
    same = first_copy.reindex(pd.MultiIndex.from_frame(again[_POSITION]))
    there = same["op"].notna().to_numpy()
    other_row = (same["key"].to_numpy() != again["key"].to_numpy()) | (
        same["op"].to_numpy() != again["op"].to_numpy()
    )
    same_run = (same["run"].to_numpy() == again["run"].to_numpy()) & (again["run"].to_numpy() != "")
    other_order = same["total_order"].to_numpy() != again["total_order"].to_numpy()
    ambiguous = there & (other_row | (same_run & other_order))
    if ambiguous.any():
        mask = np.zeros(len(group), dtype=np.bool_)
        mask[np.flatnonzero(copies)[ambiguous]] = True
        raise _stop(
            "source_position_ambiguous",
            "two different events carry the same binlog position (is "
            "binlog_transaction_compression on?)",
            group,
            mask,
        )


def _stop(
    code: str, message: str, group: pd.DataFrame, rows: npt.NDArray[np.bool_]
) -> TerminalError:
    first = group.iloc[int(np.flatnonzero(rows)[0])]
    return TerminalError(
        code,
        message,
        where={"topic": first["topic"], "partition": first["partition"], "offset": first["offset"]},
        remedy="Compare both sites, then give the link a new start (docs/operations.md, "
        '"A source that changed").',
    )


def _lookup(values: pd.Series[Any], test: Any) -> npt.NDArray[np.bool_]:
    codes, distinct = pd.factorize(values, use_na_sentinel=True)
    answers = np.array([bool(test(v)) for v in distinct] + [True], dtype=np.bool_)
    return answers[codes]


def _order_columns(
    kept: pd.DataFrame, streamed: npt.NDArray[np.bool_]
) -> dict[str, npt.NDArray[np.int64]]:
    """The position of each event, and for snapshot rows that of the streamed event before them."""
    last = np.maximum.accumulate(np.where(streamed, np.arange(len(kept)), -1))
    columns = {}
    for name in _POSITION:
        values = kept[name].to_numpy()
        columns[f"_{name}"] = np.where(last >= 0, values[last], -1).astype(np.int64)
    return columns
