"""Tells rows that differ from rows that are on their way, without holding anybody up.

A round, over keys that looked different:

1. a watermark is written at each source;
2. the links apply everything up to it, which is waited for;
3. the keys' rows are read at both sites; those that are equal are done with;
4. a second watermark is written, and the logs between the two are read.

A key with an event in between, marked or not, starts over. Any other key that differs is different
at rest: what was written before the first watermark has arrived, and nothing was written since.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from dts_pipeline.adapters.kafka_reader import KafkaReader
from dts_pipeline.adapters.table_schema import read_tables
from dts_pipeline.adapters.watermarks import LogDisturbed, SourceLog, write_watermark
from dts_pipeline.core.cascades import may_reach
from dts_pipeline.core.decode_keys import decode_keys
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.schema import Table
from dts_pipeline.core.verification import State
from dts_pipeline.core.watermarks import nothing_left
from dts_pipeline.errors import TerminalError, TransientError
from dts_pipeline.stages.compare import TableComparison
from dts_pipeline.stages.plan import connector_modes, unlogged
from dts_pipeline.stages.runtime import LinkRuntime

Carry = Callable[[LinkRuntime], object]
_NAME = "verify"


@dataclass(frozen=True)
class Patience:
    """How long is waited: seconds for the links to pass a watermark, and for its events to come.

    `rounds` bounds how often a key is looked at.
    """

    passed: float = 200.0
    events: float = 30.0
    rounds: int = 5


@dataclass
class Candidates:
    """Keys of one table that looked different; `state` is None until they are judged."""

    comparison: TableComparison
    keys: pd.DataFrame
    state: npt.NDArray[np.object_] = field(init=False)
    pending: npt.NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.state = np.full(len(self.keys), None, dtype=object)
        self.pending = np.ones(len(self.keys), dtype=np.bool_)

    def read(self) -> None:
        """Reads the pending keys' rows; those equal are done with."""
        at = np.flatnonzero(self.pending)
        *_, state = self.comparison.states(self.keys.iloc[at])
        self.state[at] = state
        self.pending[at] = pd.Series(state, dtype=object).notna().to_numpy()

    def settle(self, touched: npt.NDArray[np.bool_]) -> None:
        """Judges the pending keys that nothing touched since the round began."""
        self.pending &= touched


def judge(
    links: Sequence[LinkRuntime],
    candidates: Sequence[Candidates],
    carry: Carry | None = None,
    patience: Patience | None = None,
) -> None:
    """Settles the state of every candidate: None (equal), a difference, or MOVING.

    `links`: the first is from the first site compared to the second; of a mesh all of its links.

    Raises TerminalError `link_paused`, TransientError `link_behind`, `watermark_missing`. A link
    without a checkpoint carries nothing: the rows are then only read once more.
    """
    patience = patience or Patience()
    names = [table.comparison.pair.name for table in candidates]
    # Lanes that have none of the tables may be stopped, or behind.
    links = [lane for link in links for lane in link.groups if any(map(lane.link.matches, names))]
    if not all(has_run(runtime) for runtime in links):
        for table in candidates:
            table.read()
        return
    for _ in range(patience.rounds):
        pending = [table for table in candidates if table.pending.any()]
        if not pending:
            return
        with Watch(links, carry, patience) as around:
            around.wait_until_passed()
            for table in pending:
                table.read()
            events = around.events_since()
            for table in pending:
                table.settle(around.touched(table.comparison, table.keys, events))
    for table in candidates:
        table.state[table.pending] = State.MOVING


def has_run(runtime: LinkRuntime) -> bool:
    """Whether a link has a checkpoint."""
    return runtime.standing() is not None


class Watch:
    """The logs of the sources around one reading."""

    def __init__(
        self, links: Sequence[LinkRuntime], carry: Carry | None, patience: Patience
    ) -> None:
        self._links, self._carry, self._patience = links, carry, patience
        self._stack = ExitStack()
        self._logs: list[SourceLog] = []
        self._places: list[int] = []

    def __enter__(self) -> Watch:
        self._logs = [self._log(runtime) for runtime in self._links]
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def wait_until_passed(self) -> None:
        """Writes the first watermarks and waits for the links to apply everything before them."""
        deadline = time.monotonic() + self._patience.passed
        marks = [write_watermark(runtime.source, _NAME) for runtime in self._links]
        for runtime, log, mark in zip(self._links, self._logs, marks, strict=True):
            place = log.find(_NAME, mark, deadline)
            if place is None:
                raise _missing(runtime)
            self._places.append(place)
            while not self._is_past(runtime, log, place):
                if time.monotonic() > deadline:
                    raise _behind(runtime, self._patience.passed)
                if self._carry:
                    self._carry(runtime)
                else:
                    time.sleep(0.5)

    def events_since(self) -> list[pd.DataFrame] | None:
        """Each source's events since its first watermark; None where that cannot be told."""
        marks = [write_watermark(runtime.source, _NAME) for runtime in self._links]
        deadline = time.monotonic() + self._patience.events
        found = []
        for log, place, mark in zip(self._logs, self._places, marks, strict=True):
            end = log.find(_NAME, mark, deadline)
            try:
                events = None if end is None else log.events_between(place, end, deadline)
            except LogDisturbed:
                events = None
            if events is None:
                return None
            found.append(events)
        return found

    def touched(
        self, table: TableComparison, keys: pd.DataFrame, events: list[pd.DataFrame] | None
    ) -> npt.NDArray[np.bool_]:
        """Which of a table's keys have an event in any of the logs; all where it is not known.

        All, too, where rows may have changed by a cascade that the source does not log.
        """
        if events is None:
            return np.ones(len(keys), dtype=np.bool_)
        touched = np.zeros(len(keys), dtype=np.bool_)
        pair = table.pair
        for runtime, frame in zip(self._links, events, strict=True):
            if self._may_cascade(runtime, pair.name, frame):
                return np.ones(len(keys), dtype=np.bool_)
            own = frame.loc[(frame["table"] == pair.name) & frame["key"].notna(), "key"]
            first = runtime.source.site == self._links[0].source.site
            # Keys as another site takes them; its collation says which rows they are.
            target, reader = pair.tables[first], table.readers[first]
            source = source_table(runtime, self._links[0], table)
            others = decoded(runtime, own.drop_duplicates().tolist(), source, target)
            touched |= reader.same_rows(keys, others)
        return touched

    @staticmethod
    def _may_cascade(runtime: LinkRuntime, name: str, events: pd.DataFrame) -> bool:
        if events.empty:
            return False
        link = runtime.link
        tables = read_tables(runtime.source, link.matches, link.excluded_columns)
        keys = {table.full_name: table.primary_key for table in tables.values()}
        return may_reach(events, unlogged(runtime, tables), keys, name)

    def _log(self, runtime: LinkRuntime) -> SourceLog:
        link = runtime.link
        standing = runtime.standing()
        assert standing is not None
        if standing.paused:
            raise _paused(runtime)
        reader = KafkaReader(runtime.kafka)
        self._stack.callback(reader.close)
        topic = TopicPartition(link.transaction_topic, 0)
        at = standing.partitions.get(topic)
        log = SourceLog(link, reader, runtime.admin, at.next_offset if at else 0)
        log.open()
        return log

    def _is_past(self, runtime: LinkRuntime, log: SourceLog, place: int) -> bool:
        standing = runtime.standing()
        if standing is None or standing.paused:
            raise _paused(runtime)
        at = standing.partitions.get(log.transaction_topic)
        position = at.next_offset if at else 0
        return nothing_left(log.segments, place, position, runtime.link.matches)


def source_table(runtime: LinkRuntime, compared: LinkRuntime, table: TableComparison) -> Table:
    """The table as a link's source has it, which of a mesh can be a third site."""
    pair = table.pair
    for database, own in zip((compared.source, compared.target), pair.tables, strict=True):
        if database.site == runtime.source.site:
            return own
    excluded = runtime.link.excluded_columns
    return read_tables(runtime.source, pair.name.__eq__, excluded)[pair.name]


def decoded(
    runtime: LinkRuntime, keys: Sequence[bytes], source: Table, target: Table
) -> pd.DataFrame:
    """Debezium's keys as values of the target's key columns."""
    if not keys:
        return pd.DataFrame(columns=list(target.primary_key), dtype=object)
    return decode_keys(keys, target, connector_modes(runtime), source=source)


def _missing(runtime: LinkRuntime) -> TransientError:
    return TransientError(
        "watermark_missing",
        "a watermark that was written at the source has not arrived in Kafka in time",
        where={"link": runtime.link.name, "site": runtime.link.source},
        remedy="Rows that differ cannot be told from changes on their way. Is the connector behind "
        "with a load of writes? Else: does it run, and is dts.watermark in its table.include.list "
        "(`dts connectors`)? Then go on with --resume.",
    )


def _behind(runtime: LinkRuntime, seconds: float) -> TransientError:
    return TransientError(
        "link_behind",
        f"the link did not apply everything up to the watermark within {seconds:.0f} s",
        where={"link": runtime.link.name},
        remedy="Let the schedule run until the link has caught up, then go on with --resume.",
    )


def _paused(runtime: LinkRuntime) -> TerminalError:
    return TerminalError(
        "link_paused",
        "the link is paused, so rows that differ cannot be told from changes on their way",
        where={"link": runtime.link.name},
        remedy=f"Run `dts resume {runtime.link.name}`, then go on with --resume.",
    )
