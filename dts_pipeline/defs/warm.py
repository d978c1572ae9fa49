"""What a run's process does, and everything that it would import.

`WarmRunLauncher` lets one process import this module and forks a process for each run from it. Only
code stands here: dts.yaml is read by the run, when it imports `dts_pipeline.definitions`.
"""

from __future__ import annotations

import gc

import dagster as dg
from dagster._cli.api import _execute_run_command_body
from dagster._grpc.types import ExecuteRunArgs
from dagster._utils.interrupts import capture_interrupts, setup_interrupt_handlers
from dagster_shared.serdes import deserialize_value

import dts_pipeline.adapters.sites
import dts_pipeline.config
import dts_pipeline.defs.build
import dts_pipeline.stages  # noqa: F401
from dts_pipeline.defs.keys import PROCESS_TAG
from dts_pipeline.defs.processes import this_process


def execute(arguments: str) -> None:
    """Executes a run as `dagster api execute_run` does, once its tag names this process.

    `arguments`: an ExecuteRunArgs, serialized. SIGTERM and SIGINT cancel the run.
    """
    setup_interrupt_handlers()
    with capture_interrupts():
        args = deserialize_value(arguments, ExecuteRunArgs)
        assert args.instance_ref is not None
        with dg.DagsterInstance.from_ref(args.instance_ref) as instance:
            instance.add_run_tags(args.run_id, {PROCESS_TAG: this_process()})
            _execute_run_command_body(
                args.run_id, instance, lambda _event: None, set_exit_code_on_failure=False
            )


gc.collect()
gc.freeze()  # the collector of a forked process need not visit, and so copy, what is here by now
