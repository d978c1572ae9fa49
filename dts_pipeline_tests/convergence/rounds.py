"""Rounds of reconcile in the model: `core.reconcile.Round` orders them and decides.

The steps of a round are as fine as matters. Marks at both sites are one step, because a site's
mark only notes how long its own log is: whatever else happens between the two could as well happen
before or after both. So are both readings, and so is holding both links once they have caught up
and writing the second marks. Each site's commit is its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from dts_pipeline.core.conflicts import Kind
from dts_pipeline.core.links import Policy
from dts_pipeline.core.reconcile import Outcome, Readings, Round
from dts_pipeline_tests.convergence.rows import SITES, A, B, Entry
from dts_pipeline_tests.convergence.state import (
    Keys,
    Pair,
    Settling,
    State,
    calmed,
    logged,
    recorded,
)
from dts_pipeline_tests.convergence.two_sites import Rule, TwoSites, compare


class _Readings(Readings):
    """Readings that can be told apart by identity, so that states with them can be merged."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


Marks = tuple[int, int]


@dataclass(frozen=True)
class Reconcile:
    """The steps of rounds; each gives the state unchanged where it cannot be taken."""

    model: TwoSites

    def begin(
        self,
        state: State,
        keys: Iterable[int] | None = None,
        policy: Policy | None = None,
        reason: Kind | None = None,
        *,
        others: bool = False,
    ) -> State:
        """First watermarks; `keys`: those with a record by default."""
        chosen = tuple(sorted(state.recorded if keys is None else keys))
        if state.settling is not None or not chosen:
            return state
        closable = (open_at(state, A, chosen), open_at(state, B, chosen))
        begun = Round(policy or self.model.policy, SITES[A])
        settling = Settling(marked_at(begun, self._marks(state)), chosen, closable, reason, others)
        if not self.model.keeps(Rule.POSITION_FIRST):
            settling = settling._replace(round=begun, rows=rows_of(state, chosen))
        return state._replace(settling=settling)

    def read(self, state: State) -> State:
        """Both sites' rows."""
        settling = state.settling
        if settling is None or settling.round.readings is not None or settling.outcomes:
            return state
        if settling.rows is not None:  # they were read before: only now the watermarks
            marked = marked_at(settling.round, self._marks(state))
            settling = settling._replace(round=read_of(marked, settling.rows))
        else:
            rows = rows_of(state, settling.keys)
            settling = settling._replace(round=read_of(settling.round, rows), rows=rows)
        return state._replace(settling=settling)

    def hold(self, state: State) -> State:
        """Where both links have caught up: holds them, and looks at both logs once more."""
        settling = state.settling
        if settling is None or settling.round.readings is None or settling.outcomes is not None:
            return state
        first, second = settling.round.first_marks, self._marks(state)
        behind = any(p < m for p, m in zip(state.positions, first, strict=True))
        if behind and self.model.keeps(Rule.CATCH_UP):
            return state
        touched = tuple(self._touched(state, key, first, second) for key in settling.keys)
        outcomes = outcomes_of(settling.round, second, touched)
        over = Round(settling.round.policy, SITES[A])  # its marks are of no use any more
        return state._replace(settling=settling._replace(round=over, outcomes=outcomes))

    def lock(self, state: State) -> State:
        """At each site the loser's rows that are still as they were read are locked to be written.

        Where nothing is to be written or closed, the round ends.
        """
        settling = state.settling
        if settling is None or settling.outcomes is None or settling.due is not None:
            return state
        due: tuple[set[int], set[int]] = (set(), set())
        assert settling.rows is not None
        for key, read, outcome in zip(settling.keys, settling.rows, settling.outcomes, strict=True):
            if outcome in (Outcome.FIRST, Outcome.SECOND):
                loser = B if outcome == Outcome.FIRST else A
                if state.rows[loser][key] == read[loser] or not self.model.keeps(Rule.GUARD):
                    due[loser].add(key)
        if due[A] and due[B] and self.model.keeps(Rule.WRITES_FIRST):
            due[B].clear()  # the next round's
        settling = settling._replace(due=(frozenset(due[0]), frozenset(due[1])))
        state = state._replace(settling=settling)
        return state if self._due(state) else self.abandon(state)

    def commit(self, state: State, site: int) -> State:
        """A site's rows and closed records become visible; the link that writes there goes on.

        A site with nothing to commit is let go of at the round's end.
        """
        settling = state.settling
        if settling is None or settling.due is None or site not in self._due(state):
            return state
        if self._waits(settling, site):
            return state
        records = list(state.records)
        closing = self._closing(state, site)
        own = records[site]
        records[site] = tuple(None if k in closing else kind for k, kind in enumerate(own))
        state = state._replace(records=(records[0], records[1]))
        state = self._written(state, site, settling)
        assert state.settling is not None
        committed = settling.committed | {site}
        state = state._replace(settling=state.settling._replace(committed=committed))
        return state if self._due(state) else self.abandon(state)

    def abandon(self, state: State) -> State:
        """The process dies, or the hold lasts too long: what is not committed never happened."""
        return state if state.settling is None else state._replace(settling=None)

    def whole(
        self,
        state: State,
        keys: Iterable[int] | None = None,
        policy: Policy | None = None,
        reason: Kind | None = None,
    ) -> State:
        """A round from begin to end, while nobody writes."""
        state = self.read(self.begin(self.abandon(state), keys, policy, reason))
        return self.ended(self.lock(self.hold(self.model.drain(state))))

    def ended(self, state: State) -> State:
        """Both commits, of a round that has locked."""
        for site in (A, B, A):  # A's closings wait for B's rows
            state = self.commit(state, site)
        return self.abandon(state)

    def settle(self, state: State, rounds: int) -> tuple[State, int]:
        """Rounds until no record is open, and how many it took; at most so many."""
        state = self.model.drain(self.abandon(state))
        for taken in range(rounds):
            if not state.recorded:
                return state, taken
            state = self.model.drain(self.whole(state))
        return state, rounds

    # -- what the steps are made of --------------------------------------------------------------

    def _due(self, state: State) -> list[int]:
        """The sites that have something to commit."""
        settling = state.settling
        assert settling is not None
        assert settling.due is not None
        return [
            site
            for site in (A, B)
            if site not in settling.committed
            and (settling.others or settling.due[site] or self._closing(state, site))
        ]

    def _waits(self, settling: Settling, site: int) -> bool:
        """Whether the other site's rows must be visible first: this commit frees its readers."""
        other = 1 - site
        assert settling.due is not None
        late = bool(settling.due[other]) and other not in settling.committed
        return late and self.model.keeps(Rule.WRITES_FIRST)

    def _marks(self, state: State) -> Marks:
        """How far the sites' own logs are; or, wrongly, how far their readers are."""
        if self.model.keeps(Rule.OWN_POSITION):
            return len(state.logs[A]), len(state.logs[B])
        return state.positions

    def _touched(self, state: State, key: int, first: Marks, second: Marks) -> bool:
        if not self.model.keeps(Rule.QUIET):
            return False
        return any(
            entry.key == key and (not entry.marked or self.model.keeps(Rule.MARKED_TOO))
            for site in (A, B)
            for entry in state.logs[site][first[site] : second[site]]
        )

    def _closing(self, state: State, site: int) -> frozenset[int]:
        settling = state.settling
        assert settling is not None
        assert settling.outcomes is not None
        outcomes = zip(settling.keys, settling.outcomes, strict=True)
        equal = frozenset(key for key, outcome in outcomes if outcome == Outcome.EQUAL)
        known = settling.closable[site] if self.model.keeps(Rule.NO_LATER) else settling.keys
        return equal & open_at(state, site, known)

    def _written(self, state: State, site: int, settling: Settling) -> State:
        assert settling.due is not None
        assert settling.rows is not None
        entries = []
        for key, read in zip(settling.keys, settling.rows, strict=True):
            found, winner = state.rows[site][key], read[1 - site]
            if key in settling.due[site] and found != winner:
                entries.append(Entry(key, found, winner, True))
        if not entries:
            return state
        state = logged(state, site, entries)
        keys = [entry.key for entry in entries]
        if settling.reason is not None:
            state = recorded(state, site, [(key, settling.reason) for key in keys])
        return calmed(state, keys)


def with_marks(marked: Round, marks: Marks) -> Round:
    """The round with its first watermarks called otherwise."""
    return _renamed(marked, marks)


def open_at(state: State, site: int, keys: Iterable[int]) -> frozenset[int]:
    return frozenset(key for key in keys if state.records[site][key] is not None)


def rows_of(state: State, keys: Keys) -> tuple[Pair, ...]:
    return tuple((state.rows[A][key], state.rows[B][key]) for key in keys)


@cache
def _renamed(marked: Round, marks: Marks) -> Round:
    return replace(marked, first_marks=marks)


@cache
def marked_at(begun: Round, marks: Marks) -> Round:
    return begun.marked(marks)


def read_of(marked: Round, rows: tuple[Pair, ...]) -> Round:
    compared = tuple(
        (a is not None, b is not None, a == b, compare(a, b) if a and b else 0) for a, b in rows
    )
    return _with(marked, _readings(compared))


@cache
def _with(marked: Round, readings: _Readings) -> Round:
    return marked.read(readings)


@cache
def _readings(compared: tuple[tuple[bool, bool, bool, int], ...]) -> _Readings:
    first, second, equal, newer = zip(*compared, strict=True)
    return _Readings(
        np.array(first), np.array(second), np.array(equal), np.array(newer, dtype=np.int64)
    )


@cache
def outcomes_of(read: Round, marks: Marks, touched: tuple[bool, ...]) -> Keys:
    again = read.caught_up().held().marked_again(marks).outcomes(np.array(touched))
    return tuple(int(outcome) for outcome in again)
