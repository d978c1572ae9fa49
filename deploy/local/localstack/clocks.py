"""Servers whose clocks a test can set, each by itself (`stack up --clocks`, `stack clock`).

libfaketime stands between a process and the system's clock and adds what a file says. The
monotonic clock is left alone, as it is where somebody sets a real clock.
"""

from collections.abc import Mapping
from glob import glob

from localstack.account import own_folder, service_account, write_private
from localstack.errors import StackError
from localstack.stackfile import Stack

_LIBRARY = "/usr/lib/*/faketime/libfaketime.so.1"


def has_library() -> bool:
    """Whether libfaketime is installed."""
    return bool(glob(_LIBRARY))


def clock_environment(stack: Stack, name: str) -> Mapping[str, str]:
    """The variables of a process whose clock can be set; none in a stack without such clocks."""
    if not stack.settings.clocks:
        return {}
    return {
        "LD_PRELOAD": glob(_LIBRARY)[0],
        "FAKETIME_TIMESTAMP_FILE": str(stack.directory / "clocks" / name),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # else Java's waits never end
    }


def set_clock(stack: Stack, name: str, seconds: int) -> None:
    """From now on (within a second) the process reads the machine's time and so much."""
    if not stack.settings.clocks:
        raise StackError("this stack's clocks are the machine's: `stack up --clocks` makes others")
    account = service_account()
    folder = own_folder(stack.directory / "clocks", account)
    draft = folder / f"{name}.new"
    write_private(draft, f"{seconds:+d}\n", account)
    draft.rename(folder / name)  # never half of it
