"""One `dts sync --until-caught-up` in this process, with the moments at which its stages began.

Arguments: result file, dts.yaml, link (or link/lane), and optionally where to write a profile.
"""

from __future__ import annotations

import cProfile
import os
import sys
import time
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.contenders.child import write_result

if TYPE_CHECKING:
    from dts_pipeline.core.batches import RunSummary
    from dts_pipeline.defs.resources import Stages


def main(result: str, path: str, link: str, profile: str | None = None) -> None:
    """Runs the link until it is caught up and writes what that took."""
    from dts_pipeline.commands.sync import repeat
    from dts_pipeline.config import load_config
    from dts_pipeline.defs.run import run_link_in_process

    config = load_config(Path(path))
    moments: dict[str, float] = {}
    stages = _timed(moments)
    profiler = cProfile.Profile() if profile else None

    if profiler:
        profiler.enable()
    name, _, lane = link.partition("/")

    def once() -> RunSummary:
        return run_link_in_process(config, name, os.environ, lane=lane or None, stages=stages)

    runs = repeat(once, link)
    ended, cpu = time.time(), time.process_time() - moments.pop("cpu")
    if profiler and profile:
        profiler.disable()
        profiler.dump_stats(profile)
    seconds: dict[str, float] = {}
    for run in runs:
        for stage, value in run.seconds.items():
            seconds[stage] = seconds.get(stage, 0.0) + value
    counts = {name: sum(run.counts.get(name, 0) for run in runs) for name in ("events", "changes")}
    left = {name: runs[-1].counts.get(name, 0) for name in ("open_conflicts",)}
    batches = sum(run.batches for run in runs)
    outcome = {"runs": len(runs), "batches": batches, "stages": seconds, "ended": ended}
    outcome["cpu"] = cpu
    write_result(result, {**moments, **outcome, **counts, **left})


def _timed(moments: dict[str, float]) -> Stages:
    """The real stages; `planned` and `read` become the moments at which the first began."""
    from dts_pipeline import stages as real
    from dts_pipeline.defs.resources import Stages

    names = [field.name for field in fields(Stages) if field.default is MISSING]
    stages = Stages(**{name: getattr(real, name) for name in names})

    def plan_ranges(runtime: Any) -> Any:
        moments.setdefault("planned", time.time())
        moments.setdefault("cpu", time.process_time())
        return stages.plan_ranges(runtime)

    def pull(runtime: Any, plan: Any, slot: int) -> Any:
        moments.setdefault("read", time.time())
        return stages.pull(runtime, plan, slot)

    return replace(stages, plan_ranges=plan_ranges, pull=pull)


if __name__ == "__main__":
    main(*sys.argv[1:])
