"""Unlogged cascades: what a batch's events set free, decoded before anything is dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from dts_pipeline.core import cascades
from dts_pipeline.core.batches import Plan
from dts_pipeline.core.cascades import Cascades
from dts_pipeline.core.decode import ValueDecodeError, decode_rows
from dts_pipeline.core.links import Link
from dts_pipeline.core.schema import Table
from dts_pipeline.core.undecodable import find_undecodable


def cascades_of(link: Link, plan: Plan, events: pd.DataFrame) -> Cascades | None:
    """What the source's server did to rows of other tables without logging it; None for nothing.

    `events`: what `normalize` gives, marked and in order. Raises PoisonError for a row that cannot
    be decoded, unless such keys go into quarantine: then it frees nothing.
    """
    reader = _Reader(link, plan)
    edges = [e for e in plan.cascades if reader.knows(e.parent) and reader.knows(e.child)]
    if not edges:
        return None
    involved = {name for edge in edges for name in (edge.parent, edge.child)}
    own = events[events["table"].isin(list(involved))]
    return cascades.cascades_of(own, edges, reader.decode)


@dataclass(frozen=True)
class _Reader:
    link: Link
    plan: Plan

    def knows(self, name: str) -> bool:
        """Whether the table is there at both sites; else the batch stops when it is staged."""
        topic = self.link.topic_of(name)
        return topic in self.plan.tables and topic in self.plan.source_tables

    def decode(
        self, events: pd.DataFrame, side: str, columns: Sequence[str]
    ) -> Mapping[str, list[Any]]:
        """See `cascades.Decode`; all events of one table."""
        if events.empty:
            return {name: [] for name in columns}
        topic = self.link.topic_of(str(events["table"].iloc[0]))
        target = _only(self.plan.tables[topic], columns)
        source = _only(self.plan.source_tables[topic], columns)
        rows: list[bytes | None] = events[side].tolist()
        if self.link.on_poison == "quarantine":
            rows = self._readable(events, rows, target, source)
        try:
            return decode_rows(rows, target, self.plan.modes, source=source).columns
        except ValueDecodeError as error:
            place = events.iloc[error.row]
            where = str(place["topic"]), int(place["partition"]), int(place["offset"])
            raise error.at(*where) from None

    def _readable(
        self, events: pd.DataFrame, rows: Sequence[bytes | None], target: Table, source: Table
    ) -> list[bytes | None]:
        """The rows, those of events absent of which either side cannot be decoded."""
        bad = {
            row
            for side in ("before", "after")
            for row in find_undecodable(events[side].tolist(), target, self.plan.modes, source)
        }
        return [None if i in bad else row for i, row in enumerate(rows)]


def _only(table: Table, columns: Sequence[str]) -> Table:
    """The table as if only these columns were written: only they are decoded."""
    return replace(
        table,
        columns=tuple(
            c if c.name in columns else replace(c, generated=True) for c in table.columns
        ),
    )
