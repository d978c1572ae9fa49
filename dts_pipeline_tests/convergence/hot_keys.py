"""Writers on both sides that fight over the same few keys, while sync and settle go on."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pymysql

from dts_pipeline.errors import TransientError
from dts_pipeline.stages.carry import carry
from dts_pipeline.stages.pair import PairRuntime
from dts_pipeline.stages.reconcile import Patience, ReconcileReport
from dts_pipeline.stages.settle import settle
from dts_pipeline_tests.integration.rig import Rig

_LOCKED = {1205, 1213, 1062}

Write = Callable[[Any, random.Random, str], int]
"""One user transaction: takes a cursor, a random source and the side; what it added to counters."""


@dataclass
class Fight:
    """`writers` a side write on `table` for `seconds`; both links and settle run meanwhile."""

    rig: Rig
    write: Write
    writers: int = 8
    pause: float = 0.004
    added: list[int] = field(default_factory=list)
    settled: list[ReconcileReport] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)

    def run(self, seconds: float) -> None:
        """Writes for so long, then carries and settles until both sides are at rest."""
        stop, settled, quiet = (threading.Event() for _ in range(3))
        carriers = [self._thread(self._carry, link, quiet) for link in self._links()]
        settler = self._thread(self._settle, settled)
        writers = [
            self._thread(self._writer, side, number, stop)
            for side in "ab"
            for number in range(self.writers)
        ]
        time.sleep(seconds)
        stop.set()
        for thread in writers:
            thread.join(30)
        settled.set()
        settler.join(180)  # it waits for the carriers, so they end after it
        quiet.set()
        for thread in carriers:
            thread.join(60)
        if self.failures:
            raise self.failures[0]
        self.come_to_rest()

    def come_to_rest(self) -> None:
        """Everything carried and every record closed, in finitely many settlements."""
        pair = self.pair()
        try:
            for _ in range(10):
                self.rig.sync()
                self.rig.drain()
                self.settled.append(settle(pair, carry=carry))
                if not (self.rig.records(self.rig.forth) or self.rig.records(self.rig.back)):
                    return
        finally:
            pair.close()
        raise AssertionError("records stay open after ten settlements")

    def pair(self) -> PairRuntime:
        """The pair's two links, with connections of their own."""
        return PairRuntime(self.rig.runtime(self.rig.forth), self.rig.runtime(self.rig.back))

    def _links(self) -> tuple[str, str]:
        return self.rig.forth, self.rig.back

    def _thread(self, target: Callable[..., None], *arguments: object) -> threading.Thread:
        def guarded() -> None:
            try:
                target(*arguments)
            except BaseException as error:
                self.failures.append(error)

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        return thread

    def _writer(self, side: str, number: int, stop: threading.Event) -> None:
        chance = random.Random(f"{side}{number}")
        with self.rig.user(side) as connection, connection.cursor() as cursor:
            while not stop.is_set():
                with _retried(connection):
                    connection.begin()
                    added = self.write(cursor, chance, side)
                    connection.commit()
                    self.added.append(added)
                time.sleep(self.pause)

    def _carry(self, link: str, quiet: threading.Event) -> None:
        runtime = self.rig.runtime(link)
        try:
            while not quiet.is_set():
                with contextlib.suppress(TransientError):
                    carry(runtime)
        finally:
            runtime.close()

    def _settle(self, quiet: threading.Event) -> None:
        pair = self.pair()
        try:
            while not quiet.wait(1.0):
                with contextlib.suppress(TransientError):
                    self.settled.append(settle(pair, patience=Patience(caught_up=60, rounds=2)))
        finally:
            pair.close()


@contextlib.contextmanager
def _retried(connection: Any) -> Iterator[None]:
    """A user's transaction that meets a lock or another's key is rolled back and forgotten."""
    try:
        yield
    except pymysql.MySQLError as error:
        connection.rollback()
        if error.args[0] not in _LOCKED:
            raise
