"""prune: lets a target's ledger forget what nobody can ask for any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dts_pipeline.adapters.ledger_prune import old_batches, prune_records, remove_batches
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.stages.runtime import LinkRuntime


@dataclass(frozen=True)
class Pruned:
    """How many rows went; `held`: batches old enough whose messages Kafka still holds."""

    batches: int
    held: int
    records: int


def prune_ledger(runtime: LinkRuntime, *, batch_days: float, conflict_days: float) -> Pruned:
    """Removes old rows of `dts.batch` and closed records of the link.

    A batch stays while Kafka holds a message that it read: `dts trace` puts messages to batches,
    and a replay goes by the same offsets. Raises TransientError where Kafka does not answer.
    """
    runtime.ledger.installation()
    records = prune_records(runtime.target, runtime.link.name, conflict_days)
    lows: dict[TopicPartition, int] = {}
    gone = held = 0
    for part in old_batches(runtime.target, runtime.link.name, batch_days):
        named = {tp for _, ends in part for tp in ends}
        lows |= _first_held(runtime, named - lows.keys())
        free = [
            place
            for place, ends in part
            if all(end <= lows.get(tp, end) for tp, end in ends.items())
        ]
        gone += remove_batches(runtime.target, runtime.link.name, free)
        held += len(part) - len(free)
    return Pruned(gone, held, records)


def _is_gone(ends: Mapping[TopicPartition, int], lows: Mapping[TopicPartition, int]) -> bool:
    return all(end <= lows.get(tp, end) for tp, end in ends.items())


def _first_held(
    runtime: LinkRuntime, places: Iterable[TopicPartition]
) -> dict[TopicPartition, int]:
    """The first offset that Kafka holds; nothing of a topic that is not there any more."""
    wanted = set(places)
    there = runtime.admin.topics({tp.topic for tp in wanted})
    known = [tp for tp in wanted if tp.topic in there and tp.partition < there[tp.topic].partitions]
    return {tp: low for tp, (low, _) in runtime.admin.offsets(known).items()}
