"""A replica of a stack's site, which can take its place."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pymysql

from dts_pipeline_tests.faults.servers import Server
from dts_pipeline_tests.integration.rig import wait_for
from dts_pipeline_tests.stacks import ROOT, Stack

sys.path.insert(0, str(ROOT / "deploy" / "local"))

from localstack.account import own_folder, service_account
from localstack.database import database_service
from localstack.stackfile import free_ports, load
from localstack.supervisor import Supervisor

_FOLLOW = {
    "mariadb": (
        "SET GLOBAL gtid_slave_pos = @@GLOBAL.gtid_binlog_pos",
        "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, MASTER_USER='app', "
        "MASTER_PASSWORD='{password}', MASTER_USE_GTID=slave_pos",
        "START SLAVE",
    ),
    "mysql": (
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={port}, "
        "SOURCE_USER='app', SOURCE_PASSWORD='{password}', SOURCE_AUTO_POSITION=1, "
        "GET_SOURCE_PUBLIC_KEY=1",
        "START REPLICA",
    ),
}
_CUT_OFF = {"mariadb": ("STOP SLAVE",), "mysql": ("STOP REPLICA",)}
_PROMOTE = {
    "mariadb": ("STOP SLAVE", "RESET SLAVE ALL"),
    "mysql": ("STOP REPLICA", "RESET REPLICA ALL"),
}


@dataclass(frozen=True)
class Replica:
    """A server with the data of site a, which follows it by GTID."""

    stack: Stack
    port: int

    @property
    def promoted_stack(self) -> Stack:
        """The stack with this server behind site a."""
        description = self.stack.description
        sites = description["sites"]
        moved = {**sites, "a": {**sites["a"], "port": self.port}}
        return Stack({**description, "sites": moved})

    def follow(self) -> None:
        """Takes in what site a writes from now on, and what it has written since the copy."""
        site = self.stack.site("a")
        for statement in _FOLLOW[site["kind"]]:
            self._run(statement.format(port=site["port"], password=site["password"]))

    def await_caught_up(self) -> None:
        """Waits until everything that site a has written so far is here, too."""
        with self.stack.application("a") as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS shop.seen (n BIGINT)")
            cursor.execute("INSERT INTO shop.seen SELECT COALESCE(MAX(n), 0) + 1 FROM shop.seen")
            cursor.execute("SELECT MAX(n) FROM shop.seen")
            (number,) = cursor.fetchone() or (0,)

        def there() -> bool:
            with contextlib.suppress(pymysql.MySQLError):  # the table may be on its way
                return bool(self._run(f"SELECT 1 FROM shop.seen WHERE n >= {int(number)}"))
            return False

        wait_for(there, 60)

    def cut_off(self) -> None:
        """Site a's next writes do not come any more."""
        for statement in _CUT_OFF[self.stack.site("a")["kind"]]:
            self._run(statement)

    def promote(self) -> None:
        """Follows nobody any more."""
        for statement in _PROMOTE[self.stack.site("a")["kind"]]:
            self._run(statement)

    def _run(self, statement: str) -> tuple[Any, ...]:
        with self.promoted_stack.application("a") as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return tuple(cursor.fetchall())


@contextlib.contextmanager
def replica_of(stack: Stack, folder: Path) -> Iterator[Replica]:
    """A replica of site a for the time of the block; `folder` must be open to the servers' user."""
    known = load(stack.directory)
    assert known is not None
    port = free_ports(1)[0]
    own = replace(
        known,
        directory=folder,
        ports={**known.ports, "site_a": port},
        settings=replace(known.settings, server_options=("a:server-id=11",)),
    )
    account = service_account()
    service = database_service(own, "a", account)
    own_folder(service.cwd, account)
    with Server(stack, "site_a").away():
        copied = [str(stack.directory / "site_a" / "data"), str(service.cwd / "data")]
        subprocess.run(["cp", "-a", *copied], check=True)
    # A MySQL server with the identity of another does not follow it.
    (service.cwd / "data" / "auto.cnf").unlink(missing_ok=True)
    supervisor = Supervisor(folder)
    try:
        supervisor.start([service])
        yield Replica(stack, port)
    finally:
        supervisor.kill([service.name])


@contextlib.contextmanager
def following_replica(stack: Stack) -> Iterator[Replica]:
    """A replica of site a that has caught up, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="dts-replica-") as folder:
        Path(folder).chmod(0o755)
        with replica_of(stack, Path(folder)) as made:
            made.follow()
            made.await_caught_up()
            yield made
