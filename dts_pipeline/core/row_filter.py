"""Row filters: which rows of events are inside, and what an event says to a target without others.

A row outside is as good as absent there. A change that brings a row inside is an insert of the
whole row, one that takes it outside a delete; an event of a row outside before and after is none.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dts_pipeline.core.condition_fit import kinds_of
from dts_pipeline.core.condition_values import Values, is_true
from dts_pipeline.core.conditions import Condition, columns_of
from dts_pipeline.core.decode import decode_rows
from dts_pipeline.core.decode_modes import ValueModes
from dts_pipeline.core.schema import Table
from dts_pipeline.core.undecodable import find_undecodable

_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RowFilter:
    """A condition on the rows of one table, as it is at the source."""

    condition: Condition
    table: Table
    modes: ValueModes

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are decoded."""
        return columns_of(self.condition)

    def inside(self, rows: Sequence[bytes | None]) -> _Mask:
        """Which of these rows (`before` or `after` as sent; None: absent, never inside) are inside.

        Raises what `decode_rows` raises of the columns that the condition names.
        """
        decoded = decode_rows(rows, self.table, self.modes, empty_enums=True, only=self.columns)
        kinds = kinds_of(self.condition, self.table)
        columns = {}
        for name, kind in kinds.items():
            values = decoded.columns[name]
            for at in decoded.empty_enums.get(name, ()):
                values[at] = ""
            columns[name] = Values.of(kind, values)
        return is_true(self.condition, columns) & np.array(decoded.present, dtype=np.bool_)

    def undecodable(self, rows: Sequence[bytes | None]) -> Collection[int]:
        """The places of rows of which it cannot be told."""
        return find_undecodable(rows, self.table, self.modes, self.table, self.columns)


def without_outside(events: pd.DataFrame, before: _Mask, after: _Mask) -> pd.DataFrame:
    """One table's events (columns op, before, after, marked), with rows outside made absent.

    `before` and `after` say which rows are inside. Users' events of rows outside are left out.
    """
    absent = np.full(len(events), None, dtype=object)
    op = events["op"].to_numpy(dtype=object, copy=True)
    op[before & ~after] = "d"
    op[~before & after & (op == "u")] = "c"
    narrower = events.assign(
        op=op,
        before=np.where(before, events["before"].to_numpy(dtype=object), absent),
        after=np.where(after, events["after"].to_numpy(dtype=object), absent),
    )
    kept: pd.DataFrame = narrower[before | after | events["marked"].to_numpy(dtype=np.bool_)]
    return kept
