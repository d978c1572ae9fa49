"""The contract between a link's sites: their tables, and the settings of the source's connector."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dts_pipeline.adapters.connect_api import ConnectApi
from dts_pipeline.adapters.connector_status import MESSAGE_TOO_LARGE
from dts_pipeline.adapters.table_schema import read_tables
from dts_pipeline.core.contract import Difference, compare_tables, is_grave
from dts_pipeline.core.message_size import can_exceed
from dts_pipeline.core.schema import Table
from dts_pipeline.core.setting_contract import Capture, compare_settings
from dts_pipeline.errors import TerminalError
from dts_pipeline.stages.ddl import site_tables
from dts_pipeline.stages.runtime import LinkRuntime


@dataclass(frozen=True)
class ContractReport:
    """What differs. `grave` differences stop a run; `missing` names tables without a twin.

    `settings_seen` is false where dts.yaml names no Kafka Connect to ask.
    """

    tables: int
    differences: tuple[Difference, ...]
    grave: tuple[Difference, ...]
    missing: tuple[str, ...]
    settings_seen: bool


def contract(runtime: LinkRuntime) -> ContractReport:
    """Compares what there is now; writes nothing, refuses nothing.

    Raises TransientError where a server is away, TerminalError `connector_missing`,
    `connector_failed`, `connector_position_lost` or `connector_stopped`.
    """
    link = runtime.link
    source, target = site_tables(runtime)
    settings = connector_settings(runtime)
    by_settings = setting_differences(runtime, settings, source.values())
    by_tables = table_differences(runtime, source, target)
    grave = [d for d in by_settings if d.changes_rows] + [d for d in by_tables if is_grave(d, link)]
    return ContractReport(
        tables=len(source),
        differences=(*by_settings, *by_tables),
        grave=tuple(grave),
        missing=tuple(sorted(set(source) - set(target))),
        settings_seen=settings is not None,
    )


def connector_settings(runtime: LinkRuntime) -> Mapping[str, str] | None:
    """The settings of the source's connector, which must run; None if Connect is not named.

    What is in Kafka could still be carried, but a link that looks healthy while its source is no
    longer read is worse than one that says so.
    """
    if runtime.connect_url is None:
        return None
    try:
        with ConnectApi(runtime.connect_url, tls=runtime.connect_tls) as api:
            return api.running_of(runtime.link.source_prefix).settings
    except TerminalError as error:
        if error.code != MESSAGE_TOO_LARGE:
            raise
        raise _naming_topics(runtime, error) from None


def _naming_topics(runtime: LinkRuntime, error: TerminalError) -> TerminalError:
    """Connect does not say whose row it was; most tables cannot have one that large."""
    limit = error.where.get("limit_bytes")
    tables = read_tables(runtime.source, runtime.link.matches)
    large = [n for n, t in tables.items() if can_exceed(t, limit if isinstance(limit, int) else 0)]
    topics = [runtime.link.topic_of(name) for name in large]
    where = {
        **error.where,
        "link": runtime.link.name,
        "topics": ",".join(topics) or "none of these",
    }
    return TerminalError(error.code, error.message, where=where, remedy=error.remedy)


def setting_differences(
    runtime: LinkRuntime, settings: Mapping[str, str] | None, tables: Iterable[Table]
) -> list[Difference]:
    """What the connector's settings do to events of the source's `tables`."""
    if settings is None:
        return []
    return compare_settings(Capture(settings, list(tables), runtime.link.truncate == "stop"))


def table_differences(
    runtime: LinkRuntime, source: Mapping[str, Table], target: Mapping[str, Table]
) -> list[Difference]:
    """How the tables that both sites have differ; both by `schema.table`."""
    dialects = runtime.source.facts.dialect, runtime.target.facts.dialect
    return [
        difference
        for name, table in source.items()
        if name in target
        for difference in compare_tables(table, target[name], *dialects)
    ]


def refuse(runtime: LinkRuntime, grave: Iterable[Difference]) -> None:
    """Raises TerminalError with the first difference's code, if there is any."""
    for difference in grave:
        place = {"table": difference.table, "column": difference.column or ""}
        raise TerminalError(
            difference.code,
            difference.message,
            where={"link": runtime.link.name, **{k: v for k, v in place.items() if v}},
            remedy=difference.remedy,
        )
