"""ENUM's error value, `''` with the number 0, on its way into a stage.

Strict mode takes it from no parameter, so that a valid label is inserted in its place, which an
UPDATE IGNORE then replaces. It stands in the stage only; from there it is copied like any value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymysql.cursors import Cursor

from dts_pipeline.core.decode_labels import labels_of
from dts_pipeline.core.schema import Column

Row = tuple[Any, ...]


def standing_in(
    rows: Sequence[Row], columns: Mapping[int, tuple[str, Column]]
) -> tuple[Sequence[Row], dict[str, list[int]]]:
    """The rows with a label for each error value; and where those were.

    Every row begins with its ordinal; `columns` maps a place in the row to the stage's name of the
    column and to the column. The second result maps such names to ordinals. An ENUM that has `''`
    as a label keeps it: the two cannot be told apart by text.
    """
    errors: dict[str, list[int]] = {}
    for place, (name, column) in columns.items():
        labels = labels_of(column.column_type) if column.data_type == "enum" else [""]
        bad = [row[0] for row in rows if row[place] == ""] if "" not in labels else []
        if bad:
            errors[name] = bad
            rows = [
                (*row[:place], labels[0], *row[place + 1 :]) if row[place] == "" else row
                for row in rows
            ]
    return rows, errors


def set_errors(cursor: Cursor, stage: str, errors: Mapping[str, Sequence[int]]) -> None:
    """Puts the error value into `stage` (its quoted name), by column and ordinals."""
    for name, ordinals in errors.items():
        if ordinals:
            cursor.execute(f"UPDATE IGNORE {stage} SET {name} = '' WHERE ord IN %s", (ordinals,))
