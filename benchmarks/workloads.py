"""What is written at the source: tables, the rows that are there before, and the changes.

Everything is SQL over `bench_numbers.n` (1, 2, 3 …), so that a million rows are made by the server
and are the same each time; no value is random.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

NUMBERS = "bench_numbers"
_ROWS = 1_000
"""Rows of a transaction, unless a workload says otherwise."""


@dataclass(frozen=True)
class Write:
    """One statement and transaction; `events` row events, `tombstones` messages beside them."""

    sql: str
    events: int
    tombstones: int = 0


@dataclass(frozen=True)
class Workload:
    """Tables in a schema of their own; `base` fills them at both sides, `changes` is recorded."""

    name: str
    what: str
    tables: tuple[str, ...]
    definition: str
    base: tuple[str, ...]
    changes: tuple[Write, ...]

    @property
    def schema(self) -> str:
        """The schema at both sides."""
        return f"bench_{self.name}"

    @property
    def events(self) -> int:
        """Row events of the recorded range."""
        return sum(write.events for write in self.changes)

    @property
    def messages(self) -> int:
        """Kafka messages of the recorded range in the tables' topics."""
        return self.events + sum(write.tombstones for write in self.changes)


_ORDERS = """(
    id BIGINT PRIMARY KEY, customer BIGINT NOT NULL, status VARCHAR(20) NOT NULL,
    amount DECIMAL(12,2) NOT NULL, quantity INT NOT NULL, name VARCHAR(60) NOT NULL,
    note VARCHAR(200), changed_at DATETIME(6) NOT NULL, KEY by_customer (customer))"""
_ORDER = (
    "n, n MOD 5003, 'new', n MOD 99991 / 7, n MOD 13, CONCAT('customer ', n MOD 5003), "
    "IF(n MOD 3 = 0, NULL, CONCAT('note ', LEFT(SHA2(n, 256), 32))), "
    "'2026-01-01' + INTERVAL n SECOND"
)
_UPDATE = (
    "status = 'paid', amount = amount + 1, note = CONCAT('paid ', LEFT(SHA2(id, 256), 32)), "
    "changed_at = changed_at + INTERVAL 1 DAY"
)


def insert_only(size: int) -> Workload:
    """Rows of 8 columns that come in."""
    return _orders("insert", f"{size:,} inserts", (), tuple(_inserts("t", size)))


def mixed(size: int) -> Workload:
    """Rows that come in and are updated, each once; 8 columns, 1 secondary index."""
    half = size // 2
    changes = (*_inserts("t", half), *_updates("t", half))
    return _orders("mixed", f"{half:,} inserts and {half:,} updates", (), changes)


def deletes(size: int) -> Workload:
    """Rows that go."""
    base = tuple(write.sql for write in _inserts("t", size))
    gone = (
        Write(f"DELETE FROM t WHERE {_between('id', first, last)}", rows, rows)
        for first, last, rows in _steps(size)
    )
    return _orders("deletes", f"{size:,} deletes", base, tuple(gone))


def hot_keys(size: int) -> Workload:
    """Keys that are written a hundred times each, in no order; a value of 8 columns each."""
    keys = max(1, size // 100)
    order = _ORDER.replace("n,", f"1 + CRC32(n) MOD {keys},", 1).replace("n MOD 13", "n MOD 1009")
    again = "amount = VALUES(amount), note = VALUES(note), changed_at = VALUES(changed_at)"
    changes = tuple(
        Write(
            f"INSERT INTO t SELECT {order} FROM {NUMBERS}.n WHERE {_between('n', first, last)} "
            f"ORDER BY n ON DUPLICATE KEY UPDATE {again}",
            rows,
        )
        for first, last, rows in _steps(size)
    )
    return _orders("hot", f"{size:,} events on {keys:,} keys", (), changes)


def wide_rows(size: int) -> Workload:
    """Rows of 100 columns that come in and are updated."""
    half, third = size // 2, range(33)
    columns = [
        "id BIGINT PRIMARY KEY",
        *(f"i{k} INT NOT NULL" for k in third),
        *(f"v{k} VARCHAR(40)" for k in third),
        *(f"d{k} DECIMAL(12,2) NOT NULL" for k in third),
    ]
    values = [
        "n",
        *(f"n + {k}" for k in third),
        *(f"CONCAT('value {k} of ', n)" for k in third),
        *(f"n MOD 9973 / {k + 1}" for k in third),
    ]
    changes = (
        *_inserts("t", half, ", ".join(values)),
        *_updates("t", half, "i0 = i0 + 1, v0 = 'changed', d0 = d0 + 1"),
    )
    what = f"{half:,} inserts and {half:,} updates of 100 columns"
    return Workload("wide", what, ("t",), f"({', '.join(columns)})", (), changes)


def many_tables(size: int) -> Workload:
    """200 tables, whose turns come one after the other in small transactions."""
    tables = tuple(f"t{number:03d}" for number in range(200))
    each = max(2, size // len(tables) // 2)
    turns = (
        write
        for write_all in (_inserts, _updates)
        for turn in zip(*(write_all(table, each, rows=25) for table in tables), strict=True)
        for write in turn
    )
    what = f"{each:,} inserts and {each:,} updates in each of {len(tables)} tables"
    return Workload("tables", what, tables, _ORDERS, (), tuple(turns))


def two_tables(size: int) -> Workload:
    """Two tables, rows that come in and are updated; their transactions take turns."""
    each = size // 4
    turns = (
        write
        for write_all in (_inserts, _updates)
        for turn in zip(*(write_all(table, each) for table in ("t", "u")), strict=True)
        for write in turn
    )
    what = f"{each:,} inserts and {each:,} updates in each of 2 tables"
    return Workload("lanes", what, ("t", "u"), _ORDERS, (), tuple(turns))


def literal_statements(statements: int, rows: int = 500) -> Workload:
    """Inserts whose rows stand in the statement's own text, as applications write them."""
    changes = []
    for number in range(statements):
        first = number * rows
        values = ", ".join(
            f"({n}, {n % 5003}, 'new', {n % 991}.25, {n % 13}, 'customer {n % 5003}', "
            f"'note {n * 7919 % 100003}', '2026-01-01 00:00:00')"
            for n in range(first, first + rows)
        )
        changes.append(Write(f"INSERT INTO t VALUES {values}", rows))
    what = f"{statements} statements of {rows} rows"
    return _orders("capture", what, (), tuple(changes))


@dataclass(frozen=True)
class Kind:
    """A workload's maker, and its events in whole and in a sample."""

    make: Callable[[int], Workload]
    events: int
    sample: int


WORKLOADS = {
    "insert": Kind(insert_only, 200_000, 10_000),
    "mixed": Kind(mixed, 200_000, 10_000),
    "hot": Kind(hot_keys, 1_000_000, 50_000),
    "wide": Kind(wide_rows, 40_000, 2_000),
    "deletes": Kind(deletes, 100_000, 10_000),
    "tables": Kind(many_tables, 100_000, 10_000),
}


def _orders(name: str, what: str, base: tuple[str, ...], changes: tuple[Write, ...]) -> Workload:
    return Workload(name, what, ("t",), _ORDERS, base, changes)


def _inserts(table: str, size: int, values: str = _ORDER, *, rows: int = _ROWS) -> Iterator[Write]:
    for first, last, count in _steps(size, rows):
        where = _between("n", first, last)
        yield Write(f"INSERT INTO {table} SELECT {values} FROM {NUMBERS}.n WHERE {where}", count)


def _updates(table: str, size: int, change: str = _UPDATE, *, rows: int = _ROWS) -> Iterator[Write]:
    for first, last, count in _steps(size, rows):
        yield Write(f"UPDATE {table} SET {change} WHERE {_between('id', first, last)}", count)


def _steps(size: int, rows: int = _ROWS) -> Iterator[tuple[int, int, int]]:
    """(first, last, count) of each transaction; numbers begin at 1."""
    for first in range(1, size + 1, rows):
        last = min(first + rows - 1, size)
        yield first, last, last - first + 1


def _between(column: str, first: int, last: int) -> str:
    return f"{column} BETWEEN {first} AND {last}"
