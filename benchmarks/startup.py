"""From the launch of a run to its first read: ours, and a default multiprocess run's.

Both are launched by Dagster's daemon: ours as deploy/dagster.yaml sets it up, the other one with
Dagster's own settings. A run's launch is the moment at which the daemon takes it from the queue.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import yaml

from benchmarks.daemon import WORKSPACE, daemon, make_home, program
from benchmarks.errors import BenchError
from benchmarks.record import Recording, make_numbers, recorded
from benchmarks.results import Spread
from benchmarks.setting import ROOT, Setting
from benchmarks.workloads import insert_only
from dts_pipeline.defs.storage import instance_at

GOAL = 1 / 3
_EVENTS = 1_000
_SECONDS = 300.0
_LINK = "startup"
_NEVER = {"cron": "0 0 1 1 *", "settle_cron": "0 0 1 1 *"}
_OWN, _DEFAULT = "this pipeline's job", "a default multiprocess job"


@dataclass(frozen=True)
class _Way:
    """A DAGSTER_HOME with a daemon of its own, and the job that runs there."""

    home: Path
    environ: Mapping[str, str]
    workspace: Path
    job: str
    opened: Callable[[Path], dg.DagsterInstance]

    def first_read(self) -> float:
        """Launches a run; seconds from its launch to the start of its first pull."""
        argv = [program("dagster"), "job", "launch", "-w", str(self.workspace), "-j", self.job]
        with (self.home / "launch.log").open("ab") as log:
            environ = dict(self.environ)
            done = subprocess.run(argv, cwd=ROOT, env=environ, stdout=log, stderr=log, timeout=120)
        if done.returncode:
            raise BenchError(f"{self.job} could not be launched; see {self.home}/launch.log")
        with self.instance() as instance:
            return _seconds(instance, self._ended(instance))

    def _ended(self, instance: dg.DagsterInstance) -> str:
        (run,) = instance.get_runs(limit=1)
        until = time.monotonic() + _SECONDS
        while time.monotonic() < until:
            now = instance.get_run_by_id(run.run_id)
            if now is not None and now.is_finished:
                if now.is_success:
                    return run.run_id
                raise BenchError(f"{self.job} failed; see {self.home}/daemon.log")
            time.sleep(0.2)
        raise BenchError(f"{self.job} did not end within {_SECONDS:.0f} s")

    @contextlib.contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The storage of this home."""
        with self.opened(self.home) as instance:
            yield instance


def measure_startup(setting: Setting, out: Path, repeat: int) -> str:
    """Both in turn, as a section of the report."""
    found: dict[str, list[float]] = {_OWN: [], _DEFAULT: []}
    for site in "ab":
        make_numbers(setting, site, _EVENTS)
    with recorded(setting, insert_only(_EVENTS), ("plain",)) as recording:
        recording.reset_target()
        ways = _ways(recording, (out / "startup").absolute())
        with contextlib.ExitStack() as daemons:
            for way in ways.values():
                log = way.home / "daemon.log"
                daemons.enter_context(daemon(way.environ, log, way.workspace))
            for number in range(repeat + 1):
                for name, way in ways.items():
                    seconds = way.first_read()
                    if number:  # before the first one nothing is warm
                        found[name].append(seconds)
    return _section(setting, found, repeat)


def _ways(recording: Recording, folder: Path) -> dict[str, _Way]:
    own, default = folder / "own", folder / "default"
    default.mkdir(parents=True)
    link = f"{_LINK}_{time.time_ns() // 10**6:x}"
    document = recording.document("plain", link, {"detect": False})
    environ = make_home(own, document, recording.setting.secrets, _NEVER)
    (default / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    module = {"module_name": "benchmarks.default_run", "working_directory": str(ROOT)}
    workspace = default / "workspace.yaml"
    workspace.write_text(yaml.safe_dump({"load_from": [{"python_module": module}]}))
    others = {**environ, "DAGSTER_HOME": str(default), "BENCH_LINK": link}
    return {
        _OWN: _Way(own, environ, WORKSPACE, f"sync_{link}", instance_at),
        _DEFAULT: _Way(default, others, workspace, "default_run", _plain_instance),
    }


def _plain_instance(home: Path) -> dg.DagsterInstance:
    return dg.DagsterInstance.from_config(str(home))


def _seconds(instance: dg.DagsterInstance, run_id: str) -> float:
    launched = 0.0
    for entry in instance.all_logs(run_id):
        event = entry.dagster_event
        if event is None:
            continue
        if event.event_type is dg.DagsterEventType.PIPELINE_STARTING:
            launched = entry.timestamp
        step = (event.step_key or "").rpartition(".")[2]
        if event.event_type is dg.DagsterEventType.STEP_START and step.startswith("pull"):
            return float(entry.timestamp) - launched
    raise BenchError("the run has not read anything")


def _section(setting: Setting, found: Mapping[str, list[float]], repeat: int) -> str:
    ours, default = (Spread.of(found[name]) for name in (_OWN, _DEFAULT))
    ratio = ours.median / default.median
    rows = [
        f"| {way} | {spread.median:.2f} ({spread.least:.2f} to {spread.most:.2f}) |"
        for way, spread in ((_OWN, ours), (_DEFAULT, default))
    ]
    return "\n".join(
        [
            f"## Start-up, on {setting.target_kind}",
            "",
            "| launched by the daemon | seconds to the first read |",
            "|---|---|",
            *rows,
            "",
            f"Ours takes {ratio:.2f} of the default's (at most {GOAL:.2f} wanted: "
            f"{'met' if ratio <= GOAL else 'not met'}); medians of {repeat} rounds.",
            "",
        ]
    )
