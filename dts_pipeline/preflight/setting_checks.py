"""Checks of the connector's settings that change, drop or rename what arrives."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dts_pipeline.adapters.connect_api import RegisteredConnector
from dts_pipeline.core import setting_contract as contract
from dts_pipeline.core.contract import Difference
from dts_pipeline.preflight.facts import Facts
from dts_pipeline.preflight.findings import of_difference
from dts_pipeline.preflight.registry import Problems, connector_check

_Rule = Callable[[contract.Capture], Iterator[Difference]]


def _check(code: str, fine: str, rule: _Rule) -> None:
    @connector_check(code, fine)
    def look(facts: Facts, site: str, connector: RegisteredConnector) -> Problems:
        for difference in rule(_capture(facts, site, connector)):
            yield of_difference(difference, grave=difference.changes_rows)


def _capture(facts: Facts, site: str, connector: RegisteredConnector) -> contract.Capture:
    links = facts.links_from(site)
    found = {t.full_name: t for link in links for t in facts.carried(link)}
    tables = [found[name] for name in sorted(found)]
    return contract.Capture(connector.settings, tables, any(x.truncate == "stop" for x in links))


_check("lossy_mode", "the type modes keep every value", contract.modes)
_check("time_adjuster", "years below 100 arrive as they are", contract.time_adjuster)
_check("null_replaced", "NULL stays NULL", contract.null_replaced)
_check("converter_unread", "keys and values arrive as JSON", contract.converters)
_check("operations_skipped", "no kind of change is left out", contract.skipped)
_check("events_dropped", "an event that cannot be read stops the connector", contract.failures)
_check("columns_changed", "columns arrive whole and under their names", contract.columns)
_check("topic_naming", "topics have Debezium's own names", contract.naming)
_check("transforms_present", "no transformation touches the events", contract.transforms)
