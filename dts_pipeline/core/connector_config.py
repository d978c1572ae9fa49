"""The settings of the Debezium connector that captures a site, as Kafka Connect wants them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from dts_pipeline.core.grants import LEDGER_SCHEMA
from dts_pipeline.core.links import Link, MarkKind
from dts_pipeline.core.schema import Dialect

CONNECTOR_CLASSES = {
    Dialect.MYSQL: "io.debezium.connector.mysql.MySqlConnector",
    Dialect.MARIADB: "io.debezium.connector.mariadb.MariaDbConnector",
}
JSON_CONVERTER = "org.apache.kafka.connect.json.JsonConverter"
HISTORY_TOPIC = "schema.history.internal.kafka.topic"
WATERMARK_TABLE = f"{LEDGER_SCHEMA}.watermark"
# Below the producer's default buffer of 32 MiB; the topic gets the same limit, so that the
# broker's own (1 MiB by default) does not refuse what the producer may send.
MAX_MESSAGE_BYTES = 20 * 2**20
# A request to the broker, and an answer to librdkafka's reader, may have 100 MB.
LARGEST_MESSAGE_BYTES = 90 * 2**20
_BUFFER_BYTES = 32 * 2**20

_SSL_MODES = {
    (Dialect.MYSQL, False): "preferred",
    (Dialect.MYSQL, True): "verify_identity",
    (Dialect.MARIADB, False): "disable",
    (Dialect.MARIADB, True): "verify-full",
}
_FIXED = {
    "tasks.max": "1",
    "snapshot.mode": "no_data",
    "provide.transaction.metadata": "true",
    "include.schema.changes": "false",
    "tombstones.on.delete": "true",
    # A truncate must reach the pipeline, which stops on it; Debezium leaves it out by default.
    "skipped.operations": "none",
    "event.processing.failure.handling.mode": "fail",
    "inconsistent.schema.handling.mode": "fail",
    # Debezium would otherwise take the years 0 to 99 for 1970 to 2069: DATE 0012-01-01 arrived as
    # 2012-01-01.
    "enable.time.adjuster": "false",
    "time.precision.mode": "adaptive_time_microseconds",
    "decimal.handling.mode": "precise",
    "bigint.unsigned.handling.mode": "long",
    "binary.handling.mode": "bytes",
    "key.converter": JSON_CONVERTER,
    "key.converter.schemas.enable": "false",
    "key.converter.replace.null.with.default": "false",
    "value.converter": JSON_CONVERTER,
    "value.converter.schemas.enable": "false",
    "value.converter.replace.null.with.default": "false",
    "topic.creation.default.partitions": "1",
    "topic.creation.default.replication.factor": "-1",
    "topic.creation.default.cleanup.policy": "delete",
    "producer.override.compression.type": "lz4",
}


@dataclass(frozen=True)
class CaptureSite:
    """A site as its connector sees it.

    `password` is whatever shall stand in the settings: the secret, or its `${NAME}`.
    `truststore` is a PKCS12 or JKS file on Connect's workers; without it Java's own authorities
    count. `kafka` are properties of Kafka's Java client for the connector's own schema history.
    `max_message_bytes` bounds a row's message, at the producer and in topics that Connect makes.
    """

    name: str
    dialect: Dialect
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    topic_prefix: str = ""
    tls: bool = False
    truststore: str | None = None
    truststore_password: str | None = field(default=None, repr=False)
    kafka: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_message_bytes: int = MAX_MESSAGE_BYTES


@dataclass(frozen=True)
class ConnectorSpec:
    """A connector's name, which keeps its offsets, and its settings."""

    name: str
    settings: Mapping[str, str] = field(repr=False)


def connector_spec(site: CaptureSite, links: Iterable[Link]) -> ConnectorSpec:
    """The connector of a site: one for all links that read from it."""
    links = [link for link in links if link.source == site.name]
    name = f"dts-{site.name}"
    settings = {
        "connector.class": CONNECTOR_CLASSES[site.dialect],
        "topic.prefix": site.topic_prefix,
        "database.hostname": site.host,
        "database.port": str(site.port),
        "database.user": site.user,
        "database.password": site.password,
        "database.server.id": str(replica_id(name, site)),
        "database.ssl.mode": _SSL_MODES[site.dialect, site.tls],
        **_truststore(site),
        "table.include.list": ",".join(include_list(_captured(links))),
        "include.query": str(any(link.mark is MarkKind.COMMENT for link in links)).lower(),
        HISTORY_TOPIC: f"{site.topic_prefix}.schema-history",
        **_history_client(site.kafka),
        **_FIXED,
        **_message_limits(site.max_message_bytes),
    }
    return ConnectorSpec(name, settings)


def _captured(links: Iterable[Link]) -> list[str]:
    """Patterns of what links read, as their source calls it."""
    return [own for link in links for own in link.source_names.patterns(link.tables)]


def _truststore(site: CaptureSite) -> dict[str, str]:
    given = {"": site.truststore, ".password": site.truststore_password}
    return {f"database.ssl.truststore{name}": value for name, value in given.items() if value}


def _message_limits(limit: int) -> dict[str, str]:
    """The producer's buffer must hold a whole message, and some more beside it."""
    settings = {
        "topic.creation.default.max.message.bytes": str(limit),
        "producer.override.max.request.size": str(limit),
    }
    if 2 * limit > _BUFFER_BYTES and limit != MAX_MESSAGE_BYTES:
        settings["producer.override.buffer.memory"] = str(2 * limit)
    return settings


def replica_id(name: str, site: CaptureSite) -> int:
    """The id under which the connector reads the binlog, stable and unlikely to meet another's."""
    seed = f"{name}|{site.topic_prefix}|{site.kafka.get('bootstrap.servers', '')}"
    return 1_000_000_000 + int(hashlib.sha256(seed.encode()).hexdigest(), 16) % 1_000_000_000


def next_history_topic(topic: str) -> str:
    """The name for a schema history that is read anew: `x`, `x-2`, `x-3` …"""
    match = re.fullmatch(r"(.+)-(\d+)", topic)
    return f"{match[1]}-{int(match[2]) + 1}" if match else f"{topic}-2"


def include_list(patterns: Sequence[str]) -> list[str]:
    """Debezium's regular expressions for shell-style table patterns, and for the watermark."""
    return [
        *dict.fromkeys(_regex(pattern) for pattern in patterns),
        WATERMARK_TABLE.replace(".", "[.]"),
    ]


def is_captured(include: str, table: str) -> bool | None:
    """Whether a connector's include list takes `schema.table`; None if it cannot be told.

    Debezium matches whole names, whatever their case; an empty list takes everything.
    """
    expressions = [part.strip() for part in re.split(r"(?<!\\),", include) if part.strip()]
    try:
        found = [re.fullmatch(e.replace("\\,", ","), table, re.IGNORECASE) for e in expressions]
    except re.error:
        return None
    return not expressions or any(found)


def _regex(pattern: str) -> str:
    """A shell-style pattern as a regular expression without commas, which separate the list."""
    parts = re.findall(r"\[!?\]?[^\]]*\]|.", pattern)
    text = "".join(_translated(part) for part in parts)
    if fnmatchcase(LEDGER_SCHEMA, pattern.partition(".")[0]):
        # The ledger is the pipeline's own; only its watermark is captured.
        return f"(?!{LEDGER_SCHEMA}[.]){text}"
    return text


def _translated(part: str) -> str:
    if part == "*":
        return ".*"
    if part == "?":
        return "."
    if len(part) > 1:
        inside = part[1:-1].replace("\\", "\\\\").replace(",", "\\x2c").replace("[", "\\[")
        return f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
    if part.isalnum() or part == "_":
        return part
    return f"[{part}]" if part in ".$-" else f"\\u{ord(part):04x}"


def java_client(librdkafka: Mapping[str, str]) -> dict[str, str]:
    """librdkafka's properties as Kafka's Java client spells them; those it lacks are left out."""
    given = dict(librdkafka)
    java = {
        "bootstrap.servers": given.get("bootstrap.servers", given.get("metadata.broker.list", ""))
    }
    if "security.protocol" in given:
        java["security.protocol"] = given["security.protocol"].upper()
    mechanism = given.get("sasl.mechanism", given.get("sasl.mechanisms"))
    if mechanism:
        module = "plain.Plain" if mechanism == "PLAIN" else "scram.Scram"
        user, password = (
            given.get(f"sasl.{name}", "").replace("\\", "\\\\").replace('"', '\\"')
            for name in ("username", "password")
        )
        java["sasl.mechanism"] = mechanism
        java["sasl.jaas.config"] = (
            f"org.apache.kafka.common.security.{module}LoginModule required "
            f'username="{user}" password="{password}";'
        )
    if "ssl.ca.location" in given:
        java |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": given["ssl.ca.location"]}
    return java


def _history_client(kafka: Mapping[str, str]) -> dict[str, str]:
    """The schema history has clients of its own, apart from Connect's."""
    prefix = "schema.history.internal."
    settings = {f"{prefix}kafka.bootstrap.servers": kafka.get("bootstrap.servers", "")}
    for name, value in kafka.items():
        if name != "bootstrap.servers":
            settings |= {f"{prefix}{role}.{name}": value for role in ("producer", "consumer")}
    return settings
