"""Who notices that a run's process died, and what deploy/dagster.yaml sets up."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance.config import PoolGranularity
from dagster._core.launcher import WorkerStatus

from dts_pipeline.defs.keys import LANE_TAG, PROCESS_TAG
from dts_pipeline.defs.launcher import UNNAMED_SECONDS, WatchedRunLauncher
from dts_pipeline.defs.processes import is_gone, this_process

DAGSTER_YAML = Path(__file__).parents[2] / "deploy" / "dagster.yaml"
_NAME_AND_WAIT = (
    "from dts_pipeline.defs.processes import this_process as name;"
    "print(name(), flush=True); input()"
)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    shutil.copy(DAGSTER_YAML, tmp_path / "dagster.yaml")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
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
    assert isinstance(instance.run_launcher, WatchedRunLauncher)
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_poll_interval_seconds <= 10
    assert instance.run_monitoring_max_resume_run_attempts == 0
    settings = instance.get_settings("run_monitoring")
    assert settings["free_slots_after_run_end_seconds"] <= 30
    assert not instance.run_retries_enabled
    assert not instance.telemetry_enabled
