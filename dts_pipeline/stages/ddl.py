"""`ddl: additive` and `ignore`: what is done about tables that are not alike, before a run reads.

On a pair either link makes up for both directions, whichever runs first: the other one's events
would have no place for the new column either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from dts_pipeline.adapters.alter import altering
from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.definitions import (
    escaped,
    read_collations,
    read_definitions,
    show_create,
)
from dts_pipeline.adapters.shapes import Shapes
from dts_pipeline.adapters.table_schema import read_tables
from dts_pipeline.core.column_sql import table_name
from dts_pipeline.core.ddl import Change, Definitions, Flow, changes, new_tables, refuse_lost
from dts_pipeline.core.exclusion import without_extra
from dts_pipeline.core.links import Ddl
from dts_pipeline.core.schema import Table
from dts_pipeline.core.shapes import Shape
from dts_pipeline.errors import TransientError
from dts_pipeline.stages.runtime import LinkRuntime

Tables = Mapping[str, Table]


def site_tables(runtime: LinkRuntime) -> tuple[dict[str, Table], dict[str, Table]]:
    """The link's tables at its source and at its target, as far as they are carried.

    Under `ddl: ignore` the source's columns that the target lacks are excluded.
    """
    link = runtime.link
    source, target = (
        read_tables(database, link.matches, link.excluded_columns)
        for database in (runtime.source, runtime.target)
    )
    if link.ddl is Ddl.IGNORE:
        source = {name: without_extra(one, target.get(name)) for name, one in source.items()}
    return source, target


@dataclass(frozen=True)
class Alike:
    """The tables of both sites once what is missing was made up, and the statements that were run.

    `remember` is called once they are known to fit.
    """

    source: dict[str, Table]
    target: dict[str, Table]
    altered: tuple[Change, ...] = ()
    directions: tuple[_Direction, ...] = ()

    def remember(self) -> None:
        """Keeps what the tables are like: what one site lacks of it later was dropped there."""
        for direction in self.directions:
            direction.remember()


def made_alike(runtime: LinkRuntime) -> Alike:
    """The link's tables (`site_tables`); an additive link first gives each site what it lacks.

    Not while the lane is paused, nor by another server than the one that it has read so far.
    Raises TerminalError `table_missing`, `column_missing` for what was dropped or renamed,
    `ddl_by_hand`, `ddl_refused`; TransientError `ddl_waited`, `ddl_busy`, `ddl_awaits_events`.
    """
    found = _read(runtime)
    if not found.directions:
        return found
    standing = runtime.ledger.read(runtime.link.name, runtime.link.lane)
    incarnation = runtime.source.facts.incarnation
    if standing and (standing.paused or standing.incarnation != incarnation):
        return replace(found, directions=())
    altered: list[Change] = []
    lacking = [d for d in found.directions if next(d.wanted(), None) is not None]
    for direction in lacking:
        altered += direction.made_up()
    # Read anew also if another run has made up all of it meanwhile.
    return replace(_read(runtime), altered=tuple(altered)) if lacking else found


def _read(runtime: LinkRuntime) -> Alike:
    source, target = site_tables(runtime)
    additive = runtime.link.ddl is Ddl.ADDITIVE
    return Alike(
        source, target, (), tuple(_directions(runtime, source, target)) if additive else ()
    )


def _directions(runtime: LinkRuntime, source: Tables, target: Tables) -> Iterator[_Direction]:
    link = runtime.link
    there = runtime.source, read_definitions(runtime.source, source)
    here = runtime.target, read_definitions(runtime.target, target)
    ways = [(link.name, there, here), *([(link.reverse, here, there)] if link.pair else [])]
    for name, one, other in ways:
        known = Shapes(other[0], name).read(link.matches)
        yield _Direction(runtime, name, one, other, known)


@dataclass(frozen=True)
class _Direction:
    """One direction, with the tables of both ends; `link` is the one whose direction it is.

    `known` is what was remembered when they were read.
    """

    runtime: LinkRuntime
    link: str
    source: tuple[Database, Definitions]
    target: tuple[Database, Definitions]
    known: Mapping[str, Shape]

    def wanted(self) -> Iterator[Change]:
        """What the target lacks, table by table."""
        flow, known = self._flow(), self.known
        source, target = self.source[1], self.target[1]
        refuse_lost(flow, source, target, known)
        if self.link == self.runtime.link.name:  # the other direction's link sees to its own
            for change in new_tables(flow, source, target, self._shower(*self.source)):
                self._refuse_unseen_rows(change.table)
                yield change
        for name in sorted(source.keys() & target.keys() & known.keys()):
            shown = self._shower(*self.target)
            yield from changes(flow, source[name], target[name], known[name], shown)

    def made_up(self) -> Iterator[Change]:
        """Runs what is wanted, looked at again under the server's lock of schema changes."""
        with altering(self.target[0], self.link) as session:
            fresh = next(d for d in _read(self.runtime).directions if d.link == self.link)
            for change in fresh.wanted():
                if session.run(self.link, change):
                    self._shapes.note(change, self.runtime.run_id)
                    yield change

    def remember(self) -> None:
        """Keeps the tables that both ends have, and forgets the others."""
        source, target = self.source[1], self.target[1]
        both = source.keys() & target.keys()
        now = {name: Shape.of(source[name], target[name]) for name in both}
        self._shapes.keep(self.known, now)

    def _flow(self) -> Flow:
        source, target = self.source[0], self.target[0]
        dialects = source.facts.dialect, target.facts.dialect
        both_ways = self.runtime.link.pair is not None
        return Flow(
            self.link,
            source.site,
            target.site,
            dialects,
            self._knows,
            both_ways,
            target.names.own,
            bool(source.names or target.names),
        )

    def _knows(self, collation: str) -> bool:
        return collation in self._collations

    @cached_property
    def _collations(self) -> frozenset[str]:
        return read_collations(self.target[0])

    @property
    def _shapes(self) -> Shapes:
        return Shapes(self.target[0], self.link)

    @staticmethod
    def _shower(database: Database, definitions: Definitions) -> Callable[[str], str]:
        return lambda name: show_create(database, definitions[name].table)

    def _refuse_unseen_rows(self, name: str) -> None:
        """A table that was renamed into the link's patterns has rows that no event tells of."""
        runtime, table = self.runtime, self.source[1][name].table
        if runtime.standing() is None or runtime.admin.topics([runtime.link.topic_of(name)]):
            return
        if not self.source[0].query(f"SELECT 1 FROM {escaped(table_name(table))} LIMIT 1"):
            return
        raise TransientError(
            "ddl_awaits_events",
            "a new table has rows, and none of their events is in Kafka yet",
            where={"link": self.link, "table": name},
            remedy="The next run tries again by itself. If it stays so, the rows were written "
            "elsewhere, and the table was renamed: make it at the target by hand, then `dts load`.",
        )
