"""Tables with a row filter: their conditions checked, and events of rows outside let go."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from dts_pipeline.core.batches import Plan
from dts_pipeline.core.condition_fit import (
    UNFIT_REMEDY,
    UNKNOWN_REMEDY,
    divided_by_cascade,
    unfit,
)
from dts_pipeline.core.conditions import Condition
from dts_pipeline.core.decode_errors import ValueDecodeError
from dts_pipeline.core.links import Link
from dts_pipeline.core.row_filter import RowFilter, without_outside
from dts_pipeline.core.schema import ForeignKey, Table
from dts_pipeline.errors import TerminalError


def check_filters(
    link: Link, source: Mapping[str, Table], cascades: tuple[ForeignKey, ...] = ()
) -> None:
    """Refuses conditions that do not fit the source's tables (by `schema.table`).

    `cascades`: the foreign keys whose cascades the source does not log. Raises TerminalError
    `where_unknown`, `where_unfit`, `where_with_cascade`.
    """
    for name, condition in link.filters.items():
        if name in source:
            check_filter(link, condition, source[name])
        elif link.matches(name):
            raise _unknown(link, name, "the source has no such table")
    for name, key in divided_by_cascade(link.filters, cascades):
        raise TerminalError(
            "where_with_cascade",
            "the source does not log the rows that a foreign key changes, and of a table with "
            "`where` the target has not all that they follow from",
            where={"link": link.name, "table": name, "constraint": key.name},
            remedy="Take the table out of `where`, or give the foreign key another action.",
        )


def check_filter(link: Link, condition: Condition, table: Table) -> None:
    """Refuses a condition that does not fit the source's table; raises as `check_filters` does."""
    for problem in unfit(condition, table):
        if problem.is_unknown:
            raise _unknown(link, table.full_name, problem.what, column=problem.column)
        raise TerminalError(
            "where_unfit",
            f"`where`: {problem.what}",
            where={"link": link.name, "table": table.full_name, "column": problem.column},
            remedy=UNFIT_REMEDY,
        )


def _unknown(link: Link, table: str, what: str, **place: str) -> TerminalError:
    return TerminalError(
        "where_unknown",
        f"`where`: {what}",
        where={"link": link.name, "table": table, **place},
        remedy=UNKNOWN_REMEDY,
    )


def of_inside_rows(link: Link, plan: Plan, events: pd.DataFrame) -> pd.DataFrame:
    """The events of rows that the link carries; `events`: as `normalize` has them, marks included.

    Raises PoisonError for a row of which it cannot be told, unless such keys go into quarantine:
    it then counts as inside, so that apply meets it.
    """
    sources = {table.full_name: table for table in plan.source_tables.values()}
    kept = []
    for name, own in events.groupby("table", sort=False, observed=True):
        condition, table = link.filters.get(str(name)), sources.get(str(name))
        if condition is not None and table is not None:
            rule = RowFilter(condition, table, plan.modes)
            before, after = (_inside(link, rule, own, side) for side in ("before", "after"))
            own = without_outside(own, before, after)
        kept.append(own)
    together = pd.concat([*kept, events.iloc[:0]])
    whole: pd.DataFrame = together.sort_values("ordinal").reset_index(drop=True)
    return whole


def _inside(link: Link, rule: RowFilter, events: pd.DataFrame, side: str) -> npt.NDArray[np.bool_]:
    rows = events[side].tolist()
    unknown = list(rule.undecodable(rows)) if link.on_poison == "quarantine" else []
    for at in unknown:
        rows[at] = None
    try:
        inside = rule.inside(rows)
    except ValueDecodeError as error:
        place = events.iloc[error.row]
        where = str(place["topic"]), int(place["partition"]), int(place["offset"])
        raise error.at(*where) from None
    inside[unknown] = True
    return inside
