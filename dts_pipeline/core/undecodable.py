"""Finds every row that cannot be decoded, where one is not the end of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dts_pipeline.core.decode import decode_rows
from dts_pipeline.core.decode_errors import ValueDecodeError
from dts_pipeline.core.decode_modes import ValueModes
from dts_pipeline.core.schema import Table


def find_undecodable(
    rows: Sequence[bytes | None],
    table: Table,
    modes: ValueModes,
    source: Table,
    only: Collection[str] | None = None,
) -> dict[int, ValueDecodeError]:
    """The errors of `decode_rows` by the row's index; its other errors are raised.

    One pass where there is none; then by halves.
    """

    def search(rows: Sequence[bytes | None], start: int) -> dict[int, ValueDecodeError]:
        try:
            decode_rows(rows, table, modes, source=source, empty_enums=True, only=only)
        except ValueDecodeError as error:
            if len(rows) == 1:
                return {start: error}
        else:
            return {}
        half = len(rows) // 2
        return search(rows[:half], start) | search(rows[half:], start + half)

    return search(rows, 0)
