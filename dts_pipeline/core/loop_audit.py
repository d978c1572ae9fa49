"""Whether what a link wrote is what came back under its mark, to the other link of the pair.

Each marked transaction notes how many rows of each table the server logged for it, in the same
transaction. The other link reads these rows from the binlog and drops them as marked; how many
there were is noted in its batch's transaction. Both sides of a transaction are compared once it has
come back. Exact: deletes and inserts are one event a row (a changed row of a table with a secondary
unique key is one of each), updates are counted as the server says it changed them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class LoopKind(StrEnum):
    """What is wrong with a marked transaction."""

    FEWER = "fewer"  # some of its rows did not come back: somebody filters or skips events
    MORE = "more"  # a trigger wrote under our mark, or a user: such rows are carried nowhere
    MISSING = "missing"  # none came back, though rows of later transactions did
    UNKNOWN = "unknown"  # no write of ours is noted: somebody writes under our mark


@dataclass(frozen=True)
class Written:
    """A marked transaction as its writer noted it: rows logged, by table.

    `lane` is (link, lane, generation), `number` the mark's in it. `stamp` is how its events name
    it, None where the writer died before it could be noted.
    """

    mark: str
    lane: tuple[str, str, int]
    number: int
    stamp: str | None
    tables: Mapping[str, int]


@dataclass(frozen=True)
class Returned:
    """A marked transaction as it came back: row events by table."""

    stamp: str
    tables: Mapping[str, int]
    audited: bool = False


@dataclass(frozen=True)
class LoopFinding:
    """A table's rows in a marked transaction, written and come back."""

    stamp: str
    table: str
    kind: LoopKind
    written: int
    returned: int


@dataclass(frozen=True)
class LoopVerdict:
    """Findings; the marks of the writes that are done with, and how many were compared."""

    findings: tuple[LoopFinding, ...]
    settled: tuple[str, ...]
    compared: int


def compare(written: Sequence[Written], returned: Sequence[Returned]) -> LoopVerdict:
    """Compares what came back with what was written; what has not come back yet is left alone."""
    pairs, strange = _paired(written, returned)
    findings = [
        finding for own, back in pairs if not back.audited for finding in _differ(own, back)
    ]
    findings += [
        LoopFinding(back.stamp, table, LoopKind.UNKNOWN, 0, count)
        for back in strange
        if not back.audited
        for table, count in sorted(back.tables.items())
    ]
    matched = {own.mark for own, _ in pairs}
    passed: dict[tuple[str, str, int], int] = {}
    for own, _ in pairs:
        passed[own.lane] = max(own.number, passed.get(own.lane, 0))
    lost = [
        own for own in written if own.mark not in matched and own.number < passed.get(own.lane, 0)
    ]
    findings += [
        LoopFinding(own.stamp or own.mark, table, LoopKind.MISSING, count, 0)
        for own in lost
        for table, count in sorted(own.tables.items())
    ]
    settled = (*sorted(matched), *(own.mark for own in lost))
    return LoopVerdict(tuple(findings), settled, len(pairs))


def _paired(
    written: Sequence[Written], returned: Sequence[Returned]
) -> tuple[list[tuple[Written, Returned]], list[Returned]]:
    """Writes with what came back of them; and what came back of nothing that was noted.

    A write without a stamp belongs to the first that has the same rows and no other write.
    """
    by_stamp = {own.stamp: own for own in written if own.stamp is not None}
    pairs = [(by_stamp[back.stamp], back) for back in returned if back.stamp in by_stamp]
    strange = [back for back in returned if back.stamp not in by_stamp]
    for own in sorted((w for w in written if w.stamp is None), key=lambda w: w.number):
        twin = next((back for back in strange if dict(back.tables) == dict(own.tables)), None)
        if twin is not None:
            strange.remove(twin)
            pairs.append((own, twin))
    return pairs, strange


def _differ(own: Written, back: Returned) -> list[LoopFinding]:
    found = []
    for table in sorted({*own.tables, *back.tables}):
        wrote, came = own.tables.get(table, 0), back.tables.get(table, 0)
        if wrote != came:
            kind = LoopKind.FEWER if came < wrote else LoopKind.MORE
            found.append(LoopFinding(back.stamp, table, kind, wrote, came))
    return found
