"""The rows of `dts.conflict` that a batch leaves (rules R1 to R3), in its own transaction."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymysql.cursors import Cursor

from dts_pipeline.core.conflicts import RECORDED, Kind, Winner

_UPSERT = (
    "INSERT INTO `dts`.`conflict` (link, lane, batch, table_name, key_hash, key_json, kind, "
    "decision, before_json, after_json, found_json, state, open_slot, times, opened_at, changed_at)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
    "ON DUPLICATE KEY UPDATE link = VALUES(link), lane = VALUES(lane), "
    "batch = VALUES(batch), kind = VALUES(kind), decision = VALUES(decision), "
    "before_json = VALUES(before_json), after_json = VALUES(after_json), "
    "found_json = VALUES(found_json), times = times + 1, changed_at = VALUES(changed_at)"
)


@dataclass(frozen=True)
class Record:
    """One record: rows as the source sent them (JSON), `found` as text columns of the target."""

    table: str
    key: bytes
    kind: Kind
    decision: Winner
    before: bytes | None
    after: bytes | None
    found: dict[str, Any] | None = None


def tally(records: Sequence[Record]) -> dict[str, dict[str, int]]:
    """How many records a batch leaves, by table, then `recorded/KIND/DECISION`; no keys."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for record in {(record.table, record.key): record for record in records}.values():
        counts[record.table][f"{RECORDED}{record.kind}/{record.decision}"] += 1
    return {table: dict(own) for table, own in counts.items()}


def write_records(
    cursor: Cursor, link: str, lane: str, batch: int, records: Sequence[Record]
) -> None:
    """Opens a record per key, or brings the open one up to date."""
    if not records:
        return
    # All of them parameters: the driver then sends many rows a statement.
    cursor.execute("SELECT UTC_TIMESTAMP(6)")
    (now,) = cursor.fetchone() or (None,)
    rows = [
        (
            link,
            lane,
            batch,
            record.table,
            key_hash(record.table, record.key),
            record.key.decode("utf-8", "replace"),
            record.kind.value,
            record.decision.value,
            _text(record.before),
            _text(record.after),
            json.dumps(record.found, ensure_ascii=False) if record.found is not None else None,
            *("open", 1, 1, now, now),
        )
        for record in records
    ]
    cursor.executemany(_UPSERT, rows)


def key_hash(table: str, key: bytes) -> bytes:
    """What identifies a key's record: a hash, because keys can be longer than an index takes."""
    return hashlib.sha256(table.encode() + b"\0" + key).digest()


def _text(row: bytes | None) -> str | None:
    return None if row is None else row.decode("utf-8", "replace")
