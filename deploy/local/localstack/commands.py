"""Programs that run to their end: downloads and first-time preparations."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from localstack.account import Account
from localstack.errors import StackError
from localstack.interrupts import INTERRUPTS
from localstack.output import tail
from localstack.processes import end_group, spawn


@dataclass(frozen=True)
class Command:
    """What to run, as whom, and where its output goes."""

    what: str
    argv: tuple[str, ...]
    log: Path
    account: Account
    cwd: Path
    env: Mapping[str, str] | None = None


def run(command: Command, *, seconds: float = 900) -> None:
    """Run one command to its end."""
    run_all([command], seconds=seconds)


def run_all(commands: Sequence[Command], *, seconds: float = 900, patience: float = 5) -> None:
    """Run commands side by side; StackError with the log's end when one fails or takes too long.

    None of them, nor a child of theirs, is left running, whatever happens: after SIGTERM and
    `patience` seconds they are killed.
    """
    running: list[tuple[Command, subprocess.Popen[bytes]]] = []
    try:
        for command in commands:
            with INTERRUPTS.deferred():
                running.append((command, _start(command)))
        _wait(running, time.monotonic() + seconds)
    finally:
        with INTERRUPTS.deferred():
            for _, process in running:
                end_group(process.pid, patience)  # it leads a group of its own
                process.wait()


def _start(command: Command) -> subprocess.Popen[bytes]:
    try:
        return spawn(
            command.argv,
            log=command.log,
            account=command.account,
            cwd=command.cwd,
            env=command.env,
        )
    except OSError as error:
        raise StackError(
            f"could not {command.what}: {command.argv[0]}: {error.strerror}"
        ) from error


def _wait(running: Sequence[tuple[Command, subprocess.Popen[bytes]]], until: float) -> None:
    left = list(running)
    while left:
        for command, process in list(left):
            status = _exit_status(process)
            if status is None:
                continue
            left.remove((command, process))
            if status != 0:
                raise StackError(
                    f"could not {command.what}: exit status {status}; {command.log} ends:\n"
                    f"{tail(command.log)}"
                )
        if left and time.monotonic() > until:
            names = ", ".join(command.what for command, _ in left)
            raise StackError(f"took too long: {names}; see {left[0][0].log}")
        time.sleep(0.02)


def _exit_status(process: subprocess.Popen[bytes]) -> int | None:
    """The exit status without reaping: its pid, which names its group, must not be reused yet."""
    ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return None if ended is None else ended.si_status
