"""Processes known by more than their number: a reused pid is never signalled.

The kernel's boot id and the start time in clock ticks (proc(5), /proc/PID/stat, field 22)
tell a process from a later one with the same pid; a pidfd closes the gap between looking
and signalling (pidfd_open(2)).
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from localstack.account import Account

_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "JAVA_HOME")


@dataclass(frozen=True)
class ProcessId:
    """One process of one boot of this machine."""

    pid: int
    started: int
    boot: str


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _stat(pid: int) -> list[str] | None:
    """/proc/PID/stat from the third field (state) on; None for nobody and for a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the name before ")" may hold blanks
    return None if fields[0] in "ZX" else fields


def identify(pid: int) -> ProcessId | None:
    """Who has this pid now; None when nobody has or only a zombie is left."""
    fields = _stat(pid)
    return None if fields is None else ProcessId(pid, int(fields[19]), _boot_id())


def group_members(group: int) -> list[ProcessId]:
    """The running processes of a process group."""
    boot, found = _boot_id(), []
    for entry in Path("/proc").iterdir():
        fields = _stat(int(entry.name)) if entry.name.isdigit() else None
        if fields is not None and int(fields[2]) == group:
            found.append(ProcessId(int(entry.name), int(fields[19]), boot))
    return found


def end_group(group: int, seconds: float) -> None:
    """SIGTERM to all of a process group, SIGKILL to those left after `seconds`; returns when all
    have ended. (Who forks meanwhile is found by looking again.)"""
    until = time.monotonic() + seconds
    told: set[ProcessId] = set()
    while members := group_members(group):
        late = time.monotonic() > until
        for member in members:
            if late:
                send_signal(member, signal.SIGKILL)
            elif member not in told:
                send_signal(member, signal.SIGTERM)
        told.update(members)
        time.sleep(0.02)


def is_running(process: ProcessId) -> bool:
    """Whether exactly this process still runs."""
    return identify(process.pid) == process


def send_signal(process: ProcessId, number: signal.Signals) -> None:
    """Signal exactly this process; nothing happens when it is gone."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if is_running(process):
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


def wait_gone(processes: Sequence[ProcessId], seconds: float) -> list[ProcessId]:
    """Wait until all have ended; those that still run after `seconds` are returned."""
    until = time.monotonic() + seconds
    left = [process for process in processes if is_running(process)]
    while left and time.monotonic() < until:
        time.sleep(0.02)
        left = [process for process in left if is_running(process)]
    return left


def spawn(
    argv: Sequence[str],
    *,
    log: Path,
    account: Account,
    cwd: Path,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, so that a Ctrl-C here does not reach it."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**passed, "HOME": str(cwd), **(env or {})},
            start_new_session=True,
            user=account.uid if account.switch else None,
            group=account.gid if account.switch else None,
            extra_groups=[] if account.switch else None,
            umask=0o077 if account.switch else -1,
        )
