"""A full mesh of three sites: a pair between each two. A model out of three of `two_sites`.

Each pair is a model of its own. A site's rows and log are the same in both of its pairs; what one
pair's links or rounds write there stands in the other pair's log marked, and its links drop it: the
third site gets the change from where it was made. What the pairs share is the round: it reads,
waits for and holds all three sites and all six links (`stages.reconcile_round`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, partial
from random import Random
from typing import NamedTuple

from dts_pipeline.core.links import Policy
from dts_pipeline.core.reconcile import Outcome, Round
from dts_pipeline_tests.convergence.exploration import trimmed
from dts_pipeline_tests.convergence.rounds import marked_at, open_at, outcomes_of, read_of, rows_of
from dts_pipeline_tests.convergence.rows import SITES, A, B, Entry, Row, Value
from dts_pipeline_tests.convergence.state import Settling, State, logged
from dts_pipeline_tests.convergence.two_sites import TwoSites

ENDS = ((0, 1), (0, 2), (1, 2))
"""The sites of each pair. Site 0 decides: the other rows are held against its own."""
STAR = (0, 1)
"""The pairs whose rows a round compares."""
PLACES = {
    site: tuple((pair, ends.index(site)) for pair, ends in enumerate(ENDS) if site in ends)
    for site in range(3)
}
"""Where each site is: in which pairs, and as which of their sites."""
LINKS = tuple((pair, source) for pair in range(3) for source in (A, B))
ENOUGH = 9
"""The rounds, one of each pair in turn, in which all records must close once nobody writes."""
Step = tuple[str, int, int, int]


class Mesh(NamedTuple):
    """The pairs in the order of `ENDS`; `settling`: the pair whose round is under way.

    Nobody's but the tests' are `last`, per key the row that was written last, and `disputed`,
    whether a record of the key was opened since all sites were equal at rest.
    """

    pairs: tuple[State, State, State]
    settling: int | None
    last: tuple[Value, ...]
    disputed: tuple[bool, ...]

    @classmethod
    def agreed(cls, *values: Value, counted: bool = False) -> Mesh:
        """All sites hold these rows."""
        state = State.agreed(*values, counted=counted)
        return cls((state,) * 3, None, values, (False,) * len(values))

    @property
    def at_rest(self) -> bool:
        """Whether all six links have read everything, and no round is under way."""
        return self.settling is None and all(pair.at_rest for pair in self.pairs)

    @property
    def recorded(self) -> frozenset[int]:
        """The keys of which any pair has an open record."""
        return frozenset[int]().union(*(pair.recorded for pair in self.pairs))

    @property
    def differing(self) -> frozenset[int]:
        """The keys in which the three sites differ."""
        return self.pairs[0].differing | self.pairs[1].differing

    @property
    def wrong(self) -> str | None:
        """What must never be at rest: a difference without a record, a write lost without one."""
        if not self.at_rest:
            return None
        if self.differing - self.recorded:
            return "silent"
        rows = self.pairs[0].rows[A]
        for key in self.pairs[0].keys:
            if key not in self.differing and not self.disputed[key] and rows[key] != self.last[key]:
                return "lost"
        return None

    def calmed(self) -> Mesh:
        """At rest, what is equal everywhere without a record is what later writes start from."""
        rows, fresh = self.pairs[0].rows[A], []
        for key, last in enumerate(self.last):
            calm = self.at_rest and key not in self.differing | self.recorded
            fresh.append((rows[key], False) if calm else (last, self.disputed[key]))
        return self._replace(last=tuple(r for r, _ in fresh), disputed=tuple(d for _, d in fresh))


@dataclass(frozen=True)
class ThreeInAMesh:
    """The rules of the three pairs; site `a` of each one's policy is the first of its `ENDS`.

    Without `holds_all` a round holds, waits for and reads its own pair only.
    """

    models: tuple[TwoSites, TwoSites, TwoSites]
    holds_all: bool = True

    def write(self, mesh: Mesh, site: int, key: int, value: Value) -> Mesh:
        """A user's write."""
        pairs = list(mesh.pairs)
        for pair, place in PLACES[site]:
            pairs[pair] = self.models[pair].write(mesh.pairs[pair], place, key, value)
            if pairs[pair] is mesh.pairs[pair]:
                return mesh  # it changes nothing, or a round has the row locked
        last = tuple(value if k == key else old for k, old in enumerate(mesh.last))
        return _plain(mesh._replace(pairs=_three(pairs), last=last))

    def link(self, mesh: Mesh, pair: int, source: int, count: int | None = None) -> Mesh:
        """A batch of one of the six links."""
        return self._on(mesh, pair, lambda state: self.models[pair].link(state, source, count))

    def crash(self, mesh: Mesh, pair: int, source: int, number: int) -> Mesh:
        """The connector of a site dies and sends again; both links from there read its topics."""
        site = ENDS[pair][source]
        pairs = list(mesh.pairs)
        for own, place in PLACES[site]:
            state = pairs[own]
            sent = max(pairs[p].offsets[q] for p, q in PLACES[site]) + number // 4
            pairs[own] = self.models[own].crash(state, place, 1 + number % 3, sent)
        return mesh._replace(pairs=_three(pairs))

    def drain(self, mesh: Mesh) -> Mesh:
        """All links, until they have read everything."""
        while any(not pair.at_rest for pair in mesh.pairs):
            before = mesh
            for pair, source in LINKS:
                if mesh.pairs[pair].unread(source):
                    mesh = self.link(mesh, pair, source)
            if mesh is before:
                break
        return mesh

    # -- rounds ----------------------------------------------------------------------------------

    def begin(self, mesh: Mesh, pair: int) -> Mesh:
        """A round for the records of one pair: first watermarks at all sites."""
        keys = tuple(sorted(mesh.pairs[pair].recorded))
        if mesh.settling is not None or not keys:
            return mesh
        pairs = []
        for number, state in enumerate(mesh.pairs):
            own = number == pair
            closable = tuple(open_at(state, s, keys) if own else frozenset() for s in (A, B))
            begun = Round(self.models[number].policy, SITES[A])
            marks = len(state.logs[A]), len(state.logs[B])
            settling = Settling(marked_at(begun, marks), keys, (closable[0], closable[1]))
            pairs.append(state._replace(settling=settling))
        return mesh._replace(pairs=_three(pairs), settling=pair)

    def read(self, mesh: Mesh) -> Mesh:
        """All sites' rows."""
        pairs = []
        for state in mesh.pairs:
            settling = state.settling
            if settling is None or settling.rows is not None:
                return mesh
            rows = rows_of(state, settling.keys)
            round_ = read_of(settling.round, rows)
            pairs.append(state._replace(settling=settling._replace(round=round_, rows=rows)))
        return mesh._replace(pairs=_three(pairs))

    def hold(self, mesh: Mesh) -> Mesh:
        """Where all links have caught up: holds them, and looks at all logs once more."""
        touched: set[int] = set()
        for number, state in enumerate(mesh.pairs):
            settling = state.settling
            if settling is None or settling.rows is None or settling.outcomes is not None:
                return mesh
            if not self.holds_all and number != mesh.settling:
                continue
            marks = settling.round.first_marks
            if any(p < m for p, m in zip(state.positions, marks, strict=True)):
                return mesh
            for place in (A, B):
                touched |= {entry.key for entry in state.logs[place][marks[place] :]}
        pairs = []
        for number, state in enumerate(mesh.pairs):
            settling = state.settling
            assert settling is not None
            if not self.holds_all and number != mesh.settling:
                pairs.append(state)
                continue
            flags = tuple(key in touched for key in settling.keys)
            marks = len(state.logs[A]), len(state.logs[B])
            outcomes = outcomes_of(settling.round, marks, flags)
            over = Round(settling.round.policy, SITES[A])
            settling = settling._replace(round=over, outcomes=outcomes)
            pairs.append(state._replace(settling=settling))
        return mesh._replace(pairs=_three(pairs))

    def lock(self, mesh: Mesh) -> Mesh:
        """The rows to be written at one site are locked; those of another wait for a round."""
        if mesh.settling is None or any(_locked_or_not_held(s) for s in self._held(mesh)):
            return mesh
        due = self._due(mesh)
        site = max(range(3), key=lambda one: (len(due[one]), one))
        pairs = list(mesh.pairs)
        for number, state in enumerate(mesh.pairs):
            settling = state.settling
            assert settling is not None
            here = tuple(
                frozenset(due[site]) if end == site else frozenset() for end in ENDS[number]
            )
            pairs[number] = state._replace(settling=settling._replace(due=(here[0], here[1])))
        return mesh._replace(pairs=_three(pairs))

    def commit(self, mesh: Mesh, site: int) -> Mesh:
        """A site's rows and closings become visible, and the links that write there go on.

        The site that rows are written at commits first.
        """
        own = mesh.pairs[PLACES[site][0][0]].settling
        if mesh.settling is None or own is None or own.due is None:
            return mesh
        if PLACES[site][0][1] in own.committed:
            return mesh
        written = [s for s in range(3) if self._rows_due(mesh, s)]
        if written and written[0] != site and not self._has_committed(mesh, written[0]):
            return mesh
        winners = self._rows_due(mesh, site)
        mesh = self._closed(mesh, site)
        pairs = list(mesh.pairs)
        for pair, place in PLACES[site]:
            state = pairs[pair]
            entries = [
                Entry(key, state.rows[place][key], winner, True)
                for key, winner in winners.items()
                if state.rows[place][key] != winner
            ]
            state = logged(state, place, entries) if entries else state
            settling = state.settling
            assert settling is not None
            committed = settling.committed | {place}
            pairs[pair] = state._replace(settling=settling._replace(committed=committed))
        mesh = mesh._replace(pairs=_three(pairs))
        done = all(self._has_committed(mesh, s) for s in range(3))
        return self.abandon(mesh) if done else mesh

    def abandon(self, mesh: Mesh) -> Mesh:
        """The process dies, or the round is over."""
        pairs = [state._replace(settling=None) for state in mesh.pairs]
        return mesh._replace(pairs=_three(pairs), settling=None)

    def whole(self, mesh: Mesh, pair: int) -> Mesh:
        """A round from begin to end, while nobody writes."""
        mesh = self.drain(self.read(self.begin(self.abandon(mesh), pair)))
        mesh = self.lock(self.hold(mesh))
        for site in (0, 1, 2, 0, 1, 2):
            mesh = self.commit(mesh, site)
        return self.abandon(mesh)

    def settled(self, mesh: Mesh) -> Mesh:
        """Nobody writes any more, all is read, and rounds follow each other."""
        mesh = self.drain(self.abandon(mesh))
        for number in range(ENOUGH):
            if not mesh.recorded:
                break
            mesh = self.drain(self.whole(mesh, number % 3))
        return mesh

    def wrong_at_end(self, mesh: Mesh) -> str | None:
        """What is wrong then."""
        mesh = self.settled(mesh)
        if mesh.wrong:
            return mesh.wrong
        if mesh.recorded:
            return "open in the end"
        return "different in the end" if mesh.differing else None

    # -- what they are made of -------------------------------------------------------------------

    def _on(self, mesh: Mesh, pair: int, action: Callable[[State], State]) -> Mesh:
        """What a pair's link does; what it writes stands in its site's log of the other pair."""
        before = mesh.pairs[pair]
        after = action(before)
        if after is before:
            return mesh
        pairs = list(mesh.pairs)
        pairs[pair] = after
        for place in (A, B):
            entries = list(after.logs[place][len(before.logs[place]) :])
            for other, there in PLACES[ENDS[pair][place]]:
                if entries and other != pair:
                    pairs[other] = logged(pairs[other], there, entries)
        disputed = tuple(old or key in after.recorded for key, old in enumerate(mesh.disputed))
        return _plain(mesh._replace(pairs=_three(pairs), disputed=disputed))

    def _held(self, mesh: Mesh) -> list[State]:
        if self.holds_all or mesh.settling is None:
            return list(mesh.pairs)
        return [mesh.pairs[mesh.settling]]

    def _compared(self, mesh: Mesh) -> tuple[int, ...]:
        if self.holds_all or mesh.settling is None:
            return STAR
        return (mesh.settling,)

    def _due(self, mesh: Mesh) -> dict[int, set[int]]:
        """Per site the keys whose row another site's replaces there, still as it was read."""
        due: dict[int, set[int]] = {0: set(), 1: set(), 2: set()}
        for pair in self._compared(mesh):
            state = mesh.pairs[pair]
            settling = state.settling
            assert settling is not None
            assert settling.rows is not None
            assert settling.outcomes is not None
            both = zip(settling.keys, settling.rows, settling.outcomes, strict=True)
            for key, read, outcome in both:
                if outcome in (Outcome.FIRST, Outcome.SECOND):
                    loser = B if outcome == Outcome.FIRST else A
                    if state.rows[loser][key] == read[loser]:
                        due[ENDS[pair][loser]].add(key)
        return due

    def _rows_due(self, mesh: Mesh, site: int) -> dict[int, Value]:
        """The rows to be written at a site that was locked: of two winners the first one's."""
        found: dict[int, Value] = {}
        for pair in self._compared(mesh):
            settling = mesh.pairs[pair].settling
            if settling is None or settling.due is None or site not in ENDS[pair]:
                continue
            assert settling.rows is not None
            assert settling.outcomes is not None
            place = ENDS[pair].index(site)
            wins = Outcome.FIRST if place == B else Outcome.SECOND
            both = zip(settling.keys, settling.rows, settling.outcomes, strict=True)
            for key, read, outcome in both:
                if key in settling.due[place] and outcome == wins:
                    found.setdefault(key, read[1 - place])
        return found

    def _closed(self, mesh: Mesh, site: int) -> Mesh:
        """The round's pair closes its records here of the keys that are equal everywhere."""
        pair = mesh.settling
        assert pair is not None
        if site not in ENDS[pair]:
            return mesh
        place, state = ENDS[pair].index(site), mesh.pairs[pair]
        settling = state.settling
        assert settling is not None
        equal = set(settling.keys)
        for compared in self._compared(mesh):
            other = mesh.pairs[compared].settling
            assert other is not None
            assert other.outcomes is not None
            outcomes = zip(other.keys, other.outcomes, strict=True)
            equal &= {key for key, outcome in outcomes if outcome == Outcome.EQUAL}
        closing = equal & open_at(state, place, settling.closable[place])
        records = list(state.records)
        records[place] = tuple(
            None if key in closing else kind for key, kind in enumerate(records[place])
        )
        pairs = list(mesh.pairs)
        pairs[pair] = state._replace(records=(records[A], records[B]))
        return mesh._replace(pairs=_three(pairs))

    def _has_committed(self, mesh: Mesh, site: int) -> bool:
        pair, place = PLACES[site][0]
        settling = mesh.pairs[pair].settling
        return settling is None or place in settling.committed


def _locked_or_not_held(state: State) -> bool:
    settling = state.settling
    return settling is None or settling.outcomes is None or settling.due is not None


def _three(pairs: list[State]) -> tuple[State, State, State]:
    return pairs[0], pairs[1], pairs[2]


def _plain(mesh: Mesh) -> Mesh:
    """Without what a pair's own tests look at: they know nothing of a third site."""
    pairs = [
        state._replace(disputed=(False,) * len(mesh.last), last=state.rows[A], sums=(), lost=False)
        for state in mesh.pairs
    ]
    return mesh._replace(pairs=_three(pairs)).calmed()


class Node(NamedTuple):
    """A state, and how many user writes and rounds may still come."""

    writes: int
    rounds: int
    mesh: Mesh


@dataclass
class MeshExploration:
    """Every history of a few user writes on one key at three sites, and rounds of any pair."""

    model: ThreeInAMesh
    values: tuple[Value, ...]
    writes: int
    rounds: int = 0
    nodes: int = field(default=0, init=False)
    _rested: set[Mesh] = field(default_factory=set, init=False)

    def run(self, start: Mesh) -> tuple[str, Mesh] | None:
        """The first thing found that must not be, breadth first; None if there is none."""
        level = {Node(self.writes, self.rounds, start): None}
        seen = set(level)
        while level:
            following: dict[Node, None] = {}
            for node in level:
                wrong = self._wrong(node.mesh)
                if wrong is not None:
                    return wrong, node.mesh
                following.update(dict.fromkeys(self._steps(node)))
            level = {node: None for node in following if node not in seen}
            seen.update(level)
        self.nodes = len(seen)
        return None

    def _wrong(self, mesh: Mesh) -> str | None:
        if mesh.wrong is not None or not mesh.at_rest or mesh in self._rested:
            return mesh.wrong
        self._rested.add(mesh)
        return self.model.wrong_at_end(mesh)

    def _steps(self, node: Node) -> Iterator[Node]:
        writes, rounds, mesh = node
        model = self.model
        for pair, source in LINKS:
            for count in range(1, mesh.pairs[pair].unread(source) + 1):
                yield node._replace(mesh=_trimmed(model.link(mesh, pair, source, count)))
        for site in range(3) if writes else ():
            for value in self.values:
                yield Node(writes - 1, rounds, _trimmed(model.write(mesh, site, 0, value)))
        if mesh.settling is not None:
            commits = [partial(model.commit, site=site) for site in range(3)]
            for action in (model.read, model.hold, model.lock, model.abandon, *commits):
                yield node._replace(mesh=_trimmed(action(mesh)))
        elif rounds:
            for pair in range(3):
                yield Node(writes, rounds - 1, model.begin(mesh, pair))


def _trimmed(mesh: Mesh) -> Mesh:
    return mesh._replace(pairs=_three([trimmed(state) for state in mesh.pairs]))


# -- random histories ------------------------------------------------------------------------

_STEPS = (("write", 40), ("link", 60), ("round", 30), ("crash", 3), ("abandon", 2))
_NAMES = [name for name, weight in _STEPS for _ in range(weight)]
_SIZES = (1, 1, 1, 2, 2, 3, 1_000)
_TEXTS = ("a", "b", "c")


def drawn(random: Random) -> list[Step]:
    """A history of eight to sixty steps, most of them about one key and in small batches."""
    steps = []
    for _ in range(8 + int(random.random() * random.random() * 53)):
        name = random.choice(_NAMES)
        place = random.randrange(3 if name in ("write", "round") else len(LINKS))
        steps.append((name, place, random.randrange(12), random.randrange(12)))
    return steps


@dataclass
class MeshHistory:
    """Plays the steps of one history, and then all that must follow."""

    model: ThreeInAMesh
    mesh: Mesh
    recorded: bool = False
    differing: bool = False
    turn: int = 0

    def play(self, steps: list[Step]) -> str | None:
        """What goes wrong, if anything does."""
        for step in steps:
            self.turn += 1
            self._step(*step)
            if self.mesh.wrong:
                return self.mesh.wrong
        self.mesh = self.model.drain(self.model.abandon(self.mesh))
        self.recorded, self.differing = bool(self.mesh.recorded), bool(self.mesh.differing)
        return self.mesh.wrong or self.model.wrong_at_end(self.mesh)

    def _step(self, name: str, place: int, first: int, second: int) -> None:
        model, mesh = self.model, self.mesh
        if name == "write":
            key = int(first == 0)
            self.mesh = model.write(mesh, place, key, self._value(place, key, second))
        elif name == "link":
            pair, source = LINKS[place]
            self.mesh = model.link(mesh, pair, source, _SIZES[first % len(_SIZES)])
        elif name == "crash":
            self.mesh = model.crash(mesh, *LINKS[place], first)
        elif name == "abandon":
            self.mesh = model.abandon(mesh)
        else:
            self.mesh = self._round(place, first)

    def _round(self, pair: int, number: int) -> Mesh:
        model, mesh = self.model, self.mesh
        if mesh.settling is None:
            return model.begin(mesh, pair)
        for action in (model.read, model.hold, model.lock):
            after = action(mesh)
            if after is not mesh:
                return after
        for site in range(3):
            after = model.commit(mesh, (site + number) % 3)
            if after is not mesh:
                return after
        return mesh

    def _value(self, site: int, key: int, number: int) -> Value:
        pair, place = PLACES[site][0]
        row = self.mesh.pairs[pair].rows[place][key]
        rules = self.model.models[0]
        version = 3 * self.turn + site + 1_000 if rules.versioned else 0
        if rules.counted:
            row = row or Row("v")
            return Row(_TEXTS[number % 3], version, row.stock + (1, 10, -1)[number % 3])
        if number % 4 == 0:
            return None
        timed = rules.policy.kind == "newest" and not rules.versioned
        return Row(_TEXTS[number % 3], 1 + number % 2 if timed else version)


@cache
def three_in_a_mesh(policy: Policy, **table: bool) -> ThreeInAMesh:
    """The same policy for each pair's first site, over one table (`versioned`, `counted`)."""
    model = TwoSites(policy, **table)
    return ThreeInAMesh((model, model, model))


def without_holding_all(model: ThreeInAMesh) -> ThreeInAMesh:
    """Rounds of single pairs, which know nothing of the third site."""
    return replace(model, holds_all=False)
