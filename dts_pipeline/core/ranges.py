"""Topic-partitions and half-open offset ranges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


@dataclass(frozen=True)
class OffsetRange:
    """The offsets `[from_offset, until_offset)` of a topic-partition."""

    topic_partition: TopicPartition
    from_offset: int
    until_offset: int

    def __post_init__(self) -> None:
        if not 0 <= self.from_offset <= self.until_offset:
            raise ValueError(f"not a range: {self}")

    @property
    def size(self) -> int:
        """How many offsets the range spans; events may be fewer, because offsets have gaps."""
        return self.until_offset - self.from_offset

    def __str__(self) -> str:
        return f"{self.topic_partition}[{self.from_offset}, {self.until_offset})"


@dataclass(frozen=True)
class OffsetRanges:
    """One range per topic-partition, sorted; what one batch covers."""

    ranges: tuple[OffsetRange, ...]

    @classmethod
    def between(
        cls, start: Mapping[TopicPartition, int], until: Mapping[TopicPartition, int]
    ) -> OffsetRanges:
        """The ranges from `start` up to `until`; a partition absent from `until` stays empty."""
        return cls(
            tuple(
                OffsetRange(tp, start[tp], max(start[tp], until.get(tp, start[tp])))
                for tp in sorted(start)
            )
        )

    @classmethod
    def joined(cls, batches: Iterable[OffsetRanges]) -> OffsetRanges:
        """One range per topic-partition over batches that follow each other."""
        start: dict[TopicPartition, int] = {}
        until: dict[TopicPartition, int] = {}
        for batch in batches:
            start = {**batch.start(), **start}
            until.update(batch.until())
        return cls.between(start, until)

    def until(self) -> dict[TopicPartition, int]:
        """The next offset of each topic-partition once this batch is applied."""
        return {r.topic_partition: r.until_offset for r in self.ranges}

    def start(self) -> dict[TopicPartition, int]:
        """The first offset of each topic-partition in this batch."""
        return {r.topic_partition: r.from_offset for r in self.ranges}

    @property
    def size(self) -> int:
        """The offsets spanned over all partitions."""
        return sum(r.size for r in self.ranges)

    def __iter__(self) -> Iterator[OffsetRange]:
        return iter(self.ranges)
