"""`dts verify`: whether both sites hold the same rows, and which keys differ."""

from __future__ import annotations

from collections.abc import Sequence

from dts_pipeline.commands import exits
from dts_pipeline.commands.comparisons import as_data, named, opened, reading_bar, show
from dts_pipeline.commands.output import Output
from dts_pipeline.commands.session import Session
from dts_pipeline.core.verification import VerifyReport


def verify(
    session: Session,
    output: Output,
    name: str | None,
    *,
    tables: Sequence[str],
    resume: bool,
    limit: int,
    carry: bool = False,
) -> int:
    """Compares a pair or one-way link, or all; FOUND if keys differ.

    FAILED if none does, and of some keys it could not be told.
    """
    from dts_pipeline.stages.carry import carry as run
    from dts_pipeline.stages.verify import verify as compare

    reports = []
    for each, links in named(session, name).items():
        with opened(session, each, links) as comparison, reading_bar(each) as progress:
            reports.append(
                compare(
                    comparison,
                    tables,
                    resume=resume,
                    carry=run if carry else None,
                    progress=progress,
                )
            )
    output.document({"comparisons": [as_data(report) for report in reports]})
    for report in reports:
        show(output, report, limit)
        output.line(_verdict(report))
    if any(report.different for report in reports):
        return exits.FOUND
    return exits.FAILED if any(report.moving for report in reports) else exits.DONE


def _verdict(report: VerifyReport) -> str:
    one, two = report.sites
    after = f" ({report.seconds:.1f} s)"
    moving = f"; {report.moving:,} key(s) were written to whenever they were looked at"
    moving = moving if report.moving else ""
    if report.different:
        return f"{one} and {two} differ in {report.different:,} key(s){moving}{after}"
    if report.moving:
        return f"no difference was found{moving}: verify again when they rest{after}"
    return f"{one} and {two} hold the same rows{after}"
