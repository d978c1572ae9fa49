"""Signals that break off a command, held back where that would lose a process."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Turns SIGINT, SIGTERM and SIGHUP into KeyboardInterrupt, but not inside `deferred()`.

    A process that was started and not yet recorded would outlive the command that is broken
    off just then, so start and record stand in one deferred block, as does the cleanup.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._pending = False

    def install(self) -> None:
        """Take over the signals of this process."""
        for number in _SIGNALS:
            signal.signal(number, self._handle)

    @contextmanager
    def deferred(self, *, forget: bool = False) -> Iterator[None]:
        """Hold signals back until the block ends; `forget` drops them then (a second Ctrl-C)."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if forget:
                self._pending = False
        if self._pending and self._depth == 0:
            self._pending = False
            raise KeyboardInterrupt

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self._depth:
            self._pending = True
        else:
            raise KeyboardInterrupt


INTERRUPTS = Interrupts()
