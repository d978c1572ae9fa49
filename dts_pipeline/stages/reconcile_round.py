"""One round of reconcile on servers: the phases of `core.reconcile.Round`, in their order."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.kafka_reader import KafkaReader
from dts_pipeline.adapters.reconcile_records import (
    OpenRecord,
    own_records,
)
from dts_pipeline.adapters.reconcile_site import ReconcileSite, Rows, never_ran, paused
from dts_pipeline.adapters.watermarks import LogDisturbed, SourceLog, write_watermark
from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.core.decode_keys import decode_keys
from dts_pipeline.core.links import Link, Policy
from dts_pipeline.core.marks import reconcile_comment
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.reconcile import Readings, Round
from dts_pipeline.core.reconcile_statements import ReconcileStatements
from dts_pipeline.core.row_values import to_json
from dts_pipeline.core.schema import Table
from dts_pipeline.core.statements import TableStatements
from dts_pipeline.core.watermarks import nothing_left
from dts_pipeline.errors import TransientError
from dts_pipeline.stages.pair import PairRuntime, Star
from dts_pipeline.stages.plan import connector_modes
from dts_pipeline.stages.reconcile_end import RoundEnd
from dts_pipeline.stages.reconcile_work import (
    RoundKeys,
    RoundResult,
    RoundWork,
    SiteTables,
    TableKeys,
    by_table,
)
from dts_pipeline.stages.runtime import LinkRuntime

if TYPE_CHECKING:
    from dts_pipeline.stages.reconcile import Patience


def run_round(
    star: Star,
    tables: SiteTables,
    keys: Sequence[TableKeys],
    how: RoundKeys,
    carry: Callable[[LinkRuntime], object] | None,
    patience: Patience,
) -> RoundResult:
    """One round over the keys; what is left of them needs another one.

    Raises TransientError where the round may simply be tried again, TerminalError else.
    """
    with ExitStack() as stack:
        held = Held(star, how, patience, stack)
        works = held.begin(keys, tables)
        held.read(works)
        held.catch_up(works, carry)
        return held.decide(works)


class Held:
    """The servers' side of one round: every site of the star, and all its links."""

    def __init__(self, star: Star, how: RoundKeys, patience: Patience, stack: ExitStack) -> None:
        """Opens a session at each site and a log of each source; `stack` ends them."""
        self.star, self.how, self.patience, self.stack = star, how, patience, stack
        self.name = f"reconcile:{star.name}"
        self.sites = {
            database.site: stack.enter_context(_opened(star, database)) for database in star.sites
        }
        self.logs = {site: self._log(site) for site in self.sites}
        self.modes = {link.source.site: connector_modes(link) for link in star.links}
        self.places: dict[str, int] = {}
        self.tables: SiteTables = {}

    @property
    def centre(self) -> ReconcileSite:
        """The site that the others are held against."""
        return self.sites[self.star.arms[0].first.site]

    def _log(self, site: str) -> SourceLog:
        """What a site's connector sends, read from where the hindmost link from there is."""
        reading = [link for link in self.star.links if link.source.site == site]
        link = reading[0].link
        topic = TopicPartition(link.transaction_topic, 0)
        position = min(_standing(own).partitions[topic].next_offset for own in reading)
        reader = KafkaReader(reading[0].kafka)
        self.stack.callback(reader.close)
        log = SourceLog(link, reader, reading[0].admin, position)
        log.open()
        return log

    # -- phases ---------------------------------------------------------------------------------

    def begin(self, keys: Sequence[TableKeys], tables: SiteTables) -> list[RoundWork]:
        """The records that are open, then the first watermarks; rows are read after all of them.

        A piece of work a table and arm, those of a table together.
        """
        self.tables = tables
        at_centre = tables[self.centre.database.site]
        keys = [self._with_own_records(table, at_centre[table.name]) for table in keys]
        marks = self._watermarks()
        works: list[RoundWork] = []
        for table in keys:
            for arm in self.star.arms:
                policy = self._policy(arm, table.name)
                column = policy.column or None if policy else None
                first, second = (
                    self._statements(arm, site, table.name, len(works), column)
                    for site in (arm.first.site, arm.second.site)
                )
                begun = Round(policy, arm.first.site).marked(marks)
                works.append(RoundWork(table, arm.second.site, first, second, begun))
        return works

    def _policy(self, arm: PairRuntime, table: str) -> Policy | None:
        """Who wins where the sites differ."""
        policy = self.how.policy or arm.forth.link.policy_of(table)
        assert policy is not None
        return policy

    def _with_own_records(self, keys: TableKeys, table: Table) -> TableKeys:
        """The keys with the records that an earlier round of a replay or repair left of them."""
        if self.how.reason is None:
            return keys
        spelled = [to_json(table.primary_key, key) for key in keys.keys]
        found: dict[int, list[OpenRecord]] = {n: list(r) for n, r in keys.records.items()}
        for site in self.sites.values():
            own = own_records(site.database, site.link.name, keys.name, spelled)
            for ordinal, key in enumerate(spelled):
                if key in own:
                    found.setdefault(ordinal, []).append(own[key])
        return TableKeys(keys.name, keys.keys, found)

    def _statements(
        self, arm: PairRuntime, site: str, name: str, slot: int, version: str | None
    ) -> ReconcileStatements:
        own = self.sites[site]
        differ = arm.first.facts.dialect is not arm.second.facts.dialect
        comment = reconcile_comment(own.link.name)
        dialect = own.database.facts.dialect
        table = self.tables[site][name]
        return ReconcileStatements(TableStatements(table, dialect, slot, comment, differ, version))

    def read(self, works: Sequence[RoundWork]) -> None:
        """All sites' rows; those of the other sites are compared there with the centre's."""
        for work in works:
            keys, other = work.keys.keys, self.sites[work.site]
            work.aliases = self.centre.load_keys(work.first, keys)
            rows, _ = self.centre.rows(work.first)
            order = column_order(work.first, work.second)
            work.first_rows = {o: tuple(row[i] for i in order) for o, row in rows.items()}
            mine = {o: keys[o] for o in work.ordinals}
            other.stage(work.second, mine, work.first_rows, {})
            compared = other.compare(work.second)
            work.second_rows = {int(r[0]): tuple(r[4:]) for r in compared if r[1]}
            work.round = work.round.read(_readings(work, compared))
            self._stage(work, compared)

    def _stage(self, work: RoundWork, compared: Sequence[tuple[Any, ...]]) -> None:
        """At each site the other's row as the one wanted, its own as the one expected."""
        different = {int(r[0]): work.keys.keys[int(r[0])] for r in compared if not r[2]}
        other = self.sites[work.site]
        other.stage(work.second, different, work.first_rows, work.second_rows)
        order = column_order(work.second, work.first)

        def swapped(rows: Rows) -> Rows:
            return {o: tuple(rows[o][i] for i in order) for o in different if o in rows}

        wanted, expected = swapped(work.second_rows), swapped(work.first_rows)
        self.centre.stage(work.first, different, wanted, expected)

    def catch_up(
        self, works: Sequence[RoundWork], carry: Callable[[LinkRuntime], object] | None
    ) -> None:
        """Waits until all links have applied everything up to the first watermarks."""
        deadline = time.monotonic() + self.patience.caught_up
        marks = works[0].round.first_marks
        for site, log in self.logs.items():
            place = log.find(self.name, marks[site], deadline)
            if place is None:
                raise _silent(log.link)
            self.places[site] = place
        for runtime in self.star.links:
            while not self._is_past(runtime):
                if time.monotonic() > deadline:
                    raise _behind(runtime, self.patience.caught_up)
                if carry is not None:
                    carry(runtime)
                else:
                    time.sleep(0.3)
        for work in works:
            work.round = work.round.caught_up()

    def _is_past(self, runtime: LinkRuntime) -> bool:
        log, place = self.logs[runtime.source.site], self.places[runtime.source.site]
        position = _standing(runtime).partitions[log.transaction_topic].next_offset
        return nothing_left(log.segments, place, position, runtime.link.matches)

    def decide(self, works: Sequence[RoundWork]) -> RoundResult:
        """Under the hold: second watermarks, what came in between, then writes and closings."""
        installation = self.star.links[0].ledger.installation()
        with ExitStack() as holding:
            for site in self.sites.values():
                holding.enter_context(site.held(installation))
            deadline = time.monotonic() + self.patience.hold
            marks = self._watermarks()
            events = self._events(marks, deadline)
            result = RoundResult()
            if isinstance(events, str):
                result.reasons[events] += 1
                result.left = [own[0].keys for own in by_table(works)]
                return result
            for source, frame in events.items():
                for work in works:
                    work.touched |= self._touched(work, source, frame)
            for work in works:
                work.round = work.round.held().marked_again(marks)
            self._finish(works, result)
            return result

    def _finish(self, works: Sequence[RoundWork], result: RoundResult) -> None:
        RoundEnd(self.sites, self.how).finish(works, result)

    def _watermarks(self) -> dict[str, int]:
        return {name: write_watermark(own.database, self.name) for name, own in self.sites.items()}

    def _events(self, marks: Mapping[str, int], deadline: float) -> dict[str, pd.DataFrame] | str:
        """Each source's events between its watermarks; or why that cannot be told."""
        found = {}
        for site, log in self.logs.items():
            end = log.find(self.name, marks[site], deadline)
            if end is None:
                return "watermark_late"
            try:
                events = log.events_between(self.places[site], end, deadline)
            except LogDisturbed:
                return "connector_restarted"
            if events is None:
                return "events_late"
            found[site] = events
        return found

    def _touched(self, work: RoundWork, site: str, events: pd.DataFrame) -> set[int]:
        """The ordinals that the events name, told by the collation of the centre."""
        own = events[events["table"] == work.keys.name]
        own = own[own["key"].notna()]
        if own.empty:
            return set()
        names = list(dict.fromkeys(own["key"].tolist()))
        return self.centre.touched(work.first, self.decoded(work, site, names))

    def decoded(self, work: RoundWork, site: str, keys: Sequence[bytes]) -> list[tuple[Any, ...]]:
        """Debezium's keys of a site's events as values of the centre's key columns."""
        target, source = work.first.base.table, self.tables[site][work.keys.name]
        decoded = decode_keys(keys, target, self.modes[site], source=source)
        columns = decoded[list(target.primary_key)]
        return [tuple(row) for row in columns.itertuples(index=False, name=None)]


def _opened(star: Star, database: Database) -> AbstractContextManager[ReconcileSite]:
    """The session at a site, as the first of the links that write there; it holds them all."""
    first, *others = (runtime.link for runtime in star.writing(database.site))
    return ReconcileSite.opened(database, first, others)


def _standing(runtime: LinkRuntime) -> Checkpoint:
    standing = runtime.standing()
    if standing is None:
        raise never_ran(runtime.link)
    if standing.paused:
        raise paused(runtime.link)
    return standing


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


def _silent(link: Link) -> TransientError:
    return TransientError(
        "watermark_missing",
        "a watermark that was written at the source has not arrived in Kafka in time",
        where={"link": link.name, "site": link.source},
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
