"""`dts preview LINK …range`: what a range would do at the target right now."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dts_pipeline.commands import exits
from dts_pipeline.commands.bars import counted
from dts_pipeline.commands.output import Output
from dts_pipeline.commands.runtimes import link_runtime
from dts_pipeline.commands.session import Session
from dts_pipeline.config import other_policy
from dts_pipeline.core.selection import Selection, spelled

if TYPE_CHECKING:
    from dts_pipeline.core.previews import Preview

_COUNTS = ("events", "duplicates", "marked", "superseded", "changes")
_KINDS = ("inserted", "updated", "deleted", "same", "conflicts", "lost", "unique")


def preview(
    session: Session,
    output: Output,
    name: str,
    selection: Selection,
    *,
    policy: str | None,
    limit: int,
) -> int:
    """Shows the range; FOUND if both sides changed a key of it."""
    from dts_pipeline.stages.preview import preview as look

    link = session.link(name)
    other = other_policy(session.config, link, policy) if policy else None
    with link_runtime(session, name) as runtime, counted(name, "offsets") as progress:
        found = look(runtime, selection, policy=other, limit=limit, progress=progress)
    output.document(_data(found, selection))
    _show(output, found, selection)
    return exits.FOUND if any(c.get("conflicts") for c in found.tables.values()) else exits.DONE


def _data(found: Preview, selection: Selection) -> dict[str, Any]:
    return {
        "link": found.link,
        "range": spelled(found.ranges, selection.tables),
        "counts": dict(found.counts),
        "tables": {table: dict(counts) for table, counts in found.tables.items()},
        "stops": list(found.stops),
        "keys": [asdict(key) for key in found.keys],
        "seconds": {stage: round(s, 3) for stage, s in found.seconds.items()},
    }


def _show(output: Output, found: Preview, selection: Selection) -> None:
    facts = [(name, found.counts.get(name, 0)) for name in _COUNTS]
    output.table(f"{found.link}: nothing is written", ["", ""], facts)
    rows = [(t, *(c.get(kind, 0) for kind in _KINDS)) for t, c in found.tables.items()]
    if rows:
        output.table("Tables", ["table", *_KINDS], rows)
    if found.keys:
        output.table(
            f"The first {len(found.keys)} of {found.counts.get('changes', 0):,} keys",
            ["table", "key", "would", "disputed", "changed columns"],
            [(k.table, k.key, k.action, k.disputed, ", ".join(k.columns)) for k in found.keys],
        )
    for table in found.stops:
        output.line(f"The policy `fail` would stop {found.link} at {table}.")
    output.line(f"range: {spelled(found.ranges, selection.tables) or 'empty'}")
