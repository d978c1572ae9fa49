"""The commands of `stack` on whole stacks: set up, up, down, status."""

import hashlib
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from localstack.account import require_reachable, service_account
from localstack.cache import cache_folder, exclusive
from localstack.clocks import set_clock
from localstack.database import database_service
from localstack.debian import require_packages
from localstack.errors import StackError
from localstack.interrupts import INTERRUPTS
from localstack.jars import jars_folder
from localstack.kafka import connect_service, kafka_service
from localstack.mysql_tree import mysql_tree
from localstack.output import say
from localstack.report import describe, write_config
from localstack.service import Service
from localstack.stackfile import Settings, Stack, load, new_stack, save
from localstack.supervisor import NAMES, Supervisor

#: Who is stopped first: Connect reads from and writes to all others.
_STOP_ORDER = ("connect", "kafka", "site_a", "site_b", "site_c")
_STOP_SECONDS = 30.0


def set_up(flavour: str, *, clocks: bool = False) -> None:
    """Install and download what a flavour needs; nothing is started."""
    require_packages(flavour, clocks=clocks)
    jars_folder()
    if flavour in ("mysql", "mixed"):
        mysql_tree()


def services_of(stack: Stack) -> list[Service]:
    """The stack's services."""
    account = service_account()
    jars = jars_folder()
    return [
        *(database_service(stack, site, account) for site in stack.kinds),
        kafka_service(stack, jars, account),
        connect_service(stack, jars, account),
    ]


def up(directory: Path, settings: Settings) -> dict[str, object]:
    """Start a new stack, or go on with the one in the folder; its description.

    When this fails or is broken off, what it started is ended again, and a stack that was
    new is removed but for its logs.
    """
    for flavour in dict.fromkeys([settings.flavour, *settings.kinds.values()]):
        set_up(flavour, clocks=settings.clocks)
    directory.mkdir(parents=True, exist_ok=True)
    require_reachable(directory, service_account(), "--dir")
    with _locked(directory):
        known = _known_stack(directory, settings)
        supervisor = Supervisor(directory)
        begun = [name for name in NAMES if supervisor.process(name) is None]
        try:
            return _start_all(known or new_stack(directory, settings), supervisor)
        except BaseException:
            with INTERRUPTS.deferred(forget=True):
                say("broken off: ending what was started")
                supervisor.kill(begun)
                if known is None:
                    with suppress(StackError):
                        _remove(directory, keep=("logs",))
            raise


def _start_all(stack: Stack, supervisor: Supervisor) -> dict[str, object]:
    services = services_of(stack)
    supervisor.prepare(services)
    if stack.settings.clocks:
        for name in [service.name for service in services]:
            set_clock(stack, name, 0)
    supervisor.start(services)
    write_config(stack)
    save(stack)  # last: a folder with stack.json holds a stack that has been whole
    return describe(stack)


def _known_stack(directory: Path, settings: Settings) -> Stack | None:
    stack = load(directory)
    if stack is None:
        # What a killed `up` left behind ends here; foreign files are never touched.
        supervisor = Supervisor(directory)
        foreign = sorted({path.name for path in directory.iterdir()} - _OWN_FILES)
        if foreign:
            raise StackError(
                f"{directory} holds something else ({foreign[0]}): choose another --dir"
            )
        supervisor.kill(NAMES)
        _remove(directory)
    elif stack.settings != settings:
        raise StackError(
            f"{directory} holds a stack with other settings ({stack.settings}): "
            "`stack down --purge` removes it, or choose another --dir"
        )
    return stack


_OWN_FILES = frozenset({"logs", "run", "clocks", *NAMES, "stack.json", "dts.yaml", "env.sh"})


def _remove(directory: Path, *, keep: Sequence[str] = ()) -> None:
    for name in _OWN_FILES - set(keep):
        path = directory / name
        try:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise StackError(f"could not remove {path}: {error.strerror}") from error


def down(directory: Path, *, purge: bool) -> None:
    """End a stack's processes; `purge` removes its data too (and need not be gentle)."""
    if not directory.is_dir():
        return
    with _locked(directory), INTERRUPTS.deferred():
        supervisor = Supervisor(directory)
        if not purge:
            supervisor.stop(dict.fromkeys(_STOP_ORDER, _STOP_SECONDS))
            return
        supervisor.kill(NAMES)
        _remove(directory)
    if not any(directory.iterdir()):
        directory.rmdir()


def _locked(directory: Path) -> AbstractContextManager[None]:
    """One command at a time on a stack; the lock lies outside of what `--purge` removes."""
    name = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:16]
    return exclusive(cache_folder() / "locks" / name)


def require_stack(directory: Path) -> Stack:
    """The stack in a folder; StackError where there is none."""
    stack = load(directory)
    if stack is None:
        raise StackError(f"no stack in {directory}: `stack up` makes one")
    return stack


def status(directory: Path) -> dict[str, dict[str, object]]:
    """By process: pid, whether it runs, whether it answers and, if not, why."""
    stack = require_stack(directory)
    supervisor = Supervisor(directory)
    found: dict[str, dict[str, object]] = {}
    for service in services_of(stack):
        process = supervisor.process(service.name)
        reason = service.ask() if process else "not running"
        found[service.name] = {
            "pid": process.pid if process else None,
            "running": process is not None,
            "answers": not reason,
            "reason": reason,
        }
    return found


def stop_one(directory: Path, name: str) -> None:
    """End one process in order (SIGTERM)."""
    require_stack(directory)
    with _locked(directory):
        Supervisor(directory).stop({name: _STOP_SECONDS})


def kill_one(directory: Path, name: str) -> None:
    """End one process as a crash would (SIGKILL)."""
    require_stack(directory)
    with _locked(directory):
        Supervisor(directory).kill([name])


def pause_one(directory: Path, name: str) -> None:
    """Stop one process where it stands (SIGSTOP)."""
    require_stack(directory)
    with _locked(directory):
        Supervisor(directory).pause(name)


def set_one_clock(directory: Path, name: str, seconds: int) -> None:
    """Set the clock of one process so far from the machine's."""
    stack = require_stack(directory)
    with _locked(directory):
        set_clock(stack, name, seconds)


def start_one(directory: Path, name: str) -> None:
    """Start one process again, on its port and its data, or let a paused one go on; wait until it
    answers."""
    stack = require_stack(directory)
    with _locked(directory):
        wanted = [service for service in services_of(stack) if service.name == name]
        Supervisor(directory).start(wanted)
