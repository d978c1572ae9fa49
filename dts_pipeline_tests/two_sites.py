"""A model of two sites that both take writes, joined by two links: pure, and as small as it can be.

The decisions are the pipeline's own: `compaction.drop_marked` and `compact` reduce a batch,
`conflicts.meet`, `kind_of` and `source_wins` decide it. The model adds only what servers and Kafka
do: rows, a log a site, a position a link, the fence, and records that open and never close
(closing them is reconcile's work, which does not exist yet).

A batch is any prefix of what stands in the source's log behind the link's position. Reading a
prefix and applying it late is the same as applying a prefix of a longer log, so `apply` takes both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dts_pipeline.core import compaction
from dts_pipeline.core.conflicts import Kind, Meeting, kind_of, meet, source_wins
from dts_pipeline.core.links import Policy
from dts_pipeline_tests import builders

A, B = 0, 1
SITES = "ab"
Value = str | None
"""A row: its text, beginning with its version's digits if it has one; None is an absent row."""

RECORDING = frozenset({"same", "superseded", "conflict"})
"""The records of rules R1, R2 and R3; leaving one out shows what it is for."""


class Entry(NamedTuple):
    """One row event of a site's log."""

    key: int
    before: Value
    after: Value
    marked: bool = False


class Change(NamedTuple):
    """What compaction leaves of a key."""

    key: int
    before: Value
    after: Value


class Batch(NamedTuple):
    """The log entries `[start, until)` of the site that a link reads."""

    source: int
    start: int
    until: int


@dataclass(frozen=True)
class State:
    """Both sites' rows (a value per key), their logs, each link's position, the open records.

    Indexed by site; a link is named by its source. `records` holds (key, kind).
    """

    rows: tuple[tuple[Value, ...], tuple[Value, ...]]
    logs: tuple[tuple[Entry, ...], tuple[Entry, ...]] = ((), ())
    positions: tuple[int, int] = (0, 0)
    records: frozenset[tuple[int, Kind]] = frozenset()

    @classmethod
    def agreed(cls, *values: Value) -> State:
        """Both sites hold these rows, and nothing has happened."""
        return cls((values, values))

    @property
    def at_rest(self) -> bool:
        """Whether both links have read everything."""
        return all(p == len(log) for p, log in zip(self.positions, self.logs, strict=True))

    @property
    def recorded(self) -> frozenset[int]:
        """The keys with an open record."""
        return frozenset(key for key, _ in self.records)

    @property
    def silently_different(self) -> frozenset[int]:
        """The keys that differ without an open record: what must not be, at rest."""
        differing = {k for k, (a, b) in enumerate(zip(*self.rows, strict=True)) if a != b}
        return frozenset(differing - self.recorded)

    def unread(self, source: int) -> int:
        """How many entries the link from that site has not applied."""
        return len(self.logs[source]) - self.positions[source]


@dataclass(frozen=True)
class TwoSites:
    """The rules of a pair.

    `versioned`: the tables have a version column, so that rule R1 asks for no record.
    `recording` and `suffix_rule` are there to be switched off, to see what then goes wrong.
    """

    policy: Policy = field(default_factory=lambda: Policy("site", "a"))
    versioned: bool = False
    recording: frozenset[str] = RECORDING
    suffix_rule: bool = True

    def write(self, state: State, site: int, key: int, value: Value) -> State:
        """A user's insert, update or delete; a write that changes nothing is not logged."""
        before = state.rows[site][key]
        if before == value:
            return state
        return _logged(state, site, Entry(key, before, value))

    def move(self, state: State, site: int, old: int, new: int) -> State:
        """A user's change of a primary key: delete of the old key, insert of the new one."""
        value = state.rows[site][old]
        assert value is not None
        assert state.rows[site][new] is None
        gone = _logged(state, site, Entry(old, value, None))
        return _logged(gone, site, Entry(new, None, value))

    def pull(self, state: State, source: int, count: int | None = None) -> Batch:
        """The next `count` entries (all by default) that a link has not applied."""
        start = state.positions[source]
        until = len(state.logs[source]) if count is None else start + count
        return Batch(source, start, min(until, len(state.logs[source])))

    def apply(self, state: State, batch: Batch, *, fenced: bool = True) -> State:
        """Applies a batch; the fence (R6) refuses one that does not begin at the position."""
        source, target = batch.source, 1 - batch.source
        if fenced and batch.start != state.positions[source]:
            return state
        entries = state.logs[source][batch.start : batch.until]
        changes, superseded = reduce(entries) if self.suffix_rule else reduce_without_marks(entries)
        state = _moved(state, source, batch.until)
        for key in superseded:
            state = self._record(state, "superseded", key, Kind.SUPERSEDED)
        for change in changes:
            state = self._carry(state, source, target, change)
        return state

    def link(self, state: State, source: int, count: int | None = None) -> State:
        """Pulls and applies at once."""
        return self.apply(state, self.pull(state, source, count))

    def drain(self, state: State) -> State:
        """Both links until they have read everything; the writers have stopped."""
        while not state.at_rest:
            state = self.link(self.link(state, A), B)
        return state

    def _carry(self, state: State, source: int, target: int, change: Change) -> State:
        found = state.rows[target][change.key]
        meeting = meet(change.before, change.after, found)
        wins = True
        if meeting is Meeting.SAME:
            return state if self.versioned else self._record(state, "same", change.key, Kind.SAME)
        if meeting is Meeting.CONFLICT:
            kind = kind_of(change.after is None, change.before is not None, found is not None)
            state = self._record(state, "conflict", change.key, kind)
            wins = self._source_wins(source, change, found)
        return _logged(state, target, Entry(change.key, found, change.after, True), wins)

    def _source_wins(self, source: int, change: Change, found: Value) -> bool:
        newer = _compare(version(change.after), version(found))
        return bool(
            source_wins(
                self.policy,
                SITES[source],
                is_delete=np.array([change.after is None]),
                found=np.array([found is not None]),
                newer=np.array([newer], dtype=np.int64),
            )[0]
        )

    def _record(self, state: State, rule: str, key: int, kind: Kind) -> State:
        if rule not in self.recording:
            return state
        return replace(state, records=state.records | {(key, kind)})


def version(value: Value) -> int | None:
    """The digits that a row's text begins with; None for an absent row or one without."""
    match = re.match(r"\d+", value or "")
    return int(match[0]) if match else None


Entries = tuple[Entry, ...]
Reduced = tuple[tuple[Change, ...], tuple[int, ...]]
_reduced: dict[Entries, Reduced] = {}


def reduce(entries: Entries) -> Reduced:
    """A batch through the pipeline's own compaction: its changes, and the keys overtaken (R2)."""
    if entries not in _reduced:
        reduce_many([entries])
    return _reduced[entries]


def reduce_many(batches: Iterable[Entries]) -> None:
    """Reduces many batches in one frame, each as a table of its own, and remembers the results."""
    new = [entries for entries in dict.fromkeys(batches) if entries not in _reduced]
    if not new:
        return
    counting, superseded = compaction.drop_marked(_frame(new))
    changes: dict[str, list[Change]] = {}
    for table, key, before, after in _rows(compaction.compact(counting)):
        change = Change(_key(key), _value(before), _value(after))
        changes.setdefault(table, []).append(change)
    overtaken: dict[str, list[int]] = {}
    for table, key, _, _ in _rows(superseded):
        overtaken.setdefault(table, []).append(_key(key))
    for number, entries in enumerate(new):
        own = _table(number)
        _reduced[entries] = tuple(changes.get(own, ())), tuple(overtaken.get(own, ()))


def reduce_without_marks(entries: Entries) -> Reduced:
    """The wrong way: marked events are left out first, the rest is compacted."""
    return reduce(tuple(entry for entry in entries if not entry.marked))


def explore(model: TwoSites, start: State, values: tuple[Value, ...], writes: int) -> State | None:
    """A state at rest that differs silently, out of every history of up to so many user writes.

    None if there is none; breadth first, so it is a shortest one. Histories end where a key has a
    record: none ever closes here. With `{n}` in a value, each write takes a text of its own.
    """
    level = {(writes, start)}
    seen = set(level)
    while level:
        for _, state in level:
            if state.at_rest and state.silently_different:
                return state
        open_nodes = [(left, state) for left, state in level if not state.records]
        reduce_many(entries for _, state in open_nodes for entries in _prefixes(state))
        steps = {step for node in open_nodes for step in _steps(model, *node, values)}
        level = steps - seen
        seen |= level
    return None


def _prefixes(state: State) -> Iterator[Entries]:
    for log, position in zip(state.logs, state.positions, strict=True):
        for until in range(position + 1, len(log) + 1):
            yield log[position:until]


def _steps(
    model: TwoSites, left: int, state: State, values: tuple[Value, ...]
) -> Iterator[tuple[int, State]]:
    for site in (A, B):
        for count in range(1, state.unread(site) + 1):
            yield left, model.link(state, site, count)
        if left == 0:
            continue
        for value in values:
            text = value.format(n=left) if value else None
            for key in range(len(state.rows[site])):
                if state.rows[site][key] != text:
                    yield left - 1, model.write(state, site, key, text)


def _logged(state: State, site: int, entry: Entry, happens: bool = True) -> State:
    if not happens:
        return state
    rows, logs = list(state.rows), list(state.logs)
    own = list(rows[site])
    own[entry.key] = entry.after
    rows[site] = tuple(own)
    logs[site] = (*logs[site], entry)
    return replace(state, rows=(rows[0], rows[1]), logs=(logs[0], logs[1]))


def _moved(state: State, source: int, until: int) -> State:
    positions = list(state.positions)
    positions[source] = until
    return replace(state, positions=(positions[0], positions[1]))


def _compare(left: int | None, right: int | None) -> int:
    """1, 0 or -1, an absent version being the earliest (as `statements` has it)."""
    a, b = (-1 if side is None else side for side in (left, right))
    return (a > b) - (a < b)


def _frame(batches: Sequence[Entries]) -> pd.DataFrame:
    events = [
        builders.change_event(
            "c" if e.before is None else "d" if e.after is None else "u",
            e.key,
            before=_row(e.key, e.before),
            after=_row(e.key, e.after),
            table=_table(number),
            topic="a.shop.model",
        )
        for number, entries in enumerate(batches)
        for e in entries
    ]
    marked = [e.marked for entries in batches for e in entries]
    return builders.frame(builders.sent(events), marked=marked)


def _rows(changes: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    return zip(*(changes[name] for name in ("table", "key", "before", "after")), strict=True)


def _table(number: int) -> str:
    return f"shop.batch_{number}"


def _row(key: int, value: Value) -> Mapping[str, object] | None:
    return None if value is None else builders.row(key, value)


_ROW = re.compile(rb'^\{"id":(\d+),"v":"([^"]*)"\}$')


def _value(encoded: bytes | None) -> Value:
    if encoded is None:
        return None
    match = _ROW.match(encoded)
    assert match is not None
    return match[2].decode()


def _key(encoded: bytes) -> int:
    return int(encoded.removeprefix(b'{"id":').removesuffix(b"}"))
