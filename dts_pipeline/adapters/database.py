"""Connections to one site, and its errors translated so that no row value leaves the driver."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pymysql
from pymysql.constants import CR
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from dts_pipeline.adapters.packets import PACKET_TOO_LARGE, measured
from dts_pipeline.adapters.tls import TlsFiles, client_context, problem, tls_problem
from dts_pipeline.core.names import AS_THEY_ARE, Names
from dts_pipeline.core.schema import Dialect
from dts_pipeline.errors import DtsError, TerminalError, TransientError

_AGAIN = "It is tried again by itself."
_AWAY = (
    "Start the server, or mend host and port of the site; the next run tries it again by itself."
)
_TRANSIENT = {
    1040: ("too_many_connections", "the server has no connection left", _AGAIN),
    1053: ("server_shutdown", "the server is shutting down", _AWAY),
    1205: ("lock_wait_timeout", "waited too long for a row lock", _AGAIN),
    1213: ("deadlock", "was chosen as a deadlock's victim", _AGAIN),
    1317: ("query_interrupted", "a statement was interrupted", _AGAIN),
    1927: ("connection_killed", "the connection was killed", _AGAIN),
    2002: ("server_unreachable", "the server does not answer", _AWAY),
    2003: ("server_unreachable", "the server does not answer", _AWAY),
    2006: ("connection_lost", "the connection was lost", _AGAIN),
    2013: ("connection_lost", "the connection was lost in a statement", _AGAIN),
    2055: ("connection_lost", "the connection was lost in a statement", _AGAIN),
    3024: ("query_interrupted", "a statement took longer than it may", _AGAIN),
    4031: ("connection_lost", "the server closed an idle connection", _AGAIN),
}
_DISK_FULL = (
    "disk_full",
    "the server has no space left for a table or a file of its own",
    "Make room on the server's disk (data, tmpdir, binlog); nothing was written, and the next run "
    "goes on.",
)
_GRANTS = "Run `dts init --print` for the GRANTs."
_TERMINAL = {
    3: _DISK_FULL,  # mysys' own numbers, which have no text of the server's: EE_WRITE
    20: _DISK_FULL,  # EE_DISK_FULL
    1021: _DISK_FULL,
    1026: _DISK_FULL,
    1114: _DISK_FULL,
    1044: (
        "access_denied",
        "the account may not use a schema",
        "Run `dts init --print` for the GRANTs.",
    ),
    1045: (
        "access_denied",
        "user or password is wrong",
        "Check `user` and the password's variable.",
    ),
    1049: ("schema_missing", "a schema does not exist", "Create it, or mend the table patterns."),
    1054: ("column_missing", "a column does not exist", "Make both sites' tables the same."),
    1142: (
        "privilege_missing",
        "the account lacks a table privilege",
        "Run `dts init --print` for the GRANTs.",
    ),
    1143: (
        "privilege_missing",
        "the account lacks a column privilege",
        "Run `dts init --print` for the GRANTs.",
    ),
    1146: (
        "table_missing",
        "a table does not exist",
        "Create it, or run `dts init` for the ledger's tables.",
    ),
    1153: (
        PACKET_TOO_LARGE,
        "a statement is larger than the server's max_allowed_packet",
        "Raise max_allowed_packet of the server; nothing was written.",
    ),
    1227: (
        "privilege_missing",
        "the account lacks a global privilege",
        "Run `dts init --print` for the GRANTs.",
    ),
    1290: ("read_only", "the server is read-only", "Point the site at the writable server."),
    1781: (
        "gtid_off",
        "the server has no GTIDs, and the mark is one",
        "Switch gtid_mode ON there, or use `mark: comment`.",
    ),
    1836: ("read_only", "the server is read-only", "Point the site at the writable server."),
    3159: ("tls_required", "the server accepts only TLS connections", "Add `tls:` to the site."),
}


_LOST = (2006, 2013, 2055)
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_NATIVE_FOREIGN_KEYS = "SHOW GLOBAL VARIABLES LIKE 'innodb_native_foreign_keys'"


@dataclass(frozen=True)
class ServerFacts:
    """What a server says of itself: `incarnation` changes when another server took its place.

    `gtid_domain` is the domain of its users' writes (MariaDB only). `native_foreign_keys`:
    MySQL 9.6 and later carry out foreign keys as before, without logging what these change.
    `local_infile`: the server takes LOAD DATA LOCAL.
    """

    version: str
    dialect: Dialect
    incarnation: str
    gtid_domain: int | None = None
    native_foreign_keys: bool = False
    local_infile: bool = False


@dataclass(frozen=True)
class Database:
    """One site's server; with `tls` nothing is sent to one whose certificate is not accepted.

    `names` is what the site calls tables and columns.
    """

    site: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    tls: TlsFiles | None = None
    names: Names = AS_THEY_ARE

    @cached_property
    def engine(self) -> Engine:
        """An engine that keeps a connection or two for the short reads of a run."""
        url = URL.create(
            "mysql+pymysql",
            username=self.user,
            password=self.password,
            host=self.host,
            port=self.port,
            query={"charset": "utf8mb4"},
        )
        arguments: dict[str, Any] = {
            "connect_timeout": 10,
            "read_timeout": 300,
            "write_timeout": 300,
            "local_infile": self.may_load,
        }
        if self.tls:
            arguments |= {"ssl": client_context(self.tls, self.place)}
        engine = create_engine(
            url,
            pool_size=2,
            max_overflow=8,
            pool_pre_ping=True,
            pool_recycle=30,
            connect_args=arguments,
            isolation_level="READ COMMITTED",
            hide_parameters=True,
        )
        event.listen(engine, "connect", _prepare_session)
        return engine

    @property
    def place(self) -> dict[str, object]:
        """Where an error came up."""
        return {"site": self.site, "address": f"{self.host}:{self.port}"}

    @property
    def may_load(self) -> bool:
        """Whether the server may be trusted with LOAD DATA LOCAL: by TLS, or on this machine.

        With LOCAL allowed a server can ask for any file that this process may read.
        """
        return bool(self.tls) or self.host in _LOOPBACK

    @property
    def loads(self) -> bool:
        """Whether both ends take LOAD DATA LOCAL."""
        return self.may_load and self.facts.local_infile

    @contextlib.contextmanager
    def connect(self, *, where: Mapping[str, object] | None = None) -> Iterator[Connection]:
        """A connection with the pipeline's session settings; driver errors become DtsErrors."""
        with translated({**self.place, **(where or {})}):
            with self.engine.connect() as connection:
                yield connection

    @contextlib.contextmanager
    def raw(
        self, *, where: Mapping[str, object] | None = None
    ) -> Iterator[pymysql.Connection[Any]]:
        """The bare PyMySQL connection, autocommit off, for the applying session.

        Its cursors raise TerminalError `packet_too_large`.
        """
        with translated({**self.place, **(where or {})}):
            fairy = self.engine.raw_connection()
            driver = fairy.driver_connection
            fairy.detach()  # its settings and temporary tables must never reach another user
            try:
                yield measured(driver)  # type: ignore[arg-type]
            finally:
                with contextlib.suppress(Exception):
                    fairy.close()

    def close(self) -> None:
        """Ends the idle connections."""
        if "engine" in self.__dict__:
            self.engine.dispose()

    @cached_property
    def facts(self) -> ServerFacts:
        """Version, dialect and identity, asked once."""
        with self.connect() as connection:
            version = str(connection.scalar(text("SELECT VERSION()")))
            if "mariadb" in version.lower():
                identity, domain, local = connection.execute(
                    text("SELECT @@server_id, @@GLOBAL.gtid_domain_id, @@GLOBAL.local_infile")
                ).one()
                name = f"server_id:{identity}"
                return ServerFacts(
                    version, Dialect.MARIADB, name, int(domain), local_infile=bool(local)
                )
            identity, local = connection.execute(
                text("SELECT @@server_uuid, @@GLOBAL.local_infile")
            ).one()
            native = connection.execute(text(_NATIVE_FOREIGN_KEYS)).fetchall()
            return ServerFacts(
                version,
                Dialect.MYSQL,
                f"server_uuid:{identity}",
                None,
                any(row[1] == "ON" for row in native),
                bool(local),
            )

    def query(self, sql: str, parameters: Mapping[str, object] | None = None) -> Sequence[Any]:
        """All rows of one read, in a transaction of its own."""
        with self.connect() as connection:
            return connection.execute(text(sql), parameters or {}).fetchall()


def _prepare_session(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SET SESSION time_zone = '+00:00', foreign_key_checks = 0, "
            "sql_mode = 'NO_AUTO_VALUE_ON_ZERO,STRICT_ALL_TABLES'"
        )


@contextlib.contextmanager
def translated(where: Mapping[str, object]) -> Iterator[None]:
    """Turns driver errors into DtsErrors. Their texts are dropped: they can quote row values."""
    try:
        yield
    except DtsError:
        raise
    except (DBAPIError, pymysql.MySQLError) as error:
        raise translate(error, where) from None


def error_number(error: Exception) -> int:
    """The server's or client's error number; 0 where there is none."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, pymysql.InterfaceError):
        return 2006  # PyMySQL's own word for a connection that it has closed
    arguments = getattr(original, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else 0


def translate(error: Exception, where: Mapping[str, object]) -> DtsError:
    """The DtsError for a driver's error, by number; its text is not carried over."""
    number = error_number(error)
    place = {**where, "errno": number}
    found = tls_problem(error, where)
    if found and (number not in _LOST or found.code == "client_certificate_refused"):
        return found
    if number == CR.CR_SSL_CONNECTION_ERROR:
        return problem("tls_unavailable", where)
    if number in _TRANSIENT:
        code, what, remedy = _TRANSIENT[number]
        return TransientError(code, what, where=place, remedy=remedy)
    if number in _TERMINAL:
        code, what, remedy = _TERMINAL[number]
        return TerminalError(code, what, where=place, remedy=remedy)
    kind = type(getattr(error, "orig", error)).__name__
    return TerminalError(
        "database_error",
        f"the server refused a statement ({kind} {number})",
        where=place,
        remedy="Look the number up in the server's manual; its text is withheld, because it can "
        "hold row values.",
    )
