"""The repair of a one-way link: the target's rows are made the source's, which always wins.

A round is reconcile's, with one log: a watermark at the source, what was before it applied, the
rows read at both sites, the lane held, a second watermark. A key with an event in between starts
over: the batches write it, and writing the newer row here would let them take it back for a
moment. The others' rows are written marked, guarded by every value read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack

import numpy as np
import pandas as pd

from dts_pipeline.adapters.reconcile_site import ReconcileSite, Rows
from dts_pipeline.core.marks import reconcile_comment
from dts_pipeline.core.reconcile_statements import ReconcileStatements
from dts_pipeline.core.statements import TableStatements
from dts_pipeline.stages.at_rest import Carry, Watch
from dts_pipeline.stages.compare import TableComparison, comparing
from dts_pipeline.stages.verify import Comparison, table_pairs

_KEYS = 5_000


def write_from_source(
    comparison: Comparison,
    keys: Mapping[str, pd.DataFrame],
    carry: Carry | None,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Counter[str]]:
    """Writes the source's rows of these keys at the target; counts per table as `reconcile`'s."""
    counts: dict[str, Counter[str]] = {}
    done, total = 0, sum(len(frame) for frame in keys.values())
    for pair in table_pairs(comparison, sorted(keys)):
        own = counts.setdefault(pair.name, Counter())
        with comparing(comparison.databases, pair, comparison.limits) as table:
            for start in range(0, len(keys[pair.name]), _KEYS):
                part = keys[pair.name].iloc[start : start + _KEYS].reset_index(drop=True)
                _until_written(comparison, table, part, own, carry)
                done += len(part)
                if progress:
                    progress(done, total)
    return counts


def _until_written(
    comparison: Comparison,
    table: TableComparison,
    keys: pd.DataFrame,
    counts: Counter[str],
    carry: Carry | None,
) -> None:
    for _ in range(comparison.patience.rounds):
        with ExitStack() as stack:
            keys = _Round(comparison, table, keys, stack).run(counts, carry)
        if keys.empty:
            return
    counts["again"] += len(keys)


class _Round:
    """One round over keys of one table."""

    def __init__(
        self, comparison: Comparison, table: TableComparison, keys: pd.DataFrame, stack: ExitStack
    ) -> None:
        self.comparison, self.table, self.keys = comparison, table, keys
        self.runtime = comparison.links[0].carrying(table.pair.name)
        link = self.runtime.link
        self.stack = stack
        self.source = stack.enter_context(ReconcileSite.opened(self.runtime.source, link))
        self.target = stack.enter_context(ReconcileSite.opened(self.runtime.target, link))
        self.at_source, self.at_target = self._statements(0), self._statements(1)

    def run(self, counts: Counter[str], carry: Carry | None) -> pd.DataFrame:
        """Writes what can be written; the keys that need another round."""
        patience = self.comparison.patience
        watch = self.stack.enter_context(Watch([self.runtime], carry, patience))
        watch.wait_until_passed()
        different = self._stage(counts)
        if not different:
            return self.keys.iloc[:0]
        with self.target.held(self.runtime.ledger.installation()):
            touched = watch.touched(self.table, self.keys, watch.events_since())
            left_out = [ordinal for ordinal in different if touched[ordinal]]
            changed = self.target.write(self.at_target, left_out)
            self.target.commit()
        again = sorted(changed | set(left_out))
        counts["written"] += len(different) - len(again)
        return self.keys.iloc[np.array(again, dtype=np.int64)].reset_index(drop=True)

    def _stage(self, counts: Counter[str]) -> list[int]:
        """Reads both sites' rows and stages the source's at the target; what differs."""
        names = list(self.table.pair.tables[0].primary_key)
        keys = [tuple(row) for row in self.keys[names].itertuples(index=False, name=None)]
        aliases = self.target.load_keys(self.at_target, keys)
        self.source.load_keys(self.at_source, keys)
        wanted = self._source_rows()
        mine = {o: key for o, key in enumerate(keys) if o not in aliases}
        self.target.stage(self.at_target, mine, wanted, {})
        compared = self.target.compare(self.at_target)
        found = {int(row[0]): tuple(row[4:]) for row in compared if row[1]}
        different = {int(row[0]): keys[int(row[0])] for row in compared if not row[2]}
        counts["equal"] += len(mine) - len(different)
        self.target.stage(self.at_target, different, wanted, found)
        return list(different)

    def _source_rows(self) -> Rows:
        """The source's rows with their columns in the target's order."""
        rows, _ = self.source.rows(self.at_source)
        places = {column.name: i for i, column in enumerate(self.at_source.base.columns)}
        order = [places[column.name] for column in self.at_target.base.columns]
        return {ordinal: tuple(row[i] for i in order) for ordinal, row in rows.items()}

    def _statements(self, side: int) -> ReconcileStatements:
        pair = self.table.pair
        comment = reconcile_comment(self.runtime.link.name)
        base = TableStatements(
            pair.tables[side], pair.dialects[side], 0, comment, not pair.one_kind, None
        )
        return ReconcileStatements(base, "" if side else pair.inside)
