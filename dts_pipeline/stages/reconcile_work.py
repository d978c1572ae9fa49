"""What a round of reconcile works on and what comes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dts_pipeline.adapters.reconcile_records import OpenRecord
from dts_pipeline.adapters.reconcile_site import Rows
from dts_pipeline.core.conflicts import Kind
from dts_pipeline.core.links import Policy
from dts_pipeline.core.reconcile import Round
from dts_pipeline.core.reconcile_statements import ReconcileStatements
from dts_pipeline.core.schema import Table

Key = tuple[Any, ...]
SiteTables = Mapping[str, Mapping[str, Table]]
"""By site and by name: the tables of a reconcile, as they are there."""


@dataclass(frozen=True)
class TableKeys:
    """Keys of one table; `records` are those to close once their key (by index) is equal."""

    name: str
    keys: Sequence[Key]
    records: Mapping[int, Sequence[OpenRecord]] = field(default_factory=dict)

    def slice(self, start: int, end: int) -> TableKeys:
        """The keys `[start, end)` with their records."""
        return self.only(range(start, min(end, len(self.keys))))

    def only(self, ordinals: Sequence[int]) -> TableKeys:
        """The keys at these indexes with their records."""
        kept = {n: self.records[o] for n, o in enumerate(ordinals) if o in self.records}
        return TableKeys(self.name, [self.keys[o] for o in ordinals], kept)


@dataclass(frozen=True)
class RoundKeys:
    """How a round decides: `policy` None for each table's own; `reason` None for settlement."""

    reason: Kind | None
    policy: Policy | None


@dataclass
class RoundResult:
    """Counts per table, the keys that need another round, and why any started over."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    left: list[TableKeys] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass
class RoundWork:
    """One table of one arm in a round; `first` are its statements at the centre.

    `second` are those at the arm's other site, which is named `site`.
    Rows by ordinal, their columns in the second site's order; `aliases` map the ordinal of a key
    that names a row named before to that one's. `touched` are the ordinals with an event between
    the watermarks.
    """

    keys: TableKeys
    site: str
    first: ReconcileStatements
    second: ReconcileStatements
    round: Round
    aliases: Mapping[int, int] = field(default_factory=dict)
    first_rows: Rows = field(default_factory=dict)
    second_rows: Rows = field(default_factory=dict)
    touched: set[int] = field(default_factory=set)

    @property
    def ordinals(self) -> list[int]:
        """The indexes of the keys, each row once."""
        return [o for o in range(len(self.keys.keys)) if o not in self.aliases]


def by_table(works: Sequence[RoundWork]) -> list[list[RoundWork]]:
    """The works of each table together, an arm each."""
    found: dict[str, list[RoundWork]] = {}
    for work in works:
        found.setdefault(work.keys.name, []).append(work)
    return list(found.values())
