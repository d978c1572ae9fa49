"""From dts.yaml to connectors that run: one for each site that a link reads from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from dts_pipeline.adapters.connect_api import ConnectApi, RegisteredConnector
from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.kafka_admin import KafkaAdmin
from dts_pipeline.adapters.ledger import Ledger
from dts_pipeline.adapters.sites import kafka_properties, open_connect
from dts_pipeline.adapters.watermarks import write_watermark
from dts_pipeline.config import Config, secret_value
from dts_pipeline.core.connector_config import (
    CONNECTOR_CLASSES,
    HISTORY_TOPIC,
    WATERMARK_TABLE,
    CaptureSite,
    ConnectorSpec,
    connector_spec,
    java_client,
    next_history_topic,
)
from dts_pipeline.core.schema import Dialect
from dts_pipeline.errors import TerminalError

_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Registered:
    """A connector that captures a site's changes, proven by a row that went through it."""

    site: str
    connector: str
    topics: tuple[str, ...]
    seconds: float


def connector_specs(
    config: Config, dialects: Mapping[str, Dialect], secrets: Mapping[str, str] | None = None
) -> dict[str, ConnectorSpec]:
    """The connector of each source site; without `secrets` they stay `${NAME}`, for printing."""
    links = list(config.resolved_links().values())
    sources = sorted({link.source for link in links})
    return {
        site: connector_spec(_capture_site(config, site, dialects, secrets), links)
        for site in sources
    }


def register_connectors(
    config: Config,
    databases: Mapping[str, Database],
    secrets: Mapping[str, str],
    *,
    seconds: float = 90.0,
) -> Iterator[Registered]:
    """Makes the topics, registers each connector, and yields it once it really captures.

    A watermark written at the source must arrive in Kafka: "RUNNING" alone comes before the
    connector has taken its position in the binlog, and what is written until then is not captured.
    The ledger must be there (`dts init`). Doing it again changes nothing but restarts a task that
    has failed.
    With other tables than before, the connector must run when this is called, and no table's
    definition may change meanwhile.

    Raises TerminalError `connect_not_configured`, `ledger_missing`, `connector_prefix_taken`,
    `connector_failed`, `connector_silent`, and what the clients raise.
    """
    if config.connect is None:
        raise TerminalError(
            "connect_not_configured",
            "dts.yaml names no Kafka Connect",
            remedy="Add `connect: {url: …}`, or register what `dts connectors` prints yourself.",
        )
    dialects = {site: databases[site].facts.dialect for site in databases}
    kafka = KafkaAdmin(kafka_properties(config, secrets))
    with open_connect(config.connect) as connect:
        for site, spec in connector_specs(config, dialects, secrets).items():
            began = time.monotonic()
            Ledger(databases[site]).installation()
            prefix = spec.settings["topic.prefix"]
            _refuse_second_writer(connect, spec.name, prefix)
            topics = (f"{prefix}.transaction", f"{prefix}.{WATERMARK_TABLE}")
            limit = config.connect.max_message_bytes
            kafka.create(topics, {"cleanup.policy": "delete", "max.message.bytes": str(limit)})
            # A broker that refused a row would take those behind it, out of order.
            own = [name for name in kafka.names() if name.startswith(f"{prefix}.")]
            kafka.raise_message_limit(own, limit)
            capturing = partial(
                wait_until_capturing, connect, kafka, databases[site], spec.name, topics[1], seconds
            )
            for settings in _steps(connect, spec, capturing):
                before = connect.connectors().get(spec.name)
                connect.put(spec.name, settings)
                if before and before.status.is_failed:
                    connect.restart(spec.name)  # the same settings do not wake a failed task
                standing = connect.connectors().get(spec.name)
                if standing and standing.status.state in ("PAUSED", "STOPPED"):
                    connect.resume(spec.name)
                connect.wait_until_running(spec.name, seconds)
                # A new history tells that the task of before has ended: it cannot send the row
                # that shall prove the new one.
                _wait_until_written(connect, kafka, spec.name, settings[HISTORY_TOPIC], seconds)
                capturing()
            yield Registered(site, spec.name, topics, time.monotonic() - began)


def _steps(
    connect: ConnectApi, spec: ConnectorSpec, capturing: Callable[[], None]
) -> list[Mapping[str, str]]:
    """The settings to give to the connector, one after the other."""
    known = connect.connectors().get(spec.name)
    if known is None:
        return [spec.settings]
    _refuse_dropping_query(known, spec)
    history = known.settings.get(HISTORY_TOPIC, spec.settings[HISTORY_TOPIC])
    if known.settings.get("table.include.list") == spec.settings["table.include.list"]:
        return [{**spec.settings, HISTORY_TOPIC: history}]
    # The schema history holds only tables that the connector's account could see when it was
    # made; the connector fails on rows of others. So it is read anew into another topic, which is
    # right only for a connector that has just caught up: the tables then are as its position
    # needs them.
    connect.raise_unless_running(spec.name)
    capturing()
    fresh = {**spec.settings, HISTORY_TOPIC: next_history_topic(history)}
    return [{**fresh, "snapshot.mode": "recovery"}, fresh]


def _refuse_dropping_query(known: RegisteredConnector, spec: ConnectorSpec) -> None:
    """MariaDB's connector counts annotations among a transaction's events.

    Its offset can say "19 events of this transaction were sent"; without include.query the server
    sends no annotations any more, so that after a restart 19 events reach into the transactions
    behind it, whose rows are then never sent (seen with 3.5.0.Final).
    """
    of_mariadb = spec.settings["connector.class"] == CONNECTOR_CLASSES[Dialect.MARIADB]
    was_on = known.settings.get("include.query") == "true"
    if of_mariadb and was_on and spec.settings["include.query"] != "true":
        raise TerminalError(
            "include_query_changed",
            "a MariaDB connector that has sent queries would lose rows if it stopped doing so",
            where={"connector": spec.name},
            remedy="Stop the users' writes and let both links catch up, delete the connector and "
            "its offsets in Connect, register it anew, then give the link a new start "
            "(docs/operations.md).",
        )


def wait_until_capturing(
    connect: ConnectApi,
    kafka: KafkaAdmin,
    database: Database,
    connector: str,
    topic: str,
    seconds: float = 90.0,
) -> None:
    """Writes watermarks at the source until one arrives in `topic`.

    Raises TerminalError `connector_silent`, or `connector_failed` when it gives up meanwhile.
    """
    began, start = time.monotonic(), kafka.end_offset(topic)
    while time.monotonic() - began < seconds:
        write_watermark(database, f"connector:{connector}")
        for _ in range(4):  # a few looks for each row written
            if kafka.end_offset(topic) > start:
                return
            time.sleep(_POLL_SECONDS)
        connect.raise_if_failed(connector)
    raise TerminalError(
        "connector_silent",
        "the connector runs, but a row written at its source does not arrive in Kafka",
        where={"site": database.site, "connector": connector, "topic": topic},
        remedy="Is database.hostname the same server as the site's host, is dts.watermark in "
        "table.include.list, is log_bin on? Connect's log may say more.",
    )


def _wait_until_written(
    connect: ConnectApi, kafka: KafkaAdmin, connector: str, topic: str, seconds: float
) -> None:
    began = time.monotonic()
    while kafka.end_offset(topic) == 0:
        connect.raise_if_failed(connector)
        if time.monotonic() - began > seconds:
            raise TerminalError(
                "connector_silent",
                "the connector runs, but does not write its schema history",
                where={"connector": connector, "topic": topic},
                remedy="Connect's log says what it waits for: often a lock at the source.",
            )
        time.sleep(_POLL_SECONDS)


def _refuse_second_writer(connect: ConnectApi, name: str, prefix: str) -> None:
    for other in connect.connectors().values():
        if other.settings.get("topic.prefix") == prefix and other.name != name:
            raise TerminalError(
                "connector_prefix_taken",
                "another connector writes under this topic prefix already; two of them would send "
                "every change twice",
                where={"connector": other.name, "topic_prefix": prefix},
                remedy=f"Delete {other.name}, or give the site another topic_prefix.",
            )


def _capture_site(
    config: Config,
    name: str,
    dialects: Mapping[str, Dialect],
    secrets: Mapping[str, str] | None,
) -> CaptureSite:
    site = config.sites[name]
    account = site.connector or site
    kafka = {k: str(v) for k, v in config.kafka.items()}
    locked = site.tls.truststore_password if site.tls else None
    return CaptureSite(
        name=name,
        dialect=dialects[name],
        host=site.host,
        port=site.port,
        user=account.user,
        password=account.password if secrets is None else secret_value(account.password, secrets),
        topic_prefix=site.topic_prefix,
        tls=site.tls is not None,
        truststore=site.tls.truststore if site.tls else None,
        truststore_password=secret_value(locked, secrets) if locked and secrets else locked,
        kafka=java_client(kafka if secrets is None else kafka_properties(config, secrets)),
        **({"max_message_bytes": config.connect.max_message_bytes} if config.connect else {}),
    )
