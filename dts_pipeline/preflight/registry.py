"""The list of checks: small functions over facts, each with a code and a place where it looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dts_pipeline.adapters.connect_api import RegisteredConnector
from dts_pipeline.core.links import Link
from dts_pipeline.core.type_fit import Fit
from dts_pipeline.preflight.facts import Facts, SiteFacts
from dts_pipeline.preflight.findings import SKIP, Finding, Problem, Severity

Problems = Iterator[Problem]
SiteCheck = Callable[[Facts, SiteFacts], Problems]
LinkCheck = Callable[[Facts, Link, SiteFacts, SiteFacts], Problems]
TopicCheck = Callable[[Facts, Link], Problems]
ConnectorCheck = Callable[[Facts, str, RegisteredConnector], Problems]


@dataclass(frozen=True)
class Check:
    """A check: `fine` is what it says where it found nothing wrong; `rank` puts servers first."""

    code: str
    fine: str
    rank: int
    places: Callable[[Facts], Iterator[tuple[dict[str, str], Problems]]]


CHECKS: list[Check] = []


def run_checks(facts: Facts) -> list[Finding]:
    """The findings of every check at every place that could be asked."""
    found: list[Finding] = []
    for check in sorted(CHECKS, key=lambda check: check.rank):
        for where, problems in check.places(facts):
            answers = list(problems)
            found += [_finding(check, where, problem) for problem in answers if problem is not SKIP]
            if all(problem.fit is Fit.HARMLESS for problem in answers):
                found.append(Finding(check.code, Severity.OK, where, check.fine))
    return found


def _finding(check: Check, where: dict[str, str], problem: Problem) -> Finding:
    code, place = problem.code or check.code, {**where, **problem.where}
    return Finding(code, problem.severity, place, problem.message, problem.remedy, problem.fit)


def site_check(code: str, fine: str) -> Callable[[SiteCheck], SiteCheck]:
    """Looks at every site that could be asked."""

    def register(function: SiteCheck) -> SiteCheck:
        def places(facts: Facts) -> Iterator[tuple[dict[str, str], Problems]]:
            for name, site in facts.sites.items():
                yield {"site": name}, function(facts, site)

        CHECKS.append(Check(code, fine, 0, places))
        return function

    return register


def link_check(code: str, fine: str) -> Callable[[LinkCheck], LinkCheck]:
    """Looks at every link of which both ends could be asked."""

    def register(function: LinkCheck) -> LinkCheck:
        def places(facts: Facts) -> Iterator[tuple[dict[str, str], Problems]]:
            for link in facts.links:
                source, target = facts.sites.get(link.source), facts.sites.get(link.target)
                if source and target:
                    yield {"link": link.name}, function(facts, link, source, target)

        CHECKS.append(Check(code, fine, 1, places))
        return function

    return register


def topic_check(code: str, fine: str) -> Callable[[TopicCheck], TopicCheck]:
    """Looks at every link's topics, where Kafka could be asked."""

    def register(function: TopicCheck) -> TopicCheck:
        def places(facts: Facts) -> Iterator[tuple[dict[str, str], Problems]]:
            if facts.topics is not None:
                for link in facts.links:
                    yield {"link": link.name}, function(facts, link)

        CHECKS.append(Check(code, fine, 2, places))
        return function

    return register


def connector_check(code: str, fine: str) -> Callable[[ConnectorCheck], ConnectorCheck]:
    """Looks at the connector of every source site that has exactly one."""

    def register(function: ConnectorCheck) -> ConnectorCheck:
        def places(facts: Facts) -> Iterator[tuple[dict[str, str], Problems]]:
            for site in facts.config.sites:
                found = connectors_of(facts, site)
                if facts.is_source(site) and len(found) == 1:
                    where = {"site": site, "connector": found[0].name}
                    yield where, function(facts, site, found[0])

        CHECKS.append(Check(code, fine, 3, places))
        return function

    return register


def connectors_of(facts: Facts, site: str) -> list[RegisteredConnector]:
    """The connectors that write under the site's topic prefix."""
    prefix = facts.config.sites[site].topic_prefix
    known = facts.connectors or {}
    return [c for c in known.values() if c.settings.get("topic.prefix") == prefix]
