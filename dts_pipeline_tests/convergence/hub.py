"""Three sites in a line: pairs of a and b, and of b and c. A model out of two of `two_sites`.

Each pair is a model of its own, in which its first or second site is b; b's rows are the same in
both. What one pair's links and rounds write at b happens in the other pair as a user's write does:
that is all that a link knows of what it carries on. So what is shown here is what that is worth:
whether three sites end equal, not only two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import NamedTuple

from dts_pipeline.core.links import Policy
from dts_pipeline_tests.convergence.exploration import trimmed
from dts_pipeline_tests.convergence.rounds import Reconcile
from dts_pipeline_tests.convergence.rows import A, B, Row, Value
from dts_pipeline_tests.convergence.state import State, logged
from dts_pipeline_tests.convergence.two_sites import TwoSites

LEFT, RIGHT = 0, 1
SITES = ((LEFT, A), (LEFT, B), (RIGHT, B))
"""The sites a, b and c: a pair, and which of its sites. b is also (RIGHT, A)."""
MIDDLE = (B, A)
"""Which site of each pair is b."""
ENOUGH = 6
"""The rounds, one of each pair in turn, in which all records must close once nobody writes."""
Step = tuple[str, int, int, int]


class Hub(NamedTuple):
    """Both pairs."""

    left: State
    right: State

    @property
    def at_rest(self) -> bool:
        """Whether all four links have read everything."""
        return all(pair.at_rest and pair.settling is None for pair in self)

    @property
    def recorded(self) -> bool:
        """Whether any record is open."""
        return any(pair.recorded for pair in self)

    @property
    def differing(self) -> bool:
        """Whether the three sites differ in any key."""
        return any(pair.differing for pair in self)

    @property
    def wrong(self) -> str | None:
        """What must never be, at any moment or at rest."""
        if any(pair.lost for pair in self):
            return "lost"
        if self.at_rest and any(pair.silently_different for pair in self):
            return "silent"
        return None

    @classmethod
    def agreed(cls, *values: Value, counted: bool = False) -> Hub:
        """All sites hold these rows."""
        return cls(*(State.agreed(*values, counted=counted) for _ in SITES[:2]))


@dataclass(frozen=True)
class ThreeSites:
    """The rules of both pairs; site `a` of the right one's policy is b, its site `b` is c.

    Without `carries_on` a link drops what the other pair wrote at b, as it drops its own pair's.
    """

    models: tuple[TwoSites, TwoSites]
    carries_on: bool = True

    def write(self, hub: Hub, site: int, key: int, value: Value) -> Hub:
        """A user's write at a, b or c."""
        pair, place = SITES[site]
        action = self.models[pair].write
        if site != 1:
            return hub._replace(**{hub._fields[pair]: action(hub[pair], place, key, value)})
        both = [self.models[n].write(hub[n], MIDDLE[n], key, value) for n in (LEFT, RIGHT)]
        if any(after is before for after, before in zip(both, hub, strict=True)):
            return hub  # a round has the row locked
        return Hub(*both)

    def on(self, hub: Hub, pair: int, action: Callable[[State], State]) -> Hub:
        """What a pair's link or round does; what it writes at b happens to the other pair."""
        before, other = hub[pair], hub[1 - pair]
        after = action(before)
        written = after.logs[MIDDLE[pair]][len(before.logs[MIDDLE[pair]]) :]
        for entry in written:
            if not self.carries_on:
                other = logged(other, MIDDLE[1 - pair], [entry])  # still marked
                continue
            seen = self.models[1 - pair].write(other, MIDDLE[1 - pair], entry.key, entry.after)
            if seen is other:
                return hub  # the other pair's round has the row locked: the writer waits
            other = seen
        return Hub(after, other) if pair == LEFT else Hub(other, after)

    def link(self, hub: Hub, pair: int, source: int, count: int | None = None) -> Hub:
        """A batch of one of the four links."""
        return self.on(hub, pair, lambda state: self.models[pair].link(state, source, count))

    def drain(self, hub: Hub) -> Hub:
        """All links, until they have read everything."""
        while not hub.at_rest:
            before = hub
            for pair, source in LINKS:
                if hub[pair].unread(source):
                    hub = self.link(hub, pair, source)
            if hub is before:
                break
        return hub

    def settle(self, hub: Hub, rounds: int = ENOUGH) -> Hub:
        """Rounds of both pairs in turn, until no record is open; at most so many."""
        for pair in (LEFT, RIGHT):
            hub = self.on(hub, pair, Reconcile(self.models[pair]).abandon)
        hub = self.drain(hub)
        for number in range(rounds):
            if not hub.recorded:
                break
            pair = number % 2
            hub = self.drain(self.on(hub, pair, Reconcile(self.models[pair]).whole))
        return hub

    def wrong_at_end(self, hub: Hub) -> str | None:
        """What is wrong once nobody writes and rounds have followed each other."""
        end = self.settle(hub)
        if end.wrong:
            return end.wrong
        if end.recorded:
            return "open in the end"
        return "different in the end" if end.differing else None


LINKS = tuple((pair, source) for pair in (LEFT, RIGHT) for source in (A, B))


class Node(NamedTuple):
    """A state, and how many user writes and rounds may still come."""

    writes: int
    rounds: int
    hub: Hub


@dataclass
class HubExploration:
    """Every history of a few user writes on one key at three sites, and rounds of either pair."""

    model: ThreeSites
    values: tuple[Value, ...]
    writes: int
    rounds: int = 0
    nodes: int = field(default=0, init=False)
    _rested: set[Hub] = field(default_factory=set, init=False)

    def run(self, start: Hub) -> tuple[str, Hub] | None:
        """The first thing found that must not be, breadth first; None if there is none."""
        level = {Node(self.writes, self.rounds, start): None}
        seen = set(level)
        while level:
            following: dict[Node, None] = {}
            for node in level:
                wrong = self._wrong(node.hub)
                if wrong is not None:
                    return wrong, node.hub
                following.update(dict.fromkeys(self._steps(node)))
            level = {node: None for node in following if node not in seen}
            seen.update(level)
        self.nodes = len(seen)
        return None

    def _wrong(self, hub: Hub) -> str | None:
        if hub.wrong is not None or not hub.at_rest or hub in self._rested:
            return hub.wrong
        self._rested.add(hub)
        return self.model.wrong_at_end(hub)

    def _steps(self, node: Node) -> Iterator[Node]:
        writes, rounds, hub = node
        for pair, source in LINKS:
            for count in range(1, hub[pair].unread(source) + 1):
                yield node._replace(hub=_trimmed(self.model.link(hub, pair, source, count)))
        for site in range(3) if writes else ():
            for value in self.values:
                written = self.model.write(hub, site, 0, value)
                yield Node(writes - 1, rounds, _trimmed(written))
        for pair in (LEFT, RIGHT):
            settling = hub[pair].settling is not None
            for action in self._round(pair) if settling else ():
                yield node._replace(hub=_trimmed(self.model.on(hub, pair, action)))
            if rounds and not settling and hub[pair].recorded:
                begin = partial(Reconcile(self.model.models[pair]).begin, others=True)
                yield Node(writes, rounds - 1, self.model.on(hub, pair, begin))

    def _round(self, pair: int) -> list[Callable[[State], State]]:
        steps = Reconcile(self.model.models[pair])
        commits = [partial(steps.commit, site=site) for site in (A, B)]
        return [steps.read, steps.hold, steps.lock, steps.abandon, *commits]


def _trimmed(hub: Hub) -> Hub:
    return Hub(trimmed(hub.left), trimmed(hub.right))


# -- random histories ------------------------------------------------------------------------

_STEPS = (("write", 40), ("link", 40), ("round", 24), ("crash", 3), ("abandon", 2))
_NAMES = [name for name, weight in _STEPS for _ in range(weight)]
_SIZES = (1, 1, 1, 2, 2, 3, 1_000)
_TEXTS = ("a", "b", "c")
KEYS = 2


def drawn(random: Random) -> list[Step]:
    """A history of eight to fifty steps, most of them about one key and in small batches."""
    steps = []
    for _ in range(8 + int(random.random() * random.random() * 43)):
        name = random.choice(_NAMES)
        first, second = random.randrange(12), random.randrange(12)
        steps.append((name, random.randrange(3 if name == "write" else 4), first, second))
    return steps


@dataclass
class HubHistory:
    """Plays the steps of one history, and then all that must follow."""

    model: ThreeSites
    hub: Hub
    recorded: bool = False
    differing: bool = False
    turn: int = 0

    def play(self, steps: list[Step]) -> str | None:
        """What goes wrong, if anything does."""
        for step in steps:
            self.turn += 1
            self._step(*step)
            if self.hub.wrong:
                return self.hub.wrong
        for pair in (LEFT, RIGHT):
            self.hub = self.model.on(self.hub, pair, Reconcile(self.model.models[pair]).abandon)
        self.hub = self.model.drain(self.hub)
        self.recorded, self.differing = self.hub.recorded, self.hub.differing
        return self.hub.wrong or self.model.wrong_at_end(self.hub)

    def _step(self, name: str, place: int, first: int, second: int) -> None:
        model, hub = self.model, self.hub
        if name == "write":
            key = int(first == 0)
            self.hub = model.write(hub, place, key, self._value(place, key, second))
        elif name == "link":
            pair, source = LINKS[place]
            self.hub = model.link(hub, pair, source, _SIZES[first % len(_SIZES)])
        else:
            pair = place % 2
            self.hub = model.on(hub, pair, lambda state: self._round(pair, state, name, first))

    def _round(self, pair: int, state: State, name: str, number: int) -> State:
        rules = self.model.models[pair]
        steps, settling = Reconcile(rules), state.settling
        if name == "crash":
            sent = state.offsets[number % 2] + number // 4
            return rules.crash(state, number % 2, 1 + number % 3, sent)
        if name == "abandon":
            return steps.abandon(state)
        if settling is None:
            return steps.begin(state, others=True)
        if settling.round.readings is None and settling.outcomes is None:
            return steps.read(state)
        if settling.outcomes is None:
            return steps.hold(state)
        if settling.due is None:
            return steps.lock(state)
        first = steps.commit(state, number % 2)
        return first if first is not state else steps.commit(state, 1 - number % 2)

    def _value(self, site: int, key: int, number: int) -> Value:
        pair, place = SITES[site]
        row = self.hub[pair].rows[place][key]
        rules = self.model.models[LEFT]
        # A site's clock; never the same twice.
        version = 3 * self.turn + site + 1_000 if rules.versioned else 0
        if rules.counted:
            row = row or Row("v")
            return Row(_TEXTS[number % 3], version, row.stock + (1, 10, -1)[number % 3])
        if number % 4 == 0:
            return None
        timed = rules.policy.kind == "newest" and not rules.versioned
        return Row(_TEXTS[number % 3], 1 + number % 2 if timed else version)


def three_sites(left: Policy, right: Policy, **table: bool) -> ThreeSites:
    """Both pairs' policies over the same table (`versioned`, `counted`)."""
    return ThreeSites((TwoSites(left, **table), TwoSites(right, **table)))
