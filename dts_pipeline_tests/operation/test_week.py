"""A week of minute runs: what is kept stays bounded, and the asset's page still answers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from dts_pipeline.config import RetentionConfig, parse_config
from dts_pipeline.defs.build import build_definitions
from dts_pipeline.defs.prune import KEPT, prune, prune_filters
from dts_pipeline.defs.storage import instance_at
from dts_pipeline.errors import TerminalError
from dts_pipeline_tests.defs.settings import ENVIRONMENT, SETTINGS
from dts_pipeline_tests.fakes import FakeStages
from dts_pipeline_tests.integration.rig import wait_for
from dts_pipeline_tests.operation.copied_runs import Copies, settled, stored_bytes, stored_rows
from dts_pipeline_tests.stacks import ROOT

LINKS = list(parse_config(SETTINGS).resolved_links().values())
WEEK = 7 * 24 * 60
SAMPLE_RUNS = 240
SAMPLE_KEPT = {"applied": 20, "empty": 3, "failed": 6}
BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
_ENTRIES = (
    "metadataEntries { __typename label ... on IntMetadataEntry { intValue } "
    "... on FloatMetadataEntry { floatValue } ... on TextMetadataEntry { text } "
    "... on TableMetadataEntry { table { records } } }"
)
_KEY = 'assetKey: {path: ["checkpoint", "a_to_b"]}'
QUERIES = {
    "overview": f"{{ assetNodeOrError({_KEY}) {{ ... on AssetNode {{ id description groupName "
    f"assetMaterializations(limit: 1) {{ runId timestamp {_ENTRIES} }} "
    "assetChecksOrError { ... on AssetChecks { checks { name "
    "executionForLatestMaterialization { status runId timestamp } } } } } } }",
    "events": f"{{ assetOrError({_KEY}) {{ ... on Asset {{ "
    f"assetMaterializations(limit: 100) {{ runId timestamp stepKey tags {{ key value }} {_ENTRIES} "
    "} } } }",
    "plots": f"{{ assetOrError({_KEY}) {{ ... on Asset {{ "
    f"assetMaterializations(limit: 200) {{ timestamp {_ENTRIES} }} }} }} }}",
    "latest": '{ assetsLatestInfo(assetKeys: [{path: ["checkpoint", "a_to_b"]}]) { '
    "latestMaterialization { runId timestamp } latestRun { id status } inProgressRunIds } }",
    "runs": '{ runsOrError(filter: {pipelineName: "sync_a_to_b"}, limit: 25) { ... on Runs { '
    "results { id status startTime endTime tags { key value } } } } }",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copy(ROOT / "deploy" / "dagster.yaml", folder / "dagster.yaml")
    return folder


def real_runs(instance: dg.DagsterInstance) -> list[str]:
    """Ten runs stand for all: one in ten finds nothing, one fails, the others apply a batch."""
    stopped = {"plan_ranges": [TerminalError("offsets_lost", "gone")]}
    applied, empty, failed = (
        build_definitions(parse_config(SETTINGS), stages=fake.stages())
        .resolve_job_def("sync_a_to_b")
        .execute_in_process(instance=instance, raise_on_error=False)
        .run_id
        for fake in (FakeStages(sizes=[3]), FakeStages(), FakeStages(errors=stopped))
    )
    return [applied] * 8 + [empty, failed]


@pytest.mark.timeout(7200)
def test_a_week_of_minute_runs(home: Path, is_sample: bool, summary: list[str]) -> None:
    runs = SAMPLE_RUNS if is_sample else WEEK
    kept, every = (SAMPLE_KEPT, 20) if is_sample else (KEPT, 60)
    measured: list[tuple[int, int, dict[str, int]]] = []
    with instance_at(home) as instance:
        templates = real_runs(instance)
        settled(home)
        copies, filters = Copies(home), prune_filters(LINKS)
        for number in range(runs):
            at = BEGAN + timedelta(minutes=number)
            copies.copy(templates[number % len(templates)], at)
            if number % every == every - 1:
                prune(instance, filters, kept, RetentionConfig(), at)
                templates = still_there(instance, templates)
                measured.append((number + 1, stored_bytes(home), stored_rows(home)))
    _print(summary, runs, measured)
    # One run in ten is empty and one fails: by then each kind has as many as are kept.
    filled = 10 * max(kept["empty"], kept["failed"], kept["applied"] // 8) + every
    full = [entry for entry in measured if entry[0] > filled]
    assert len(full) > 2
    assert len({json.dumps(rows) for _, _, rows in full}) == 1
    assert max(size for _, size, _ in full) <= 1.2 * full[0][1]
    assert full[-1][2]["runs"] <= sum(kept.values())

    times = asked(home)
    for name, (median, worst) in times.items():
        summary.append(f"asset page, {name}: median {median:.0f} ms, worst {worst:.0f} ms")


def still_there(instance: dg.DagsterInstance, templates: list[str]) -> list[str]:
    """The templates, replaced by their newest copies: pruning takes the oldest run away."""
    newest = instance.get_runs(limit=len(templates))
    return [run.run_id for run in reversed(newest)]


def _print(summary: list[str], runs: int, measured: list[tuple[int, int, dict[str, int]]]) -> None:
    summary.append(f"{runs} runs, pruned again and again:")
    for number, size, rows in measured[:: max(1, len(measured) // 7)] + measured[-1:]:
        summary.append(f"after {number} runs: {size / 2**20:.0f} MiB, {rows}")


def asked(home: Path) -> dict[str, tuple[float, float]]:
    """Median and worst milliseconds of each query of the asset's page, of ten."""
    found = {}
    with webserver(home) as url:
        for name, query in QUERIES.items():
            took = []
            for _ in range(10):
                began = time.monotonic()
                answer = ask(url, query)
                took.append((time.monotonic() - began) * 1000)
                assert "errors" not in answer, answer
            assert _content(answer), answer
            found[name] = (statistics.median(took), max(took))
    return found


def _content(answer: dict[str, Any]) -> bool:
    """Whether there is a materialization, or a run, in it."""
    return "timestamp" in json.dumps(answer) or "startTime" in json.dumps(answer)


def ask(url: str, query: str) -> dict[str, Any]:
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return dict(json.loads(answer.read()))


@contextlib.contextmanager
def webserver(home: Path) -> Iterator[str]:
    """Dagster's own webserver over the home; gives its GraphQL address."""
    (home / "dts.yaml").write_text(SETTINGS)
    module = {"module_name": "dts_pipeline.definitions", "working_directory": str(ROOT)}
    workspace = home / "workspace.yaml"
    workspace.write_text(yaml.safe_dump({"load_from": [{"python_module": module}]}))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = {"DAGSTER_HOME": str(home), "DTS_CONFIG": str(home / "dts.yaml"), **ENVIRONMENT}
    program = Path(sys.executable).parent / "dagster-webserver"
    with (home / "webserver.log").open("wb") as log:
        process = subprocess.Popen(
            [str(program), "-h", "127.0.0.1", "-p", str(port), "-w", str(workspace)],
            env={**os.environ, **own},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}/graphql"

    def answers() -> bool:
        assert process.poll() is None, (home / "webserver.log").read_text()[-3000:]
        with contextlib.suppress(OSError):
            return "errors" not in ask(url, "{ version }")
        return False

    try:
        wait_for(answers, 180)
        yield url
    finally:
        process.terminate()
        process.wait(60)
