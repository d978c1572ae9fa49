"""`dts.total`: what a lane has done in all, whatever of `dts.batch` has been pruned since."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from pymysql.cursors import Cursor

BATCHES, RUNS = "batches", "runs"
FAILURES, SECONDS = "failures/", "seconds/"
"""Before a code, and before a stage: names of totals."""
_ADD = (
    "INSERT INTO `dts`.`total` (link, lane, name, value) VALUES (%s, %s, %s, %s) "
    "ON DUPLICATE KEY UPDATE value = value + VALUES(value)"
)


def batch_totals(
    counts: Mapping[str, int], tables: Mapping[str, Mapping[str, int]]
) -> dict[str, float]:
    """What a batch adds: itself, its counts, and those of its tables; zeros are left out."""
    found: Counter[str] = Counter({BATCHES: 1})
    for own in (counts, *tables.values()):
        found.update(own)
    return {name: float(value) for name, value in sorted(found.items()) if value}


def add_totals(cursor: Cursor, link: str, lane: str, totals: Mapping[str, float]) -> None:
    """Adds to the lane's totals, in the transaction of the caller."""
    if totals:
        cursor.executemany(_ADD, [(link, lane, name, value) for name, value in totals.items()])
