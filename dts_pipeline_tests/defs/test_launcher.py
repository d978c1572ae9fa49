"""Who notices that a run's process died, and what deploy/dagster.yaml sets up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.code_pointer import CustomPointer, ModuleCodePointer
from dagster._core.instance.config import PoolGranularity
from dagster._core.launcher import LaunchRunContext, WorkerStatus
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin

from dts_pipeline.defs.keys import LANE_TAG, PROCESS_TAG
from dts_pipeline.defs.launcher import UNNAMED_SECONDS, WarmRunLauncher
from dts_pipeline.defs.processes import is_gone, pid_here, this_process
from dts_pipeline.defs.storage import instance_at
from dts_pipeline_tests.defs import launched_jobs

ROOT = Path(__file__).parents[2]
DAGSTER_YAML = ROOT / "deploy" / "dagster.yaml"
_NAME_AND_WAIT = (
    "from dts_pipeline.defs.processes import this_process as name;"
    "print(name(), flush=True); input()"
)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    shutil.copy(DAGSTER_YAML, tmp_path / "dagster.yaml")
    with instance_at(tmp_path) as instance:
        yield instance


@pytest.fixture
def other() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process and its name."""
    with subprocess.Popen(
        [sys.executable, "-c", _NAME_AND_WAIT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.kill()


def health(instance: dg.DagsterInstance, started: float, **tags: str) -> WorkerStatus:
    run = dg.DagsterRun(job_name="sync_a_to_b", status=dg.DagsterRunStatus.NOT_STARTED, tags=tags)
    stored = instance.add_run(run)
    event = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, "sync_a_to_b")
    instance.report_dagster_event(event, stored.run_id, timestamp=started)
    started_run = instance.get_run_by_id(stored.run_id)
    assert started_run is not None
    return instance.run_launcher.check_run_worker_health(started_run).status


def test_a_living_process_is_not_gone(other: tuple[subprocess.Popen[str], str]) -> None:
    assert not is_gone(other[1])
    assert not is_gone(this_process())


def test_a_killed_process_is_gone_even_before_it_is_reaped(
    other: tuple[subprocess.Popen[str], str],
) -> None:
    process, name = other
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert is_gone(name)


def test_another_process_with_the_same_pid_is_not_the_same() -> None:
    host_and_pid, _, start = this_process().rpartition("/")
    assert is_gone(f"{host_and_pid}/{int(start) - 1}")


@pytest.mark.parametrize("name", ["elsewhere/1/1", "", "nonsense", "a/b/c"])
def test_what_cannot_be_told_is_not_gone(name: str) -> None:
    assert not is_gone(name)


def test_a_run_of_a_killed_process_has_failed(
    instance: dg.DagsterInstance, other: tuple[subprocess.Popen[str], str]
) -> None:
    process, name = other
    tags = {LANE_TAG: "a_to_b/main", PROCESS_TAG: name}
    assert health(instance, time.time(), **tags) is WorkerStatus.RUNNING
    process.kill()
    process.communicate()
    assert health(instance, time.time(), **tags) is WorkerStatus.FAILED


@pytest.mark.parametrize(
    ("age", "status"),
    [(UNNAMED_SECONDS - 20, WorkerStatus.RUNNING), (UNNAMED_SECONDS + 20, WorkerStatus.FAILED)],
)
def test_a_run_that_never_named_its_process_fails_in_time(
    instance: dg.DagsterInstance, age: float, status: WorkerStatus
) -> None:
    assert health(instance, time.time() - age, **{LANE_TAG: "a_to_b/main"}) is status


def test_runs_of_others_are_left_alone(instance: dg.DagsterInstance) -> None:
    assert health(instance, time.time() - 2 * UNNAMED_SECONDS) is WorkerStatus.RUNNING


def test_dagster_yaml_lets_one_run_a_lane_run(instance: dg.DagsterInstance) -> None:
    concurrency = instance.get_concurrency_config()
    assert concurrency.run_queue_config is not None
    assert concurrency.run_queue_config.tag_concurrency_limits == [
        {"key": LANE_TAG, "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
    ]
    assert concurrency.pool_config.pool_granularity is PoolGranularity.RUN
    assert concurrency.pool_config.default_pool_limit == 1


def test_dagster_yaml_frees_the_lane_of_a_dead_run_within_seconds(
    instance: dg.DagsterInstance,
) -> None:
    assert isinstance(instance.run_launcher, WarmRunLauncher)
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_poll_interval_seconds <= 10
    assert instance.run_monitoring_max_resume_run_attempts == 0
    settings = instance.get_settings("run_monitoring")
    assert settings["free_slots_after_run_end_seconds"] <= 30
    assert not instance.run_retries_enabled
    assert not instance.telemetry_enabled


@pytest.fixture
def warm(instance: dg.DagsterInstance) -> Iterator[Callable[..., dg.DagsterRun]]:
    """Launches a job of `launched_jobs`; what it started is ended."""
    started: list[str] = []

    def launch(job: dg.JobDefinition, name: str | None = None) -> dg.DagsterRun:
        run = instance.create_run_for_job(job, job_code_origin=origin_of(name or job.name))
        started.append(run.run_id)
        instance.run_launcher.launch_run(LaunchRunContext(run, workspace=None))
        return run

    yield launch
    for run_id in started:
        pid = pid_here(run_of(instance, run_id).tags.get(PROCESS_TAG, ""))
        if pid is not None:
            os.kill(pid, signal.SIGKILL)


def origin_of(name: str) -> JobPythonOrigin:
    """Where a run's process finds the job of a name."""
    found_by = ModuleCodePointer(launched_jobs.__name__, "named", str(ROOT))
    pointer = CustomPointer(found_by, [name], [])
    return JobPythonOrigin(name, RepositoryPythonOrigin(sys.executable, pointer))


def run_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run


def awaited(
    instance: dg.DagsterInstance, run: dg.DagsterRun, done: Callable[[dg.DagsterRun], bool]
) -> dg.DagsterRun:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        now = run_of(instance, run.run_id)
        if done(now):
            return now
        time.sleep(0.05)
    raise AssertionError(f"the run is {now.status} with {now.tags}")


def is_waiting(run: dg.DagsterRun) -> bool:
    return run.status is dg.DagsterRunStatus.STARTED and PROCESS_TAG in run.tags


def test_runs_are_forked_from_one_warm_process(
    instance: dg.DagsterInstance, warm: Callable[..., dg.DagsterRun]
) -> None:
    runs = [warm(launched_jobs.telling) for _ in range(3)]
    ended = [awaited(instance, run, lambda run: run.is_finished) for run in runs]

    assert [run.status for run in ended] == [dg.DagsterRunStatus.SUCCESS] * 3
    assert len({run.tags["parent"] for run in ended}) == 1
    assert ended[0].tags["parent"] != str(os.getpid())
    assert len({run.tags[PROCESS_TAG] for run in ended}) == 3


def test_a_launched_run_is_cancelled_by_a_signal(
    instance: dg.DagsterInstance, warm: Callable[..., dg.DagsterRun]
) -> None:
    run = warm(launched_jobs.waiting)
    awaited(instance, run, is_waiting)

    assert instance.run_launcher.terminate(run.run_id)

    ended = awaited(instance, run, lambda run: run.is_finished)
    assert ended.status is dg.DagsterRunStatus.CANCELED
    assert not instance.run_launcher.terminate(run.run_id)


def test_a_launched_run_that_is_killed_is_unhealthy(
    instance: dg.DagsterInstance, warm: Callable[..., dg.DagsterRun]
) -> None:
    run = awaited(instance, warm(launched_jobs.waiting), is_waiting)
    launcher = instance.run_launcher
    assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING

    pid = pid_here(run.tags[PROCESS_TAG])
    assert pid is not None
    os.kill(pid, signal.SIGKILL)

    awaited(instance, run, lambda run: pid_here(run.tags[PROCESS_TAG]) is None)
    assert launcher.check_run_worker_health(run).status is WorkerStatus.FAILED


def test_a_run_whose_definitions_do_not_load_fails_and_says_so(
    instance: dg.DagsterInstance, warm: Callable[..., dg.DagsterRun]
) -> None:
    run = warm(launched_jobs.telling, "not_there")

    assert awaited(instance, run, lambda run: run.is_finished).status is dg.DagsterRunStatus.FAILURE
    told = [entry.message for entry in instance.all_logs(run.run_id)]
    assert any("Could not load job definition" in message for message in told)


_LAUNCH = """
import sys, time
from pathlib import Path
from dagster._core.launcher import LaunchRunContext
from dts_pipeline.defs.keys import PROCESS_TAG
from dts_pipeline.defs.storage import instance_at
with instance_at(Path(sys.argv[1])) as instance:
    run = instance.get_run_by_id(sys.argv[2])
    instance.run_launcher.launch_run(LaunchRunContext(run, workspace=None))
    while not instance.get_run_by_id(run.run_id).tags.get(PROCESS_TAG):
        time.sleep(0.1)
    while instance.get_run_by_id(run.run_id).status.value != "STARTED":
        time.sleep(0.1)
"""


def test_the_end_of_whoever_launched_ends_its_runs(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    run = instance.create_run_for_job(
        launched_jobs.waiting, job_code_origin=origin_of(launched_jobs.waiting.name)
    )

    subprocess.run(
        [sys.executable, "-c", _LAUNCH, str(tmp_path), run.run_id],
        check=True,
        cwd=ROOT,
        timeout=60,
    )

    ended = awaited(instance, run, lambda run: run.is_finished)
    assert ended.status in (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE)
    assert pid_here(ended.tags[PROCESS_TAG]) is None
