"""What dts.yaml says of lanes: each table in exactly one, told by the patterns alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dts_pipeline.core.links import MAIN, Lane
from dts_pipeline.core.table_patterns import overlap

REST = "*"
"""The pattern of the lane that takes every table which no other lane names."""


def lanes_kind(value: object) -> str:
    """Which kind of lanes is meant, so that a mistake in it is told once."""
    by = value.get("by") if isinstance(value, Mapping) else getattr(value, "by", None)
    return "lanes:partition" if isinstance(by, str) else "lanes:table"


def table_lanes(lanes: Mapping[str, Sequence[str]]) -> tuple[Lane, ...]:
    """The lanes by table, in the file's order."""
    found = []
    for name, patterns in lanes.items():
        others = tuple(p for other, theirs in lanes.items() if other != name for p in theirs)
        if list(patterns) == [REST]:
            found.append(Lane(name, excluded=others))
        else:
            found.append(Lane(name, tuple(patterns)))
    return tuple(found)


def lane_problems(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Lanes that share tables, leave tables out, or cannot have them."""
    for kind in ("pairs", "links"):
        entries = data.get(kind)
        for name, entry in entries.items() if isinstance(entries, Mapping) else ():
            lanes = entry.get("lanes") if isinstance(entry, Mapping) else None
            if isinstance(lanes, Mapping) and lanes_kind(lanes) == "lanes:table":
                yield from _table_problems(f"{kind}.{name}.lanes", lanes)


def _table_problems(path: str, lanes: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    listed = {str(name): [str(p) for p in v] for name, v in lanes.items() if isinstance(v, list)}
    if len(lanes) < 2:
        yield path, "must name two lanes or more"
    if MAIN in lanes:
        yield f"{path}.{MAIN}", "is the name of a link's lane where it has only one"
    rest = [name for name, patterns in listed.items() if patterns == [REST]]
    if len(rest) != 1:
        yield path, 'exactly one lane must be ["*"]: it takes the tables that no other names'
    named = {name: patterns for name, patterns in listed.items() if name not in rest}
    for name, patterns in named.items():
        if any(pattern == REST for pattern in patterns):
            yield f"{path}.{name}", '"*" stands alone'
        if any(pattern.startswith("!") for pattern in patterns):
            yield f"{path}.{name}", "name the lane's tables; what it leaves out goes to the rest"
        if not patterns:
            yield f"{path}.{name}", "must name a table"
    yield from _shared(path, named)


def _shared(path: str, lanes: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """A table that two lanes could carry."""
    seen: dict[str, Sequence[str]] = {}
    for name, patterns in lanes.items():
        for other, theirs in seen.items():
            shared = overlap(patterns, theirs)
            if shared:
                yield f"{path}.{name}", f"{shared} can name a table of lane {other} too"
        seen[name] = patterns
