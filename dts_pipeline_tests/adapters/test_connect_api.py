"""Connect's REST interface against a fake worker; the real one is met by the preflight tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from dts_pipeline.adapters.connect_api import ConnectApi, ConnectorStatus
from dts_pipeline.errors import TerminalError, TransientError

_TRACE = (
    "org.apache.kafka.connect.errors.ConnectException: 'secret row' broke\n\tat a.b.C(D.java)\n"
    "Caused by: io.debezium.DebeziumException: INSERT INTO t VALUES ('secret')\n\tat x\n"
    "Caused by: java.sql.SQLException: Duplicate entry 'secret'\n"
)


def api(answer: Callable[[httpx.Request], httpx.Response], patience: float = 5.0) -> ConnectApi:
    transport = httpx.MockTransport(answer)
    return ConnectApi("http://connect:8083/", patience=patience, transport=transport)


def status(state: str, *tasks: str, trace: str | None = None) -> dict[str, Any]:
    return {
        "connector": {"state": state},
        "tasks": [{"id": i, "state": s, "trace": trace} for i, s in enumerate(tasks)],
    }


def test_settings_that_look_like_secrets_are_left_out() -> None:
    config = {
        "topic.prefix": "a",
        "database.password": "hunter2",
        "schema.history.internal.producer.sasl.jaas.config": "hunter2",
    }
    entry = {"info": {"config": config}, "status": status("RUNNING", "RUNNING")}
    with api(lambda _: httpx.Response(200, json={"dts-a": entry})) as connect:
        found = connect.connectors()["dts-a"]
    assert found.settings == {"topic.prefix": "a"}
    assert found.status.is_running


def test_a_failed_task_gives_the_classes_of_its_causes_and_no_text() -> None:
    answer = httpx.Response(200, json=status("RUNNING", "FAILED", trace=_TRACE))
    with api(lambda _: answer) as connect:
        found = connect.status("dts-a")
        with pytest.raises(TerminalError) as caught:
            connect.raise_if_failed("dts-a")
    assert found == ConnectorStatus(
        "RUNNING", ("FAILED",), ("ConnectException", "DebeziumException", "SQLException")
    )
    assert caught.value.code == "connector_failed"
    assert "secret" not in str(caught.value)


_TOO_LARGE = (
    "org.apache.kafka.connect.errors.ConnectException: Unrecoverable exception\n\tat x\n"
    "Caused by: org.apache.kafka.common.errors.RecordTooLargeException: "
)
_BY_PRODUCER = (
    "The message is 25000123 bytes when serialized which is larger than 20971520, which is the "
    "value of the max.request.size configuration.\n"
)
_BY_BROKER = "The request included a message larger than the max message size of the server.\n"


@pytest.mark.parametrize(
    ("told", "sizes"), [(_BY_PRODUCER, (25_000_123, 20_971_520)), (_BY_BROKER, (None, None))]
)
def test_a_message_that_is_too_large_has_an_error_of_its_own(
    told: str, sizes: tuple[int | None, int | None]
) -> None:
    entry = {
        "info": {"config": {"topic.prefix": "a"}},
        "status": status("RUNNING", "FAILED", trace=_TOO_LARGE + told),
    }
    with api(lambda _: httpx.Response(200, json={"dts-a": entry})) as connect:
        found = connect.connectors()["dts-a"].status
        with pytest.raises(TerminalError) as caught:
            connect.running_of("a")
    assert (found.message_bytes, found.limit_bytes) == sizes
    assert found.met_too_large_message
    assert caught.value.code == "message_too_large"
    assert caught.value.where.get("message_bytes") == sizes[0]
    assert "max_message_bytes" in caught.value.remedy


_PURGED = (
    "Caused by: io.debezium.DebeziumException: Could not find GTID state requested by slave in any "
    "binlog files. Error code: 1236; SQLSTATE: HY000.\n\tat x\n"
)
_GONE = (
    "Caused by: io.debezium.DebeziumException: The connector is trying to read change stream "
    "starting at SourceInfo [secret], but this is no longer available on the server.\n\tat x\n"
)


@pytest.mark.parametrize("told", [_PURGED, _GONE])
def test_a_place_in_the_binlog_that_is_gone_has_an_error_of_its_own(told: str) -> None:
    entry = {
        "info": {"config": {"topic.prefix": "a"}},
        "status": status("RUNNING", "FAILED", trace=_TRACE + told),
    }
    with api(lambda _: httpx.Response(200, json={"dts-a": entry})) as connect:
        with pytest.raises(TerminalError) as caught:
            connect.running_of("a")
    assert caught.value.code == "connector_position_lost"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("found", "running"),
    [
        (ConnectorStatus("RUNNING", ("RUNNING",)), True),
        (ConnectorStatus("RUNNING", ()), False),
        (ConnectorStatus("RUNNING", ("RUNNING", "FAILED")), False),
        (ConnectorStatus("PAUSED", ("PAUSED",)), False),
    ],
)
def test_running_means_the_connector_and_every_task(found: ConnectorStatus, running: bool) -> None:
    assert found.is_running is running


def test_a_worker_that_is_away_is_transient() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no", request=request)

    with api(refuse, patience=0.1) as connect, pytest.raises(TransientError) as caught:
        connect.plugins()
    assert caught.value.code == "connect_unreachable"


def test_a_rebalance_is_waited_out() -> None:
    answers = iter([httpx.Response(409), httpx.Response(500), httpx.Response(200, json=[])])
    with api(lambda _: next(answers)) as connect:
        assert connect.plugins() == {}


def test_a_worker_that_does_not_know_its_own_paths_yet_is_waited_for() -> None:
    page = httpx.Response(404, html="<h2>HTTP ERROR 404 Not Found</h2>")
    answers = iter([page, httpx.Response(200, json={})])
    with api(lambda _: next(answers)) as connect:
        assert connect.connectors() == {}
    with api(lambda _: page, patience=0.1) as connect, pytest.raises(TransientError) as caught:
        connect.status("dts-a")
    assert caught.value.code == "connect_unreachable"


_MISSING = {"error_code": 404, "message": "Connector dts-a not found"}


def test_a_missing_connector_is_named() -> None:
    missing = httpx.Response(404, json=_MISSING)
    with api(lambda _: missing) as connect, pytest.raises(TerminalError) as caught:
        connect.status("dts-a")
    assert caught.value.code == "connector_missing"
    assert caught.value.where["connector"] == "dts-a"


def test_a_refusal_names_the_settings_and_quotes_nothing() -> None:
    message = "The 'database.user' value is invalid: hunter2; The 'topic.prefix' value is invalid"
    refusal = httpx.Response(400, json={"message": message})
    with api(lambda _: refusal) as connect, pytest.raises(TerminalError) as caught:
        connect.put("dts-a", {"database.password": "hunter2"})
    assert caught.value.code == "connect_refused"
    assert "database.user, topic.prefix" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_names_are_quoted_in_paths() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path.decode())
        return httpx.Response(200, json=status("RUNNING", "RUNNING"))

    with api(answer) as connect:
        connect.status("a/b c")
    assert seen == ["/connectors/a%2Fb%20c/status"]


def test_waiting_sees_a_connector_that_starts_late() -> None:
    answers = iter(
        [
            httpx.Response(404, json=_MISSING),
            httpx.Response(200, json=status("RUNNING")),
            httpx.Response(200, json=status("RUNNING", "RUNNING")),
        ]
    )
    with api(lambda _: next(answers)) as connect:
        connect.wait_until_running("dts-a", seconds=10)
    assert next(answers, None) is None


def test_waiting_ends_when_the_connector_does_not_start() -> None:
    paused = httpx.Response(200, json=status("PAUSED", "PAUSED"))
    with api(lambda _: paused) as connect, pytest.raises(TerminalError) as caught:
        connect.wait_until_running("dts-a", seconds=0.3)
    assert caught.value.code == "connector_failed"
    assert caught.value.where["state"] == "PAUSED"
