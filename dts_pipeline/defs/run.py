"""A link's job in this process, as `dts sync` runs it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import dagster as dg

from dts_pipeline.config import Config, resolve_secrets
from dts_pipeline.defs.build import build_definitions
from dts_pipeline.defs.failures import error_of
from dts_pipeline.defs.keys import PROCESS_TAG, graph_name, job_name
from dts_pipeline.defs.processes import this_process
from dts_pipeline.defs.resources import Stages
from dts_pipeline.errors import DtsError, TerminalError

if TYPE_CHECKING:
    from dts_pipeline.core.batches import RunSummary

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def run_link_in_process(
    config: Config,
    link: str,
    environ: Mapping[str, str],
    *,
    lane: str | None = None,
    stages: Stages | None = None,
) -> RunSummary:
    """Runs `sync_<link>` here, one run of as many batches as fit into `max_seconds`.

    `lane` names the one to run of a link that has several.

    `environ` must be the process's environment: Dagster reads the secrets from there when the run
    starts. With DAGSTER_HOME in it, the run is stored there and seen in the UI. `stages` replaces
    the real ones. Raises the DtsError that ended the run, as the stage raised it.
    """
    resolve_secrets(config, environ)
    known = config.resolved_links()
    if link not in known:
        raise TerminalError(
            "unknown_link",
            f"there is no link {link}",
            remedy=f"dts.yaml has: {', '.join(sorted(known))}.",
        )
    job = build_definitions(config, stages=stages).resolve_job_def(job_name(link))
    with _instance(environ) as instance:
        try:
            result = job.execute_in_process(
                run_config=_QUIET,
                instance=instance,
                raise_on_error=False,
                tags={PROCESS_TAG: this_process()},
                partition_key=lane if known[link].lanes else None,
            )
        except dg.DagsterExecutionInterruptedError:
            raise KeyboardInterrupt from None
    if not result.success:
        raise _error_of(result)
    summary: RunSummary = result.output_for_node(graph_name(link), "result")
    return summary


def _error_of(result: dg.ExecuteInProcessResult) -> DtsError:
    for event in result.all_events:
        error = error_of(event) if event.is_step_failure else None
        if error is not None:
            return error
    return TerminalError(
        "run_failed",
        "the run failed outside its stages",
        where={"run": result.run_id},
        remedy="Look at the run's log in Dagster's UI.",
    )


@contextlib.contextmanager
def _instance(environ: Mapping[str, str]) -> Iterator[dg.DagsterInstance]:
    """The instance of DAGSTER_HOME; without one, an instance that is gone after the run."""
    if not environ.get("DAGSTER_HOME"):
        with dg.DagsterInstance.ephemeral() as ephemeral:
            yield ephemeral
        return
    try:
        stored = dg.DagsterInstance.get()
    except dg.DagsterError as error:
        raise TerminalError(
            "dagster_home_invalid",
            f"DAGSTER_HOME cannot be used ({type(error).__name__})",
            where={"DAGSTER_HOME": environ["DAGSTER_HOME"]},
            remedy="It must be an absolute path of a folder with deploy/dagster.yaml in it.",
        ) from None
    with stored:
        yield stored
