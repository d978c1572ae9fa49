"""One server of a stack that is killed, paused, slow or away, and answers again afterwards.

A stack of their own: what else runs on a stack would lose its server, too.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from dts_pipeline_tests.stacks import ROOT, Stack

sys.path.insert(0, str(ROOT / "deploy" / "local"))

from localstack.processes import ProcessId, is_running, send_signal

_STILL, _MOVING = 0.18, 0.02
"""Seconds of a slow server's moments: it works for a tenth of the time."""


@dataclass(frozen=True)
class Server:
    """`site_a`, `site_b`, `kafka` or `connect`; the stack knows its process by pid and start."""

    stack: Stack
    name: str

    @property
    def runs(self) -> bool:
        """Whether its process is there."""
        return is_running(self._process)

    @property
    def _process(self) -> ProcessId:
        record = self.stack.directory / "run" / f"{self.name}.json"
        return ProcessId(**json.loads(record.read_text()))

    def kill(self) -> None:
        """Ends it as `kill -9` does; returns when its process is gone."""
        self.stack.command("kill", self.name)

    def start(self) -> None:
        """Starts it again on its port and data; returns when it answers."""
        self.stack.command("start", self.name)

    def crash(self) -> None:
        """Killed, and started again."""
        self.kill()
        self.start()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Killed for the time of the block."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Ended in order for the time of the block."""
        self.stack.command("stop", self.name)
        try:
            yield
        finally:
            self.start()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stands still for the time of the block: its connections stay, nobody gets an answer."""
        self.stack.command("pause", self.name)
        try:
            yield
        finally:
            self.start()

    def set_clock(self, seconds: int) -> None:
        """So far from the machine's, within a second; for a stack that was made with `--clocks`."""
        self.stack.command("clock", self.name, "--", str(seconds))

    @contextlib.contextmanager
    def slowed(self) -> Iterator[None]:
        """Stands still for most of each moment, for the time of the block."""
        process, over = self._process, threading.Event()

        def dawdle() -> None:
            while not over.is_set():
                send_signal(process, signal.SIGSTOP)
                over.wait(_STILL)
                send_signal(process, signal.SIGCONT)
                over.wait(_MOVING)

        thread = threading.Thread(target=dawdle, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
