"""verify: compares both sites of a pair, or source and target of a one-way link, and names keys."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.verify_state import VerifyState
from dts_pipeline.core.checksums import TablePair
from dts_pipeline.core.condition_sql import condition_sql
from dts_pipeline.core.contract import compare_tables
from dts_pipeline.core.schema import Table
from dts_pipeline.core.type_fit import Fit
from dts_pipeline.core.verification import (
    RECORDED,
    STATE,
    State,
    TableProgress,
    TableResult,
    VerifyReport,
)
from dts_pipeline.errors import DtsError, TerminalError
from dts_pipeline.stages.at_rest import Candidates, Carry, Patience, has_run, judge
from dts_pipeline.stages.compare import Limits, TableComparison, comparing
from dts_pipeline.stages.ddl import site_tables
from dts_pipeline.stages.filters import check_filter
from dts_pipeline.stages.pair import PairRuntime, links_of
from dts_pipeline.stages.recorded import recorded
from dts_pipeline.stages.runtime import LinkRuntime

_SAVED_EVERY = 2.0  # seconds
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Comparison:
    """What is compared: a pair (two links) or a one-way link (one); `name` as dts.yaml has it.

    `beside` are the other pairs of the pair's mesh: what they have under way counts as well.
    """

    name: str
    links: tuple[LinkRuntime, ...]
    limits: Limits = field(default_factory=Limits)
    patience: Patience = field(default_factory=Patience)
    beside: tuple[PairRuntime, ...] = ()

    @property
    def databases(self) -> tuple[Database, Database]:
        """The first and the second site: the first link's source and target."""
        return self.links[0].source, self.links[0].target

    @property
    def pair(self) -> PairRuntime:
        """The pair that is compared; of a one-way link there is none."""
        forth, back = self.links
        return PairRuntime(forth, back, self.beside)

    @property
    def all_links(self) -> tuple[LinkRuntime, ...]:
        """The links between the sites compared, then those of their mesh."""
        return (*self.links, *links_of(self.beside))

    @property
    def state(self) -> VerifyState:
        """How far an earlier comparison came; in the second site's ledger."""
        return VerifyState(self.links[0].target, self.name)


def verify(
    comparison: Comparison,
    tables: Sequence[str] = (),
    *,
    resume: bool = False,
    carry: Carry | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Compares the tables (default: all that are carried).

    `resume` goes on where a comparison was broken off, if one was. `carry` applies what a link has
    left, in this process; None waits for the scheduled runs. `progress` is told table, rows read
    and rows to be expected.

    Raises TerminalError `unknown_table`, `table_missing`, a code of the contract, `link_paused`,
    `row_not_hashed`; TransientError `link_behind`, `watermark_missing` or a server that is away.
    """
    began = time.monotonic()
    pairs = table_pairs(comparison, tables)
    comparison.links[0].ledger.installation()
    if not resume:
        comparison.state.forget()
    with ExitStack() as stack:
        opened: list[TableComparison] = []
        read: list[TableProgress] = []
        for pair in pairs:
            table = stack.enter_context(comparing(comparison.databases, pair, comparison.limits))
            opened.append(table)
            read.append(_read(comparison, table, progress))
        found = [
            Candidates(table, done.keys(table.pair.tables[0].primary_key))
            for table, done in zip(opened, read, strict=True)
        ]
        proven = all(has_run(runtime) for runtime in comparison.all_links)
        judge(comparison.all_links, found, carry, comparison.patience)
        results = tuple(_result(comparison, *each) for each in zip(read, found, strict=True))
    comparison.state.forget()
    sites = comparison.databases[0].site, comparison.databases[1].site
    return VerifyReport(comparison.name, sites, results, time.monotonic() - began, proven)


def table_pairs(comparison: Comparison, names: Sequence[str] = ()) -> list[TablePair]:
    """The tables to compare as they are at both sites; refuses what cannot be compared."""
    link = comparison.links[0].link
    first, second = site_tables(comparison.links[0])
    unknown = sorted(set(names) - first.keys() - second.keys())
    if unknown:
        raise TerminalError(
            "unknown_table",
            "neither site has such a table, or it is not among the tables that are carried",
            where={"name": comparison.name, "tables": ",".join(unknown)},
            remedy="Name it as schema.table; `tables` in dts.yaml says which are carried.",
        )
    wanted = sorted(set(names) or first.keys() | (second.keys() if link.pair else set()))
    return [_table_pair(comparison, name, first, second) for name in wanted]


def _table_pair(
    comparison: Comparison, name: str, first: Mapping[str, Table], second: Mapping[str, Table]
) -> TablePair:
    for database, tables in zip(comparison.databases, (first, second), strict=True):
        if name not in tables:
            raise TerminalError(
                "table_missing",
                "a table of one site does not exist at the other",
                where={"name": comparison.name, "site": database.site, "tables": name},
                remedy=f"Create it at site {database.site} (`mysqldump --no-data` of the other one "
                "gives the statement), or name the tables to compare by --table.",
            )
    one, two = comparison.databases
    dialects = one.facts.dialect, two.facts.dialect
    for difference in compare_tables(first[name], second[name], *dialects):
        if difference.fit is Fit.IMPOSSIBLE:
            column = {"column": difference.column} if difference.column else {}
            raise TerminalError(
                difference.code,
                difference.message,
                where={"name": comparison.name, "table": name, **column},
                remedy=difference.remedy,
            )
    # Both sites' keys in one order, the first's.
    twin = replace(second[name], primary_key=first[name].primary_key)
    return TablePair((first[name], twin), dialects, _inside(comparison, first[name]))


def _inside(comparison: Comparison, table: Table) -> str:
    link = comparison.links[0].link
    condition = link.filters.get(table.full_name)
    if condition is None:
        return ""
    check_filter(link, condition, table)
    return condition_sql(condition, table)


def _read(
    comparison: Comparison, table: TableComparison, progress: Progress | None
) -> TableProgress:
    """Reads a table, or what is left of it, keeping in the ledger how far it came."""
    first = table.pair.tables[0]
    standing = comparison.state.load(first)
    expected, _ = table.estimate()
    done = max(standing.rows)
    saved = time.monotonic()

    def keep(now: TableProgress, rows: int) -> None:
        nonlocal done, saved
        done += rows
        if progress:
            progress(table.pair.name, done, done if now.done else max(expected, done))
        if now.done or time.monotonic() - saved > _SAVED_EVERY:
            comparison.state.save(first, now)
            saved = time.monotonic()

    try:
        return table.read(standing, keep)
    except BaseException:
        with contextlib.suppress(DtsError):
            comparison.state.save(first, standing)
        raise


def _result(comparison: Comparison, progress: TableProgress, found: Candidates) -> TableResult:
    differs = pd.Series(found.state, dtype=object).notna().to_numpy()
    keys = found.keys.iloc[np.flatnonzero(differs)].reset_index(drop=True)
    keys[STATE] = found.state[differs]
    keys[RECORDED] = recorded(comparison.all_links, found.comparison, keys)
    assert set(keys[STATE]) <= set(State)
    return TableResult(
        table=progress.table,
        rows=progress.rows,
        chunks=progress.chunks,
        keys=keys,
        not_compared=tuple(found.comparison.pair.not_compared()),
        truncated=progress.truncated,
    )
