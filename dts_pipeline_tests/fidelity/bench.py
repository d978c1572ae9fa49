"""All cases of a setting on one pair: their tables together, both directions at once."""

from __future__ import annotations

import json
import struct
import traceback
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pymysql
from confluent_kafka.admin import AdminClient, NewTopic

from dts_pipeline.adapters.kafka_admin import KafkaAdmin
from dts_pipeline.adapters.table_schema import read_tables
from dts_pipeline.core.column_sql import quoted
from dts_pipeline.core.connector_config import LARGEST_MESSAGE_BYTES
from dts_pipeline.core.contract import compare_tables
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.schema import Column, Table
from dts_pipeline.errors import TerminalError, TransientError
from dts_pipeline_tests.case_files import Case
from dts_pipeline_tests.fidelity.drawn import DrawnCase
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.stacks import Stack

_AS_LOGGED_IN = "SET SESSION sql_mode = DEFAULT, time_zone = DEFAULT, timestamp = DEFAULT"
# The kinds' own defaults differ, and with them which keys are one and the same.
_CHARSET = "CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"
DIRECTIONS = {"forth": ("a", "b"), "back": ("b", "a")}
_HASHED_FROM = 65_536  # bytes; the HEX of more would not fit into a packet
_BY_BYTES = {
    "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "binary", "varbinary",
    "tinyblob", "blob", "mediumblob", "longblob", "set",
}  # fmt: skip
_BY_HEX = {
    "bit", "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring",
    "multipolygon", "geometrycollection", "geomcollection", "vector",
}  # fmt: skip
_LEFT = """
SELECT table_name, CONCAT(kind, ' ', decision) FROM dts.conflict WHERE link LIKE :rig
UNION ALL
SELECT SUBSTRING(topic, LOCATE('.', topic) + 1), code FROM dts.quarantine WHERE link LIKE :rig
"""


@dataclass
class CaseBench:
    """Runs the cases; afterwards `problems[case, direction]` says what was not as it should.

    `broken` is the traceback of what ended it before its time, or empty.
    """

    stack: Stack
    directory: Path
    cases: Sequence[Case | DrawnCase]
    connector_changes: Mapping[str, str] = field(default_factory=dict)
    label: str = "cases"
    problems: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    compared: int = 0
    broken: str = ""

    def run(self) -> None:
        """Creates, changes part by part, carries both links, compares after each part."""
        self.rig = Rig(
            self.stack, self.label, self.directory, connector_changes=self.connector_changes
        )
        schemas = [self.schema(direction) for direction in DIRECTIONS]
        self.rig.changes = {
            "pairs": {
                "pair": {
                    "tables": [f"{s}.*" for s in [self.rig.name, *schemas]],
                    # The other cases shall go on; nothing may end there.
                    "on_poison": "quarantine",
                }
            }
        }
        try:
            if self.cases:
                self._run()
        except Exception:
            # Raised it would be raised, and its traceback made, once for each of the cases.
            self.broken = traceback.format_exc()
        finally:
            for connection in self._users.values():
                connection.close()
            self._remove()

    def _run(self) -> None:
        self._create()
        for part in range(max((len(case.parts("mysql")) for case in self.carried), default=0)):
            self._change(part)
            self.rig.sync(seconds=600)
            for case in self.carried:
                for direction in DIRECTIONS:
                    self._compare(case, direction)
                    if part == len(case.parts("mysql")) - 1:
                        self._expect(case, direction)
        self._look_back()

    @property
    def carried(self) -> list[Case | DrawnCase]:
        """The cases whose rows travel."""
        return [case for case in self.cases if not case.refused]

    def line(self) -> str:
        """What was compared, and how it went, for the end of the tests."""
        if self.broken:
            return f"did not come to an end:\n{self.broken}"
        both = [(case.name, direction) for case in self.cases for direction in DIRECTIONS]
        wrong = [
            f"{name} {direction}" for name, direction in both if self.problems[name, direction]
        ]
        refused = len(self.cases) - len(self.carried)
        return (
            f"{len(self.cases)} cases both ways ({refused} of them refused as they must be), "
            f"{self.compared} rows compared: {len(both) - len(wrong)} of {len(both)} right"
            + (f"; not: {', '.join(wrong)}" if wrong else "")
        )

    def schema(self, direction: str) -> str:
        """The schema whose changes go that way."""
        return f"{self.rig.name}_{direction}"

    def kind(self, side: str) -> str:
        """`mariadb` or `mysql`."""
        return str(self.stack.site(side)["kind"])

    # -- steps --------------------------------------------------------------------------------

    def _create(self) -> None:
        for side in "ab":
            with self.stack.application(side) as connection, connection.cursor() as cursor:
                for schema in map(self.schema, DIRECTIONS):
                    cursor.execute(f"CREATE DATABASE `{schema}` {_CHARSET}")
                    self.stack.grant(side, schema)
                    for case in self.carried:
                        self._execute(cursor, schema, case.create(side, self.kind(side)))
                    cursor.execute("SET SESSION sql_log_bin = 0")  # DDL that stops a connector
                    for case in self.cases:
                        if case.refused:
                            self._execute(cursor, schema, case.create(side, self.kind(side)))
                    cursor.execute("SET SESSION sql_log_bin = 1")
        self._refuse()
        self.rig.create()
        self._make_topics()

    def _refuse(self) -> None:
        """The contract must name what cannot be carried; then the tables are gone."""
        for direction, (source, target) in DIRECTIONS.items():
            there, here = (self._tables(side, direction) for side in (source, target))
            for case in self.cases:
                if not case.refused:
                    continue
                for name in self._names(case, direction):
                    dialects = [
                        self.rig.database(self.rig.sites["ab".index(s)]).facts.dialect
                        for s in (source, target)
                    ]
                    found = compare_tables(there[name], here[name], dialects[0], dialects[1])
                    codes = {difference.code for difference in found}
                    if case.refused not in codes:
                        self._say(case, direction, f"not refused: {name} has {sorted(codes)}")
                    for side in "ab":
                        with self._user(side).cursor() as cursor:
                            cursor.execute("SET SESSION sql_log_bin = 0")
                            schema = quoted(self.schema(direction))
                            cursor.execute(f"DROP TABLE {schema}.{quoted(name)}")
                            cursor.execute("SET SESSION sql_log_bin = 1")

    def _make_topics(self) -> None:
        """All at once: made by the connectors one by one they take minutes."""
        admin = AdminClient({"bootstrap.servers": self.stack.kafka})
        limit = {"max.message.bytes": str(LARGEST_MESSAGE_BYTES)}
        topics = [
            NewTopic(link.topic_of(f"{self.schema(direction)}.{name}"), 1, 1, config=limit)
            for link in self.rig.links.values()
            for direction in DIRECTIONS
            for case in self.carried
            for name in self._names(case, direction)
        ]
        for future in admin.create_topics(topics).values():
            future.result()
        partitions = [TopicPartition(topic.topic, 0) for topic in topics]
        asked = KafkaAdmin({"bootstrap.servers": self.stack.kafka})

        def answer() -> bool:
            try:
                return len(asked.offsets(partitions)) == len(partitions)
            except (TransientError, TerminalError):  # a new topic has no leader for a moment
                return False

        wait_for(answer, 120)

    def _change(self, part: int) -> None:
        for direction, (source, _) in DIRECTIONS.items():
            for case in self.carried:
                parts = case.parts(self.kind(source))
                if part < len(parts):
                    try:
                        with self._user(source).cursor() as cursor:
                            self._execute(cursor, self.schema(direction), parts[part])
                    except pymysql.MySQLError as error:
                        self._say(case, direction, f"change.sql: {error}")
                        self._user(source).rollback()

    def _compare(self, case: Case | DrawnCase, direction: str) -> None:
        source, target = DIRECTIONS[direction]
        for name in self._names(case, direction):
            columns = self._tables(source, direction)[name].columns
            key = self._tables(source, direction)[name].primary_key
            mixed = self.kind(source) != self.kind(target)
            left_out = {c.name for c in columns if f"{name}.{c.name}" in case.differs}
            wanted = [c for c in columns if c.name not in left_out]
            rows = [self._rows(side, direction, name, wanted, key, mixed) for side in "ab"]
            self.compared += len(rows[0].keys() | rows[1].keys())
            for text in differences(*rows):
                self._say(case, direction, f"{name}: {text}")

    def _expect(self, case: Case | DrawnCase, direction: str) -> None:
        source, target = DIRECTIONS[direction]
        for side in (source, target):
            with self._user(side).cursor() as cursor:
                cursor.execute(f"USE {quoted(self.schema(direction))}")
                for question in case.expectations(self.kind(side), side == target):
                    cursor.execute(question)
                    if [tuple(map(int, row)) for row in cursor.fetchall()] != [(1,)]:
                        self._say(case, direction, f"not so at {side}: {question}")

    def _look_back(self) -> None:
        """No key was set apart, and no record is there but those that are due."""
        owners = {
            f"{self.schema(direction)}.{name}": (case, direction)
            for direction in DIRECTIONS
            for case in self.carried
            for name in self._names(case, direction)
        }
        found: dict[tuple[str, str], list[str]] = defaultdict(list)
        for site in self.rig.sites:
            for full_name, what in self.rig.database(site).query(
                _LEFT, {"rig": f"{self.rig.name}%"}
            ):
                if full_name in owners:
                    case, direction = owners[full_name]
                    found[case.name, direction].append(what)
        for case in self.carried:
            for direction in DIRECTIONS:
                records = sorted(found[case.name, direction])
                due = sorted(case.records(self.kind(DIRECTIONS[direction][0])))
                if records != due:
                    self._say(case, direction, f"records {records}, due {due}")

    def _remove(self) -> None:
        for site in self.rig.sites:
            httpx.delete(f"{self.stack.connect}/connectors/dts-{site}", timeout=30)
        admin = AdminClient({"bootstrap.servers": self.stack.kafka})
        topics = [t for t in admin.list_topics(timeout=30).topics if t.startswith(self.rig.name)]
        for future in admin.delete_topics(topics).values() if topics else ():
            future.exception()  # those that are gone are gone
        for side in "ab":
            with self.stack.application(side) as connection, connection.cursor() as cursor:
                for schema in [self.rig.name, *map(self.schema, DIRECTIONS)]:
                    cursor.execute(f"DROP DATABASE IF EXISTS `{schema}`")

    # -- looking ------------------------------------------------------------------------------

    def _tables(self, side: str, direction: str) -> Mapping[str, Table]:
        if (side, direction) not in self._seen:
            schema = self.schema(direction)
            site = self.rig.sites["ab".index(side)]
            found = read_tables(self.rig.database(site), lambda n: n.startswith(f"{schema}."))
            self._seen[side, direction] = {table.name: table for table in found.values()}
        return self._seen[side, direction]

    _seen: dict[tuple[str, str], Mapping[str, Table]] = field(default_factory=dict)

    def _names(self, case: Case | DrawnCase, direction: str) -> list[str]:
        """The tables of a case: those that its create.sql makes, named after it."""
        names = self._tables("a", direction)
        return [name for name in names if name == case.name or name.startswith(f"{case.name}__")]

    def _rows(
        self,
        side: str,
        direction: str,
        name: str,
        columns: Sequence[Column],
        key: Sequence[str],
        mixed: bool,
    ) -> dict[tuple[Any, ...], dict[str, Any]]:
        """The rows by key, every value in a form that is equal for equal bytes only."""
        keys = [next(c for c in columns if c.name == name) for name in key]
        shown = [exact(column) for column in [*keys, *columns]]
        found = {}
        schema = self.schema(direction)
        with self._user(side).cursor() as cursor:
            cursor.execute("SET SESSION time_zone = '+00:00'")
            cursor.execute(f"SELECT {', '.join(shown)} FROM {quoted(schema)}.{quoted(name)}")
            for row in cursor.fetchall():
                values = row[len(keys) :]
                found[tuple(map(_bits, row[: len(keys)]))] = {
                    column.name: _meaning(value) if mixed and column.is_json else _bits(value)
                    for column, value in zip(columns, values, strict=True)
                }
        return found

    def _user(self, side: str) -> pymysql.Connection[Any]:
        """One connection a side: making one takes longer than most statements."""
        if side not in self._users:
            self._users[side] = self.stack.application(side)
        return self._users[side]

    _users: dict[str, pymysql.Connection[Any]] = field(default_factory=dict)

    def _execute(self, cursor: Any, schema: str, statements: Sequence[str]) -> None:
        cursor.execute(_AS_LOGGED_IN)
        cursor.execute(f"USE `{schema}`")
        for statement in statements:
            cursor.execute(statement)

    def _say(self, case: Case | DrawnCase, direction: str, text: str) -> None:
        self.problems[case.name, direction].append(text[:600])


def exact(column: Column) -> str:
    """SQL for a value that is the same for the same bytes only.

    HEX of a number is that of its whole part, so numbers go by their text, FLOAT and DOUBLE by
    value; JSON by its text.
    """
    name = quoted(column.name)
    if column.data_type in ("float", "double"):
        return f"CAST({name} AS DOUBLE)"
    if column.data_type == "enum":
        return f"CONCAT({name} + 0, ':', HEX({name}))"
    if column.data_type in _BY_HEX:
        return f"HEX({name})"
    if column.is_json:
        return f"CONVERT({name} USING utf8mb4)"
    if column.data_type in _BY_BYTES:
        bound = f"LENGTH({name}) < {_HASHED_FROM}"
        return f"IF({bound}, HEX({name}), CONCAT(LENGTH({name}), '#', SHA2({name}, 256)))"
    return f"HEX(CAST({name} AS CHAR))"


def _bits(value: Any) -> Any:
    """-0.0 apart from 0.0."""
    return struct.pack(">d", value).hex() if isinstance(value, float) else value


def _meaning(text: str | None) -> Any:
    """JSON as both kinds of server hold it: MySQL orders the names."""
    return None if text is None else json.loads(text, parse_float=Decimal)


def differences(
    one: Mapping[tuple[Any, ...], Mapping[str, Any]],
    two: Mapping[tuple[Any, ...], Mapping[str, Any]],
) -> Iterator[str]:
    """What site a's rows have that site b's have not, and the other way round."""
    for key in sorted(one.keys() ^ two.keys(), key=repr):
        yield f"key {key} is at site {'a' if key in one else 'b'} only"
    for key in sorted(one.keys() & two.keys(), key=repr):
        for column, value in one[key].items():
            if value != two[key][column]:
                yield f"key {key}, {column}: {value!r:.120} at a, {two[key][column]!r:.120} at b"
