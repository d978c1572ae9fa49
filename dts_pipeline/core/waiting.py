"""A source transaction that is not whole, and how long everything behind it has waited for it.

The wait is measured on one clock, that of the messages in the transaction topic: from its END to
the newest BEGIN or END that Kafka holds. Each run writes a watermark at the source, so the topic
goes on as long as the connector does; and while the connector stands still, nothing has waited
for anything. A connector sends a transaction's rows before its END, so rows that are not there
when it has long been sending later transactions are lost, or stuck at a broker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dts_pipeline.core.segments import Segment
from dts_pipeline.core.transactions import Cut


@dataclass(frozen=True)
class Announced:
    """The source's transactions behind a position; `newest_ms`: Kafka's newest timestamp there."""

    segments: Sequence[Segment]
    newest_ms: int


@dataclass(frozen=True)
class Waiting:
    """The first transaction that is not whole.

    `missing` counts by table the announced events that are not there; it is empty where the
    connector died in the transaction and has not sent its END since. `end_offset` is that of END
    in the transaction topic. `seconds`: how long it has waited, by Kafka's timestamps.
    """

    transaction: str
    seconds: float
    missing: Mapping[str, int] = field(default_factory=dict)
    end_offset: int | None = None


def waiting_for(cut: Cut, newest_ms: int) -> Waiting | None:
    """What the cut waits for, if anything; `newest_ms` is the newest transaction message's time."""
    segment = cut.waiting
    if segment is None:
        return None
    return Waiting(
        segment.transaction,
        max(0, newest_ms - segment.ended_ms) / 1000,
        cut.lacking,
        segment.end_offset,
    )
