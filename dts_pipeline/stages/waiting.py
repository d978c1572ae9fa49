"""What a link waits for now, without a run: `dts status` asks."""

from __future__ import annotations

from dataclasses import replace

from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.waiting import Waiting, waiting_for
from dts_pipeline.stages.read import read_announced, read_events
from dts_pipeline.stages.runtime import LinkRuntime


def waiting_now(runtime: LinkRuntime, checkpoint: Checkpoint) -> Waiting | None:
    """The first transaction behind the checkpoint, if it is not whole; reads no more than it.

    Raises what `read_events` raises.
    """
    topic = TopicPartition(runtime.link.transaction_topic, 0)
    if topic not in checkpoint.partitions:
        return None
    first = runtime.limits.model_copy(update={"max_events": 1})
    asking = replace(runtime, limits=first)
    start = {tp: at.next_offset for tp, at in checkpoint.partitions.items()}
    try:
        high = asking.admin.offsets([topic])[topic][1]
        announced = read_announced(asking, start.pop(topic), high)
        read = read_events(asking, checkpoint, announced.segments, start)
    finally:
        asking.reader.close()
    return waiting_for(read.cut, announced.newest_ms)
