"""The children of rows in dispute, where cascades are not logged: they are compared as well.

A row can be deleted or moved at one site by a cascade of its parent, and be another's child at the
other site by then. Its own children were taken along at the first site, unlogged, and stayed at the
second, where nothing hit it: the only trace is the record of the row itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dts_pipeline.adapters.reconcile_records import Overwritten, open_own_records
from dts_pipeline.adapters.reconcile_site import ReconcileSite
from dts_pipeline.adapters.table_schema import read_tables
from dts_pipeline.core.cascade_statements import rows_that_refer
from dts_pipeline.core.conflicts import Kind, Winner
from dts_pipeline.core.marks import reconcile_comment
from dts_pipeline.core.reconcile_statements import ReconcileStatements
from dts_pipeline.core.row_values import to_json
from dts_pipeline.core.schema import ForeignKey, Table
from dts_pipeline.core.statements import TableStatements
from dts_pipeline.stages.pair import PairRuntime
from dts_pipeline.stages.plan import unlogged
from dts_pipeline.stages.reconcile import TableKeys
from dts_pipeline.stages.runtime import LinkRuntime


@dataclass
class Children:
    """Opens records for them, each once in a settlement."""

    pair: PairRuntime
    _seen: set[tuple[str, str]] = field(default_factory=set)
    _edges: tuple[ForeignKey, ...] | None = None

    def open(self, disputed: Sequence[TableKeys]) -> int:
        """Opens a record, unless there is one, for each row that refers to one of these; how many.

        They are settled like any other, and their own children after them.
        """
        opened = 0
        for keys in disputed:
            wanted = [key for o, key in enumerate(keys.keys) if keys.records.get(o)]
            opened += self.open_of(keys.name, wanted)
        return opened

    def open_of(self, parent: str, keys: Sequence[tuple[object, ...]]) -> int:
        """As `open`, for rows that refer to rows of these keys of one table."""
        edges = [edge for edge in self.edges if edge.parent == parent]
        if not edges or not keys:
            return 0
        return sum(self._open(link, edges, keys) for link in (self.pair.forth, self.pair.back))

    @property
    def edges(self) -> tuple[ForeignKey, ...]:
        """The foreign keys whose cascades one of the sites does not log."""
        if self._edges is None:
            found = [
                edge
                for runtime in (self.pair.forth, self.pair.back)
                for edge in unlogged(runtime, _carried(runtime))
            ]
            self._edges = tuple(dict.fromkeys(found))
        return self._edges

    def _open(
        self, runtime: LinkRuntime, edges: Sequence[ForeignKey], keys: Sequence[tuple[object, ...]]
    ) -> int:
        """At the link's target, as its lane that carries the parent."""
        runtime = runtime.carrying(edges[0].parent)
        link = runtime.link
        names = {name for edge in edges for name in (edge.parent, edge.child)}
        tables = read_tables(runtime.target, names.__contains__, link.excluded_columns)
        opened = 0
        with ReconcileSite.opened(runtime.target, link) as site:
            parent = self._in_order(tables.get(edges[0].parent))
            if parent is None:
                return 0
            dialect, comment = runtime.target.facts.dialect, reconcile_comment(link.name)
            staged = ReconcileStatements(TableStatements(parent, dialect, 0, comment))
            site.load_keys(staged, keys)
            for edge in edges:
                child = tables.get(edge.child)
                if child is None:
                    continue
                site.cursor.execute(rows_that_refer(edge, parent, child, staged.keys))
                found = self._fresh(child, site.cursor.fetchall())
                standing = runtime.ledger.read(link.name, link.lane)
                open_own_records(
                    site.cursor,
                    link.name,
                    link.lane,
                    standing.batch if standing else 0,
                    Kind.CASCADE,
                    [Overwritten(child.full_name, key, None, None) for key in found],
                    Winner.NONE,
                )
                opened += len(found)
            site.connection.commit()
        return opened

    def _in_order(self, parent: Table | None) -> Table | None:
        """A parent as a site has it, its key in the order of the pair's first site, as keys are."""
        first = self.pair.first
        if parent is None:
            return None
        own = read_tables(first, parent.full_name.__eq__, self.pair.forth.link.excluded_columns)
        return replace(parent, primary_key=own[parent.full_name].primary_key)

    def _fresh(self, child: Table, rows: Sequence[Sequence[object]]) -> list[str]:
        keys = [to_json(child.primary_key, row) for row in rows]
        fresh = [key for key in dict.fromkeys(keys) if (child.full_name, key) not in self._seen]
        self._seen.update((child.full_name, key) for key in fresh)
        return fresh


def _carried(runtime: LinkRuntime) -> Mapping[str, Table]:
    link = runtime.link
    return read_tables(runtime.source, link.matches, link.excluded_columns)
