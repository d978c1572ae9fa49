"""reconcile: makes keys equal at both sites of a pair, outside of any batch (rule R4).

`core.reconcile.Round` has the phases and why each is needed; here they are done on servers. It is
the one mechanism behind settlement, replay on pairs and repair.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from dts_pipeline.adapters.reconcile_site import ROW_REFUSED
from dts_pipeline.adapters.table_schema import read_tables
from dts_pipeline.core.conflicts import Kind
from dts_pipeline.core.links import Policy
from dts_pipeline.errors import TerminalError, TransientError
from dts_pipeline.stages.pair import PairRuntime, Star
from dts_pipeline.stages.reconcile_round import run_round
from dts_pipeline.stages.reconcile_work import RoundKeys, SiteTables, TableKeys
from dts_pipeline.stages.runtime import LinkRuntime

OF_ONE_KEY = {"duplicate_key", ROW_REFUSED}
"""Errors that one key makes: the others are done without it."""
WAITED_FOR = {"link_behind", "watermark_missing"}
"""Errors that come after all patience: another round would only wait again."""
Carry = Callable[[LinkRuntime], object]


@dataclass(frozen=True)
class Patience:
    """How long a reconcile waits, in seconds, and how much it takes on.

    `caught_up`: for both links to apply everything up to a round's first watermark. `hold`: while
    both links are held; past it they are let go and the round starts over. `rounds` bounds how
    often a key is looked at, `keys` how many a round holds.
    """

    caught_up: float = 150.0
    hold: float = 15.0
    rounds: int = 6
    keys: int = 10_000


@dataclass
class ReconcileReport:
    """What became of the keys: counts per table.

    `equal`: the same at both sites through a whole round. `written`: rows that were written.
    `again`: still changing when the rounds were used up. `undecided`: different under the policy
    `fail`. `closed`: records closed. `gone`: records of tables that are not there any more.
    `rounds` counts rounds, `reasons` why any started over.
    """

    tables: dict[str, Counter[str]] = field(default_factory=dict)
    rounds: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def total(self, name: str) -> int:
        """A count over all tables."""
        return sum(counts[name] for counts in self.tables.values())

    @property
    def is_settled(self) -> bool:
        """Whether every key was found equal through a whole round, and no record is left open."""
        return not any(self.total(name) for name in ("again", "undecided", "gone"))


def reconcile(
    pair: PairRuntime,
    keys: Mapping[str, pd.DataFrame],
    *,
    reason: Kind,
    policy: Policy | None = None,
    carry: Carry | None = None,
    patience: Patience | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ReconcileReport:
    """Reconciles keys by table, in rounds, until all are equal or the rounds are used up.

    `keys`: `schema.table` to a frame with a column a primary-key column, values as
    `row_values.transfer` SELECTs them. `policy` None: the table's own. `carry` applies what a
    link has left, in this process; None waits for the runs that the schedule starts. `progress`
    is told how many keys are done and how many there are.

    Raises TerminalError `reconcile_busy`, `link_paused`, `link_never_ran`, `link_behind`,
    `table_missing`; nothing is half-written then.
    """
    known = tables_at_sites(pair, [name for name, frame in keys.items() if len(frame)])
    order = {name: list(t.primary_key) for name, t in known[pair.first.site].items()}
    tables = [
        TableKeys(name, list(keys[name][columns].itertuples(index=False, name=None)))
        for name, columns in order.items()
    ]
    return reconcile_keys(pair, tables, reason, policy, carry, patience or Patience(), progress)


def reconcile_keys(
    pair: PairRuntime,
    tables: Sequence[TableKeys],
    reason: Kind | None,
    policy: Policy | None,
    carry: Carry | None,
    patience: Patience,
    progress: Callable[[int, int], None] | None = None,
) -> ReconcileReport:
    """As `reconcile`, of keys that may come with the records to close."""
    report = ReconcileReport({t.name: Counter() for t in tables})
    total = sum(len(t.keys) for t in tables)
    done = 0
    with exclusive(pair):
        known = tables_at_sites(pair, [t.name for t in tables])
        for lane, part in _parts_by_lane(pair, tables, patience.keys):
            star = lane.star(_centre(pair, policy))
            _until_equal(star, known, part, report, RoundKeys(reason, policy), carry, patience)
            done += sum(len(t.keys) for t in part)
            if progress:
                progress(done, total)
    return report


def _centre(pair: PairRuntime, policy: Policy | None) -> str:
    """The site that the others are held against: in a mesh the one that decides."""
    mesh = pair.forth.link.mesh
    if not mesh:
        return pair.first.site
    return policy.site if policy else mesh[0]


def _until_equal(
    star: Star,
    known: SiteTables,
    part: Sequence[TableKeys],
    report: ReconcileReport,
    how: RoundKeys,
    carry: Carry | None,
    patience: Patience,
) -> None:
    left = list(part)
    for attempt in range(patience.rounds):
        report.rounds += 1
        try:
            result = run_round(star, known, left, how, carry, patience)
        except TransientError as error:
            report.reasons[error.code] += 1
            if error.code in OF_ONE_KEY:
                halves = _halves(left)
                for half in halves:
                    _until_equal(star, known, half, report, how, carry, patience)
                if halves:
                    return
                break
            if error.code in WAITED_FOR or attempt == patience.rounds - 1:
                raise
            time.sleep(0.2 * (attempt + 1))
            continue
        report.reasons.update(result.reasons)
        for name, counts in result.counts.items():
            report.tables[name].update(counts)
        left = result.left
        if not left:
            return
    for table in left:
        report.tables[table.name]["again"] += len(table.keys)


def _halves(tables: Sequence[TableKeys]) -> list[list[TableKeys]]:
    """The keys in two halves, so that a unique value in another row's way stops its key only."""
    total = sum(len(table.keys) for table in tables)
    return list(_parts(tables, (total + 1) // 2)) if total > 1 else []


def _parts_by_lane(
    pair: PairRuntime, tables: Sequence[TableKeys], at_most: int
) -> Iterator[tuple[PairRuntime, list[TableKeys]]]:
    """The rounds, each with keys of one lane: what stops another lane does not stop it."""
    for lane in pair.lanes:
        own = [t for t in tables if len(pair.lanes) == 1 or lane.carries(t.name)]
        yield from ((lane, part) for part in _parts(own, at_most))


def _parts(tables: Sequence[TableKeys], at_most: int) -> Iterator[list[TableKeys]]:
    """The keys in parts of a round's size."""
    part: list[TableKeys] = []
    room = at_most
    for table in tables:
        start = 0
        while start < len(table.keys):
            taken = table.slice(start, start + room)
            part.append(taken)
            start += len(taken.keys)
            room -= len(taken.keys)
            if not room:
                yield part
                part, room = [], at_most
    if part:
        yield part


def tables_at_sites(pair: PairRuntime, names: Sequence[str]) -> SiteTables:
    """The tables of a reconcile, as they are at each site, their keys in the first site's order.

    Raises TerminalError `table_missing`.
    """
    wanted = set(names)
    excluded = pair.forth.link.excluded_columns
    found = {
        database.site: read_tables(database, wanted.__contains__, excluded)
        for database in pair.sites
    }
    for site, tables in found.items():
        missing = sorted(wanted - tables.keys())
        if missing:
            raise TerminalError(
                "table_missing",
                "a table to reconcile does not exist",
                where={"site": site, "tables": ",".join(missing)},
                remedy="Make it at every site, or leave it out.",
            )
    first = found[pair.first.site]
    return {
        site: {n: replace(t, primary_key=first[n].primary_key) for n, t in tables.items()}
        for site, tables in found.items()
    }


@contextlib.contextmanager
def exclusive(pair: PairRuntime) -> Iterator[None]:
    """One reconcile at a time of a pair, or of a mesh; the server frees it with the session."""
    mesh = pair.forth.link.mesh
    at = {database.site: database for database in pair.sites}
    database = at[mesh[0]] if mesh else pair.first
    names = sorted(link.link.name for link in pair.links) if mesh else [
        pair.name, pair.forth.link.name, pair.back.link.name
    ]  # fmt: skip
    name = "dts:pair:" + hashlib.sha256("/".join(names).encode()).hexdigest()[:40]
    with database.raw() as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT GET_LOCK(%s, 2)", (name,))
        if not (cursor.fetchone() or (0,))[0]:
            raise TerminalError(
                "reconcile_busy",
                "another settle, replay or repair of this pair, or of its mesh, is running",
                where={"pair": pair.name},
                remedy="Let it end, then start this one again.",
            )
        cursor.execute("SET SESSION wait_timeout = 86400")
        connection.commit()
        yield


__all__ = [
    "Carry", "Patience", "ReconcileReport", "TableKeys", "exclusive",
    "reconcile", "reconcile_keys",
]  # fmt: skip
