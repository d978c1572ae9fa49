"""A pair of its own on a running stack: schema, connectors, topics and ledger rows by a name.

Tests that break something (a topic, a connector, a table) each take a rig, so that one stack
serves them all.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pymysql
import yaml
from confluent_kafka.admin import AdminClient, NewTopic

from dts_pipeline import stages
from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.kafka_admin import KafkaAdmin
from dts_pipeline.adapters.kafka_reader import KafkaReader
from dts_pipeline.adapters.ledger import Ledger
from dts_pipeline.adapters.sites import open_databases
from dts_pipeline.adapters.table_schema import read_tables
from dts_pipeline.config import Config, parse_config, resolve_secrets, secret_value
from dts_pipeline.core.batches import Applied, Batch, Checkpoint, Plan, RunSummary
from dts_pipeline.core.connector_config import WATERMARK_TABLE, CaptureSite, connector_spec
from dts_pipeline.core.envelope import parse_events
from dts_pipeline.core.links import Ddl, Link
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.schema import Column
from dts_pipeline.core.statements import quoted
from dts_pipeline.errors import TransientError
from dts_pipeline_tests.stacks import Stack

INSTALLATION = "00000000-0000-4000-8000-000000000001"
Hook = Callable[[str], None]


@dataclass
class Rig:
    """Two sites `<name>a` and `<name>b` over the tables of schema `<name>`.

    A link of several lanes is named as a whole, or with one of them: `<link>/<lane>`.
    """

    SIDES: ClassVar[str] = "ab"
    stack: Stack
    label: str
    directory: Path
    changes: Mapping[str, Any] = field(default_factory=dict)
    conflicts: Mapping[str, Any] = field(default_factory=lambda: {"policy": {"site": "A"}})
    connector_changes: Mapping[str, str | None] = field(default_factory=dict)
    marker_key: str = "CHAR(1) COLLATE utf8mb4_bin"

    @cached_property
    def name(self) -> str:
        """The label and something that an earlier session on the same stack did not use."""
        return f"{self.label}_{time.time_ns() // 10**6 % 46656**2:x}"

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(self.site(side) for side in self.SIDES)

    def site(self, side: str) -> str:
        return f"{self.name}{side}"

    @property
    def forth(self) -> str:
        return f"{self.name}a_to_{self.name}b"

    @property
    def back(self) -> str:
        return f"{self.name}b_to_{self.name}a"

    @property
    def ways(self) -> tuple[str, ...]:
        """The links that `sync` and `drain` run."""
        return self.forth, self.back

    @cached_property
    def path(self) -> Path:
        """The rig's dts.yaml."""
        path = self.directory / f"{self.name}.yaml"
        path.write_text(yaml.safe_dump(self.document(), sort_keys=False))
        return path

    def document(self) -> dict[str, Any]:
        sites = {}
        for name, short in zip(self.sites, self.SIDES, strict=True):
            found = self.stack.site(short)
            upper = short.upper()
            sites[name] = {
                "host": found["host"],
                "port": found["port"],
                "user": "dts",
                "password": f"${{DTS_{upper}_PASSWORD}}",
                "topic_prefix": name,
                "connector": {
                    "user": "debezium",
                    "password": f"${{DTS_{upper}_CONNECTOR_PASSWORD}}",
                },
            }
        document = {
            "kafka": {"bootstrap.servers": self.stack.kafka},
            "connect": {"url": self.stack.connect},
            "sites": sites,
            "mark": self.stack.mark,
            "pairs": {
                "pair": {
                    "sites": list(self.sites[:2]),
                    "tables": [f"{self.name}.*"],
                    "mark_domain_id": 4711,
                    "conflicts": _with_sites(self.conflicts, self.sites),
                }
            },
        }
        return _merged(document, self.changes)

    @cached_property
    def config(self) -> Config:
        return parse_config(self.path.read_text())

    @cached_property
    def secrets(self) -> dict[str, str]:
        return resolve_secrets(self.config, self.stack.env)

    @cached_property
    def links(self) -> dict[str, Link]:
        return self.config.resolved_links()

    def database(self, site: str) -> Database:
        return open_databases(self.config, self.secrets)[site]

    def user(self, side: str) -> pymysql.Connection[Any]:
        """A user's connection to side `a` or `b`, in the rig's schema."""
        return self.stack.application(side, self.name)

    def sql(self, side: str, *statements: str) -> None:
        with self.user(side) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def both(self, *statements: str) -> None:
        for side in self.SIDES:
            self.sql(side, *statements)

    def rows(self, side: str, query: str) -> Sequence[tuple[Any, ...]]:
        with self.user(side) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    # -- setting up ---------------------------------------------------------------------------

    def create(self, *ddl: str) -> Rig:
        """Schema and tables at both sides, the ledger, the connectors; waits until they capture."""
        for side in self.SIDES:
            with self.stack.application(side) as connection, connection.cursor() as cursor:
                cursor.execute(f"DROP DATABASE IF EXISTS `{self.name}`")
                cursor.execute(f"CREATE DATABASE `{self.name}` CHARACTER SET utf8mb4")
            alters = any(link.ddl is Ddl.ADDITIVE for link in self.links.values())
            self.stack.grant(side, self.name, alters=alters)
        side = f"side {self.marker_key} PRIMARY KEY"
        self.both(f"CREATE TABLE zz_marker ({side}, n BIGINT NOT NULL)", *ddl)
        for site in self.sites:
            Ledger(self.database(site)).create("test", INSTALLATION)
        self.register()
        return self

    def register(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.stack.kafka})
        own = ("transaction", WATERMARK_TABLE)
        topics = [NewTopic(f"{site}.{name}", 1, 1) for site in self.sites for name in own]
        for future in admin.create_topics(topics).values():
            future.result()
        for site, side in zip(self.sites, self.SIDES, strict=True):
            self.put_connector(site, side, self.connector_changes)
        for site in self.sites:
            wait_for(lambda site=site: self.connector_state(site) == ["RUNNING"] * 2, 60)
        for side in self.SIDES:
            self.await_capture(side)

    def put_connector(self, site: str, side: str, changes: Mapping[str, str | None]) -> None:
        found = self.config.sites[site]
        assert found.connector is not None
        spec = connector_spec(
            CaptureSite(
                name=site,
                dialect=self.database(site).facts.dialect,
                host=found.host,
                port=found.port,
                user=found.connector.user,
                password=secret_value(found.connector.password, self.secrets),
                topic_prefix=found.topic_prefix,
                kafka={"bootstrap.servers": self.stack.kafka},
            ),
            self.links.values(),
        )
        settings = {k: v for k, v in {**spec.settings, **changes}.items() if v is not None}
        answer = httpx.put(
            f"{self.stack.connect}/connectors/{spec.name}/config", json=settings, timeout=30
        )
        answer.raise_for_status()

    def connector_state(self, site: str) -> list[str]:
        answer = httpx.get(f"{self.stack.connect}/connectors/dts-{site}/status", timeout=30)
        if answer.status_code != 200:
            return []
        body = answer.json()
        return [body["connector"]["state"], *(task["state"] for task in body["tasks"])]

    def await_capture(self, side: str) -> None:
        """Waits until a write of now reaches Kafka: the connector then reads the binlog's end."""
        topic = TopicPartition(f"{self.site(side)}.transaction", 0)
        admin = KafkaAdmin({"bootstrap.servers": self.stack.kafka})
        before = admin.offsets([topic])[topic][1]

        def seen() -> bool:
            self.tick(side)
            return admin.offsets([topic])[topic][1] > before + 1

        wait_for(seen, 60)

    def tick(self, side: str) -> None:
        """A transaction that no link carries."""
        with self.stack.application(side) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE IF NOT EXISTS tick")
            cursor.execute("CREATE TABLE IF NOT EXISTS tick.tick (n BIGINT)")
            cursor.execute("INSERT INTO tick.tick VALUES (1)")

    # -- running ------------------------------------------------------------------------------

    def runtime(self, link: str) -> stages.LinkRuntime:
        name, _, lane = link.partition("/")
        found = self.links[name]
        return stages.LinkRuntime(
            replace(found, lane=lane) if lane else found,
            self.config.batch,
            self.database(found.source),
            self.database(found.target),
            {"bootstrap.servers": self.stack.kafka},
            self.stack.connect,
        )

    def run(self, link: str, before_apply: Hook | None = None) -> RunSummary:
        """One run of a link by its stages, of each of its lanes in turn, without Dagster.

        `before_apply` is called between compact and apply of each batch.
        """
        whole = self.runtime(link)
        try:
            found = [self._run(runtime, link, before_apply) for runtime in whole.lanes]
            return replace(found[-1], batches=sum(summary.batches for summary in found))
        finally:
            whole.close()

    @staticmethod
    def _run(runtime: stages.LinkRuntime, link: str, before_apply: Hook | None) -> RunSummary:
        plan = _planned(runtime)
        applied: list[Applied] = []
        for slot in range(plan.slots):
            batch = stages.pull(runtime, plan, slot)
            if batch is not None:
                changes = reduce(runtime, plan, batch)
                if before_apply:
                    before_apply(link)
                applied.append(stages.apply(runtime, plan, changes))
        return stages.summarize(runtime, plan, applied)

    def sync(self, seconds: float = 120) -> None:
        """Runs the links until everything written before this call is applied at every side.

        A row a side in `zz_marker` travels behind everything else, because links apply whole
        transactions in the source's order.
        """
        deadline = time.monotonic() + seconds
        number = time.time_ns()
        for side in self.SIDES:
            self.sql(side, f"REPLACE INTO zz_marker VALUES ('{side}', {number})")
        while time.monotonic() < deadline:
            for way in self.ways:
                self.run(way)
            arrived = f"SELECT COUNT(*) FROM zz_marker WHERE n = {number}"
            if all(self.rows(side, arrived) == [(len(self.SIDES),)] for side in self.SIDES):
                return
            time.sleep(0.2)
        raise AssertionError("the sides did not become equal in time")

    def drain(self) -> None:
        """Runs the links until none has anything left to do."""
        while sum(self.run(way).batches for way in self.ways):
            pass

    def await_events(self, side: str, *, ended: bool = True) -> None:
        """Waits until everything that a side has written so far can be read from Kafka whole.

        A transaction is carried only once its END is there, too; that travels in a topic of its
        own, and may come later than the rows. Not `ended`: of a connector that sends none.
        """
        site = self.site(side)
        ends = TopicPartition(f"{site}.transaction", 0)
        admin = KafkaAdmin({"bootstrap.servers": self.stack.kafka})
        since = admin.offsets([ends])[ends][1]
        number = time.time_ns()
        self.sql(side, f"REPLACE INTO zz_marker VALUES ('{side.upper()}', {number})")
        rows = TopicPartition(f"{site}.{self.name}.zz_marker", 0)
        reader = KafkaReader({"bootstrap.servers": self.stack.kafka})

        def values(partition: TopicPartition, start: int | None = None) -> list[dict[str, Any]]:
            low, high = admin.offsets([partition])[partition]
            begin = low if start is None else start
            found = reader.read_to_end({partition: begin}, {partition: high}, 1_000_000)[partition]
            return [json.loads(message.value) for message in found.messages if message.value]

        def arrived() -> bool:
            if rows.topic not in admin.topics([rows.topic]):
                return False
            own = [event for event in values(rows) if (event.get("after") or {}).get("n") == number]
            if not ended:
                return bool(own)
            return bool(own) and any(
                end["status"] == "END" and end["id"] == own[0]["transaction"]["id"]
                for end in values(ends, since)
            )

        wait_for(arrived, 60)
        reader.close()

    # -- looking ------------------------------------------------------------------------------

    def checksums(self, side: str) -> dict[str, tuple[Any, ...]]:
        """Rows and a checksum over the bytes of every column, wherever it stands, by table."""
        found = {}
        tables = read_tables(self.database(self.site(side)), self.links[self.forth].matches)
        for name, table in tables.items():
            by_name = sorted(table.columns, key=lambda column: column.name)
            columns = ", ".join(f"COALESCE(HEX({_text(c)}), 'NULL')" for c in by_name)
            row = f"CONV(LEFT(SHA2(CONCAT_WS('#', {columns}), 256), 12), 16, 10)"
            query = f"SELECT COUNT(*), COALESCE(SUM({row}), 0) FROM {quoted(table.name)}"
            found[name] = tuple(int(value) for value in self.rows(side, query)[0])
        return found

    def assert_equal(self) -> None:
        """All sides hold the same rows, byte by byte."""
        first = self.checksums("a")
        assert [self.checksums(side) for side in self.SIDES[1:]] == [first] * len(self.SIDES[1:])

    def records(self, link: str, table: str | None = None) -> list[tuple[str, str, str]]:
        """The open records of a link: table, kind, decision."""
        target = self.links[link].target
        rows = self.database(target).query(
            "SELECT table_name, kind, decision FROM dts.conflict "
            "WHERE link = :link AND state = 'open' ORDER BY id",
            {"link": link},
        )
        found = [(row[0].split(".")[1], row[1], row[2]) for row in rows]
        return [record for record in found if table in (None, record[0])]

    def checkpoint(self, link: str) -> Checkpoint:
        name, _, lane = link.partition("/")
        found = Ledger(self.database(self.links[name].target)).read(name, lane or "main")
        assert found is not None
        return found

    def marked_keys(self, side: str, table: str) -> dict[bool, set[bytes]]:
        """The keys that a side's binlog holds under our mark (True) and without it (False).

        As its connector sent them: everything of the table's topic from its beginning.
        """
        site = self.site(side)
        topic = TopicPartition(f"{site}.{self.name}.{table}", 0)
        admin = KafkaAdmin({"bootstrap.servers": self.stack.kafka})
        reader = KafkaReader({"bootstrap.servers": self.stack.kafka})
        low, high = admin.offsets([topic])[topic]
        buffer = reader.read_to_end({topic: low}, {topic: high}, 10_000_000)[topic]
        reader.close()
        events = parse_events(topic, buffer.messages)
        ours = events["gtid"].fillna("").str.match(r"^(4711-|64747350-)")
        if self.stack.mark == "comment":
            ours = events["query_head"].map(lambda head: b"/* dts link=" in (head or b""))
        return {flag: set(events.loc[ours == flag, "key"]) for flag in (True, False)}


def reduce(runtime: stages.LinkRuntime, plan: Plan, batch: Batch) -> Batch:
    """normalize, drop_marked and compact."""
    return stages.compact(stages.drop_marked(stages.normalize(runtime, plan, batch)))


def _text(column: Column) -> str:
    """HEX of a DECIMAL is that of a whole number, which large ones do not fit in."""
    name = quoted(column.name)
    return f"CAST({name} AS CHAR)" if column.data_type == "decimal" else name


def _planned(runtime: stages.LinkRuntime, seconds: float = 60) -> Plan:
    """The plan; a Connect that has just started may still hand its connectors out anew.

    A schedule leaves that to the next run.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return stages.plan_ranges(runtime)
        except TransientError as error:
            if error.code != "connector_starting" or time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {seconds} s")
        time.sleep(0.2)


def _with_sites(conflicts: Any, sites: Sequence[str]) -> Any:
    """`A` and `B` as sites' names stand for the rig's own."""
    if isinstance(conflicts, Mapping):
        return {key: _with_sites(value, sites) for key, value in conflicts.items()}
    if isinstance(conflicts, list):
        return conflicts
    return {"A": sites[0], "B": sites[1]}.get(conflicts, conflicts)


def _merged(document: Any, changes: Mapping[str, Any]) -> Any:
    """The document with changes laid over it; None removes a key."""
    merged = dict(document)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = value
    return merged
