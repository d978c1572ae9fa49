"""The processes that the demo starts, each known by its pid, and the signals that end it.

Orphans of these processes come to this one (a subreaper, prctl(2)), so that none is left behind
when a parent in between has ended. If this process is killed, they get SIGTERM from the kernel.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from demoshop.errors import DemoError

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LIBC = ctypes.CDLL(None, use_errno=True)
_END_SECONDS = 15.0


class Children:
    """Starts programs and ends them with everything that they started."""

    def __init__(self) -> None:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        """Starts a program that stays, with its output in `log`."""
        with log.open("ab") as output:
            self._running[name] = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )

    def run(self, argv: Sequence[str], env: Mapping[str, str]) -> str:
        """Runs a program to its end and gives its stdout; its stderr goes to the terminal."""
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=dict(env),
            start_new_session=True,
        )
        try:
            output, _ = process.communicate()
        except BaseException:
            process.terminate()  # it cleans up after itself
            process.wait()
            raise
        if process.returncode != 0:
            shown = output.decode(errors="replace").strip()
            raise DemoError(f"{Path(argv[0]).name} ended with {process.returncode}\n{shown}")
        return output.decode()

    def raise_if_ended(self) -> None:
        """Raises DemoError if a program that should stay has ended."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise DemoError(f"{name} has ended with {process.returncode}")

    def end(self) -> None:
        """Ends every program and waits until it is gone, also what it left to this process."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in self._running.values():
                if process.poll() is None:
                    process.send_signal(number)
            until = time.monotonic() + _END_SECONDS
            while time.monotonic() < until and any(
                process.poll() is None for process in self._running.values()
            ):
                time.sleep(0.05)
        self._running.clear()

    def end_orphans(self, environment_mark: str) -> None:
        """Ends what is left of children's children whose environment holds the given text."""
        until = time.monotonic() + _END_SECONDS
        while left := [pid for pid in _own_children() if environment_mark in _environment(pid)]:
            late = time.monotonic() > until
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
            time.sleep(0.1)
            _reap()
        _reap()


class Interrupts:
    """Turns SIGINT, SIGTERM and SIGHUP into KeyboardInterrupt, but not while held back."""

    def __init__(self) -> None:
        self._held = False

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        """The signals' handler."""
        if not self._held:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def held_back(self) -> Iterator[None]:
        """Cleaning up is not broken off: signals are forgotten until the block ends."""
        self._held = True
        try:
            yield
        finally:
            self._held = False


@contextlib.contextmanager
def interruptible() -> Iterator[Interrupts]:
    """Takes over the signals that end a program."""
    interrupts = Interrupts()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupts.handle) for number in numbers}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


def _own_children() -> list[int]:
    path = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return [int(pid) for pid in path.read_text().split()]


def _environment(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _reap() -> None:
    """Collects orphans that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
