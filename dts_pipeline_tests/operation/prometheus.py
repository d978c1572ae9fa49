"""A real Prometheus and its promtool, of Debian's package (`make test-operation` fetches it)."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dts_pipeline_tests.integration.rig import wait_for
from dts_pipeline_tests.stacks import ROOT

RULES = ROOT / "deploy" / "prometheus"
_BIN = ROOT / ".local" / "prometheus" / "usr" / "bin"


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`."""
    own = _BIN / name
    found = str(own) if own.exists() else shutil.which(name)
    assert found, f"{name} is missing: `make test-operation` fetches it"
    return found


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    url: str

    def ask(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer of its API."""
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}{query}", timeout=30) as answer:
            body = json.loads(answer.read())
        assert body["status"] == "success"
        return body["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now."""
        return list(self.ask("query", query=expression)["result"])

    def firing(self) -> set[tuple[str, str]]:
        """The alerts that fire: name and link (empty for the exporter's own)."""
        return {
            (alert["labels"]["alertname"], alert["labels"].get("link", ""))
            for alert in self.ask("alerts")["alerts"]
            if alert["state"] == "firing"
        }


@contextlib.contextmanager
def watching(folder: Path, target: str) -> Iterator[Prometheus]:
    """A server that scrapes `target` every second, with the project's rules, `for:` made short."""
    rules = yaml.safe_load((RULES / "alerts.yaml").read_text())
    for rule in rules["groups"][0]["rules"]:
        rule["for"] = "1s"
    (folder / "alerts.yaml").write_text(yaml.safe_dump(rules))
    settings = yaml.safe_load((RULES / "prometheus.yaml").read_text())
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    settings["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(settings))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = folder / "prometheus.log"
    words: Mapping[str, str] = {
        "config.file": str(folder / "prometheus.yaml"),
        "storage.tsdb.path": str(folder / "data"),
        "web.listen-address": f"127.0.0.1:{port}",
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program("prometheus"), *(f"--{name}={value}" for name, value in words.items())],
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    found = Prometheus(f"http://127.0.0.1:{port}")
    try:
        wait_for(lambda: _answers(process, found, log), 60)
        yield found
    finally:
        process.terminate()
        process.wait(30)


def _answers(process: subprocess.Popen[bytes], found: Prometheus, log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return bool(found.query("vector(1)"))
    except (urllib.error.URLError, OSError):
        return False
