"""Applies a batch: stage, then fence, classify, write and record in ONE transaction."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pymysql
from pymysql.cursors import Cursor
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from dts_pipeline.adapters.database import Database, error_number, translated
from dts_pipeline.adapters.ledger import Ledger, columns
from dts_pipeline.adapters.records import Record, write_records
from dts_pipeline.adapters.staging import StagedTable, fill
from dts_pipeline.core.batches import Batch
from dts_pipeline.core.conflicts import Kind, Meeting, Winner, kind_of, source_wins
from dts_pipeline.core.decode import ValueModes
from dts_pipeline.core.links import Link, MarkKind
from dts_pipeline.core.marks import Mark
from dts_pipeline.core.points import Point, reached
from dts_pipeline.core.schema import Dialect, Table
from dts_pipeline.core.statements import LEDGER_SCHEMA, TableStatements
from dts_pipeline.errors import TerminalError, TransientError

_ATTEMPTS = 6
_SESSION = (
    "SET SESSION innodb_lock_wait_timeout = 10, lock_wait_timeout = 10, "
    "net_read_timeout = 60, net_write_timeout = 60, wait_timeout = 600"
)
_FENCE = (
    "UPDATE `dts`.`checkpoint` SET batch = %s, offsets = %s, partitions = %s, mark_sequence = %s, "
    "incarnation = %s, applied_gtids = %s, updated_at = UTC_TIMESTAMP(6) "
    "WHERE link = %s AND lane = %s AND generation = %s AND batch = %s AND offsets = %s "
    "AND mark_sequence = %s AND paused = 0"
)
_BATCH_ROW = (
    "INSERT INTO `dts`.`batch` (link, lane, generation, batch, from_offsets, until_offsets, mark, "
    "counts, committed_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, UTC_TIMESTAMP(6))"
)
_DUPLICATE_KEY = re.compile(r"for key '([^']*)'$")


@dataclass(frozen=True)
class ApplyRequest:
    """What one application needs; tables by `schema.table`, as they are at each site."""

    link: Link
    batch: Batch
    tables: Mapping[str, Table]
    source_tables: Mapping[str, Table]
    mark: Mark
    modes: ValueModes
    compare_json: bool


@dataclass(frozen=True)
class ApplyResult:
    """`outcome`: applied, already_applied or paused; counts per table."""

    outcome: str
    tables: Mapping[str, Mapping[str, int]]


class BatchWriter:
    """Applies batches to one site."""

    def __init__(self, database: Database) -> None:
        """`database` is the link's target."""
        self._database = database
        self._ledger = Ledger(database)
        self._last_session = 0

    def apply(self, request: ApplyRequest) -> ApplyResult:
        """Applies one batch, repeating it on transient errors, each time from its beginning.

        Raises PoisonError, TerminalError (`lane_busy`, `another_run_ahead`, `mark_number_used`,
        `unique_conflict`, `conflict` …), or the last TransientError once the repeats are used up.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.2, max=5),
            before_sleep=lambda _: self._end_last_session(),
            reraise=True,
        )
        try:
            return retrying(self._attempt, request)
        except TransientError as error:
            if error.code == "duplicate_key":
                raise TerminalError(
                    "unique_conflict",
                    "a unique value of this batch belongs to another key at the target",
                    where=error.where,
                    remedy="Both sites gave the same unique value to different keys: change one of "
                    "the two rows; the batch is tried again at the next run.",
                ) from None
            raise

    def _end_last_session(self) -> None:
        """Ends the session of the failed attempt: half-dead, it may own the GTID and the lock."""
        with contextlib.suppress(Exception):
            self._database.query(f"KILL {self._last_session}")

    def _attempt(self, request: ApplyRequest) -> ApplyResult:
        where = {"link": request.link.name, "batch": request.batch.number}
        with self._database.raw(where=where) as connection, translated(where):
            self._last_session = connection.thread_id()
            cursor = connection.cursor()
            connection.select_db(LEDGER_SCHEMA)  # multi-table DELETE resolves its alias by it
            cursor.execute(_SESSION)
            self._lock_lane(cursor, request)
            staged = self._stage(cursor, request)
            self._note_session(cursor, request)
            connection.commit()
            self._refuse_used_number(cursor, request)
            connection.commit()
            reached(Point.STAGED)
            with _marked(cursor, request.mark):
                result = self._transaction(connection, cursor, request, staged)
            for table in staged:
                for statement in table.statements.drop():
                    cursor.execute(statement)
            connection.commit()
            return result

    def _lock_lane(self, cursor: Cursor, request: ApplyRequest) -> None:
        """One applying session a lane; the server frees the lock when the session dies."""
        name = f"dts:{request.link.name}:{request.batch.before.lane}"
        cursor.execute("SELECT GET_LOCK(%s, 5), IS_USED_LOCK(%s)", (name, name))
        got, holder = cursor.fetchone() or (0, None)
        if not got:
            raise TerminalError(
                "lane_busy",
                "another run is applying a batch of this lane",
                where={"link": request.link.name, "session": holder},
                remedy="Let that run end; this one wrote nothing.",
            )

    def _note_session(self, cursor: Cursor, request: ApplyRequest) -> None:
        cursor.execute(
            "UPDATE `dts`.`checkpoint` SET session_id = CONNECTION_ID() "
            "WHERE link = %s AND lane = %s",
            (request.link.name, request.batch.before.lane),
        )

    def _refuse_used_number(self, cursor: Cursor, request: ApplyRequest) -> None:
        """A number in gtid_executed while the ledger is behind it: the server would skip us."""
        mark = request.mark
        if mark.kind is not MarkKind.ORIGIN or mark.dialect is not Dialect.MYSQL:
            return
        cursor.execute("SELECT GTID_SUBSET(%s, @@GLOBAL.gtid_executed)", (mark.gtid,))
        if (cursor.fetchone() or (0,))[0]:
            if self._already_applied(request):
                return  # the fence finds that out in its own way
            raise TerminalError(
                "mark_number_used",
                "the server has already executed this batch's GTID, yet the ledger is behind it",
                where={"link": request.link.name, "gtid": mark.gtid},
                remedy="The ledger was restored or set back. Compare both sites, then give the "
                "lane a new generation (docs/operations.md).",
            )

    def _stage(self, cursor: Cursor, request: ApplyRequest) -> list[StagedTable]:
        staged = []
        changes = request.batch.frame
        for slot, (name, group) in enumerate(changes.groupby("table", sort=True, observed=True)):
            statements = TableStatements(
                request.tables[str(name)],
                request.mark.dialect,
                slot,
                request.mark.comment,
                request.compare_json,
                self._version_column(request.link, str(name)),
            )
            source = request.source_tables[str(name)]
            table = StagedTable(statements, source, group.reset_index(drop=True))
            fill(cursor, table, request.modes, request.link.detect)
            reached(Point.STAGING)
            staged.append(table)
        return staged

    @staticmethod
    def _version_column(link: Link, table: str) -> str | None:
        policy = link.policy_of(table)
        return policy.column if policy and policy.kind == "newest" else None

    def _transaction(
        self,
        connection: pymysql.Connection[Any],
        cursor: Cursor,
        request: ApplyRequest,
        staged: Sequence[StagedTable],
    ) -> ApplyResult:
        connection.begin()
        try:
            if not self._fence(cursor, request):
                connection.rollback()
                return self._not_ours(request)
            reached(Point.FENCED)
            records = list(_superseded(request))
            for table in staged:
                records += self._classify(cursor, request, table)
            self._write(cursor, staged)
            write_records(
                cursor, request.link.name, request.batch.before.lane, request.batch.number, records
            )
            self._batch_row(cursor, request, staged)
            reached(Point.WRITTEN)
            connection.commit()
        except BaseException:
            with contextlib.suppress(pymysql.MySQLError, OSError):
                connection.rollback()
            raise
        reached(Point.COMMITTED)
        return ApplyResult("applied", {t.table.full_name: t.counts for t in staged})

    def _fence(self, cursor: Cursor, request: ApplyRequest) -> bool:
        """Moves the checkpoint if it still stands where the batch began (rule R6)."""
        moved = columns(request.batch.after)
        before = request.batch.before
        return bool(
            cursor.execute(
                _FENCE,
                (
                    *(moved[name] for name in ("batch", "offsets", "partitions", "mark_sequence")),
                    *(moved[name] for name in ("incarnation", "applied_gtids")),
                    before.link,
                    before.lane,
                    before.generation,
                    before.batch,
                    before.offsets_json(),
                    before.mark_sequence,
                ),
            )
        )

    def _already_applied(self, request: ApplyRequest) -> bool:
        after = request.batch.after
        until = self._ledger.batch_until(after.link, after.lane, after.generation, after.batch)
        return until == after.offsets_json()

    def _not_ours(self, request: ApplyRequest) -> ApplyResult:
        """What it means that the checkpoint stands elsewhere; never a second write."""
        if self._already_applied(request):
            return ApplyResult("already_applied", {})
        standing = self._ledger.read(request.batch.before.link, request.batch.before.lane)
        if standing is not None and standing.paused:
            return ApplyResult("paused", {})
        raise TerminalError(
            "another_run_ahead",
            "the checkpoint moved while this batch was on its way",
            where={
                "link": request.link.name,
                "batch": request.batch.number,
                "ledger_batch": standing.batch if standing else "none",
                "ledger_generation": standing.generation if standing else "none",
            },
            remedy="Another run of this lane is ahead; this one wrote nothing.",
        )

    def _classify(self, cursor: Cursor, request: ApplyRequest, staged: StagedTable) -> list[Record]:
        """Meets every change with the target's row, decides the conflicts, gives their records."""
        cursor.execute(staged.statements.classify(request.link.detect))
        if not request.link.detect:
            return []
        cursor.execute(staged.statements.verdicts())
        verdicts = pd.DataFrame(
            list(cursor.fetchall()), columns=["ord", "meeting", "found", "newer"]
        )
        same = verdicts[verdicts["meeting"] == Meeting.SAME.value]
        conflicts = verdicts[verdicts["meeting"] == Meeting.CONFLICT.value]
        staged.counts |= {"same": len(same), "conflicts": len(conflicts)}
        records = []
        if request.link.pair and not request.link.version_column_of(staged.table.full_name):
            records += _same_records(staged, same)
        if len(conflicts):
            records += self._decide(cursor, request, staged, conflicts)
        return records

    def _decide(
        self, cursor: Cursor, request: ApplyRequest, staged: StagedTable, conflicts: pd.DataFrame
    ) -> list[Record]:
        policy = request.link.policy_of(staged.table.full_name)
        if policy is None or policy.kind == "fail":
            raise TerminalError(
                "conflict",
                f"{len(conflicts)} row(s) were changed at both sites and the policy is `fail`",
                where={"link": request.link.name, "table": staged.table.full_name},
                remedy="Make the rows equal by hand or choose another policy.",
            )
        ordinals = conflicts["ord"].to_numpy()
        changes = staged.changes.iloc[ordinals]
        is_delete = changes["after"].isna().to_numpy()
        found = conflicts["found"].to_numpy(dtype=np.bool_)
        wins = source_wins(
            policy,
            request.link.source,
            is_delete=is_delete,
            found=found,
            newer=conflicts["newer"].to_numpy(dtype=np.int64),
        )
        won = [(int(o),) for o in ordinals[wins]]
        if won:
            cursor.executemany(staged.statements.set_won(), won)
        staged.counts["lost"] = int((~wins).sum())
        rows = _found_rows(cursor, staged)
        return [
            Record(
                staged.table.full_name,
                change.key,
                kind_of(bool(gone), change.before is not None, bool(there)),
                Winner.SOURCE if win else Winner.TARGET,
                change.before,
                change.after,
                rows.get(int(ordinal)),
            )
            for change, gone, there, win, ordinal in zip(
                changes.itertuples(index=False), is_delete, found, wins, ordinals, strict=True
            )
        ]

    def _write(self, cursor: Cursor, staged: Sequence[StagedTable]) -> None:
        """Deletes of all tables first, then updates and inserts."""
        expected = []
        for table in staged:
            cursor.execute(table.statements.expected_counts())
            expected.append([int(n) for n in cursor.fetchone() or (0, 0, 0)])
        for table, (deletes, updates, _) in zip(staged, expected, strict=True):
            replaced = updates if table.statements.replaces_rows else 0
            self._run(cursor, table, table.statements.delete(), deletes + replaced)
        for table, (deletes, updates, inserts) in zip(staged, expected, strict=True):
            update = table.statements.update()
            if update is not None:
                self._run(cursor, table, update, updates)
            replaced = 0 if update is not None else updates
            self._run(cursor, table, table.statements.insert(), inserts + replaced)
            table.counts |= {"deleted": deletes, "updated": updates, "inserted": inserts}

    @staticmethod
    def _run(cursor: Cursor, table: StagedTable, statement: str, expected: int) -> None:
        """Runs one write and holds its count against the classification's."""
        if not expected:
            return
        try:
            written = cursor.execute(statement)
        except pymysql.IntegrityError as error:
            if error_number(error) != 1062:
                raise
            match = _DUPLICATE_KEY.search(str(error.args[1]))
            raise TransientError(
                "duplicate_key",
                "a key appeared at the target between classification and write",
                where={"table": table.table.full_name, "index": match[1] if match else "?"},
                remedy="The batch is repeated by itself.",
            ) from None
        if written != expected:
            raise TerminalError(
                "count_mismatch",
                f"a statement wrote {written} row(s) where {expected} were due",
                where={"table": table.table.full_name, "statement": statement.split(" ", 1)[0]},
                remedy="Look for triggers or a GTID that was used before; nothing was written.",
            )

    @staticmethod
    def _batch_row(cursor: Cursor, request: ApplyRequest, staged: Sequence[StagedTable]) -> None:
        after = request.batch.after
        counts = {t.table.full_name: t.counts for t in staged}
        cursor.execute(
            _BATCH_ROW,
            (
                after.link,
                after.lane,
                after.generation,
                after.batch,
                request.batch.before.offsets_json(),
                after.offsets_json(),
                request.mark.gtid if request.mark.kind is MarkKind.ORIGIN else "comment",
                json.dumps({**request.batch.counts, "tables": counts}),
            ),
        )


@contextlib.contextmanager
def _marked(cursor: Cursor, mark: Mark) -> Iterator[None]:
    """Puts the session under the mark, and always takes it back."""
    try:
        for statement in mark.before_transaction():
            cursor.execute(statement)
        yield
    finally:
        with contextlib.suppress(pymysql.MySQLError, OSError):
            for statement in mark.after_transaction():
                cursor.execute(statement)


def _superseded(request: ApplyRequest) -> Iterator[Record]:
    """Rule R2: user changes that a marked event of their key overtook."""
    superseded = request.batch.superseded
    if superseded is None or request.link.pair is None:
        return
    for row in superseded.itertuples(index=False):
        yield Record(row.table, row.key, Kind.SUPERSEDED, Winner.NONE, row.before, row.after)


def _same_records(staged: StagedTable, same: pd.DataFrame) -> list[Record]:
    """Rule R1: that the target is equal already proves nothing; snapshot rows are excepted."""
    changes = staged.changes.iloc[same["ord"].to_numpy()]
    return [
        Record(staged.table.full_name, c.key, Kind.SAME, Winner.NONE, c.before, c.after)
        for c in changes[~changes["snapshot"].astype(bool)].itertuples(index=False)
    ]


def _found_rows(cursor: Cursor, staged: StagedTable) -> dict[int, dict[str, Any]]:
    cursor.execute(staged.statements.found_rows())
    names = [column.name for column in staged.statements.columns]
    return {
        int(row[0]): {
            name: value if value is None or isinstance(value, str) else str(value)
            for name, value in zip(names, row[1:], strict=True)
        }
        for row in cursor.fetchall()
    }
