"""Preflight, the GRANTs and the connectors' registration on real servers."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from dts_pipeline.adapters.kafka_admin import KafkaAdmin
from dts_pipeline.errors import TerminalError
from dts_pipeline.preflight import Severity
from dts_pipeline_tests.preflight.guarded_pair import ITEM, SECRETS, GuardedPair, wait_for

pytestmark = pytest.mark.servers

CHILD = (
    "CREATE TABLE child (id INT, item INT, PRIMARY KEY ({}), "
    "FOREIGN KEY (item) REFERENCES item (id) ON DELETE CASCADE ON UPDATE {})"
)


@pytest.fixture(
    scope="module",
    params=["stack_mariadb", pytest.param("stack_mysql", marks=pytest.mark.mysql)],
)
def pair(request: pytest.FixtureRequest) -> Iterator[GuardedPair]:
    made = GuardedPair(request.getfixturevalue(request.param)).create()
    yield made
    for site in made.sites:
        httpx.delete(f"{made.stack.connect}/connectors/dts-{site}")


def is_mysql(pair: GuardedPair) -> bool:
    return pair.stack.flavour == "mysql"


def test_accounts_made_of_the_printed_grants_pass_and_carry_rows(pair: GuardedPair) -> None:
    assert pair.problems() == set()
    first, second = pair.sites
    pair.admin("a", "INSERT INTO item VALUES (1, 'from a', '2026-01-01')")
    pair.admin("b", "INSERT INTO item VALUES (2, 'from b', '0012-01-01')")

    def equal() -> bool:
        pair.sync(first)
        pair.sync(second)
        return all(pair.value(side, "SELECT COUNT(*) FROM item") == 2 for side in "ab")

    wait_for(equal)
    assert str(pair.value("a", "SELECT at FROM item WHERE id = 2")) == "0012-01-01"
    pair.both("DELETE FROM item")


def test_it_says_which_mark_each_account_may_use(pair: GuardedPair) -> None:
    right = "REPLICATION_APPLIER" if is_mysql(pair) else "BINLOG REPLAY"
    with pair.revoked("b", right, "*.*"):
        assert pair.problems() == {("privilege_missing", "error")}
        said = {f.where["site"]: f.message for f in pair.preflight() if f.check == "mark_choice"}
    assert said[f"{pair.name}a"].startswith(f"origin: yes, the account holds {right}")
    assert said[f"{pair.name}b"].startswith(f"origin: no, the account lacks {right}; comment: yes")


def test_trying_the_mark_leaves_no_trace(pair: GuardedPair) -> None:
    position = "gtid_executed" if is_mysql(pair) else "gtid_binlog_pos"
    before = pair.value("b", f"SELECT @@GLOBAL.{position}")
    pair.preflight()
    assert pair.value("b", f"SELECT @@GLOBAL.{position}") == before


@pytest.mark.parametrize(
    ("right", "place"),
    [
        ("DELETE", "`{name}`.*"),
        ("INSERT", "`{name}`.*"),
        ("UPDATE", "`dts`.*"),
        ("CREATE TEMPORARY TABLES", "`dts`.*"),
    ],
)
def test_a_right_that_is_missing(pair: GuardedPair, right: str, place: str) -> None:
    with pair.revoked("b", right, place.format(name=pair.name)):
        found = [f for f in pair.preflight() if f.severity is Severity.ERROR]
    assert {f.check for f in found} == {"privilege_missing"}
    assert all(right in f.message for f in found)


def test_what_the_account_may_not_see_is_said(pair: GuardedPair) -> None:
    if is_mysql(pair):
        with pair.revoked("b", "TRIGGER", f"`{pair.name}`.*"):
            assert pair.problems() == {("triggers_unknown", "warning")}
    else:
        with pair.revoked("b", "PROCESS", "*.*"):
            assert pair.problems() == {("replicas_unknown", "warning")}


@pytest.mark.parametrize(
    ("only", "variable", "value", "code"),
    [
        ("", "binlog_format", "'MIXED'", "binlog_format"),
        ("", "binlog_row_image", "'MINIMAL'", "binlog_row_image"),
        ("mariadb", "log_bin_compress", "ON", "binlog_compressed"),
        ("mysql", "binlog_transaction_compression", "ON", "binlog_compressed"),
        ("mysql", "binlog_row_value_options", "'PARTIAL_JSON'", "binlog_partial_json"),
        ("mysql", "gtid_mode", "ON_PERMISSIVE", "gtid_off"),
        ("", "read_only", "ON", "read_only"),
    ],
)
def test_settings_of_the_server(
    pair: GuardedPair, only: str, variable: str, value: str, code: str
) -> None:
    if only not in ("", pair.stack.flavour):
        pytest.skip(f"{variable} is a variable of {only}")
    with pair.setting("b", variable, value):
        found = {check for check, severity in pair.problems() if severity == "error"}
    # A read-only server refuses what is tried as well.
    assert found - {"privilege_missing"} == {code}


def test_query_logging_under_comment_marks(pair: GuardedPair) -> None:
    document = pair.document()
    document["mark"] = "comment"
    variable = "binlog_rows_query_log_events" if is_mysql(pair) else "binlog_annotate_row_events"
    assert pair.problems(document) == {("mark_unseen", "error")}
    with pair.setting("b", variable, "OFF"):
        assert pair.problems(document) == {("mark_unseen", "error"), ("query_logging_off", "error")}


def test_a_mark_domain_that_a_server_uses(pair: GuardedPair) -> None:
    if is_mysql(pair):
        pytest.skip("MySQL has no GTID domains")
    document = pair.document()
    document["pairs"]["pair"]["mark_domain_id"] = pair.value("a", "SELECT @@GLOBAL.gtid_domain_id")
    assert pair.problems(document) == {("mark_domain_taken", "error")}


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        (("sites", "a", "port"), 1, "server_unreachable"),
        (("sites", "a", "user"), "nobody", "access_denied"),
        (("kafka", "bootstrap.servers"), "127.0.0.1:1", "kafka_unreachable"),
        (("connect", "url"), "http://127.0.0.1:1", "connect_unreachable"),
    ],
)
def test_a_server_that_is_away_is_one_finding(
    pair: GuardedPair, path: tuple[str, ...], value: Any, code: str
) -> None:
    document = copy.deepcopy(pair.document())
    place: Any = document
    for key in path[:-1]:
        place = place[pair.name + key if key == "a" else key]
    place[path[-1]] = value
    with pair.setting("b", "binlog_row_image", "'MINIMAL'"):
        assert pair.problems(document) == {(code, "error"), ("binlog_row_image", "error")}


@pytest.mark.parametrize(
    ("at_a", "at_b", "expected"),
    [
        (["CREATE TABLE t (id INT PRIMARY KEY)"], [], {("table_missing", "error")}),
        (
            ["CREATE TABLE t (id INT PRIMARY KEY, v INT)"],
            ["CREATE TABLE t (id INT PRIMARY KEY)"],
            {("column_missing", "error")},
        ),
        (
            ["CREATE TABLE t (id INT PRIMARY KEY, v INT)"],
            ["CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9))"],
            {("type_mismatch", "error")},
        ),
        (
            ["CREATE TABLE t (id INT PRIMARY KEY, v DATETIME(6))"],
            ["CREATE TABLE t (id INT PRIMARY KEY, v DATETIME)"],
            {("type_narrower", "error")},
        ),
        (
            ["CREATE TABLE t (id INT PRIMARY KEY, v INT NOT NULL)"],
            ["CREATE TABLE t (id INT PRIMARY KEY, v INT)"],
            {("null_refused", "warning")},
        ),
        (
            ["CREATE TABLE t (id VARCHAR(9) COLLATE utf8mb4_bin PRIMARY KEY)"],
            ["CREATE TABLE t (id VARCHAR(9) COLLATE utf8mb4_general_ci PRIMARY KEY)"],
            {("collation_differs", "error")},
        ),
        (["CREATE TABLE t (id INT)"], ["CREATE TABLE t (id INT)"], {("key_missing", "error")}),
        (
            ["CREATE TABLE t (id INT PRIMARY KEY)"],
            ["CREATE TABLE t (id INT PRIMARY KEY) ENGINE=MyISAM"],
            {("engine_unsupported", "error"), ("engine_unsupported", "warning")},
        ),
        (
            ["CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY)"],
            ["CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY)"],
            {("auto_increment_collides", "warning")},
        ),
        (
            ["CREATE TABLE t (id INT PRIMARY KEY, v INT)"],
            [
                "CREATE TABLE t (id INT PRIMARY KEY, v INT)",
                "CREATE TRIGGER t_v BEFORE INSERT ON t FOR EACH ROW SET NEW.v = 1",
            ],
            {("trigger_at_target", "error")},
        ),
    ],
)
def test_tables(
    pair: GuardedPair, at_a: list[str], at_b: list[str], expected: set[tuple[str, str]]
) -> None:
    pair.admin("a", *at_a)
    pair.admin("b", *at_b)
    try:
        assert pair.problems() == expected
    finally:
        pair.both("DROP TABLE IF EXISTS t")


@pytest.mark.parametrize(
    ("primary_key", "action", "told"),
    [("id", "SET NULL", True), ("id", "CASCADE", True), ("id, item", "CASCADE", False)],
)
def test_cascades(pair: GuardedPair, primary_key: str, action: str, told: bool) -> None:
    pair.both(CHILD.format(primary_key, action))
    try:
        logged = is_mysql(pair)  # 9.6 and later
        refused = {("cascade_not_carried", "error")}
        assert pair.problems() == (set() if told or logged else refused)
    finally:
        pair.both("DROP TABLE child")


def test_auto_increment_that_cannot_collide(pair: GuardedPair) -> None:
    pair.both("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY)")
    steps = [pair.setting(side, "auto_increment_increment", "2") for side in "ab"]
    try:
        with steps[0], steps[1], pair.setting("b", "auto_increment_offset", "2"):
            assert pair.problems() == set()
    finally:
        pair.both("DROP TABLE t")


def test_a_topic_that_is_compacted(pair: GuardedPair) -> None:
    admin = AdminClient({"bootstrap.servers": pair.stack.kafka})
    topic = f"{pair.name}a.transaction"

    def policy(value: str) -> None:
        entry = ConfigEntry("cleanup.policy", value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        for future in admin.incremental_alter_configs([resource]).values():
            future.result()

    policy("compact")
    try:
        wait_for(lambda: pair.problems() == {("topic_compacted", "error")}, 15)
    finally:
        policy("delete")
    wait_for(lambda: pair.problems() == set(), 15)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"decimal.handling.mode": "double"}, {("lossy_mode", "error")}),
        ({"time.precision.mode": "connect"}, {("lossy_mode", "error")}),
        ({"enable.time.adjuster": None}, {("time_adjuster", "error")}),
        ({"value.converter.replace.null.with.default": None}, {("null_replaced", "error")}),
        ({"provide.transaction.metadata": "false"}, {("transaction_metadata_missing", "error")}),
        ({"skipped.operations": None}, {("truncate_unseen", "error")}),
        ({"table.include.list": "dts[.]watermark"}, {("table_not_captured", "error")}),
        (
            {
                "transforms": "flat",
                "transforms.flat.type": "io.debezium.transforms.ExtractNewRecordState",
            },
            {("transforms_present", "error")},
        ),
    ],
)
def test_settings_of_the_connector(
    pair: GuardedPair, changes: dict[str, str | None], expected: set[tuple[str, str]]
) -> None:
    with pair.connector(f"{pair.name}a", changes):
        # Connect shows the task's old state for a moment after a change.
        wait_for(lambda: pair.problems() == expected, 20)
    wait_for(lambda: pair.problems() == set(), 20)


def test_a_connector_that_is_stopped_failed_or_missing(pair: GuardedPair) -> None:
    site = f"{pair.name}a"
    url = f"{pair.stack.connect}/connectors/dts-{site}"
    httpx.put(f"{url}/pause").raise_for_status()
    wait_for(lambda: pair.problems() == {("connector_stopped", "error")}, 30)
    httpx.put(f"{url}/resume").raise_for_status()
    pair.await_running(site)
    httpx.delete(url).raise_for_status()
    wait_for(lambda: pair.problems() == {("connector_missing", "error")}, 30)
    assert len(pair.register()) == 2
    wait_for(lambda: pair.problems() == set(), 20)


def test_tables_that_were_there_before_join_a_running_connector(pair: GuardedPair) -> None:
    schema = f"{pair.name}x"
    document = pair.document()
    document["pairs"]["pair"]["tables"].append(f"{schema}.*")
    widened = pair.changed(document)
    pair.both(f"CREATE DATABASE {schema}", f"CREATE TABLE {schema}.late (id INT PRIMARY KEY)")
    for account, rights in (("d", "SELECT, INSERT, UPDATE, DELETE"), ("c", "SELECT")):
        pair.both(f"GRANT {rights} ON {schema}.* TO '{pair.name}{account}'@'%'")
    try:
        assert widened.problems() == {("table_not_captured", "error")}
        widened.register()
        assert widened.problems() == set()
        pair.both(f"INSERT INTO {schema}.late VALUES (1)")
        admin = KafkaAdmin({"bootstrap.servers": pair.stack.kafka})
        for site in pair.sites:
            wait_for(lambda site=site: admin.end_offset(f"{site}.{schema}.late") == 1)
        widened.register()
        assert widened.problems() == set()
    finally:
        pair.both(f"DROP DATABASE {schema}")
        pair.register()


def test_another_reader_of_the_binlog_may_be_a_replica(pair: GuardedPair) -> None:
    if is_mysql(pair):
        pytest.skip("MySQL's replicas keep the order of commits")
    url = f"{pair.stack.connect}/connectors"
    name = f"{pair.name}r"
    settings = httpx.get(f"{url}/dts-{pair.name}a/config").json()
    settings |= {
        "name": name,
        "topic.prefix": name,
        "database.server.id": "77",
        "database.user": "debezium",
        "database.password": pair.stack.env["DTS_A_CONNECTOR_PASSWORD"],
        "schema.history.internal.kafka.topic": f"{name}.schema-history",
    }
    httpx.put(f"{url}/{name}/config", json=settings).raise_for_status()
    try:
        wait_for(lambda: pair.problems() == {("replicas_attached", "warning")}, 30)
    finally:
        httpx.delete(f"{url}/{name}").raise_for_status()

    def gone() -> bool:
        pair.admin("a", "FLUSH BINARY LOGS")  # a server notices that a reader left when it sends
        return pair.problems() == set()

    wait_for(gone)


def test_a_second_connector_under_the_same_prefix_is_refused(pair: GuardedPair) -> None:
    url = f"{pair.stack.connect}/connectors"
    settings = httpx.get(f"{url}/dts-{pair.name}a/config").json()
    other = f"other-{pair.name}"
    httpx.put(f"{url}/{other}/config", json={**settings, "name": other}).raise_for_status()
    try:
        with pytest.raises(TerminalError) as caught:
            pair.register()
        assert caught.value.code == "connector_prefix_taken"
        assert ("connector_prefix_taken", "error") in pair.problems()
    finally:
        httpx.delete(f"{url}/{other}").raise_for_status()


def test_a_password_of_the_connector_that_is_wrong(pair: GuardedPair) -> None:
    account = f"'{pair.name}c'@'%'"
    pair.admin("a", f"ALTER USER {account} IDENTIFIED BY 'another word'")
    try:
        with pytest.raises(TerminalError) as caught:
            pair.register()
        assert caught.value.code in {"connect_refused", "connector_failed"}
        assert all(secret not in str(caught.value) for secret in SECRETS.values())
    finally:
        pair.admin("a", f"ALTER USER {account} IDENTIFIED BY '{SECRETS['GUARDED_CONNECTOR']}'")
    assert len(pair.register()) == 2


def test_a_ledger_that_is_missing(pair: GuardedPair) -> None:
    pair.admin("a", "RENAME TABLE dts.quarantine TO dts.away")
    try:
        found = [f for f in pair.preflight() if f.severity is Severity.ERROR]
        assert [(f.check, "quarantine" in f.message) for f in found] == [("ledger_missing", True)]
    finally:
        pair.admin("a", "RENAME TABLE dts.away TO dts.quarantine")


def test_nothing_found_quotes_a_secret(pair: GuardedPair) -> None:
    texts = [str(finding.to_dict()) for finding in pair.preflight()]
    assert texts
    assert not any(secret in text for text in texts for secret in SECRETS.values())


def test_the_table_that_both_sides_have_is_looked_at(pair: GuardedPair) -> None:
    # Guards this file's own premise: with nothing carried, most checks would say nothing.
    assert pair.value("b", "SHOW TABLES") == "item", ITEM
