"""The messages of `fixtures/`, and the table that they are about."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from dts_pipeline.core.schema import Column, Table

FIXTURES = Path(__file__).parent / "fixtures"


@dataclass(frozen=True)
class RecordedMessage:
    """One Kafka message as it was read: key, value and headers as they were."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class _Images(msgspec.Struct):
    before: msgspec.Raw
    after: msgspec.Raw


@cache
def messages(name: str) -> tuple[RecordedMessage, ...]:
    """All messages of `mysql-defaults`, `mariadb-readable` and so on, in the file's order."""
    lines = (FIXTURES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(_message(json.loads(line)) for line in lines)


def row_messages(name: str) -> list[RecordedMessage]:
    """The messages of the table's own topic, tombstones included."""
    return [message for message in messages(name) if message.topic.endswith(".every_type")]


def row_images(name: str, side: str) -> list[bytes | None]:
    """`before` or `after` of each row event (tombstones left out), encoded as it came."""
    values = [m.value for m in row_messages(name) if m.value is not None]
    raws = [bytes(getattr(msgspec.json.decode(v, type=_Images), side)) for v in values]
    return [None if raw == b"null" else raw for raw in raws]


def server_rows(dialect: str) -> list[dict[str, str | None]]:
    """The server's own answer for the three rows right after their INSERT, as text."""
    path = FIXTURES / f"{dialect}-rows-after-insert.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def create_statement() -> str:
    """CREATE TABLE every_type."""
    return (FIXTURES / "every_type.sql").read_text(encoding="utf-8").rstrip().rstrip(";")


def change_statements() -> list[str]:
    """The statements that were run, in order."""
    text = (FIXTURES / "changes.sql").read_text(encoding="utf-8")
    return [statement.strip() for statement in text.split(";\n") if statement.strip()]


def every_type(dialect: str) -> Table:
    """The table as information_schema of that server describes it."""
    types = {
        "id": "int(11)",
        "c_tinyint": "tinyint(4)",
        "c_tinyint1": "tinyint(1)",
        "c_tinyint_u": "tinyint(3) unsigned",
        "c_smallint": "smallint(6)",
        "c_smallint_u": "smallint(5) unsigned",
        "c_mediumint": "mediumint(9)",
        "c_mediumint_u": "mediumint(8) unsigned",
        "c_int": "int(11)",
        "c_int_u": "int(10) unsigned",
        "c_bigint": "bigint(20)",
        "c_bigint_u": "bigint(20) unsigned",
        **_TYPES,
    }
    if dialect == "mysql":
        types = {name: _without_width(text) for name, text in types.items()} | {"c_json": "json"}
    columns = tuple(_column(name, text) for name, text in types.items())
    return Table("fx", "every_type", columns, ("id",))


_TYPES = {
    "c_float": "float",
    "c_double": "double",
    "c_decimal_20_4": "decimal(20,4)",
    "c_decimal_65_30": "decimal(65,30)",
    "c_decimal_10_0": "decimal(10,0)",
    "c_bit1": "bit(1)",
    "c_bit10": "bit(10)",
    "c_bit64": "bit(64)",
    "c_bool": "tinyint(1)",
    "c_char": "char(10)",
    "c_varchar": "varchar(255)",
    "c_tinytext": "tinytext",
    "c_text": "text",
    "c_longtext": "longtext",
    "c_varchar_latin1": "varchar(50)",
    "c_varchar_bin": "varchar(50)",
    "c_binary": "binary(8)",
    "c_varbinary": "varbinary(64)",
    "c_blob": "blob",
    "c_enum": "enum('small','medium','large','it''s, odd')",
    "c_set": "set('a','b','c')",
    "c_json": "longtext",
    "c_date": "date",
    "c_time": "time",
    "c_time3": "time(3)",
    "c_time6": "time(6)",
    "c_datetime": "datetime",
    "c_datetime3": "datetime(3)",
    "c_datetime6": "datetime(6)",
    "c_timestamp": "timestamp",
    "c_timestamp6": "timestamp(6)",
    "c_year": "year(4)",
    "c_default_not_null": "int(11)",
    "c_default_null": "int(11)",
    "c_generated": "int(11)",
    "c_point": "point",
    "c_geometry": "geometry",
}


def _without_width(column_type: str) -> str:
    """MySQL 8 and later show no display width of integers (TINYINT(1) excepted) and years."""
    kind, _, rest = column_type.partition("(")
    if column_type == "tinyint(1)" or not (kind.endswith("int") or kind == "year"):
        return column_type
    return kind + rest.partition(")")[2]


def _column(name: str, column_type: str) -> Column:
    data_type = column_type.partition("(")[0].partition(" ")[0]
    return Column(
        name,
        data_type,
        column_type,
        nullable=name not in ("id", "c_default_not_null"),
        generated=name == "c_generated",
        is_json=name == "c_json",
    )


def _message(line: dict[str, Any]) -> RecordedMessage:
    return RecordedMessage(
        topic=line["topic"],
        partition=line["partition"],
        offset=line["offset"],
        timestamp=line["timestamp"],
        key=None if line["key"] is None else line["key"].encode(),
        value=None if line["value"] is None else line["value"].encode(),
        headers=tuple((name, text.encode()) for name, text in line["headers"].items()),
    )


def edge_images(dialect: str) -> dict[str, list[bytes]]:
    """`after` of every row of `edges.sql`, encoded as it came, by table."""
    images: dict[str, list[bytes]] = {}
    for message in messages(f"{dialect}-edges"):
        after = bytes(msgspec.json.decode(message.value or b"", type=_Images).after)
        images.setdefault(message.topic.rpartition(".")[2], []).append(after)
    return images


def edge_statements(dialect: str) -> list[str]:
    """The statements of `edges.sql` that are meant for that server, in order."""
    lines = (FIXTURES / "edges.sql").read_text(encoding="utf-8").splitlines()
    if dialect == "mysql":
        lines = [line.removeprefix("-- mysql: ") for line in lines]
    return [line.rstrip(";") for line in lines if line and not line.startswith("--")]
