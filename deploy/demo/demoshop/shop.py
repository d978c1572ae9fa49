"""A small shop with two servers: orders are taken at one, shipped at the other.

Both sides write all the time, but never the same row at the same time: customers belong to the
side that made them, orders are handed over. Then each names the same ten new products its own way
(`clash`): a conflict a row, which the policy decides and settlement closes (docs/reconcile.md).
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

import pymysql

if TYPE_CHECKING:
    Connection = pymysql.Connection[pymysql.cursors.Cursor]

TABLES = ("customer", "product", "purchase", "purchase_line")
_DDL = (
    """CREATE TABLE customer (
        id BIGINT PRIMARY KEY, email VARCHAR(120) NOT NULL, name VARCHAR(120) NOT NULL,
        note TEXT, changed_at DATETIME(6) NOT NULL, UNIQUE KEY email (email))""",
    """CREATE TABLE product (
        id BIGINT PRIMARY KEY, name VARCHAR(120) NOT NULL, price DECIMAL(10,2) NOT NULL,
        attributes TEXT, changed_at DATETIME(6) NOT NULL)""",
    """CREATE TABLE purchase (
        id BIGINT PRIMARY KEY, customer_id BIGINT NOT NULL, status VARCHAR(20) NOT NULL,
        placed_at TIMESTAMP(6) NULL, shipped_at TIMESTAMP(6) NULL, KEY by_status (status))""",
    """CREATE TABLE purchase_line (
        purchase_id BIGINT, line SMALLINT, product_id BIGINT NOT NULL, quantity INT NOT NULL,
        PRIMARY KEY (purchase_id, line))""",
)
_LOCK_ERRORS = (1205, 1213)


def make_tables(connection: Connection) -> None:
    """Makes the empty tables of one side."""
    with connection.cursor() as cursor:
        for statement in _DDL:
            cursor.execute(f"{statement} ENGINE=InnoDB DEFAULT CHARSET=utf8mb4")


def clash(connection: Connection, site: str, number: int) -> None:
    """Inserts the same keys as the other side does, with a name of its own."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO product VALUES (%s, %s, %s, NULL, UTC_TIMESTAMP(6))",
            [(-10 * number - i, f"as named at {site}", i) for i in range(10)],
        )
    connection.commit()


class Writer(threading.Thread):
    """One side's application: small transactions, one after the other, until it is stopped."""

    def __init__(self, site: str, connect: Callable[[], Connection], seed: int = 7) -> None:
        super().__init__(daemon=True, name=f"writer-{site}")
        self.transactions = 0
        self.failure: Exception | None = None
        self._site = site
        self._connect = connect
        self._ended = threading.Event()
        self._random = random.Random(f"{site}{seed}")
        # Keys are made so that the two sides' never meet: odd at a, even at b.
        self._ids = count(seed * 1_000_001 * 2 + (1 if site == "a" else 2), 2)
        self._own: list[int] = []

    def run(self) -> None:
        """Writes until `stop`; what ended it early is in `failure`."""
        try:
            with self._connect() as connection:
                self._first_rows(connection)
                while not self._ended.wait(self._random.uniform(0.02, 0.2)):
                    self._transaction(connection)
        except Exception as error:
            self.failure = error

    def stop(self) -> None:
        """Ends the thread and waits for its last transaction."""
        self._ended.set()
        self.join()

    def _first_rows(self, connection: Connection) -> None:
        """Many rows by few statements."""
        new = [next(self._ids) for _ in range(500)]
        with connection.cursor() as cursor:
            cursor.executemany(_INSERT_CUSTOMER, [_customer(i) for i in new])
            cursor.executemany(
                "INSERT INTO product VALUES (%s, %s, %s, %s, UTC_TIMESTAMP(6))",
                [(i, f"product {i}", i % 997 / 7, '{"size": [1, 2.5]}') for i in new[:100]],
            )
        connection.commit()
        self._own = new
        self.transactions += 1

    def _transaction(self, connection: Connection) -> None:
        actions = [self._new_customer, self._change_customer, self._remove_customer, self._move_key]
        actions.append(self._place_order if self._site == "a" else self._ship_orders)
        actions.append(self._place_order if self._site == "a" else self._change_prices)
        try:
            with connection.cursor() as cursor:
                self._random.choice(actions)(cursor)
            connection.commit()
            self.transactions += 1
        except pymysql.MySQLError as error:
            connection.rollback()
            if error.args[0] not in _LOCK_ERRORS:
                raise

    def _new_customer(self, cursor: Any) -> None:
        self._own.append(next(self._ids))
        cursor.execute(_INSERT_CUSTOMER, _customer(self._own[-1]))

    def _change_customer(self, cursor: Any) -> None:
        cursor.execute(
            "UPDATE customer SET note = %s, changed_at = UTC_TIMESTAMP(6) WHERE id = %s",
            (self._random.choice(["/* dts */ is only text", "Grüße, 東京 🚲", None]), self._any()),
        )

    def _remove_customer(self, cursor: Any) -> None:
        """The e-mail address is free again, and somebody else takes it at once."""
        gone = self._own.pop(self._random.randrange(len(self._own)))
        cursor.execute("DELETE FROM customer WHERE id = %s", (gone,))
        self._own.append(next(self._ids))
        _, _, name = _customer(self._own[-1])
        cursor.execute(_INSERT_CUSTOMER, (self._own[-1], f"c{gone}@example.org", name))

    def _move_key(self, cursor: Any) -> None:
        new = next(self._ids)
        old = self._own.pop(self._random.randrange(len(self._own)))
        cursor.execute("UPDATE customer SET id = %s WHERE id = %s", (new, old))
        self._own.append(new)

    def _place_order(self, cursor: Any) -> None:
        order = next(self._ids)
        cursor.execute(
            "INSERT INTO purchase VALUES (%s, %s, 'new', UTC_TIMESTAMP(6), NULL)",
            (order, self._any()),
        )
        lines = [(order, n, self._any(), n) for n in range(1, self._random.randint(2, 5))]
        cursor.executemany("INSERT INTO purchase_line VALUES (%s, %s, %s, %s)", lines)

    def _ship_orders(self, cursor: Any) -> None:
        """Orders that have arrived from the other side."""
        cursor.execute(
            "UPDATE purchase SET status = 'shipped', shipped_at = UTC_TIMESTAMP(6) "
            "WHERE status = 'new' ORDER BY id LIMIT 20"
        )

    def _change_prices(self, cursor: Any) -> None:
        cursor.execute(
            "UPDATE product SET price = price + 1, changed_at = UTC_TIMESTAMP(6) "
            "WHERE MOD(id, 20) = %s",
            (self._random.randrange(20),),
        )

    def _any(self) -> int:
        return self._random.choice(self._own)


_INSERT_CUSTOMER = (
    "INSERT INTO customer (id, email, name, changed_at) VALUES (%s, %s, %s, UTC_TIMESTAMP(6))"
)


def _customer(number: int) -> tuple[int, str, str]:
    return number, f"c{number}@example.org", f"Customer {number}"


def fingerprint_sql(connection: Connection) -> Iterator[tuple[str, str]]:
    """(table, query of its row count and checksum); the same on MySQL and MariaDB."""
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(
                "SELECT column_name FROM information_schema.columns "
                "WHERE table_schema = 'shop' AND table_name = %s ORDER BY column_name",
                (table,),
            )
            names = [str(row[0]) for row in cursor.fetchall()]
            texts = ", ".join(f"IFNULL(CAST(`{name}` AS CHAR), '~')" for name in names)
            digest = f"CONV(LEFT(SHA2(CONCAT_WS('|', {texts}), 256), 15), 16, 10)"
            yield table, f"SELECT COUNT(*), SUM(CAST({digest} AS UNSIGNED)) FROM `{table}`"
