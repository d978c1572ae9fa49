"""The connector's settings as exact text."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from dts_pipeline.core.connector_config import (
    CaptureSite,
    connector_spec,
    include_list,
    is_captured,
    java_client,
    next_history_topic,
    replica_id,
)
from dts_pipeline.core.links import Link, MarkKind
from dts_pipeline.core.names import Names
from dts_pipeline.core.schema import Dialect

SITE = CaptureSite(
    name="a",
    dialect=Dialect.MARIADB,
    host="db-a",
    port=3306,
    user="debezium",
    password="${DTS_A_CONNECTOR_PASSWORD}",
    topic_prefix="a",
    kafka={"bootstrap.servers": "kafka:9092"},
)


def link(*tables: str, mark: MarkKind = MarkKind.ORIGIN, source: str = "a") -> Link:
    return Link(f"{source}_to_x", source, "x", tables, source, mark)


def test_the_whole_of_a_mariadb_connector() -> None:
    spec = connector_spec(SITE, [link("shop.*")])
    assert spec.name == "dts-a"
    assert dict(spec.settings) == {
        "connector.class": "io.debezium.connector.mariadb.MariaDbConnector",
        "tasks.max": "1",
        "topic.prefix": "a",
        "database.hostname": "db-a",
        "database.port": "3306",
        "database.user": "debezium",
        "database.password": "${DTS_A_CONNECTOR_PASSWORD}",
        "database.server.id": str(replica_id("dts-a", SITE)),
        "database.ssl.mode": "disable",
        "table.include.list": "shop[.].*,dts[.]watermark",
        "include.query": "false",
        "include.schema.changes": "false",
        "schema.history.internal.kafka.topic": "a.schema-history",
        "schema.history.internal.kafka.bootstrap.servers": "kafka:9092",
        "snapshot.mode": "no_data",
        "provide.transaction.metadata": "true",
        "tombstones.on.delete": "true",
        "skipped.operations": "none",
        "event.processing.failure.handling.mode": "fail",
        "inconsistent.schema.handling.mode": "fail",
        "enable.time.adjuster": "false",
        "time.precision.mode": "adaptive_time_microseconds",
        "decimal.handling.mode": "precise",
        "bigint.unsigned.handling.mode": "long",
        "binary.handling.mode": "bytes",
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "key.converter.schemas.enable": "false",
        "key.converter.replace.null.with.default": "false",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "false",
        "value.converter.replace.null.with.default": "false",
        "topic.creation.default.partitions": "1",
        "topic.creation.default.replication.factor": "-1",
        "topic.creation.default.cleanup.policy": "delete",
        "topic.creation.default.max.message.bytes": "20971520",
        "producer.override.max.request.size": "20971520",
        "producer.override.compression.type": "lz4",
    }


@pytest.mark.parametrize(
    ("dialect", "tls", "mode"),
    [
        (Dialect.MYSQL, False, "preferred"),
        (Dialect.MYSQL, True, "verify_identity"),
        (Dialect.MARIADB, False, "disable"),
        (Dialect.MARIADB, True, "verify-full"),
    ],
)
def test_tls_is_spelled_as_each_driver_wants_it(dialect: Dialect, tls: bool, mode: str) -> None:
    settings = connector_spec(replace(SITE, dialect=dialect, tls=tls), []).settings
    assert settings["database.ssl.mode"] == mode


def test_the_truststore_is_passed_on_where_one_is_named() -> None:
    trusting = replace(SITE, tls=True, truststore="/trust.p12", truststore_password="${TRUST}")
    found = connector_spec(trusting, []).settings
    assert found["database.ssl.truststore"] == "/trust.p12"
    assert found["database.ssl.truststore.password"] == "${TRUST}"
    assert not any("truststore" in key for key in connector_spec(SITE, []).settings)


def test_mysql_has_a_connector_class_of_its_own() -> None:
    settings = connector_spec(replace(SITE, dialect=Dialect.MYSQL), []).settings
    assert settings["connector.class"] == "io.debezium.connector.mysql.MySqlConnector"


def test_the_query_is_sent_under_comment_marks_only() -> None:
    spec = connector_spec(SITE, [link("shop.*", mark=MarkKind.COMMENT)])
    assert spec.settings["include.query"] == "true"


def test_links_of_one_site_share_a_connector_and_others_stay_out() -> None:
    links = [link("shop.*"), link("crm.*", "shop.*"), link("hr.*", source="b")]
    settings = connector_spec(SITE, links).settings
    assert settings["table.include.list"] == "shop[.].*,crm[.].*,dts[.]watermark"


def test_a_connector_captures_what_its_site_calls_the_tables() -> None:
    names = Names.of([("shop.*", "store.*"), ("shop.orders", "eu.orders")])
    settings = connector_spec(SITE, [replace(link("shop.*"), source_names=names)]).settings
    assert settings["table.include.list"] == "store[.].*,eu[.]orders,dts[.]watermark"


def test_the_schema_history_gets_the_clients_properties_twice() -> None:
    kafka = {"bootstrap.servers": "kafka:9092", "security.protocol": "SSL"}
    settings = connector_spec(replace(SITE, kafka=kafka), []).settings
    assert settings["schema.history.internal.producer.security.protocol"] == "SSL"
    assert settings["schema.history.internal.consumer.security.protocol"] == "SSL"


def test_secrets_stay_out_of_reprs() -> None:
    site = replace(SITE, password="hunter2")
    assert "hunter2" not in repr(site)
    assert "hunter2" not in repr(connector_spec(site, []))


def test_replica_ids_are_stable_and_differ_by_site_and_kafka() -> None:
    other = replace(SITE, kafka={"bootstrap.servers": "elsewhere:9092"})
    ids = {replica_id("dts-a", SITE), replica_id("dts-b", SITE), replica_id("dts-a", other)}
    assert len(ids) == 3
    assert replica_id("dts-a", SITE) in ids
    assert all(1_000_000_000 <= i < 2_000_000_000 for i in ids)


@pytest.mark.parametrize(
    ("pattern", "taken", "left"),
    [
        ("shop.*", ["shop.item", "shop.a.b"], ["shop2.item", "xshop.item", "shopxitem"]),
        ("shop.item_?", ["shop.item_1"], ["shop.item_", "shop.item_12"]),
        ("shop_[12].*", ["shop_1.a"], ["shop_3.a"]),
        ("shop_[!12].*", ["shop_3.a"], ["shop_1.a"]),
        ("shop.a$b", ["shop.a$b"], ["shop.a"]),
        ("shop.a+b", ["shop.a+b"], ["shop.aab"]),
        ("shop.a,b", ["shop.a,b"], ["shop.a", "b"]),
        ("shop.größe", ["shop.größe"], ["shop.groesse"]),
        ("d*.*", ["data.item"], ["dts.checkpoint", "shop.item"]),
    ],
)
def test_the_include_list_takes_what_the_pattern_takes(
    pattern: str, taken: list[str], left: list[str]
) -> None:
    include = ",".join(include_list([pattern]))
    assert [name for name in taken if not is_captured(include, name)] == []
    assert [name for name in left if is_captured(include, name)] == []
    assert is_captured(include, "dts.watermark")


def test_include_lists_of_other_makes_are_understood() -> None:
    assert is_captured(r"shop\..*,crm\.item", "shop.item")
    assert is_captured("", "shop.item")
    assert not is_captured(r"shop\.item", "shop.item2")
    assert is_captured("[", "shop.item") is None


def test_every_expression_is_free_of_commas() -> None:
    assert not any("," in e for e in include_list(["a,b.c", "x[,].y"]))
    assert all(re.compile(e) for e in include_list(["a,b.c", "x[,].y"]))


def test_a_schema_history_that_is_read_anew_gets_the_next_name() -> None:
    assert next_history_topic("a.schema-history") == "a.schema-history-2"
    assert next_history_topic("a.schema-history-9") == "a.schema-history-10"


def test_librdkafkas_properties_as_javas() -> None:
    given = {
        "bootstrap.servers": "kafka:9092",
        "security.protocol": "sasl_ssl",
        "sasl.mechanisms": "SCRAM-SHA-512",
        "sasl.username": "dts",
        "sasl.password": 'a"b',
        "ssl.ca.location": "/ca.pem",
        "fetch.wait.max.ms": "10",
    }
    assert java_client(given) == {
        "bootstrap.servers": "kafka:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required "
        'username="dts" password="a\\"b";',
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": "/ca.pem",
    }
    assert java_client({"bootstrap.servers": "k:1"}) == {"bootstrap.servers": "k:1"}


def test_every_mechanism_has_its_login_module() -> None:
    plain = java_client({"sasl.mechanism": "PLAIN", "sasl.username": "u", "sasl.password": "p"})
    assert "plain.PlainLoginModule" in plain["sasl.jaas.config"]


def test_a_larger_limit_of_messages_has_room_at_the_producer() -> None:
    usual = connector_spec(SITE, [link("shop.*")]).settings
    large = connector_spec(replace(SITE, max_message_bytes=50 * 2**20), [link("shop.*")]).settings
    assert usual["producer.override.max.request.size"] == str(20 * 2**20)
    assert {name: large[name] for name in large if large[name] != usual.get(name)} == {
        "topic.creation.default.max.message.bytes": str(50 * 2**20),
        "producer.override.max.request.size": str(50 * 2**20),
        "producer.override.buffer.memory": str(100 * 2**20),
    }
