"""A row that is too large for Kafka: what stops, what is said of it, and how it is carried then."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

import pytest

from dts_pipeline.commands import exits
from dts_pipeline_tests.integration.bad_bench import Bench
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

TABLES = (
    "CREATE TABLE large (id INT PRIMARY KEY, t LONGTEXT) CHARACTER SET utf8mb4",
    "CREATE TABLE small (id INT PRIMARY KEY, t VARCHAR(50)) CHARACTER SET utf8mb4",
)
MIB = 2**20


@pytest.fixture(scope="module")
def bench(stack_mariadb: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(Rig(stack_mariadb, "badmsg", tmp_path_factory.mktemp("bad")).create(*TABLES))
    yield made
    made.remove_connectors()


def limit(size: str) -> dict[str, object]:
    return {"connect": {"max_message_bytes": size}}


def test_a_row_that_is_too_large(bench: Bench) -> None:
    done = bench.dts("connectors", "--register", changes=limit("1MiB"))
    assert done.exit_code == exits.DONE, done.output
    bench.goes_on()
    topic = bench.topic("large")
    text = secrets.token_hex(3 * MIB // 2)  # compressed it is still too large
    bench.rig.sql("a", f"INSERT INTO large VALUES (1, '{text}')", "INSERT INTO small VALUES (1,'')")
    bench.await_connector("RUNNING", "FAILED")

    error = bench.refused("message_too_large")
    assert error["where"]["topics"] == topic
    assert int(error["where"]["limit_bytes"]) == MIB
    assert 3 * MIB < int(error["where"]["message_bytes"]) < 4 * MIB
    assert topic in bench.foreseen("message_too_large")["message"]

    # The topic was made under the old limit.
    bench.topic_setting(topic, "max.message.bytes", str(MIB))
    result = bench.dts("preflight", "--json", changes=limit("5MiB"))
    found = [f for f in json.loads(result.stdout)["findings"] if f["severity"] == "warning"]
    small = [f["where"]["topic"] for f in found if f["check"] == "topic_message_limit"]
    assert small == [topic]

    done = bench.dts("connectors", "--register", changes=limit("5MiB"))
    assert done.exit_code == exits.DONE, done.output
    bench.goes_on()
    assert bench.rig.rows("b", "SELECT LENGTH(t) FROM large") == [(len(text),)]
    assert bench.rig.rows("b", "SELECT id FROM small") == [(1,)]


def test_a_row_that_the_broker_refuses(bench: Bench) -> None:
    """The broker has taken rows behind it; all are carried once it takes that one, too."""
    rig, topic, text = bench.rig, bench.topic("large"), secrets.token_hex(MIB // 4)
    rig.sql("a", "REPLACE INTO large VALUES (9, 'its topic is there')")
    bench.goes_on()
    bench.topic_setting(topic, "max.message.bytes", str(MIB // 8))
    with rig.user("a") as connection, connection.cursor() as cursor:
        for number in range(10, 60):
            value = text if number == 20 else "x"
            cursor.execute("INSERT INTO large VALUES (%s, %s)", (number, value))
            cursor.execute("INSERT INTO small VALUES (%s, 'x')", (number,))
    bench.await_connector("RUNNING", "FAILED")
    assert bench.error("sync", rig.forth)["code"] == "message_too_large"

    bench.revive()  # which raises the topic's limit
    bench.goes_on()
    rig.assert_equal()
    query = "SELECT COUNT(*), MAX(LENGTH(t)) FROM large WHERE id BETWEEN 10 AND 59"
    assert rig.rows("b", query) == [(50, len(text))]
