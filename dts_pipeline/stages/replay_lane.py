"""The replay of a one-way link: what its checkpoint has reached is written again, no more, no less.

The rows come from Kafka, up to the checkpoint: the source's own may be newer, and writing those
would let the next batches take them back for a moment. The lane is held while a part of the keys
is written, so that no batch moves the checkpoint under it; if one did before, its events are read
first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pandas as pd
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from dts_pipeline.adapters.reconcile_site import ReconcileSite, never_ran
from dts_pipeline.adapters.verdicts import classify
from dts_pipeline.core import compaction
from dts_pipeline.core.batches import Batch, Checkpoint
from dts_pipeline.core.links import Link, Policy
from dts_pipeline.core.ranges import OffsetRange, OffsetRanges, TopicPartition
from dts_pipeline.errors import TransientError
from dts_pipeline.stages.preview import request_of
from dts_pipeline.stages.runtime import LinkRuntime
from dts_pipeline.stages.selection import SelectedRange, gather

_KEYS = 5_000
_ATTEMPTS = 50
Add = Callable[[Mapping[str, Mapping[str, int]]], None]


def write_again(runtime: LinkRuntime, selected: SelectedRange, policy: Policy, add: Add) -> None:
    """Writes the keys of the range as the checkpoint has them; `add` is told the counts by table.

    Raises TerminalError `link_never_ran`, `link_paused`; TransientError where the lane cannot be
    held. What was written until then is right, and is found equal the next time.
    """
    known = _Known(runtime, selected)
    known.states(selected.plan.checkpoint)
    keys = known.touched()
    add(_counts(keys))
    link = replace(
        runtime.link, detect=True, pair=None, policy=policy, table_policies={}, version_columns={}
    )
    retrying = Retrying(
        retry=retry_if_exception_type(TransientError),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.1, max=2),
        reraise=True,
    )
    for start in range(0, len(keys), _KEYS):
        add(retrying(_write_part, runtime, known, link, keys[start : start + _KEYS]))


def _write_part(
    runtime: LinkRuntime, known: _Known, link: Link, keys: pd.DataFrame
) -> Mapping[str, Mapping[str, int]]:
    """Writes some keys under the hold; TransientError `lane_moved` if a batch came before it."""
    checkpoint = runtime.ledger.read(link.name, link.lane)
    if checkpoint is None:
        raise never_ran(link)
    changes = _changes(known.states(checkpoint), keys)
    with ReconcileSite.opened(runtime.target, runtime.link) as site:
        assert known.batch is not None
        batch = replace(known.batch, frame=changes)
        request = request_of(runtime, link, known.selected.plan, batch)
        staged = runtime.writer.stage(site.cursor, request)
        site.connection.commit()
        with site.held(runtime.ledger.installation()):
            if _place(runtime.ledger.read(link.name, link.lane)) != _place(checkpoint):
                raise TransientError(
                    "lane_moved",
                    "a batch was applied before the lane could be held",
                    where={"link": link.name},
                    remedy="It is tried again by itself, with that batch's rows.",
                )
            for table in staged:
                classify(site.cursor, request, table)
            site.write_staged(staged)
            site.commit()
    return {table.table.full_name: table.counts for table in staged}


def _changes(states: pd.DataFrame, keys: pd.DataFrame) -> pd.DataFrame:
    """The keys' last changes as upserts, and deletes with the row that went."""
    own = states.merge(keys, on=["table", "key"])
    gone = own["after"].isna()
    before = own["before"].where(gone, None)
    return own.assign(before=before, snapshot=False)[compaction.CHANGE_COLUMNS]


def _place(checkpoint: Checkpoint | None) -> tuple[int, int, str]:
    """What a batch moves; a reconcile's draw of a mark's number does not count."""
    if checkpoint is None:
        return 0, 0, ""
    return checkpoint.generation, checkpoint.batch, checkpoint.offsets_json()


def _counts(keys: pd.DataFrame) -> dict[str, dict[str, int]]:
    return {str(name): {"keys": int(count)} for name, count in keys["table"].value_counts().items()}


class _Known:
    """What was read of the range and behind it, up to the last checkpoint that was asked for."""

    def __init__(self, runtime: LinkRuntime, selected: SelectedRange) -> None:
        self.runtime, self.selected = runtime, selected
        self.batch: Batch | None = None

    def states(self, checkpoint: Checkpoint) -> pd.DataFrame:
        """The event that each key's state at the checkpoint comes from; it reads what is new."""
        if checkpoint.batch == 0 and not checkpoint.partitions:
            raise never_ran(self.runtime.link)
        first = self.batch.ranges.until() if self.batch else self.selected.ranges.start()
        ranges = OffsetRanges(tuple(_up_to(checkpoint, first)))
        plan = replace(self.selected.plan, checkpoint=checkpoint)
        wider = replace(self.selected, ranges=ranges, plan=plan)
        self.batch = gather(self.runtime, wider, onto=self.batch)
        users, _ = compaction.drop_marked(self.batch.frame)
        last: pd.DataFrame = users.drop_duplicates(["table", "key"], keep="last")
        return last

    def touched(self) -> pd.DataFrame:
        """The keys with an event in the range itself: columns table, key."""
        assert self.batch is not None
        ends = pd.DataFrame(
            [(*r.topic_partition, r.until_offset) for r in self.selected.ranges],
            columns=["topic", "partition", "until"],
        )
        placed = self.batch.frame.merge(ends, on=["topic", "partition"])
        inside = placed[placed["offset"] < placed["until"]]
        keys: pd.DataFrame = inside[["table", "key"]].drop_duplicates(ignore_index=True)
        return keys


def _up_to(checkpoint: Checkpoint, first: Mapping[TopicPartition, int]) -> Iterator[OffsetRange]:
    for place, start in first.items():
        reached = checkpoint.partitions.get(place)
        yield OffsetRange(place, start, max(start, reached.next_offset if reached else start))
