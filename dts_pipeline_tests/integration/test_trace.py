"""What touched a row is named from Kafka and the ledgers of both sites."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka import TopicPartition as KafkaTopicPartition
from confluent_kafka.admin import AdminClient

from dts_pipeline.cli import main
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

ITEM = "CREATE TABLE item (id INT PRIMARY KEY, v VARCHAR(40))"
DAY = "CREATE TABLE day (at DATE, code VARBINARY(8), v INT, PRIMARY KEY (at, code))"


@pytest.fixture(
    scope="module",
    params=["stack_mariadb", pytest.param("stack_mysql", marks=pytest.mark.mysql)],
)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    stack: Stack = request.getfixturevalue(request.param)
    return Rig(stack, "trc", tmp_path_factory.mktemp("trace")).create(ITEM, DAY)


def dts(rig: Rig, *words: str, status: int = 0, home: Path | None = None) -> dict[str, Any]:
    environment = {
        **rig.stack.env,
        "DTS_CONFIG": str(rig.path),
        "DAGSTER_HOME": str(home) if home else None,
    }
    result = CliRunner().invoke(main, [*words, "--json"], env=environment)
    assert result.exit_code == status, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_batches_transactions_and_runs_of_a_row(rig: Rig) -> None:
    """Made at a, changed at b, changed at a again; the last is not carried yet."""
    rig.sql("a", "INSERT INTO item VALUES (5, 'made'), (6, 'another')")
    rig.await_events("a")
    dts(rig, "sync", rig.forth, "--until-caught-up")
    rig.sql("b", "UPDATE item SET v = 'changed' WHERE id = 5")
    rig.await_events("b")
    dts(rig, "sync", rig.back, "--until-caught-up")
    batches = {link: rig.checkpoint(link).batch for link in (rig.forth, rig.back)}
    rig.sql("a", "UPDATE item SET v = 'again' WHERE id = 5")
    rig.await_events("a")

    found = dts(rig, "trace", f"{rig.name}.item", "5")

    users = [t for t in found["touches"] if t["state"] != "own"]
    assert [(t["link"], t["op"], t["state"]) for t in users] == [
        (rig.forth, "c", "applied"),
        (rig.back, "u", "applied"),
        (rig.forth, "u", "waiting"),
    ]
    assert users[1]["batch"] <= batches[rig.back]
    assert all(t["gtid"] for t in users)
    assert all(t["run"] and t["committed_at"] for t in users[:2])
    own = [t for t in found["touches"] if t["state"] == "own"]
    assert sorted((t["link"], t["op"]) for t in own) == [(rig.forth, "u"), (rig.back, "c")]
    if rig.stack.flavour == "mysql":
        assert all(t["batch"] for t in own)
    assert found["missing"] == []
    assert {r["kind"] for r in found["records"]} <= {"same"}


def test_a_key_of_several_columns_and_its_records(rig: Rig) -> None:
    rig.sql("a", "INSERT INTO day VALUES ('2026-11-23', 'ab', 1)")
    rig.sql("b", "INSERT INTO day VALUES ('2026-11-23', 'ab', 2)")
    rig.sync()

    found = dts(rig, "trace", f"{rig.name}.day", '{"at": "2026-11-23", "code": "0x6162"}')

    assert {t["link"] for t in found["touches"]} == {rig.forth, rig.back}
    assert "insert_insert" in {record["kind"] for record in found["records"]}


def test_a_row_that_nothing_touched(rig: Rig) -> None:
    """Its key looks like an option."""
    found = dts(rig, "trace", f"{rig.name}.item", "-1")

    assert (found["touches"], found["records"]) == ([], [])


@pytest.mark.parametrize(
    ("words", "code"),
    [(("no.such", "1"), "range_not_carried"), (("{}.day", "1"), "key_invalid")],
)
def test_what_is_no_row_is_refused(rig: Rig, words: tuple[str, str], code: str) -> None:
    error = dts(rig, "trace", words[0].format(rig.name), words[1], status=2)["error"]

    assert error["code"] == code


def test_it_says_what_kafka_no_longer_holds(rig: Rig) -> None:
    topic = f"{rig.sites[0]}.{rig.name}.item"
    admin = AdminClient({"bootstrap.servers": rig.stack.kafka})
    for future in admin.delete_records([KafkaTopicPartition(topic, 0, 1)]).values():
        future.result()

    found = dts(rig, "trace", f"{rig.name}.item", "5", status=1)

    assert found["missing"] == [{"topic": topic, "partition": 0, "before": 1}]
    assert "c" not in {t["op"] for t in found["touches"] if t["link"] == rig.forth}
