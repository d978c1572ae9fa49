"""The least privileges of the pipeline's and the connector's account, as SQL text.

Tried on MySQL 9.7 and MariaDB 10.11 with accounts that have nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dts_pipeline.core.links import Ddl, Link, MarkKind
from dts_pipeline.core.schema import Dialect

LEDGER_SCHEMA = "dts"
_LEDGER_RIGHTS = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, CREATE TEMPORARY TABLES"
ALTER_RIGHTS = ("ALTER", "CREATE", "INDEX")
"""What `ddl: additive` needs at a target besides the rights on rows."""
_GRANT = re.compile(r"GRANT (.+?) ON (?:TABLE )?(\*|`(?:[^`]|``)*`)\.(\*|`(?:[^`]|``)*`) TO ")
_CLASS = re.compile(r"\[[^\]]+\]")


@dataclass(frozen=True)
class Account:
    """A database account; `host` is where it may connect from."""

    user: str
    host: str = "%"

    def __str__(self) -> str:
        return f"{_quoted(self.user)}@{_quoted(self.host)}"


@dataclass(frozen=True)
class SiteUse:
    """What an installation does at a site: patterns of the tables it writes, and only reads.

    They are the site's own names.

    `altered` are those of the written ones that it also makes and alters (`ddl: additive`).
    """

    dialect: Dialect
    mark: MarkKind
    written: tuple[str, ...]
    read: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()

    @classmethod
    def of(cls, site: str, links: Iterable[Link], dialect: Dialect, mark: MarkKind) -> SiteUse:
        """What `links` do at `site`: they write where it is their target."""
        links = list(links)
        writers = [link for link in links if link.target == site]
        additive = [link for link in writers if link.ddl is Ddl.ADDITIVE]
        written, altered = (
            _unique(p for link in some for p in link.target_names.patterns(link.tables))
            for some in (writers, additive)
        )
        read = _unique(
            p
            for link in links
            if link.source == site
            for p in link.source_names.patterns(link.tables)
        )
        return cls(dialect, mark, written, tuple(p for p in read if p not in written), altered)


def pipeline_grants(account: Account, use: SiteUse) -> list[str]:
    """What `dts sync` and `dts init` need: rows, the ledger's schema, and the mark."""
    grants = [
        _grant("SELECT, INSERT, UPDATE, DELETE", place, account) for place in _places(use.written)
    ]
    grants += [_grant("SELECT", place, account) for place in _places(use.read)]
    grants += [_grant(", ".join(ALTER_RIGHTS), p, account) for p in _places(use.altered)]
    grants.append(_grant(_LEDGER_RIGHTS, f"{_name(LEDGER_SCHEMA)}.*", account))
    if use.mark is MarkKind.ORIGIN and use.written:
        right = "REPLICATION_APPLIER" if use.dialect is Dialect.MYSQL else "BINLOG REPLAY"
        grants.append(_grant(right, "*.*", account))
    return grants


def preflight_grants(account: Account, use: SiteUse) -> list[str]:
    """What only `dts preflight` needs, to see triggers and, on MariaDB, attached replicas."""
    grants = [_grant("TRIGGER", place, account) for place in _places(use.written)]
    if use.dialect is Dialect.MARIADB and use.mark is MarkKind.ORIGIN:
        grants.append(_grant("PROCESS", "*.*", account))
    return grants


def connector_grants(account: Account, use: SiteUse) -> list[str]:
    """What Debezium needs at a source: the binlog, and a short lock while it reads the schema."""
    patterns = _unique((*use.written, *use.read))
    grants = [_grant("SELECT", place, account) for place in _places(patterns)]
    grants.append(_grant("SELECT", f"{_name(LEDGER_SCHEMA)}.{_name('watermark')}", account))
    if use.dialect is Dialect.MYSQL:
        rights = "RELOAD, REPLICATION SLAVE, REPLICATION CLIENT"
    else:
        rights = "RELOAD, REPLICATION SLAVE, BINLOG MONITOR"
    return [*grants, _grant(rights, "*.*", account)]


def lacking_rights(shown: Iterable[str], full_name: str, wanted: Sequence[str]) -> list[str]:
    """Those of `wanted` that no line of SHOW GRANTS gives on a table (`schema.table`)."""
    held: set[str] = set()
    for line in shown:
        match = _GRANT.match(line)
        if match and _covers(match[2], match[3], full_name):
            held |= {right.strip().upper() for right in match[1].split(",")}
    return [] if "ALL PRIVILEGES" in held else [right for right in wanted if right not in held]


def _covers(schema: str, table: str, full_name: str) -> bool:
    """Whether a GRANT's place holds the table; `%` and `_` of a schema are wildcards."""
    own_schema, _, own_table = full_name.partition(".")
    plain = schema[1:-1].replace("``", "`")
    parts = re.findall(r"\\.|.", plain, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    pattern = "".join(wild.get(part) or re.escape(part[-1]) for part in parts)
    in_schema = schema == "*" or re.fullmatch(pattern, own_schema, re.DOTALL) is not None
    return in_schema and table in ("*", _name(own_table))


def grants_script(pipeline: Account, connector: Account | None, use: SiteUse) -> str:
    """All GRANTs of a site with a comment for each group; no password is in it."""
    groups = [
        (f"-- The account of dts ({pipeline}).", pipeline_grants(pipeline, use)),
        (
            "-- For `dts preflight` only; revoke it afterwards if you like.",
            preflight_grants(pipeline, use),
        ),
        (
            f"-- The account of the Debezium connector ({connector or pipeline}).",
            connector_grants(connector or pipeline, use),
        ),
    ]
    accounts = [pipeline] + ([connector] if connector and connector != pipeline else [])
    lines = [f"-- CREATE USER {account} IDENTIFIED BY '…';" for account in accounts]
    for comment, grants in groups:
        lines += ["", comment, *grants]
    return "\n".join(lines) + "\n"


def _grant(rights: str, place: str, account: Account) -> str:
    return f"GRANT {rights} ON {place} TO {account};"


def _places(patterns: Sequence[str]) -> tuple[str, ...]:
    """Where to grant so that every table of the patterns is covered.

    GRANT knows wildcards for schemas only: a pattern within table names becomes the whole schema.
    """
    return _unique(_place(pattern) for pattern in patterns)


def _place(pattern: str) -> str:
    schema, _, table = pattern.partition(".")
    if not re.search(r"[*?\[]", pattern):
        return f"{_name(schema)}.{_name(table)}"
    schema = schema.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%")
    schema = _CLASS.sub("_", schema).replace("*", "%").replace("?", "_")
    return f"{_name(schema)}.*"


def _name(identifier: str) -> str:
    return "`" + identifier.replace("`", "``") + "`"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _unique(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))
