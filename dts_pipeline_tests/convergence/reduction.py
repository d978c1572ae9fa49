"""Batches through the pipeline's own duplicates, compaction and delta; results are remembered.

Many batches go through in one frame, each as a table (or topic) of its own. Compaction only asks
whether two rows are equal, and the sums of counters are differences, so batches that differ in
nothing but the names of their rows are one pattern: it is reduced once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pandas as pd

from dts_pipeline.core import compaction, delta
from dts_pipeline.core.batches import PartitionCheckpoint, SourcePosition
from dts_pipeline.core.delta import Counters
from dts_pipeline.core.duplicates import drop_duplicates
from dts_pipeline.core.gtids import GtidSet
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline_tests import builders
from dts_pipeline_tests.convergence.rows import Change, Entries, Entry, Row, Value

COLUMNS = ("text", "version", "stock")
Pattern = tuple[Any, ...]
Reduced = tuple[tuple[Change, ...], tuple[int, ...]]
"""The changes of a batch, and the keys whose user events a mark overtook (rule R2)."""


class Reduction:
    """Reduces batches; with `counters` a key of updates only is counted (rule R5)."""

    def __init__(self, counters: Counters | None = None) -> None:
        self.counters = counters
        self._known: dict[Pattern, Reduced] = {}

    def of(self, entries: Entries) -> Reduced:
        """A batch's changes, in the order of each key's last event, and its keys overtaken."""
        pattern, values, bases = self._pattern(entries)
        if pattern not in self._known:
            self._learn([pattern])
        changes, superseded = self._known[pattern]
        return tuple(_named(change, values, bases) for change in changes), superseded

    def prepare(self, batches: Iterable[Entries]) -> None:
        """Reduces what is new among many batches at once."""
        patterns = dict.fromkeys(self._pattern(entries)[0] for entries in batches)
        new = [pattern for pattern in patterns if pattern not in self._known]
        if new:
            self._learn(new)

    def _pattern(self, entries: Entries) -> tuple[Pattern, list[Value], dict[int, int]]:
        """The batch with its texts and versions numbered, its counters from the key's first on."""
        if self.counters is not None:
            return _counted_pattern(entries)
        numbers: dict[Value, int] = {None: 0}
        pattern: list[Any] = []
        for key, before, after, marked in entries:
            old = numbers.setdefault(before, len(numbers))
            pattern.append((key, old, numbers.setdefault(after, len(numbers)), marked))
        return tuple(pattern), list(numbers), {}

    def _learn(self, patterns: Sequence[Pattern]) -> None:
        frame = _frame([[Entry(*entry) for entry in pattern] for pattern in patterns])
        found: dict[str, tuple[list[Change], list[int]]] = {}
        for number in range(len(patterns)):
            found[_table(number)] = ([], [])
        for table, change in self._changes(frame, found):
            found[table][0].append(change)
        for number, pattern in enumerate(patterns):
            changes, superseded = found[_table(number)]
            self._known[pattern] = tuple(changes), tuple(dict.fromkeys(superseded))

    def _changes(
        self, frame: pd.DataFrame, found: dict[str, tuple[list[Change], list[int]]]
    ) -> Iterator[tuple[str, Change]]:
        plain = frame
        if self.counters is not None:
            before, after = (_decoded(frame[side]) for side in ("before", "after"))
            counted, plain = delta.split(delta.measure(frame, before, after, self.counters))
            changes, overtaken = delta.compact(counted)
            _overtake(found, overtaken)
            for table, key, old, new, sums, crossed in _columns(changes, "sums", "crossed"):
                yield table, Change(_key(key), _value(old), _value(new), sums[0], crossed)
        counting, overtaken = compaction.drop_marked(plain)
        _overtake(found, overtaken)
        for table, key, old, new in _columns(compaction.compact(counting)):
            yield table, Change(_key(key), _value(old), _value(new))


def _overtake(found: dict[str, tuple[list[Change], list[int]]], overtaken: pd.DataFrame) -> None:
    for table, key, _, _ in _columns(overtaken):
        found[table][1].append(_key(key))


def _counted_pattern(entries: Entries) -> tuple[Pattern, list[Value], dict[int, int]]:
    texts: dict[str, int] = {}
    versions: dict[int, int] = {}
    bases: dict[int, int] = {}
    pattern: list[Any] = []
    for key, before, after, marked in entries:
        sides: list[Value] = []
        for row in (before, after):
            if row is None:
                sides.append(None)
                continue
            base = bases.setdefault(key, row.stock)
            text = texts.setdefault(row.text, len(texts))
            version = versions.setdefault(row.version, len(versions))
            sides.append(Row(str(text), version, row.stock - base))
        pattern.append((key, sides[0], sides[1], marked))
    return tuple(pattern), [list(texts), list(versions)], bases  # type: ignore[list-item]


def _named(change: Change, values: list[Any], bases: dict[int, int]) -> Change:
    """The change of a pattern with the names of the batch's own rows."""
    key, before, after, added, crossed = change
    if key not in bases:
        return Change(key, _renamed(before, values), _renamed(after, values), added, crossed)
    texts, versions = values
    base = bases[key]
    sides = [
        None if row is None else Row(texts[int(row.text)], versions[row.version], row.stock + base)
        for row in (before, after)
    ]
    return Change(key, sides[0], sides[1], added, crossed)


def _renamed(row: Any, values: list[Value]) -> Value:
    return None if row is None else values[int(row.text)]


def _frame(batches: Sequence[Sequence[Entry]]) -> pd.DataFrame:
    events = [
        builders.change_event(
            "c" if not e.before else "d" if not e.after else "u",
            e.key,
            before=_row(e.before),
            after=_row(e.after),
            table=_table(number),
            topic="a.shop.model",
        )
        for number, entries in enumerate(batches)
        for e in entries
    ]
    marked = [e.marked for entries in batches for e in entries]
    return builders.frame(builders.sent(events), marked=marked)


def _row(value: Any) -> dict[str, object] | None:
    """A row as columns; in patterns without counters a row is a number, 0 an absent one."""
    if isinstance(value, int):
        return dict(zip(COLUMNS, Row(str(value)), strict=True)) if value else None
    return None if value is None else dict(zip(COLUMNS, value, strict=True))


def _columns(changes: pd.DataFrame, *more: str) -> Iterator[tuple[Any, ...]]:
    names = ("table", "key", "before", "after", *more)
    return zip(*(changes[name].tolist() for name in names), strict=True)


def _decoded(rows: pd.Series[Any]) -> dict[str, list[object]]:
    decoded = [json.loads(row) if row is not None else {} for row in rows.tolist()]
    return {name: [row.get(name) for row in decoded] for name in COLUMNS}


def _table(number: int) -> str:
    return f"shop.batch_{number}"


def _value(encoded: bytes | None) -> Value:
    return None if encoded is None else Row(**json.loads(encoded))


def _key(encoded: bytes) -> int:
    return int(json.loads(encoded)["id"])


# --- second copies (rule R7) ------------------------------------------------------------------

_kept: dict[tuple[int, ...], tuple[bool, ...]] = {}
_FAR = 1_000


def first_copies(places: tuple[int, ...], position: int) -> tuple[int, ...]:
    """The log's places without those that the connector sent again; `position` is the next due."""
    if places == tuple(range(position, position + len(places))):
        pattern: tuple[int, ...] = tuple(range(len(places)))
    else:
        pattern = tuple(place - position for place in places)
    if pattern not in _kept:
        prepare_copies([pattern])
    return tuple(p for p, kept in zip(places, _kept[pattern], strict=True) if kept)


def prepare_copies(patterns: Iterable[tuple[int, ...]]) -> None:
    """Decides many patterns (places behind the position; before it: negative) in one frame."""
    new = [pattern for pattern in dict.fromkeys(patterns) if pattern not in _kept]
    if not new:
        return
    events, known = [], {}
    for number, pattern in enumerate(new):
        topic = f"a.shop.batch_{number}"
        known[TopicPartition(topic, 0)] = PartitionCheckpoint(0, "id", _position(-1), builders.T0)
        events += [
            builders.change_event(
                "u",
                1,
                before={"id": 1},
                after={"id": 1},
                topic=topic,
                offset=offset,
                pos=_position(place).pos,
                gtid=f"{builders.SERVER_UUID}:{_FAR + place}",
            )
            for offset, place in enumerate(pattern)
        ]
    applied = GtidSet.parse(f"{builders.SERVER_UUID}:1-{_FAR - 1}")
    frame = drop_duplicates(builders.frame(events), known, applied)
    left: dict[str, set[int]] = {}
    for topic, offset in zip(frame["topic"].tolist(), frame["offset"].tolist(), strict=True):
        left.setdefault(topic, set()).add(offset)
    for number, pattern in enumerate(new):
        own = left.get(f"a.shop.batch_{number}", set())
        _kept[pattern] = tuple(offset in own for offset in range(len(pattern)))


def _position(place: int) -> SourcePosition:
    return SourcePosition(1, 100 * (_FAR + place), 0, 0)
