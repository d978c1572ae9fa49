"""Dagster's alerts: what is posted, once, and what is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from dts_pipeline.config import parse_config
from dts_pipeline.defs.alerts import AlertsResource, failed_runs
from dts_pipeline.defs.build import build_definitions
from dts_pipeline.errors import DtsError, TerminalError
from dts_pipeline_tests.defs.settings import ENVIRONMENT, SETTINGS
from dts_pipeline_tests.fakes import ROW_VALUE, FakeStages
from dts_pipeline_tests.webhook import Receiver, receiving

WITH_ALERTS = SETTINGS + 'alerts: {webhook: "${DTS_ALERT_URL}"}\n'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    for name, value in {**ENVIRONMENT, "DTS_ALERT_URL": receiver.url}.items():
        monkeypatch.setenv(name, value)


def run(instance: dg.DagsterInstance, *errors: Exception) -> dg.ExecuteInProcessResult:
    """A run of a link whose plan raises `errors`."""
    stages = FakeStages(sizes=[1], errors={"plan_ranges": list(errors)}).stages()
    job = build_definitions(parse_config(SETTINGS), stages=stages).resolve_job_def("sync_a_to_b")
    return job.execute_in_process(instance=instance, raise_on_error=False)


def told(instance: dg.DagsterInstance, ended: dg.ExecuteInProcessResult, url: str) -> Any:
    """What the sensor does about a failed run."""
    context = dg.build_run_status_sensor_context(
        sensor_name="alert_failed_runs",
        dagster_event=ended.get_run_failure_event(),
        dagster_instance=instance,
        dagster_run=ended.dagster_run,
        resources={"alerts": AlertsResource(webhook=url)},
    ).for_run_failure()
    return failed_runs()(context)


LOST = TerminalError("offsets_lost", "gone", where={"topic": "a.shop.orders"}, remedy="Look.")


def test_the_first_failed_run_of_a_row_is_told(receiver: Receiver) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        first = run(instance, LOST)
        told(instance, first, receiver.url)
        second = run(instance, LOST)
        skipped = told(instance, second, receiver.url)
        run(instance)
        third = run(instance, ValueError(ROW_VALUE))
        told(instance, third, receiver.url)

    assert isinstance(skipped, dg.SkipReason)
    assert [alert["run"] for alert in receiver.posted] == [first.run_id, third.run_id]
    alert = receiver.posted[0]
    assert (alert["alert"], alert["job"], alert["lane"]) == (
        "run_failed",
        "sync_a_to_b",
        "a_to_b/main",
    )
    assert (alert["code"], alert["remedy"]) == ("offsets_lost", "Look.")
    assert receiver.posted[1]["code"] == "internal_error"
    assert ROW_VALUE not in json.dumps(receiver.posted)


def test_an_alert_that_is_not_taken_is_an_error_without_the_address(receiver: Receiver) -> None:
    receiver.status = 500
    for url in (receiver.url, "http://127.0.0.1:1/secret-path", "no address"):
        with pytest.raises(DtsError) as caught:
            AlertsResource(webhook=url).send({"alert": "fine"})
        assert caught.value.code == "alert_not_sent"
        assert "secret-path" not in str(caught.value)


def test_a_link_is_told_when_its_state_changes(receiver: Receiver) -> None:
    definitions = build_definitions(parse_config(WITH_ALERTS), stages=FakeStages().stages())
    repository = definitions.get_repository_def()
    sensor = definitions.resolve_sensor_def("alert_lagging_links")
    cursor, skipped = None, None
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(2):  # nothing listens at the settings' servers
            with dg.build_sensor_context(
                instance=instance,
                cursor=cursor,
                repository_def=repository,
                resources=repository.get_top_level_resources(),
            ) as context:
                tick = sensor.evaluate_tick(context)
            cursor, skipped = tick.cursor or cursor, tick.skip_message

    assert skipped == "a_to_b unreadable, b_to_a unreadable"
    assert [(a["alert"], a["link"], a["code"]) for a in receiver.posted] == [
        ("unreadable", "a_to_b", "server_unreachable"),
        ("unreadable", "b_to_a", "server_unreachable"),
    ]


def test_without_a_webhook_there_are_no_such_sensors() -> None:
    names = {
        s.name for s in build_definitions(parse_config(SETTINGS)).get_repository_def().sensor_defs
    }
    assert names == {"sync_a_to_b_lag_sensor", "sync_b_to_a_lag_sensor"}
    with_alerts = build_definitions(parse_config(WITH_ALERTS)).get_repository_def()
    assert {s.name for s in with_alerts.sensor_defs} - names == {
        "alert_failed_runs",
        "alert_lagging_links",
    }
    resources = with_alerts.get_top_level_resources()
    assert "secret-path" not in str(resources["alerts"])
