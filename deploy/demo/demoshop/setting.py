"""Where the demo plays: two servers, Kafka, Connect, and Dagster on top of them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from functools import cached_property
from pathlib import Path
from typing import Any

import pymysql

from demoshop import shop
from demoshop.children import Children
from demoshop.errors import DemoError
from demoshop.show import say, step

_DAGSTER_SECONDS = 120.0
SITES = ("a", "b")


class Setting:
    """Everything that runs during the demo, in `.local/demo`."""

    def __init__(self, root: Path, flavour: str, children: Children) -> None:
        self.root = root
        self.flavour = flavour
        self.children = children
        self.folder = root / ".local" / "demo"
        self.home = self.folder / "dagster"
        self.stack: dict[str, Any] = {}
        self.url = ""

    def up(self) -> None:
        """Starts everything; `down` ends it, also after a failure in here."""
        self._clear()
        step("two database servers, Kafka and Kafka Connect with Debezium")
        self.stack = json.loads(self._stack("up", "--flavour", self.flavour, "--fast"))
        config = Path(self.stack["config"])
        often = 'schedule: {settle_cron: "* * * * *", '  # a demo does not wait five minutes
        config.write_text(config.read_text().replace("schedule: {", often))
        step("the shop's tables on both sides")
        for site in SITES:
            with self.connect(site) as connection:
                shop.make_tables(connection)
        step("dts init")
        self._dts("init")
        step("dts connectors --register")
        self._dts("connectors", "--register")
        step("dts preflight")
        self._dts("preflight")
        step("Dagster's webserver and daemon")
        self._start_dagster()

    def down(self) -> None:
        """Ends every process that `up` started, and removes the servers' data."""
        self.children.end()
        self.children.end_orphans(f"DAGSTER_HOME={self.home}")
        if self.place.exists():
            self._stack("down", "--purge")
        self._forget_place()

    def connect(self, site: str) -> pymysql.Connection[pymysql.cursors.Cursor]:
        """A connection of the shop's application; autocommit is off."""
        at = self.stack["sites"][site]
        return pymysql.connect(
            host=at["host"],
            port=at["port"],
            user=at["user"],
            password=at["password"],
            database="shop",
            charset="utf8mb4",
            init_command="SET time_zone = '+00:00'",
        )

    def status(self) -> dict[str, Any]:
        """What `dts status --json` says; its exit status 1 is a finding, not a failure."""
        argv = [self._bin("dts"), "status", "--json"]
        done = subprocess.run(argv, env=self.environment, capture_output=True, check=False)
        try:
            return dict(json.loads(done.stdout))
        except ValueError:
            raise DemoError(f"dts status: {done.stderr.decode(errors='replace')}") from None

    def log_tail(self, name: str, lines: int = 15) -> str:
        """The end of a Dagster process's log."""
        path = self.folder / f"{name}.log"
        text = path.read_text(errors="replace") if path.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    @cached_property
    def environment(self) -> dict[str, str]:
        """What `dts` and Dagster need: the configuration's path, its secrets, Dagster's home."""
        return {
            **os.environ,
            **self.stack["env"],
            "PATH": f"{self.root / '.venv' / 'bin'}:{os.environ.get('PATH', '')}",
            "DTS_CONFIG": self.stack["config"],
            "DAGSTER_HOME": str(self.home),
        }

    @cached_property
    def place(self) -> Path:
        """The stack's folder; elsewhere when root's servers could not enter this one."""
        note = self.folder / "place"
        if note.exists():
            return Path(note.read_text())
        place = self.folder / "stack"
        if os.geteuid() == 0 and not _open_to_all(self.root):
            made = Path(tempfile.mkdtemp(prefix="dts-demo-", dir="/var/tmp"))
            made.chmod(0o755)
            place = made / "stack"
        self.folder.mkdir(parents=True, exist_ok=True)
        note.write_text(str(place))
        return place

    def _clear(self) -> None:
        """Removes what an earlier demo left behind, if it was killed."""
        if self.place.exists():
            self._stack("down", "--purge")
        self._forget_place()
        shutil.rmtree(self.folder)
        self.home.mkdir(parents=True)

    def _forget_place(self) -> None:
        """Removes what was made elsewhere for the stack, if it is empty by now."""
        if self.place.parent != self.folder:
            with contextlib.suppress(OSError):
                self.place.parent.rmdir()
        (self.folder / "place").unlink(missing_ok=True)
        del self.place

    def _stack(self, command: str, *arguments: str) -> str:
        argv = [sys.executable, str(self.root / "deploy/local/stack"), command, *arguments]
        return self.children.run([*argv, "--dir", str(self.place)], os.environ)

    def _dts(self, *arguments: str) -> None:
        say(self.children.run([self._bin("dts"), *arguments], self.environment).rstrip())

    def _bin(self, name: str) -> str:
        return str(Path(sys.executable).parent / name)

    def _start_dagster(self) -> None:
        shutil.copy(self.root / "deploy/dagster.yaml", self.home / "dagster.yaml")
        # Two processes that make a fresh storage at once can spoil it (Dagster's issue 27390).
        self.children.run([self._bin("dagster"), "instance", "migrate"], self.environment)
        workspace = ["-w", str(self.root / "workspace.yaml")]
        port = _free_port()
        web = ["-h", "127.0.0.1", "-p", str(port), *workspace]
        for name, arguments in (
            ("dagster-daemon", ["run", *workspace]),
            ("dagster-webserver", web),
        ):
            argv = [self._bin(name), *arguments]
            self.children.start(name, argv, self.environment, self.folder / f"{name}.log")
        self.url = f"http://127.0.0.1:{port}"
        self._wait_for_webserver()

    def _wait_for_webserver(self) -> None:
        until = time.monotonic() + _DAGSTER_SECONDS
        while time.monotonic() < until:
            self.children.raise_if_ended()
            try:
                with urllib.request.urlopen(f"{self.url}/server_info", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        tail = self.log_tail("dagster-webserver")
        raise DemoError(f"Dagster's webserver did not answer in time:\n{tail}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _open_to_all(path: Path) -> bool:
    """Whether every user can enter the folder."""
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))
