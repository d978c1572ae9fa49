"""What the stages hand to each other: the checkpoint, the plan, a batch on its way, its result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from dts_pipeline.core.cascades import Cascades
from dts_pipeline.core.decode_modes import ValueModes
from dts_pipeline.core.ranges import OffsetRanges, TopicPartition
from dts_pipeline.core.schema import ForeignKey, Table
from dts_pipeline.core.waiting import Waiting

TRANSACTIONAL, EVENTUAL = "transactional", "eventual"


@dataclass(frozen=True, order=True)
class SourcePosition:
    """Where a row event stands in the source's binlog, ordered within one incarnation of it.

    `half` is 1 for inserts and 0 else: the two halves of a key change share all the rest.
    """

    file: int
    pos: int
    row: int
    half: int = 0


@dataclass(frozen=True)
class PartitionCheckpoint:
    """The next offset to read, the topic's id, and the furthest source position applied from here.

    `ts_ms` is the source's commit time at that position, in milliseconds; 0 where there is none.
    """

    next_offset: int
    topic_id: str
    position: SourcePosition | None = None
    ts_ms: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """How far a lane is: the state of its row in the target's ledger."""

    link: str
    lane: str
    generation: int
    batch: int
    partitions: Mapping[TopicPartition, PartitionCheckpoint]
    mark_sequence: int = 0
    incarnation: str = ""
    applied_gtids: str = ""
    paused: bool = False

    def consistency(self, transaction_topic: str) -> str:
        """`transactional` where batches hold whole source transactions, else `eventual`.

        Only a one-way link whose source sends no transaction metadata is `eventual`.
        """
        named = any(tp.topic == transaction_topic for tp in self.partitions)
        return TRANSACTIONAL if named else EVENTUAL

    def offsets_json(self) -> str:
        """The next offsets as canonical JSON; what the fence compares."""
        return json.dumps(
            {str(tp): self.partitions[tp].next_offset for tp in sorted(self.partitions)},
            separators=(",", ":"),
        )


@dataclass(frozen=True)
class Plan:
    """What a run may do: up to `slots` batches, reading no transaction past `until`.

    `deadline` is in seconds of the monotonic clock. `tables` and `source_tables` hold the carried
    tables as they are at each site, by topic; `modes` is how the connector spells values.
    `cascades` are the foreign keys whose cascades the source does not log. `altered` holds the
    statements that were run to make the tables alike (`ddl: additive`).
    """

    link: str
    checkpoint: Checkpoint
    until: Mapping[TopicPartition, int]
    topic_ids: Mapping[str, str]
    tables: Mapping[str, Table]
    source_tables: Mapping[str, Table]
    slots: int
    deadline: float
    modes: ValueModes = field(default_factory=ValueModes)
    cascades: tuple[ForeignKey, ...] = ()
    altered: tuple[str, ...] = ()


@dataclass(frozen=True)
class Batch:
    """One batch between pull and apply.

    `number` is the batch's number in its lane, `ranges` the offsets that it covers, `before` the
    checkpoint that it continues and `after` the one that its transaction writes. `frame` changes
    from stage to stage; its columns are documented with the stage that makes it. `superseded`
    holds the user changes that a marked event of the same key overtook (rule R2), `counted` what is
    to be added up (`core/delta.py`) until `compact` puts it with the rest. `cascades` is what the
    source's server did to other rows without logging it; None for nothing. `returned` counts the
    marked row events by transaction and table, `bounced` names the keys whose row a user put back
    after a marked write (`core/pingpong.py`). `seconds` is wall time per stage.
    """

    link: str
    number: int
    slot: int
    ranges: OffsetRanges
    before: Checkpoint
    after: Checkpoint
    frame: pd.DataFrame
    superseded: pd.DataFrame | None = None
    counted: pd.DataFrame | None = None
    cascades: Cascades | None = None
    returned: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    bounced: pd.DataFrame | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    waiting: Waiting | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the batch moves no offset that is worth a transaction."""
        return self.after.batch == self.before.batch


@dataclass(frozen=True)
class Applied:
    """What became of a batch. `outcome`: applied, already_applied, empty or paused.

    `counts` over the batch; `tables` per `schema.table`. `last_ts_ms` is the source's commit time
    of the newest event in it, 0 for none. `waiting`: the transaction that is not complete yet.
    """

    link: str
    number: int
    slot: int
    outcome: str
    ranges: OffsetRanges
    counts: Mapping[str, int]
    tables: Mapping[str, Mapping[str, int]]
    seconds: Mapping[str, float]
    last_ts_ms: int = 0
    waiting: Waiting | None = None


@dataclass(frozen=True)
class RunSummary:
    """What a run did and where its lane stands now, for the checkpoint asset and the terminal.

    `behind` counts the offsets that Kafka holds past the checkpoint. `lag_seconds`: everything
    that was committed at the source longer ago is applied (`stages.lag`); `worst_lag_seconds` is
    that of the lane of the link which is the furthest behind. `consistency`: see
    `Checkpoint.consistency`. `loop` counts the loop audit's findings of the last day, by kind.
    `ranges` is what its batches applied, put together; `open_records` counts by `table/kind`.
    `altered`: see `Plan`.
    """

    link: str
    checkpoint: Checkpoint
    batches: int
    counts: Mapping[str, int]
    tables: Mapping[str, Mapping[str, int]]
    seconds: Mapping[str, float]
    behind: int
    lag_seconds: float
    caught_up: bool
    waiting: Waiting | None = None
    consistency: str = TRANSACTIONAL
    worst_lag_seconds: float = 0.0
    loop: Mapping[str, int] = field(default_factory=dict)
    ranges: OffsetRanges = field(default_factory=lambda: OffsetRanges(()))
    open_records: Mapping[str, int] = field(default_factory=dict)
    altered: tuple[str, ...] = ()
