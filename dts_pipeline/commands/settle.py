"""`dts settle`: closes records by reconciling their keys, pair by pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dts_pipeline.commands import exits
from dts_pipeline.commands.bars import counted
from dts_pipeline.commands.output import Output
from dts_pipeline.commands.runtimes import pair_runtime
from dts_pipeline.commands.session import Session
from dts_pipeline.errors import TerminalError

if TYPE_CHECKING:
    from dts_pipeline.stages.reconcile import ReconcileReport

COUNTS = ("equal", "written", "closed", "again", "undecided", "gone")


def settle(session: Session, output: Output, pair: str | None, *, carry: bool) -> int:
    """Settles one pair or all; FOUND if a record is left open.

    `carry`: apply the links' batches in this process instead of waiting for the scheduled runs.
    Raises TerminalError `unknown_pair` and what `stages.reconcile` raises.
    """
    from dts_pipeline.stages.carry import carry as carried
    from dts_pipeline.stages.settle import settle as settled

    found: dict[str, ReconcileReport] = {}
    for name in pair_names(session, pair):
        with (
            pair_runtime(session, name) as runtime,
            counted(f"settling {name}", "records") as progress,
        ):
            found[name] = settled(runtime, carry=carried if carry else None, progress=progress)
    output.document({"pairs": {name: document(report) for name, report in found.items()}})
    rows = [
        (name, table, *(counts[kind] for kind in COUNTS))
        for name, report in found.items()
        for table, counts in sorted(report.tables.items())
    ]
    if rows:
        output.table("", ("pair", "table", *COUNTS), rows)
    else:
        output.line("nothing was open")
    return exits.DONE if all(report.is_settled for report in found.values()) else exits.FOUND


def document(report: ReconcileReport) -> dict[str, Any]:
    """A report for programs: counts per table, and why rounds started over."""
    return {
        "tables": {
            table: {kind: counts[kind] for kind in COUNTS}
            for table, counts in sorted(report.tables.items())
        },
        "rounds": report.rounds,
        "started_over": dict(report.reasons),
        "settled": report.is_settled,
    }


def pair_names(session: Session, pair: str | None) -> list[str]:
    """The pair, or all of them; raises TerminalError `unknown_pair`."""
    names = list(session.config.pairs)
    if pair is None:
        return names
    if pair not in names:
        raise TerminalError(
            "unknown_pair",
            f"there is no pair {pair}",
            remedy=f"dts.yaml has: {', '.join(sorted(names)) or 'no pairs'}.",
        )
    return [pair]
