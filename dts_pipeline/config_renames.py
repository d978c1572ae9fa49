"""What dts.yaml says of a site's own names of tables: one-to-one, and the same for all entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dts_pipeline.core.links import RESERVED_SCHEMAS
from dts_pipeline.core.names import Names, renaming_problems
from dts_pipeline.core.table_patterns import overlap

_Renames = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Entry:
    """A pair or link, its sites (the one whose names are the common ones first) and its renames."""

    path: str
    sites: tuple[str, ...]
    tables: tuple[str, ...]
    renames: Mapping[str, _Renames]

    def reach(self, site: str) -> tuple[list[str], list[str]]:
        """Patterns of all that its names there can concern: common ones, and the site's own."""
        names = Names.of(self.renames.get(site, ()))
        listed = [p for p in self.tables if not p.startswith("!")]
        common = [f"{schema}.*" for schema, _ in names.schemas]
        own = [f"{schema}.*" for _, schema in names.schemas]
        return [*listed, *common], [*names.patterns(listed), *own]


def rename_problems(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Renames that are not one-to-one, of no site of the entry, or at odds with another entry's.

    Checked on the raw data, as all that goes across the file's parts.
    """
    seen: list[_Entry] = []
    for entry in _entries(data):
        for site, renames in entry.renames.items():
            path = f"{entry.path}.rename.{site}"
            if site not in entry.sites:
                yield path, f"must be one of {', '.join(entry.sites)}"
            elif site == entry.sites[0]:
                yield path, f"`tables` spells the names at {site} itself; name the other site"
            for name, problem in _table_problems(renames, entry.tables):
                yield f"{path}.{name}", problem
        for old in seen:
            met = _at_odds(entry, old)
            if met:
                yield (
                    f"{entry.path}.rename",
                    f"{old.path} carries some of these tables at {met} under other names. What "
                    f"meets there must have one name: rename it alike in both, or let {met} be "
                    "the first site of both",
                )
        seen.append(entry)


def _table_problems(renames: _Renames, tables: Sequence[str]) -> Iterator[tuple[str, str]]:
    yield from renaming_problems(renames, tables)
    for common, own in renames:
        if own.partition(".")[0].lower() in RESERVED_SCHEMAS:
            yield common, f"{own} is the pipeline's ledger, or the server's own"


def _at_odds(one: _Entry, other: _Entry) -> str | None:
    """A site where two entries can carry a table, and do not name it alike."""
    for site in one.sites:
        if site not in other.sites or one.renames.get(site) == other.renames.get(site):
            continue
        pairs = zip(one.reach(site), other.reach(site), strict=True)
        if any(overlap(left, right) for left, right in pairs):
            return site
    return None


def _entries(data: Mapping[str, Any]) -> Iterator[_Entry]:
    """The pairs and links, as far as they have the right shape."""
    for kind in ("pairs", "links"):
        section = data.get(kind)
        for name, entry in section.items() if isinstance(section, Mapping) else ():
            if isinstance(entry, Mapping):
                yield _Entry(
                    f"{kind}.{name}",
                    _sites(entry),
                    tuple(str(p) for p in _listed(entry.get("tables"))),
                    dict(_renames(entry.get("rename"))),
                )


def _sites(entry: Mapping[str, Any]) -> tuple[str, ...]:
    listed = _listed(entry.get("sites")) or [entry.get("source"), entry.get("target")]
    return tuple(str(site) for site in listed)


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _renames(value: object) -> Iterator[tuple[str, _Renames]]:
    for site, renames in value.items() if isinstance(value, Mapping) else ():
        if isinstance(renames, Mapping) and renames:
            yield str(site), tuple(sorted((str(k), str(v)) for k, v in renames.items()))
