"""Starts, asks and stops a stack's services; remembers each one's process in DIR/run."""

import json
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from localstack.commands import run_all
from localstack.errors import StackError
from localstack.interrupts import INTERRUPTS
from localstack.output import say, tail
from localstack.processes import ProcessId, identify, is_running, send_signal, spawn, wait_gone
from localstack.service import Service

NAMES = ("site_a", "site_b", "site_c", "kafka", "connect")
_START_SECONDS = 180


class Supervisor:
    """The processes of the stack in one folder."""

    def __init__(self, directory: Path) -> None:
        self._run = directory / "run"

    def process(self, name: str) -> ProcessId | None:
        """The running process of a service, or None."""
        try:
            value = json.loads(self._record(name).read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        process = ProcessId(**value)
        return process if is_running(process) else None

    def prepare(self, services: Sequence[Service]) -> None:
        """Make the data folders of services that were never started."""
        fresh = [service for service in services if not self._prepared(service.name).exists()]
        for service in fresh:
            service.configure()
        run_all([command for service in fresh for command in service.prepare])
        for service in fresh:
            self._prepared(service.name).parent.mkdir(parents=True, exist_ok=True)
            self._prepared(service.name).touch()

    def start(self, services: Sequence[Service]) -> None:
        """Start what does not run or is paused, side by side, and wait until each answers."""
        begin = time.monotonic()
        for service in services:
            process = self.process(service.name)
            if process is None:
                self._launch(service)
            else:
                send_signal(process, signal.SIGCONT)  # nothing, unless it was paused
        waiting = list(services)
        while waiting:
            for service in list(waiting):
                if self._answers(service, time.monotonic() - begin):
                    waiting.remove(service)
                    service.settle()
                    say(f"{service.name} answers after {time.monotonic() - begin:.1f} s")
            time.sleep(0.1)

    def stop(self, services: Mapping[str, float]) -> None:
        """End services in the order given (name: seconds of patience), then kill what is left."""
        for name, seconds in services.items():
            process = self.process(name)
            if process is not None:
                send_signal(process, signal.SIGTERM)
                send_signal(process, signal.SIGCONT)  # a paused one would not hear it
                if wait_gone([process], seconds):
                    say(f"{name} did not end within {seconds:.0f} s: killing it")
                    self.kill([name])
            self._record(name).unlink(missing_ok=True)

    def kill(self, names: Sequence[str]) -> None:
        """SIGKILL; returns when the processes are gone."""
        processes = [found for name in names if (found := self.process(name)) is not None]
        for process in processes:
            send_signal(process, signal.SIGKILL)
        left = wait_gone(processes, 30)
        if left:
            raise StackError(f"process {left[0].pid} does not end, not even by SIGKILL")
        for name in names:
            self._record(name).unlink(missing_ok=True)

    def pause(self, name: str) -> None:
        """SIGSTOP: it keeps its connections and answers nobody; `start` lets it go on."""
        process = self.process(name)
        if process is None:
            raise StackError(f"{name} does not run")
        send_signal(process, signal.SIGSTOP)

    def _launch(self, service: Service) -> None:
        service.configure()
        with INTERRUPTS.deferred():
            child = spawn(
                service.argv,
                log=service.log,
                account=service.account,
                cwd=service.cwd,
                env=service.env,
            )
            process = identify(child.pid)
            if process is None:
                raise StackError(_died(service))
            self._run.mkdir(parents=True, exist_ok=True)
            self._record(service.name).write_text(json.dumps(asdict(process)), encoding="utf-8")
            # It outlives this program on purpose; Python warns of children left behind.
            child.returncode = 0

    def _answers(self, service: Service, waited: float) -> bool:
        reason = service.ask()
        if self.process(service.name) is None:
            raise StackError(_died(service))
        if reason and waited > _START_SECONDS:
            raise StackError(
                f"{service.name} does not answer after {waited:.0f} s ({reason}); "
                f"{service.log} ends:\n{tail(service.log)}"
            )
        return not reason

    def _record(self, name: str) -> Path:
        return self._run / f"{name}.json"

    def _prepared(self, name: str) -> Path:
        return self._run / f"{name}.prepared"


def _died(service: Service) -> str:
    return f"{service.name} ended at once; {service.log} ends:\n{tail(service.log)}"
