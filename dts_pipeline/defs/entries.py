"""The pairs and one-way links of dts.yaml as jobs have them, with the resources they work with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from dts_pipeline.core.links import Link
from dts_pipeline.defs.resources import runtime_key

if TYPE_CHECKING:  # pandas, SQLAlchemy and Kafka's client are left for the run to import
    from dts_pipeline.stages import LinkRuntime
    from dts_pipeline.stages.pair import PairRuntime
    from dts_pipeline.stages.verify import Comparison


@dataclass(frozen=True)
class Entry:
    """A pair with its two links, or a one-way link; `beside` are the other pairs of its mesh."""

    name: str
    links: tuple[Link, ...]
    beside: tuple[tuple[Link, ...], ...] = ()

    @property
    def is_pair(self) -> bool:
        """Whether it is a pair."""
        return len(self.links) == 2

    @property
    def resources(self) -> set[str]:
        """The resources that an op needs for it: the runtimes of its links, and of its mesh's."""
        links = chain(self.links, *self.beside)
        return {runtime_key(link.name) for link in links}

    def pair(self, context: Any) -> PairRuntime:
        """The pair's runtimes, from the op's resources."""
        return replace(_pair(context, self.links), beside=self._mesh(context))

    def comparison(self, context: Any) -> Comparison:
        """What compares its sites, from the op's resources."""
        from dts_pipeline.stages.verify import Comparison

        return Comparison(self.name, _runtimes(context, self.links), beside=self._mesh(context))

    def _mesh(self, context: Any) -> tuple[PairRuntime, ...]:
        return tuple(_pair(context, links) for links in self.beside)


def entries_of(links: Iterable[Link]) -> dict[str, Entry]:
    """Every pair and one-way link by its name, in dts.yaml's order."""
    found: dict[str, tuple[Link, ...]] = {}
    for link in links:
        name = link.pair or link.name
        found[name] = (*found.get(name, ()), link)
    return {
        name: Entry(name, own, tuple(found[pair] for pair in own[0].mesh_pairs))
        for name, own in found.items()
    }


def _runtimes(context: Any, links: Sequence[Link]) -> tuple[LinkRuntime, ...]:
    return tuple(getattr(context.resources, runtime_key(link.name)) for link in links)


def _pair(context: Any, links: Sequence[Link]) -> PairRuntime:
    from dts_pipeline.stages.pair import PairRuntime

    forth, back = _runtimes(context, links)
    return PairRuntime(forth, back)
