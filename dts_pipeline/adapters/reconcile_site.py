"""One site's session in a reconcile: reads rows, holds a lane, writes and closes under the hold."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pymysql
from pymysql.cursors import Cursor

from dts_pipeline.adapters.database import Database, error_number
from dts_pipeline.adapters.enum_errors import set_errors, standing_in
from dts_pipeline.adapters.ledger import Ledger
from dts_pipeline.adapters.staging import DATA_ERRORS, StagedTable
from dts_pipeline.adapters.writes import write_rows
from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.core.conflicts import Meeting
from dts_pipeline.core.links import Link
from dts_pipeline.core.marks import Mark, mark_uuid
from dts_pipeline.core.reconcile_statements import ReconcileStatements
from dts_pipeline.core.schema import Column
from dts_pipeline.core.statements import LEDGER_SCHEMA
from dts_pipeline.errors import TerminalError, TransientError

_SESSION = (
    "SET SESSION innodb_lock_wait_timeout = 20, lock_wait_timeout = 20, net_read_timeout = 60, "
    "net_write_timeout = 60, wait_timeout = 300, group_concat_max_len = 1048576"
)
_LOCK = (
    "SELECT generation, mark_sequence, paused FROM `dts`.`checkpoint` "
    "WHERE link = %s AND lane = %s FOR UPDATE"
)
_DRAW = "UPDATE `dts`.`checkpoint` SET mark_sequence = %s WHERE link = %s AND lane = %s"
_ATTEMPTS = 20
ROW_REFUSED = "row_refused"
_NO_CHANGES = pd.DataFrame()

Rows = dict[int, tuple[Any, ...]]
"""Rows by ordinal; a tuple of the table's written columns, transferable."""


@dataclass
class ReconcileSite:
    """A session at the target of `link`; what it writes is marked as that link's."""

    database: Database
    link: Link
    connection: pymysql.Connection[Any]
    cursor: Cursor
    batch: int = 0
    _drawn: int | None = field(default=None)

    @classmethod
    @contextlib.contextmanager
    def opened(cls, database: Database, link: Link) -> Iterator[ReconcileSite]:
        """The session; temporary tables and locks end with it."""
        with database.raw(where={"link": link.name}) as connection:
            connection.select_db(LEDGER_SCHEMA)
            cursor = connection.cursor()
            cursor.execute(_SESSION)
            yield cls(database, link, connection, cursor)

    # -- before the hold ------------------------------------------------------------------------

    def load_keys(
        self, statements: ReconcileStatements, keys: Sequence[tuple[Any, ...]]
    ) -> dict[int, int]:
        """Stages keys by ordinal 0, 1, 2 …; which ordinals are the same row as an earlier one."""
        for statement in statements.create():
            self.cursor.execute(statement)
        rows, errors = standing_in(
            [(i, *key) for i, key in enumerate(keys)], _places("k", 1, statements.base.key_columns)
        )
        self.cursor.executemany(statements.fill_keys(), rows)
        set_errors(self.cursor, statements.keys, errors)
        self.cursor.execute(statements.equal_keys())
        groups = [[int(o) for o in str(row[0]).split(",")] for row in self.cursor.fetchall()]
        self.connection.commit()
        return {other: group[0] for group in groups for other in group[1:]}

    def rows(self, statements: ReconcileStatements) -> tuple[Rows, int]:
        """The rows that this site holds of the keys; and how many keys there are."""
        self.cursor.execute(statements.rows())
        fetched = self.cursor.fetchall()
        self.connection.commit()
        return {int(r[0]): tuple(r[2:]) for r in fetched if r[1]}, len(fetched)

    def stage(
        self,
        statements: ReconcileStatements,
        keys: Mapping[int, tuple[Any, ...]],
        wanted: Rows,
        expected: Rows,
    ) -> None:
        """Stages for each key the row wanted here, none being a delete, and the row expected."""
        base = statements.base
        for statement in base.create():
            self.cursor.execute(statement)
        nothing = (None,) * len(base.columns)
        rows = [
            (o, int(o not in wanted), int(o in expected), *key, *wanted.get(o, nothing))
            for o, key in keys.items()
        ]
        if rows:
            self._fill(statements, rows)
        before, errors = standing_in(
            [(o, *expected[o]) for o in keys if o in expected], _places("b", 1, base.columns)
        )
        if before:
            self.cursor.executemany(base.fill_before(), before)
            set_errors(self.cursor, base.before, errors)
        self.connection.commit()

    def _fill(self, statements: ReconcileStatements, rows: Sequence[tuple[Any, ...]]) -> None:
        base = statements.base
        keyed = 3 + len(base.key_columns)
        places = {**_places("k", 3, base.key_columns), **_places("a", keyed, base.columns)}
        rows, errors = standing_in(rows, places)
        try:
            self.cursor.executemany(base.fill_stage(), rows)
        except pymysql.MySQLError as error:
            if error_number(error) not in DATA_ERRORS:
                raise
            raise TransientError(
                ROW_REFUSED,
                "a row of the other site does not fit this site's table",
                where={"site": self.database.site, "table": base.table.full_name},
                remedy="Make the column as wide as at the other site, or mend the row there.",
            ) from None
        set_errors(self.cursor, base.stage, errors)

    def compare(self, statements: ReconcileStatements) -> list[tuple[Any, ...]]:
        """ord, found, equal, newer, then this site's columns: against the rows staged here."""
        self.cursor.execute(statements.compare())
        fetched = list(self.cursor.fetchall())
        self.connection.commit()
        return fetched

    # -- the hold -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def held(self, installation: str) -> Iterator[None]:
        """Locks the lane's checkpoint row, under the mark's next number; ends with ROLLBACK.

        Unless `commit` came first. Raises TerminalError `link_paused`, `link_never_ran`, or a
        TransientError where the lock is not to be had.
        """
        marked = self._lock(installation)
        try:
            yield
        finally:
            with contextlib.suppress(pymysql.MySQLError, OSError):
                self.connection.rollback()
                for statement in marked.after_transaction():
                    self.cursor.execute(statement)

    def _lock(self, installation: str) -> Mark:
        ledger = Ledger(self.database)
        for _ in range(_ATTEMPTS):
            standing = ledger.read(self.link.name, self.link.lane)
            if standing is None:
                raise never_ran(self.link)
            mark = self._mark(installation, standing)
            for statement in mark.before_transaction():
                self.cursor.execute(statement)
            self.connection.begin()
            self.cursor.execute(_LOCK, (self.link.name, self.link.lane))
            generation, drawn, is_paused = self.cursor.fetchone() or (0, 0, 0)
            if is_paused:
                self._let_go(mark)
                raise paused(self.link)
            if (generation, drawn) == (standing.generation, standing.mark_sequence):
                self.batch, self._drawn = standing.batch, mark.number
                return mark
            self._let_go(mark)  # a batch was faster and took the number
        raise TransientError(
            "lane_not_held",
            "batches follow each other too closely to hold the lane",
            where={"link": self.link.name},
            remedy="It is tried again by itself.",
        )

    def _let_go(self, mark: Mark) -> None:
        self.connection.rollback()
        for statement in mark.after_transaction():
            self.cursor.execute(statement)

    def _mark(self, installation: str, standing: Checkpoint) -> Mark:
        link = self.link
        return Mark(
            kind=link.mark,
            dialect=self.database.facts.dialect,
            link=link.name,
            batch=standing.batch,
            uuid=mark_uuid(installation, link.name, link.lane, standing.generation),
            number=standing.mark_sequence + 1,
            domain=link.mark_domain_id,
        )

    # -- under the hold -------------------------------------------------------------------------

    def touched(self, statements: ReconcileStatements, keys: Sequence[tuple[Any, ...]]) -> set[int]:
        """The ordinals whose rows these keys name."""
        if not keys:
            return set()
        self.cursor.executemany(statements.fill_touched(), keys)
        self.cursor.execute(statements.touched_ordinals())
        return {int(row[0]) for row in self.cursor.fetchall()}

    def write(self, statements: ReconcileStatements, leave_out: Sequence[int]) -> set[int]:
        """Writes the staged rows but those left out; the ordinals whose row is another by now."""
        base = statements.base
        for statement in statements.leave_out(leave_out):
            self.cursor.execute(statement)
        self.cursor.execute(base.classify(detect=True))
        self.cursor.execute(base.verdicts())
        changed = {int(row[0]) for row in self.cursor.fetchall() if row[1] != Meeting.SAME.value}
        write_rows(self.cursor, [StagedTable(base, base.table, _NO_CHANGES)])
        return changed

    def commit(self) -> None:
        """Commits what was written and closed, with the mark's number drawn."""
        self.cursor.execute(_DRAW, (self._drawn, self.link.name, self.link.lane))
        self.connection.commit()


def _places(letter: str, first: int, columns: Sequence[Column]) -> dict[int, tuple[str, Column]]:
    """The places of columns in a stage's row, from `first` on, with their names there."""
    return {first + i: (f"{letter}{i}", column) for i, column in enumerate(columns)}


def never_ran(link: Link) -> TerminalError:
    """The error for a link without a checkpoint."""
    return TerminalError(
        "link_never_ran",
        "a link of the pair has no checkpoint yet, so nothing can be proven of it",
        where={"link": link.name},
        remedy=f"Run `dts sync {link.name}` first.",
    )


def paused(link: Link) -> TerminalError:
    """The error for a paused link."""
    return TerminalError(
        "link_paused",
        "a link of the pair is paused: nothing is written on its side",
        where={"link": link.name},
        remedy=f"Run `dts resume {link.name}` first.",
    )
