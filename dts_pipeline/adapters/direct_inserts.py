"""Rows that come in, loaded straight into their table: no stage to fill and to read again.

For a table all of whose changes in a batch are inserts, as detection expects them: no row has their
keys. LOAD DATA LOCAL leaves out with a warning what the server would refuse, so the full count and
no warning say just that, and nothing less does: then the batch is applied once more by way of the
stages, which tell what is in the way. Until the transaction's end nobody has seen such a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pymysql.cursors import Cursor

from dts_pipeline.adapters.bulk_load import Piece, load_pieces, slices
from dts_pipeline.core.column_sql import column_name, table_name
from dts_pipeline.core.decode import ValueDecodeError, ValueModes, decode_rows
from dts_pipeline.core.load_text import binary_columns, rendered
from dts_pipeline.core.schema import Table
from dts_pipeline.core.statements import TableStatements

LEAST = 100
"""Rows from which on a stage is worth sparing; what may have to be applied twice stays few."""
_LONGEST_SORTED = 200  # bytes of a key


class NotAsExpectedError(Exception):
    """Some row could not be inserted as it is; nothing that anybody sees."""


def are_inserts(changes: pd.DataFrame, statements: TableStatements) -> bool:
    """Whether a table's changes may be loaded straight into it.

    Not with counters or secondary unique keys, whose rows may be in dispute.
    """
    return (
        len(changes) >= LEAST
        and statements.look(detect=True) is not None
        and bool(changes["before"].isna().all() and changes["after"].notna().all())
    )


@dataclass(frozen=True)
class DirectInserts:
    """The rows to come, still encoded, in about the order of their keys."""

    statements: TableStatements
    source: Table
    rows: Sequence[bytes]
    modes: ValueModes

    @classmethod
    def of(
        cls, changes: pd.DataFrame, statements: TableStatements, source: Table, modes: ValueModes
    ) -> DirectInserts:
        """Those of a table's changes."""
        rows = changes["after"].to_numpy(dtype=object)[_by_key(changes["key"])]
        return cls(statements, source, rows.tolist(), modes)

    def write(self, cursor: Cursor) -> int:
        """Inserts the rows; how many. Raises NotAsExpectedError; nothing is to be kept then."""
        names = [column_name(column) for column in self.statements.columns]
        table, comment = table_name(self.statements.table), self.statements.mark_comment
        try:
            if load_pieces(cursor, table, names, self._pieces(), comment):
                return len(self.rows)
        except ValueDecodeError:
            pass
        raise NotAsExpectedError

    def _pieces(self) -> Iterator[Piece]:
        table = self.statements.table
        for start, end in slices(len(self.rows), len(self.statements.columns)):
            rows = self.rows[start:end]
            decoded = decode_rows(rows, table, self.modes, source=self.source, empty_enums=True)
            if decoded.empty_enums:  # no text says ENUM's error value
                raise NotAsExpectedError
            columns = [decoded.columns[column.name] for column in self.statements.columns]
            yield Piece(rendered(columns, 0, len(rows)), len(rows), binary_columns(columns))


def _by_key(keys: pd.Series[bytes]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """An order in which numbers of equal length grow: B-trees are filled from one end.

    Long keys stay as they come: an array has as much room for each as the longest takes.
    """
    lengths = keys.map(len).to_numpy()
    if lengths.max() > _LONGEST_SORTED:
        return np.arange(len(keys))
    return np.lexsort([keys.to_numpy(dtype=np.bytes_), lengths])
