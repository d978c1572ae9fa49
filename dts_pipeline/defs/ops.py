"""The ops of a batch, in order: each calls one stage and hands on what it returns.

plan_ranges gives one dynamic output a slot; pull, normalize, drop_marked, compact and apply are
mapped over the slots; record collects. A later op has a higher priority, so the in-process
executor finishes a batch before it pulls the next, and memory is that of one batch. Values are
typed `Any` here, because their types would make the code location import pandas; `Stages` has
the types.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dts_pipeline.core.links import Link
from dts_pipeline.defs.failures import reported
from dts_pipeline.defs.keys import BATCHES_TAG, LANE_TAG, PROCESS_TAG, lane_of, pool_of
from dts_pipeline.defs.memory import RUN_MEMORY, Handoff, RunMemory
from dts_pipeline.defs.processes import this_process
from dts_pipeline.defs.record import check_results, check_specs, metadata_of, table_materializations
from dts_pipeline.defs.resources import STAGES, Stages, runtime_key

STAGE_ORDER = ("plan_ranges", "pull", "normalize", "drop_marked", "compact", "apply", "record")


@dataclass(frozen=True)
class Tools:
    """What every op takes from its context."""

    context: dg.OpExecutionContext
    stages: Stages
    runtime: Any
    memory: RunMemory

    def reported(
        self, stage: str, waits: Sequence[float] = ()
    ) -> contextlib.AbstractContextManager[None]:
        """What a stage raises, in Dagster's words; the ledger notes what ends the run."""
        return reported(
            self.context,
            self.memory,
            stage,
            waits,
            lambda error: self.stages.failed(self.runtime, error),
        )


@dataclass(frozen=True)
class OpFactory:
    """Makes the ops of one link; their names carry the link, their aliases in the graph don't."""

    link: Link
    topics: Sequence[str] = ()
    lag_warn_seconds: float = 300.0

    def tools(self, context: dg.OpExecutionContext) -> Tools:
        """The stages, the link's runtime and the run's memory."""
        resources = context.resources
        runtime = getattr(resources, runtime_key(self.link.name))
        if self.link.lanes:
            runtime = runtime.lane(context.partition_key)
        return Tools(context, getattr(resources, STAGES), runtime, getattr(resources, RUN_MEMORY))

    def settings(self, stage: str) -> dict[str, Any]:
        """Name, pool, priority and resources of an op."""
        return {
            "name": f"{self.link.name}__{stage}",
            "pool": pool_of(self.link),
            "tags": {"dagster/priority": str(STAGE_ORDER.index(stage))},
            "required_resource_keys": {STAGES, RUN_MEMORY, runtime_key(self.link.name)},
        }

    def plan_ranges(self) -> dg.OpDefinition:
        """The plan, and a slot number for each batch that the run may take."""

        @dg.op(
            **self.settings("plan_ranges"),
            ins={name: dg.In(dg.Nothing) for name in self.topics},
            out={
                "plan": dg.Out(io_manager_key=RUN_MEMORY),
                "slots": dg.DynamicOut(io_manager_key=RUN_MEMORY),
            },
        )
        def plan_ranges(context: dg.OpExecutionContext) -> Iterator[Any]:
            """Checkpoint from the target's ledger, offsets from Kafka: how far this run may go."""
            tools = self.tools(context)
            tags = {LANE_TAG: lane_of(tools.runtime.link), PROCESS_TAG: this_process()}
            context.instance.add_run_tags(context.run_id, tags)
            with tools.reported("plan_ranges", tools.stages.retry_waits):
                plan = tools.stages.plan_ranges(tools.runtime)
                tools.memory.gave_up = False
            yield dg.Output(plan, output_name="plan")
            for slot in range(plan.slots):
                yield dg.DynamicOutput(slot, f"slot_{slot:03d}", output_name="slots")

        return plan_ranges

    def pull(self) -> dg.OpDefinition:
        """A slot's batch; nothing where there is nothing left to read."""

        @dg.op(
            **self.settings("pull"),
            out=dg.Out(io_manager_key=RUN_MEMORY, is_required=False),
        )
        def pull(context: dg.OpExecutionContext, plan: Any, slot: Any) -> Iterator[Any]:
            """Reads whole source transactions from the ledger's checkpoint on, up to the limits."""
            tools = self.tools(context)
            if tools.memory.gave_up and context.retry_number == 0:
                context.log.info("an earlier slot failed or is repeated: nothing is read")
                return
            with tools.reported("pull", tools.stages.retry_waits):
                batch = tools.stages.pull(tools.runtime, plan, slot)
            if batch is not None:
                handoff = Handoff(batch)
                del batch
                yield dg.Output(handoff)

        return pull

    def normalize(self) -> dg.OpDefinition:
        """One row an event."""

        @dg.op(**self.settings("normalize"), out=dg.Out(io_manager_key=RUN_MEMORY))
        def normalize(context: dg.OpExecutionContext, plan: Any, batch: Any) -> Any:
            """One row an event: table, key, op, mark, source position; duplicates dropped."""
            tools = self.tools(context)
            with tools.reported("normalize"):
                return Handoff(tools.stages.normalize(tools.runtime, plan, batch.take()))

        return normalize

    def drop_marked(self) -> dg.OpDefinition:
        """The users' events."""

        @dg.op(**self.settings("drop_marked"), out=dg.Out(io_manager_key=RUN_MEMORY))
        def drop_marked(context: dg.OpExecutionContext, batch: Any) -> Any:
            """Keeps per key the user events after its last marked event."""
            tools = self.tools(context)
            with tools.reported("drop_marked"):
                return Handoff(tools.stages.drop_marked(batch.take()))

        return drop_marked

    def compact(self) -> dg.OpDefinition:
        """One change a key."""

        @dg.op(**self.settings("compact"), out=dg.Out(io_manager_key=RUN_MEMORY))
        def compact(context: dg.OpExecutionContext, batch: Any) -> Any:
            """Reduces each key to one change: before of the first event, after of the last."""
            tools = self.tools(context)
            with tools.reported("compact"):
                return Handoff(tools.stages.compact(batch.take()))

        return compact

    def apply(self) -> dg.OpDefinition:
        """What became of the batch."""

        @dg.op(**self.settings("apply"), out=dg.Out(io_manager_key=RUN_MEMORY))
        def apply(context: dg.OpExecutionContext, plan: Any, batch: Any) -> Any:
            """Writes changes, conflict records and checkpoint in one transaction."""
            tools = self.tools(context)
            with tools.reported("apply"):
                applied = tools.stages.apply(tools.runtime, plan, batch.take())
            context.log.info(f"batch {applied.number} {applied.outcome}")
            return applied

        return apply

    def record(self) -> dg.OpDefinition:
        """The checkpoint asset's materialization, its checks, the written tables' assets."""
        link = self.link
        checks = check_specs(link, self.lag_warn_seconds)

        @dg.op(
            **self.settings("record"),
            out={
                "checkpoint": dg.Out(io_manager_key=RUN_MEMORY),
                **{check.name: dg.Out(dg.Nothing) for check in checks},
            },
        )
        def record(context: dg.OpExecutionContext, plan: Any, applied: Any) -> Iterator[Any]:
            """Reads the ledger back and mirrors it in Dagster's assets."""
            tools = self.tools(context)
            with tools.reported("record"):
                summary = tools.stages.summarize(tools.runtime, plan, applied)
                metadata = metadata_of(summary)
            context.instance.add_run_tags(context.run_id, {BATCHES_TAG: str(summary.batches)})
            yield dg.Output(summary, output_name="checkpoint", metadata=metadata)
            yield from table_materializations(link, summary)
            yield from check_results(link, summary, self.lag_warn_seconds)

        return record
