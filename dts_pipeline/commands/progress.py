"""A progress bar for a link's run, fed by the stages that the run calls."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import MISSING, fields, replace
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dts_pipeline import stages as real
from dts_pipeline.defs.resources import Stages

if TYPE_CHECKING:
    from dts_pipeline.core.batches import Applied, Batch, Plan
    from dts_pipeline.stages import LinkRuntime


@contextlib.contextmanager
def shown(link: str) -> Iterator[Stages]:
    """The real stages, each of which moves a bar on stderr; on a terminal only."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("events, {task.fields[stage]}"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield watched(_real(), _Bar(bar, link))


def _real() -> Stages:
    names = [field.name for field in fields(Stages) if field.default is MISSING]
    return Stages(**{name: getattr(real, name) for name in names})


class _Bar:
    def __init__(self, progress: Progress, link: str) -> None:
        self._progress = progress
        self._task = progress.add_task(link, total=None, stage="plan")

    def planned(self, plan: Plan) -> None:
        """Adds what this run may read to what earlier runs of the command did."""
        task = self._progress.tasks[0]
        due = sum(
            max(0, until - plan.checkpoint.partitions[tp].next_offset)
            for tp, until in plan.until.items()
            if tp in plan.checkpoint.partitions and tp.topic in plan.source_tables
        )
        self._progress.update(self._task, total=task.completed + due)

    def stage(self, name: str) -> None:
        self._progress.update(self._task, stage=name)

    def applied(self, events: int) -> None:
        self._progress.advance(self._task, events)


def watched(stages: Stages, bar: _Bar) -> Stages:
    """`stages` that tell the bar what they begin and what they did."""

    def plan_ranges(runtime: LinkRuntime) -> Plan:
        bar.stage("plan")
        plan = stages.plan_ranges(runtime)
        bar.planned(plan)
        return plan

    def pull(runtime: LinkRuntime, plan: Plan, slot: int) -> Batch | None:
        bar.stage("pull")
        return stages.pull(runtime, plan, slot)

    def apply(runtime: LinkRuntime, plan: Plan, batch: Batch) -> Applied:
        bar.stage("apply")
        applied = stages.apply(runtime, plan, batch)
        bar.applied(applied.counts.get("events", 0))
        return applied

    return replace(stages, plan_ranges=plan_ranges, pull=pull, apply=apply)
