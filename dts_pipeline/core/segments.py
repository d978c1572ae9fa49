"""A transaction's segments, and which of them each event was sent in.

A segment is a BEGIN up to its END, or up to the next BEGIN where the connector died in it. What
each run of the connector sent is told apart by its run id, by Kafka's timestamps, or by the log's
order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dts_pipeline.core.transaction_messages import TransactionMessage

_BEFORE_ALL = -1
_UNKNOWN = np.iinfo(np.int64).max
_STAMP_SLACK_MS = 500


@dataclass(frozen=True)
class Segment:
    """What the connector sent of a transaction in one go.

    `began_ms` is Kafka's timestamp of BEGIN, `ended_ms` of END. `end_offset` is None where another
    BEGIN followed instead of END: the connector died in it, or it was a DDL statement; `ended_ms`
    is that of the message that followed.
    """

    transaction: str
    began_ms: int
    end_offset: int | None
    counts: Mapping[str, int]
    ended_ms: int


def segments_of(messages: Sequence[TransactionMessage]) -> list[Segment]:
    """The segments in the order in which the connector sent them, as far as they have ended."""
    found: list[Segment] = []
    begun: TransactionMessage | None = None
    for message in messages:
        if not message.is_end:
            if begun is not None:
                found.append(_broken(begun, message))
            begun = message
            continue
        if begun is not None and begun.id != message.id:
            found.append(_broken(begun, message))
            begun = None
        began_ms = begun.timestamp if begun else 0
        found.append(
            Segment(message.id, began_ms, message.offset, message.counts, message.timestamp)
        )
        begun = None
    return found  # a BEGIN at the end may be followed by its END any moment: not a segment yet


def _broken(begun: TransactionMessage, following: TransactionMessage) -> Segment:
    return Segment(begun.id, begun.timestamp, None, {}, following.timestamp)


def assign_segments(
    segments: Sequence[Segment], events: pd.DataFrame, early_until_ms: int
) -> npt.NDArray[np.int64]:
    """The index of each event's segment; -1 for snapshot rows, the maximum while it is unknown."""
    of_transaction: dict[str, list[int]] = {}
    for index, segment in enumerate(segments):
        of_transaction.setdefault(segment.transaction, []).append(index)
    codes, names = pd.factorize(events["transaction"], use_na_sentinel=True)
    single = [of_transaction[name][0] if name in of_transaction else _UNKNOWN for name in names]
    result = np.array([*single, _BEFORE_ALL], dtype=np.int64)[codes]
    started = _run_starts(events)
    _leave_out_later_runs(segments, result, started)
    crashed = _sent_by_several(codes, events)
    for code, name in enumerate(names):
        own = of_transaction.get(name, [])
        if len(own) > 1 or (own and code in crashed):
            rows = np.flatnonzero(codes == code)
            result[rows] = _by_run(segments, own, started[rows], events.iloc[rows])
    if early_until_ms:
        early = events["timestamp"].to_numpy() < early_until_ms
        result[early & (result == _UNKNOWN) & ~_behind_known(events, result)] = _BEFORE_ALL
    return result


def _behind_known(events: pd.DataFrame, result: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """The events that came after one whose segment is known, whatever their timestamps say."""
    known = pd.Series((result >= 0) & (result < _UNKNOWN))
    places = [events[name].to_numpy() for name in ("topic", "partition")]
    behind: npt.NDArray[np.bool_] = known.groupby(places, sort=False).cummax().to_numpy(dtype=bool)
    return behind


def _run_starts(events: pd.DataFrame) -> npt.NDArray[np.int64]:
    """When the run that sent each event began, in ms; 0 where it does not tell.

    Not after anything that it sent, which a clock that was set back meanwhile would have it.
    """
    codes, distinct = pd.factorize(events["run"])
    told = np.array([*map(run_started_ms, distinct), 0], dtype=np.int64)
    first = np.full(len(told), _UNKNOWN)
    np.minimum.at(first, codes, events["timestamp"].to_numpy())
    starts: npt.NDArray[np.int64] = np.minimum(told, first - _STAMP_SLACK_MS)[codes]
    return starts


def _sent_by_several(codes: npt.NDArray[np.intp], events: pd.DataFrame) -> set[int]:
    """The transactions (by their codes) of which more than one run of the connector sent events."""
    if events["run"].nunique() < 2:
        return set()
    pairs = pd.DataFrame({"code": codes, "run": events["run"].to_numpy()}).drop_duplicates()
    several = pairs.loc[pairs["code"].duplicated(), "code"]
    return set(several.tolist())


def _leave_out_later_runs(
    segments: Sequence[Segment],
    result: npt.NDArray[np.int64],
    started: npt.NDArray[np.int64],
) -> None:
    """An event whose run began after its transaction's BEGIN belongs to a BEGIN not in view yet."""
    known = (result >= 0) & (result < _UNKNOWN)
    began = np.array([segment.began_ms for segment in segments] or [0], dtype=np.int64)
    begun = began[np.where(known, result, 0)]
    result[known & (begun > 0) & (started > begun)] = _UNKNOWN


def _by_run(
    segments: Sequence[Segment],
    own: list[int],
    started: npt.NDArray[np.int64],
    events: pd.DataFrame,
) -> npt.NDArray[np.int64]:
    """Which of a transaction's segments each of its events was sent in.

    The connector's run id is a UUIDv7, whose first 48 bits are the milliseconds of the start: a
    run started before the BEGINs that it sent and after those of the run before it. Events of
    connectors that send no run id are told apart by Kafka's timestamps; a BEGIN can be stamped a
    little later than its first rows (its topic is made first), a restart takes longer than that.
    A clock that was set back between two runs shows: a BEGIN is older than the one before it, or
    two runs seem to have sent one segment. Then the log's order tells them apart.
    """
    sent = events["timestamp"].to_numpy()
    began = np.array([segments[index].began_ms for index in own], dtype=np.int64)
    by_run = np.searchsorted(began, started, side="left")
    if (started > 0).all() and _contradicts(began, by_run, events["run"]):
        by_run = _by_order(events, len(own))
    by_time = np.searchsorted(began, sent + _STAMP_SLACK_MS, side="right") - 1
    chosen = np.where(started > 0, by_run, by_time)
    # A run that started after every BEGIN in view sent one that is not visible yet.
    places = np.array([*own, _UNKNOWN], dtype=np.int64)
    return places[np.clip(chosen, 0, len(own)).astype(np.int64)]


def _contradicts(
    began: npt.NDArray[np.int64], chosen: npt.NDArray[np.intp], runs: pd.Series[Any]
) -> bool:
    """Whether clocks cannot have told which run sent which of a transaction's segments."""
    pairs = pd.DataFrame({"place": chosen, "run": runs.to_numpy()}).drop_duplicates()
    shared = pairs.loc[pairs["place"] < len(began), "place"].duplicated()
    return bool((np.diff(began) < 0).any() or shared.any())


def _by_order(events: pd.DataFrame, segments: int) -> npt.NDArray[np.intp]:
    """The place of each event's segment: runs and BEGINs follow each other in the same order.

    Where fewer runs are in view than BEGINs, the first ones sent nothing that is carried; where
    more are, the last ones' BEGINs are not visible yet.
    """
    pairs = events[["topic", "partition", "run"]].drop_duplicates()
    rank = pairs.groupby(["topic", "partition"], sort=False).cumcount()
    last = rank.groupby(pairs["run"].to_numpy(), sort=False).max().sort_values(kind="stable")
    skipped = max(0, segments - len(last))
    places = {run: place + skipped for place, run in enumerate(last.index)}
    return events["run"].map(places).to_numpy(dtype=np.intp)


def run_started_ms(run: str) -> int:
    """When a connector's run began (UUIDv7, RFC 9562); 0 if the id tells nothing."""
    digits = run.replace("-", "")
    if len(digits) != 32 or digits[12] != "7":
        return 0
    return int(digits[:12], 16)
