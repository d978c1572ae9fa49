"""Dagster's daemon over a dts.yaml, as an installation runs it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.setting import ROOT

SENSOR_SECONDS = 5
SENSORS = {"lag_sensor_seconds": SENSOR_SECONDS}
WORKSPACE = ROOT / "workspace.yaml"
_END_SECONDS = 30.0


def make_home(
    home: Path,
    document: Mapping[str, Any],
    secrets: Mapping[str, str],
    schedule: Mapping[str, Any] = SENSORS,
) -> dict[str, str]:
    """A DAGSTER_HOME with the project's own settings and this dts.yaml, with what `schedule` sets;
    the environment for processes that work with them.
    """
    home.mkdir(exist_ok=True)
    shutil.copy(ROOT / "deploy" / "dagster.yaml", home / "dagster.yaml")
    path = home / "dts.yaml"
    schedule = {**document.get("schedule", {}), **schedule}
    text = yaml.safe_dump({**document, "schedule": schedule}, sort_keys=False)
    path.write_text(text, encoding="utf-8")
    return {**os.environ, **secrets, "DAGSTER_HOME": str(home), "DTS_CONFIG": str(path)}


@contextlib.contextmanager
def daemon(environ: Mapping[str, str], log: Path, workspace: Path = WORKSPACE) -> Iterator[None]:
    """The daemon, with everything that it starts, for the time of the block."""
    # Two processes that make a fresh storage at once can spoil it (Dagster's issue 27390).
    migrate = [program("dagster"), "instance", "migrate"]
    subprocess.run(migrate, env=dict(environ), check=True, capture_output=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [program("dagster-daemon"), "run", "-w", str(workspace)],
            cwd=ROOT,
            env=dict(environ),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def program(name: str) -> str:
    """The path of a program of this Python environment."""
    return str(Path(sys.executable).parent / name)
