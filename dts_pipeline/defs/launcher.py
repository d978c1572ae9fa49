"""How Dagster starts runs on this host, and its answer whether a run's process still lives.

Dagster's own launcher lets the code server start an interpreter that imports Dagster, pandas and
this package anew: seconds for each run, and as much of a processor. Here a run's process is forked
from one that has imported them once.

The run names its process in a tag. So the monitor, which asks the launcher every few seconds
(deploy/dagster.yaml), can tell that a run's process is gone, and its lane does not stay held.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time

import dagster as dg
from dagster._core.launcher import (
    CheckRunHealthResult,
    DefaultRunLauncher,
    LaunchRunContext,
    WorkerStatus,
)
from dagster._grpc.types import ExecuteRunArgs
from dagster_shared.serdes import serialize_value

from dts_pipeline.defs.keys import LANE_TAG, PROCESS_TAG
from dts_pipeline.defs.processes import is_gone, pid_here

UNNAMED_SECONDS = 120.0
"""A started run of a lane that names no process by then died before its first op."""
_WARM = "dts_pipeline.defs.warm"
_launching = threading.Lock()  # there is one warm process, whoever launches in this one


class WarmRunLauncher(DefaultRunLauncher):
    """Forks runs from a warm process; runs whose process on this host is gone are unhealthy.

    The warm process lives as long as the one that launches (the daemon), and its code is that of
    its start: after an upgrade, start the daemon anew. Its end cancels the runs under way.
    """

    def launch_run(self, context: LaunchRunContext) -> None:
        """Starts the run's process."""
        origin = context.job_code_origin
        assert origin is not None, "a run that is launched has its job's origin"
        run_id = context.dagster_run.run_id
        args = ExecuteRunArgs(origin, run_id, self._instance.get_ref())
        with _launching:
            forks = multiprocessing.get_context("forkserver")
            forks.set_forkserver_preload([_WARM])
            forks.Process(
                target=_execute, args=(serialize_value(args),), name=f"run {run_id}", daemon=True
            ).start()

    def terminate(self, run_id: str) -> bool:
        """Cancels a run by a signal to its process; False where that is not of this host."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        pid = pid_here(run.tags.get(PROCESS_TAG, ""))
        if pid is None:
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        self._instance.report_run_canceling(run)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        return True

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


def _execute(arguments: str) -> None:
    """Imports nothing that the warm process has not imported."""
    from dts_pipeline.defs.warm import execute

    execute(arguments)
