"""`dts connectors`: the Debezium connector of every source site, shown or registered."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import text

from dts_pipeline.commands import exits
from dts_pipeline.commands.output import Output
from dts_pipeline.commands.session import Session
from dts_pipeline.core.connector_config import (
    WATERMARK_TABLE,
    CaptureSite,
    ConnectorSpec,
    connector_spec,
)
from dts_pipeline.errors import TerminalError

if TYPE_CHECKING:
    from dts_pipeline.adapters.connect_api import ConnectApi
    from dts_pipeline.adapters.kafka_admin import KafkaAdmin

CAPTURE_SECONDS = 60.0
_TOPIC = {"cleanup.policy": "delete"}
_WRITE_WATERMARK = text(
    f"INSERT INTO {WATERMARK_TABLE} VALUES ('connectors', 1, UTC_TIMESTAMP(6)) "
    "ON DUPLICATE KEY UPDATE number = number + 1, written_at = UTC_TIMESTAMP(6)"
)


def show(session: Session, output: Output) -> int:
    """Shows each connector's settings, passwords as `${NAME}`."""
    specs = {site: _spec(session, site, lambda reference: reference) for site in _sources(session)}
    output.document({"connectors": {spec.name: dict(spec.settings) for spec in specs.values()}})
    for site, spec in specs.items():
        output.line(f"# {spec.name} (site {site})\n{json.dumps(dict(spec.settings), indent=2)}")
    return exits.DONE


def register(session: Session, output: Output) -> int:
    """Registers or changes each connector, and waits until what is written now is captured.

    A connector begins where the log stands at its first start: what was written before that is
    not carried. Raises TerminalError `connect_not_configured`, `connector_failed` or
    `not_captured`, and what Connect, Kafka and the sites raise.
    """
    from dts_pipeline.adapters.connect_api import ConnectApi
    from dts_pipeline.adapters.kafka_admin import KafkaAdmin

    if session.config.connect is None:
        raise TerminalError(
            "connect_not_configured",
            "dts.yaml does not say where Kafka Connect is",
            remedy="Set `connect.url`, or register what `dts connectors` shows by yourself.",
        )
    specs = {site: _spec(session, site, session.secret) for site in _sources(session)}
    admin = KafkaAdmin(session.kafka)
    admin.create([session.config.sites[s].topic_prefix + ".transaction" for s in specs], _TOPIC)
    with ConnectApi(session.config.connect.url) as connect:
        for spec in specs.values():
            connect.put(spec.name, spec.settings)
        for spec in specs.values():
            connect.wait_until_running(spec.name)
        for site, spec in specs.items():
            _await_capture(session, site, spec, connect, admin)
    output.document(
        {"connectors": {spec.name: {"site": s, "captures": True} for s, spec in specs.items()}}
    )
    rows = [(spec.name, site, "captures") for site, spec in specs.items()]
    output.table("", ["connector", "site", "state"], rows)
    return exits.DONE


def _sources(session: Session) -> list[str]:
    return sorted({link.source for link in session.links.values()})


def _spec(session: Session, site: str, secret: Callable[[str], str]) -> ConnectorSpec:
    found = session.config.sites[site]
    account = found.connector or found
    capture = CaptureSite(
        name=site,
        dialect=session.databases[site].facts.dialect,
        host=found.host,
        port=found.port,
        user=account.user,
        password=secret(account.password),
        topic_prefix=found.topic_prefix,
        tls=found.tls is not None,
        kafka={"bootstrap.servers": session.kafka["bootstrap.servers"]},
    )
    return connector_spec(capture, session.links.values())


def _await_capture(
    session: Session, site: str, spec: ConnectorSpec, connect: ConnectApi, admin: KafkaAdmin
) -> None:
    """Writes watermarks at the source until one is seen in Kafka."""
    topic = f"{session.config.sites[site].topic_prefix}.{WATERMARK_TABLE}"
    before = admin.end_offset(topic)
    until = time.monotonic() + CAPTURE_SECONDS
    while time.monotonic() < until:
        with session.databases[site].connect() as connection:
            connection.execute(_WRITE_WATERMARK)
            connection.commit()
        time.sleep(0.5)
        if admin.end_offset(topic) > before:
            return
        connect.raise_if_failed(spec.name)
    raise TerminalError(
        "not_captured",
        f"the connector runs, but nothing written now reaches Kafka in {CAPTURE_SECONDS:.0f} s",
        where={"connector": spec.name, "site": site, "topic": topic},
        remedy="It may still read older changes: wait and try again. Else see Connect's log.",
    )
