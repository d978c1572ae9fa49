"""What the browser looks at: a pair with three conflicts to come, and Dagster on top of it."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dts_pipeline_tests.integration.dagster_home import DagsterHome, running
from dts_pipeline_tests.stacks import Stack

ROW_VALUE = "mallory@example.org"
"""Stands in rows of both sites; no page may show it."""
CONFLICTS = 3
_START_SECONDS = 240.0
_NEVER = "0 0 29 2 *"  # nobody settles the conflicts before they were read
_DDL = (
    "CREATE TABLE customer (id INT PRIMARY KEY, email VARCHAR(80) NOT NULL)",
    "CREATE TABLE product (id INT PRIMARY KEY, name VARCHAR(80) NOT NULL, price DECIMAL(8,2))",
    "CREATE TABLE purchase (id INT PRIMARY KEY, customer_id INT NOT NULL, placed_at TIMESTAMP(6))",
)


@dataclass(frozen=True)
class Shop:
    """The servers, Dagster's home, and the address of its UI."""

    stack: Stack
    home: DagsterHome
    url: str

    def sql(self, site: str, *statements: str) -> None:
        """What the shop's application writes at a site."""
        with self.stack.application(site, "shop") as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def count(self, site: str, table: str, which: str) -> int:
        """How many rows of a table at a site are such."""
        with self.stack.application(site, "shop") as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM `{table}` WHERE {which}")
            row = cursor.fetchone()
            assert row is not None
            return int(row[0])


@contextlib.contextmanager
def open_shop(stack: Stack, folder: Path) -> Iterator[Shop]:
    """Tables and connectors, rows that no link has carried yet, daemon and webserver."""
    config = folder / "dts.yaml"
    text = Path(stack.description["config"]).read_text()
    before, _, _ = text.partition("schedule:")
    before = before.replace("    sites: [a, b]", "    sites: [a, b]\n    owners: [team:shop]")
    before = before.replace('"shop.*"', "shop.customer, shop.product, shop.purchase")
    config.write_text(f'{before}schedule: {{settle_cron: "{_NEVER}"}}\n')
    home = DagsterHome(
        folder / "dagster", "dts_pipeline.definitions", {"DTS_CONFIG": str(config), **stack.env}
    )
    shop = Shop(stack, home, f"http://127.0.0.1:{_free_port()}")
    for site in "ab":
        shop.sql(site, *_DDL)
    for words in (["init"], ["connectors", "--register"]):
        _run(home, "dts", *words)
    _write_rows(shop)
    with running(home), _webserver(shop):
        yield shop


def _write_rows(shop: Shop) -> None:
    """A few hundred rows at each site; of the products both sites name three alike."""
    for site, first in (("a", 1), ("b", 100_001)):
        ids = range(first, first + 200)
        emails = ", ".join(f"({i}, 'c{i}-{ROW_VALUE}')" for i in ids)
        products = ", ".join(f"({i}, 'product {i}', {i % 97}.5)" for i in ids)
        disputed = ", ".join(f"({-i}, '{ROW_VALUE} of {site}', 1)" for i in range(1, CONFLICTS + 1))
        shop.sql(
            site,
            f"INSERT INTO customer VALUES {emails}",
            f"INSERT INTO product VALUES {products}",
            f"INSERT INTO product VALUES {disputed}",
            "INSERT INTO purchase SELECT id, id, UTC_TIMESTAMP(6) FROM customer "
            f"WHERE id < {first + 90}",
        )


@contextlib.contextmanager
def _webserver(shop: Shop) -> Iterator[None]:
    """Dagster's UI; its code servers end with the home."""
    port = shop.url.rpartition(":")[2]
    workspace = shop.home.folder / "workspace.yaml"
    with (shop.home.folder / "webserver.log").open("ab") as log:
        process = subprocess.Popen(
            [_program("dagster-webserver"), "-h", "127.0.0.1", "-p", port, "-w", str(workspace)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=shop.home.variables,
            start_new_session=True,
        )
    try:
        _wait_for(process, shop)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


def _wait_for(process: subprocess.Popen[bytes], shop: Shop) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, OSError):
            with urllib.request.urlopen(f"{shop.url}/server_info", timeout=5):
                return
        time.sleep(0.5)
    log = (shop.home.folder / "webserver.log").read_text(errors="replace")
    raise RuntimeError(f"the webserver did not answer:\n{log[-4000:]}")


def _run(home: DagsterHome, program: str, *words: str) -> None:
    done = subprocess.run(
        [_program(program), *words], env=home.variables, capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        raise RuntimeError(f"{program} {' '.join(words)}:\n{done.stdout}{done.stderr}")


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
