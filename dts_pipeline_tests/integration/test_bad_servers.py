"""Servers that are down or refuse the account; and no link is left half-written by it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from dts_pipeline_tests.integration.bad_bench import PLANTED, Bench
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

ITEM = "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(100)) CHARACTER SET utf8mb4"


@pytest.fixture(scope="module")
def bench(stack_mariadb: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One pair for the module."""
    rig = Rig(stack_mariadb, "badsrv", tmp_path_factory.mktemp("bad"))
    made = Bench(rig.create(ITEM))
    made.goes_on()
    made.foreseen()
    yield made
    made.remove_connectors()


@pytest.mark.parametrize("side", ["a", "b"])
def test_a_password_that_is_wrong(bench: Bench, side: str) -> None:
    wrong = {f"DTS_{side.upper()}_PASSWORD": f"{PLANTED}-as-a-password"}
    error = bench.refused("access_denied", environment=wrong)
    assert error["where"]["site"] == bench.rig.sites["ab".index(side)]
    assert bench.foreseen("access_denied", environment=wrong)["where"]["site"]


def test_a_variable_that_is_not_set(bench: Bench) -> None:
    for words in (("sync", bench.rig.forth), ("preflight",)):
        error = bench.error(*words, environment={"DTS_B_PASSWORD": None})
        assert error["code"] == "config_invalid"
        assert [p["path"] for p in error["problems"]] == ["${DTS_B_PASSWORD}"]


def test_a_broker_that_refuses_the_property(bench: Bench) -> None:
    changes = {"kafka": {"security.protokol": "plaintext"}}
    bench.refused("kafka_property_invalid", changes=changes)
    bench.foreseen("kafka_property_invalid", changes=changes)


def test_a_database_that_is_down(bench: Bench) -> None:
    bench.rig.sql("a", f"INSERT INTO item VALUES (1, '{PLANTED}')")
    bench.rig.await_events("a")
    before = bench.standing()
    site = bench.rig.sites[1]
    bench.rig.stack.command("stop", "site_b")
    try:
        forth, back, found = bench.at_once(
            ("sync", bench.rig.forth), ("sync", bench.rig.back), ("preflight",)
        )
    finally:
        bench.rig.stack.command("start", "site_b")
    for error in (forth["error"], back["error"]):
        assert (error["code"], error["where"]["site"]) == ("server_unreachable", site)
        assert error["remedy"]
    errors = {f["check"]: f for f in found["findings"] if f["severity"] == "error"}
    assert errors["server_unreachable"]["where"]["site"] == site
    assert bench.standing() == before
    bench.restart_connectors()
    bench.foreseen()
    bench.goes_on()


def test_a_kafka_connect_and_a_broker_that_are_down(bench: Bench) -> None:
    """Without Connect nothing comes any more, and the link must not look caught up."""
    before = bench.standing()
    stack = bench.rig.stack
    for name in ("connect", "kafka"):
        stack.command("stop", name)
    try:
        # A configuration that does not name Connect goes on to the broker.
        connect, found, kafka = bench.at_once(
            ("sync", bench.rig.forth),
            ("preflight",),
            ("sync", bench.rig.forth),
            changes={"connect": None},
        )
    finally:
        for name in ("kafka", "connect"):
            stack.command("start", name)
    assert connect["error"]["code"] == "connect_unreachable"
    assert connect["error"]["where"]["connect"] == stack.connect
    assert kafka["error"]["code"] == "kafka_unreachable"
    assert stack.kafka in json.dumps(kafka["error"]["where"])
    assert all(answer["error"]["remedy"] for answer in (connect, kafka))
    errors = {f["check"] for f in found["findings"] if f["severity"] == "error"}
    assert errors == {"connect_unreachable", "kafka_unreachable"}
    assert bench.standing() == before
    bench.rig.sql("a", f"INSERT INTO item VALUES (2, '{PLANTED}')")
    bench.revive()
    bench.goes_on()
