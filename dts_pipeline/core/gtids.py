"""The set of source transactions that a link has applied, in both servers' notations.

MySQL: `uuid:n`, kept as intervals per UUID (manual, "GTID Format and Storage"). MariaDB:
`domain-server-sequence`, kept as the highest sequence per domain (knowledge base, "Global
Transaction ID"): within a domain sequences are applied in order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class GtidSet:
    """A set of GTIDs that can be added to, asked, and written as text."""

    intervals: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    domains: dict[int, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> GtidSet:
        """Reads what `str()` of a set gave."""
        found = cls()
        for part in filter(None, text.split(",")):
            uuid, *ranges = part.split(":")
            if not ranges:
                domain, sequence = part.split("-")
                found.domains[int(domain)] = int(sequence)
                continue
            found.intervals[uuid] = [_interval(r) for r in ranges]
        return found

    def __str__(self) -> str:
        parts = [f"{domain}-{top}" for domain, top in sorted(self.domains.items())]
        for uuid, ranges in sorted(self.intervals.items()):
            spans = (f"{a}-{b}" if a < b else f"{a}" for a, b in ranges)
            parts.append(":".join([uuid, *spans]))
        return ",".join(parts)

    def add(self, gtids: Iterable[str]) -> None:
        """Adds transactions; ids in neither notation (a source without GTIDs) are left out."""
        numbers: dict[str, list[int]] = {}
        for gtid in gtids:
            if parsed := _mysql(gtid):
                numbers.setdefault(parsed[0], []).append(parsed[1])
            elif domain := _mariadb(gtid):
                self.domains[domain[0]] = max(self.domains.get(domain[0], 0), domain[1])
        for uuid, found in numbers.items():
            spans = self.intervals.get(uuid, []) + [(n, n) for n in found]
            self.intervals[uuid] = _merged(spans)

    def unite(self, other: GtidSet) -> None:
        """Adds what another set holds."""
        for uuid, spans in other.intervals.items():
            self.intervals[uuid] = _merged(self.intervals.get(uuid, []) + spans)
        for domain, top in other.domains.items():
            self.domains[domain] = max(self.domains.get(domain, 0), top)

    def __contains__(self, gtid: str) -> bool:
        if parsed := _mysql(gtid):
            return any(a <= parsed[1] <= b for a, b in self.intervals.get(parsed[0], []))
        if domain := _mariadb(gtid):
            return domain[1] <= self.domains.get(domain[0], 0)
        return False


def numbered(gtid: object) -> tuple[str, int] | None:
    """A GTID's server or domain, and its number there; None for what is none."""
    if not isinstance(gtid, str):
        return None
    found = _mysql(gtid) or _mariadb(gtid)
    return (str(found[0]), found[1]) if found else None


def _interval(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def _mysql(gtid: str) -> tuple[str, int] | None:
    uuid, colon, number = gtid.partition(":")
    return (uuid, int(number)) if colon and number.isdigit() else None


def _mariadb(gtid: str) -> tuple[int, int] | None:
    parts = gtid.split("-")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        return None
    return int(parts[0]), int(parts[2])


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged
