"""Looks for planted texts in whatever was left behind, also compressed or spelled otherwise."""

from __future__ import annotations

import base64
import contextlib
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path


def spellings(text: str) -> set[bytes]:
    """The text's bytes, in hexadecimal too, and base64 wherever in a longer text it stands."""
    raw = text.encode()
    found = {raw, raw.hex().encode(), raw.hex().upper().encode()}
    for shift in range(3):
        # What surrounds it decides the first and the last characters; those between are its own.
        whole = base64.b64encode(b"\0" * shift + raw + b"\0" * 2)
        found.add(whole[4 if shift else 0 : 4 * ((shift + len(raw)) // 3)])
    return found


def found_in(blobs: Iterable[tuple[str, bytes]], texts: Iterable[str]) -> list[str]:
    """`place: text` of all that is there."""
    wanted = {text: spellings(text) for text in texts}
    return [
        f"{place}: {text}"
        for place, blob in blobs
        for text, ways in wanted.items()
        if any(way in blob for way in ways)
    ]


def left_in(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder; of SQLite's also each value, as Dagster stores it compressed."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        with contextlib.suppress(FileNotFoundError):
            content = path.read_bytes()
            yield str(path), content
            if content.startswith(b"SQLite format 3\0"):
                yield from _values(path)


def _values(path: Path) -> Iterator[tuple[str, bytes]]:
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                for value in row:
                    if isinstance(value, bytes):
                        yield f"{path} {table}", _unpacked(value)
                    elif isinstance(value, str):
                        yield f"{path} {table}", value.encode()


def _unpacked(value: bytes) -> bytes:
    try:
        return zlib.decompress(value)
    except zlib.error:
        return value
