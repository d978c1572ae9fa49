"""What dts.yaml says of a site's own names: one-to-one, and the same for all entries."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
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
    columns: Mapping[str, Mapping[str, Any]]
    ddl: str
    in_mesh: bool

    def carries(self, table: str) -> bool:
        """Whether it carries a table, by its common name."""
        return overlap([table], self.tables) is not None

    def column_names(self, table: str, site: str) -> Mapping[str, str]:
        """What a site calls columns of a table otherwise: common name → its own."""
        return dict(_pairs(_mapping(_mapping(self.columns.get(table)).get("rename")).get(site)))

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
        yield from _column_problems(entry)
        for old in seen:
            yield from _columns_at_odds(entry, old)
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


def _column_problems(entry: _Entry) -> Iterator[tuple[str, str]]:
    """Columns whose own names are not one-to-one, and what goes with none of them."""
    for table, columns in entry.columns.items():
        path, renames = f"{entry.path}.columns.{table}.rename", _mapping(columns.get("rename"))
        if renames and entry.in_mesh:
            yield path, "is not shown to be right in a mesh: call the columns alike at its sites"
        if renames and entry.ddl in ("additive", "ignore"):
            yield path, f"does not go with `ddl: {entry.ddl}`; leave that at `stop`"
        excluded = {str(name).lower() for name in _listed(columns.get("exclude"))}
        known = {str(name) for key in ("exclude", "include") for name in _listed(columns.get(key))}
        known |= {name for site in renames for name in entry.column_names(table, site)}
        for site in renames:
            own = entry.column_names(table, site)
            if site not in entry.sites:
                yield f"{path}.{site}", f"must be one of {', '.join(entry.sites)}"
            for common in own:
                problem = _column_problem(common, own, excluded, known)
                if problem:
                    yield f"{path}.{site}.{common}", problem


def _column_problem(
    common: str, names: Mapping[str, str], excluded: Collection[str], known: Collection[str]
) -> str | None:
    """What is wrong with what a site calls a column, if anything; servers look at no case."""
    own = names[common]
    alike = [name for name in names if names[name].lower() == own.lower() and name != common]
    others = [name for name in known if name.lower() == own.lower() and name != common]
    if common.lower() in excluded:
        return "is a column that `exclude` leaves out; name both its names there instead"
    if own == common:
        return f"gives {own}, which is its name already; leave it out"
    if alike:
        return f"gives {own}, as {alike[0]} does"
    if others:
        return f"gives {own}, which is the common name of another column: they cannot swap names"
    return None


def _columns_at_odds(one: _Entry, other: _Entry) -> Iterator[tuple[str, str]]:
    """Tables that two entries carry at a site, and of which they name a column otherwise."""
    for table in dict.fromkeys([*one.columns, *other.columns]):
        for site in one.sites:
            differ = one.column_names(table, site) != other.column_names(table, site)
            if site in other.sites and differ and one.carries(table) and other.carries(table):
                yield (
                    f"{one.path}.columns.{table}.rename.{site}",
                    f"{other.path} carries this table at {site} with other names of its columns. "
                    "What meets there must have one name: write it alike in both",
                )


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
                    {str(k): _mapping(v) for k, v in _mapping(entry.get("columns")).items()},
                    str(entry.get("ddl")),
                    entry.get("mesh") is not None,
                )


def _sites(entry: Mapping[str, Any]) -> tuple[str, ...]:
    listed = _listed(entry.get("sites")) or [entry.get("source"), entry.get("target")]
    return tuple(str(site) for site in listed)


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _renames(value: object) -> Iterator[tuple[str, _Renames]]:
    for site, renames in _mapping(value).items():
        if isinstance(renames, Mapping) and renames:
            yield str(site), tuple(_pairs(renames))


def _pairs(value: object) -> list[tuple[str, str]]:
    return sorted((str(k), str(v)) for k, v in _mapping(value).items())
