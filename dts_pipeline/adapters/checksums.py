"""Reads a table's hashes at one site: of a range as one number, or row by row."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pymysql
from pymysql.cursors import Cursor
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from dts_pipeline.adapters.database import Database, translated
from dts_pipeline.core.checksums import TOO_LARGE, RowHash
from dts_pipeline.core.column_sql import column_name, stage_type, table_name
from dts_pipeline.core.key_ranges import Boundary, KeyRange, boundary, in_range, key_order
from dts_pipeline.core.row_values import key_columns, transfer
from dts_pipeline.core.schema import Column, Table
from dts_pipeline.core.statements import LEDGER_SCHEMA
from dts_pipeline.errors import TerminalError, TransientError

HASH = "#hash"
"""The column of a row's hash beside those of its key; no column of a table is called so here."""
_ATTEMPTS = 5
_STAGE = f"`{LEDGER_SCHEMA}`.`verify_keys`"
_OTHERS = f"`{LEDGER_SCHEMA}`.`verify_others`"
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Total:
    """How many rows a range has, and the sum of their hashes."""

    rows: int
    sum: int


class HashReader:
    """Reads one table at one site in a session of its own; every read is repeated when transient.

    A context manager: it ends the session.
    """

    def __init__(
        self, database: Database, table: Table, row_hash: RowHash, inside: str = ""
    ) -> None:
        """`row_hash` spells the rows of `table` as `core.checksums` says.

        Rows that `inside`, SQL over table `t`, is not true of are not seen; '' sees all.
        """
        self.database = database
        self.table = table
        self._hash = row_hash
        self._inside = f"({inside.replace('%', '%%')})" if inside else "TRUE"
        self._stack = contextlib.ExitStack()
        self._connection: pymysql.Connection[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._disconnect()

    def total(self, keys: KeyRange) -> Total:
        """The number and the sum of a range's rows."""
        where, parameters = in_range(self.table, keys)
        sql = (
            f"SELECT COUNT(*), {self._hash.total()} FROM {self._from()} "
            f"WHERE {where} AND {self._inside}"
        )
        rows, found = self._read(sql, parameters)[0]
        if int(found) >= TOO_LARGE:
            raise self._too_large()
        return Total(int(rows), int(found))

    def boundary(self, keys: KeyRange, place: int) -> Boundary | None:
        """The key that is the `place`th of a range, from 0 on; None if it has fewer."""
        where, parameters = in_range(self.table, keys)
        columns = ", ".join(boundary(c, "t") for c in key_columns(self.table))
        found = self._read(
            f"SELECT {columns} FROM {self._from()} WHERE {where} AND {self._inside} "
            f"ORDER BY {key_order(self.table)} LIMIT 1 OFFSET {place}",
            parameters,
        )
        return tuple(found[0]) if found else None

    def rows(self, keys: KeyRange) -> pd.DataFrame:
        """A row a row of the range: the key's columns as `transfer` gives them, and `HASH`."""
        where, parameters = in_range(self.table, keys)
        sql = (
            f"SELECT {self._key()}, LEFT({self._hash.sql}, 32) FROM {self._from()} "
            f"WHERE {where} AND {self._inside}"
        )
        found = pd.DataFrame(self._read(sql, parameters), columns=self.columns, dtype=object)
        if found[HASH].isna().any():
            raise self._too_large()
        return found

    def hashes(self, keys: pd.DataFrame, *, without_json: bool = False) -> npt.NDArray[np.object_]:
        """The hash of each of these keys' rows, in their order; None where there is no row."""
        expression = self._hash.without_json if without_json else self._hash.sql
        return self._by_key(keys, f"LEFT({expression}, 32)")

    def texts(self, keys: pd.DataFrame, column: str) -> npt.NDArray[np.object_]:
        """A JSON column of these keys' rows as text, '' for NULL; None where there is no row."""
        name = f"t.{column_name(self.table.column(column))}".replace("%", "%%")
        return self._by_key(keys, f"COALESCE(CAST({name} AS CHAR), '')")

    def same_rows(self, keys: pd.DataFrame, others: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Which of `keys` name a row that one of `others` names too, by the server's collation."""
        same = np.zeros(len(keys), dtype=np.bool_)
        if keys.empty or others.empty:
            return same
        on = " AND ".join(f"o.k{i} = s.k{i}" for i in range(len(self.table.primary_key)))

        def look(cursor: Cursor) -> Sequence[Any]:
            self._fill(cursor, _STAGE, keys)
            self._fill(cursor, _OTHERS, others)
            cursor.execute(
                f"SELECT DISTINCT s.ord FROM {_OTHERS} AS o STRAIGHT_JOIN {_STAGE} AS s ON {on}"
            )
            return list(cursor.fetchall())

        same[[ordinal for (ordinal,) in self._repeated(look)]] = True
        return same

    def estimate(self) -> tuple[int, int]:
        """About how many rows the table has and how many bytes a row, as the server believes."""
        found = self._read(
            "SELECT table_rows, avg_row_length FROM information_schema.tables "
            "WHERE table_schema = %s AND table_name = %s",
            (self.table.schema, self.table.name),
        )
        rows, row_bytes = found[0] if found else (0, 0)
        return int(rows or 0), int(row_bytes or 0)

    @property
    def columns(self) -> list[str]:
        """The columns of `rows`."""
        return [*self.table.primary_key, HASH]

    def _by_key(self, keys: pd.DataFrame, expression: str) -> npt.NDArray[np.object_]:
        values = np.full(len(keys), None, dtype=object)
        if keys.empty:
            return values
        on = " AND ".join(f"t.{name} = s.k{i}" for i, name in enumerate(self._names()))

        def look(cursor: Cursor) -> Sequence[Any]:
            self._fill(cursor, _STAGE, keys)
            cursor.execute(
                f"SELECT STRAIGHT_JOIN s.ord, {expression} FROM {_STAGE} AS s "
                f"JOIN {self._from()} ON {on} WHERE {self._inside}",
                (),
            )
            return list(cursor.fetchall())

        found = self._repeated(look)
        if any(value is None for _, value in found):
            raise self._too_large()
        values[[ordinal for ordinal, _ in found]] = [value for _, value in found]
        return values

    def _fill(self, cursor: Cursor, stage: str, keys: pd.DataFrame) -> None:
        """Makes a temporary table of the keys, by ordinal, with an index that joins can use."""
        columns = key_columns(self.table)
        definition = ", ".join(f"k{i} {stage_type(c)}" for i, c in enumerate(columns))
        cursor.execute(f"DROP TEMPORARY TABLE IF EXISTS {stage}")
        cursor.execute(
            f"CREATE TEMPORARY TABLE {stage} (ord INT NOT NULL PRIMARY KEY, {definition}"
            f"{_index(columns)}) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC"
        )
        marks = ", ".join(["%s"] * (1 + len(columns)))
        rows = list(zip(range(len(keys)), *(keys[c.name] for c in columns), strict=True))
        cursor.executemany(f"INSERT INTO {stage} VALUES ({marks})", rows)

    def _from(self) -> str:
        name = table_name(self.table).replace("%", "%%")
        return f"{name} AS t FORCE INDEX (PRIMARY)"

    def _names(self) -> list[str]:
        return [column_name(c).replace("%", "%%") for c in key_columns(self.table)]

    def _key(self) -> str:
        return ", ".join(transfer(c, "t").replace("%", "%%") for c in key_columns(self.table))

    def _read(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        def read(cursor: Cursor) -> list[Any]:
            cursor.execute(sql, tuple(parameters))
            return list(cursor.fetchall())

        return self._repeated(read)

    def _repeated(self, work: Callable[[Cursor], _Answer]) -> _Answer:
        retrying = Retrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.2, max=5),
            before_sleep=lambda _: self._disconnect(),
            reraise=True,
        )
        answer: _Answer = retrying(self._once, work)
        return answer

    def _once(self, work: Callable[[Cursor], _Answer]) -> _Answer:
        with translated({"site": self.database.site, **self.table.place}):
            if self._connection is None:
                self._connection = self._stack.enter_context(self.database.raw())
            with self._connection.cursor() as cursor:
                answer = work(cursor)
            self._connection.commit()  # lets go of the table: an ALTER must not wait for us
            return answer

    def _disconnect(self) -> None:
        self._connection = None
        self._stack.close()

    def _too_large(self) -> TerminalError:
        return TerminalError(
            "row_not_hashed",
            "the server could not hash a row: it is larger than max_allowed_packet",
            where={"site": self.database.site, **self.table.place},
            remedy="Raise max_allowed_packet of the server, or leave the table out by --table.",
        )


def _index(columns: Sequence[Column]) -> str:
    """An index on the first key column, unless it is of a type that needs a prefix length."""
    no_index = "text" in columns[0].data_type or "blob" in columns[0].data_type
    return "" if no_index else ", KEY (k0)"
