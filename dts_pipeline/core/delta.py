"""Counters that both sites change: what each added is added at the other (rule R5).

A key all of whose user events in a batch are updates is *counted*: its counters get the sum of
those updates, also of the ones that a mark follows, because adding does not overtake anything. Its
other columns go the ordinary way, with one difference: only a marked event that changed one of
them overtakes users' changes of them, not one that merely added to a counter. The columns of a
version, which change with every write, take the larger value.

A key with an insert or a delete in the batch, or with a counter that is NULL, is not counted: its
row is carried as a whole, and the table's policy decides.

Sums are whole numbers in the unit of the column's last decimal place, so that nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dts_pipeline.core.compaction import CHANGE_COLUMNS
from dts_pipeline.core.conflicts import Meeting

_KEY = ["table", "key"]
_Objects = npt.NDArray[np.object_]
_Places = npt.NDArray[np.int64]
_Flags = npt.NDArray[np.bool_]
Row = Mapping[str, object]


@dataclass(frozen=True)
class Counters:
    """The counters of a table, and the columns of its versions, which keep the larger value."""

    columns: tuple[str, ...]
    versions: tuple[str, ...] = ()

    def others(self, names: Sequence[str]) -> list[str]:
        """Those of the columns that are neither."""
        return [name for name in names if name not in {*self.columns, *self.versions}]


@dataclass(frozen=True)
class Counted:
    """How a counted change meets the target's row (`meet`).

    `adds`: the sums are added and the larger versions taken, whoever wins the other columns.
    Without it the change is one of the whole row. `back`: a version went back or may have done so,
    and the larger of two need not be the same at both sites: that leaves a record.
    """

    meeting: Meeting
    adds: bool
    back: bool = False


def join_replaced(events: pd.DataFrame) -> pd.DataFrame:
    """Makes one update of a row that we deleted and inserted again in one transaction.

    Apply writes so where a table has a secondary unique key. `events`: columns table, key, before,
    after, op, marked, transaction; in the source's order.
    """
    op, marked = events["op"].to_numpy(), events["marked"].to_numpy(dtype=np.bool_)
    inserted = np.flatnonzero(marked & (op == "c"))
    previous = _previous(_codes(events))[inserted]
    transaction = events["transaction"].to_numpy(dtype=object)
    joined = (previous >= 0) & marked[previous] & (op[previous] == "d")
    joined &= _equal(transaction[previous], transaction[inserted])
    gone, kept = previous[joined], inserted[joined]
    if not len(kept):
        return events
    before, ops = _objects(events["before"]), _objects(events["op"])
    before[kept], ops[kept] = before[gone], "u"
    whole = events.assign(before=before, op=ops)
    return whole[~np.isin(np.arange(len(events)), gone)].reset_index(drop=True)


def measure(
    events: pd.DataFrame,
    before: Mapping[str, Sequence[object]],
    after: Mapping[str, Sequence[object]],
    counters: Counters,
    scales: Sequence[int] = (),
) -> pd.DataFrame:
    """What each event of ONE table did, decoded: the events with three more columns.

    `before` and `after` hold the rows by column, None where a row is absent; `scales` the decimal
    places of each counter (default 0). New columns: `sums` (object: a tuple of int, one a
    counter), `countable` (bool: an update with a number in every counter before and after) and
    `others` (bool: a column that is neither counter nor version changed).
    """
    updates = (events["op"] == "u").to_numpy(dtype=np.bool_)
    countable = updates.copy()
    for name in counters.columns:
        countable &= ~(pd.isna(_objects(before[name])) | pd.isna(_objects(after[name])))
    sums = []
    for name, scale in zip(counters.columns, scales or [0] * len(counters.columns), strict=True):
        added = np.zeros(len(events), dtype=object)
        old, new = (_units(rows[name], countable, scale) for rows in (before, after))
        added[countable] = new - old
        sums.append(added)
    others = ~updates
    for name in counters.others(list(before)):
        others |= ~_equal(_objects(before[name]), _objects(after[name]))
    tuples = _objects(list(zip(*sums, strict=True)))
    return events.assign(sums=tuples, countable=countable, others=others)


def split(events: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`(counted, plain)`: the events of counted keys from their first user event on, and the rest.

    `events`: what `measure` gave, in the source's order. A key is plain that has no user event, or
    from its first one on anything but updates that can be counted; marked events may be updates
    only, too, because after a delete it is another row.
    """
    keys, places = _codes(events), np.arange(len(events))
    user = ~events["marked"].to_numpy(dtype=np.bool_)
    first = _first(keys, user)
    begun = (first[keys] >= 0) & (places >= first[keys])
    updates = (events["op"] == "u").to_numpy(dtype=np.bool_)
    fits = np.where(user, events["countable"].to_numpy(dtype=np.bool_), updates)
    plain = first < 0
    plain[keys[begun & ~fits]] = True
    return events[begun & ~plain[keys]], events[plain[keys]]


def compact(counted: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`(changes, superseded)` of counted keys (`split`).

    `changes` has CHANGE_COLUMNS, `sums` and `crossed`, one row a key: `after` is the row as the
    source has it at the batch's end, `before` the row before the first user event behind the last
    mark that changed other columns, or the same as `after` if there is none; `crossed` (bool) says
    that a marked event stands among the users', so that the versions at the two sites may be those
    of different writes. `superseded` has CHANGE_COLUMNS: a row per key whose users' changes of
    other columns were overtaken by such a mark (rule R2). A key that is as it was before is left
    out, as ever.
    """
    keys, places = _codes(counted), np.arange(len(counted))
    user = ~counted["marked"].to_numpy(dtype=np.bool_)
    moved = counted["others"].to_numpy(dtype=np.bool_)
    before, after = _objects(counted["before"]), _objects(counted["after"])
    first, last = _first(keys, places >= 0), _last(keys, places >= 0)
    behind_mark = places > _last(keys, ~user & moved)[keys]
    begin = _first(keys, user & behind_mark)
    expected = np.where(begin >= 0, before[begin], after[last])
    sums = _totals(keys, user, counted["sums"])
    still = _first(keys, user & moved & behind_mark) < 0
    unchanged = still & _equal(before[first], after[last]) & ~np.array([any(s) for s in sums], bool)
    crossed = _last(keys, ~user) >= 0
    changes = counted.iloc[last].assign(before=expected, snapshot=False, sums=sums, crossed=crossed)
    overtaken = user & moved & ~behind_mark
    starts, ends = _first(keys, overtaken), _last(keys, overtaken)
    lost = counted.iloc[ends[ends >= 0]].assign(before=before[starts[starts >= 0]], snapshot=False)
    kept = changes[~unchanged].sort_values("ordinal")[[*CHANGE_COLUMNS, "sums", "crossed"]]
    return kept.reset_index(drop=True), lost[CHANGE_COLUMNS].reset_index(drop=True)


def meet(
    before: Row,
    after: Row,
    found: Row | None,
    sums: Sequence[int],
    counters: Counters,
    *,
    fits: bool = True,
    crossed: bool = False,
) -> Counted:
    """How a counted change meets the target's row (the SQL in `statements`, on one row).

    `fits` says that every counter takes its new value. An absent row, a NULL counter and one that
    would leave its range are conflicts of the whole row. A change is never found "same" for its
    counters; the other columns meet as any row does. `crossed` as `compact` has it: then the
    larger version need not be the one that the source has.
    """
    if found is None or not fits or any(found[name] is None for name in counters.columns):
        return Counted(Meeting.CONFLICT, adds=False)
    if found == before and all(
        _number(before[name]) + added == _number(after[name])
        for name, added in zip(counters.columns, sums, strict=True)
    ):
        return Counted(Meeting.CLEAN, adds=False)
    back = any(
        crossed or _larger(before[name], after[name]) != after[name] for name in counters.versions
    )
    others = counters.others(list(after))
    old, new, there = ([row[name] for name in others] for row in (before, after, found))
    if old == new:
        return Counted(Meeting.COUNTED, True, back)
    if there == new:
        return Counted(Meeting.SAME, True, back)
    return Counted(Meeting.CLEAN if there == old else Meeting.CONFLICT, True, back)


def merge(
    after: Row, found: Row, sums: Sequence[int], counters: Counters, *, takes: bool
) -> dict[str, object]:
    """The row to write where sums are added; `takes`: with the source's other columns."""
    row = dict(found)
    if takes:
        row |= {name: after[name] for name in counters.others(list(after))}
    for name, added in zip(counters.columns, sums, strict=True):
        row[name] = _number(found[name]) + added
    for name in counters.versions:
        row[name] = _larger(found[name], after[name])
    return row


def units_of(value: object, scale: int) -> int:
    """A whole number, or plain decimal digits, in units of the last of `scale` decimal places."""
    if isinstance(value, int):
        return int(value * 10**scale)
    whole, _, part = str(value).partition(".")
    return int(whole + part.ljust(scale, "0"))


def digits_of(units: int, scale: int) -> str:
    """Plain decimal digits of a number in such units."""
    if not scale:
        return str(units)
    digits = str(abs(units)).rjust(scale + 1, "0")
    return f"{'-' if units < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("a counter in a row must be a whole number")
    return int(value)


def _larger(left: Any, right: Any) -> Any:
    """The larger of two versions; an absent one is the smallest."""
    return max((value for value in (left, right) if value is not None), default=None)


def _units(values: Sequence[object], there: _Flags, scale: int) -> _Objects:
    return _objects([units_of(v, scale) for v in _objects(values)[there]])


def _codes(events: pd.DataFrame) -> _Places:
    """A number for each event's key: 0, 1, 2 … in the order of first appearance."""
    codes = events.groupby(_KEY, sort=False, observed=True).ngroup()
    return codes.to_numpy().astype(np.int64)


def _first(keys: _Places, among: _Flags) -> _Places:
    """The place of each key's first event among those flagged, -1 for none."""
    found = np.full(keys.max(initial=-1) + 1, -1, dtype=np.int64)
    chosen = np.flatnonzero(among)[::-1]
    found[keys[chosen]] = chosen  # the last assignment to an index stays
    return found


def _last(keys: _Places, among: _Flags) -> _Places:
    """The place of each key's last event among those flagged, -1 for none."""
    found = np.full(keys.max(initial=-1) + 1, -1, dtype=np.int64)
    chosen = np.flatnonzero(among)
    found[keys[chosen]] = chosen
    return found


def _previous(keys: _Places) -> _Places:
    """For each event the place of the one before it of the same key, -1 for none."""
    order = np.argsort(keys, kind="stable")
    previous = np.full(len(keys), -1, dtype=np.int64)
    follows = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    previous[order[follows + 1]] = order[follows]
    return previous


def _totals(keys: _Places, among: _Flags, sums: pd.Series[Any]) -> _Objects:
    """The tuples of the events flagged, added up per key."""
    columns = zip(*sums[among], strict=True)
    totals = []
    for column in columns:
        total = np.zeros(keys.max(initial=-1) + 1, dtype=object)
        np.add.at(total, keys[among], _objects(list(column)))
        totals.append(total)
    return _objects(list(zip(*totals, strict=True)))


def _objects(values: Sequence[Any] | pd.Series[Any]) -> _Objects:
    """A copy as objects; never a matrix, whatever the values are."""
    array = np.empty(len(values), dtype=object)
    array[:] = list(values)
    return array


def _equal(left: _Objects, right: _Objects) -> _Flags:
    return np.array([a == b for a, b in zip(left, right, strict=True)], dtype=np.bool_)
