"""settle: reconciles every key with an open record, until both sites are equal."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dts_pipeline.adapters.reconcile_records import OWN_KEYS, OpenRecord, open_records
from dts_pipeline.adapters.table_schema import read_tables
from dts_pipeline.core.conflicts import Kind
from dts_pipeline.core.decode_keys import decode_keys
from dts_pipeline.core.decode_modes import ValueModes
from dts_pipeline.core.row_values import from_json
from dts_pipeline.core.schema import Table
from dts_pipeline.errors import DtsError
from dts_pipeline.stages.pair import PairRuntime
from dts_pipeline.stages.plan import connector_modes
from dts_pipeline.stages.reconcile import (
    Carry,
    Patience,
    ReconcileReport,
    TableKeys,
    reconcile_keys,
)
from dts_pipeline.stages.settle_children import Children

_PAGE = 10_000


def settle(
    pair: PairRuntime,
    *,
    carry: Carry | None = None,
    patience: Patience | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ReconcileReport:
    """Settles what was open when it began, oldest first; both links' records of a key together.

    Where cascades are not logged, the rows that refer to one in dispute are settled along with it.
    Keys in quarantine are left alone. A record whose table is not there any more, or not carried
    any more, stays open and counts as `gone`. Raises what `reconcile` raises; of lanes by table,
    what stops one is raised once the others are done.
    """
    report = ReconcileReport()
    after = {pair.forth.link.name: 0, pair.back.link.name: 0}
    total = sum(sum(r.ledger.open_conflicts(r.link.name).values()) for r in (pair.forth, pair.back))
    seen = 0
    children = Children(pair)
    failed: dict[int, DtsError] = {}
    while True:
        page = [
            record
            for runtime in (pair.forth, pair.back)
            for record in open_records(
                runtime.target, runtime.link.name, _PAGE, after[runtime.link.name]
            )
        ]
        if not page or len(failed) == len(pair.lanes):
            for error in failed.values():
                raise error
            return report
        for record in page:
            after[record.link] = max(after[record.link], record.id)
        # A key in quarantine differs because it could not be written: no policy decides that.
        waiting = [record for record in page if record.kind is not Kind.QUARANTINED]
        keys, gone = _keys_of(pair, waiting)
        children.open(keys)  # before the records that tell of them may close
        _add(report, ReconcileReport(), gone)
        for place, lane in enumerate(pair.lanes):
            own = [table for table in keys if lane.carries(table.name)]
            if not own or place in failed:
                continue
            try:
                found = reconcile_keys(lane, own, None, None, carry, patience or Patience())
            except DtsError as error:
                failed[place] = error
            else:
                _add(report, found, Counter())
        seen += len(page)
        if progress:
            progress(min(seen, total), max(seen, total))


def _add(report: ReconcileReport, found: ReconcileReport, gone: Counter[str]) -> None:
    for name, counts in found.tables.items():
        report.tables.setdefault(name, Counter()).update(counts)
    for name, count in gone.items():
        report.tables.setdefault(name, Counter())["gone"] += count
    report.rounds += found.rounds
    report.reasons.update(found.reasons)


def _keys_of(
    pair: PairRuntime, records: Sequence[OpenRecord]
) -> tuple[list[TableKeys], Counter[str]]:
    """The records' keys by table, each key once with all its records; and what is gone."""
    names = {record.table for record in records}
    carried = {name for name in names if pair.forth.link.matches(name)}
    excluded = pair.forth.link.excluded_columns
    first = read_tables(pair.first, carried.__contains__, excluded)
    second = read_tables(pair.second, carried.__contains__, excluded)
    modes = {r.link.name: connector_modes(r) for r in (pair.forth, pair.back)}
    by_table: dict[str, list[OpenRecord]] = defaultdict(list)
    gone: Counter[str] = Counter()
    for record in records:
        if record.table in first and record.table in second:
            by_table[record.table].append(record)
        else:
            gone[record.table] += 1
    sources = {pair.forth.link.name: first, pair.back.link.name: second}
    keys = [
        _table_keys(name, first[name], sources, modes, found)
        for name, found in sorted(by_table.items())
    ]
    return keys, gone


def _table_keys(
    name: str,
    table: Table,
    sources: Mapping[str, Mapping[str, Table]],
    modes: Mapping[str, ValueModes],
    records: Sequence[OpenRecord],
) -> TableKeys:
    places: dict[tuple[Any, ...], int] = {}
    grouped: dict[int, list[OpenRecord]] = defaultdict(list)

    def add(key: tuple[Any, ...], record: OpenRecord) -> None:
        grouped[places.setdefault(key, len(places))].append(record)

    for record in records:
        if record.kind in OWN_KEYS:
            add(from_json(table.primary_key, record.key_json), record)
    for link, tables in sources.items():
        sent = [r for r in records if r.link == link and r.kind not in OWN_KEYS]
        if not sent:
            continue
        texts = [record.key_json.encode() for record in sent]
        decoded = decode_keys(texts, table, modes[link], source=tables[name])
        rows = decoded.itertuples(index=False, name=None)
        for row, record in zip(rows, sent, strict=True):
            add(tuple(row), record)
    return TableKeys(name, list(places), grouped)
