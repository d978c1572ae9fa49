"""Dagster's run launcher, and an answer to the run monitor whether a run's process still lives.

The code server marks a run failed when its process dies. When the code server died with it, or
when the run was `dts sync`, nobody does: the run would count as running and hold its lane for
good. The monitor asks the launcher every few seconds (deploy/dagster.yaml), and this one looks
at the process that the run named in its tag.
"""

from __future__ import annotations

import time

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus

from dts_pipeline.defs.keys import LANE_TAG, PROCESS_TAG
from dts_pipeline.defs.processes import is_gone

UNNAMED_SECONDS = 120.0
"""A started run of a lane that names no process by then died before its first op."""


class WatchedRunLauncher(DefaultRunLauncher):
    """Launches like Dagster's default; runs whose process on this host is gone are unhealthy."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Always: what cannot be told counts as running."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """FAILED if the run's process has ended without a word."""
        process = run.tags.get(PROCESS_TAG)
        if process is None:
            return self._unnamed(run)
        if is_gone(process):
            return CheckRunHealthResult(WorkerStatus.FAILED, f"process {process} is gone")
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    def _unnamed(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        record = self._instance.get_run_record_by_id(run.run_id)
        started = record.start_time if record else None
        if LANE_TAG not in run.tags or started is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        if time.time() - started < UNNAMED_SECONDS:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "it never named its process")
