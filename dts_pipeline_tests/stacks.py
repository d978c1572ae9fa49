"""Starts and ends the local servers for tests; one stack a flavour and mark in a session."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql

from dts_pipeline.core.grants import Account, SiteUse, grants_script
from dts_pipeline.core.links import MarkKind
from dts_pipeline.core.schema import Dialect

ROOT = Path(__file__).resolve().parent.parent
STACK = ROOT / "deploy" / "local" / "stack"


@dataclass(frozen=True)
class Stack:
    """A running stack, as `stack up` describes it."""

    description: dict[str, Any]

    @property
    def flavour(self) -> str:
        return str(self.description["flavour"])

    @property
    def mark(self) -> str:
        return str(self.description["mark"])

    @property
    def kafka(self) -> str:
        return str(self.description["kafka"])

    @property
    def connect(self) -> str:
        return str(self.description["connect"])

    @property
    def env(self) -> dict[str, str]:
        return dict(self.description["env"])

    @property
    def directory(self) -> Path:
        return Path(self.description["dir"])

    def site(self, name: str) -> dict[str, Any]:
        return dict(self.description["sites"][name])

    def application(self, site: str, schema: str | None = None) -> pymysql.Connection[Any]:
        """A user's connection to a site, autocommit on."""
        found = self.site(site)
        return pymysql.connect(
            host=found["host"],
            port=found["port"],
            user=found["user"],
            password=found["password"],
            database=schema,
            autocommit=True,
            charset="utf8mb4",
        )

    def grant(self, side: str, schema: str, *, alters: bool = False) -> None:
        """What `dts init --print` says of another schema, to the stack's `dts` and `debezium`.

        `alters`: under `ddl: additive`.
        """
        dialect, mark = Dialect(self.site(side)["kind"]), MarkKind(self.mark)
        tables = (f"{schema}.*",)
        use = SiteUse(dialect, mark, tables, altered=tables if alters else ())
        script = grants_script(Account("dts"), Account("debezium"), use)
        with self.application(side) as connection, connection.cursor() as cursor:
            for line in script.splitlines():
                # The rest they have, and the ledger may not be there yet.
                if line.startswith("GRANT ") and "*.*" not in line and "`dts`." not in line:
                    cursor.execute(line.rstrip(";"))

    def command(self, *words: str) -> str:
        """Runs `stack WORDS` with this stack's --dir, such as `stop site_a`."""
        verb, *rest = words
        done = subprocess.run(
            [sys.executable, str(STACK), verb, "--dir", str(self.directory), *rest],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout


@contextlib.contextmanager
def running_stack(flavour: str, mark: str, *options: str) -> Iterator[Stack]:
    """A stack for the time of the block; `options` are more ones of `stack up`.

    Without such options, and with DTS_TEST_STACK naming the JSON of a running stack of that flavour
    and mark, that one is used and left running: for quick repeats while developing.
    """
    given = os.environ.get("DTS_TEST_STACK")
    if given and not options:
        description = json.loads(Path(given).read_text())
        if (description["flavour"], description["mark"]) == (flavour, mark):
            yield Stack(description)
            return
    with tempfile.TemporaryDirectory(prefix="dts-stack-") as directory:
        Path(directory).chmod(0o755)  # the servers run as a user of their own
        up = [sys.executable, str(STACK), "up", "--flavour", flavour, "--mark", mark, *options]
        done = subprocess.run(
            [*up, "--fast", "--dir", directory], capture_output=True, text=True, timeout=900
        )
        if done.returncode:
            raise RuntimeError(f"the stack did not start:\n{done.stderr[-4000:]}")
        stack = Stack(json.loads(done.stdout))
        try:
            yield stack
        finally:
            stack.command("down", "--purge")
