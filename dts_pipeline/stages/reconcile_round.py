"""One round of reconcile on servers: the phases of `core.reconcile.Round`, in their order."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dts_pipeline.adapters.kafka_reader import KafkaReader
from dts_pipeline.adapters.reconcile_records import (
    OpenRecord,
    own_records,
)
from dts_pipeline.adapters.reconcile_site import ReconcileSite, Rows, never_ran, paused
from dts_pipeline.adapters.watermarks import LogDisturbed, SourceLog, write_watermark
from dts_pipeline.core.decode_keys import decode_keys
from dts_pipeline.core.links import Policy
from dts_pipeline.core.marks import reconcile_comment
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.reconcile import Readings, Round
from dts_pipeline.core.reconcile_statements import ReconcileStatements
from dts_pipeline.core.row_values import to_json
from dts_pipeline.core.schema import Table
from dts_pipeline.core.statements import TableStatements
from dts_pipeline.core.watermarks import nothing_left
from dts_pipeline.errors import TransientError
from dts_pipeline.stages.pair import PairRuntime
from dts_pipeline.stages.plan import connector_modes
from dts_pipeline.stages.reconcile_end import RoundEnd
from dts_pipeline.stages.reconcile_work import RoundKeys, RoundResult, RoundWork, TableKeys
from dts_pipeline.stages.runtime import LinkRuntime

if TYPE_CHECKING:
    from dts_pipeline.stages.reconcile import Patience


def run_round(
    pair: PairRuntime,
    first_tables: Mapping[str, Table],
    second_tables: Mapping[str, Table],
    keys: Sequence[TableKeys],
    how: RoundKeys,
    carry: Callable[[LinkRuntime], object] | None,
    patience: Patience,
) -> RoundResult:
    """One round over the keys; what is left of them needs another one.

    Raises TransientError where the round may simply be tried again, TerminalError else.
    """
    with ExitStack() as stack:
        held = Held(pair, how, patience, stack)
        works = held.begin(keys, first_tables, second_tables)
        held.read(works)
        held.catch_up(works, carry)
        return held.decide(works)


class Held:
    """The servers' side of one round."""

    def __init__(
        self, pair: PairRuntime, how: RoundKeys, patience: Patience, stack: ExitStack
    ) -> None:
        """Opens a session at each site and a log of each source; `stack` ends them."""
        self.pair, self.how, self.patience, self.stack = pair, how, patience, stack
        self.name = f"reconcile:{pair.name}"
        back, forth = pair.back.link, pair.forth.link
        self.first = stack.enter_context(ReconcileSite.opened(pair.first, back))
        self.second = stack.enter_context(ReconcileSite.opened(pair.second, forth))
        self.logs = [self._log(pair.forth), self._log(pair.back)]
        self.modes = [connector_modes(pair.forth), connector_modes(pair.back)]
        self.places = [-1, -1]

    def _log(self, runtime: LinkRuntime) -> SourceLog:
        standing = runtime.standing()
        if standing is None:
            raise never_ran(runtime.link)
        if standing.paused:
            raise paused(runtime.link)
        topic = TopicPartition(runtime.link.transaction_topic, 0)
        reader = KafkaReader(runtime.kafka)
        self.stack.callback(reader.close)
        position = standing.partitions[topic].next_offset
        log = SourceLog(runtime.link, reader, runtime.admin, position)
        log.open()
        return log

    # -- phases ---------------------------------------------------------------------------------

    def begin(
        self,
        keys: Sequence[TableKeys],
        first_tables: Mapping[str, Table],
        second_tables: Mapping[str, Table],
    ) -> list[RoundWork]:
        """The records that are open, then the first watermarks; rows are read after both."""
        keys = [self._with_own_records(table, first_tables[table.name]) for table in keys]
        marks = self._watermarks()
        works = []
        for slot, table in enumerate(keys):
            policy = self._policy(table.name)
            column = policy.column or None if policy else None
            statements = [
                self._statements(site, tables[table.name], slot, column)
                for site, tables in ((self.first, first_tables), (self.second, second_tables))
            ]
            begun = Round(policy, self.pair.first.site).marked(marks)
            works.append(RoundWork(table, statements[0], statements[1], begun))
        return works

    def _policy(self, table: str) -> Policy | None:
        """Who wins where the sites differ."""
        policy = self.how.policy or self.pair.forth.link.policy_of(table)
        assert policy is not None
        return policy

    def _with_own_records(self, keys: TableKeys, table: Table) -> TableKeys:
        """The keys with the records that an earlier round of a replay or repair left of them."""
        if self.how.reason is None:
            return keys
        spelled = [to_json(table.primary_key, key) for key in keys.keys]
        found: dict[int, list[OpenRecord]] = {n: list(r) for n, r in keys.records.items()}
        for site in (self.first, self.second):
            own = own_records(site.database, site.link.name, keys.name, spelled)
            for ordinal, key in enumerate(spelled):
                if key in own:
                    found.setdefault(ordinal, []).append(own[key])
        return TableKeys(keys.name, keys.keys, found)

    def _statements(
        self, site: ReconcileSite, table: Table, slot: int, version: str | None
    ) -> ReconcileStatements:
        differ = self.pair.first.facts.dialect is not self.pair.second.facts.dialect
        comment = reconcile_comment(site.link.name)
        dialect = site.database.facts.dialect
        return ReconcileStatements(TableStatements(table, dialect, slot, comment, differ, version))

    def read(self, works: Sequence[RoundWork]) -> None:
        """Both sites' rows; those of the second are compared there with the first's."""
        for work in works:
            keys = work.keys.keys
            work.aliases = self.first.load_keys(work.first, keys)
            rows, _ = self.first.rows(work.first)
            order = column_order(work.first, work.second)
            work.first_rows = {o: tuple(row[i] for i in order) for o, row in rows.items()}
            mine = {o: keys[o] for o in work.ordinals}
            self.second.stage(work.second, mine, work.first_rows, {})
            compared = self.second.compare(work.second)
            work.second_rows = {int(r[0]): tuple(r[4:]) for r in compared if r[1]}
            work.round = work.round.read(_readings(work, compared))
            self._stage(work, compared)

    def _stage(self, work: RoundWork, compared: Sequence[tuple[Any, ...]]) -> None:
        """At each site the other's row as the one wanted, its own as the one expected."""
        different = {int(r[0]): work.keys.keys[int(r[0])] for r in compared if not r[2]}
        self.second.stage(work.second, different, work.first_rows, work.second_rows)
        order = column_order(work.second, work.first)

        def swapped(rows: Rows) -> Rows:
            return {o: tuple(rows[o][i] for i in order) for o in different if o in rows}

        wanted, expected = swapped(work.second_rows), swapped(work.first_rows)
        self.first.stage(work.first, different, wanted, expected)

    def catch_up(
        self, works: Sequence[RoundWork], carry: Callable[[LinkRuntime], object] | None
    ) -> None:
        """Waits until both links have applied everything up to the first watermarks."""
        deadline = time.monotonic() + self.patience.caught_up
        marks = works[0].round.first_marks
        for index, runtime in enumerate((self.pair.forth, self.pair.back)):
            log = self.logs[index]
            place = log.find(self.name, marks[index], deadline)
            if place is None:
                raise _silent(runtime)
            self.places[index] = place
            while not self._is_past(runtime, log, place):
                if time.monotonic() > deadline:
                    raise _behind(runtime, self.patience.caught_up)
                if carry is not None:
                    carry(runtime)
                else:
                    time.sleep(0.3)
        for work in works:
            work.round = work.round.caught_up()

    def _is_past(self, runtime: LinkRuntime, log: SourceLog, place: int) -> bool:
        standing = runtime.standing()
        if standing is None or standing.paused:
            raise paused(runtime.link) if standing else never_ran(runtime.link)
        position = standing.partitions[log.transaction_topic].next_offset
        return nothing_left(log.segments, place, position, runtime.link.matches)

    def decide(self, works: Sequence[RoundWork]) -> RoundResult:
        """Under the hold: second watermarks, what came in between, then writes and closings."""
        installation = self.pair.forth.ledger.installation()
        with self.first.held(installation), self.second.held(installation):
            deadline = time.monotonic() + self.patience.hold
            marks = self._watermarks()
            events = self._events(marks, deadline)
            result = RoundResult()
            if isinstance(events, str):
                result.reasons[events] += 1
                result.left = [work.keys for work in works]
                return result
            for index, frame in enumerate(events):
                for work in works:
                    work.touched |= self._touched(work, index, frame)
            for work in works:
                work.round = work.round.held().marked_again(marks)
            self._finish(works, result)
            return result

    def _finish(self, works: Sequence[RoundWork], result: RoundResult) -> None:
        RoundEnd(self.first, self.second, self.how).finish(works, result)

    def _watermarks(self) -> tuple[int, int]:
        first = write_watermark(self.pair.first, self.name)
        return first, write_watermark(self.pair.second, self.name)

    def _events(self, marks: tuple[int, int], deadline: float) -> list[pd.DataFrame] | str:
        """Each source's events between its watermarks; or why that cannot be told."""
        found = []
        for log, place, mark in zip(self.logs, self.places, marks, strict=True):
            end = log.find(self.name, mark, deadline)
            if end is None:
                return "watermark_late"
            try:
                events = log.events_between(place, end, deadline)
            except LogDisturbed:
                return "connector_restarted"
            if events is None:
                return "events_late"
            found.append(events)
        return found

    def _touched(self, work: RoundWork, index: int, events: pd.DataFrame) -> set[int]:
        """The ordinals that the events name, told by the collation of the first site."""
        own = events[events["table"] == work.keys.name]
        own = own[own["key"].notna()]
        if own.empty:
            return set()
        target, source = work.first.base.table, work.second.base.table
        if index == 0:
            source = target
        names = list(dict.fromkeys(own["key"].tolist()))
        decoded = decode_keys(names, target, self.modes[index], source=source)
        keys = [tuple(row) for row in decoded.itertuples(index=False, name=None)]
        return self.first.touched(work.first, keys)


def _readings(work: RoundWork, compared: Sequence[tuple[Any, ...]]) -> Readings:
    assert [int(r[0]) for r in compared] == work.ordinals
    return Readings(
        first_found=np.array([int(r[0]) in work.first_rows for r in compared], dtype=np.bool_),
        second_found=np.array([bool(r[1]) for r in compared], dtype=np.bool_),
        equal=np.array([bool(r[2]) for r in compared], dtype=np.bool_),
        newer=np.array([int(r[3]) for r in compared], dtype=np.int64),
    )


def column_order(source: ReconcileStatements, target: ReconcileStatements) -> list[int]:
    """Where each of the target's columns stands among the source's."""
    places = {column.name: i for i, column in enumerate(source.base.columns)}
    return [places[column.name] for column in target.base.columns]


def _silent(runtime: LinkRuntime) -> TransientError:
    return TransientError(
        "watermark_missing",
        "a watermark that was written at the source has not arrived in Kafka in time",
        where={"link": runtime.link.name, "site": runtime.link.source},
        remedy="A connector that is behind with a load of writes comes after; else see "
        "`dts connectors`: does it run, is dts.watermark in its table.include.list?",
    )


def _behind(runtime: LinkRuntime, seconds: float) -> TransientError:
    return TransientError(
        "link_behind",
        f"the link did not apply everything up to the watermark within {seconds:.0f} s",
        where={"link": runtime.link.name},
        remedy="Let the schedule run, or carry the batches in this process (--carry).",
    )
