"""The stages of a batch: adapters and core put together, without Dagster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dts_pipeline.adapters.database import Database
from dts_pipeline.config import BatchConfig
from dts_pipeline.core.batches import Applied, Batch, Plan, RunSummary
from dts_pipeline.core.links import Link


@dataclass(frozen=True)
class LinkRuntime:
    """What the stages of one link work with; `kafka` holds librdkafka properties."""

    link: Link
    limits: BatchConfig
    source: Database
    target: Database
    kafka: Mapping[str, str]


def plan_ranges(runtime: LinkRuntime) -> Plan:
    """Reads the checkpoint and Kafka's offsets; refuses what cannot be carried on from."""
    raise NotImplementedError


def pull(runtime: LinkRuntime, plan: Plan, slot: int) -> Batch | None:
    """Reads one batch; None when nothing is left or time is up (never for slot 0)."""
    raise NotImplementedError


def normalize(runtime: LinkRuntime, plan: Plan, batch: Batch) -> Batch:
    """One row an event: table, key, op, mark, source position; duplicates dropped (R7)."""
    raise NotImplementedError


def drop_marked(batch: Batch) -> Batch:
    """Keeps per key the user events after its last marked event; records the others (R2)."""
    raise NotImplementedError


def compact(batch: Batch) -> Batch:
    """At most one change per key: before of the first event, after of the last."""
    raise NotImplementedError


def apply(runtime: LinkRuntime, plan: Plan, batch: Batch) -> Applied:
    """Writes the changes, the conflict records and the checkpoint in one transaction."""
    raise NotImplementedError


def summarize(runtime: LinkRuntime, plan: Plan, applied: Sequence[Applied]) -> RunSummary:
    """Where the lane stands after the run, read back from the ledger."""
    raise NotImplementedError
