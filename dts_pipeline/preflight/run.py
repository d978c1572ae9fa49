"""Runs preflight: asks every server once, then looks at the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from dts_pipeline.adapters.connect_api import RegisteredConnector
from dts_pipeline.adapters.kafka_admin import KafkaAdmin, TopicSettings
from dts_pipeline.adapters.sites import kafka_properties, open_connect, open_databases
from dts_pipeline.config import Config
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.errors import DtsError
from dts_pipeline.preflight import (  # noqa: F401  (each registers its checks)
    checkpoint_checks,
    connector_checks,
    mark_checks,
    server_checks,
    setting_checks,
    table_checks,
    topic_checks,
)
from dts_pipeline.preflight.facts import Facts, SiteFacts
from dts_pipeline.preflight.findings import Finding, Severity, of_error
from dts_pipeline.preflight.probe import probe_site
from dts_pipeline.preflight.registry import connectors_of, run_checks

_Answer = TypeVar("_Answer")


def run_preflight(config: Config, secrets: Mapping[str, str]) -> list[Finding]:
    """Every finding, errors first; `secrets` are the values behind `${NAME}`.

    A server that cannot be asked gives one finding, and what depends on it is left out.
    """
    links = tuple(config.resolved_links().values())
    databases = open_databases(config, secrets)
    findings: list[Finding] = []
    with ThreadPoolExecutor(max_workers=len(databases) + 2) as pool:
        kafka = pool.submit(_ask, lambda: _topics(config, secrets))
        connect = pool.submit(_ask, lambda: _connectors(config))
        sites = {
            name: pool.submit(
                _ask, lambda n=name: probe_site(databases[n], links, _reader(config, n))
            )
            for name in databases
        }
    for database in databases.values():
        database.close()
    known = {}
    for name, future in sites.items():
        answer = future.result()
        if isinstance(answer, DtsError):
            findings.append(of_error(answer, {"site": name}))
        else:
            known[name] = answer
            findings.append(_reached({"site": name}, f"{answer.dialect} {answer.version}"))
    topics, connectors = kafka.result(), connect.result()
    findings += _outcome(topics, {"kafka": str(config.kafka.get("bootstrap.servers", ""))})
    findings += _outcome(connectors, {"connect": config.connect.url if config.connect else ""})
    facts = Facts(
        config=config,
        links=links,
        sites=known,
        topics=None if isinstance(topics, DtsError) else topics,
        connectors=None if isinstance(connectors, DtsError) else connectors,
        offsets={} if isinstance(topics, DtsError) else _offsets(config, secrets, topics, known),
    )
    return sort_findings([*findings, *missing_connectors(facts), *run_checks(facts)])


def _offsets(
    config: Config,
    secrets: Mapping[str, str],
    topics: Mapping[str, TopicSettings],
    sites: Mapping[str, SiteFacts],
) -> dict[TopicPartition, tuple[int, int]]:
    """First and next offset of every partition of the topics that a checkpoint names."""
    named = {
        tp.topic
        for site in sites.values()
        for checkpoint in site.checkpoints.values()
        for tp in checkpoint.partitions
    }
    partitions = [
        TopicPartition(name, number)
        for name in sorted(named & set(topics))
        for number in range(topics[name].partitions)
    ]
    return KafkaAdmin(kafka_properties(config, secrets)).offsets(partitions)


def sort_findings(findings: list[Finding]) -> list[Finding]:
    """Errors first, then warnings; otherwise in the order in which they were found."""
    rank = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.OK: 2}
    return sorted(findings, key=lambda finding: rank[finding.severity])


def missing_connectors(facts: Facts) -> list[Finding]:
    """A finding for every source site that has no connector, or more than one."""
    if facts.connectors is None:
        return []
    found = []
    for site in filter(facts.is_source, facts.config.sites):
        names = [connector.name for connector in connectors_of(facts, site)]
        prefix = facts.config.sites[site].topic_prefix
        if not names:
            found.append(
                Finding(
                    "connector_missing",
                    Severity.ERROR,
                    {"site": site},
                    f"no connector writes under the topic prefix {prefix}",
                    "Register it: `dts connectors --register`.",
                )
            )
        elif len(names) > 1:
            found.append(
                Finding(
                    "connector_prefix_taken",
                    Severity.ERROR,
                    {"site": site},
                    f"{', '.join(names)} all write under the topic prefix {prefix}, so every "
                    "change arrives more than once",
                    "Delete all but one of them.",
                )
            )
    return found


def _ask(question: Callable[[], _Answer]) -> _Answer | DtsError:
    try:
        return question()
    except DtsError as error:
        return error


def _outcome(answer: object, where: dict[str, str]) -> list[Finding]:
    if isinstance(answer, DtsError):
        return [of_error(answer, where)]
    if answer is None:
        return [
            Finding(
                "connect_not_configured",
                Severity.WARNING,
                {},
                "dts.yaml names no Kafka Connect: the connectors were not looked at, and "
                "values are read as Debezium's default modes spell them",
                "Add `connect: {url: …}`.",
            )
        ]
    return [_reached(where, "it answers")]


def _reached(where: dict[str, str], message: str) -> Finding:
    return Finding("reachable", Severity.OK, where, message)


def _reader(config: Config, site: str) -> str:
    settings = config.sites[site]
    return (settings.connector or settings).user


def _topics(config: Config, secrets: Mapping[str, str]) -> dict[str, TopicSettings]:
    admin = KafkaAdmin(kafka_properties(config, secrets))
    prefixes = tuple(f"{site.topic_prefix}." for site in config.sites.values())
    return admin.topics([name for name in admin.names() if name.startswith(prefixes)])


def _connectors(config: Config) -> dict[str, RegisteredConnector] | None:
    if config.connect is None:
        return None
    with open_connect(config.connect, patience=3.0) as connect:
        return connect.connectors()
