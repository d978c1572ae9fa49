"""`dts repair`: makes the keys that differ equal, the chosen side's rows winning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dts_pipeline.commands import exits
from dts_pipeline.commands.bars import counted
from dts_pipeline.commands.comparisons import as_data, named, opened, reading_bar, show
from dts_pipeline.commands.output import Output
from dts_pipeline.commands.session import Session

if TYPE_CHECKING:
    from dts_pipeline.core.verification import VerifyReport
    from dts_pipeline.stages.repair import Counts

_COUNTS = ("written", "equal", "again", "undecided")


def repair(
    session: Session,
    output: Output,
    name: str,
    *,
    tables: Sequence[str],
    winner: str | None,
    execute: bool,
    resume: bool,
    limit: int,
    carry: bool = False,
) -> int:
    """Compares, shows, and with `execute` writes; FOUND if keys are left different."""
    from dts_pipeline.stages.carry import carry as run
    from dts_pipeline.stages.repair import all_mended, check_winner, mend
    from dts_pipeline.stages.verify import verify

    runs = run if carry else None
    [(full, links)] = named(session, name).items()
    with opened(session, full, links) as comparison:
        side = check_winner(comparison, winner)
        with reading_bar(full) as progress:
            report = verify(comparison, tables, resume=resume, carry=runs, progress=progress)
        show(output, report, limit)
        counts: Counts = {}
        if execute and report.different:
            with counted(f"{full}: repair", "keys") as told:
                counts = mend(comparison, report, side, carry=runs, progress=told)
    done = execute and all_mended(counts) and not _left(report)
    data = {"winner": side, "executed": execute, "written": {t: dict(c) for t, c in counts.items()}}
    output.document({**as_data(report), **data})
    _show(output, report, side, counts, execute)
    return exits.DONE if done or not (report.different or report.moving) else exits.FOUND


def _left(report: VerifyReport) -> bool:
    """Whether keys were not taken on: too many to keep, or written to all the time."""
    return bool(report.moving) or any(table.truncated for table in report.tables)


def _show(output: Output, report: VerifyReport, winner: str, counts: Counts, execute: bool) -> None:
    loser = next(site for site in report.sites if site != winner)
    if not report.different:
        output.line("nothing is to be repaired")
    elif not execute:
        output.line(
            f"{report.different:,} key(s) at {loser} would get the row of {winner}, or lose theirs "
            f"where {winner} has none; --execute does it"
        )
    if counts:
        rows = [(table, *(by.get(kind, 0) for kind in _COUNTS)) for table, by in counts.items()]
        output.table(f"{report.name}: {winner} wins", ["table", *_COUNTS], rows)
    if _left(report):
        output.line("keys were left that could not be taken on: repair again")
