"""The end of a round, under the hold: what is written, what is closed, what needs another round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dts_pipeline.adapters.reconcile_records import (
    OpenRecord,
    Overwritten,
    close_records,
    open_own_records,
)
from dts_pipeline.adapters.reconcile_site import ReconcileSite, Rows
from dts_pipeline.core.reconcile import Outcome
from dts_pipeline.core.row_values import to_json
from dts_pipeline.stages.reconcile_work import (
    RoundKeys,
    RoundResult,
    RoundWork,
    TableKeys,
    by_table,
)


@dataclass(frozen=True)
class RoundEnd:
    """The sites' sessions by name, the centre's first; each holds the lanes that write there."""

    sites: Mapping[str, ReconcileSite]
    how: RoundKeys

    @property
    def centre(self) -> ReconcileSite:
        """The site that the others are held against."""
        return next(iter(self.sites.values()))

    def finish(self, works: Sequence[RoundWork], result: RoundResult) -> None:
        """Decides each key, writes, closes and commits; what is left goes into `result`."""
        tables = [_DecidedTable.of(own) for own in by_table(works)]
        written = self._written(tables)
        wrote = False
        closing: dict[str, list[OpenRecord]] = {site: [] for site in self.sites}
        for table in tables:
            counts = result.counts.setdefault(table.name, Counter())
            for work, due in self._due_at(written, table):
                wrote = True
                self._write(written, work, due, counts)
            self._tell(table, closing, counts, result)
        others = [site for site in self.sites.values() if site is not written]
        for site in (written, *others):
            records = closing[site.database.site]
            closed = close_records(site.cursor, records) if records else 0
            if closed:
                self._count_closed(result, records, closed)
            if closed or (wrote and site is written):
                site.commit()

    def _tell(
        self,
        table: _DecidedTable,
        closing: dict[str, list[OpenRecord]],
        counts: Counter[str],
        result: RoundResult,
    ) -> None:
        """Notes what closes, and what needs another round."""
        work, left = table.works[0], []
        for place, ordinal in enumerate(work.ordinals):
            outcome = table.together[place]
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

    @staticmethod
    def _count_closed(result: RoundResult, records: Sequence[OpenRecord], closed: int) -> None:
        share = Counter(record.table for record in records)
        for table, count in share.items():
            result.counts[table]["closed"] += round(count * closed / len(records))

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

    def _written(self, tables: Sequence[_DecidedTable]) -> ReconcileSite:
        """The site that this round writes at, which commits first.

        A round writes at one site only. The links that read that site's log are held at the others
        until the write is visible; if one were let go earlier, it could carry a user's changes
        from before the write, and the write would undo what users had agreed on.
        """
        due: Counter[str] = Counter()
        for table in tables:
            for work, outcomes in zip(table.works, table.outcomes, strict=True):
                due[work.site] += int((outcomes == Outcome.FIRST).sum())
                due[self.centre.database.site] += int((outcomes == Outcome.SECOND).sum())
        others_first = [*list(self.sites)[1:], self.centre.database.site]
        return self.sites[max(others_first, key=lambda site: due[site])]

    def _due_at(
        self, site: ReconcileSite, table: _DecidedTable
    ) -> Iterator[tuple[RoundWork, npt.NDArray[np.bool_]]]:
        """The works that have rows for a site, and which; of two rows for the centre the first."""
        taken = np.zeros(len(table.together), dtype=np.bool_)
        for work, outcomes in zip(table.works, table.outcomes, strict=True):
            if site is self.centre:
                due = (outcomes == Outcome.SECOND) & ~taken
            else:
                due = (outcomes == Outcome.FIRST) & (work.site == site.database.site)
            taken |= due
            if due.any():
                yield work, due

    def _write(self, site: ReconcileSite, work: RoundWork, due: Any, counts: Counter[str]) -> None:
        """Writes the winners' rows at this site, but where a row is another one by now."""
        statements, found, wanted = work.second, work.second_rows, work.first_rows
        if site is self.centre:
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


@dataclass(frozen=True)
class _DecidedTable:
    """A table's works, an arm each, with the `Outcome` of each key there.

    `together`: what that comes to for all sites. EQUAL only where every arm is; UNDECIDED where
    none can be brought nearer; else AGAIN.
    """

    works: Sequence[RoundWork]
    outcomes: Sequence[npt.NDArray[np.int64]]
    together: npt.NDArray[np.int64]

    @classmethod
    def of(cls, works: Sequence[RoundWork]) -> _DecidedTable:
        """Decides."""
        touched = set[int]().union(*(work.touched for work in works))
        flags = np.array([o in touched for o in works[0].ordinals], dtype=np.bool_)
        outcomes = [work.round.outcomes(flags) for work in works]
        every = np.stack(outcomes)
        rests = np.isin(every, (Outcome.EQUAL, Outcome.UNDECIDED)).all(axis=0)
        equal = (every == Outcome.EQUAL).all(axis=0)
        together = np.select([equal, rests], [Outcome.EQUAL, Outcome.UNDECIDED], Outcome.AGAIN)
        return cls(works, outcomes, together.astype(np.int64))

    @property
    def name(self) -> str:
        """The table's name."""
        return self.works[0].keys.name
