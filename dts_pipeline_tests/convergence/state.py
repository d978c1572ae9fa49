"""All that the model's two sites, their links and their ledgers hold at one moment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from dts_pipeline.core.conflicts import Kind
from dts_pipeline.core.reconcile import Round
from dts_pipeline_tests.convergence.rows import A, B, Batch, Entry, Value

Keys = tuple[int, ...]
Pair = tuple[Value, Value]


class Settling(NamedTuple):
    """A round of reconcile under way, over some keys.

    `closable`: per site the keys whose record was open when the round began and has not been
    brought up to date since. `rows`: both sites' rows as read, per key. `outcomes` (per key) are
    there once both links are held; `due`: per site the keys whose winner's row is written there,
    locked until the site's commit. `committed`: the sites that have committed, which lets go of
    the link that writes there. `reason`: the record that a row written leaves; None in settlement.
    `others`: the round has keys besides the model's, so that both sites have something to commit.
    """

    round: Round
    keys: Keys
    closable: tuple[frozenset[int], frozenset[int]]
    reason: Kind | None = None
    others: bool = False
    rows: tuple[Pair, ...] | None = None
    outcomes: Keys | None = None
    due: tuple[frozenset[int], frozenset[int]] | None = None
    committed: frozenset[int] = frozenset()


class State(NamedTuple):
    """Indexed by site; a link is named by its source, a record by the site whose ledger has it.

    `rows`: a value per key. `logs`: row events. `resent`: the crashes of each site's connector, as
    (message, places): from that message on the log is that many places behind. `offsets`: the next
    message of each link; `positions`: the next place of the log that it has not applied. `records`:
    the kind of the open record per key, or None. `settling`: the round under way.

    What follows is nobody's but the tests': `disputed`, per key whether users of both sites wrote
    without seeing each other, and the sites have not been equal since; `last`: per key the row that
    must be there once both sites are equal and no user's write is under way, if it is not disputed;
    `sums`: per key what its counter must be then (None: inserted or deleted since; empty where
    nothing is counted); `lost`: whether once it was not so.
    """

    rows: tuple[tuple[Value, ...], tuple[Value, ...]]
    logs: tuple[tuple[Entry, ...], tuple[Entry, ...]]
    resent: tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]
    offsets: tuple[int, int]
    positions: tuple[int, int]
    records: tuple[tuple[Kind | None, ...], tuple[Kind | None, ...]]
    settling: Settling | None
    disputed: tuple[bool, ...]
    last: tuple[Value, ...]
    sums: tuple[int | None, ...]
    lost: bool

    @classmethod
    def agreed(cls, *values: Value, counted: bool = False) -> State:
        """Both sites hold these rows, and nothing has happened."""
        return cls(
            rows=(values, values),
            logs=((), ()),
            resent=((), ()),
            offsets=(0, 0),
            positions=(0, 0),
            records=((None,) * len(values), (None,) * len(values)),
            settling=None,
            disputed=(False,) * len(values),
            last=values,
            sums=tuple(count_of(value) for value in values) if counted else (),
            lost=False,
        )

    @classmethod
    def recorded_difference(cls, a: Value, b: Value, site: int = B, counted: bool = False) -> State:
        """One key of which the sites hold different rows, with a record open at a site."""
        state = cls.agreed(a, counted=counted)
        records: list[tuple[Kind | None]] = [(None,), (None,)]
        records[site] = (Kind.UPDATE_UPDATE,)
        return state._replace(
            rows=((a,), (b,)),
            records=(records[A], records[B]),
            disputed=(a != b,),
            sums=(None,) if counted else (),
        )

    @property
    def keys(self) -> range:
        """All keys."""
        return range(len(self.rows[0]))

    @property
    def at_rest(self) -> bool:
        """Whether both links have read everything that their connectors sent."""
        return not self.unread(A) and not self.unread(B)

    @property
    def recorded(self) -> frozenset[int]:
        """The keys with an open record."""
        return frozenset(k for k in self.keys if self.records[A][k] or self.records[B][k])

    @property
    def differing(self) -> frozenset[int]:
        """The keys that are not equal at both sites."""
        return frozenset(k for k in self.keys if self.rows[A][k] != self.rows[B][k])

    @property
    def silently_different(self) -> frozenset[int]:
        """The keys that differ without an open record: what must not be, at rest."""
        return self.differing - self.recorded

    def sent(self, source: int) -> int:
        """How many messages the site's connector can have sent by now."""
        resent = self.resent[source]
        return len(self.logs[source]) + (resent[-1][1] if resent else 0)

    def unread(self, source: int) -> int:
        """How many messages the link from that site has not applied."""
        return self.sent(source) - self.offsets[source]

    def pull(self, source: int, count: int | None = None) -> Batch:
        """The next `count` messages (all by default) that a link has not applied.

        That a reader lags behind the log is a smaller count: reading a prefix now and a prefix of
        a longer log is the same.
        """
        start, end = self.offsets[source], self.sent(source)
        until = end if count is None else min(start + count, end)
        return self.read(source, start, until)

    def read(self, source: int, start: int, until: int) -> Batch:
        """The messages `[start, until)`."""
        resent, position = self.resent[source], self.positions[source]
        if not resent:
            return Batch(source, start, until, tuple(range(start, until)), position)
        places = tuple(message - _behind(resent, message) for message in range(start, until))
        return Batch(source, start, until, places, position)

    def entries(self, batch: Batch) -> tuple[Entry, ...]:
        """What the batch's messages hold."""
        log = self.logs[batch.source]
        return tuple([log[place] for place in batch.places])

    def users_unread(self, site: int, key: int) -> bool:
        """Whether a user's event of the key at that site has not been applied at the other."""
        for entry in self.logs[site][self.positions[site] :]:
            if entry.key == key and not entry.marked:
                return True
        return False

    def holds(self, source: int) -> bool:
        """Whether the round under way holds the link from that site."""
        settling = self.settling
        return (
            settling is not None
            and settling.outcomes is not None
            and 1 - source not in settling.committed
        )

    def locks(self, site: int, key: int) -> bool:
        """Whether the round under way has the row locked, so that its users wait."""
        settling = self.settling
        return (
            settling is not None
            and settling.due is not None
            and site not in settling.committed
            and key in settling.due[site]
        )


def count_of(value: Value) -> int | None:
    """A row's counter; None for an absent row."""
    return None if value is None else value.stock


def _behind(resent: tuple[tuple[int, int], ...], message: int) -> int:
    """How many places the log is behind the messages at that message."""
    places = 0
    for first, behind in resent:
        if message >= first:
            places = behind
    return places


def logged(state: State, site: int, entries: list[Entry]) -> State:
    """These events happen at a site."""
    rows, logs = list(state.rows), list(state.logs)
    own = list(rows[site])
    for entry in entries:
        own[entry.key] = entry.after
    rows[site] = tuple(own)
    logs[site] = (*logs[site], *entries)
    return state._replace(rows=(rows[0], rows[1]), logs=(logs[0], logs[1]))


def recorded(state: State, site: int, kinds: list[tuple[int, Kind]]) -> State:
    """Records open in the site's ledger, or are brought up to date: no round closes them then."""
    if not kinds:
        return state
    records = list(state.records)
    own = list(records[site])
    for key, kind in kinds:
        own[key] = kind
    records[site] = tuple(own)
    settling = state.settling
    if settling is not None:
        closable = list(settling.closable)
        closable[site] = closable[site] - {key for key, _ in kinds}
        settling = settling._replace(closable=(closable[0], closable[1]))
    return state._replace(records=(records[0], records[1]), settling=settling)


def calmed(state: State, keys: Iterable[int]) -> State:
    """Looks at keys that links or rounds touched: a dispute ends where both sites are equal.

    And no user's write is under way then. If there was no dispute, they must have the row that was
    written last; and the counter must have all that users added.
    """
    for key in keys:
        row = state.rows[0][key]
        if row != state.rows[1][key]:
            continue
        is_disputed, count = state.disputed[key], count_of(row)
        total = state.sums[key] if state.sums else count
        if row == state.last[key] and not is_disputed and total == count:
            continue
        if state.users_unread(0, key) or state.users_unread(1, key):
            continue
        if (row != state.last[key] and not is_disputed) or (total is not None and total != count):
            state = state._replace(lost=True)
        disputed, last, sums = list(state.disputed), list(state.last), list(state.sums)
        disputed[key], last[key] = False, row
        if sums:
            sums[key] = count
        state = state._replace(disputed=tuple(disputed), last=tuple(last), sums=tuple(sums))
    return state
