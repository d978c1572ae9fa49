"""The settings of Debezium's sink."""

from __future__ import annotations

import pytest

from benchmarks.contenders.jdbc_sink import JdbcSink
from dts_pipeline_tests.benchmarks.settings import recording


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("mysql", "jdbc:mysql://127.0.0.1:13302/bench_mixed?rewriteBatchedStatements=true"),
        ("mariadb", "jdbc:mariadb://127.0.0.1:13302/bench_mixed?useBulkStmts=true"),
    ],
)
def test_the_sink_writes_to_the_target_s_tables_by_its_own_driver(kind: str, url: str) -> None:
    settings = JdbcSink().settings(recording(kind))
    assert settings["connection.url"].startswith(url)
    assert settings["topics"] == "schemas_mixed_1.bench_mixed.t"
    assert settings["collection.name.format"] == "${source.table}"


def test_given_settings_win() -> None:
    assert JdbcSink({"batch.size": "500"}).settings(recording())["batch.size"] == "500"
