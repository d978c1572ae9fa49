"""How `dts status` shows links to people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dts_pipeline.commands.output import error_block
from dts_pipeline.errors import DtsError

if TYPE_CHECKING:
    from dts_pipeline.commands.status import LinkStatus

Part = str | tuple[str, Sequence[str], Sequence[Sequence[object]]]
"""A line, or a table: title, columns, rows."""


def parts(found: Sequence[LinkStatus], errors: Sequence[DtsError]) -> Iterator[Part]:
    """What people are shown: tables, and lines."""
    columns = ["link", "batch", "generation", "behind", "lag s", "events/s", "state"]
    columns += ["open conflicts", "moved", "consistency", "last error"]
    yield "", columns, [_row(entry) for entry in found]
    conflicts = [
        (entry.title, table, kind, count)
        for entry in found
        for table, kinds in entry.open_conflicts.items()
        for kind, count in kinds.items()
    ]
    if conflicts:
        yield "Open conflicts", ["link", "table", "kind", "keys"], conflicts
    for entry in found:
        if entry.waiting:
            yield f"{entry.title} waits for transaction {_waited(entry.waiting)}"
        for kind, count in sorted(entry.loop.items()):
            yield f"{entry.title}: the loop audit found {count} table(s) `{kind}` in one day"
        for load in entry.open_loads:
            yield f"{entry.title}: the load of {load['table']} is {_standing(load)}"
    altered = [(e.title, one["at"], one["statement"]) for e in found for one in e.altered]
    if altered:
        yield "Made up at the target within a day", ["link", "at", "statement"], altered
    for error in errors:
        yield error_block(error)


def _row(entry: LinkStatus) -> list[Any]:
    waiting = sum(sum(kinds.values()) for kinds in entry.open_conflicts.values())
    counts = None if entry.batch is None else waiting
    moved = entry.updated_at and datetime.fromisoformat(entry.updated_at).strftime("%F %T")
    return [
        entry.title,
        entry.batch,
        entry.generation,
        entry.behind,
        entry.lag_seconds,
        entry.events_per_second,
        entry.state.replace("_", " "),
        counts,
        moved,
        entry.consistency,
        _told(entry.last_error),
    ]


def _told(error: Mapping[str, Any] | None) -> str | None:
    """The code and when; in brackets once a run has ended well since."""
    if error is None:
        return None
    words = f"{error['code']} {datetime.fromisoformat(error['at']).strftime('%F %T')}"
    return f"({words})" if error["over"] else words


def _standing(load: Mapping[str, Any]) -> str:
    percent = f" at {load['percent']} %" if load["state"] == "loading" else ""
    return f"not done: {load['state']}{percent}"


def _waited(waiting: Mapping[str, Any]) -> str:
    tables = [f"{count} event(s) of {table}" for table, count in waiting["missing"].items()]
    missing = ", ".join(tables) or "its END"
    return f"{waiting['transaction']} since {waiting['seconds']} s: {missing} missing"
