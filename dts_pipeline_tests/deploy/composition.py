"""deploy/docker-compose.yaml on a Docker Engine, under a project name and secrets of its own."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
IMAGE = "dts-pipeline:0.1.0"
CONNECT_IMAGE = "dts-connect:4.3.1-3.5.0"
RUN_LABEL = "dagster/run_id"
_HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Engine:
    """A Docker Engine: the environment that `docker` needs to reach it."""

    environ: dict[str, str]

    @property
    def docker(self) -> str:
        return self.environ.get("DOCKER", "docker")

    def __call__(self, *words: str, seconds: float = 300, check: bool = True) -> str:
        """`docker WORDS`; what it prints."""
        done = self.run(*words, seconds=seconds)
        if check and done.returncode != 0:
            text = (done.stderr or done.stdout)[-3000:]
            raise AssertionError(f"docker {' '.join(words[:4])} …: {done.returncode}\n{text}")
        return done.stdout

    def run(self, *words: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.docker, *words],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=seconds,
            cwd=ROOT,
        )

    def inspect(self, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self("inspect", name))
        return found[0]


@contextlib.contextmanager
def running_engine() -> Iterator[Engine]:
    """The machine's engine, or one that is started now and ended afterwards; one test at a time."""
    lock = Path(os.environ.get("DTS_LOCAL_CACHE", "/var/cache/dts-local")) / "engine.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        script = str(DEPLOY / "engine" / "engine")
        try:
            done = subprocess.run([script, "up"], capture_output=True, text=True, timeout=600)
            assert done.returncode == 0, done.stderr
            exports = dict(re.findall(r"^export (\w+)=(.*)$", done.stdout, re.MULTILINE))
            yield Engine({**os.environ, **exports})
        finally:
            if "DTS_ENGINE_KEEP" not in os.environ:
                subprocess.run([script, "down"], check=True, timeout=120)


def base_images() -> list[str]:
    """Every image that is not ours: of the Dockerfiles and of the composition."""
    texts = [path.read_text() for path in (DEPLOY / "Dockerfile", *_dockerfiles())]
    found = [name for text in texts for name in re.findall(r"^FROM (\S+)", text, re.MULTILINE)]
    compose = (DEPLOY / "docker-compose.yaml").read_text()
    found += re.findall(r"^\s+image: ([\w/.:-]+)$", compose, re.MULTILINE)
    return list(dict.fromkeys(found))


def _dockerfiles() -> list[Path]:
    return sorted((DEPLOY / "docker").glob("*.Dockerfile"))


def build_images(engine: Engine) -> dict[str, float]:
    """Both images, as the Dockerfiles say; seconds by name."""
    made: dict[str, float] = {}
    for name, path in (
        (IMAGE, "deploy/Dockerfile"),
        (CONNECT_IMAGE, "deploy/docker/connect.Dockerfile"),
    ):
        began = time.monotonic()
        engine("build", "--quiet", "--file", path, "--tag", name, ".", seconds=1500)
        made[name] = time.monotonic() - began
    return made


@dataclass
class Composition:
    """The composition, under the project's name `project`."""

    engine: Engine
    folder: Path
    project: str = field(default_factory=lambda: f"dts-test-{secrets.token_hex(3)}")
    port: int = field(default_factory=lambda: _free_port())
    metrics_port: int = field(default_factory=lambda: _free_port())

    def __post_init__(self) -> None:
        subprocess.run([DEPLOY / "docker" / "make-env", self.env_file], check=True)
        host = self.engine.environ["DOCKER_HOST"].removeprefix("unix://")
        with self.env_file.open("a") as file:
            file.write(f"DTS_UI_PORT={self.port}\nDTS_METRICS_PORT={self.metrics_port}\n")
            file.write(f"DOCKER_SOCKET={host}\n")

    @property
    def env_file(self) -> Path:
        return self.folder / "env"

    @property
    def secrets(self) -> dict[str, str]:
        """Every secret by its name."""
        lines = self.env_file.read_text().splitlines()
        pairs = (line.split("=", 1) for line in lines if "=" in line)
        return {name: value for name, value in pairs if name.endswith("PASSWORD")}

    def compose(self, *words: str, seconds: float = 600, check: bool = True) -> str:
        """`docker compose WORDS` on this project."""
        return self.engine(*self._words(*words), seconds=seconds, check=check)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.engine.run(*self._words(*words))

    def _words(self, *words: str) -> tuple[str, ...]:
        file = str(DEPLOY / "docker-compose.yaml")
        return ("compose", "-p", self.project, "--env-file", str(self.env_file), "-f", file, *words)

    def up(self) -> float:
        """Starts everything; the seconds until it has all answered."""
        began = time.monotonic()
        self.compose("up", "--detach", "--no-build", seconds=900)
        wait_for(self._all_healthy, "every service answers", seconds=300)
        return time.monotonic() - began

    def _all_healthy(self) -> bool:
        services = [json.loads(x) for x in self.compose("ps", "--format", "json").splitlines()]
        return bool(services) and all(s["Health"] in ("healthy", "") for s in services)

    def down(self) -> None:
        """Ends everything, with its volumes; runs' containers first, they hold the network."""
        self.compose("stop", "daemon", check=False)
        for container in self.run_containers():
            self.engine("rm", "--force", container, check=False)
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "10")

    def run_containers(self) -> list[str]:
        """The ids of runs' containers, those that have ended included."""
        network = f"network={self.project}_pipeline"
        words = ("ps", "--all", "--quiet", "--no-trunc", "--filter", network)
        return self.engine(*words, "--filter", f"label={RUN_LABEL}").split()

    def sql(self, site: str, statement: str, *, user: str = "app") -> list[list[str]]:
        """Runs SQL at a site as the application (or root); rows as text."""
        words = self._client(site, user, statement)
        return [line.split("\t") for line in self.compose(*words).splitlines()]

    def _client(self, site: str, user: str, statement: str) -> tuple[str, ...]:
        name = f"DTS_{site.upper()}_ROOT_PASSWORD" if user == "root" else "DTS_APP_PASSWORD"
        secret = f"MYSQL_PWD={self.secrets[name]}"
        there = ("exec", "-T", "-e", secret, f"mysql-{site}", "mysql", "--protocol=tcp")
        return (*there, "-h127.0.0.1", f"-u{user}", "-N", "-B", "-e", statement)

    def process(self, site: str, statement: str) -> subprocess.Popen[bytes]:
        """The application's client with one statement, left running."""
        words = self._words(*self._client(site, "app", statement))
        return subprocess.Popen(
            [self.engine.docker, *words],
            env=self.engine.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def rows(self, site: str, table: str) -> list[list[str]]:
        """A table, whole, in the order of its first column."""
        return self.sql(site, f"SELECT * FROM {table} ORDER BY 1")

    def graphql(self, query: str) -> dict[str, Any]:
        """What Dagster's webserver answers."""
        url = f"http://127.0.0.1:{self.port}/graphql"
        body = json.dumps({"query": query}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with _HTTP.open(request, timeout=30) as answer:
            data: dict[str, Any] = json.load(answer)["data"]
        return data

    def metrics(self) -> str:
        """What the exporter serves."""
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        with _HTTP.open(url, timeout=30) as answer:
            return str(answer.read().decode())

    def runs(self, job: str) -> dict[str, str]:
        """The runs of a job by id, the newest first, with their status."""
        chosen = f'filter: {{pipelineName: "{job}"}}, limit: 50'
        query = f"{{runsOrError({chosen}) {{... on Runs {{results {{runId status}}}}}}}}"
        found = self.graphql(query)["runsOrError"]["results"]
        return {run["runId"]: run["status"] for run in found}


def wait_for(done: Callable[[], object], what: str, *, seconds: float = 300) -> None:
    """Looks until `done()` is true; an error of a server that is not there yet counts as not."""
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            raise AssertionError(f"after {seconds} s still not so: {what}")
        time.sleep(0.5)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
