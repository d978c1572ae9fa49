"""Tables with counters: their columns checked, their events decoded and set apart (rule R5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dts_pipeline.core import delta
from dts_pipeline.core.batches import Plan
from dts_pipeline.core.counter_columns import counter_problems, counters_of
from dts_pipeline.core.decode import ValueDecodeError, decode_rows
from dts_pipeline.core.decode_modes import ValueModes
from dts_pipeline.core.delta import Counters
from dts_pipeline.core.links import Link
from dts_pipeline.core.schema import Table
from dts_pipeline.core.undecodable import find_undecodable
from dts_pipeline.errors import TerminalError


def check_counters(link: Link, source: Mapping[str, Table], target: Mapping[str, Table]) -> None:
    """Refuses columns of `delta` that cannot be added up; tables by `schema.table`.

    Raises TerminalError `counter_unfit`.
    """
    for name, table in source.items():
        counters = counters_of(link, name)
        if counters is None:
            continue
        for column, problem in counter_problems(counters, table, target[name]):
            raise TerminalError(
                "counter_unfit",
                f"a column named under `delta` {problem}",
                where={"link": link.name, "table": name, "column": column},
                remedy="Give both sites the same column, or take it out of `delta`.",
            )


def split_counted(
    link: Link, plan: Plan, events: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """`(rest, counted)`: the events whose counters are added up, as `delta.split` sets them apart.

    `events`: what `normalize` gives. `counted` is None for a link without counters. Raises
    PoisonError for a row that cannot be decoded, unless such keys go into quarantine: they are then
    carried as a whole, so that apply meets them.
    """
    if not link.counters:
        return events, None
    targets = {table.full_name: table for table in plan.tables.values()}
    sources = {table.full_name: table for table in plan.source_tables.values()}
    rest, counted = [], []
    for name, own in events.groupby("table", sort=False, observed=True):
        counters = counters_of(link, str(name))
        if counters is None or name not in targets or name not in sources:
            rest.append(own)
            continue
        joined = delta.join_replaced(own)
        tables = targets[str(name)], sources[str(name)]
        looks_on = link.on_poison == "quarantine"
        added, plain = delta.split(_measured(joined, counters, tables, plan.modes, looks_on))
        rest.append(plain[events.columns])
        counted.append(added)
    empty = events.iloc[:0]
    together = pd.concat([*rest, empty]).sort_values("ordinal").reset_index(drop=True)
    if not counted:
        return together, None
    return together, pd.concat(counted).sort_values("ordinal").reset_index(drop=True)


def _measured(
    events: pd.DataFrame,
    counters: Counters,
    tables: tuple[Table, Table],
    modes: ValueModes,
    looks_on: bool,
) -> pd.DataFrame:
    scales = [tables[1].column(name).scale for name in counters.columns]
    before, after = (
        _decoded(events, side, tables, modes, looks_on) for side in ("before", "after")
    )
    return delta.measure(events, before, after, counters, scales)


def _decoded(
    events: pd.DataFrame,
    side: str,
    tables: tuple[Table, Table],
    modes: ValueModes,
    looks_on: bool,
) -> Mapping[str, Sequence[Any]]:
    """The rows by column; one that cannot be decoded counts as absent if it `looks_on`."""
    target, source = tables
    rows = events[side].tolist()
    if looks_on:
        bad = find_undecodable(rows, target, modes, source)
        rows = [None if i in bad else row for i, row in enumerate(rows)] if bad else rows
    try:
        return decode_rows(rows, target, modes, source=source, empty_enums=True).columns
    except ValueDecodeError as error:
        place = events.iloc[error.row]
        where = str(place["topic"]), int(place["partition"]), int(place["offset"])
        raise error.at(*where) from None
