"""Every history of a few user writes on one key, interleaved in every way with all else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dts_pipeline_tests.convergence.rounds import Reconcile, with_marks
from dts_pipeline_tests.convergence.rows import A, B, Row, Value
from dts_pipeline_tests.convergence.state import State
from dts_pipeline_tests.convergence.two_sites import Rule, TwoSites

ENOUGH = 3
"""The rounds in which every record must close once nobody writes: one that writes the winner's
row, one that finds both sites equal, and one where a batch touched the records meanwhile."""


OWN = -1
"""The version of a value that gets one of its own with each write."""


class Node(NamedTuple):
    """A state, and what may still happen: user writes, rounds, crashes of a connector."""

    writes: int
    rounds: int
    crashes: int
    state: State


class Wrong(NamedTuple):
    """What must not be, and where."""

    what: str
    state: State


@dataclass
class Exploration:
    """Every history from a start; `values` are what users write, None for a delete.

    With `added` users add to the row's counter as well. `rounds` may be begun, each interleaved
    with all else, or abandoned.
    """

    model: TwoSites
    values: tuple[Value, ...]
    writes: int
    rounds: int = 0
    crashes: int = 0
    added: tuple[int, ...] = ()
    nodes: int = field(default=0, init=False)
    rested: set[State] = field(default_factory=set, init=False)

    @property
    def reconcile(self) -> Reconcile:
        """The steps of rounds."""
        return Reconcile(self.model)

    def run(self, start: State) -> Wrong | None:
        """The first thing found that must not be, breadth first; None if there is none."""
        level = [Node(self.writes, self.rounds, self.crashes, start)]
        seen = set(level)
        while level:
            self._prepare(level)
            following = dict[Node, None]()  # in the order found: every run finds the same
            for node in level:
                wrong = self._wrong(node.state)
                if wrong is not None:
                    return wrong
                following.update(dict.fromkeys(self._steps(node)))
            level = [node for node in following if node not in seen]
            seen.update(level)
            self.nodes = len(seen)
        return None

    def _wrong(self, state: State) -> Wrong | None:
        if state.lost:
            return Wrong("lost", state)
        if not state.at_rest or state.settling is not None:
            return None
        if state.silently_different:
            return Wrong("silent", state)
        key = state._replace(logs=((), ()), offsets=(0, 0), positions=(0, 0), resent=((), ()))
        if key in self.rested:
            return None
        self.rested.add(key)
        return wrong_at_end(self.model, state)

    def _prepare(self, level: Sequence[Node]) -> None:
        self.model.reduction.prepare(
            self.model.entries(node.state, node.state.pull(source, count))
            for node in level
            for source in (A, B)
            for count in range(1, node.state.unread(source) + 1)
        )

    def _steps(self, node: Node) -> Iterator[Node]:
        writes, rounds, crashes, state = node
        for source in (A, B):
            for count in range(1, state.unread(source) + 1):
                yield node._replace(state=self._trimmed(self.model.link(state, source, count)))
            if writes:
                for value in self._written(state, source, writes):
                    written = self.model.write(state, source, 0, value)
                    yield Node(writes - 1, rounds, crashes, written)
            if crashes and not self.model.keeps(Rule.FENCE):
                for again in self._again(state, source):
                    yield node._replace(crashes=crashes - 1, state=again)
            elif crashes:
                for sent in range(state.offsets[source], state.sent(source) + 1):
                    for behind in (1, 2):
                        crashed = self.model.crash(state, source, behind, sent)
                        yield node._replace(crashes=crashes - 1, state=crashed)
        for again in self._round(state):
            yield node._replace(state=self._trimmed(again))
        if rounds and state.settling is None and state.recorded:
            yield node._replace(rounds=rounds - 1, state=self.reconcile.begin(state, others=True))

    def _again(self, state: State, source: int) -> Iterator[State]:
        """Batches that were applied before, as a process does that does not know it."""
        for start in range(state.offsets[source]):
            for until in range(start + 1, state.offsets[source] + 1):
                batch = state.read(source, start, until)._replace(position=start)
                yield self.model.apply(state, batch)

    def _round(self, state: State) -> Iterator[State]:
        if state.settling is None:
            return
        yield self.reconcile.read(state)
        yield self.reconcile.hold(state)
        yield self.reconcile.lock(state)
        yield self.reconcile.commit(state, A)
        yield self.reconcile.commit(state, B)
        yield self.reconcile.abandon(state)

    def _trimmed(self, state: State) -> State:
        """Logs are needed from their beginning where they may be read again."""
        return state if self.crashes else trimmed(state)

    def _written(self, state: State, site: int, left: int) -> Iterator[Value]:
        row = state.rows[site][0]
        number = self.writes - left + 1
        for value in self.values:
            own = value is not None and value.version == OWN
            yield value._replace(version=number) if value is not None and own else value
        for added in self.added:
            if row is not None:
                version = number if self.model.versioned else row.version
                yield Row(row.text, version, row.stock + added)


def wrong_at_end(model: TwoSites, state: State) -> Wrong | None:
    """What is wrong once everything is read and rounds have followed each other."""
    end, _ = Reconcile(model).settle(state, ENOUGH)
    if end.lost:
        return Wrong("lost in the end", state)
    if end.differing:
        return Wrong("different in the end", state)
    return Wrong("open in the end", state) if end.recorded else None


def trimmed(state: State) -> State:
    """Without what the link has read of a log and no round looks at, so that states merge."""
    cut = list(state.positions)
    settling = state.settling
    marks = None
    if settling is not None and settling.outcomes is None:
        marks = settling.round.first_marks
        cut = [min(own) for own in zip(cut, marks or cut, strict=True)]
    if not any(cut):
        return state
    if settling is not None and marks is not None:
        moved = (marks[A] - cut[A], marks[B] - cut[B])
        settling = settling._replace(round=with_marks(settling.round, moved))
    return state._replace(
        logs=(state.logs[A][cut[A] :], state.logs[B][cut[B] :]),
        offsets=(state.offsets[A] - cut[A], state.offsets[B] - cut[B]),
        positions=(state.positions[A] - cut[A], state.positions[B] - cut[B]),
        settling=settling,
    )
