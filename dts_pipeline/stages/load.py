"""load: gives a site the rows that it lacks, table by table, while users write and the links run.

A table is read at both sites in ranges of its primary key. What looks different is collected until
a round is full; then `fill` writes the rows that one site lacks, `reconcile` decides those that
both have, and how far the table was read is kept in `dts.load`. At the table's end a comparison
that is exact under writers says whether the sites are equal; what it still finds is taken on once
more. Until then the table's load is open, also after a kill at any point, and the next one goes on
behind the last range that was finished. A one-way link's target is given its source's rows.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.load_state import LoadStates
from dts_pipeline.core.checksums import TablePair
from dts_pipeline.core.column_sql import table_name
from dts_pipeline.core.load import LoadState, TableLoad, takes_rows_away
from dts_pipeline.core.schema import Table
from dts_pipeline.core.verification import STATE, State, TableProgress
from dts_pipeline.errors import TerminalError
from dts_pipeline.stages.at_rest import Candidates, Carry, has_run, judge
from dts_pipeline.stages.compare import TableComparison, comparing
from dts_pipeline.stages.fill import Filled, Key, fill, split
from dts_pipeline.stages.reconcile import Patience
from dts_pipeline.stages.repair import mend_keys
from dts_pipeline.stages.verify import Comparison, table_pairs

_PASSES = 3
_SAVED_EVERY = 2.0  # seconds
Progress = Callable[[TableLoad], None]


@dataclass(frozen=True)
class Sizes:
    """How many keys a round takes on, and how many bytes of rows it may hold in memory, about."""

    keys: int = 50_000
    bytes: int = 64 * 2**20


@dataclass(frozen=True)
class TablePlan:
    """What a load would do to a table.

    `rows` at each site, as the server estimates them; `is_empty` is exact. `source`: the site
    whose rows the other gets; None where each gets what it lacks.
    """

    pair: TablePair
    rows: tuple[int, int]
    is_empty: tuple[bool, bool]
    source: str | None

    @property
    def both(self) -> bool:
        """Whether both sites have rows, so that they are to be compared."""
        return not any(self.is_empty)


@dataclass(frozen=True)
class LoadPlan:
    """The tables of a load in the order of their names, and where each stands."""

    comparison: Comparison
    tables: tuple[TablePlan, ...]
    standing: dict[str, TableLoad] = field(default_factory=dict)


def plan_load(
    comparison: Comparison, tables: Sequence[str] = (), source: str | None = None
) -> LoadPlan:
    """Looks at the tables (default: all that are carried); writes nothing.

    `source` is the site whose rows the other gets; None: the one that an open load was begun with,
    else the one that has rows where the other is empty. An open load that was begun with another
    than `source` begins anew. Raises TerminalError `load_source_invalid`, `load_policy_unsafe`,
    and as `verify` does of tables.
    """
    _check_source(comparison, source)
    pairs = table_pairs(comparison, tables)
    comparison.links[0].ledger.installation()
    standing = states_of(comparison).all({pair.name: pair.tables[0] for pair in pairs})
    plans = tuple(_table_plan(comparison, pair, source, standing.get(pair.name)) for pair in pairs)
    _check_policies(comparison, plans)
    return LoadPlan(comparison, plans, standing)


def states_of(comparison: Comparison) -> LoadStates:
    """Where the loads of a pair or link are kept."""
    return LoadStates(comparison.links[0].target, comparison.name)


def run_load(
    plan: LoadPlan,
    *,
    carry: Carry | None = None,
    progress: Progress | None = None,
    sizes: Sizes | None = None,
) -> list[TableLoad]:
    """Loads the plan's tables one after the other; where each stands at the end.

    `carry` applies what a link has left, in this process; None waits for the scheduled runs.
    Raises TerminalError `load_busy`, `link_never_ran`, and what `reconcile` and `verify` raise: the
    load then stands open, and the same call goes on where it was.
    """
    comparison = plan.comparison
    _check_has_run(comparison)
    ended = []
    with _one_load(comparison):
        for table in plan.tables:
            found = plan.standing.get(table.pair.name, TableLoad(table.pair.name))
            standing = found.begun_again(table.source)
            work = _Load(comparison, table, standing, carry, progress, sizes or Sizes())
            work.run()
            ended.append(standing)
    return ended


@dataclass
class _Load:
    """The load of one table."""

    comparison: Comparison
    plan: TablePlan
    standing: TableLoad
    carry: Carry | None
    progress: Progress | None
    sizes: Sizes
    _clock: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """From where it stands to its end."""
        with comparing(self.comparison.databases, self.plan.pair, self.comparison.limits) as table:
            self.keep()
            if self.standing.state is LoadState.LOADING:
                self.read(table)
            self.close(table)

    def read(self, table: TableComparison) -> None:
        """Reads the table in ranges; the keys that differ are made equal a round at a time."""
        standing = self.standing
        estimate, row_bytes = table.estimate()
        standing.expected = max(estimate, standing.rows)
        size = max(1, min(self.sizes.keys, self.sizes.bytes // max(row_bytes, 1)))
        waiting: list[pd.DataFrame] = []
        count, low, saved = 0, standing.position, time.monotonic()
        while True:
            keys = table.next_range(low, max(1, size - count))
            rows, found = table.differing(keys)
            standing.rows += max(rows)
            if len(found):
                waiting.append(found)
                count += len(found)
            low = keys.high
            if waiting and (low is None or count >= 0.8 * size):
                self.make_equal(table, pd.concat(waiting, ignore_index=True))
                waiting, count, saved = [], 0, 0.0
            if not waiting:
                standing.position = low
            if low is None:
                break
            if not waiting and time.monotonic() - saved > _SAVED_EVERY:
                self.keep()
                saved = time.monotonic()
            else:
                self.tell()
        standing.state, standing.expected = LoadState.VERIFYING, standing.rows
        self.keep()

    def make_equal(
        self, table: TableComparison, keys: pd.DataFrame, *, at_end: bool = False
    ) -> None:
        """What one site lacks is written there; what both have goes the way of any repair.

        `at_end` also keys with an open record do, as in a settlement. Before, a few keys that users
        are writing to are left to the end: a round costs seconds, whatever it holds.
        """
        few = 0 if at_end else self.sizes.keys // 50
        by_state = split(keys, table.pair.tables[0].primary_key)
        changed = by_state.get(State.CHANGED, [])
        for state in (State.ONLY_FIRST, State.ONLY_SECOND):
            found = by_state.get(state, [])
            if found and not self._is_wanted(state):
                self.standing.counts["extra"] += len(found)
            elif found and len(self.comparison.links) == 1:
                self._from_source(table, found)
            elif found:
                for start in range(0, len(found), self.sizes.keys):
                    part = found[start : start + self.sizes.keys]
                    filled = self._filled(table, part, state, few)
                    changed = changed + filled.disputed + (filled.recorded if at_end else [])
        if changed and len(self.comparison.links) == 1:
            self._from_source(table, changed, "changed")
        elif len(changed) > few:
            self._decided(table, changed)

    def close(self, table: TableComparison) -> None:
        """Compares the whole table, exactly; what differs is taken on until nothing more helps."""
        standing = self.standing
        for attempt in range(_PASSES):
            found, whole = self._compared(table)
            wanted = [self._is_wanted(State(state)) for state in found[STATE]]
            keys = found[np.array(wanted, dtype=np.bool_)]
            moving = keys[STATE] == State.MOVING
            standing.counts["extra"] = len(found) - len(keys)
            standing.left = len(keys) + int(not whole)
            if not standing.left or attempt == _PASSES - 1:
                break
            self.make_equal(table, keys[~moving].reset_index(drop=True), at_end=True)
        standing.state = LoadState.LEFT if standing.left else LoadState.DONE
        standing.position = None
        self.keep()

    def keep(self) -> None:
        """Keeps in the ledger how far it is, and tells."""
        now = time.monotonic()
        self.standing.seconds += now - self._clock
        self._clock = now
        states_of(self.comparison).save(self.plan.pair.tables[0], self.standing)
        self.tell()

    def tell(self) -> None:
        """Tells of the progress."""
        if self.progress:
            self.progress(self.standing)

    def _is_wanted(self, state: State) -> bool:
        """Whether keys of a state are the load's: rows of the site to be given some are not."""
        one, two = (database.site for database in self.comparison.databases)
        return not (
            (state is State.ONLY_SECOND and self.plan.source == one)
            or (state is State.ONLY_FIRST and self.plan.source == two)
        )

    def _filled(self, table: TableComparison, keys: list[Key], state: State, few: int) -> Filled:
        pair = self.comparison.pair
        filled = fill(pair, table, keys, state, self.carry, self._patience, few)
        self.standing.counts += filled.counts
        return filled

    @property
    def _patience(self) -> Patience:
        return replace(Patience(), keys=self.sizes.keys)

    def _decided(self, table: TableComparison, keys: list[Key]) -> None:
        """By the table's own policy, with records, as for any other difference."""
        counts = mend_keys(self.comparison, self._frames(table, keys), None, carry=self.carry)
        for name in ("again", "undecided"):
            self.standing.counts[name] += counts[table.pair.name].get(name, 0)
        self.standing.counts["changed"] += counts[table.pair.name].get("written", 0)

    def _from_source(self, table: TableComparison, keys: list[Key], name: str = "written") -> None:
        source = self.comparison.databases[0].site
        counts = mend_keys(self.comparison, self._frames(table, keys), source, carry=self.carry)
        found = counts[table.pair.name]
        self.standing.counts[name] += found.get("written", 0)
        for other in ("equal", "again"):
            self.standing.counts[other] += found.get(other, 0)

    def _frames(self, table: TableComparison, keys: list[Key]) -> dict[str, pd.DataFrame]:
        names = list(table.pair.tables[0].primary_key)
        return {table.pair.name: pd.DataFrame(keys, columns=names, dtype=object)}

    def _compared(self, table: TableComparison) -> tuple[pd.DataFrame, bool]:
        """As `verify`: the keys that differ or could not be told, with `STATE`; whether all are."""
        read = table.read(TableProgress(table.pair.name), lambda _progress, _rows: self.tell())
        found = Candidates(table, read.keys(table.pair.tables[0].primary_key))
        judge(self.comparison.links, [found], self.carry, self.comparison.patience)
        keys = found.keys.assign(**{STATE: pd.Series(found.state, dtype=object)})
        return keys[keys[STATE].notna()].reset_index(drop=True), not read.truncated


def _table_plan(
    comparison: Comparison, pair: TablePair, source: str | None, standing: TableLoad | None
) -> TablePlan:
    one, two = comparison.databases
    is_empty = tuple(_is_empty(*each) for each in zip((one, two), pair.tables, strict=True))
    if len(comparison.links) == 1:
        source = one.site
    elif source is None and standing and standing.is_open(one.site, two.site):
        source = standing.source  # a site that was empty then may have users' rows by now
    elif source is None and is_empty[0] != is_empty[1]:
        source = two.site if is_empty[0] else one.site
    rows = [_estimate(*each) for each in zip((one, two), pair.tables, strict=True)]
    counted = [0 if empty else max(n, 1) for n, empty in zip(rows, is_empty, strict=True)]
    return TablePlan(pair, (counted[0], counted[1]), (is_empty[0], is_empty[1]), source)


def _is_empty(database: Database, table: Table) -> bool:
    return not database.query(f"SELECT 1 FROM {_escaped(table)} LIMIT 1")


def _estimate(database: Database, table: Table) -> int:
    found = database.query(
        "SELECT table_rows FROM information_schema.tables "
        "WHERE table_schema = :schema AND table_name = :name",
        {"schema": table.schema, "name": table.name},
    )
    return int(found[0][0] or 0) if found else 0


def _escaped(table: Table) -> str:
    return table_name(table).replace(":", "\\:")


def _check_source(comparison: Comparison, source: str | None) -> None:
    sites = [database.site for database in comparison.databases]
    allowed = sites[:1] if len(comparison.links) == 1 else sites
    if source is not None and source not in allowed:
        raise TerminalError(
            "load_source_invalid",
            "a load takes rows from a site of the pair; of a one-way link from its source",
            where={"name": comparison.name, "from": source},
            remedy=f"Name it: --from {' or --from '.join(allowed)}; or leave it out.",
        )


def _check_policies(comparison: Comparison, plans: Sequence[TablePlan]) -> None:
    """Refuses a policy under which users' changes of rows not loaded yet would lose the row."""
    if len(comparison.links) == 1:
        return
    sites = [database.site for database in comparison.databases]
    for plan in plans:
        lacking = [site for site in sites if plan.source is not None and site != plan.source]
        policy = comparison.links[0].link.policy_of(plan.pair.name)
        if policy is not None and lacking and takes_rows_away(policy, lacking[0]):
            raise TerminalError(
                "load_policy_unsafe",
                "users' changes of a row that is not loaded yet would lose to the site without it, "
                "and the row would be deleted",
                where={
                    "name": comparison.name,
                    "table": plan.pair.name,
                    "policy": policy.kind,
                    "lacking": lacking[0],
                },
                remedy=f"Until the load is done, give the table the policy {{site: {plan.source}}} "
                "in dts.yaml; then start the load again.",
            )


def _check_has_run(comparison: Comparison) -> None:
    for runtime in comparison.links:
        if not has_run(runtime):
            raise TerminalError(
                "link_never_ran",
                "a link has no checkpoint yet, so nothing can be proven of it",
                where={"link": runtime.link.name},
                remedy=f"Run `dts sync {runtime.link.name}` first, or let the schedule run.",
            )


@contextmanager
def _one_load(comparison: Comparison) -> Iterator[None]:
    """One load of a pair or link at a time; the server frees the lock when the session dies."""
    names = "/".join([comparison.name, *(runtime.link.name for runtime in comparison.links)])
    name = "dts:load:" + hashlib.sha256(names.encode()).hexdigest()[:40]
    with ExitStack() as stack:
        connection = stack.enter_context(comparison.databases[0].raw())
        cursor = connection.cursor()
        cursor.execute("SET SESSION wait_timeout = 604800")
        cursor.execute("SELECT GET_LOCK(%s, 2)", (name,))
        if not (cursor.fetchone() or (0,))[0]:
            raise TerminalError(
                "load_busy",
                "another load of it is running",
                where={"name": comparison.name},
                remedy="Let it end, or end it; then start this one again: it goes on from there.",
            )
        connection.commit()
        yield
