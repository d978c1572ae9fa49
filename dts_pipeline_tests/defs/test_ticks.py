"""When a schedule's or sensor's tick starts a run, and when it leaves it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

from dts_pipeline.config import parse_config
from dts_pipeline.defs.build import build_definitions
from dts_pipeline.defs.keys import LANE_TAG, checkpoint_key
from dts_pipeline_tests.defs.settings import ENVIRONMENT, SETTINGS
from dts_pipeline_tests.fakes import FakeStages

Status = dg.DagsterRunStatus
UNFINISHED = [Status.QUEUED, Status.NOT_STARTED, Status.STARTING, Status.STARTED, Status.CANCELING]
FINISHED = [Status.SUCCESS, Status.FAILURE, Status.CANCELED]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def stored_run(instance: dg.DagsterInstance, status: Status, **run: Any) -> dg.DagsterRun:
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "__repository__")
    origin = RemoteJobOrigin(repository, "sync_a_to_b")
    fields = {"job_name": "sync_a_to_b", "remote_job_origin": origin, **run}
    return instance.add_run(dg.DagsterRun(status=status, **fields))


def tick(instance: dg.DagsterInstance, link: str = "a_to_b") -> object:
    schedule = build_definitions(parse_config(SETTINGS)).resolve_schedule_def(
        f"sync_{link}_schedule"
    )
    return _outcome(schedule.evaluate_tick(dg.build_schedule_context(instance=instance)))


def look(instance: dg.DagsterInstance, fake: FakeStages) -> object:
    definitions = build_definitions(parse_config(SETTINGS), stages=fake.stages())
    repository = definitions.get_repository_def()
    sensor = definitions.resolve_sensor_def("sync_a_to_b_lag_sensor")
    with dg.build_sensor_context(
        instance=instance,
        repository_def=repository,
        resources=repository.get_top_level_resources(),
    ) as context:
        return _outcome(sensor.evaluate_tick(context))


def _outcome(data: Any) -> object:
    """`skip_message`, or the run keys of what is started."""
    return data.skip_message or [request.run_key for request in data.run_requests]


def test_a_tick_starts_a_run(instance: dg.DagsterInstance) -> None:
    assert tick(instance) == [None]


@pytest.mark.parametrize("status", UNFINISHED)
def test_a_tick_is_skipped_while_a_run_of_the_lane_is_not_over(
    instance: dg.DagsterInstance, status: Status
) -> None:
    run = stored_run(instance, status, tags={LANE_TAG: "a_to_b/main"})
    assert tick(instance) == f"run {run.run_id} of lane a_to_b/main is {status.value}"
    assert tick(instance, "b_to_a") == [None]


@pytest.mark.parametrize("status", FINISHED)
def test_a_run_that_is_over_skips_nothing(instance: dg.DagsterInstance, status: Status) -> None:
    stored_run(instance, status, tags={LANE_TAG: "a_to_b/main"})
    assert tick(instance) == [None]


def test_a_run_started_by_materialize_is_seen(instance: dg.DagsterInstance) -> None:
    selection = frozenset({checkpoint_key("a_to_b")})
    stored_run(instance, Status.QUEUED, job_name="__ASSET_JOB", asset_selection=selection)
    assert isinstance(tick(instance), str)
    assert tick(instance, "b_to_a") == [None]


def test_the_job_carries_the_lane_s_tag() -> None:
    job = build_definitions(parse_config(SETTINGS)).resolve_job_def("sync_a_to_b")
    assert job.run_tags[LANE_TAG] == "a_to_b/main"


def test_the_sensor_starts_a_run_without_a_key_when_the_link_is_behind(
    instance: dg.DagsterInstance,
) -> None:
    assert look(instance, FakeStages(behind_offsets=3)) == [None]


def test_the_sensor_starts_nothing_when_nothing_is_behind(instance: dg.DagsterInstance) -> None:
    assert look(instance, FakeStages()) == "nothing is past the checkpoint"


def test_the_sensor_does_not_ask_kafka_while_a_run_is_under_way(
    instance: dg.DagsterInstance,
) -> None:
    stored_run(instance, Status.STARTED, tags={LANE_TAG: "a_to_b/main"})
    assert "is STARTED" in str(look(instance, FakeStages(behind_offsets=3)))


def test_after_a_failed_run_the_sensor_leaves_the_next_to_the_schedule(
    instance: dg.DagsterInstance,
) -> None:
    stored_run(instance, Status.FAILURE, tags={LANE_TAG: "a_to_b/main"})
    assert "the schedule starts the next" in str(look(instance, FakeStages(behind_offsets=3)))


# -- links of several lanes ---------------------------------------------------------------------

LANES = SETTINGS.replace("sites: [a, b]", 'sites: [a, b]\n    lanes: {crm: ["crm.*"], rest: ["*"]}')


def lanes_tick(instance: dg.DagsterInstance) -> Any:
    definitions = build_definitions(parse_config(LANES))
    context = dg.build_schedule_context(
        instance=instance,
        repository_def=definitions.get_repository_def(),
        scheduled_execution_time=datetime.now(UTC),
    )
    return definitions.resolve_schedule_def("sync_a_to_b_schedule").evaluate_tick(context)


def started(data: Any) -> list[tuple[str | None, str]]:
    return [(r.partition_key, r.tags[LANE_TAG]) for r in data.run_requests or []]


def test_a_tick_starts_a_run_of_each_lane(instance: dg.DagsterInstance) -> None:
    assert started(lanes_tick(instance)) == [("crm", "a_to_b/crm"), ("rest", "a_to_b/rest")]


def test_a_lane_under_way_leaves_the_others_to_the_tick(instance: dg.DagsterInstance) -> None:
    stored_run(instance, Status.STARTED, tags={LANE_TAG: "a_to_b/crm"})
    assert started(lanes_tick(instance)) == [("rest", "a_to_b/rest")]


def test_a_lane_started_by_materialize_is_seen(instance: dg.DagsterInstance) -> None:
    selection = frozenset({checkpoint_key("a_to_b")})
    tags = {"dagster/partition": "rest"}
    stored_run(
        instance, Status.QUEUED, job_name="__ASSET_JOB", asset_selection=selection, tags=tags
    )
    assert started(lanes_tick(instance)) == [("crm", "a_to_b/crm")]


def test_a_tick_says_of_every_lane_why_it_starts_none(instance: dg.DagsterInstance) -> None:
    for lane in ("crm", "rest"):
        stored_run(instance, Status.STARTED, tags={LANE_TAG: f"a_to_b/{lane}"})
    data = lanes_tick(instance)
    assert all(f"a_to_b/{lane} is STARTED" in data.skip_message for lane in ("crm", "rest"))


def test_the_sensor_starts_lanes_that_are_behind_but_one_that_failed(
    instance: dg.DagsterInstance,
) -> None:
    stored_run(instance, Status.FAILURE, tags={LANE_TAG: "a_to_b/crm"})
    fake = FakeStages(behind_offsets=3)
    definitions = build_definitions(parse_config(LANES), stages=fake.stages())
    repository = definitions.get_repository_def()
    sensor = definitions.resolve_sensor_def("sync_a_to_b_lag_sensor")
    with dg.build_sensor_context(
        instance=instance,
        repository_def=repository,
        resources=repository.get_top_level_resources(),
    ) as context:
        assert started(sensor.evaluate_tick(context)) == [("rest", "a_to_b/rest")]
