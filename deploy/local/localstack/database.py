"""The two database servers: settings files, commands and the question whether they answer."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from localstack.account import Account, current_account, own_folder, write_private
from localstack.accounts import account_statements
from localstack.clocks import clock_environment
from localstack.commands import Command
from localstack.debian import program
from localstack.mysql_tree import mysql_program, mysql_tree
from localstack.service import Service
from localstack.stackfile import SITES, Stack

_READY = "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name IN ('shop', 'dts')"


def database_service(stack: Stack, site: str, account: Account) -> Service:
    """Site `a` or `b` as a service."""
    folder = stack.directory / f"site_{site}"
    argv = (*_server_program(stack.kinds[site]), f"--defaults-file={folder}/server.cnf")
    return Service(
        name=f"site_{site}",
        argv=argv,
        cwd=folder,
        log=stack.log(f"site_{site}"),
        account=account,
        configure=lambda: _configure(stack, site, folder, account),
        prepare=(_prepare(stack, site, folder, account, argv),),
        ask=lambda: _ask(client_argv(stack, site)),
        settle=lambda: (folder / "init.sql").unlink(missing_ok=True),
        env=clock_environment(stack, f"site_{site}"),
    )


def _configure(stack: Stack, site: str, folder: Path, account: Account) -> None:
    """Write the settings files; a fresh server also gets the accounts as its init file.

    A server runs that file before it takes its first connection, so root is never open
    without a password. The file goes once the server has answered.
    """
    for name in ("", "tmp", "files"):
        own_folder(folder / name, account)
    init = folder / "init.sql"
    if not (folder / "data").exists():
        statements = account_statements(
            stack.kinds[site], stack.settings.mark, stack.passwords[site]
        )
        write_private(init, "".join(f"{text};\n" for text in statements), account)
    settings = server_settings(stack, site, folder)
    if init.exists():
        settings["init-file"] = str(init)
    write_private(folder / "server.cnf", _render("mysqld", settings), account)
    _write_client_files(stack, site, folder)


def server_settings(stack: Stack, site: str, folder: Path) -> dict[str, str]:
    """The server's settings file as a dictionary; the user's options come last and win."""
    number = str(SITES.index(site) + 1)
    common = {
        "datadir": f"{folder}/data",
        "tmpdir": f"{folder}/tmp",
        "secure-file-priv": f"{folder}/files",
        "socket": f"{folder}/db.sock",
        "pid-file": f"{folder}/db.pid",
        "bind-address": "127.0.0.1",
        "port": str(stack.ports[f"site_{site}"]),
        "server-id": number,
        "log-bin": "binlog",
        "binlog-format": "ROW",
        "binlog-row-image": "FULL",
        "character-set-server": "utf8mb4",
        "local-infile": "ON",
        "max-allowed-packet": "64M",
        "innodb-buffer-pool-size": "256M",
    }
    relaxed = {"innodb-flush-log-at-trx-commit": "2", "sync-binlog": "0"}
    mysql = stack.kinds[site] == "mysql"
    own = _mysql_settings(mysql_tree()) if mysql else _mariadb_settings(number)
    fast = relaxed if stack.settings.fast else {}
    return {**common, **own, **fast, **stack.settings.options_of(site)}


def _mariadb_settings(number: str) -> dict[str, str]:
    return {
        "binlog-row-metadata": "FULL",
        "binlog-annotate-row-events": "ON",
        "gtid-domain-id": number,
        "gtid-strict-mode": "ON",
        "log-slave-updates": "ON",
    }


def _mysql_settings(tree: Path) -> dict[str, str]:
    usr = tree / "usr"
    return {
        "basedir": str(usr),
        "lc-messages-dir": f"{usr}/share/mysql",
        "plugin-dir": f"{usr}/lib/mysql/plugin",
        "gtid-mode": "ON",
        "enforce-gtid-consistency": "ON",
        "log-replica-updates": "ON",
        "binlog-rows-query-log-events": "ON",
        "mysqlx": "OFF",
    }


def _server_program(kind: str) -> list[str]:
    if kind == "mariadb":
        return [program("mariadbd")]
    return mysql_program(mysql_tree(), "sbin/mysqld")


def _prepare(
    stack: Stack, site: str, folder: Path, account: Account, server: tuple[str, ...]
) -> Command:
    """The command that makes the data folder, with a root that has no password yet."""
    argv: tuple[str, ...] = (*server, "--initialize-insecure")
    if stack.kinds[site] == "mariadb":
        argv = (
            program("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={folder}/data",
            f"--tmpdir={folder}/tmp",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        )
    what = f"make the data folder of site {site}"
    return Command(what, argv, stack.log(f"site_{site}"), account, folder)


def client_argv(stack: Stack, site: str, *, admin: bool = False) -> list[str]:
    """The command-line client of a site, logged in as app (or as root through the socket)."""
    kind = stack.kinds[site]
    argv = [program("mariadb")] if kind == "mariadb" else mysql_program(mysql_tree(), "bin/mysql")
    name = "admin.cnf" if admin else "app.cnf"
    return [*argv, f"--defaults-file={stack.directory}/site_{site}/{name}"]


def _write_client_files(stack: Stack, site: str, folder: Path) -> None:
    passwords = stack.passwords[site]
    app = {"host": "127.0.0.1", "port": str(stack.ports[f"site_{site}"]), "user": "app"}
    admin = {"socket": f"{folder}/db.sock", "user": "root"}
    for name, values, password in (
        ("app", app, passwords["app"]),
        ("admin", admin, passwords["root"]),
    ):
        text = _render("client", {**values, "password": password})
        write_private(folder / f"{name}.cnf", text, current_account())


def _render(section: str, values: Mapping[str, str]) -> str:
    return f"[{section}]\n" + "".join(f"{name}={value}\n" for name, value in values.items())


def _ask(argv: list[str]) -> str:
    """Log in as app over TCP and look for both databases."""
    try:
        done = subprocess.run(
            [*argv, "--batch", "--skip-column-names", "-e", _READY],
            capture_output=True,
            text=True,
            timeout=10,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return "no answer to a query within 10 s"
    if done.returncode != 0:
        return done.stderr.strip() or f"client exit status {done.returncode}"
    return "" if done.stdout.strip() == "2" else "the databases shop and dts are not both there"
