"""What a comparison of two sites came to, table by table; keys only where a terminal shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pandas as pd

from dts_pipeline.core.checksums import NotCompared

STATE = "#state"
RECORDED = "#recorded"


class State(StrEnum):
    """How a key differs; `first` and `second` are the sites in the order of the comparison."""

    CHANGED = "changed"  # both have the row, with other values
    ONLY_FIRST = "only_first"
    ONLY_SECOND = "only_second"
    MOVING = "moving"  # written to whenever it was looked at: nothing can be said of it yet


@dataclass(frozen=True)
class TableResult:
    """One table: rows read at each site, and the keys that differ.

    `keys` has a column for each column of the primary key, `STATE`, and `RECORDED`: whether a
    record in `dts.conflict` is open for the key. `truncated`: there are more keys than were kept.
    """

    table: str
    rows: tuple[int, int]
    chunks: int
    keys: pd.DataFrame
    not_compared: tuple[NotCompared, ...] = ()
    truncated: bool = False

    def counts(self) -> dict[str, int]:
        """How many keys are in each state, and how many of those that differ are `recorded`."""
        states = Counter(self.keys[STATE].tolist())
        differing = self.keys[self.keys[STATE] != State.MOVING]
        return {
            **{state.value: states[state] for state in State},
            "recorded": int(differing[RECORDED].astype(bool).sum()),
        }

    @property
    def different(self) -> int:
        """Keys that differ at rest."""
        return int((self.keys[STATE] != State.MOVING).sum())

    @property
    def moving(self) -> int:
        """Keys of which nothing could be said."""
        return len(self.keys) - self.different


@dataclass(frozen=True)
class VerifyReport:
    """A whole comparison of a pair or a one-way link."""

    name: str
    sites: tuple[str, str]
    tables: tuple[TableResult, ...]
    seconds: float
    proven: bool = True
    """False where a link never ran: there is no telling what is under way, if anything is."""

    @property
    def different(self) -> int:
        """Keys that differ at rest, over all tables."""
        return sum(table.different for table in self.tables)

    @property
    def moving(self) -> int:
        """Keys of which nothing could be said, over all tables."""
        return sum(table.moving for table in self.tables)

    def differing_keys(self) -> dict[str, pd.DataFrame]:
        """The keys that differ at rest, by table; columns of the primary key only."""
        found = {}
        for table in self.tables:
            keys = table.keys[table.keys[STATE] != State.MOVING]
            if len(keys):
                found[table.table] = keys.drop(columns=[STATE, RECORDED]).reset_index(drop=True)
        return found


@dataclass
class TableProgress:
    """How far a table was read: up to and with `position`, None being its beginning.

    `candidates` are the keys found different so far. `done`: the whole table was read.
    """

    table: str
    position: tuple[Any, ...] | None = None
    rows: tuple[int, int] = (0, 0)
    chunks: int = 0
    candidates: list[pd.DataFrame] = field(default_factory=list)
    truncated: bool = False
    done: bool = False

    def keys(self, columns: Sequence[str]) -> pd.DataFrame:
        """All candidates as one frame, each once: a chunk can have been read again."""
        frames = [frame for frame in self.candidates if len(frame)]
        if not frames:
            return pd.DataFrame(columns=list(columns), dtype=object)
        return pd.concat(frames)[list(columns)].drop_duplicates(ignore_index=True)


def metadata_counts(report: VerifyReport) -> Mapping[str, int]:
    """The counts of a report over all tables, for Dagster: no keys."""
    total: Counter[str] = Counter()
    for table in report.tables:
        total.update(table.counts())
    rows = [sum(table.rows[side] for table in report.tables) for side in (0, 1)]
    return {**dict(total), "rows_first": rows[0], "rows_second": rows[1]}
