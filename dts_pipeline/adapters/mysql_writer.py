"""Applies a batch: stage, then fence, classify, write and record in ONE transaction."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pymysql
from pymysql.cursors import Cursor
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    wait_random,
    wait_random_exponential,
)

from dts_pipeline.adapters.apply_request import ApplyRequest, ApplyResult
from dts_pipeline.adapters.batch_rows import counted, write_batch_row
from dts_pipeline.adapters.batch_stages import stage_batch
from dts_pipeline.adapters.bounces import count_bounces
from dts_pipeline.adapters.cascade_stages import CascadeWork, stage_cascades
from dts_pipeline.adapters.cascades import carry_out, with_cascades
from dts_pipeline.adapters.dangling import dangling
from dts_pipeline.adapters.database import Database, translated
from dts_pipeline.adapters.direct_inserts import NotAsExpectedError
from dts_pipeline.adapters.lane_lock import end_session, lock_lane
from dts_pipeline.adapters.ledger import Ledger, columns
from dts_pipeline.adapters.loop_ledger import note_returned, note_stamp, note_written
from dts_pipeline.adapters.quarantine import standing, write_quarantine
from dts_pipeline.adapters.records import write_records
from dts_pipeline.adapters.staging import StagedTable
from dts_pipeline.adapters.unique_conflicts import write_deciding_unique
from dts_pipeline.adapters.verdicts import meet, superseded
from dts_pipeline.adapters.writes import TABLES_CHANGED
from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.core.links import MarkKind
from dts_pipeline.core.marks import Mark
from dts_pipeline.core.points import Point, reached
from dts_pipeline.core.schema import Dialect
from dts_pipeline.core.statements import LEDGER_SCHEMA
from dts_pipeline.errors import TerminalError, TransientError

_ATTEMPTS = 6
# A user who inserts a key between our look and our write makes no conflict, only a repetition;
# where many write to few keys that happens several times in a row.
_OUTRUN_ATTEMPTS = 40
_OUTRUN_WAIT = wait_random(0, 0.1)
_WAIT = wait_random_exponential(multiplier=0.2, max=5)
_SESSION = (
    "SET SESSION innodb_lock_wait_timeout = 10, lock_wait_timeout = 10, "
    "net_read_timeout = 60, net_write_timeout = 60, wait_timeout = 120"
)
_FENCE = (
    "UPDATE `dts`.`checkpoint` SET batch = %s, offsets = %s, partitions = %s, mark_sequence = %s, "
    "incarnation = %s, applied_gtids = %s, updated_at = UTC_TIMESTAMP(6) "
    "WHERE link = %s AND lane = %s AND generation = %s AND batch = %s AND offsets = %s "
    "AND mark_sequence = %s AND paused = 0"
)


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
        lane = request.link.name, request.batch.before.lane
        # It stays until the garbage collector comes by: its functions must not hold the batch.
        retrying = Retrying(
            retry=retry_if_exception(_is_worth_repeating),
            stop=_has_tried_enough,
            wait=lambda state: (_OUTRUN_WAIT if _was_outrun(state) else _WAIT)(state),
            before_sleep=lambda _: self._end_last_session(*lane),
            reraise=True,
        )
        try:
            return retrying(self._attempt, request)
        except NotAsExpectedError:
            self._end_last_session(*lane)
            return self.apply(replace(request, inserts=False))
        except TransientError as error:
            if error.code == "duplicate_key" and not _is_of_primary_key(error):
                raise TerminalError(
                    "unique_conflict",
                    "a unique value of this batch belongs to another key at the target",
                    where=error.where,
                    remedy="Both sites gave the same unique value to different keys: change one of "
                    "the two rows; the batch is tried again at the next run.",
                ) from None
            raise

    def _end_last_session(self, link: str, lane: str) -> None:
        """Ends the failed attempt's session: half-dead, it may own the GTID and the lock."""
        end_session(self._database, link, lane, self._last_session)

    def _attempt(self, request: ApplyRequest) -> ApplyResult:
        where = {"link": request.link.name, "batch": request.batch.number}
        with self._database.raw(where=where) as connection, translated(where):
            self._last_session = int(connection.thread_id())  # type: ignore[no-untyped-call]
            cursor = connection.cursor()
            connection.select_db(LEDGER_SCHEMA)  # multi-table DELETE resolves its alias by it
            cursor.execute(_SESSION)
            lock_lane(cursor, request.link.name, request.batch.before.lane)
            request = self._with_next_number(cursor, request)
            staged = self.stage(cursor, request)
            work = stage_cascades(cursor, request, staged)
            self._note_session(cursor, request)
            connection.commit()
            self._refuse_used_number(cursor, request)
            connection.commit()
            reached(Point.STAGED)
            with _marked(cursor, request.mark):
                result = self._transaction(connection, cursor, request, staged, work)
            if result.outcome == "applied" and request.link.pair:
                note_stamp(cursor, request.mark)
            return result

    @staticmethod
    def _with_next_number(cursor: Cursor, request: ApplyRequest) -> ApplyRequest:
        """The request with the mark's next number: reconcile draws from the same sequence."""
        before, after = request.batch.before, request.batch.after
        cursor.execute(
            "SELECT mark_sequence FROM `dts`.`checkpoint` WHERE link = %s AND lane = %s",
            (before.link, before.lane),
        )
        drawn = int((cursor.fetchone() or (before.mark_sequence,))[0])
        batch = replace(
            request.batch,
            before=replace(before, mark_sequence=drawn),
            after=replace(after, mark_sequence=drawn + 1),
        )
        return replace(request, batch=batch, mark=replace(request.mark, number=drawn + 1))

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
            before = request.batch.before
            standing = self._ledger.read(before.link, before.lane)
            if standing and _place(standing) != _place(before):
                return  # applied, drawn by a reconcile, or another run is ahead: the fence tells
            raise TerminalError(
                "mark_number_used",
                "the server has already executed this batch's GTID, yet the ledger is behind it",
                where={"link": request.link.name, "gtid": mark.gtid},
                remedy="The ledger was restored or set back. Compare both sites, then give the "
                "lane a new generation (docs/operations.md).",
            )

    def stage(self, cursor: Cursor, request: ApplyRequest) -> list[StagedTable]:
        """See `stage_batch`; also what a preview begins with."""
        return stage_batch(cursor, request)

    def _transaction(
        self,
        connection: pymysql.Connection[Any],
        cursor: Cursor,
        request: ApplyRequest,
        staged: Sequence[StagedTable],
        work: CascadeWork | None,
    ) -> ApplyResult:
        connection.begin()
        try:
            if not self._fence(cursor, request):
                connection.rollback()
                return self._not_ours(request)
            reached(Point.FENCED)
            kept = standing(cursor, request.link.name, lock=True)
            records = [r for r in superseded(request) if (r.table, r.key) not in kept]
            if work is not None:
                carry_out(cursor, request, staged, work)
                records += work.records
            for table in staged:
                records += meet(cursor, request, table)
            records += write_deciding_unique(cursor, request.link, staged)
            records += dangling(cursor, request, staged, records)
            left_out = [change for table in staged for change in table.left_out]
            records += write_quarantine(cursor, request.link, left_out, kept)
            count_bounces(cursor, request, left_out)
            write_records(
                cursor, request.link.name, request.batch.before.lane, request.batch.number, records
            )
            tables = with_cascades(counted(staged, records), work.counts if work else {})
            write_batch_row(cursor, request, tables)
            if request.link.pair:
                _note_loop(cursor, request, staged, work)
            reached(Point.WRITTEN)
            connection.commit()
        except BaseException:
            with contextlib.suppress(pymysql.MySQLError, OSError):
                connection.rollback()
            raise
        reached(Point.COMMITTED)
        return ApplyResult("applied", tables)

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
        before = request.batch.before
        standing = self._ledger.read(before.link, before.lane)
        if standing is not None and standing.paused:
            return ApplyResult("paused", {})
        if standing is not None and _place(standing)[:3] == _place(before)[:3]:
            raise TransientError(
                "mark_number_drawn",
                "a reconcile wrote under the number that this batch was about to use",
                where={"link": before.link, "batch": request.batch.number},
                remedy="The batch is repeated by itself, under the next number.",
            )
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


def _note_loop(
    cursor: Cursor, request: ApplyRequest, staged: Sequence[StagedTable], work: CascadeWork | None
) -> None:
    """What the loop audit compares: rows written here, and the other link's that came back."""
    logged = Counter({table.table.full_name: table.logged for table in staged})
    logged += work.logged if work else Counter()
    before = request.batch.before
    note_written(cursor, request.mark, before.lane, before.generation, logged)
    note_returned(cursor, request.link.name, request.batch.returned)


def _is_worth_repeating(error: BaseException) -> bool:
    return isinstance(error, TransientError) and error.code != TABLES_CHANGED


def _has_tried_enough(state: RetryCallState) -> bool:
    return state.attempt_number >= (_OUTRUN_ATTEMPTS if _was_outrun(state) else _ATTEMPTS)


def _was_outrun(state: RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    return isinstance(error, TransientError) and _is_of_primary_key(error)


def _is_of_primary_key(error: TransientError) -> bool:
    """Whether a key, not a unique value, appeared; MySQL writes `table.PRIMARY`."""
    return error.code == "duplicate_key" and str(error.where.get("index")).endswith("PRIMARY")


def _place(checkpoint: Checkpoint) -> tuple[int, int, str, int]:
    """What the fence compares."""
    return (
        checkpoint.generation,
        checkpoint.batch,
        checkpoint.offsets_json(),
        checkpoint.mark_sequence,
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
