"""fill: writes rows at the site of a pair that lacks them, many in a round, while users write.

A round has all phases of `core.reconcile.Round`. What differs from any other round: only rows that
one site lacks are written, never over one that is there; a key of which a record is open is left to
settlement, because there users disputed whether the row is to be; and no record is left of what was
written. None is needed to find a difference again: until a load's closing comparison has found both
sites equal, the load itself stands open in `dts.load`, for the whole table.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dts_pipeline.adapters.reconcile_records import OWN_KEYS, open_records
from dts_pipeline.adapters.reconcile_site import ROW_REFUSED
from dts_pipeline.core.reconcile import Outcome, Readings
from dts_pipeline.core.row_values import from_json
from dts_pipeline.core.verification import STATE, State
from dts_pipeline.errors import TerminalError, TransientError
from dts_pipeline.stages.compare import TableComparison
from dts_pipeline.stages.pair import PairRuntime
from dts_pipeline.stages.reconcile import (
    OF_ONE_KEY,
    WAITED_FOR,
    Carry,
    Patience,
    exclusive,
    tables_at_sites,
)
from dts_pipeline.stages.reconcile_round import Held, column_order
from dts_pipeline.stages.reconcile_work import (
    RoundKeys,
    RoundResult,
    RoundWork,
    SiteTables,
    TableKeys,
)

_BUSY_SECONDS = 600.0
_RECORDS = 200_000
_RACES = 2
"""How often a row that was in the way is taken for a user's of just now, who is met next time."""
Key = tuple[Any, ...]


@dataclass
class Filled:
    """What became of the keys: counts, and those that other means must decide.

    `written`: rows inserted. `equal`: the same at both sites meanwhile. `recorded`: left to
    settlement. `again`: still written to when the rounds were used up, or refused by the server.
    `disputed`: both sites have the row, and differently. `left`: written to just now, and so few
    that no round of their own is worth it.
    """

    counts: Counter[str] = field(default_factory=Counter)
    disputed: list[Key] = field(default_factory=list)
    recorded: list[Key] = field(default_factory=list)
    left: int = 0


def fill(
    pair: PairRuntime,
    table: TableComparison,
    keys: Sequence[Key],
    state: State,
    carry: Carry | None = None,
    patience: Patience | None = None,
    few: int = 0,
) -> Filled:
    """Writes the rows of these keys at the site that lacks them; `state` says which one that is.

    Up to `few` keys that users wrote to during the first round are left to the caller.

    Raises what `reconcile` raises; nothing is half-written then.
    """
    filled = Filled()
    lane = next(
        lane for lane in pair.lanes if len(pair.lanes) == 1 or lane.carries(table.pair.name)
    )
    one, two = table.pair.tables
    tables = dict(tables_at_sites(pair, [table.pair.name])) if pair.beside else {}
    tables |= {pair.first.site: {one.full_name: one}, pair.second.site: {two.full_name: two}}
    work = _Fill(lane, table, tables, state, carry, patience or Patience(), filled, few)
    with _alone(pair):
        work.until_done(list(keys))
    return filled


@dataclass(frozen=True)
class _Fill:
    pair: PairRuntime
    table: TableComparison
    tables: SiteTables
    state: State
    carry: Callable[..., object] | None
    patience: Patience
    filled: Filled
    few: int

    def until_done(self, keys: list[Key]) -> None:
        """Rounds until none is left; a key that the server refuses is found by halving."""
        races = 0
        for attempt in range(self.patience.rounds):
            if not keys:
                return
            try:
                keys = self._round(keys)
                if len(keys) <= self.few:
                    self.filled.left += len(keys)
                    return
            except TransientError as error:
                if error.code in OF_ONE_KEY:
                    races += 1
                    if races < _RACES and error.code != ROW_REFUSED:
                        continue
                    return self._halved(keys)
                if error.code in WAITED_FOR or attempt == self.patience.rounds - 1:
                    raise
                time.sleep(0.2 * (attempt + 1))
        self.filled.counts["again"] += len(keys)

    def _halved(self, keys: list[Key]) -> None:
        if len(keys) == 1:
            self.filled.counts["again"] += 1
            return
        middle = len(keys) // 2
        self.until_done(keys[:middle])
        self.until_done(keys[middle:])

    def _round(self, keys: list[Key]) -> list[Key]:
        with ExitStack() as stack:
            held = _Filling(self, stack)
            works = held.begin([TableKeys(self.table.pair.name, keys)], self.tables)
            held.read(works)
            held.catch_up(works, self.carry)
            held.look_for_records(works[0])
            result = held.decide(works)
        return [tuple(key) for table in result.left for key in table.keys]


class _Filling(Held):
    """The servers' side of one round that fills."""

    def __init__(self, fill: _Fill, stack: ExitStack) -> None:
        super().__init__(fill.pair.alone, RoundKeys(None, None), fill.patience, stack)
        self._of = fill
        self.first, self.second = (self.sites[own.site] for own in fill.pair.sites[:2])
        self._at_second = fill.state is State.ONLY_FIRST
        self._recorded: npt.NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)

    def _policy(self, arm: PairRuntime, table: str) -> None:
        """None wins: what both sites have is not a filling round's to decide."""

    def read(self, works: Sequence[RoundWork]) -> None:
        """The rows of the site that has them; they are staged at the other and met there."""
        [work] = works
        keys = work.keys.keys
        work.aliases = self.first.load_keys(work.first, keys)  # also for the keys of events
        source, target = (work.first, work.second) if self._at_second else (work.second, work.first)
        here, there = (self.first, self.second) if self._at_second else (self.second, self.first)
        if not self._at_second:
            here.load_keys(source, keys)
        rows, _ = here.rows(source)
        order = column_order(source, target)
        mine = {o: tuple(rows[o][i] for i in order) for o in work.ordinals if o in rows}
        met = there.stage_new(target, keys, mine)
        work.round = work.round.read(self._readings(work.ordinals, mine.keys(), met))

    def _readings(self, ordinals: list[int], mine: Any, met: dict[int, bool]) -> Readings:
        """A key that the source has no more is not looked up at the target: it counts as equal."""
        source = np.array([o in mine for o in ordinals], dtype=np.bool_)
        target = np.array([o in met for o in ordinals], dtype=np.bool_)
        equal = np.array([met.get(o, o not in mine) for o in ordinals], dtype=np.bool_)
        sides = (source, target) if self._at_second else (target, source)
        return Readings(*sides, equal=equal, newer=np.zeros(len(ordinals), dtype=np.int64))

    def look_for_records(self, work: RoundWork) -> None:
        """Which keys users disputed. Asked once the links have caught up: a record that is opened
        later comes with an event of its key, behind the watermark.
        """
        table = work.first.base.table
        found: set[int] = set()
        for runtime in self.star.links:
            records = open_records(
                runtime.target, runtime.link.name, _RECORDS, table=work.keys.name
            )
            own = [from_json(table.primary_key, r.key_json) for r in records if r.kind in OWN_KEYS]
            texts = [r.key_json.encode() for r in records if r.kind not in OWN_KEYS]
            sent = self.decoded(work, runtime.source.site, list(dict.fromkeys(texts)))
            found |= self.first.touched(work.first, [*map(tuple, own), *sent])
        self.first.connection.commit()  # the mark of the hold cannot be set inside a transaction
        self._recorded = np.array([o in found for o in work.ordinals], dtype=np.bool_)

    def _finish(self, works: Sequence[RoundWork], result: RoundResult) -> None:
        [work] = works
        ordinals = np.array(work.ordinals, dtype=np.int64)
        touched = np.array([o in work.touched for o in work.ordinals], dtype=np.bool_)
        outcomes = work.round.outcomes(touched)
        free = ~self._recorded
        due = free & (outcomes == (Outcome.FIRST if self._at_second else Outcome.SECOND))
        failed: set[int] = set()
        if due.any():
            site, statements = (
                (self.second, work.second) if self._at_second else (self.first, work.first)
            )
            failed = site.write_new(statements, ordinals[~due].tolist())
            site.commit()
        left = [*ordinals[free & (outcomes == Outcome.AGAIN)].tolist(), *sorted(failed)]
        if left:
            result.left.append(work.keys.only(left))
        filled = self._of.filled
        disputed = ordinals[free & (outcomes == Outcome.UNDECIDED)].tolist()
        filled.disputed += [tuple(work.keys.keys[o]) for o in disputed]
        known = ordinals[self._recorded].tolist()
        filled.recorded += [tuple(work.keys.keys[o]) for o in known]
        filled.counts += Counter(
            written=int(due.sum()) - len(failed),
            equal=int((free & (outcomes == Outcome.EQUAL)).sum()),
            recorded=len(known),
        )


@contextmanager
def _alone(pair: PairRuntime) -> Iterator[None]:
    """`exclusive`, waited for where settle, a replay or a repair of the pair is at it."""
    deadline = time.monotonic() + _BUSY_SECONDS
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(exclusive(pair))
                break
            except TerminalError as error:
                if error.code != "reconcile_busy" or time.monotonic() > deadline:
                    raise
        yield


def split(keys: pd.DataFrame, names: Sequence[str]) -> dict[State, list[Key]]:
    """The keys of a frame by `STATE`, as tuples."""
    return {
        State(str(state)): [
            tuple(row) for row in part[list(names)].itertuples(index=False, name=None)
        ]
        for state, part in keys.groupby(STATE, sort=False)
    }
