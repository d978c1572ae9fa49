"""A contender in a process of its own: started, timed, its memory and result read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchError
from benchmarks.setting import ROOT

_SECONDS = 3600


def run_child(
    module: str, arguments: Sequence[str], environ: Mapping[str, str], log: Path
) -> dict[str, Any]:
    """Runs `python -m MODULE RESULT ARGUMENTS…` and gives the JSON object that it wrote to RESULT.

    `spawned` in it is the time at which it was started, in seconds since the epoch.
    Raises BenchError when it fails; `log` then has its words.
    """
    with tempfile.TemporaryDirectory(prefix="dts-bench-child-") as folder:
        result = Path(folder) / "result.json"
        argv = [sys.executable, "-m", module, str(result), *arguments]
        spawned = time.time()
        with log.open("ab") as words:
            done = subprocess.run(
                argv, cwd=ROOT, env=dict(environ), stdout=words, stderr=words, timeout=_SECONDS
            )
        if done.returncode or not result.exists():
            raise BenchError(f"{module} failed (exit status {done.returncode}); see {log}")
        return {**json.loads(result.read_text(encoding="utf-8")), "spawned": spawned}


def write_result(path: str, result: Mapping[str, Any]) -> None:
    """What the child hands back; with the most memory that it had, in bytes."""
    text = json.dumps({**result, "peak_bytes": peak_bytes("self")})
    Path(path).write_text(text, encoding="utf-8")


def peak_bytes(process: str) -> int:
    """The largest resident size of a process so far (VmHWM)."""
    return _status(process, "VmHWM")


def resident_bytes(process: str) -> int:
    """The resident size of a process now (VmRSS)."""
    return _status(process, "VmRSS")


def cpu_seconds(process: str) -> float:
    """CPU time of a process so far, all threads, user and system."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _status(process: str, name: str) -> int:
    for line in Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise BenchError(f"/proc/{process}/status has no {name}")
