"""A first load, table by table: how far it is, what became of the keys, which policies allow it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dts_pipeline.core.links import Policy

COUNTS = ("written", "equal", "changed", "recorded", "extra", "again", "undecided")
"""What is counted of keys.

`written`: rows inserted at the site that lacked them. `equal`: looked different, and were the same
by the time they were taken on. `changed`: both sites had the row, and the table's policy decided.
`recorded`: left to settlement. `extra`: rows only at the site that is not loaded from. `again`:
written to all the time, or refused by the server. `undecided`: both have it, and the policy is
`fail`.
"""


class LoadState(StrEnum):
    """Where the load of a table stands; all but DONE are open."""

    LOADING = "loading"
    VERIFYING = "verifying"  # read to its end; the closing comparison has not been made yet
    DONE = "done"  # compared at the end: both sites hold the same
    LEFT = "left"  # compared at the end: keys differ that the load could not make equal


@dataclass
class TableLoad:
    """The load of one table: read up to and with the key `position`, None being its beginning.

    `rows` read so far, of about `expected`; `counts` as in `COUNTS`; `seconds` it has taken, all
    its processes together. `left`: keys that the closing comparison found different, or moving.
    `source`: the site whose rows the other gets, as it was when the load began; None: each gets
    what it lacks.
    """

    table: str
    state: LoadState = LoadState.LOADING
    position: tuple[Any, ...] | None = None
    rows: int = 0
    expected: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    left: int = 0
    source: str | None = None

    @property
    def percent(self) -> float:
        """How much of the table was read, in percent of what is expected; 100 at its end only."""
        if self.state is not LoadState.LOADING:
            return 100.0
        return min(99.9, 100.0 * self.rows / self.expected) if self.expected else 0.0

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds if self.seconds else 0.0

    def is_open(self, *sites: str) -> bool:
        """Whether it is not done, and was begun between these sites."""
        known = self.source is None or self.source in sites
        return known and self.state is not LoadState.DONE

    def goes_on(self, source: str | None) -> bool:
        """Whether a load with that source goes on where this one stands; LEFT begins anew."""
        broken_off = self.state in (LoadState.LOADING, LoadState.VERIFYING)
        return broken_off and self.source == source

    def begun_again(self, source: str | None) -> TableLoad:
        """What to go on with: where it was broken off, else (or by another source) from zero."""
        return self if self.goes_on(source) else TableLoad(self.table, source=source)


def takes_rows_away(policy: Policy, lacking: str) -> bool:
    """Whether a user's change of a row that `lacking` has not got yet would lose its row.

    To a link such a change meets a row that was deleted at the other site. Where the policy lets
    that deletion win, settlement deletes the changed row at the site that has it.
    """
    if policy.kind == "newest":
        return not policy.update_wins
    return policy.kind == "site" and policy.site == lacking


def as_data(load: TableLoad, sites: Mapping[str, object] | None = None) -> dict[str, Any]:
    """The load of a table as JSON; no key."""
    return {
        "table": load.table,
        "state": load.state.value,
        "rows": load.rows,
        "expected": load.expected,
        "percent": round(load.percent, 1),
        "rows_per_second": round(load.rate),
        "seconds": round(load.seconds, 1),
        **{name: load.counts[name] for name in COUNTS},
        "left": load.left,
        "from": load.source,
        **(sites or {}),
    }
