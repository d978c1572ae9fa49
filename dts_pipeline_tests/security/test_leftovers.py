"""What a life with conflicts, poison, refused rows and wrong secrets leaves behind: no row value,
no key and no secret; and what listens meanwhile does so on loopback.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from dts_pipeline_tests.integration.bad_bench import PLANTED
from dts_pipeline_tests.integration.dagster_home import DagsterHome, running
from dts_pipeline_tests.integration.rig import wait_for
from dts_pipeline_tests.security.listening import Address, is_loopback, listening
from dts_pipeline_tests.security.secure_rig import SecureRig
from dts_pipeline_tests.security.secure_stack import SecureStack
from dts_pipeline_tests.security.traces import found_in, left_in
from dts_pipeline_tests.security.webserver import PAGES, Webserver, webserver

pytestmark = pytest.mark.servers

TABLES = (
    "CREATE TABLE item (code VARCHAR(40) PRIMARY KEY, name VARCHAR(100)) CHARACTER SET utf8mb4",
    "CREATE TABLE mail (id INT PRIMARY KEY, address VARCHAR(100) UNIQUE) CHARACTER SET utf8mb4",
    "CREATE TABLE big (id INT PRIMARY KEY, n BIGINT)",
)
NUMBER = 8123456789012345678
WRONG = f"{PLANTED}-as-a-secret"
WRONG_KAFKA = f"{PLANTED}-for-kafka"
_QUIET = {"cron": "0 0 1 1 *", "settle_cron": "0 0 1 1 *"}


@dataclass
class Life:
    """A pair with Dagster around it, and the output of every command of its user."""

    rig: SecureRig
    home: DagsterHome
    server: Webserver
    sockets: set[tuple[Address, int]] = field(default_factory=set)
    said: dict[str, bytes] = field(default_factory=dict)
    codes: list[str] = field(default_factory=list)

    def live(self) -> None:
        forth, back = self.rig.forth, self.rig.back
        self.rig.both(f"INSERT INTO item VALUES ('{PLANTED}-1', '{PLANTED} at both')")
        self.rig.drain()
        self.rig.sql("a", f"UPDATE item SET name = '{PLANTED} of a'")
        self.rig.sql("b", f"UPDATE item SET name = '{PLANTED} of b'")
        for side in "ab":
            self.rig.await_events(side)
        self.launch(f"sync_{back}")
        self.dts("sync", forth)
        self.dts("sync", forth, DTS_B_PASSWORD=WRONG)
        self.dts("sync", forth, KAFKA_SECRET=WRONG_KAFKA)
        self.rig.sql("b", f"INSERT INTO mail VALUES (1, '{PLANTED}@b')")
        self.rig.sql("a", f"INSERT INTO mail VALUES (2, '{PLANTED}@b')")
        self.rig.await_events("a")
        self.launch(f"sync_{forth}")  # unique_conflict: the policy is `fail`
        self.rig.sql("b", "DELETE FROM mail")
        self.dts("sync", forth)
        self.rig.sql("a", f"INSERT INTO big VALUES (1, {NUMBER})")
        self.rig.await_events("a")
        self.dts("sync", forth)  # value_refused
        for words in (("status",), ("connectors",), ("preflight", "--all"), ("init", "--print")):
            self.dts(*words)
        with self.exporter():
            self.look()

    def dts(self, *words: str, **environment: str) -> None:
        """A command as a process of its own; its output is kept."""
        done = subprocess.run(
            [sys.executable, "-m", "dts_pipeline.cli", *words],
            capture_output=True,
            env={**self.home.variables, **environment},
            timeout=200,
            check=False,
        )
        self.said[f"dts {' '.join(words)} #{len(self.said)}"] = done.stdout + done.stderr
        lines = done.stderr.decode().splitlines()
        self.codes += [line.split()[-1] for line in lines if line.startswith("  code:")]

    @contextlib.contextmanager
    def exporter(self) -> Iterator[None]:
        """A running `dts exporter` that has read both ledgers; what it serves is kept."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            at = f"127.0.0.1:{probe.getsockname()[1]}"
        argv = [sys.executable, "-m", "dts_pipeline.cli", "exporter", "--listen", at]
        process = subprocess.Popen(
            argv, env=self.home.variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            wait_for(lambda: self._scraped(f"http://{at}/metrics"), 60)
            yield
        finally:
            process.terminate()
            self.said["dts exporter"] = process.communicate(timeout=20)[0]

    def _scraped(self, url: str) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            page = httpx.get(url, timeout=10).content
            self.said["metrics"] = page
            return all(link.encode() in page for link in (self.rig.forth, self.rig.back))
        return False

    def launch(self, job: str) -> None:
        """A run by the Launchpad and the daemon, in a process of its own, to its end."""
        run = self.server.launch(job)
        with self.home.instance() as instance:
            wait_for(lambda: _ended(instance, run), 240)

    def look(self) -> None:
        for name, query in PAGES.items():
            self.said[f"page {name}"] = self.server.ask(query).encode()
        self.sockets = listening(self.pids)
        for pid in self.pids:
            words = Path(f"/proc/{pid}/cmdline")
            self.said[f"command line of {pid}"] = words.read_bytes() if words.exists() else b""

    @property
    def pids(self) -> list[int]:
        stack = [entry["pid"] for entry in self.rig.secure.processes().values()]
        return [*stack, *self.home.processes(), self.server.process.pid]


@pytest.fixture(scope="module")
def life(secure_mariadb: SecureStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """Lived once, then looked at from all sides."""
    folder = tmp_path_factory.mktemp("life")
    rig = SecureRig(
        secure_mariadb.stack,
        "life",
        folder,
        {"schedule": _QUIET, "alerts": {"webhook": "${WEBHOOK_SECRET}"}},
        secure=secure_mariadb,
    )
    rig.conflicts = {"policy": {"site": "A"}, "tables": {f"{rig.name}.mail": {"policy": "fail"}}}
    rig.create(*TABLES)
    rig.sql("b", "ALTER TABLE big MODIFY n INT")
    environment = {**rig.stack.env, "DTS_CONFIG": str(rig.path)}
    home = DagsterHome(folder / "home", "dts_pipeline.definitions", environment)
    with running(home), webserver(home) as server:
        found = Life(rig, home, server)
        found.live()
        yield found


def test_it_was_a_life_with_everything_in_it(life: Life) -> None:
    """Or the search below would find nothing because nothing was there."""
    assert life.codes == ["access_denied", "kafka_access_denied", "value_refused"]
    assert b"unique_conflict" in life.said["page runs"]
    assert b"access_denied" in life.said["page runs"]
    kinds = {kind for _, kind, _ in life.rig.records(life.rig.forth)}
    assert kinds & {"update_update", "superseded"}
    assert life.rig.sites[0].encode() in life.said["page resources"]
    assert b"DTS_A_PASSWORD" in life.said["page resources"]


def test_no_secret_is_left_anywhere(life: Life) -> None:
    known = life.rig.stack.env
    token = known["WEBHOOK_SECRET"].rpartition("/")[2]
    secrets = [*known.values(), token, WRONG, WRONG_KAFKA]
    assert found_in(life.said.items(), secrets) == []
    assert found_in(left_in(life.home.folder), secrets) == []
    assert found_in(left_in(life.rig.stack.directory / "logs"), secrets) == []


def test_no_row_value_and_no_key_is_left_anywhere(life: Life) -> None:
    values = [PLANTED, str(NUMBER)]
    assert found_in(life.said.items(), values) == []
    assert found_in(left_in(life.home.folder), values) == []


def test_everything_listens_on_loopback_only(life: Life) -> None:
    ports = {port for _, port in life.sockets}
    assert int(life.server.url.rpartition(":")[2]) in ports
    assert {life.rig.stack.site(side)["port"] for side in "ab"} <= ports
    assert not [at for at in life.sockets if not is_loopback(at[0])]


def test_files_with_secrets_are_their_owners_only(life: Life) -> None:
    """The stack's; what holds a secret and is open to others would be found here."""
    for path in sorted(life.rig.stack.directory.rglob("*")):
        if path.is_file() and path.stat().st_mode & 0o077 and _reachable(path):
            blob = [(str(path), path.read_bytes())]
            assert found_in(blob, life.rig.stack.env.values()) == []


def _reachable(path: Path) -> bool:
    """Whether others can enter the folders above."""
    return all(folder.stat().st_mode & 0o011 for folder in path.parents)


def _ended(instance: Any, run: str) -> bool:
    found = instance.get_run_by_id(run)
    return bool(found and found.is_finished)
