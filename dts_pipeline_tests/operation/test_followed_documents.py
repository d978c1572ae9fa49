"""The way of somebody who has the repository and two servers: documents, word by word.

The servers are those of deploy/local/README.md, in a copy of what it needs, so that a stack of the
repository's own is left alone. Then README.md's steps, docs/verify.md and docs/metrics.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from dts_pipeline_tests.documents import ROOT, blocks, commands
from dts_pipeline_tests.integration.dagster_home import DagsterHome, running
from dts_pipeline_tests.integration.rig import wait_for
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

README = (ROOT / "README.md").read_text()
ORDERS = "CREATE TABLE orders (id INT PRIMARY KEY, customer VARCHAR(40), total DECIMAL(9,2))"
TICK_SECONDS = 180  # a minute's schedule, and a busy machine


@dataclass(frozen=True)
class Reader:
    """Somebody at a shell in a folder, with `dts` on the path; `known` is what was exported."""

    folder: Path
    known: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**os.environ, **self.known, "PATH": path}

    def types(self, command: str, status: int = 0, fed: str = "") -> str:
        """What the command prints; it must end with the status."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            input=fed,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == status, "\n".join(
            (f"{command}: {done.returncode}", done.stdout[-2000:], done.stderr[-2000:])
        )
        return done.stdout

    def follows(self, command: str, status: int = 0) -> str:
        """Types a command that the README has."""
        assert f"`{command}`" in README
        return self.types(command, status)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """deploy/local/README.md's block, from its first line to its last."""
    up, sourced, *looking, down = commands(ROOT / "deploy" / "local" / "README.md")
    with tempfile.TemporaryDirectory(prefix="dts-followed-") as made:
        folder = Path(made)
        folder.chmod(0o755)  # the servers run as a user of their own
        for part in ("deploy/local", "dts_pipeline"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns(".local"))
        reader = Reader(folder, {})
        try:
            described = json.loads(reader.types(up))
            for command in looking:
                reader.types(f"{sourced} && {command}")
            yield Stack(described)
        finally:
            reader.types(down)


@pytest.fixture(scope="module")
def reader(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """In a folder with the README's dts.yaml, its servers' addresses filled in."""
    folder = tmp_path_factory.mktemp("mine")
    document = yaml.safe_load(blocks(ROOT / "README.md", "yaml")[0])
    document["kafka"]["bootstrap.servers"] = stack.kafka
    document["connect"]["url"] = stack.connect
    for name, site in document["sites"].items():
        site |= {key: stack.site(name)[key] for key in ("host", "port")}
    (folder / "dts.yaml").write_text(yaml.safe_dump(document))
    shutil.copy(ROOT / "workspace.yaml", folder)
    for side in "ab":
        with stack.application(side, "shop") as connection:
            connection.cursor().execute(ORDERS)
    variables = {name: text for name, text in stack.env.items() if name.startswith("DTS_")}
    return Reader(folder, {**variables, "DTS_CONFIG": "dts.yaml"})


@pytest.fixture(scope="module")
def home(reader: Reader, stack: Stack) -> Iterator[DagsterHome]:
    """The README's five steps, the last of which leaves a daemon running."""
    for side in "ab":
        printed = reader.follows("dts init --print").partition(f"-- Site {side}")[2]
        printed = printed.partition("-- Site ")[0].partition("-- If the server is mysql")[0]
        site = stack.site(side)
        login = f"mariadb -h{site['host']} -P{site['port']} -u{site['user']}"
        Reader(reader.folder, {"MYSQL_PWD": site["password"]}).types(login, fed=printed)
    reader.follows("dts init")
    found = json.loads(reader.types("dts preflight --json", status=1))["findings"]
    errors = {finding["check"] for finding in found if finding["severity"] == "error"}
    assert errors == {"connector_missing", "topic_missing"}
    reader.follows("dts connectors --register")
    reader.follows("dts preflight")
    for command in ("dagster instance migrate", "dagster-daemon run -w workspace.yaml"):
        assert f"`{command}`" in README  # `running` types them
    environment = {**reader.known, "DTS_CONFIG": str(reader.folder / "dts.yaml")}
    workspace = reader.folder / "workspace.yaml"
    with running(DagsterHome(reader.folder / "home", "", environment, workspace)) as home:
        yield home


def rows(stack: Stack, side: str) -> list[tuple[object, ...]]:
    with stack.application(side, "shop") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM orders ORDER BY id")
        return list(cursor.fetchall())


def write(stack: Stack, side: str, *statements: str) -> None:
    with stack.application(side, "shop") as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def test_what_users_write_at_either_site_reaches_the_other(stack: Stack, home: DagsterHome) -> None:
    write(stack, "a", "INSERT INTO orders VALUES (1, 'ann', 10.50)")
    write(stack, "b", "INSERT INTO orders VALUES (2, 'bob', 20.00)")

    try:
        wait_for(lambda: len(rows(stack, "a")) == len(rows(stack, "b")) == 2, TICK_SECONDS)
    except AssertionError:
        raise AssertionError(home.log_tail()) from None
    assert rows(stack, "a") == rows(stack, "b")


def test_the_sites_are_compared_and_repaired(
    stack: Stack, reader: Reader, home: DagsterHome
) -> None:
    compare, one_table, resumed, shown, repaired = commands(ROOT / "docs/verify.md")
    assert not home.has_ended
    for command in (compare, one_table, resumed):
        reader.types(command)
    # A row of which no log tells.
    write(stack, "b", "SET sql_log_bin = 0", "INSERT INTO orders VALUES (3, 'eve', 0)")

    reader.types(compare, status=1)
    reader.types(shown, status=1)
    assert len(rows(stack, "b")) == 3
    reader.types(repaired)

    assert rows(stack, "a") == rows(stack, "b")
    reader.types(compare)


def test_the_exporter_serves_what_it_reads(reader: Reader, home: DagsterHome) -> None:
    (command,) = commands(ROOT / "docs/metrics.md")
    address = command.rpartition(" ")[2]
    words = ["bash", "-c", f"exec {command}"]
    process = subprocess.Popen(words, cwd=reader.folder, env=reader.environment)
    try:
        wait_for(lambda: "dts_checkpoint_batch" in served(f"http://{address}/metrics"), 30)
    finally:
        process.terminate()
        assert process.wait(30) == 0


def served(url: str) -> str:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())
    return ""
