"""What `dts verify` and `dts repair` compare: a pair, or a one-way link, by its name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dts_pipeline.commands.bars import counted
from dts_pipeline.commands.output import Output
from dts_pipeline.commands.runtimes import beside, link_runtime
from dts_pipeline.commands.session import Session
from dts_pipeline.core.row_values import to_json
from dts_pipeline.core.verification import RECORDED, STATE, State, TableResult, VerifyReport
from dts_pipeline.errors import TerminalError

if TYPE_CHECKING:
    from dts_pipeline.stages.verify import Comparison, Progress


def named(session: Session, name: str | None) -> dict[str, tuple[str, ...]]:
    """The links of each comparison by its name; None for everything that dts.yaml has.

    A link of a pair stands for its pair. Raises TerminalError `unknown_link`.
    """
    found: dict[str, tuple[str, ...]] = {}
    for link in session.links.values():
        found[link.pair or link.name] = (*found.get(link.pair or link.name, ()), link.name)
    if name is None:
        return found
    known = session.links.get(name)
    wanted = (known.pair or known.name) if known and name not in found else name
    if wanted not in found:
        raise TerminalError(
            "unknown_link",
            f"there is no pair or link {name}",
            remedy=f"dts.yaml has: {', '.join(sorted({*found, *session.links}))}.",
        )
    return {wanted: found[wanted]}


@contextlib.contextmanager
def opened(session: Session, name: str, links: Sequence[str]) -> Iterator[Comparison]:
    """The comparison with its connections, which end with the block."""
    from dts_pipeline.stages.verify import Comparison

    with contextlib.ExitStack() as stack:
        runtimes = [stack.enter_context(link_runtime(session, link)) for link in links]
        mesh = beside(session, runtimes[0], stack)
        yield Comparison(name, tuple(runtimes), beside=mesh)


@contextlib.contextmanager
def reading_bar(name: str) -> Iterator[Progress]:
    """A progress bar over the rows of the tables that were begun."""
    tables: dict[str, tuple[int, int]] = {}
    with counted(name, "rows") as bar:

        def told(table: str, done: int, expected: int) -> None:
            tables[table] = done, expected
            bar(*(sum(numbers) for numbers in zip(*tables.values(), strict=True)))

        yield told


def show(output: Output, report: VerifyReport, limit: int) -> None:
    """A table's counts a row, then the first keys of each table."""
    one, two = report.sites
    columns = ["table", f"rows {one}", f"rows {two}", "changed", f"only {one}", f"only {two}"]
    rows = []
    for table in report.tables:
        counts = table.counts()
        numbers = [counts[state.value] for state in State]
        rows.append([table.table, *table.rows, *numbers[:3], counts["recorded"], numbers[3]])
    output.table(report.name, [*columns, "recorded", "moving"], rows)
    keys = [
        [table.table, entry["key"], entry["state"], entry["recorded"]]
        for table in report.tables
        for entry in _keys(report, table, limit)
    ]
    if keys:
        output.table("Keys", ["table", "key", "state", "recorded"], keys)
    for table in report.tables:
        for left_out in table.not_compared:
            output.line(f"{table.table}.{left_out.column} is not compared: {left_out.reason}")
        if table.truncated:
            output.line(f"{table.table} has more keys that differ than were kept")


def as_data(report: VerifyReport, limit: int | None = None) -> dict[str, Any]:
    """The report for `--json`; every key unless `limit` says how many a table."""
    tables = [
        {
            "table": table.table,
            "rows": dict(zip(report.sites, table.rows, strict=True)),
            "chunks": table.chunks,
            **table.counts(),
            "truncated": table.truncated,
            "not_compared": [vars(left_out) for left_out in table.not_compared],
            "keys": list(_keys(report, table, limit)),
        }
        for table in report.tables
    ]
    return {
        "name": report.name,
        "sites": list(report.sites),
        "different": report.different,
        "moving": report.moving,
        "in_flight_known": report.proven,
        "seconds": round(report.seconds, 3),
        "tables": tables,
    }


def _keys(report: VerifyReport, table: TableResult, limit: int | None) -> Iterator[dict[str, Any]]:
    names = [name for name in table.keys.columns if name not in (STATE, RECORDED)]
    words = {
        State.ONLY_FIRST: f"only at {report.sites[0]}",
        State.ONLY_SECOND: f"only at {report.sites[1]}",
    }
    few = table.keys if limit is None else table.keys.head(limit)
    values = zip(*(few[name].tolist() for name in names), strict=True)
    for key, state, known in zip(values, few[STATE], few[RECORDED], strict=True):
        yield {
            "key": to_json(names, key),
            "state": words.get(state, str(state)),
            "recorded": bool(known),
        }
