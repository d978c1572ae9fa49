"""Checks of the carried tables: do they exist on both sides, fit each other, and stay alone."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dts_pipeline.core.contract import (
    CASCADE_REMEDY,
    compare_tables,
    is_grave,
    unlogged_cascades,
    untold,
)
from dts_pipeline.core.ddl import COPIES_REMEDY, is_copy
from dts_pipeline.core.exclusion import EXCLUDE_UNKNOWN_REMEDY, unknown_columns, without_extra
from dts_pipeline.core.grants import ALTER_RIGHTS, lacking_rights
from dts_pipeline.core.lanes import refuse_divided
from dts_pipeline.core.links import Ddl, Link
from dts_pipeline.core.schema import ForeignKey, Table
from dts_pipeline.errors import TerminalError
from dts_pipeline.preflight.facts import Facts, SiteFacts, Trigger
from dts_pipeline.preflight.findings import SKIP, Problem, Severity, error, of_difference, warning
from dts_pipeline.preflight.registry import Problems, link_check
from dts_pipeline.stages.filters import check_filters


@link_check("table_missing", "every table of the source exists at the target")
def tables_exist(facts: Facts, link: Link, _source: SiteFacts, target: SiteFacts) -> Problems:
    """Patterns are resolved at the source."""
    carried = facts.carried(link)
    if not carried:
        yield warning(
            "no table of the source matches the link's patterns, or the account sees none",
            "Check `tables`, and the account's SELECT privilege (`dts init --print`).",
            code="tables_none",
            site=link.source,
        )
    for table in carried:
        if table.full_name not in target.tables:
            if _is_made(link, table):
                yield warning(
                    "the table does not exist at the target; the link's next run makes it there",
                    "Nothing to do, or leave it out (`!schema.table` among `tables`).",
                    table=table.full_name,
                    site=link.target,
                )
                continue
            yield error(
                "the table does not exist at the target, or the account may not see it",
                f"Create it at site {link.target}, or narrow the table patterns.",
                table=table.full_name,
                site=link.target,
            )


def _is_made(link: Link, table: Table) -> bool:
    """Whether an additive link makes the table, unless it was dropped at the target."""
    copied = is_copy(table.full_name)
    return link.ddl is Ddl.ADDITIVE and bool(table.primary_key) and not copied


@link_check("table_contract", "the tables of both sites fit each other")
def tables_fit(facts: Facts, link: Link, source: SiteFacts, target: SiteFacts) -> Problems:
    """Every difference, harmless ones as fine; a run stops on the grave ones itself."""
    there = facts.tables_of(link, target)
    for table in facts.carried(link):
        twin = there.get(table.full_name)
        if twin is not None:
            if link.ddl is Ddl.IGNORE:
                table = without_extra(table, twin)
            for difference in compare_tables(table, twin, source.dialect, target.dialect):
                yield of_difference(difference, grave=is_grave(difference, link))


@link_check("exclude_unknown", "the columns that `columns` excludes are there")
def excluded_columns(facts: Facts, link: Link, source: SiteFacts, target: SiteFacts) -> Problems:
    """At one of the sites at least: a misspelt name would not keep anything apart."""
    both = facts.tables_of(link, source), facts.tables_of(link, target)
    for table, column in unknown_columns(link.excluded_columns, *both):
        yield error(
            f"`columns` names {column}, which the table has at neither site",
            EXCLUDE_UNKNOWN_REMEDY,
            table=table,
            column=column,
        )


@link_check("where_unknown", "the conditions of `where` fit the source's tables")
def row_filters(facts: Facts, link: Link, source: SiteFacts, _target: SiteFacts) -> Problems:
    """A filter that cannot be asked would let rows out, or keep them back."""
    carried = {table.full_name: table for table in facts.carried(link)}
    try:
        check_filters(link, carried, _unlogged(carried, source))
    except TerminalError as problem:
        place = {k: str(v) for k, v in problem.where.items() if k != "link"}
        yield error(problem.message, problem.remedy, code=problem.code, site=source.name, **place)


@link_check("privilege_missing", "the account may read and write the tables")
def tables_writable(facts: Facts, link: Link, source: SiteFacts, target: SiteFacts) -> Problems:
    """Each right was tried with EXPLAIN, which needs it and changes nothing."""
    for table in facts.carried(link):
        for site, needed in (
            (source, {"SELECT"}),
            (target, {"SELECT", "INSERT", "UPDATE", "DELETE"}),
        ):
            lacking = [r for r in site.refused.get(table.full_name, ()) if r in needed]
            if lacking:
                user = facts.config.sites[site.name].user
                yield error(
                    f"the account {user} lacks {', '.join(lacking)}",
                    "Run the GRANTs of `dts init --print`.",
                    table=table.full_name,
                    site=site.name,
                )


@link_check("ddl_rights_unseen", "the account may make up tables and columns (`ddl: additive`)")
def tables_alterable(facts: Facts, link: Link, _source: SiteFacts, target: SiteFacts) -> Problems:
    """By SHOW GRANTS: an ALTER cannot be tried without changing something, and roles may add."""
    if link.ddl is not Ddl.ADDITIVE or target.grants is None:
        yield SKIP
        return
    for table in facts.carried(link):
        name = link.target_names.own(table.full_name)
        lacking = lacking_rights(target.grants, name, ALTER_RIGHTS)
        if lacking:
            yield warning(
                f"no GRANT of the account {facts.config.sites[target.name].user} has "
                f"{', '.join(lacking)}: a schema change at {link.source} would end the link's runs "
                "with ddl_refused",
                "Run the GRANTs of `dts init --print`.",
                table=table.full_name,
                site=target.name,
            )


@link_check("ddl_copies", "the copies of online schema changes are left out (`ddl: additive`)")
def copies_left_out(_facts: Facts, link: Link, source: SiteFacts, _target: SiteFacts) -> Problems:
    """gh-ost and pt-online-schema-change copy a table under another name, and swap it in."""
    if link.ddl is not Ddl.ADDITIVE:
        yield SKIP
        return
    caught = [name for name in sorted(source.tables) if link.matches(_copy_of(name))]
    if caught:
        yield warning(
            f"`tables` would carry {_copy_of(caught[0])}, as gh-ost makes it: the link would stop "
            "for the time of such a change",
            COPIES_REMEDY,
            site=source.name,
        )


def _copy_of(full_name: str) -> str:
    schema, _, table = full_name.partition(".")
    return f"{schema}._{table}_gho"


@link_check("column_missing", "the columns that policies compare are there")
def policy_columns(facts: Facts, link: Link, source: SiteFacts, target: SiteFacts) -> Problems:
    """`newest` and `version` name columns."""
    for table in facts.carried(link):
        policy = link.policy_of(table.full_name)
        wanted = {link.version_column_of(table.full_name), policy.column if policy else None}
        for site in (source, target):
            there = site.tables.get(table.full_name)
            for name in sorted(filter(None, wanted)):
                if there and name not in {column.name for column in there.columns}:
                    yield error(
                        f"dts.yaml names the column {name}, which the table lacks",
                        "Add the column at both sites, or give the table another policy.",
                        table=table.full_name,
                        column=name,
                        site=site.name,
                    )


@link_check("cascade_not_carried", "what foreign keys change unlogged can be carried out")
def cascades(facts: Facts, link: Link, source: SiteFacts, _target: SiteFacts) -> Problems:
    """A cascade that the source does not log is carried out by apply, if events tell of it."""
    carried = {table.full_name: table for table in facts.carried(link)}
    for key in _unlogged(carried, source):
        why = untold(key, carried)
        if why is not None:
            yield error(
                f"the foreign key {key.name} changes rows of {key.child}, the server does not log "
                f"them, and {why}: they would stay as they are at the other site",
                CASCADE_REMEDY,
                table=key.child,
                site=source.name,
            )


def _unlogged(carried: Mapping[str, Table], source: SiteFacts) -> tuple[ForeignKey, ...]:
    native = source.variables.get("innodb_native_foreign_keys") == "ON"
    return unlogged_cascades(carried, source.dialect, source.version, native=native)


@link_check("lanes_divide", "rows that depend on each other are in one lane")
def lanes_divide(facts: Facts, link: Link, source: SiteFacts, _target: SiteFacts) -> Problems:
    """Lanes write apart from each other, so foreign keys and unique values stay inside of one."""
    if not link.lanes:
        yield SKIP
        return
    try:
        refuse_divided(link, {table.full_name: table for table in facts.carried(link)})
    except TerminalError as problem:
        place = {k: str(v) for k, v in problem.where.items() if k != "link"}
        yield error(problem.message, problem.remedy, site=source.name, **place)


@link_check("trigger_at_target", "no trigger fires for carried rows")
def triggers(facts: Facts, link: Link, _source: SiteFacts, target: SiteFacts) -> Problems:
    """A trigger fires again for each row that the pipeline writes."""
    if target.triggers is None:
        yield warning(
            "whether tables have triggers cannot be seen",
            "Grant TRIGGER on the tables for the time of the check (`dts init --print`).",
            code="triggers_unknown",
            site=target.name,
        )
        return
    names = {table.name for table in facts.tables_of(link, target).values()}
    for trigger in target.triggers:
        if link.matches(trigger.table):
            yield _of_trigger(trigger, names, target.name)


def _of_trigger(trigger: Trigger, carried: set[str], site: str) -> Problem:
    words = set(re.findall(r"[\w$]+", trigger.statement))
    changes_row = trigger.timing == "BEFORE" and re.search(r"\bNEW\b", trigger.statement, re.I)
    writes_carried = bool(words & carried)
    effect = "fires for every row that the pipeline writes"
    if changes_row:
        effect += " and may change it, so the sites end different"
    elif writes_carried:
        effect += " and writes carried tables, whose rows arrive from the other site as well"
    return Problem(
        Severity.ERROR if changes_row or writes_carried else Severity.WARNING,
        f"the trigger {trigger.name} ({trigger.timing} {trigger.event}) {effect}",
        "Drop it here, or let its body do nothing for the pipeline's account "
        "(IF SUBSTRING_INDEX(USER(), '@', 1) <> '…' THEN … END IF).",
        "",
        {"table": trigger.table, "site": site},
    )


@link_check("auto_increment_collides", "both sites draw different AUTO_INCREMENT values")
def auto_increment(facts: Facts, link: Link, source: SiteFacts, target: SiteFacts) -> Problems:
    """Rows inserted at both sites at the same time must not get the same key."""
    tables = [
        table.full_name
        for table in facts.carried(link)
        if any(column.auto_increment for column in table.columns)
    ]
    if not tables or link.pair is None or source.name > target.name:  # once a pair
        yield SKIP
        return
    steps = [int(s.number("auto_increment_increment") or 1) for s in (source, target)]
    offsets = [int(s.number("auto_increment_offset") or 1) for s in (source, target)]
    distinct = steps[0] == steps[1] and (offsets[0] - offsets[1]) % steps[0] != 0
    if not distinct:
        yield warning(
            "both sites can draw the same AUTO_INCREMENT value for different rows, of which one "
            f"is lost as a conflict ({len(tables)} table(s), {tables[0]} among them)",
            f"Set auto_increment_increment = 2 at both sites, auto_increment_offset = 1 at "
            f"{source.name} and 2 at {target.name}, in the option files and by SET GLOBAL.",
        )


@link_check("zero_dates_unseen", "no zero date can arrive as another day")
def zero_dates(facts: Facts, link: Link, source: SiteFacts, _target: SiteFacts) -> Problems:
    """The connector sends a NOT NULL zero date as 1970-01-01 (docs/types.md)."""
    modes = set(source.variables.get("sql_mode", "").split(","))
    strict = modes & {"STRICT_TRANS_TABLES", "STRICT_ALL_TABLES"}
    dated = [
        f"{table.full_name}.{column.name}"
        for table in facts.carried(link)
        for column in table.columns
        if column.data_type in ("date", "datetime") and not column.nullable
    ]
    if dated and not (strict and "NO_ZERO_DATE" in modes):
        yield warning(
            "the source's sql_mode lets zero dates in, which arrive as 1970-01-01 where a column "
            f"is NOT NULL ({len(dated)} column(s), {dated[0]} among them)",
            "Add NO_ZERO_DATE and NO_ZERO_IN_DATE to a strict sql_mode there, or let the columns "
            "be NULL.",
            site=source.name,
        )


@link_check("table_name_case", "both sites treat the case of table names alike")
def name_case(facts: Facts, link: Link, source: SiteFacts, target: SiteFacts) -> Problems:
    """Tables are found by their names as the servers give them."""
    settings = [s.variables.get("lower_case_table_names", "0") for s in (source, target)]
    tables = [*facts.carried(link), *facts.tables_of(link, target).values()]
    mixed = [t.own_name for t in tables if t.own_name != t.own_name.lower()]
    if settings[0] != settings[1] and mixed:
        yield warning(
            f"lower_case_table_names is {settings[0]} at {source.name} and {settings[1]} at "
            f"{target.name}, and {mixed[0]} has capitals",
            "Use lower-case table names.",
        )
