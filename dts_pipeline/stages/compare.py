"""Reads one table at both sites in chunks of keys, and finds the keys whose rows differ just now.

A chunk is as many rows as take about `CHUNK_SECONDS` at the slower site. Chunks that differ are
halved until few rows are left; those rows' keys and hashes are compared, and what differs is
looked up once more by its key, at both sites. What is left can still be a change on its way:
`stages.at_rest` tells.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from dts_pipeline.adapters.checksums import HASH, HashReader, Total
from dts_pipeline.adapters.database import Database
from dts_pipeline.core.checksums import TablePair, same_order
from dts_pipeline.core.key_ranges import Boundary, KeyRange
from dts_pipeline.core.same_json import same_json
from dts_pipeline.core.verification import STATE, State, TableProgress

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Limits:
    """How much is read at once: seconds and rows of a chunk, and the rows compared one by one.

    The first chunk has no seconds to go by: it is bounded by rows and by estimated bytes.

    `keys` bounds how many keys of a table are kept.
    """

    chunk_seconds: float = 1.0
    first_rows: int = 10_000
    first_bytes: int = 64 * 2**20
    min_rows: int = 50
    max_rows: int = 500_000
    leaf_rows: int = 500
    keys: int = 100_000


@dataclass
class TableComparison:
    """One table under comparison, with a session at each site."""

    pair: TablePair
    readers: tuple[HashReader, HashReader]
    limits: Limits
    threads: ThreadPoolExecutor = field(repr=False)

    def read(
        self, progress: TableProgress, keep: Callable[[TableProgress, int], None]
    ) -> TableProgress:
        """Reads from `progress` on to the end; `keep` is told after each chunk, with its rows."""
        _, row_bytes = self.estimate()
        fitting = self.limits.first_bytes // max(row_bytes, 1)
        size = max(min(self.limits.first_rows, fitting), self.limits.min_rows)
        while not progress.done:
            began = time.monotonic()
            keys = self._next(progress.position, size)
            totals = self._totals(keys)
            if totals[0] != totals[1] and not progress.truncated:
                found = self._still_different(self._narrowed(keys, totals))
                progress.candidates.append(found)
                kept = sum(len(frame) for frame in progress.candidates)
                progress.truncated = kept > self.limits.keys
            progress.position, progress.done = keys.high, keys.high is None
            progress.rows = (progress.rows[0] + totals[0].rows, progress.rows[1] + totals[1].rows)
            progress.chunks += 1
            keep(progress, max(totals[0].rows, totals[1].rows))
            size = self._adapted(size, time.monotonic() - began)
        return progress

    def estimate(self) -> tuple[int, int]:
        """Rows and bytes a row at the larger site, about."""
        one, two = (reader.estimate() for reader in self.readers)
        return max(one[0], two[0]), max(one[1], two[1])

    def states(self, keys: pd.DataFrame) -> tuple[npt.NDArray[np.object_], ...]:
        """Each key's hash at the first and the second site (None: no row), and its `State`.

        The state is None where both sites are equal.
        """
        one, two = self._both(lambda reader: reader.hashes(keys))
        gone = np.array([[h is None for h in side] for side in (one, two)], dtype=np.bool_)
        state = np.full(len(keys), State.CHANGED, dtype=object)
        state[gone[1]] = State.ONLY_FIRST
        state[gone[0]] = State.ONLY_SECOND
        state[one == two] = None
        self._forgive_json(keys, state)
        return one, two, state

    def _forgive_json(self, keys: pd.DataFrame, state: npt.NDArray[np.object_]) -> None:
        """Takes back rows whose JSON differs in spelling only, such as 1.0 and 1 on MySQL."""
        at = np.flatnonzero(state == State.CHANGED)
        names = self.pair.json_by_value
        if not names or not len(at):
            return
        few = keys.iloc[at]
        plain = self._both(lambda reader: reader.hashes(few, without_json=True))
        equal = plain[0] == plain[1]
        for name in names:
            texts = self._both(lambda reader, name=name: reader.texts(few, name))  # type: ignore[misc]
            equal &= same_json(*texts)
        state[at[equal]] = None

    def next_range(self, low: Boundary | None, size: int) -> KeyRange:
        """The next range of about `size` rows behind `low`; the table's last one is open."""
        return self._next(low, size)

    def differing(self, keys: KeyRange) -> tuple[tuple[int, int], pd.DataFrame]:
        """Rows of a range at each site, and the keys that look different, with their `STATE`.

        Where a site has none of the range, every row of the other is taken as it stands.
        """
        totals = self._totals(keys)
        rows = totals[0].rows, totals[1].rows
        if totals[0] == totals[1]:
            found, state = self._none(), np.zeros(0, dtype=object)
        elif 2 * min(rows) < max(rows):  # halving would end at nearly every row
            found, state = self._rows_with_states(keys)
        else:
            found = self._narrowed(keys, totals)
            *_, state = self.states(found)
        different = np.flatnonzero(pd.Series(state, dtype=object).notna())
        found = found.iloc[different].reset_index(drop=True)
        found[STATE] = state[different]
        return rows, found

    def _next(self, low: Boundary | None, size: int) -> KeyRange:
        """The next range of about `size` rows; the table's last one is open."""
        first, second = self.readers
        rest = KeyRange(low, None)
        high = first.boundary(rest, size - 1) or second.boundary(rest, size - 1)
        keys = KeyRange(low, high)
        # The second site may have many more rows there.
        return KeyRange(low, second.boundary(keys, 2 * size) or high)

    def _narrowed(self, keys: KeyRange, totals: tuple[Total, Total]) -> pd.DataFrame:
        """The keys of a range whose rows look different, by halving it."""
        larger = int(totals[1].rows > totals[0].rows)
        rows = totals[larger].rows
        middle = None
        if rows > self._leaf:
            middle = self.readers[larger].boundary(keys, rows // 2 - 1)
        if middle is None or middle == keys.high:
            return self._row_by_row(keys)
        found = []
        for half in keys.split(middle):
            inside = self._totals(half)
            if inside[0] != inside[1]:
                found.append(self._narrowed(half, inside))
        return pd.concat([self._none(), *found], ignore_index=True)

    @property
    def _leaf(self) -> int:
        """Where the two sites order keys differently, halving soon does not help any more."""
        return self.limits.leaf_rows * (1 if same_order(self.pair) else 20)

    def _row_by_row(self, keys: KeyRange) -> pd.DataFrame:
        names = list(self.pair.tables[0].primary_key)
        both = self._side_by_side(keys)
        different = both[f"{HASH}_1"].ne(both[f"{HASH}_2"])
        return both.loc[different, names].reset_index(drop=True)

    def _side_by_side(self, keys: KeyRange) -> pd.DataFrame:
        """A row a key that either site has in a range, with both hashes; NaN where it has none."""
        names = list(self.pair.tables[0].primary_key)
        one, two = self._both(lambda reader: reader.rows(keys))
        return one.merge(two, on=names, how="outer", suffixes=("_1", "_2"))

    def _rows_with_states(self, keys: KeyRange) -> tuple[pd.DataFrame, npt.NDArray[np.object_]]:
        """Every row of a range by its key; those that both sites have are looked up once more."""
        both = self._side_by_side(keys)
        state = np.full(len(both), None, dtype=object)
        state[both[f"{HASH}_2"].isna()] = State.ONLY_FIRST
        state[both[f"{HASH}_1"].isna()] = State.ONLY_SECOND
        found = both[list(self.pair.tables[0].primary_key)]
        unequal = both[f"{HASH}_1"].ne(both[f"{HASH}_2"]).to_numpy()
        changed = np.flatnonzero(unequal & pd.isna(state))
        if len(changed):
            *_, state[changed] = self.states(found.iloc[changed])
        return found, state

    def _still_different(self, keys: pd.DataFrame) -> pd.DataFrame:
        if keys.empty:
            return keys
        *_, state = self.states(keys)
        different = pd.Series(state, dtype=object).notna().to_numpy()
        return keys.iloc[np.flatnonzero(different)].reset_index(drop=True)

    def _none(self) -> pd.DataFrame:
        return pd.DataFrame(columns=list(self.pair.tables[0].primary_key), dtype=object)

    def _totals(self, keys: KeyRange) -> tuple[Total, Total]:
        return self._both(lambda reader: reader.total(keys))

    def _both(self, ask: Callable[[HashReader], _Answer]) -> tuple[_Answer, _Answer]:
        """The answers of both sites, asked at the same time."""
        first = self.threads.submit(ask, self.readers[0])
        second = ask(self.readers[1])
        return first.result(), second

    def _adapted(self, size: int, seconds: float) -> int:
        wanted = size * self.limits.chunk_seconds / max(seconds, 0.001)
        bounded = min(max(wanted, size / 4), size * 4)
        return int(min(max(bounded, self.limits.min_rows), self.limits.max_rows))


@contextmanager
def comparing(
    databases: tuple[Database, Database], pair: TablePair, limits: Limits
) -> Iterator[TableComparison]:
    """The comparison of one table; ends its sessions."""
    hashes = pair.hashes()
    with ThreadPoolExecutor(1, "verify") as threads:
        with (
            HashReader(databases[0], pair.tables[0], hashes[0], pair.inside) as one,
            HashReader(databases[1], pair.tables[1], hashes[1]) as two,
        ):
            yield TableComparison(pair, (one, two), limits, threads)
