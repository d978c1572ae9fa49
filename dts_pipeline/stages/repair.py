"""repair: makes the keys that a comparison found different equal, the chosen side's row winning."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

import pandas as pd

from dts_pipeline.core.conflicts import Kind
from dts_pipeline.core.links import Policy
from dts_pipeline.core.verification import VerifyReport
from dts_pipeline.errors import TerminalError
from dts_pipeline.stages.reconcile import Carry, reconcile
from dts_pipeline.stages.repair_lane import write_from_source
from dts_pipeline.stages.verify import Comparison

_BUSY_SECONDS = 600.0
Counts = Mapping[str, Mapping[str, int]]
Told = Callable[[int, int], None]


def check_winner(comparison: Comparison, winner: str | None) -> str:
    """The site whose rows win; of a one-way link always its source.

    Raises TerminalError `winner_invalid`.
    """
    one, two = (database.site for database in comparison.databases)
    allowed: tuple[str, ...] = (one, two)
    if len(comparison.links) == 1:
        allowed, winner = (one,), winner or one
    if winner in allowed:
        return winner
    raise TerminalError(
        "winner_invalid",
        "the winner of a repair must be a site of the pair; of a one-way link it is the source",
        where={"name": comparison.name, "winner": winner or "none"},
        remedy=f"Name it: --winner {' or --winner '.join(allowed)}.",
    )


def mend(
    comparison: Comparison,
    report: VerifyReport,
    winner: str,
    *,
    carry: Carry | None = None,
    progress: Told | None = None,
) -> Counts:
    """Writes the winner's rows of the keys that differ at rest; counts as `mend_keys`'."""
    return mend_keys(comparison, report.differing_keys(), winner, carry=carry, progress=progress)


def mend_keys(
    comparison: Comparison,
    keys: Mapping[str, pd.DataFrame],
    winner: str | None,
    *,
    carry: Carry | None = None,
    progress: Told | None = None,
) -> Counts:
    """Writes the winner's rows of these keys; None: each table's policy's. Counts per table.

    On a pair by `reconcile`: `equal` are proven so through a whole round, `written` were written,
    `again` still changed when its rounds were used up. Raises what `reconcile` raises.
    """
    if not keys:
        return {}
    if len(comparison.links) == 1:
        return write_from_source(comparison, keys, carry, progress)
    return _reconciled(comparison, keys, winner, carry, progress)


def all_mended(counts: Counts) -> bool:
    """Whether no key was left as it was."""
    total: Counter[str] = Counter()
    for table in counts.values():
        total.update(table)
    return not total["again"] and not total["undecided"]


def _reconciled(
    comparison: Comparison,
    keys: Mapping[str, pd.DataFrame],
    winner: str | None,
    carry: Carry | None,
    progress: Told | None,
) -> Counts:
    """Reconciles; where settle or a replay of the pair is at it, waits for its end."""
    policy = Policy("site", winner) if winner else None
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            return reconcile(
                comparison.pair,
                keys,
                reason=Kind.REPAIR,
                policy=policy,
                carry=carry,
                progress=progress,
            ).tables
        except TerminalError as error:
            if error.code != "reconcile_busy" or time.monotonic() > deadline:
                raise
            time.sleep(1)
