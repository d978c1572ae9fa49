"""Fills the topics: the same changes with and without schemas, and the target's way back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

import dts_pipeline
from benchmarks.errors import BenchError
from benchmarks.setting import Setting, rows_of, run_sql
from benchmarks.workloads import NUMBERS, Workload
from dts_pipeline.adapters.connect_api import ConnectApi
from dts_pipeline.adapters.connector_setup import wait_until_capturing
from dts_pipeline.adapters.kafka_admin import KafkaAdmin
from dts_pipeline.adapters.ledger import Ledger
from dts_pipeline.adapters.sites import open_databases
from dts_pipeline.config import Config, parse_config, resolve_secrets, secret_value
from dts_pipeline.core.connector_config import WATERMARK_TABLE, CaptureSite, connector_spec
from dts_pipeline.core.ranges import TopicPartition

FORMS: Mapping[str, Mapping[str, str]] = {
    "plain": {},
    "schemas": {"key.converter.schemas.enable": "true", "value.converter.schemas.enable": "true"},
    "query": {"include.query": "true"},
}
"""How the messages are written, and what that changes in the connector's settings.

`query`: with each statement's text, as `mark: comment` needs it.
"""
MARK_DOMAIN = 4711
_INSTALLATION = "00000000-0000-4000-8000-000000000002"
_CAPTURE_SECONDS = 1_800.0
_QUIET_SECONDS = 2.0

Checksums = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Recording:
    """A workload in Kafka: a source site's name (and topic prefix) by form.

    `expected` is what every target must hold afterwards: the source's rows, by table.
    """

    setting: Setting
    workload: Workload
    sources: Mapping[str, str]
    expected: Checksums

    def topics(self, form: str) -> list[str]:
        """The tables' topics of a form."""
        schema = self.workload.schema
        return [f"{self.sources[form]}.{schema}.{table}" for table in self.workload.tables]

    def document(self, form: str, link: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """A dts.yaml with one link of that name; `settings` are the link's further keys."""
        return _document(self.setting, self.workload, self.sources[form], link, settings)

    def reset_target(self) -> None:
        """The target as it was before the recorded range."""
        with self.setting.application("b", self.workload.schema) as connection:
            for table in self.workload.tables:
                run_sql(connection, f"TRUNCATE TABLE {table}")
                if self.workload.base:
                    run_sql(connection, f"INSERT INTO {table} SELECT * FROM {_kept(table)}")

    def check_target(self, who: str) -> None:
        """Raises BenchError where the target does not hold what sequential replay gives."""
        found = checksums(self.setting, "b", self.workload)
        wrong = sorted(table for table in self.expected if found[table] != self.expected[table])
        if wrong:
            table = wrong[0]
            raise BenchError(
                f"{who} left {len(wrong)} table(s) of {self.workload.name} different from the "
                f"source; {table} has {found[table][0]:,} rows, {self.expected[table][0]:,} wanted"
            )


@contextlib.contextmanager
def recorded(
    setting: Setting,
    workload: Workload,
    forms: Sequence[str] = ("plain", "schemas"),
    partitions: int = 1,
) -> Iterator[Recording]:
    """The workload's changes in topics of their own; tables, connectors and topics go at the end.

    The connectors keep running meanwhile, because the pipeline asks for theirs.
    """
    stamp = f"{time.time_ns() // 10**6 % 36**6:x}"
    sources = {form: f"{form}_{workload.name}_{stamp}" for form in forms}
    for site in "ab":
        _make_tables(setting, site, workload)
    admin = KafkaAdmin({"bootstrap.servers": setting.kafka})
    with ConnectApi(setting.connect) as connect:
        try:
            for form, source in sources.items():
                topics = [f"{source}.{workload.schema}.{table}" for table in workload.tables]
                if partitions > 1:  # else each is made by its first message
                    setting.create_topics(topics, partitions)
                _register(setting, workload, source, FORMS[form], connect, admin)
            with setting.application("a", workload.schema) as connection:
                for write in workload.changes:
                    run_sql(connection, write.sql)
            recording = Recording(setting, workload, sources, checksums(setting, "a", workload))
            for form in sources:
                _await_messages(recording, form, admin)
            yield recording
        finally:
            for source in sources.values():
                connect.delete(f"dts-{source}")
            _remove(setting, workload, admin, [f"{source}." for source in sources.values()])


def make_numbers(setting: Setting, site: str, size: int) -> None:
    """`bench_numbers.n` with 1 to at least `size`."""
    with setting.application(site) as connection:
        run_sql(
            connection,
            f"CREATE DATABASE IF NOT EXISTS {NUMBERS}",
            f"CREATE TABLE IF NOT EXISTS {NUMBERS}.n (n BIGINT PRIMARY KEY)",
        )
        have = int(rows_of(connection, f"SELECT COUNT(*) FROM {NUMBERS}.n")[0][0])
        if not have:
            run_sql(connection, f"INSERT INTO {NUMBERS}.n VALUES (1)")
            have = 1
        while have < size:
            run_sql(connection, f"INSERT INTO {NUMBERS}.n SELECT n + {have} FROM {NUMBERS}.n")
            have *= 2


def checksums(setting: Setting, site: str, workload: Workload) -> Checksums:
    """Rows, and a sum over every row's columns as text, by table."""
    found = {}
    with setting.application(site, workload.schema) as connection:
        for table in workload.tables:
            columns = rows_of(
                connection,
                "SELECT column_name FROM information_schema.columns WHERE table_schema = "
                f"'{workload.schema}' AND table_name = '{table}' ORDER BY ordinal_position",
            )
            texts = ", ".join(f"IFNULL(CAST(`{name}` AS CHAR), '~')" for (name,) in columns)
            row = f"CONV(LEFT(SHA2(CONCAT_WS('#', {texts}), 256), 12), 16, 10)"
            query = f"SELECT COUNT(*), COALESCE(SUM(CAST({row} AS UNSIGNED)), 0) FROM `{table}`"
            count, total = rows_of(connection, query)[0]
            found[table] = (int(count), int(total))
    return found


def parsed(document: Mapping[str, Any]) -> Config:
    """A dts.yaml's text checked."""
    return parse_config(yaml.safe_dump(dict(document), sort_keys=False))


def _make_tables(setting: Setting, site: str, workload: Workload) -> None:
    """Fresh tables; at the target also copies of the base rows, to go back to."""
    schema = workload.schema
    with setting.application(site) as connection:
        run_sql(
            connection,
            f"DROP DATABASE IF EXISTS {schema}",
            f"CREATE DATABASE {schema} CHARACTER SET utf8mb4",
            f"USE {schema}",
            *(f"CREATE TABLE {table} {workload.definition}" for table in workload.tables),
            *workload.base,
            f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES ON {schema}.* "
            "TO 'dts'@'%'",
            f"GRANT SELECT, LOCK TABLES ON {schema}.* TO 'debezium'@'%'",
        )
        if site == "b" and workload.base:
            run_sql(connection, f"CREATE DATABASE IF NOT EXISTS {NUMBERS}")
            for table in workload.tables:
                kept = _kept(table)
                run_sql(
                    connection,
                    f"DROP TABLE IF EXISTS {kept}",
                    f"CREATE TABLE {kept} AS SELECT * FROM {table}",
                )


def _kept(table: str) -> str:
    return f"{NUMBERS}.kept_{table}"


def _document(
    setting: Setting, workload: Workload, source: str, link: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    sites = {}
    for name, short in ((source, "a"), ("target", "b")):
        at, upper = setting.site(short), short.upper()
        sites[name] = {
            "host": at["host"],
            "port": at["port"],
            "user": "dts",
            "password": f"${{DTS_{upper}_PASSWORD}}",
            "topic_prefix": name,
            "connector": {
                "user": "debezium",
                "password": f"${{DTS_{upper}_CONNECTOR_PASSWORD}}",
            },
        }
    ends = {"source": source, "target": "target", "tables": [f"{workload.schema}.*"]}
    domain = {"mark_domain_id": MARK_DOMAIN}
    return {
        "kafka": {"bootstrap.servers": setting.kafka},
        "connect": {"url": setting.connect},
        "sites": sites,
        "mark": str(setting.description["mark"]),
        "links": {link: {**ends, **domain, **settings}},
    }


def _register(
    setting: Setting,
    workload: Workload,
    source: str,
    changes: Mapping[str, str],
    connect: ConnectApi,
    admin: KafkaAdmin,
) -> None:
    """The ledger at both sites, and a connector that captures the workload's tables."""
    config = parsed(_document(setting, workload, source, "registered", {"detect": False}))
    secrets = resolve_secrets(config, setting.secrets)
    databases = open_databases(config, secrets)
    for database in databases.values():
        Ledger(database).create(dts_pipeline.__version__, _INSTALLATION)
    at = config.sites[source]
    assert at.connector is not None
    site = CaptureSite(
        name=source,
        dialect=databases[source].facts.dialect,
        host=at.host,
        port=at.port,
        user=at.connector.user,
        password=secret_value(at.connector.password, secrets),
        topic_prefix=source,
        kafka={"bootstrap.servers": setting.kafka},
    )
    spec = connector_spec(site, config.resolved_links().values())
    watermarks = f"{source}.{WATERMARK_TABLE}"
    admin.create((f"{source}.transaction", watermarks), {"cleanup.policy": "delete"})
    connect.put(spec.name, {**spec.settings, **changes})
    connect.wait_until_running(spec.name)
    wait_until_capturing(connect, admin, databases[source], spec.name, watermarks)


def _await_messages(recording: Recording, form: str, admin: KafkaAdmin) -> None:
    """Waits until every message of the range is in Kafka, and its transactions' ends are."""
    wanted, topics = recording.workload.messages, recording.topics(form)
    transactions = f"{recording.sources[form]}.transaction"

    def come() -> int:
        if not set(topics) <= admin.names():
            return 0
        made = admin.topics(topics).values()
        places = [TopicPartition(t.name, number) for t in made for number in range(t.partitions)]
        return sum(high for _, high in admin.offsets(places).values())

    _wait(lambda: come() >= wanted, f"only part of the {wanted:,} messages came ({form})")
    last = [admin.end_offset(transactions), time.monotonic()]

    def quiet() -> bool:
        end = admin.end_offset(transactions)
        if end != last[0]:
            last[:] = [end, time.monotonic()]
        return time.monotonic() - last[1] > _QUIET_SECONDS

    _wait(quiet, "the transaction topic does not come to rest")
    if come() != wanted:
        raise BenchError(f"{come():,} messages were recorded, {wanted:,} expected ({form})")


def _wait(condition: Callable[[], bool], otherwise: str) -> None:
    until = time.monotonic() + _CAPTURE_SECONDS
    while not condition():
        if time.monotonic() > until:
            raise BenchError(otherwise)
        time.sleep(0.2)


def _remove(setting: Setting, workload: Workload, admin: KafkaAdmin, prefixes: list[str]) -> None:
    names = [name for name in admin.names() if name.startswith(tuple(prefixes))]
    setting.delete_topics(names)
    for site in "ab":
        with setting.application(site) as connection:
            run_sql(connection, f"DROP DATABASE IF EXISTS {workload.schema}")
