"""Reads the next batch while the one before it is applied, in a thread beside the run's own.

What was read is taken only for the very checkpoint that it was read for; whatever else happens,
an error in the thread too, the batch is read again where errors belong, in `pull`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from dts_pipeline.core.batches import Checkpoint

T = TypeVar("T")
Place = tuple[int, int, str]


@dataclass
class ReadAhead(Generic[T]):
    """At most one reading at a time; `stop` makes the reading under way end soon."""

    stop: Callable[[], None]
    taken: int = 0
    _executor: ThreadPoolExecutor | None = None
    _reading: tuple[Place, Future[T]] | None = field(default=None)

    def begin(self, checkpoint: Checkpoint, read: Callable[[], T]) -> None:
        """Starts to read what follows a checkpoint that is yet to be reached."""
        if self._reading is not None:
            return
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, "dts-read-ahead")
        self._reading = (_place(checkpoint), self._executor.submit(read))

    def take(self, checkpoint: Checkpoint) -> T | None:
        """What follows the checkpoint, once it is there; None if nobody read it, or in vain."""
        if self._reading is None:
            return None
        place, future = self._reading
        self._reading = None
        failed = future.exception() is not None
        if failed or place != _place(checkpoint):
            return None
        self.taken += 1
        return future.result()

    def close(self) -> None:
        """Ends the thread."""
        if self._executor is not None:
            self.stop()
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor, self._reading = None, None


def _place(checkpoint: Checkpoint) -> Place:
    return checkpoint.generation, checkpoint.batch, checkpoint.offsets_json()
