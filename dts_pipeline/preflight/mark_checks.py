"""Checks of the marks: which one each account may use, tried for real, and whether it is free."""

from __future__ import annotations

from dts_pipeline.core.grants import Account, SiteUse, pipeline_grants
from dts_pipeline.core.links import Link, MarkKind
from dts_pipeline.core.schema import Dialect
from dts_pipeline.preflight.facts import Facts, SiteFacts
from dts_pipeline.preflight.findings import SKIP, Problem, Severity, error, warning
from dts_pipeline.preflight.registry import Problems, link_check, site_check

_NO_PRIVILEGE = 1227
_NO_GTIDS = frozenset({1781, 1782, 1785})


@site_check("privilege_missing", "the account may set the configured mark")
def may_mark(facts: Facts, site: SiteFacts) -> Problems:
    """The stamp was really tried on this server with this account."""
    needed = facts.mark is MarkKind.ORIGIN and facts.is_target(site.name)
    if not needed or site.origin_errno in _NO_GTIDS:  # GTIDs have a check of their own
        yield SKIP
        return
    if site.origin_errno == 0:
        return
    user = facts.config.sites[site.name].user
    use = SiteUse.of(site.name, facts.links, site.dialect, facts.mark)
    yield error(
        f"the account {user} may not set the origin stamp (error {site.origin_errno})",
        f"{pipeline_grants(Account(user), use)[-1]} Or use `mark: comment`.",
    )


@site_check("mark_choice", "")
def mark_choice(facts: Facts, site: SiteFacts) -> Problems:
    """Says which marks the account may use here, and why."""
    if facts.is_target(site.name):
        text = f"origin: {_origin(site)}; comment: {_comment(site)}"
        yield Problem(Severity.OK, text, "")
    else:
        yield SKIP


def _origin(site: SiteFacts) -> str:
    right = "REPLICATION_APPLIER" if site.dialect is Dialect.MYSQL else "BINLOG REPLAY"
    if site.origin_errno == 0:
        return f"yes, the account holds {right} (recommended)"
    if site.origin_errno == _NO_PRIVILEGE:
        return f"no, the account lacks {right}"
    if site.origin_errno in _NO_GTIDS:
        return "no, gtid_mode is not ON"
    return f"no, the server refused it (error {site.origin_errno})"


def _comment(site: SiteFacts) -> str:
    mysql = site.dialect is Dialect.MYSQL
    variable = "binlog_rows_query_log_events" if mysql else "binlog_annotate_row_events"
    if site.is_on(variable):
        return f"yes, {variable} is on and it needs no privilege (include.query makes it costly)"
    return f"no, {variable} is off"


@link_check("mark_domain", "the mark's GTID domain is the pipeline's alone")
def mark_domain(facts: Facts, link: Link, _source: SiteFacts, target: SiteFacts) -> Problems:
    """On MariaDB the mark is a GTID domain that no server writes under by itself."""
    if link.mark is not MarkKind.ORIGIN or target.dialect is not Dialect.MARIADB:
        yield SKIP
        return
    domain = link.mark_domain_id
    if domain is None:
        yield error(
            "`mark: origin` writes to MariaDB under a GTID domain of its own, and none is named",
            "Set mark_domain_id of the pair or link to a number that no server uses as its "
            "gtid_domain_id.",
            code="mark_domain_missing",
            site=target.name,
        )
        return
    for site in facts.sites.values():
        if site.number("gtid_domain_id") == domain:
            yield error(
                f"the server's own gtid_domain_id is {domain}, so users' writes would be dropped "
                "as the pipeline's",
                "Give mark_domain_id another number.",
                code="mark_domain_taken",
                site=site.name,
            )
        elif str(domain) in _domains(site.variables.get("gtid_slave_pos", "")):
            # A replica that was promoted in a site's place remembers the pipeline's own writes.
            stops = bool(site.number("slaves_running"))
            yield (error if stops else warning)(
                f"the server {'replicates' if stops else 'has replicated'} GTID domain {domain} "
                "from elsewhere; writes of others than the pipeline would be dropped as its own",
                "Give mark_domain_id another number.",
                code="mark_domain_taken",
                site=site.name,
            )


def _domains(position: str) -> set[str]:
    return {gtid.strip().partition("-")[0] for gtid in position.split(",") if gtid.strip()}
