"""What dts.yaml says of full meshes: three pairs between three sites, which follow one order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from dts_pipeline.core.links import Link

_ALIKE = (
    "tables", "columns", "lanes", "version", "truncate", "on_poison", "quarantine_limit",
    "max_returns",
)  # fmt: skip
_ONE_ORDER = (
    "One order must decide, such as a before b before c: {site: a} or {ties: a} in both pairs of a"
)


@dataclass(frozen=True)
class _Pair:
    """A pair of a mesh as the file has it."""

    path: str
    sites: tuple[str, str]
    entry: Mapping[str, Any]

    @property
    def conflicts(self) -> Mapping[str, Any]:
        return _mapping(self.entry.get("conflicts"))

    def table(self, name: str) -> Mapping[str, Any]:
        """What it says of conflicts in one table."""
        return _mapping(_mapping(self.conflicts.get("tables")).get(name))

    def rule(self, table: str | None) -> _Rule | None:
        """Its policy, or that of a table; None if there is none of the right shape."""
        policy = self.table(table).get("policy") if table else self.conflicts.get("policy")
        if policy == "fail":
            return _Rule("fail")
        given = _mapping(policy)
        kind = next((kind for kind in ("site", "newest") if kind in given), None)
        winner = given.get("ties") or self.sites[0] if kind == "newest" else given.get("site")
        if kind is None or winner not in self.sites:
            return None
        if kind == "site":
            return _Rule(kind, winner=winner)
        deletes = given.get("deletes", "update_wins")
        return _Rule(kind, str(given["newest"]), str(deletes), winner)


@dataclass(frozen=True)
class _Rule:
    """A policy: what must be the same in all pairs, and which of the pair's sites it prefers."""

    kind: str
    column: str = ""
    deletes: str = ""
    winner: str = ""

    @property
    def spelled(self) -> str:
        """All but the winner, as the file spells it."""
        if self.kind == "newest":
            return f"{{newest: {self.column}, deletes: {self.deletes}}}"
        return f"{{{self.kind}: …}}" if self.kind == "site" else self.kind


def mesh_problems(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Meshes that are not three pairs between three sites, or whose pairs do not go together.

    Checked on the raw data, as all that goes across the file's parts.
    """
    for name, pairs in _meshes(data).items():
        problems = list(_shape_problems(name, pairs))
        yield from problems or _pair_problems(pairs)


def in_meshes(links: Mapping[str, Link], meshes: Mapping[str, str]) -> dict[str, Link]:
    """The links, those of a mesh with what they must know of it; `meshes` gives a pair's mesh."""
    found = dict(links)
    for mesh in set(meshes.values()):
        pairs = [pair for pair, own in meshes.items() if own == mesh]
        own = [link for link in links.values() if link.pair in pairs]
        sites = _deciding_first(own)
        for link in own:
            others = tuple(pair for pair in pairs if pair != link.pair)
            found[link.name] = replace(link, mesh=sites, mesh_pairs=others)
    return found


def _deciding_first(links: Sequence[Link]) -> tuple[str, ...]:
    """A mesh's sites in the order that its policies follow; as they are named where all `fail`."""
    sites = list(dict.fromkeys(link.source for link in links))
    one_way = links[::2]  # both links of a pair have its policies
    for table in ("", *one_way[0].table_policies):
        policies = [link.policy_of(table) for link in one_way]
        winners = [policy.site for policy in policies if policy and policy.kind != "fail"]
        order = _order(sites, winners)
        if order:
            return order
    return tuple(sites)


def _order(sites: Sequence[str], winners: Sequence[str]) -> tuple[str, ...] | None:
    """The sites by how many others they win against; None if that is no order of all."""
    wins = {site: winners.count(site) for site in sites}
    if sorted(wins.values()) != list(range(len(sites))):
        return None
    return tuple(sorted(sites, key=lambda site: -wins[site]))


def _shape_problems(name: str, pairs: Sequence[_Pair]) -> Iterator[tuple[str, str]]:
    """What keeps it from being three pairs between three sites."""
    path = f"{pairs[-1].path}.mesh"
    sites = list(dict.fromkeys(site for pair in pairs for site in pair.sites))
    joined = [frozenset(pair.sites) for pair in pairs]
    if len(sites) > 3:
        yield (
            path,
            f"{name} has {len(sites)} sites ({', '.join(sites)}); only a mesh of three is shown to "
            "be right. Join further sites by pairs without `mesh`, as a tree",
        )
        return
    for number, pair in enumerate(pairs):
        if joined[number] in joined[:number]:
            old = pairs[joined.index(joined[number])].path
            yield f"{pair.path}.mesh", f"{name} has a pair between these sites already, {old}"
    if len(sites) < 3:
        yield (
            path,
            f"{name} has two sites only; a mesh is three pairs between three sites. Add the pairs "
            f"of {sites[0]} and of {sites[1]} with a third site, or leave `mesh` out",
        )
        return
    for one, two in combinations(sites, 2):
        if frozenset({one, two}) not in joined:
            yield (
                path,
                f"{name} has no pair of {one} and {two}; a mesh is three pairs between three "
                "sites. Add it, or leave `mesh` out: two pairs are a tree, and pass changes on",
            )


def _pair_problems(pairs: Sequence[_Pair]) -> Iterator[tuple[str, str]]:
    """What the three pairs say otherwise than one another, and what no mesh may say."""
    first = pairs[0]
    for pair in pairs:
        if pair.entry.get("ddl") == "additive":
            yield (
                f"{pair.path}.ddl",
                "`additive` is not shown to be right in a mesh; leave it at `stop`, and change "
                "the tables at all three sites",
            )
    for pair in pairs[1:]:
        for key in _ALIKE:
            one, two = (own.entry.get(key) for own in (first, pair))
            if one != two or (key == "lanes" and _ordered(one) != _ordered(two)):
                yield (
                    f"{pair.path}.{key}",
                    f"is not what {first.path} says; write it alike in all pairs of a mesh",
                )
    yield from _policy_problems(pairs)


def _ordered(lanes: object) -> list[str]:
    """The lanes' names in the file's order, by which those of all pairs are put side by side."""
    return [str(name) for name in _mapping(lanes)]


def _policy_problems(pairs: Sequence[_Pair]) -> Iterator[tuple[str, str]]:
    """Policies that differ in more than who wins, or follow no order, or more than one."""
    named = [_mapping(pair.conflicts.get("tables")) for pair in pairs]
    tables = list(dict.fromkeys(str(table) for own in named for table in own))
    orders: dict[str, tuple[str, ...]] = {}
    for table in (None, *tables):
        problems = [*_delta_problems(pairs, table), *_rule_problems(pairs, table)]
        yield from problems
        rules = [pair.rule(table) for pair in pairs]
        winners = [rule.winner for rule in rules if rule and rule.winner]
        if problems or len(winners) < len(pairs):
            continue
        where = f"{pairs[-1].path}.conflicts{_below(table)}.policy"
        order = _order(list(dict.fromkeys(s for p in pairs for s in p.sites)), winners)
        if order is None:
            yield where, f"the winners go in a circle: {_told(pairs, winners)}. {_ONE_ORDER}"
        elif orders and order not in orders.values():
            other, old = next(iter(orders.items()))
            yield (
                where,
                f"the order here is {', '.join(order)}, and {', '.join(old)} for {other}. All "
                "tables of a mesh must follow the same one",
            )
        else:
            orders[table or "the pairs' own policy"] = order


def _delta_problems(pairs: Sequence[_Pair], table: str | None) -> Iterator[tuple[str, str]]:
    first, *others = pairs
    for pair in others if table else ():
        one, two = (_columns(own.table(str(table)).get("delta")) for own in (first, pair))
        if one != two:
            yield (
                f"{pair.path}.conflicts.tables.{table}.delta",
                f"is not what {first.path} says; name the same counters in all pairs of a mesh",
            )


def _rule_problems(pairs: Sequence[_Pair], table: str | None) -> Iterator[tuple[str, str]]:
    """Policies of one table that are of different kinds, or not there in all pairs."""
    told = {pair.path: pair.rule(table) for pair in pairs}
    given = {path: rule for path, rule in told.items() if rule is not None}
    if not given:
        return
    path, rule = next(iter(given.items()))
    for pair in pairs:
        own = told[pair.path]
        where = f"{pair.path}.conflicts{_below(table)}.policy"
        if table and pair.table(table).get("policy") is None:
            yield (
                where,
                f"is missing, and {path} has one: give the table a policy of its own in all pairs "
                "of a mesh, or in none",
            )
        elif own is not None and own.spelled != rule.spelled:
            yield (
                where,
                f"is {own.spelled}, and {rule.spelled} in {path}; all pairs of a mesh must say the "
                "same, but for who wins",
            )


def _told(pairs: Sequence[_Pair], winners: Sequence[str]) -> str:
    """Who wins against whom."""
    losers = [next(s for s in p.sites if s != won) for p, won in zip(pairs, winners, strict=True)]
    return ", ".join(f"{won} before {lost}" for won, lost in zip(winners, losers, strict=True))


def _below(table: str | None) -> str:
    return f".tables.{table}" if table else ""


def _meshes(data: Mapping[str, Any]) -> dict[str, list[_Pair]]:
    """The pairs of each mesh by its name; a mesh with a mistake of shape is left out whole."""
    found: dict[str, list[_Pair]] = {}
    broken: set[str] = set()
    for name, entry in _mapping(data.get("pairs")).items():
        mesh = _mapping(entry).get("mesh")
        if not isinstance(mesh, str):
            continue
        sites = entry.get("sites")
        named = [str(site) for site in sites] if isinstance(sites, list) else []
        if len(set(named)) == len(named) == 2:
            found.setdefault(mesh, []).append(_Pair(f"pairs.{name}", (named[0], named[1]), entry))
        else:
            broken.add(mesh)
    return {mesh: pairs for mesh, pairs in found.items() if mesh not in broken}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _columns(value: object) -> list[str]:
    return sorted(str(column) for column in value) if isinstance(value, list) else []
