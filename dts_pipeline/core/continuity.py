"""Whether a checkpoint can be carried on from, given what Kafka and the source say now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.errors import TerminalError

NEW_START = "Compare both sites, then give the link a new start (docs/operations.md)."


class Topic(Protocol):
    """A topic as the broker describes it; its id differs when it was deleted and made anew."""

    @property
    def id(self) -> str:
        """The broker's id of the topic."""

    @property
    def partitions(self) -> int:
        """How many partitions it has."""


def refuse_break(
    checkpoint: Checkpoint,
    incarnation: str,
    topics: Mapping[str, Topic],
    offsets: Mapping[TopicPartition, tuple[int, int]],
) -> None:
    """Raises where something between the checkpoint and now is lost or cannot be told.

    `incarnation` is the source server's identity, `topics` those that exist of the checkpoint's,
    `offsets` the first offset held and the next to be written of each of their partitions.

    Raises TerminalError `source_changed`, `topic_missing`, `topic_recreated`, `offsets_lost`,
    `partitions_added`.
    """
    if checkpoint.incarnation != incarnation:
        raise TerminalError(
            "source_changed",
            "another server stands behind the source site than the one read so far",
            where={"link": checkpoint.link, "was": checkpoint.incarnation, "is": incarnation},
            remedy=NEW_START,
        )
    for tp in checkpoint.partitions:
        _refuse_changed_topic(checkpoint, tp, topics.get(tp.topic))
        _refuse_lost_offsets(checkpoint, tp, offsets.get(tp))
    for tp in offsets:
        if tp not in checkpoint.partitions and tp._replace(partition=0) in checkpoint.partitions:
            raise TerminalError(
                "partitions_added",
                "a topic got more partitions, so its keys have moved between them",
                where=_place(checkpoint, tp),
                remedy=f"Let a link drain before partitions are added. {NEW_START}",
            )


def _refuse_changed_topic(checkpoint: Checkpoint, tp: TopicPartition, topic: Topic | None) -> None:
    if topic is None:
        raise TerminalError(
            "topic_missing",
            "a topic that was read so far does not exist any more",
            where=_place(checkpoint, tp),
            remedy=NEW_START,
        )
    if topic.id != checkpoint.partitions[tp].topic_id:
        raise TerminalError(
            "topic_recreated",
            "a topic was deleted and made anew since the last batch",
            where=_place(checkpoint, tp),
            remedy=NEW_START,
        )


def _refuse_lost_offsets(
    checkpoint: Checkpoint, tp: TopicPartition, held: tuple[int, int] | None
) -> None:
    following = checkpoint.partitions[tp].next_offset
    if held is None or not held[0] <= following <= held[1]:
        low, high = held or ("none", "none")
        raise TerminalError(
            "offsets_lost",
            "Kafka no longer holds the next offset",
            where={**_place(checkpoint, tp), "next": following, "low": low, "high": high},
            remedy=f"{NEW_START} Raise the topic's retention.ms.",
        )


def _place(checkpoint: Checkpoint, tp: TopicPartition) -> dict[str, object]:
    return {"link": checkpoint.link, "topic": tp.topic, "partition": tp.partition}
