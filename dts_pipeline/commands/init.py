"""`dts init`: the ledger at every site, under one installation id."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import uuid4

from sqlalchemy.dialects import mysql

import dts_pipeline
from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.ledger import Ledger
from dts_pipeline.adapters.ledger_tables import create_statements
from dts_pipeline.commands import exits
from dts_pipeline.commands.output import Output
from dts_pipeline.commands.session import Session
from dts_pipeline.core.grants import Account, SiteUse, grants_script
from dts_pipeline.core.schema import Dialect
from dts_pipeline.errors import DtsError, TerminalError


def init(session: Session, output: Output) -> int:
    """Makes what is missing of the ledger at every site; nothing is made unless all answer.

    Raises TerminalError `installations_differ` if two sites belong to different installations.
    """
    before = {site: _installation(db) for site, db in session.databases.items()}
    shared = _shared(before) or str(uuid4())
    for database in session.databases.values():
        Ledger(database).create(dts_pipeline.__version__, shared)
    sites = {site: "there" if known else "made" for site, known in before.items()}
    output.document({"installation": shared, "sites": sites})
    output.table("", ["site", "ledger", "installation"], [(s, w, shared) for s, w in sites.items()])
    return exits.DONE


def print_sql(session: Session, output: Output) -> int:
    """Shows what an administrator has to run instead, for each site.

    A server is asked only whether it is MySQL or MariaDB; if it can't be, both are shown.
    """
    statements = [f"{statement};" for statement in create_statements(mysql.dialect())]
    grants = {site: _grants(session, site) for site in session.config.sites}
    output.document({"ledger": statements, "grants": grants})
    for site, by_dialect in grants.items():
        output.line(f"-- Site {site}\n")
        output.line("\n\n".join(statements) + "\n")
        for dialect, script in by_dialect.items():
            if len(by_dialect) > 1:
                output.line(f"-- If the server is {dialect}:\n")
            output.line(script)
    return exits.DONE


def _installation(database: Database) -> str | None:
    try:
        return Ledger(database).installation()
    except TerminalError as error:
        if error.code != "ledger_missing":
            raise
        return None


def _shared(found: Mapping[str, str | None]) -> str | None:
    """The id that the sites have already, if any has one."""
    known = {site: name for site, name in found.items() if name}
    if len(set(known.values())) > 1:
        raise TerminalError(
            "installations_differ",
            "the sites' ledgers belong to different installations",
            where=known,
            remedy="Each site belongs to one installation: check that dts.yaml names the right "
            "servers. If one ledger is a leftover, drop its schema `dts` and run `dts init` again.",
        )
    return next(iter(known.values()), None)


def _grants(session: Session, site: str) -> dict[str, str]:
    """The GRANTs of a site by dialect."""
    config = session.config.sites[site]
    links = session.links.values()
    connector = Account(config.connector.user) if config.connector else None
    return {
        dialect.value: grants_script(
            Account(config.user), connector, SiteUse.of(site, links, dialect, session.config.mark)
        )
        for dialect in _dialects(session, site)
    }


def _dialects(session: Session, site: str) -> list[Dialect]:
    """What the server says it is; without an answer (the account may not be there yet), both."""
    try:
        return [session.databases[site].facts.dialect]
    except DtsError:
        return list(Dialect)
