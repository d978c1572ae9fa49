"""Users who write at both sides while a table is being changed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from dts_pipeline_tests.integration.rig import Rig

_PAUSE = 0.02


@dataclass
class Writer:
    """Writes rows of its own side's keys to `table` until it is told to end.

    The statements name `id` and `n` only, so they go on working while other columns change.
    """

    rig: Rig
    side: str
    table: str
    written: int = 0
    failures: list[Exception] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        first = 1_000_000 if self.side == "a" else 2_000_000
        try:
            with self.rig.user(self.side) as connection, connection.cursor() as cursor:
                while not self._end.wait(_PAUSE):
                    key = first + self.written
                    cursor.execute(f"INSERT INTO {self.table} (id, n) VALUES ({key}, 1)")
                    cursor.execute(
                        f"UPDATE {self.table} SET n = n + 1 WHERE id = {max(first, key - 5)}"
                    )
                    # The others stay, or nothing would be left of the events before a change.
                    if key % 2:
                        cursor.execute(f"DELETE FROM {self.table} WHERE id = {key - 20}")
                    self.written += 1
        except Exception as error:
            self.failures.append(error)

    def end(self) -> None:
        self._end.set()


@contextlib.contextmanager
def writing(rig: Rig, table: str) -> Iterator[tuple[Writer, Writer]]:
    """A writer a side for the time of the block; each must have written, and never failed."""
    writers = Writer(rig, "a", table), Writer(rig, "b", table)
    threads = [threading.Thread(target=writer.run) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        yield writers
    finally:
        for writer in writers:
            writer.end()
        for thread in threads:
            thread.join(30)
    assert [writer.failures for writer in writers] == [[], []]
    assert all(writer.written > 5 for writer in writers)
