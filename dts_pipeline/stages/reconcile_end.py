"""The end of a round, under the hold: what is written, what is closed, what needs another round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dts_pipeline.adapters.reconcile_records import (
    OpenRecord,
    Overwritten,
    close_records,
    open_own_records,
)
from dts_pipeline.adapters.reconcile_site import ReconcileSite, Rows
from dts_pipeline.core.reconcile import Outcome
from dts_pipeline.core.row_values import to_json
from dts_pipeline.stages.reconcile_work import RoundKeys, RoundResult, RoundWork, TableKeys


@dataclass(frozen=True)
class RoundEnd:
    """Both sites' sessions, each holding the lane whose target it is."""

    first: ReconcileSite
    second: ReconcileSite
    how: RoundKeys

    def finish(self, works: Sequence[RoundWork], result: RoundResult) -> None:
        """Decides each key, writes, closes and commits; what is left goes into `result`."""
        closing: dict[str, list[OpenRecord]] = {self.first.database.site: []}
        closing[self.second.database.site] = []
        decided = [work.round.outcomes(self._touched_mask(work)) for work in works]
        written, other = self._sides(decided)
        wrote = False
        for work, outcomes in zip(works, decided, strict=True):
            counts = result.counts.setdefault(work.keys.name, Counter())
            due = outcomes == (Outcome.FIRST if written is self.second else Outcome.SECOND)
            if due.any():
                wrote = True
                self._write(written, work, due, counts)
            left = []
            for place, ordinal in enumerate(work.ordinals):
                outcome = outcomes[place]
                if outcome == Outcome.EQUAL:
                    counts["equal"] += 1
                    for record in self._records_of(work, ordinal):
                        closing[record.site].append(record)
                elif outcome == Outcome.UNDECIDED:
                    counts["undecided"] += 1
                else:
                    left.append(ordinal)
            if left:
                result.left.append(self._kept(work, left))
        for site in (written, other):
            records = closing[site.database.site]
            closed = close_records(site.cursor, records) if records else 0
            if closed:
                self._count_closed(result, records, closed)
            if closed or (wrote and site is written):
                site.commit()

    @staticmethod
    def _count_closed(result: RoundResult, records: Sequence[OpenRecord], closed: int) -> None:
        share = Counter(record.table for record in records)
        for table, count in share.items():
            result.counts[table]["closed"] += round(count * closed / len(records))

    def _touched_mask(self, work: RoundWork) -> Any:
        return np.array([o in work.touched for o in work.ordinals], dtype=np.bool_)

    def _records_of(self, work: RoundWork, ordinal: int) -> list[OpenRecord]:
        """The records of a key, and of its other spellings."""
        spelled = [ordinal, *(o for o, first in work.aliases.items() if first == ordinal)]
        return [record for o in spelled for record in work.keys.records.get(o, ())]

    def _kept(self, work: RoundWork, ordinals: Sequence[int]) -> TableKeys:
        kept = work.keys.only(ordinals)
        if self.how.reason is not None:
            return TableKeys(kept.name, kept.keys)  # the next round looks for its own
        records = {n: self._records_of(work, o) for n, o in enumerate(ordinals)}
        return TableKeys(kept.name, kept.keys, {n: r for n, r in records.items() if r})

    def _sides(self, decided: Sequence[Any]) -> tuple[ReconcileSite, ReconcileSite]:
        """The site that this round writes at, which commits first, and the other one.

        A round writes at one site only. The link that reads that site's log is held at the other
        one until the write is visible; if it were let go earlier, it could carry a user's changes
        from before the write, and the write would undo what both users had agreed on.
        """
        at_second = sum(int((outcomes == Outcome.FIRST).sum()) for outcomes in decided)
        at_first = sum(int((outcomes == Outcome.SECOND).sum()) for outcomes in decided)
        sides = (self.second, self.first)
        return sides if at_second >= at_first else (sides[1], sides[0])

    def _write(self, site: ReconcileSite, work: RoundWork, due: Any, counts: Counter[str]) -> None:
        """Writes the winners' rows at this site, but where a row is another one by now."""
        statements, found, wanted = work.second, work.second_rows, work.first_rows
        if site is self.first:
            statements, found, wanted = work.first, work.first_rows, work.second_rows
        ordinals = np.array(work.ordinals, dtype=np.int64)
        failed = site.write(statements, ordinals[~due].tolist())
        done = [o for o in ordinals[due].tolist() if o not in failed]
        counts["written"] += len(done)
        if self.how.reason is not None:
            self._record(site, work, done, found, wanted)

    def _record(
        self,
        site: ReconcileSite,
        work: RoundWork,
        ordinals: Sequence[int],
        found: Rows,
        wanted: Rows,
    ) -> None:
        """What a replay or repair wrote over stays to be seen, and open until proven equal."""
        assert self.how.reason is not None
        names = [c.name for c in work.second.base.columns]
        key_names = work.second.base.table.primary_key
        rows = [
            Overwritten(
                work.keys.name,
                to_json(key_names, work.keys.keys[o]),
                to_json(names, wanted[o]) if o in wanted else None,
                to_json(names, found[o]) if o in found else None,
            )
            for o in ordinals
        ]
        link = site.link
        open_own_records(site.cursor, link.name, link.lane, site.batch, self.how.reason, rows)
