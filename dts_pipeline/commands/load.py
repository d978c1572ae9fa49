"""`dts load`: gives a site the rows that it lacks, while users write; goes on after a kill."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from dts_pipeline.commands import exits
from dts_pipeline.commands.comparisons import as_data as compared_data
from dts_pipeline.commands.comparisons import named, opened, reading_bar
from dts_pipeline.commands.output import Output
from dts_pipeline.commands.session import Session
from dts_pipeline.core.load import LoadState, TableLoad, as_data

if TYPE_CHECKING:
    from collections.abc import Callable

    from dts_pipeline.core.verification import VerifyReport
    from dts_pipeline.stages.load import LoadPlan, TablePlan

_SHOWN = ("written", "changed", "recorded", "extra", "again", "undecided")


def load(
    session: Session,
    output: Output,
    name: str,
    *,
    tables: Sequence[str],
    source: str | None,
    execute: bool,
    status: bool,
    carry: bool = False,
) -> int:
    """Shows what a load would do, or with `execute` does it; FOUND if something is left."""
    from dts_pipeline.stages.carry import carry as run
    from dts_pipeline.stages.load import plan_load, run_load, states_of
    from dts_pipeline.stages.verify import verify

    runs = run if carry else None
    [(full, links)] = named(session, name).items()
    with opened(session, full, links) as comparison:
        if status:
            return _status(output, full, list(states_of(comparison).all().values()))
        plan = plan_load(comparison, tables, source)
        if not execute:
            # One in the middle of its load differs, of course.
            both = [t.pair.name for t in plan.tables if t.both and not _open(plan, t)]
            report = None
            if both:
                with reading_bar(full) as progress:
                    report = verify(comparison, both, carry=runs, progress=progress)
            return _plan(output, plan, report)
        with _bar(full) as told:
            ended = run_load(plan, carry=runs, progress=told)
    output.document({"name": full, "executed": True, "tables": [as_data(t) for t in ended]})
    _table(output, full, ended)
    left = [table for table in ended if table.state is not LoadState.DONE]
    if left:
        output.line(
            f"{len(left)} table(s) are not equal yet: `dts verify {full}` names the keys; "
            "start the load again when they rest"
        )
    return exits.FOUND if left else exits.DONE


def _status(output: Output, name: str, loads: Sequence[TableLoad]) -> int:
    output.document({"name": name, "tables": [as_data(load) for load in loads]})
    if loads:
        _table(output, name, loads)
    else:
        output.line(f"no load of {name} was ever begun")
    return exits.FOUND if any(load.state is not LoadState.DONE for load in loads) else exits.DONE


def _table(output: Output, name: str, loads: Sequence[TableLoad]) -> None:
    columns = ["table", "state", "rows", "%", "rows/s", *_SHOWN, "left"]
    rows = [
        [
            *(load.table, load.state.value, load.rows, round(load.percent, 1), round(load.rate)),
            *(load.counts[count] for count in _SHOWN),
            load.left,
        ]
        for load in loads
    ]
    output.table(name, columns, rows)


def _plan(output: Output, plan: LoadPlan, report: VerifyReport | None) -> int:
    sites = [database.site for database in plan.comparison.databases]
    lines = [[t.pair.name, *t.rows, _what(plan, t, sites)] for t in plan.tables]
    columns = ["table", *(f"rows {site}, about" for site in sites), "what --execute does"]
    output.table(plan.comparison.name, columns, lines)
    counts = {t.table: t.counts() for t in report.tables} if report else {}
    if counts:
        one, two = sites
        states = ["changed", "only_first", "only_second", "recorded", "moving"]
        heads = ["table", "changed", f"only {one}", f"only {two}", "recorded", "moving"]
        rows = [[table, *(found[state] for state in states)] for table, found in counts.items()]
        output.table("Where both sites have rows", heads, rows)
    output.document(
        {
            "name": plan.comparison.name,
            "executed": False,
            "tables": [_data(plan, t, sites) for t in plan.tables],
            "compared": compared_data(report, 0)["tables"] if report else [],
        }
    )
    return exits.DONE


def _what(plan: LoadPlan, table: TablePlan, sites: Sequence[str]) -> str:
    standing = _open(plan, table)
    if standing:
        return f"goes on at {standing.percent:.1f} %: {standing.rows:,} rows were read"
    if all(table.is_empty):
        return "nothing: both are empty"
    if table.source is None:
        return "each gets the rows that it lacks; the policy decides those that both have"
    other = next(site for site in sites if site != table.source)
    more = "" if any(table.is_empty) else "; rows that only it has stay, and are counted as extra"
    return f"{other} gets the rows of {table.source}{more}"


def _open(plan: LoadPlan, table: TablePlan) -> TableLoad | None:
    """The load of a table that was broken off."""
    standing = plan.standing.get(table.pair.name)
    return standing if standing and standing.goes_on(table.source) else None


def _data(plan: LoadPlan, table: TablePlan, sites: Sequence[str]) -> dict[str, Any]:
    standing = plan.standing.get(table.pair.name)
    return {
        "table": table.pair.name,
        "rows_estimated": dict(zip(sites, table.rows, strict=True)),
        "empty": dict(zip(sites, table.is_empty, strict=True)),
        "from": table.source,
        "standing": as_data(standing) if standing else None,
    }


@contextlib.contextmanager
def _bar(name: str) -> Iterator[Callable[[TableLoad], None]]:
    """A bar a table on stderr: rows, percent, rows a second; on a terminal only."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[what]}"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:

        def told(load: TableLoad) -> None:
            if load.table not in tasks:
                tasks[load.table] = bar.add_task(f"{name}: {load.table}", total=100, what="")
            what = (
                f"{load.rows:,} of about {max(load.expected, load.rows):,} rows, "
                f"{load.percent:.1f} %, {load.rate:,.0f} rows/s, {load.state.value}"
            )
            bar.update(tasks[load.table], completed=load.percent, what=what)

        yield told
