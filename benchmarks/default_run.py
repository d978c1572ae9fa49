"""A run as Dagster starts it by default: a process for every op, values through files.

It plans and reads the same link with the same stages; DTS_CONFIG and BENCH_LINK say which.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from dts_pipeline.stages import LinkRuntime


def _runtime() -> LinkRuntime:
    """What the stages of the link work with; every process makes its own."""
    from dts_pipeline.adapters.sites import kafka_properties, open_databases
    from dts_pipeline.config import load_config, resolve_secrets
    from dts_pipeline.stages import LinkRuntime

    config = load_config(Path(os.environ["DTS_CONFIG"]))
    secrets = resolve_secrets(config, os.environ)
    databases = open_databases(config, secrets)
    link = config.resolved_links()[os.environ["BENCH_LINK"]]
    return LinkRuntime(
        link,
        config.batch,
        databases[link.source],
        databases[link.target],
        kafka_properties(config, secrets),
        config.connect.url if config.connect else None,
    )


@dg.op
def plan_ranges() -> Any:
    """How far the run may go."""
    from dts_pipeline import stages

    return stages.plan_ranges(_runtime())


@dg.op
def pull(plan: Any) -> int:
    """Reads the first batch."""
    from dts_pipeline import stages

    batch = stages.pull(_runtime(), plan, 0)
    return 0 if batch is None else len(batch.frame)


@dg.job
def default_run() -> None:
    """Dagster's default executor: multiprocess."""
    pull(plan_ranges())


defs = dg.Definitions(jobs=[default_run])
