"""What the model's sites hold and log: rows, row events, batches."""

from __future__ import annotations

from typing import NamedTuple

A, B = 0, 1
SITES = "ab"


class Row(NamedTuple):
    """A row: a plain column, a version (or the time that `newest` compares), a counter."""

    text: str = ""
    version: int = 0
    stock: int = 0


Value = Row | None
"""What a key has at a site; None is an absent row."""


class Entry(NamedTuple):
    """One row event of a site's log."""

    key: int
    before: Value
    after: Value
    marked: bool = False


Entries = tuple[Entry, ...]


class Change(NamedTuple):
    """What compaction leaves of a key; `added` is the sum for its counter, None: no counted key."""

    key: int
    before: Value
    after: Value
    added: int | None = None
    crossed: bool = False


class Batch(NamedTuple):
    """What a link read: the messages `[start, until)`, and which entries of the log they hold.

    `position`: the place in the log that its checkpoint says is the next.
    """

    source: int
    start: int
    until: int
    places: tuple[int, ...]
    position: int
