"""Named points on a batch's way at which a test can end, delay or break the process.

In production nothing is installed and `reached` does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Point(StrEnum):
    """The points, in the order of a batch."""

    PULLED = "pulled"  # the batch is in memory
    STAGING = "staging"  # the stages of one table are filled, uncommitted
    STAGED = "staged"  # all stages are filled and committed, the transaction not begun
    FENCED = "fenced"  # the checkpoint is moved, no row written
    WRITTEN = "written"  # rows, records and ledger are written, not committed
    COMMITTED = "committed"  # committed; nobody was told yet
    APPLIED = "applied"  # the stage has returned; the asset is not recorded


_installed: list[Callable[[Point], None]] = []


def reached(point: Point) -> None:
    """Tells the installed hooks that the process stands at a point."""
    for hook in _installed:
        hook(point)


def install(hook: Callable[[Point], None]) -> None:
    """Adds a hook for the rest of the process."""
    _installed.append(hook)
