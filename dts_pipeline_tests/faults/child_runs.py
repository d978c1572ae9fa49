"""Runs of a link in processes of their own, which stop or die where the test orders it."""

from __future__ import annotations

import faulthandler
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from dts_pipeline.core import points
from dts_pipeline.core.points import Point
from dts_pipeline.errors import DtsError
from dts_pipeline_tests.faults.orders import FAULTS, Faults
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.stacks import ROOT

# A child is a fork of a process that has imported everything and done nothing: it starts at once,
# and there are no threads of Kafka's client in it.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])
_SECONDS = 180.0
"""A run may take as long as its `batch.max_seconds`, 50 s, and what it has begun by then."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its error's code, or the batches it applied and its counts.

    `peak` is the most memory that its process had, in MiB.
    """

    code: str | None
    batches: int = 0
    counts: Mapping[str, int] | None = None
    peak: float = 0.0

    @property
    def said(self) -> str:
        """`applied`, what the run says in the place of that, or the code of its error."""
        if self.code:
            return self.code
        if self.batches:
            return "applied"
        others = ("already_applied", "paused", "empty")
        return next(name for name in others if (self.counts or {}).get(name))


@dataclass(frozen=True)
class Orders:
    """Which signals a process sends itself at which points of a link."""

    link: str
    folder: Path
    signals: Mapping[Point, signal.Signals]

    @property
    def faults(self) -> Faults:
        """The orders' folder."""
        return Faults(self.folder)

    def place(self) -> Faults:
        """Makes the folder with the orders in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for point, number in self.signals.items():
            self.faults.order(self.link, point, number)
        return self.faults


class ChildRun:
    """One run of a link (`link/lane`: of a lane) by its stages; `folder` takes its orders."""

    def __init__(
        self,
        rig: Rig,
        link: str,
        folder: Path,
        orders: Mapping[Point, signal.Signals] | None = None,
    ) -> None:
        self._link = _spelled(link)
        self._faults = Orders(self._link, folder, orders or {}).place()
        self._answer, theirs = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(
            target=_run, args=(rig, link, self._faults, theirs), daemon=True
        )
        self._process.start()
        theirs.close()

    def wait_stopped(self, point: Point) -> None:
        """Waits until the process stands still at the point."""
        wait_stopped(self._faults, self._link, point, self._pid)

    def go_on(self) -> None:
        """Lets the stopped process go on."""
        os.kill(self._pid, signal.SIGCONT)

    def kill(self) -> None:
        """Ends the process as `kill -9` does."""
        self._process.kill()
        self._process.join(_SECONDS)

    @cached_property
    def exit_code(self) -> int:
        """Waits for the end; minus the signal's number if one killed it."""
        self._process.join(_SECONDS)
        code = self._process.exitcode
        assert code is not None, "the run did not end in time"
        return code

    @cached_property
    def outcome(self) -> Outcome:
        """Waits for the end of a run that nobody killed."""
        assert self._answer.poll(_SECONDS), "the run did not end in time"
        outcome: Outcome = self._answer.recv()
        # The server that forks the runs can lose an exit code, which then is 255.
        assert self.exit_code in (0, 255)
        return outcome

    @property
    def _pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid


class DtsSync:
    """`dts sync LINK --json` in a process of its own, started at once."""

    def __init__(
        self,
        rig: Rig,
        link: str,
        folder: Path,
        orders: Mapping[Point, signal.Signals],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._link = link
        self._faults = Orders(link, folder, orders).place()
        program = [sys.executable, "-m", "dts_pipeline_tests.faults.faulty_sync"]
        variables = {**os.environ, **rig.stack.env, **(environment or {}), FAULTS: str(folder)}
        self._process = subprocess.Popen(
            [*program, "sync", link, "--config", str(rig.path), "--json"],
            cwd=ROOT,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_stopped(self, point: Point) -> None:
        """Waits until the process stands still at the point."""
        wait_stopped(self._faults, self._link, point, self._process.pid)

    def go_on(self) -> None:
        """Lets the stopped process go on."""
        self._process.send_signal(signal.SIGCONT)

    def exit_code(self) -> int:
        """Waits for the end; minus the signal's number if one killed it."""
        return self._process.wait(_SECONDS)

    def said(self) -> tuple[int, dict[str, Any]]:
        """Waits for the end: exit status and the JSON document."""
        output, _ = self._process.communicate(timeout=_SECONDS)
        return self._process.returncode, json.loads(output)


def wait_stopped(faults: Faults, link: str, point: Point, pid: int) -> None:
    """Waits until the process has carried out an order to stop."""
    wait_for(lambda: faults.struck(link, point) is not None, _SECONDS)
    wait_for(lambda: state_of(pid) == "T", _SECONDS)


def _spelled(link: str) -> str:
    """As orders, which are files, name it."""
    return link.replace("/", "-")


def _run(rig: Rig, link: str, faults: Faults, answer: Connection[Any, Any]) -> None:
    points.install(lambda point: faults.meet(_spelled(link), point))
    faulthandler.dump_traceback_later(_SECONDS - 20)  # where it hangs, should it do so
    try:
        summary = rig.run(link)
    except DtsError as error:
        print(f"{link}: {error}", file=sys.stderr, flush=True)  # a failing test shows it
        answer.send(Outcome(error.code, peak=_peak()))
    else:
        answer.send(Outcome(None, summary.batches, dict(summary.counts), _peak()))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def state_of(pid: int) -> str:
    """The process's state as proc(5) names it; T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
