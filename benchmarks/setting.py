"""The servers of a benchmark: site a is the source, site b the target, both of one flavour."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymysql
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks.errors import BenchError

ROOT = Path(__file__).resolve().parent.parent
_STACK = ROOT / "deploy" / "local" / "stack"
_START_SECONDS = 900

if TYPE_CHECKING:
    Connection = pymysql.Connection[pymysql.cursors.Cursor]


@dataclass(frozen=True)
class Setting:
    """A running stack, as `stack up --sink` describes it."""

    description: dict[str, Any]

    @property
    def target_kind(self) -> str:
        """`mysql` or `mariadb`."""
        return str(self.description["sites"]["b"]["kind"])

    @property
    def kafka(self) -> str:
        """Kafka's bootstrap.servers."""
        return str(self.description["kafka"])

    @property
    def connect(self) -> str:
        """Connect's URL."""
        return str(self.description["connect"])

    @property
    def secrets(self) -> dict[str, str]:
        """The variables that a dts.yaml for this stack names."""
        return dict(self.description["env"])

    def site(self, name: str) -> dict[str, Any]:
        """host, port, user, password and kind of site a or b."""
        return dict(self.description["sites"][name])

    def target_version(self) -> str:
        """What the target server says it is."""
        with self.application("b") as connection:
            return str(rows_of(connection, "SELECT VERSION()")[0][0])

    def pid(self, name: str) -> int:
        """The process of one of the stack's servers."""
        argv = [sys.executable, str(_STACK), "status", "--dir", str(self.description["dir"])]
        found = json.loads(subprocess.run(argv, capture_output=True, check=False).stdout)
        return int(found[name]["pid"])

    def create_topics(self, names: Sequence[str], partitions: int) -> None:
        """Topics of several partitions."""
        client = AdminClient({"bootstrap.servers": self.kafka})
        topics = [NewTopic(name, partitions, 1) for name in names]
        for future in client.create_topics(topics).values():
            future.result(timeout=30)

    def delete_topics(self, names: Sequence[str]) -> None:
        """Topics that are not needed any more; those that are gone already do not matter."""
        if names:
            client = AdminClient({"bootstrap.servers": self.kafka})
            for future in client.delete_topics(list(names)).values():
                with contextlib.suppress(KafkaException):
                    future.result(timeout=30)

    def application(self, site: str, schema: str | None = None) -> Connection:
        """A connection that may do anything; autocommit is on."""
        at = self.site(site)
        return pymysql.connect(
            host=at["host"],
            port=at["port"],
            user=at["user"],
            password=at["password"],
            database=schema,
            autocommit=True,
            charset="utf8mb4",
            init_command="SET time_zone = '+00:00'",
        )


@contextlib.contextmanager
def running(target: str, given: Path | None, mark: str = "origin") -> Iterator[Setting]:
    """A stack of its own for the time of the block; or the one that the JSON `given` describes.

    Not `--fast`: durability is the servers' default, and Java compiles as usual.
    Raises BenchError.
    """
    if given is not None:
        setting = Setting(json.loads(given.read_text(encoding="utf-8")))
        if setting.target_kind != target:
            raise BenchError(f"{given} describes a stack whose target is {setting.target_kind}")
        yield setting
        return
    with tempfile.TemporaryDirectory(prefix="dts-bench-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)  # the servers run as a user of their own
        place = ["--dir", f"{folder}/stack"]
        up = _stack("up", "--sink", "--flavour", target, "--mark", mark, *place)
        try:
            yield Setting(json.loads(up))
        finally:
            _stack("down", "--purge", *place)


def run_sql(connection: Connection, *statements: str) -> None:
    """Runs statements without parameters."""
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def rows_of(connection: Connection, query: str) -> Sequence[tuple[Any, ...]]:
    """A query's rows."""
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def _stack(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(_STACK), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        timeout=_START_SECONDS,
        env=os.environ,
    )
    if done.returncode:
        raise BenchError(f"stack {arguments[0]} failed (exit status {done.returncode})")
    return done.stdout
