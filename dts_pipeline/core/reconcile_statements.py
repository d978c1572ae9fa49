"""The SQL of a reconcile's round at one site, beside that of `statements`; all of it pure text.

`keys` holds every key of the round by ordinal, `touched` the keys of the events that came
meanwhile; both are temporary tables of the session. They are joined by the server, because only
its collation says which keys are the same row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dts_pipeline.core.conflicts import Meeting
from dts_pipeline.core.row_values import transfer
from dts_pipeline.core.statements import (
    LEDGER_SCHEMA,
    TableStatements,
    stage_type,
    table_name,
)


@dataclass(frozen=True)
class ReconcileStatements:
    """The statements of one table; `base` has its stages and its join.

    Rows that `inside`, SQL over table `t`, is not true of count as absent for `rows`; '' sees all.
    """

    base: TableStatements
    inside: str = ""

    @property
    def keys(self) -> str:
        """The temporary table of the round's keys."""
        return f"`{LEDGER_SCHEMA}`.`keys_{self.base.slot}`"

    @property
    def touched(self) -> str:
        """The temporary table of the keys that events came for."""
        return f"`{LEDGER_SCHEMA}`.`touched_{self.base.slot}`"

    def create(self) -> list[str]:
        """Makes both anew."""
        columns = ", ".join(f"k{i} {stage_type(c)}" for i, c in enumerate(self.base.key_columns))
        options = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC"
        return [
            f"DROP TEMPORARY TABLE IF EXISTS {self.keys}",
            f"DROP TEMPORARY TABLE IF EXISTS {self.touched}",
            f"CREATE TEMPORARY TABLE {self.keys} (ord INT NOT NULL PRIMARY KEY, {columns}"
            f"{self._index()}) {options}",
            f"CREATE TEMPORARY TABLE {self.touched} ({columns}) {options}",
        ]

    def fill_keys(self) -> str:
        """The INSERT of keys: ord, key values."""
        return f"INSERT INTO {self.keys} VALUES ({self._marks(1)})"

    def equal_keys(self) -> str:
        """Keys that the server holds equal: their ordinals, joined by commas, a row a group."""
        keys = ", ".join(f"k{i}" for i in range(len(self.base.key_columns)))
        return (
            f"SELECT GROUP_CONCAT(ord ORDER BY ord) FROM {self.keys} GROUP BY {keys} "
            "HAVING COUNT(*) > 1"
        )

    def fill_touched(self) -> str:
        """The INSERT of an event's key."""
        return f"INSERT INTO {self.touched} VALUES ({self._marks(0)})"

    def touched_ordinals(self) -> str:
        """The ordinals of the keys that events came for."""
        same = " AND ".join(f"k.k{i} = u.k{i}" for i in range(len(self.base.key_columns)))
        joined = f"{self.touched} AS u STRAIGHT_JOIN {self.keys} AS k"
        return f"SELECT DISTINCT k.ord FROM {joined} ON {same}"

    def rows(self) -> str:
        """Each key's row at this site: ord, found, then every written column, transferable."""
        found = self.base.found
        found += f" AND ({self.inside})" if self.inside else ""
        on = self.base.on_key().replace("s.k", "k.k")
        return (
            f"SELECT STRAIGHT_JOIN k.ord, {found}, {self._columns()} FROM {self.keys} AS k "
            f"LEFT JOIN {table_name(self.base.table)} AS t ON {on} ORDER BY k.ord"
        )

    def compare(self) -> str:
        """How this site's rows meet the other's, which lie in the stage.

        ord, found, equal, newer (1: the other's version is later), then this site's columns.
        """
        found = self.base.found
        same = f"({self.base.meeting(found)}) = {Meeting.SAME.value}"
        return (
            f"SELECT STRAIGHT_JOIN s.ord, {found}, {same}, {self.base.newer()}, {self._columns()} "
            f"FROM {self.base.stage} AS s "
            f"LEFT JOIN {self.base.before} AS b ON b.ord = s.ord "
            f"LEFT JOIN {table_name(self.base.table)} AS t ON {self.base.on_key()} ORDER BY s.ord"
        )

    def met(self) -> str:
        """The staged rows that this site has too: ord, and whether they are equal."""
        same = f"({self.base.meeting('TRUE')}) = {Meeting.SAME.value}"
        return (
            f"SELECT STRAIGHT_JOIN s.ord, {same} FROM {self.base.stage} AS s "
            f"LEFT JOIN {self.base.before} AS b ON b.ord = s.ord "
            f"JOIN {table_name(self.base.table)} AS t ON {self.base.on_key()}"
        )

    def leave_out(self, ordinals: Sequence[int]) -> list[str]:
        """Takes changes out of the stage, a statement a thousand of them."""
        texts = [str(int(ordinal)) for ordinal in ordinals]
        return [
            f"DELETE FROM {self.base.stage} WHERE ord IN ({', '.join(texts[i : i + 1000])})"
            for i in range(0, len(texts), 1000)
        ]

    def _index(self) -> str:
        """An index for the join with what was touched, unless its type needs a prefix length."""
        kind = self.base.key_columns[0].data_type
        return "" if "text" in kind or "blob" in kind else ", KEY (k0)"

    def _columns(self) -> str:
        return ", ".join(transfer(column, "t") for column in self.base.columns)

    def _marks(self, more: int) -> str:
        return ", ".join(["%s"] * (more + len(self.base.key_columns)))
