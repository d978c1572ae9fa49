"""The Kafka broker (KRaft, one node) and the Kafka Connect worker."""

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from localstack.account import Account, own_folder, write_private
from localstack.cache import SOURCE
from localstack.clocks import clock_environment
from localstack.commands import Command
from localstack.jars import KAFKA, PLUGINS, SINK, jars_folder
from localstack.kafka_probe import ask_broker
from localstack.service import Service
from localstack.stackfile import Stack

_LOG4J = "log4j2.properties"
_LARGEST_MESSAGE = str(16 * 1024 * 1024)
_PLUGINS = {
    "io.debezium.connector.mysql.MySqlConnector",
    "io.debezium.connector.mariadb.MariaDbConnector",
}
# The worker is local: a proxy of the environment must not be asked for it.
_HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def kafka_service(stack: Stack, jars: Path, account: Account) -> Service:
    """The broker as a service."""
    folder = stack.directory / "kafka"
    settings = folder / "server.properties"
    java = _java(jars, folder, "512m", stack.settings.fast)
    form = (*java, "kafka.tools.StorageTool", "format", "-t", stack.cluster_id, "-c", str(settings))
    log = stack.log("kafka")
    return Service(
        name="kafka",
        argv=(*java, "kafka.Kafka", str(settings)),
        cwd=folder,
        log=log,
        account=account,
        configure=lambda: _configure(settings, broker_settings(stack, folder), account),
        prepare=(Command("format Kafka's storage", form, log, account, folder),),
        ask=lambda: ask_broker(stack.ports["kafka"]),
        env=clock_environment(stack, "kafka"),
    )


def connect_service(stack: Stack, jars: Path, account: Account) -> Service:
    """The Connect worker as a service."""
    folder = stack.directory / "connect"
    settings = folder / "connect.properties"
    main = "org.apache.kafka.connect.cli.ConnectDistributed"
    plugins = [jars / PLUGINS, *([jars_folder(SINK)] if stack.settings.sink else [])]
    return Service(
        name="connect",
        argv=(*_java(jars, folder, "1g", stack.settings.fast), main, str(settings)),
        cwd=folder,
        log=stack.log("connect"),
        account=account,
        configure=lambda: _configure(settings, worker_settings(stack, plugins), account),
        prepare=(),
        ask=lambda: ask_worker(stack.connect_url),
        env=clock_environment(stack, "connect"),
    )


def broker_settings(stack: Stack, folder: Path) -> dict[str, str]:
    """server.properties; the user's options come last and win."""
    broker, controller = (f"127.0.0.1:{stack.ports[name]}" for name in ("kafka", "controller"))
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{broker}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": f"{folder}/data",
        "log.cleanup.policy": "delete",
        "auto.create.topics.enable": "true",
        "message.max.bytes": _LARGEST_MESSAGE,
        "replica.fetch.max.bytes": _LARGEST_MESSAGE,
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "5",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "5",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # A killed broker is let in again only when its old session has ended (default 9 s).
        "broker.session.timeout.ms": "5000",
        "broker.heartbeat.interval.ms": "1000",
        "group.initial.rebalance.delay.ms": "0",
        **stack.placed(stack.settings.kafka_options),
    }


def worker_settings(stack: Stack, plugins: Sequence[Path]) -> dict[str, str]:
    """connect.properties: JSON without schemas, NULL kept NULL, quick return after a kill.

    The user's options come last and win.
    """
    converters = {
        f"{side}.converter{option}": value
        for side in ("key", "value")
        for option, value in (
            ("", "org.apache.kafka.connect.json.JsonConverter"),
            (".schemas.enable", "false"),
            (".replace.null.with.default", "false"),
        )
    }
    storage = {
        f"{name}.storage.{option}": value
        for name in ("config", "offset", "status")
        for option, value in (("topic", f"connect-{name}"), ("replication.factor", "1"))
    }
    return {
        "bootstrap.servers": stack.bootstrap,
        "group.id": "connect",
        "listeners": stack.connect_url,
        "rest.advertised.host.name": "127.0.0.1",
        "plugin.path": ",".join(str(path) for path in plugins),
        "plugin.discovery": "service_load",
        "offset.storage.partitions": "5",
        "status.storage.partitions": "1",
        "offset.flush.interval.ms": "1000",
        "session.timeout.ms": "6000",
        "heartbeat.interval.ms": "2000",
        "scheduled.rebalance.max.delay.ms": "0",
        "producer.max.request.size": _LARGEST_MESSAGE,
        "consumer.max.partition.fetch.bytes": _LARGEST_MESSAGE,
        **converters,
        **storage,
        **stack.placed(stack.settings.connect_options),
    }


def ask_worker(url: str) -> str:
    """An empty text when the worker has its plugins and its group (/connectors), else why not."""
    try:
        plugins = {entry["class"] for entry in _get(f"{url}/connector-plugins")}
        if not plugins >= _PLUGINS:
            return "the connectors of Debezium are not listed yet"
        _get(f"{url}/connectors")
    except (OSError, ValueError) as error:
        return f"no answer: {error}"
    return ""


def _get(url: str) -> list[dict[str, str]]:
    with _HTTP.open(url, timeout=5) as answer:
        found: list[dict[str, str]] = json.load(answer)
    return found


def _java(jars: Path, folder: Path, heap: str, fast: bool) -> tuple[str, ...]:
    """A java command; the native parts of its jars are unpacked into the service's own folder.

    fast: without the optimising compiler, whose threads double the time to start on few cores.
    """
    return (
        shutil.which("java") or "java",
        f"-Xmx{heap}",
        "-XX:+UseSerialGC",
        *(["-XX:TieredStopAtLevel=1"] if fast else []),
        f"-Djava.io.tmpdir={folder}/tmp",
        f"-Dlog4j2.configurationFile={folder}/{_LOG4J}",
        "-cp",
        f"{jars / KAFKA}/*",
    )


def _configure(path: Path, settings: Mapping[str, str], account: Account) -> None:
    """Write a service's properties and what it logs, into folders of its own."""
    for folder in (path.parent, path.parent / "tmp"):
        own_folder(folder, account)
    write_private(path, _render(settings), account)
    write_private(path.parent / _LOG4J, (SOURCE / _LOG4J).read_text(encoding="utf-8"), account)


def _render(values: Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())
