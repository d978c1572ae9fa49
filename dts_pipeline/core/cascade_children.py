"""The temporary tables of a table whose rows unlogged cascades change, beside `cascade_statements`.

`window` holds the keys that have events in the batch (`cascades.windows`); `held`, of a table that
is a parent as well, what its events say (`cascades.held_references`).
"""

from __future__ import annotations

from dataclasses import dataclass

from dts_pipeline.core.column_sql import stage_type
from dts_pipeline.core.row_values import key_columns
from dts_pipeline.core.schema import Table
from dts_pipeline.core.statements import LEDGER_SCHEMA, TableStatements

OPTIONS = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC"
_NOT_INDEXED = {
    "tinytext", "text", "mediumtext", "longtext", "tinyblob", "blob", "mediumblob", "longblob",
}  # fmt: skip


@dataclass(frozen=True)
class ChildStatements:
    """What a child table's foreign keys share; `number` keeps the tables of a batch apart.

    `stage` is where its own changes of the batch lie, None without any. `held_names` are the
    columns of `held`, empty for a table that is no parent.
    """

    table: Table
    number: int
    stage: TableStatements | None = None
    held_names: tuple[str, ...] = ()

    @property
    def window(self) -> str:
        """The temporary table of keys with events in the batch."""
        return f"`{LEDGER_SCHEMA}`.`cascade_window_{self.number}`"

    @property
    def held(self) -> str:
        """The temporary table of what its events held."""
        return f"`{LEDGER_SCHEMA}`.`cascade_held_{self.number}`"

    def create(self) -> list[str]:
        """Makes both anew."""
        keys = key_columns(self.table)
        columns = [f"k{i} {stage_type(c)}" for i, c in enumerate(keys)]
        if not any(c.data_type in _NOT_INDEXED for c in keys):
            columns.append(f"UNIQUE KEY ({', '.join(f'k{i}' for i in range(len(keys)))})")
        ordinals = ", ".join(
            f"{name} BIGINT NOT NULL" for name in ("mark_at", "first_at", "last_at")
        )
        held = ["since BIGINT NOT NULL", "until_at BIGINT NOT NULL"]
        held += [
            f"c{i} {stage_type(self.table.column(name))}" for i, name in enumerate(self.held_names)
        ]
        return [
            *(f"DROP TEMPORARY TABLE IF EXISTS {name}" for name in (self.window, self.held)),
            f"CREATE TEMPORARY TABLE {self.window} "
            f"({ordinals}, staged TINYINT NOT NULL, {', '.join(columns)}) {OPTIONS}",
            f"CREATE TEMPORARY TABLE {self.held} ({', '.join(held)}) {OPTIONS}",
        ]

    def fill_window(self) -> str:
        """The INSERT of a key: mark, first, last, 0, key values. Keys that are equal become one."""
        values = ", ".join(["%s"] * (4 + len(self.table.primary_key)))
        return (
            f"INSERT INTO {self.window} VALUES ({values}) ON DUPLICATE KEY UPDATE "
            "mark_at = GREATEST(mark_at, VALUES(mark_at)), "
            "first_at = LEAST(first_at, VALUES(first_at)), "
            "last_at = GREATEST(last_at, VALUES(last_at))"
        )

    def fill_held(self) -> str:
        """The INSERT of what an event held: since, until, values of the columns."""
        return f"INSERT INTO {self.held} VALUES ({', '.join(['%s'] * (2 + len(self.held_names)))})"

    def note_staged(self) -> str | None:
        """Notes which keys have a change in the batch; None where none has."""
        if self.stage is None:
            return None
        both = f"{self.stage.stage} AS s STRAIGHT_JOIN {self.window} AS w"
        return f"UPDATE {both} ON {self.same_key('w', 's')} SET w.staged = 1"

    def same_key(self, one: str, two: str) -> str:
        """The join of two of the temporary tables on the key."""
        return " AND ".join(f"{one}.k{i} = {two}.k{i}" for i in range(len(self.table.primary_key)))

    def turned(self) -> str:
        """The staged rows that came and went within the batch: ord."""
        assert self.stage is not None
        return f"SELECT ord FROM {self.stage.stage} WHERE is_delete AND NOT has_before"

    def take_out(self) -> str:
        """Takes rows (a list of ord) out of what is written."""
        assert self.stage is not None
        return f"DELETE FROM {self.stage.stage} WHERE ord IN %s"
