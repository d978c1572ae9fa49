"""From the start of a run's process to its first read: ours, and a default multiprocess run's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import yaml

from benchmarks.errors import BenchError
from benchmarks.record import Recording, make_numbers, recorded
from benchmarks.results import Spread
from benchmarks.setting import ROOT, Setting
from benchmarks.workloads import insert_only
from dts_pipeline.defs.storage import instance_at

GOAL = 1 / 3
_EVENTS = 1_000
_SECONDS = 300
_WAYS = {
    "this pipeline's job": ("dts_pipeline.definitions", "sync_{link}"),
    "a default multiprocess job": ("benchmarks.default_run", "default_run"),
}


def measure_startup(setting: Setting, out: Path, repeat: int) -> str:
    """Both in turn, as a section of the report."""
    found: dict[str, list[float]] = {way: [] for way in _WAYS}
    home = (out / "startup").absolute()
    home.mkdir(exist_ok=True)
    shutil.copy(ROOT / "deploy" / "dagster.yaml", home / "dagster.yaml")
    for site in "ab":
        make_numbers(setting, site, _EVENTS)
    with recorded(setting, insert_only(_EVENTS), ("plain",)) as recording:
        for number in range(repeat + 1):
            for way, (module, job) in _WAYS.items():
                seconds = _first_read(recording, home, module, job, f"startup_{number}")
                if number:  # the first makes Dagster's storage
                    found[way].append(seconds)
    ours, default = (Spread.of(values) for values in found.values())
    ratio = ours.median / default.median
    rows = [
        f"| {way} | {spread.median:.2f} ({spread.least:.2f} to {spread.most:.2f}) |"
        for way, spread in zip(_WAYS, (ours, default), strict=True)
    ]
    return "\n".join(
        [
            f"## Start-up, on {setting.target_kind}",
            "",
            "| `dagster job execute` | seconds to the first read |",
            "|---|---|",
            *rows,
            "",
            f"Ours takes {ratio:.2f} of the default's (at most {GOAL:.2f} wanted: "
            f"{'met' if ratio <= GOAL else 'not met'}); medians of {repeat} rounds.",
            "",
        ]
    )


def _first_read(recording: Recording, home: Path, module: str, job: str, name: str) -> float:
    """Seconds from the start of Dagster's command to the start of the run's first pull."""
    link = f"{name}_{time.time_ns() // 10**6:x}"
    path = home / f"{link}.yaml"
    document = recording.document("plain", link, {"detect": False})
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    environ = {
        **os.environ,
        **recording.setting.secrets,
        "DAGSTER_HOME": str(home),
        "DTS_CONFIG": str(path),
        "BENCH_LINK": link,
    }
    dagster = str(Path(sys.executable).parent / "dagster")
    argv = [dagster, "job", "execute", "-m", module, "-j", job.format(link=link)]
    recording.reset_target()
    began = time.time()
    with (home / "dagster.log").open("ab") as log:
        done = subprocess.run(argv, cwd=ROOT, env=environ, stdout=log, stderr=log, timeout=_SECONDS)
    if done.returncode:
        raise BenchError(f"{job} failed (exit status {done.returncode}); see {home}/dagster.log")
    return _pulled(home) - began


def _pulled(home: Path) -> float:
    """When the newest run's first pull started, in seconds since the epoch."""
    with instance_at(home) as instance:
        (run,) = instance.get_runs(limit=1)
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_START):
            step = entry.dagster_event.step_key if entry.dagster_event else None
            if step and step.rpartition(".")[2].startswith("pull"):
                return float(entry.timestamp)
    raise BenchError("the run has not read anything")
