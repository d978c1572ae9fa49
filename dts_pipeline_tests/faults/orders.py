"""Faults on order: at a named point of a batch a process sends itself a signal, once.

An order is a file, so that it reaches processes which somebody else starts (Dagster's daemon).
Whoever removes the file carries the order out: only one run stops or dies, the next goes on.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from dts_pipeline.core.points import Point

FAULTS = "DTS_TEST_FAULTS"
"""The variable that names the folder of orders."""


@dataclass(frozen=True)
class Strike:
    """An order that was carried out: by which process, and when (seconds of the epoch)."""

    pid: int
    at: float


@dataclass(frozen=True)
class Faults:
    """The orders of a folder."""

    folder: Path

    def order(self, link: str, point: Point, number: signal.Signals) -> None:
        """The next process that stands at the point of the link gets the signal."""
        self._order(link, point).write_text(number.name)

    def struck(self, link: str, point: Point) -> Strike | None:
        """What became of an order; None while nobody has met it."""
        report = self._report(link, point)
        if not report.exists():
            return None
        pid, at = report.read_text().split()
        return Strike(int(pid), float(at))

    def meet(self, link: str, point: Point) -> None:
        """Carries out the order for this point, if there is one."""
        order = self._order(link, point)
        try:
            number = signal.Signals[order.read_text()]
            order.unlink()
        except FileNotFoundError:
            return
        draft = order.with_suffix(f".{os.getpid()}")
        draft.write_text(f"{os.getpid()} {time.time()}")
        draft.rename(self._report(link, point))
        os.kill(os.getpid(), number)

    def _order(self, link: str, point: Point) -> Path:
        return self.folder / f"{link}.{point}.order"

    def _report(self, link: str, point: Point) -> Path:
        return self.folder / f"{link}.{point}.struck"
