"""One site's session in a reconcile: reads rows, holds a lane, writes and closes under the hold."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pandas as pd
import pymysql
from pymysql.cursors import Cursor

from dts_pipeline.adapters.bulk_load import load
from dts_pipeline.adapters.database import Database, error_number
from dts_pipeline.adapters.enum_errors import set_errors, standing_in
from dts_pipeline.adapters.ledger import Ledger
from dts_pipeline.adapters.loop_ledger import note_stamp, note_written
from dts_pipeline.adapters.staging import DATA_ERRORS, StagedTable
from dts_pipeline.adapters.writes import write_rows
from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.core.conflicts import Meeting
from dts_pipeline.core.links import Link, MarkKind
from dts_pipeline.core.marks import Mark, mark_uuid
from dts_pipeline.core.reconcile_statements import ReconcileStatements
from dts_pipeline.core.schema import Column, Dialect
from dts_pipeline.core.statements import LEDGER_SCHEMA
from dts_pipeline.errors import TerminalError, TransientError

_SESSION = (
    "SET SESSION innodb_lock_wait_timeout = 20, lock_wait_timeout = 20, net_read_timeout = 60, "
    "net_write_timeout = 60, wait_timeout = 300, group_concat_max_len = 1048576"
)
# A hold is short. Should its client be gone or frozen, the server ends it, and the batches that
# wait for the rows or the GTID go on.
_HOLDING = "SET SESSION wait_timeout = 60"
_LOCK = (
    "SELECT generation, mark_sequence, paused FROM `dts`.`checkpoint` "
    "WHERE link = %s AND lane = %s FOR UPDATE"
)
_DRAW = "UPDATE `dts`.`checkpoint` SET mark_sequence = %s WHERE link = %s AND lane = %s"
_ATTEMPTS = 20
_MANY = 20_000  # keys from which on LOAD DATA is worth it: no round but a load's has so many
ROW_REFUSED = "row_refused"
_NO_CHANGES = pd.DataFrame()

Rows = dict[int, tuple[Any, ...]]
"""Rows by ordinal; a tuple of the table's written columns, transferable."""


@dataclass
class ReconcileSite:
    """A session at the target of `link`; what it writes is marked as that link's.

    `beside` are held as well: its lanes by partition, for a key can be any one's, and other links
    of a mesh that write here.
    """

    database: Database
    link: Link
    connection: pymysql.Connection[Any]
    cursor: Cursor
    beside: tuple[Link, ...] = ()
    batch: int = 0
    _generation: int = 0
    _held: Mark | None = field(default=None)
    _logged: Counter[str] = field(default_factory=Counter)

    @classmethod
    @contextlib.contextmanager
    def opened(
        cls, database: Database, link: Link, others: Sequence[Link] = ()
    ) -> Iterator[ReconcileSite]:
        """The session; temporary tables and locks end with it.

        `others` write here as well, and are held along with `link`.
        """
        with database.raw(where={"link": link.name}) as connection:
            connection.select_db(LEDGER_SCHEMA)
            cursor = connection.cursor()
            cursor.execute(_SESSION)
            first, *beside = (lane for own in (link, *others) for lane in own.each_lane())
            yield cls(database, first, connection, cursor, tuple(beside))

    # -- before the hold ------------------------------------------------------------------------

    def load_keys(
        self, statements: ReconcileStatements, keys: Sequence[tuple[Any, ...]]
    ) -> dict[int, int]:
        """Stages keys by ordinal 0, 1, 2 …; which ordinals are the same row as an earlier one."""
        for statement in statements.create():
            self.cursor.execute(statement)
        columns = statements.base.key_columns
        rows = [(i, *key) for i, key in enumerate(keys)]
        names = ["ord", *(f"k{i}" for i in range(len(columns)))]
        if len(keys) < _MANY or not self._loaded(statements.keys, names, columns, rows):
            self.cursor.execute(f"DELETE FROM {statements.keys}")
            filled, errors = standing_in(rows, _places("k", 1, columns))
            self.cursor.executemany(statements.fill_keys(), filled)
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

    def stage_new(
        self, statements: ReconcileStatements, keys: Sequence[tuple[Any, ...]], wanted: Rows
    ) -> dict[int, bool]:
        """Stages many rows wanted here, none being expected; those that are here: equal or not."""
        base = statements.base
        for statement in base.create():
            self.cursor.execute(statement)
        rows = [(o, 0, 0, *keys[o], *row) for o, row in wanted.items()]
        columns = (*base.key_columns, *base.columns)
        if rows and not self._loaded(base.stage, base.stage_names, columns, rows):
            self.cursor.execute(f"DELETE FROM {base.stage}")
            self._fill(statements, rows)
        self.cursor.execute(statements.met())
        met = {int(ordinal): bool(equal) for ordinal, equal in self.cursor.fetchall()}
        self.connection.commit()
        return met

    def _loaded(
        self,
        stage: str,
        names: Sequence[str],
        columns: Sequence[Column],
        rows: Sequence[tuple[Any, ...]],
    ) -> bool:
        """Whether LOAD DATA took the rows; it has no word for BIT, nor for ENUM's error value."""
        kept = [column.data_type not in ("bit", "enum") for column in columns]
        if not (self.database.loads and all(kept)):
            return False
        values = [_plain(column) for column in zip(*rows, strict=True)]
        return load(self.cursor, stage, names, values)

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
                where={"site": self.database.site, **base.table.place},
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
        self.cursor.execute(_HOLDING)
        marked = self._lock(installation)
        try:
            yield
        finally:
            with contextlib.suppress(pymysql.MySQLError, OSError):
                self.connection.rollback()
                for statement in marked.after_transaction():
                    self.cursor.execute(statement)
                self.cursor.execute(_SESSION)
            if self._logged and self.link.pair:
                note_stamp(self.cursor, marked)

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
            self._lock_beside(mark)
            if (generation, drawn) == (standing.generation, standing.mark_sequence):
                self.batch, self._generation = standing.batch, standing.generation
                self._held = mark
                self._logged.clear()
                return mark
            self._let_go(mark)  # a batch was faster and took the number
        raise TransientError(
            "lane_not_held",
            "batches follow each other too closely to hold the lane",
            where={"link": self.link.name},
            remedy="It is tried again by itself.",
        )

    def _lock_beside(self, mark: Mark) -> None:
        """The other lanes' rows, always in one order and behind the first's."""
        for link in self.beside:
            self.cursor.execute(_LOCK, (link.name, link.lane))
            row = self.cursor.fetchone()
            if row is None or row[2]:
                self._let_go(mark)
                raise paused(link) if row else never_ran(link)

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
        self.cursor.execute(f"DELETE FROM {statements.touched}")
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
        self.write_staged([StagedTable(base, base.table, _NO_CHANGES)])
        return changed

    def write_new(self, statements: ReconcileStatements, leave_out: Sequence[int]) -> set[int]:
        """As `write`, of rows that most often are absent: then one look is enough."""
        base = statements.base
        for statement in statements.leave_out(leave_out):
            self.cursor.execute(statement)
        look = base.look(detect=True)
        if look is not None:
            self.cursor.execute(look)
            _, unexpected, *due = (int(number) for number in self.cursor.fetchone() or (0, 1))
            if not unexpected:
                deletes, updates, inserts = due
                clean = replace(base, clean=True)
                due_rows = (deletes, updates, inserts)
                self.write_staged([StagedTable(clean, base.table, _NO_CHANGES, due=due_rows)])
                return set()
        return self.write(statements, ())

    def write_staged(self, staged: Sequence[StagedTable]) -> None:
        """Writes what is staged and classified; `commit` notes it for the loop audit."""
        write_rows(self.cursor, staged)
        self._logged += Counter({table.table.full_name: table.logged for table in staged})

    def commit(self) -> None:
        """Commits what was written and closed, with the mark's number drawn."""
        assert self._held is not None
        self.cursor.execute(_DRAW, (self._held.number, self.link.name, self.link.lane))
        # Its statements have no number in their comment: on MySQL only a stamp can name them.
        named = self.database.facts.dialect is Dialect.MARIADB or self.link.mark is MarkKind.ORIGIN
        if self.link.pair and named:
            note_written(self.cursor, self._held, self.link.lane, self._generation, self._logged)
        self.connection.commit()


def _places(letter: str, first: int, columns: Sequence[Column]) -> dict[int, tuple[str, Column]]:
    """The places of columns in a stage's row, from `first` on, with their names there."""
    return {first + i: (f"{letter}{i}", column) for i, column in enumerate(columns)}


def _plain(values: Sequence[Any]) -> Sequence[Any]:
    """A column as LOAD DATA's text takes it: DECIMALs as their digits."""
    if Decimal not in set(map(type, values)):
        return values
    return [str(value) if type(value) is Decimal else value for value in values]


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
