"""What reconcile works with: a pair's two links, and in a full mesh those of its other pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dts_pipeline.adapters.database import Database
from dts_pipeline.stages.runtime import LinkRuntime


@dataclass(frozen=True)
class PairRuntime:
    """Both links of a pair: `forth` from the first site to the second, `back` the other way.

    `beside` are the other pairs of its mesh, without theirs; empty outside of one.
    """

    forth: LinkRuntime
    back: LinkRuntime
    beside: tuple[PairRuntime, ...] = ()

    @property
    def name(self) -> str:
        """The pair's name in dts.yaml."""
        return self.forth.link.pair or self.forth.link.name

    @property
    def links(self) -> tuple[LinkRuntime, ...]:
        """Its own two links, then those of its mesh."""
        return links_of((self, *self.beside))

    @property
    def lanes(self) -> tuple[PairRuntime, ...]:
        """The links' lanes by table; a round holds those of its keys, and no others."""
        if len(self.forth.groups) == 1:
            return (self,)
        both = zip(self.forth.groups, self.back.groups, strict=True)
        beside = [pair.lanes for pair in self.beside]
        return tuple(
            PairRuntime(forth, back, tuple(lanes[number] for lanes in beside))
            for number, (forth, back) in enumerate(both)
        )

    def carries(self, table: str) -> bool:
        """Whether a table is one of the lane's."""
        return self.forth.link.matches(table)

    @property
    def first(self) -> Database:
        """The first site: forth's source, back's target."""
        return self.forth.source

    @property
    def second(self) -> Database:
        """The second site."""
        return self.forth.target

    @property
    def sites(self) -> tuple[Database, ...]:
        """Its two sites, then those of its mesh."""
        return self.alone.sites

    @property
    def turned(self) -> PairRuntime:
        """The same pair, its second site first."""
        return replace(self, forth=self.back, back=self.forth)

    def star(self, centre: str) -> Star:
        """The pair's sites, with its mesh's in the mesh's order, seen from one of them."""
        pairs = [replace(self, beside=()), *self.beside]
        arms = [
            pair if pair.first.site == centre else pair.turned
            for pair in pairs
            if centre in (pair.first.site, pair.second.site)
        ]
        mesh = self.forth.link.mesh
        arms.sort(key=lambda arm: mesh.index(arm.second.site) if mesh else 0)
        rim = [p for p in pairs if centre not in (p.first.site, p.second.site)]
        return Star(self.name, tuple(arms), tuple(rim))

    @property
    def alone(self) -> Star:
        """The pair's own two sites; those of its mesh only hold still."""
        return Star(self.name, (replace(self, beside=()),), self.beside)

    def close(self) -> None:
        """Ends all links' connections."""
        for link in self.links:
            link.close()


@dataclass(frozen=True)
class Star:
    """What a round of reconcile works on: pairs from one site to each of the others.

    `arms`: the pairs whose rows are compared, each with the centre as its first site. `rim`: pairs
    that are waited for and held as well. Of a pair by itself there is one arm and no rim.
    """

    name: str
    arms: tuple[PairRuntime, ...]
    rim: tuple[PairRuntime, ...] = ()

    @property
    def links(self) -> tuple[LinkRuntime, ...]:
        """Every link, each pair's two together."""
        return links_of((*self.arms, *self.rim))

    @property
    def sites(self) -> tuple[Database, ...]:
        """The centre, the other sites of the arms, then any other that a rim's links write at."""
        found = {arm.first.site: arm.first for arm in self.arms[:1]}
        for pair in (*self.arms, *self.rim):
            for site in (pair.second, pair.first):
                found.setdefault(site.site, site)
        return tuple(found.values())

    def writing(self, site: str) -> tuple[LinkRuntime, ...]:
        """The links that write at a site."""
        return tuple(link for link in self.links if link.target.site == site)


def links_of(pairs: Sequence[PairRuntime]) -> tuple[LinkRuntime, ...]:
    """Both links of each pair."""
    return tuple(link for pair in pairs for link in (pair.forth, pair.back))
