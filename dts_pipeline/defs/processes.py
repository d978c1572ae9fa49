"""Which process a run lives in, and whether that still lives."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def this_process() -> str:
    """`host/pid/start` of this process; start tells it from a later one with the same pid."""
    return f"{socket.gethostname()}/{os.getpid()}/{_start_of(os.getpid())}"


def is_gone(process: str) -> bool:
    """Whether the process is of this host and has ended; False where that can't be told."""
    host, pid, start = _parts(process)
    return host == socket.gethostname() and pid is not None and _start_of(pid) != start


def pid_here(process: str) -> int | None:
    """The pid of a process that lives on this host; None where it does not."""
    host, pid, start = _parts(process)
    if pid is None or host != socket.gethostname() or _start_of(pid) != start:
        return None
    return pid


def _parts(process: str) -> tuple[str, int | None, str]:
    before, _, start = process.rpartition("/")
    host, _, pid = before.rpartition("/")
    return host, int(pid) if pid.isdigit() else None, start


def _start_of(pid: int) -> str:
    """Clock ticks from boot to the start of a process; empty if there is none, or a zombie.

    Without /proc only whether the process exists: `running`, or empty.
    """
    if not Path("/proc/self/stat").exists():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return ""
        except PermissionError:
            pass
        return "running"
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]
