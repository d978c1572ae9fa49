"""A DAGSTER_HOME with a running daemon, as deploy/dagster.yaml sets it up."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import yaml

from dts_pipeline.defs.storage import instance_at
from dts_pipeline_tests.stacks import ROOT

SCHEDULE_TAG = "dagster/schedule_name"
_END_SECONDS = 20.0


@dataclass
class DagsterHome:
    """The folder, the definitions' module, and what its processes find in their environment."""

    folder: Path
    module: str
    environment: Mapping[str, str]
    workspace: Path | None = None
    """A workspace.yaml to use; without one it is made, for `module`."""
    _daemon: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Starts the daemon; it runs the schedules, the queue and the run monitor."""
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "deploy" / "dagster.yaml", self.folder / "dagster.yaml")
        programs = Path(sys.executable).parent
        workspace = self.workspace or self._own_workspace()
        # Two processes that make a fresh storage at once can spoil it (Dagster's issue 27390).
        subprocess.run(
            [str(programs / "dagster"), "instance", "migrate"],
            check=True,
            env=self.variables,
            capture_output=True,
        )
        with (self.folder / "daemon.log").open("ab") as log:
            self._daemon = subprocess.Popen(
                [str(programs / "dagster-daemon"), "run", "-w", str(workspace)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.variables,
                cwd=workspace.parent,
                start_new_session=True,
            )

    def _own_workspace(self) -> Path:
        location = {"module_name": self.module, "working_directory": str(ROOT)}
        path = self.folder / "workspace.yaml"
        path.write_text(yaml.safe_dump({"load_from": [{"python_module": location}]}))
        return path

    @property
    def variables(self) -> dict[str, str]:
        """The whole environment of the daemon and of everything that it starts."""
        path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
        home = {"DAGSTER_HOME": str(self.folder), "PATH": path}
        return {**os.environ, **self.environment, **home}

    def end(self) -> None:
        """Ends the daemon, its code servers and their runs, each by its pid."""
        if self._daemon is not None:
            self._daemon.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._daemon.wait(_END_SECONDS)
        until = time.monotonic() + _END_SECONDS
        while left := self.processes():
            number = signal.SIGKILL if time.monotonic() > until else signal.SIGTERM
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            time.sleep(0.2)
            if self._daemon is not None:
                self._daemon.poll()

    def kill_daemon(self) -> None:
        """Ends the daemon alone, as `kill -9` does."""
        assert self._daemon is not None
        self._daemon.kill()
        self._daemon.wait(_END_SECONDS)

    @property
    def has_ended(self) -> bool:
        """Whether the daemon has ended by itself."""
        return self._daemon is None or self._daemon.poll() is not None

    def code_servers(self) -> list[int]:
        """The pids of the processes that serve the definitions."""
        found = []
        for pid in self.processes():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if b"api" in words and b"grpc" in words:
                    found.append(pid)
        return found

    @contextlib.contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The storage of this home, read from outside."""
        with instance_at(self.folder) as instance:
            yield instance

    def log_tail(self) -> str:
        """The end of the daemon's log."""
        return (self.folder / "daemon.log").read_text(errors="replace")[-4000:]

    def processes(self) -> list[int]:
        """Everything that was started with this home in its environment; nobody else has it."""
        mark = f"DAGSTER_HOME={self.folder}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
        return found


@contextlib.contextmanager
def running(home: DagsterHome) -> Iterator[DagsterHome]:
    """The home's daemon for the time of the block."""
    try:
        home.start()
        yield home
    finally:
        home.end()
