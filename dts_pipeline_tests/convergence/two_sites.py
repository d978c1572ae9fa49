"""A model of two sites that both take writes, joined by two links: pure, and as small as it can be.

The decisions are the pipeline's own: `duplicates.drop_duplicates`, `compaction`, `delta` and
`conflicts` for a batch, `reconcile.Round` for a round (`rounds.py`). The model adds only what
servers and Kafka do: rows, a log a site, the fence, the ledgers' records.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache

import numpy as np

from dts_pipeline.core import delta
from dts_pipeline.core.conflicts import Kind, Meeting, kind_of, meet, source_wins
from dts_pipeline.core.delta import Counters
from dts_pipeline.core.links import Policy
from dts_pipeline_tests.convergence.reduction import COLUMNS, Reduced, Reduction, first_copies
from dts_pipeline_tests.convergence.rows import SITES, Batch, Change, Entries, Entry, Row, Value
from dts_pipeline_tests.convergence.state import State, calmed, logged, recorded


class Rule(StrEnum):
    """What can be left out, to see what then goes wrong."""

    SAME = "R1"
    SUPERSEDED = "R2"
    CONFLICT = "R3"
    POSITION_FIRST = "R4 position before row"
    OWN_POSITION = "R4 the site's own position"
    CATCH_UP = "R4 both links catch up"
    HOLD = "R4 both links held"
    QUIET = "R4 a touched key starts over"
    MARKED_TOO = "R4 marked events touch as well"
    NO_LATER = "R4 no later records"
    GUARD = "R4 guarded writes"
    WRITES_FIRST = "R4 the site written commits first"
    DELTA = "R5"
    BEFORE_MARK = "R5 sums of what a mark follows"
    UNCOUNTED = "R5 never the same"
    FENCE = "R6"
    FIRST_COPIES = "R7"
    SUFFIX = "compaction behind the last mark"


@dataclass(frozen=True)
class TwoSites:
    """The rules of a pair with one table.

    `versioned`: the table has a version column, so that rule R1 asks for no record. `counted`: its
    column `stock` is a counter (policy `delta`).
    """

    policy: Policy = field(default_factory=lambda: Policy("site", "a"))
    versioned: bool = False
    counted: bool = False
    without: frozenset[Rule] = frozenset()

    def keeps(self, rule: Rule) -> bool:
        """Whether the rule holds."""
        return not self.without or rule not in self.without

    @property
    def counters(self) -> Counters:
        """The table's counter, and its version."""
        return _counters(self.versioned)

    @property
    def reduction(self) -> Reduction:
        """The way of a batch's entries, with what is known of it already."""
        return _reduction(self.counted and self.keeps(Rule.DELTA), self.versioned)

    # -- users ---------------------------------------------------------------------------------

    def write(self, state: State, site: int, key: int, value: Value) -> State:
        """A user's insert, update or delete; a write that changes nothing is not logged."""
        before = state.rows[site][key]
        if before == value or state.locks(site, key):
            return state
        disputed, last, sums = list(state.disputed), list(state.last), list(state.sums)
        disputed[key] = disputed[key] or state.users_unread(1 - site, key)
        last[key] = value
        if sums:
            sums[key] = _added(sums[key], before, value)
        return logged(state, site, [Entry(key, before, value)])._replace(
            disputed=tuple(disputed), last=tuple(last), sums=tuple(sums)
        )

    def add(self, state: State, site: int, key: int, added: int, version: int = 0) -> State:
        """A user adds to the counter of a row that is there."""
        row = state.rows[site][key]
        if row is None:
            return state
        return self.write(state, site, key, Row(row.text, version, row.stock + added))

    def move(self, state: State, site: int, old: int, new: int, version: int = 0) -> State:
        """A user's change of a primary key: delete of the old key, insert of the new one.

        `version`: the row's new one, if it is another; a version changes with EVERY write.
        """
        value = state.rows[site][old]
        if value is None or state.rows[site][new] is not None or state.locks(site, new):
            return state
        gone = self.write(state, site, old, None)
        return (
            state
            if gone is state
            else self.write(gone, site, new, value._replace(version=version or value.version))
        )

    # -- links ---------------------------------------------------------------------------------

    def crash(self, state: State, source: int, behind: int, sent: int | None = None) -> State:
        """The source's connector dies after `sent` messages and sends `behind` of them again."""
        at = state.sent(source) if sent is None else min(sent, state.sent(source))
        resent = list(state.resent)
        before = resent[source][-1][1] if resent[source] else 0
        behind = min(behind, at - before)
        if behind <= 0 or at < state.offsets[source]:
            return state
        resent[source] = (*resent[source], (at, before + behind))
        return state._replace(resent=(resent[0], resent[1]))

    def entries(self, state: State, batch: Batch) -> Entries:
        """The batch's events without second copies (rule R7)."""
        if self.keeps(Rule.FIRST_COPIES):
            places = first_copies(batch.places, batch.position)
            batch = batch._replace(places=places)
        return state.entries(batch)

    def apply(self, state: State, batch: Batch) -> State:
        """Applies a batch; the fence (R6) refuses one that does not begin at the checkpoint.

        While a round holds the link, it waits: nothing happens. Nor does it under the policy
        `fail` where the batch has a conflict.
        """
        source, target = batch.source, 1 - batch.source
        if self.keeps(Rule.FENCE) and batch.start != state.offsets[source]:
            return state
        if self.keeps(Rule.HOLD) and state.holds(source):
            return state
        entries = self.entries(state, batch)
        changes, superseded = self._reduce(entries)
        rows, log = list(state.rows[target]), list[Entry]()
        records = [(key, Kind.SUPERSEDED) for key in superseded if self.keeps(Rule.SUPERSEDED)]
        for change in changes:
            found = rows[change.key]
            meeting, written, kind = self._carry(source, change, found)
            if kind is not None:
                if meeting is Meeting.CONFLICT and self.policy.kind == "fail":
                    return state
                if self._records(kind, change):
                    records.append((change.key, kind))
            if written != found:
                log.append(Entry(change.key, found, written, True))
                rows[change.key] = written
        offsets, positions = list(state.offsets), list(state.positions)
        offsets[source] = batch.until
        positions[source] = max([batch.position, *[place + 1 for place in batch.places]])
        state = logged(state, target, log) if log else state
        state = state._replace(
            offsets=(offsets[0], offsets[1]), positions=(positions[0], positions[1])
        )
        return calmed(recorded(state, target, records), {e.key for e in entries})

    def link(self, state: State, source: int, count: int | None = None) -> State:
        """Pulls and applies at once."""
        return self.apply(state, state.pull(source, count))

    def drain(self, state: State) -> State:
        """Both links until they have read everything, or stop; the writers have stopped."""
        while not state.at_rest:
            before = state
            for source in (0, 1):
                if state.unread(source):
                    state = self.link(state, source)
            if state is before:
                break
        return state

    # -- one change ----------------------------------------------------------------------------

    def _reduce(self, entries: Entries) -> Reduced:
        if not self.keeps(Rule.SUFFIX):
            entries = tuple(entry for entry in entries if not entry.marked)
        if not self.keeps(Rule.BEFORE_MARK):
            marks = {entry.key: place for place, entry in enumerate(entries) if entry.marked}
            entries = tuple(e for n, e in enumerate(entries) if n > marks.get(e.key, -1))
        return self.reduction.of(entries)

    def _records(self, kind: Kind, change: Change) -> bool:
        """Whether a meeting leaves its record.

        A version says nothing of the other columns of a row whose counters are added (as
        `adapters.verdicts` has it): what is the same there is recorded all the same.
        """
        if kind is Kind.SAME:
            return self.keeps(Rule.SAME) and (not self.versioned or change.added is not None)
        return self.keeps(Rule.CONFLICT)

    def _carry(
        self, source: int, change: Change, found: Value
    ) -> tuple[Meeting, Value, Kind | None]:
        """How the change meets the target's row, the row that is there then, and the record."""
        if change.added is not None:
            return self._count(source, change, found)
        meeting = meet(change.before, change.after, found)
        if meeting is Meeting.CLEAN:
            return meeting, change.after, None
        if meeting is Meeting.SAME:
            return meeting, found, Kind.SAME
        kind = kind_of(change.after is None, change.before is not None, found is not None)
        return meeting, change.after if self._wins(source, change, found) else found, kind

    def _count(
        self, source: int, change: Change, found: Value
    ) -> tuple[Meeting, Value, Kind | None]:
        assert change.before is not None
        assert change.after is not None
        assert change.added is not None
        if found == change.after and not self.keeps(Rule.UNCOUNTED):
            return Meeting.SAME, found, Kind.SAME
        before, after = change.before._asdict(), change.after._asdict()
        there = None if found is None else found._asdict()
        met = delta.meet(
            before, after, there, (change.added,), self.counters, crossed=change.crossed
        )
        if met.meeting is Meeting.CLEAN and not met.adds:
            return met.meeting, change.after, None
        kind = {
            Meeting.SAME: Kind.SAME,
            Meeting.CONFLICT: kind_of(False, True, found is not None),
        }.get(met.meeting, Kind.COUNTER if met.back else None)
        takes = met.meeting is Meeting.CLEAN or (
            met.meeting is Meeting.CONFLICT and self._wins(source, change, found)
        )
        if not met.adds or there is None:
            return met.meeting, change.after if takes else found, kind
        merged = delta.merge(after, there, (change.added,), self.counters, takes=takes)
        return met.meeting, Row(*(merged[name] for name in COLUMNS)), kind  # type: ignore[arg-type]

    def _wins(self, source: int, change: Change, found: Value) -> bool:
        newer = compare(change.after, found)
        return _source_wins(self.policy, source, change.after is None, found is not None, newer)


def compare(left: Value, right: Value) -> int:
    """1, 0 or -1 by version, an absent row being the earliest (as `statements` has it)."""
    a, b = (-1 if row is None else row.version for row in (left, right))
    return (a > b) - (a < b)


def _added(total: int | None, before: Value, after: Value) -> int | None:
    if total is None or before is None or after is None:
        return None
    return total + after.stock - before.stock


@cache
def _source_wins(policy: Policy, source: int, is_delete: bool, found: bool, newer: int) -> bool:
    return bool(
        source_wins(
            policy,
            SITES[source],
            is_delete=np.array([is_delete]),
            found=np.array([found]),
            newer=np.array([newer], dtype=np.int64),
        )[0]
    )


@cache
def _counters(versioned: bool) -> Counters:
    return Counters(("stock",), ("version",) if versioned else ())


@cache
def _reduction(counted: bool, versioned: bool) -> Reduction:
    return Reduction(_counters(versioned) if counted else None)
