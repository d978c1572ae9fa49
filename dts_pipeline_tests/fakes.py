"""Stand-ins for servers and stages, which remember what was asked of them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from dts_pipeline.core.batches import (
    Applied,
    Batch,
    Checkpoint,
    PartitionCheckpoint,
    Plan,
    RunSummary,
)
from dts_pipeline.core.ranges import OffsetRanges, TopicPartition
from dts_pipeline.defs.resources import Stages
from dts_pipeline.stages import LinkRuntime

ORDERS = TopicPartition("a.shop.orders", 0)
ROW_VALUE = "alice@example.org"
"""Stands in every frame; it must turn up nowhere in Dagster."""


@dataclass
class FakeStages:
    """Stages over a list of batch sizes; `calls` holds `stage slot`, in order.

    `errors` maps a call such as `pull 0` to the exceptions of its first calls. `alive` counts, at
    each pull, the frames of earlier batches that something still holds.
    """

    sizes: Sequence[int] = ()
    slots: int = 5
    errors: dict[str, list[Exception]] = field(default_factory=dict)
    behind_offsets: int = 0
    open_conflicts: int = 0
    lag_seconds: float = 0.0
    loop: Mapping[str, int] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    alive: list[int] = field(default_factory=list)
    ledger: list[int] = field(default_factory=list)
    before: Callable[[str], None] = lambda call: None
    _frames: list[weakref.ref[pd.DataFrame]] = field(default_factory=list)

    def stages(self) -> Stages:
        """The stages as the ops take them."""
        return Stages(
            plan_ranges=self.plan_ranges,
            pull=self.pull,
            normalize=lambda _runtime, _plan, batch: self._passed("normalize", batch),
            drop_marked=lambda batch: self._passed("drop_marked", batch),
            compact=lambda batch: self._passed("compact", batch),
            apply=self.apply,
            summarize=self.summarize,
            behind=lambda _runtime: self.behind_offsets,
            retry_waits=(0.01, 0.01, 0.01),
        )

    def plan_ranges(self, runtime: LinkRuntime) -> Plan:
        """A plan of `slots` slots over one partition."""
        self._called("plan_ranges")
        until = {ORDERS: sum(self.sizes)}
        link = runtime.link.name
        return Plan(link, self._checkpoint(link), until, {}, {}, {}, self.slots, 0.0)

    def pull(self, runtime: LinkRuntime, plan: Plan, slot: int) -> Batch | None:
        """The next size's frame; slot 0 is empty where there is none."""
        gc.collect()
        self.alive.append(sum(ref() is not None for ref in self._frames))
        self._called(f"pull {slot}")
        number = len(self.ledger)
        if number >= len(self.sizes) and slot > 0:
            return None
        size = self.sizes[number] if number < len(self.sizes) else 0
        at = self._checkpoint(plan.link)
        ranges = OffsetRanges.between({ORDERS: sum(self.ledger)}, {ORDERS: sum(self.ledger) + size})
        return Batch(
            link=plan.link,
            number=number + 1,
            slot=slot,
            ranges=ranges,
            before=at,
            after=at,
            frame=self._frame(size),
        )

    def apply(self, _runtime: LinkRuntime, _plan: Plan, batch: Batch) -> Applied:
        """Moves the ledger."""
        self._called(f"apply {batch.slot}")
        size = len(batch.frame)
        if size:
            self.ledger.append(size)
        outcome = "applied" if size else "empty"
        tables = {"shop.orders": {"inserted": size, "updated": 0, "deleted": 0}}
        return Applied(
            batch.link,
            batch.number,
            batch.slot,
            outcome,
            batch.ranges,
            {"events": size},
            tables,
            {},
        )

    def summarize(self, runtime: LinkRuntime, plan: Plan, applied: Sequence[Applied]) -> RunSummary:
        """The sums of what was applied."""
        self._called("summarize")
        events = sum(result.counts["events"] for result in applied)
        batches = sum(result.outcome == "applied" for result in applied)
        return RunSummary(
            link=plan.link,
            checkpoint=self._checkpoint(plan.link),
            batches=batches,
            counts={"events": events, "open_conflicts": self.open_conflicts},
            tables={"shop.orders": {"inserted": events, "updated": 0, "deleted": 0}},
            seconds={"pull": 0.25, "apply": 0.5},
            behind=self.behind_offsets,
            lag_seconds=self.lag_seconds,
            caught_up=self.behind_offsets == 0,
            loop=self.loop,
        )

    def _checkpoint(self, link: str) -> Checkpoint:
        at = PartitionCheckpoint(sum(self.ledger), "topic-id", ts_ms=1_790_000_000_000)
        return Checkpoint(link, "main", 1, len(self.ledger), {ORDERS: at})

    def _frame(self, size: int) -> pd.DataFrame:
        frame = pd.DataFrame({"email": [ROW_VALUE] * size})
        self._frames.append(weakref.ref(frame))
        return frame

    def _passed(self, stage: str, batch: Batch) -> Batch:
        self._called(f"{stage} {batch.slot}")
        return replace(batch, frame=self._frame(len(batch.frame)))

    def _called(self, call: str) -> None:
        self.calls.append(call)
        self.before(call)
        if self.errors.get(call):
            raise self.errors[call].pop(0)
