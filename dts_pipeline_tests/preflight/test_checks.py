"""Every check over facts made up for it: what it finds, how grave it is, what it leaves be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dts_pipeline import preflight
from dts_pipeline.adapters.connect_api import ConnectorStatus, RegisteredConnector
from dts_pipeline.adapters.kafka_admin import TopicSettings
from dts_pipeline.config import parse_config
from dts_pipeline.core.connector_config import CaptureSite, connector_spec
from dts_pipeline.core.schema import Column, Dialect, ForeignKey, Table
from dts_pipeline.preflight.facts import Facts, SiteFacts, Trigger
from dts_pipeline.preflight.findings import Severity
from dts_pipeline.preflight.registry import CHECKS, run_checks
from dts_pipeline.preflight.run import missing_connectors, sort_findings

_LEDGER = frozenset(
    {"installation", "checkpoint", "batch", "conflict", "quarantine", "watermark", "written"}
)
_VARIABLES = {
    Dialect.MARIADB: {
        "log_bin": "ON",
        "binlog_format": "ROW",
        "binlog_row_image": "FULL",
        "binlog_annotate_row_events": "ON",
        "gtid_domain_id": "1",
        "server_id": "1",
        "log_bin_compress": "OFF",
        "expire_logs_days": "10.000000",
        "read_only": "OFF",
    },
    Dialect.MYSQL: {
        "log_bin": "ON",
        "binlog_format": "ROW",
        "binlog_row_image": "FULL",
        "binlog_rows_query_log_events": "ON",
        "gtid_mode": "ON",
        "enforce_gtid_consistency": "ON",
        "server_id": "2",
        "binlog_transaction_compression": "OFF",
        "binlog_row_value_options": "",
        "binlog_expire_logs_seconds": "2592000",
        "read_only": "OFF",
        "super_read_only": "OFF",
    },
}
_VERSIONS = {Dialect.MARIADB: "10.11.6-MariaDB-log", Dialect.MYSQL: "9.7.4"}
_ITEM = Table("shop", "item", (Column("id", "int", "int(11)", nullable=False),), ("id",))


def config_text(mark: str = "origin", domain: int | None = 4711, policy: str = "{site: a}") -> str:
    named = f", mark_domain_id: {domain}" if domain else ""
    return f"""
kafka: {{bootstrap.servers: "k:9092"}}
sites:
  a: {{host: ha, port: 1, user: dts, password: "${{A}}", topic_prefix: a}}
  b: {{host: hb, port: 2, user: dts, password: "${{B}}", topic_prefix: b}}
mark: {mark}
pairs:
  shop: {{sites: [a, b], tables: ["shop.*"], conflicts: {{policy: {policy}}}{named}}}
"""


def site(name: str, dialect: Dialect = Dialect.MARIADB, **settings: Any) -> SiteFacts:
    """A server with which nothing is wrong."""
    variables = {**_VARIABLES[dialect], **settings.pop("variables", {})}
    defaults: dict[str, Any] = {"tables": {"shop.item": _ITEM}, "ledger": _LEDGER}
    return SiteFacts(name, _VERSIONS[dialect], dialect, variables, **{**defaults, **settings})


def connector(name: str = "a", **settings: str) -> RegisteredConnector:
    """The connector that `dts connectors` makes, with some settings changed; "" takes one out."""
    facts = healthy()
    capture = CaptureSite(name, Dialect.MARIADB, "h", 1, "u", "p", name)
    made = {**connector_spec(capture, facts.links).settings}
    made |= {key.replace("__", "."): value for key, value in settings.items()}
    kept = {key: value for key, value in made.items() if value}
    return RegisteredConnector(f"dts-{name}", kept, ConnectorStatus("RUNNING", ("RUNNING",)))


def topics(**policies: str) -> dict[str, TopicSettings]:
    names = ["a.transaction", "b.transaction", "a.shop.item", "b.shop.item"]
    return {
        name: TopicSettings(
            name, "id", 1, policies.get(name.replace(".", "_"), "delete"), 604_800_000, 1_048_588
        )
        for name in names
    }


def healthy(text: str | None = None, **changed: Any) -> Facts:
    """Facts of a pair with which nothing is wrong, but for what is changed."""
    config = parse_config(text or config_text())
    links = tuple(config.resolved_links().values())
    sites = {"a": site("a"), "b": site("b", variables={"gtid_domain_id": "2"})}
    facts = Facts(config, links, {**sites, **changed.pop("sites", {})}, topics())
    return replace(facts, **changed)


def with_connector(**settings: str) -> Facts:
    return healthy(connectors={"dts-a": connector("a", **settings), "dts-b": connector("b")})


def problems(facts: Facts) -> list[tuple[str, str]]:
    found = [f for f in run_checks(facts) if f.severity is not Severity.OK]
    assert all(f.remedy and f.message for f in found)
    return sorted({(f.check, str(f.severity)) for f in found})


def test_a_healthy_pair_has_no_problem() -> None:
    facts = healthy(connectors={n: connector(n[-1]) for n in ("dts-a", "dts-b")})
    assert problems(facts) == []
    assert missing_connectors(facts) == []
    mixed = healthy(sites={"b": site("b", Dialect.MYSQL)})
    assert problems(mixed) == []


def test_no_check_is_registered_twice() -> None:
    assert len(CHECKS) == len({(check.code, check.rank) for check in CHECKS}) > 35


@pytest.mark.parametrize(
    ("dialect", "variables", "code", "severity"),
    [
        (Dialect.MARIADB, {"log_bin": "OFF"}, "binlog_off", "error"),
        (Dialect.MARIADB, {"sync_binlog": "0"}, "binlog_durability", "warning"),
        (
            Dialect.MYSQL,
            {"innodb_flush_log_at_trx_commit": "2"},
            "binlog_durability",
            "warning",
        ),
        (Dialect.MARIADB, {"binlog_format": "MIXED"}, "binlog_format", "error"),
        (Dialect.MYSQL, {"binlog_row_image": "MINIMAL"}, "binlog_row_image", "error"),
        (Dialect.MARIADB, {"log_bin_compress": "ON"}, "binlog_compressed", "error"),
        (Dialect.MYSQL, {"binlog_transaction_compression": "ON"}, "binlog_compressed", "error"),
        (
            Dialect.MYSQL,
            {"binlog_row_value_options": "PARTIAL_JSON"},
            "binlog_partial_json",
            "error",
        ),
        (Dialect.MYSQL, {"binlog_expire_logs_seconds": "3600"}, "binlog_retention", "warning"),
        (Dialect.MARIADB, {"expire_logs_days": "0.5"}, "binlog_retention", "warning"),
        (Dialect.MYSQL, {"gtid_mode": "OFF_PERMISSIVE"}, "gtid_off", "error"),
        (Dialect.MYSQL, {"enforce_gtid_consistency": "OFF"}, "gtid_off", "error"),
        (Dialect.MYSQL, {"super_read_only": "ON"}, "read_only", "error"),
        (Dialect.MARIADB, {"wsrep_on": "ON"}, "cluster_untested", "warning"),
        (Dialect.MARIADB, {"gtid_domain_id": "4711"}, "mark_domain_taken", "error"),
        (
            Dialect.MARIADB,
            {"gtid_slave_pos": "0-1-5,4711-7-9", "slaves_running": "1"},
            "mark_domain_taken",
            "error",
        ),
        (
            Dialect.MARIADB,
            {"gtid_slave_pos": "0-1-5,4711-7-9", "slaves_running": "0"},
            "mark_domain_taken",
            "warning",
        ),
    ],
)
def test_server_settings(
    dialect: Dialect, variables: Mapping[str, str], code: str, severity: str
) -> None:
    assert problems(healthy(sites={"b": site("b", dialect, variables=variables)})) == [
        (code, severity)
    ]


def test_logs_that_never_expire_are_fine() -> None:
    keeps = {"binlog_expire_logs_seconds": "0"}
    assert problems(healthy(sites={"b": site("b", Dialect.MYSQL, variables=keeps)})) == []


@pytest.mark.parametrize(
    ("dialect", "variable"),
    [
        (Dialect.MARIADB, "binlog_annotate_row_events"),
        (Dialect.MYSQL, "binlog_rows_query_log_events"),
    ],
)
def test_query_logging_matters_under_comment_marks_only(dialect: Dialect, variable: str) -> None:
    sites = {"b": site("b", dialect, variables={variable: "OFF"})}
    assert problems(healthy(sites=sites)) == []
    assert problems(healthy(config_text("comment"), sites=sites)) == [
        ("query_logging_off", "error")
    ]


@pytest.mark.parametrize(
    ("change", "code", "severity"),
    [
        ({"ledger": frozenset({"checkpoint"})}, "ledger_missing", "error"),
        ({"origin_errno": 1227}, "privilege_missing", "error"),
        ({"refused": {"dts.*": ("CREATE TEMPORARY TABLES",)}}, "privilege_missing", "error"),
        ({"refused": {"shop.item": ("DELETE",)}}, "privilege_missing", "error"),
        ({"replicas": 2}, "replicas_attached", "warning"),
        ({"replicas": None}, "replicas_unknown", "warning"),
        ({"clock_ahead": -3.0, "clock_doubt": 0.1}, "server_clock", "warning"),
        ({"triggers": None}, "triggers_unknown", "warning"),
    ],
)
def test_what_the_account_sees_and_may(change: dict[str, Any], code: str, severity: str) -> None:
    assert problems(healthy(sites={"b": site("b", **change)})) == [(code, severity)]


def test_a_clock_is_not_blamed_for_a_slow_connection() -> None:
    assert problems(healthy(sites={"b": site("b", clock_ahead=1.4, clock_doubt=0.6)})) == []


def test_comment_marks_need_no_privilege_and_no_domain() -> None:
    sites = {"b": site("b", origin_errno=1227, replicas=None)}
    assert problems(healthy(config_text("comment", domain=None), sites=sites)) == []


def test_origin_on_mariadb_needs_a_domain() -> None:
    assert problems(healthy(config_text(domain=None))) == [("mark_domain_missing", "error")]


@pytest.mark.parametrize(
    ("version", "dialect", "fine"),
    [
        ("10.5.2-MariaDB", Dialect.MARIADB, True),
        ("10.4.30-MariaDB", Dialect.MARIADB, False),
        ("8.0.18", Dialect.MYSQL, True),
        ("5.7.44-log", Dialect.MYSQL, False),
    ],
)
def test_versions(version: str, dialect: Dialect, fine: bool) -> None:
    found = problems(healthy(sites={"b": replace(site("b", dialect), version=version)}))
    assert found == ([] if fine else [("version_unsupported", "error")])


def test_which_mark_may_be_used_is_said_with_its_reason() -> None:
    facts = healthy(sites={"b": site("b", origin_errno=1227)})
    said = {f.where["site"]: f.message for f in run_checks(facts) if f.check == "mark_choice"}
    assert said["a"].startswith("origin: yes, the account holds BINLOG REPLAY")
    assert said["b"].startswith("origin: no, the account lacks BINLOG REPLAY; comment: yes")


def tables_of(
    source: Table | None, target: Table | None, dialect: Dialect = Dialect.MARIADB
) -> Facts:
    def known(table: Table | None) -> dict[str, Table]:
        return {"shop.item": _ITEM} | ({table.full_name: table} if table else {})

    sites = {
        "a": site("a", dialect, tables=known(source)),
        "b": site("b", dialect, tables=known(target), variables={"gtid_domain_id": "2"}),
    }
    return healthy(sites=sites)


def order(*columns: Column, **settings: Any) -> Table:
    return replace(_ITEM, name="order", columns=(*_ITEM.columns, *columns), **settings)


def test_a_table_that_one_side_lacks() -> None:
    assert problems(tables_of(order(), None)) == [("table_missing", "error")]


def test_patterns_that_match_nothing() -> None:
    empty = {n: replace(s, tables={}) for n, s in healthy().sites.items()}
    assert problems(healthy(sites=empty)) == [("tables_none", "warning")]


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (order(Column("v", "int", "int(11)")), order(), [("column_missing", "error")]),
        (
            order(Column("v", "int", "int(11)")),
            order(Column("v", "varchar", "varchar(9)")),
            [("type_mismatch", "error")],
        ),
        (
            order(Column("v", "bigint", "bigint(20)")),
            order(Column("v", "int", "int(11)")),
            [("type_narrower", "warning")],
        ),
        (
            order(Column("v", "datetime", "datetime(6)")),
            order(Column("v", "datetime", "datetime")),
            [("type_narrower", "error")],
        ),
        (order(primary_key=()), order(primary_key=()), [("key_missing", "error")]),
        (
            order(),
            order(engine="MyISAM"),
            [("engine_unsupported", "error"), ("engine_unsupported", "warning")],
        ),
    ],
)
def test_tables_that_do_not_fit(
    source: Table, target: Table, expected: list[tuple[str, str]]
) -> None:
    assert problems(tables_of(source, target)) == expected


_ONE_WAY = config_text().replace(
    "pairs:\n  shop: {sites: [a, b],", "links:\n  copy: {source: a, target: b,"
)


@pytest.mark.parametrize(("where", "severity"), [("a", "warning"), ("b", "error")])
def test_a_server_that_no_link_writes_to_may_be_read_only(where: str, severity: str) -> None:
    known = healthy().sites[where]
    reads = replace(known, variables={**known.variables, "read_only": "ON"})
    assert problems(healthy(_ONE_WAY, sites={where: reads})) == [("read_only", severity)]


def test_values_that_change_silently_are_an_error_on_pairs_and_a_warning_one_way() -> None:
    facts = tables_of(
        order(Column("v", "datetime", "datetime(6)")), order(Column("v", "datetime", "datetime"))
    )
    one_way = healthy(_ONE_WAY, sites=facts.sites)
    assert problems(one_way) == [("type_narrower", "warning")]


@pytest.mark.parametrize(
    ("sql_mode", "nullable", "found"),
    [
        ("STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION", False, [("zero_dates_unseen", "warning")]),
        ("NO_ZERO_DATE", False, [("zero_dates_unseen", "warning")]),
        ("STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE", False, []),
        ("", True, []),
    ],
)
def test_zero_dates_where_a_column_is_not_null(
    sql_mode: str, nullable: bool, found: list[tuple[str, str]]
) -> None:
    table = order(Column("d", "date", "date", nullable=nullable))
    facts = tables_of(table, table)
    sites = {
        name: replace(site, variables={**site.variables, "sql_mode": sql_mode})
        for name, site in facts.sites.items()
    }
    assert problems(replace(facts, sites=sites)) == found


def cascading(
    parent: str = "shop.item",
    on_delete: str = "CASCADE",
    on_update: str = "RESTRICT",
    dialect: Dialect = Dialect.MARIADB,
    **settings: Any,
) -> Facts:
    """Orders that go with their item."""
    key = ForeignKey("fk_item", "shop.order", ("item",), parent, ("id",), on_delete, on_update)
    table = order(Column("item", "int", "int(11)"), foreign_keys=(key,), **settings)
    return tables_of(table, table, dialect)


def test_cascades_that_the_source_does_not_log_are_carried_out() -> None:
    assert problems(cascading()) == []
    assert problems(cascading(on_delete="SET NULL", on_update="CASCADE")) == []


@pytest.mark.parametrize(
    "untold",
    [
        {"parent": "other.item"},
        {"on_delete": "SET DEFAULT"},
        {"on_update": "CASCADE", "primary_key": ("id", "item")},
    ],
    ids=["parent_not_carried", "unknown_action", "primary_key_changes"],
)
def test_cascades_that_no_event_tells_of(untold: dict[str, Any]) -> None:
    assert problems(cascading(**untold)) == [("cascade_not_carried", "error")]
    assert problems(cascading(dialect=Dialect.MYSQL, **untold)) == []


@pytest.mark.parametrize(
    ("timing", "statement", "severity"),
    [
        ("BEFORE", "SET NEW.changed = NOW()", "error"),
        ("AFTER", "INSERT INTO item VALUES (1)", "error"),
        ("AFTER", "INSERT INTO audit VALUES (1)", "warning"),
        ("BEFORE", "INSERT INTO audit VALUES (1)", "warning"),
    ],
)
def test_triggers_at_the_target(timing: str, statement: str, severity: str) -> None:
    trigger = Trigger("shop.item", "t", timing, "INSERT", statement)
    facts = healthy(sites={"b": site("b", triggers=(trigger,))})
    assert problems(facts) == [("trigger_at_target", severity)]


def test_triggers_of_other_tables_do_not_matter() -> None:
    trigger = Trigger("crm.item", "t", "BEFORE", "INSERT", "SET NEW.a = 1")
    assert problems(healthy(sites={"b": site("b", triggers=(trigger,))})) == []


@pytest.mark.parametrize(
    ("steps", "offsets", "fine"),
    [
        ((1, 1), (1, 1), False),
        ((2, 2), (1, 2), True),
        ((2, 2), (1, 1), False),
        ((2, 3), (1, 2), False),
    ],
)
def test_auto_increment(steps: tuple[int, int], offsets: tuple[int, int], fine: bool) -> None:
    table = order(Column("n", "int", "int(11)", auto_increment=True))
    sites = {
        name: site(
            name,
            tables={"shop.order": table},
            variables={
                "auto_increment_increment": str(steps[i]),
                "auto_increment_offset": str(offsets[i]),
                "gtid_domain_id": str(i + 1),
            },
        )
        for i, name in enumerate("ab")
    }
    expected = [] if fine else [("auto_increment_collides", "warning")]
    assert problems(healthy(sites=sites)) == expected


def test_a_policy_column_that_is_missing() -> None:
    facts = healthy(config_text(policy="{newest: changed_at}"))
    assert problems(facts) == [("column_missing", "error")]


def test_names_with_capitals_between_servers_that_fold_case_differently() -> None:
    table = replace(_ITEM, name="Item")
    sites = {
        "a": site("a", tables={"shop.Item": table}, variables={"lower_case_table_names": "0"}),
        "b": site("b", tables={"shop.Item": table}, variables={"lower_case_table_names": "1"}),
    }
    assert ("table_name_case", "warning") in problems(healthy(sites=sites))


def test_topics() -> None:
    some = topics()
    del some["a.transaction"]
    assert problems(healthy(topics=some)) == [("topic_missing", "error")]
    assert problems(healthy(topics=topics(a_shop_item="compact,delete"))) == [
        ("topic_compacted", "error")
    ]
    short = {n: replace(t, retention_ms=3_600_000) for n, t in topics().items()}
    assert problems(healthy(topics=short)) == [("topic_retention", "warning")]
    forever = {n: replace(t, retention_ms=-1) for n, t in topics().items()}
    assert problems(healthy(topics=forever)) == []


def test_topics_that_take_less_than_connectors_send() -> None:
    text = config_text() + "connect: {url: 'http://c:1'}\n"
    wide = Table("shop", "item", (*_ITEM.columns, Column("t", "longtext", "longtext")), ("id",))
    connectors = {f"dts-{name}": connector(name) for name in "ab"}
    sites = {name: site(name, tables={"shop.item": wide}) for name in "ab"}
    sites["b"] = site(
        "b", tables={"shop.item": wide}, variables={"gtid_domain_id": "2", "server_id": "2"}
    )
    assert problems(healthy(text, sites=sites, connectors=connectors)) == [
        ("topic_message_limit", "warning")
    ]
    assert problems(healthy(text, connectors=connectors)) == []  # its rows are small
    raised = {n: replace(t, max_message_bytes=20 * 2**20) for n, t in topics().items()}
    assert problems(healthy(text, sites=sites, topics=raised, connectors=connectors)) == []


def test_a_connector_before_a_message_that_is_too_large() -> None:
    wide = Table("shop", "item", (*_ITEM.columns, Column("t", "longtext", "longtext")), ("id",))
    sites = {"a": site("a", tables={"shop.item": wide})}
    status = ConnectorStatus("RUNNING", ("FAILED",), ("RecordTooLargeException",), 30, 20)
    connectors = {
        "dts-a": replace(connector("a"), status=status),
        "dts-b": connector("b"),
    }
    found = run_checks(healthy(sites=sites, connectors=connectors))
    told = [f for f in found if f.check == "message_too_large"]
    assert [f.where["connector"] for f in told] == ["dts-a"]
    assert "a.shop.item" in told[0].message


@pytest.mark.parametrize(
    ("mode", "kind", "fine"),
    [
        ("STRICT_TRANS_TABLES", "date", True),
        ("STRICT_TRANS_TABLES,ALLOW_INVALID_DATES", "date", False),
        ("ALLOW_INVALID_DATES", "datetime", False),
        ("ALLOW_INVALID_DATES", "int", True),
    ],
)
def test_invalid_dates(mode: str, kind: str, fine: bool) -> None:
    table = replace(_ITEM, columns=(*_ITEM.columns, Column("d", kind, kind)))
    sites = {
        name: site(
            name,
            tables={"shop.item": table},
            variables={"sql_mode": mode, "gtid_domain_id": str(i + 1)},
        )
        for i, name in enumerate("ab")
    }
    assert problems(healthy(sites=sites)) == ([] if fine else [("invalid_dates", "warning")])


def test_topics_of_one_way_links_need_no_transactions() -> None:
    text = config_text().replace(
        "pairs:\n  shop: {sites: [a, b],", "links:\n  copy: {source: a, target: b,"
    )
    assert problems(healthy(text, topics={})) == []


@pytest.mark.parametrize(
    ("settings", "code", "severity"),
    [
        (
            {"connector__class": "io.debezium.connector.mysql.MySqlConnector"},
            "connector_class",
            "error",
        ),
        ({"provide__transaction__metadata": "false"}, "transaction_metadata_missing", "error"),
        ({"provide__transaction__metadata": ""}, "transaction_metadata_missing", "error"),
        ({"topic__transaction": "tx"}, "topic_naming", "error"),
        ({"topic__delimiter": "-"}, "topic_naming", "error"),
        ({"include__query": "true"}, "query_needless", "warning"),
        ({"gtid__source__excludes": ".*"}, "connector_filters_marks", "error"),
        ({"gtid__source__includes": ".*"}, "connector_filters_marks", "error"),
        ({"table__include__list": "shop[.]other,dts[.]watermark"}, "table_not_captured", "error"),
        ({"table__include__list": "shop[.].*"}, "table_not_captured", "error"),
        ({"table__exclude__list": "shop[.]item"}, "table_not_captured", "error"),
        ({"database__include__list": "shop"}, "table_not_captured", "error"),
        ({"table__include__list": "["}, "include_list_unread", "warning"),
        ({"database__server__id": "1"}, "replica_id_collides", "error"),
        ({"snapshot__mode": "initial"}, "snapshot_mode", "warning"),
        ({"snapshot__mode": ""}, "snapshot_mode", "warning"),
        ({"time__precision__mode": "connect"}, "lossy_mode", "error"),
        ({"decimal__handling__mode": "double"}, "lossy_mode", "error"),
        ({"value__converter__replace__null__with__default": ""}, "null_replaced", "error"),
        ({"value__converter__replace__null__with__default": "true"}, "null_replaced", "error"),
        ({"value__converter": ""}, "converter_unknown", "warning"),
        (
            {"value__converter": "io.confluent.connect.avro.AvroConverter"},
            "converter_unread",
            "error",
        ),
        ({"skipped__operations": "d"}, "operations_skipped", "error"),
        ({"skipped__operations": ""}, "truncate_unseen", "error"),
        ({"event__processing__failure__handling__mode": "warn"}, "events_dropped", "error"),
        ({"errors__tolerance": "all"}, "events_dropped", "error"),
        ({"column__exclude__list": "shop.item.id"}, "columns_changed", "error"),
        ({"column__mask__with__5__chars": "shop.item.id"}, "columns_changed", "error"),
        ({"message__key__columns": "shop.item:id"}, "columns_changed", "error"),
        ({"post__processors": "reselect"}, "values_converted", "warning"),
        ({"converters": "boolean"}, "values_converted", "warning"),
        (
            {
                "transforms": "u",
                "transforms__u__type": "io.debezium.transforms.ExtractNewRecordState",
            },
            "transforms_present",
            "error",
        ),
        (
            {"transforms": "h", "transforms__h__type": "org.x.InsertHeader"},
            "transforms_present",
            "warning",
        ),
    ],
)
def test_connector_settings(settings: dict[str, str], code: str, severity: str) -> None:
    assert problems(with_connector(**settings)) == [(code, severity)]


def test_modes_that_keep_every_value_are_fine() -> None:
    settings = {"decimal__handling__mode": "string", "binary__handling__mode": "hex"}
    assert problems(with_connector(**settings, bigint__unsigned__handling__mode="precise")) == []


def test_isostring_loses_times_where_there_are_any() -> None:
    table = order(Column("t", "time", "time"))
    facts = tables_of(table, table)
    made = {"dts-a": connector("a", time__precision__mode="isostring"), "dts-b": connector("b")}
    assert problems(replace(facts, connectors=made)) == [("lossy_mode", "error")]


def test_years_below_100_where_there_are_dates() -> None:
    table = order(Column("d", "date", "date"))
    facts = tables_of(table, table)
    made = {"dts-a": connector("a", enable__time__adjuster=""), "dts-b": connector("b")}
    assert problems(replace(facts, connectors=made)) == [("time_adjuster", "error")]
    assert problems(with_connector(enable__time__adjuster="")) == []


def test_the_query_is_needed_under_comment_marks() -> None:
    made = {"dts-a": connector("a"), "dts-b": connector("b", include__query="true")}
    assert problems(healthy(config_text("comment"), connectors=made)) == [("mark_unseen", "error")]


def test_truncates_may_be_left_out_where_they_are_ignored() -> None:
    text = config_text().replace("tables:", "truncate: ignore, tables:")
    made = {n: connector(n[-1], skipped__operations="") for n in ("dts-a", "dts-b")}
    assert problems(healthy(text, connectors=made)) == []


@pytest.mark.parametrize(
    ("state", "task", "code"),
    [("RUNNING", "FAILED", "connector_failed"), ("PAUSED", "PAUSED", "connector_stopped")],
)
def test_connectors_that_stand_still(state: str, task: str, code: str) -> None:
    still = replace(connector("a"), status=ConnectorStatus(state, (task,), ("DebeziumException",)))
    facts = healthy(connectors={"dts-a": still, "dts-b": connector("b")})
    assert problems(facts) == [(code, "error")]


def test_a_connector_whose_place_in_the_binlog_is_gone() -> None:
    still = ConnectorStatus("RUNNING", ("FAILED",), ("ServerException",), lost_position=True)
    facts = healthy(connectors={"dts-a": replace(connector("a"), status=still)})
    assert ("connector_position_lost", "error") in problems(facts)


def test_connectors_are_found_by_their_topic_prefix() -> None:
    renamed = replace(connector("a"), name="inventory")
    facts = healthy(connectors={"inventory": renamed})
    found = [(f.check, f.where["site"]) for f in missing_connectors(facts)]
    assert found == [("connector_missing", "b")]
    twice = replace(facts, connectors={"inventory": renamed, "dts-a": connector("a")})
    assert ("connector_prefix_taken", "a") in [
        (f.check, f.where["site"]) for f in missing_connectors(twice)
    ]


def test_a_site_that_is_away_leaves_the_others_checks_on() -> None:
    facts = healthy()
    facts = replace(facts, sites={"b": site("b", variables={"binlog_format": "MIXED"})})
    assert problems(facts) == [("binlog_format", "error")]


def test_errors_come_first() -> None:
    facts = healthy(
        sites={"b": site("b", replicas=1, variables={"log_bin": "OFF", "gtid_domain_id": "2"})}
    )
    ranks = [str(f.severity) for f in sort_findings(run_checks(facts))]
    assert ranks[:2] == ["error", "warning"]
    assert set(ranks[2:]) == {"ok"}


def test_the_manual_names_every_code() -> None:
    package = Path(preflight.__file__).parent
    manual = (package.parent.parent / "docs" / "preflight.md").read_text()
    given = {check.code for check in CHECKS}
    for source in (*package.glob("*.py"), package.parent / "core" / "contract.py"):
        text = source.read_text()
        given |= set(re.findall(r'code="([a-z_]+)"', text))
        given |= set(re.findall(r'Fit\.\w+,\n\s+"([a-z_]+)"', text))
        given |= set(re.findall(r'Finding\(\n\s+"([a-z_]+)"', text))
    given -= {"table_contract", "json_text_differs"}  # a heading for codes; harmless, never shown
    assert len(given) > 50
    assert sorted(code for code in given if f"`{code}`" not in manual) == []


ADDITIVE = config_text().replace('tables: ["shop.*"]', 'tables: ["shop.*"], ddl: additive')
LEFT_OUT = ADDITIVE.replace('["shop.*"]', '["shop.*", "!shop._*"]')


def test_an_additive_link_needs_rights_and_no_copies() -> None:
    assert problems(healthy(LEFT_OUT)) == []
    assert problems(healthy(ADDITIVE)) == [("ddl_copies", "warning")]
    bare = "GRANT SELECT, INSERT, UPDATE, DELETE ON `shop`.* TO `dts`@`%`"
    lacks = healthy(LEFT_OUT, sites={"b": site("b", grants=(bare,))})
    assert problems(lacks) == [("ddl_rights_unseen", "warning")]
    grants = (bare, "GRANT ALTER, CREATE, INDEX ON `shop`.* TO `dts`@`%`")
    assert problems(healthy(LEFT_OUT, sites={"b": site("b", grants=grants)})) == []


def test_a_table_that_an_additive_link_will_make_is_only_told() -> None:
    lacks = {"b": site("b", variables={"gtid_domain_id": "2"}, tables={})}
    found = problems(healthy(LEFT_OUT, sites=lacks))
    assert ("table_missing", "warning") in found
    assert ("table_missing", "error") not in found
