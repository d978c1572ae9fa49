"""`ddl: additive` and `ignore`: what is done about tables that are not alike, before a run reads.

On a pair either link makes up for both directions, whichever runs first: the other one's events
would have no place for the new column either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from dts_pipeline.adapters.alter import AlterSession, altering
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


def make_up(runtime: LinkRuntime, source: Tables, target: Tables) -> tuple[Change, ...]:
    """Gives each site of an additive link what it lacks of the other; the statements that ran.

    `source` and `target` are the tables of `site_tables`; read them anew if anything ran. Raises
    TerminalError `table_missing`, `column_missing` for what was dropped or renamed, `ddl_by_hand`,
    `ddl_refused`; TransientError `ddl_waited`, `ddl_busy`, `ddl_awaits_events`.
    """
    if runtime.link.ddl is not Ddl.ADDITIVE:
        return ()
    ran: list[Change] = []
    for direction in _directions(runtime, source, target):
        if next(direction.wanted(), None) is not None:
            ran += direction.made_up()
    return tuple(ran)


def remember(runtime: LinkRuntime, source: Tables, target: Tables) -> None:
    """Keeps what tables that fit are like: what one site lacks of it later was dropped there."""
    if runtime.link.ddl is Ddl.ADDITIVE:
        for direction in _directions(runtime, source, target):
            direction.remember()


def _directions(runtime: LinkRuntime, source: Tables, target: Tables) -> Iterator[_Direction]:
    link = runtime.link
    there = read_definitions(runtime.source, source)
    here = read_definitions(runtime.target, target)
    yield _Direction(runtime, link.name, (runtime.source, there), (runtime.target, here))
    if link.pair:
        yield _Direction(runtime, link.reverse, (runtime.target, here), (runtime.source, there))


@dataclass(frozen=True)
class _Direction:
    """One direction, with the tables of both ends; `link` is the one whose direction it is."""

    runtime: LinkRuntime
    link: str
    source: tuple[Database, Definitions]
    target: tuple[Database, Definitions]

    def wanted(self) -> Iterator[Change]:
        """What the target lacks, table by table."""
        flow, known = self._flow(), self._shapes.read(self.runtime.link.matches)
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
        database = self.target[0]
        with altering(database, self.link) as session:
            for change in self._fresh().wanted():
                if self._run(session, change):
                    yield change

    def _run(self, session: AlterSession, change: Change) -> bool:
        done = session.run(self.link, change)
        if done:
            self._shapes.note(change, self.runtime.run_id)
        return done

    def remember(self) -> None:
        before = self._shapes.read(self.runtime.link.matches)
        source, target = self.source[1], self.target[1]
        both = source.keys() & target.keys()
        self._shapes.keep(before, {name: Shape.of(source[name], target[name]) for name in both})

    def _fresh(self) -> _Direction:
        """The same with the tables of now."""
        link = self.runtime.link
        ends = []
        for database, _ in (self.source, self.target):
            tables = read_tables(database, link.matches, link.excluded_columns)
            ends.append((database, read_definitions(database, tables)))
        return replace(self, source=ends[0], target=ends[1])

    def _flow(self) -> Flow:
        source, target = self.source[0], self.target[0]
        return Flow(
            self.link,
            source.site,
            target.site,
            (source.facts.dialect, target.facts.dialect),
            read_collations(target),
            self.runtime.link.pair is not None,
        )

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
