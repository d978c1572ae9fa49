"""`dts.quarantine`: keys whose change could not be decoded or stored, until somebody decides.

One row a key: it holds what the key was before and what it should have become, and further changes
of the key are held there, too, because they build on the one that is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import pandas as pd
from pymysql.cursors import Cursor

from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.records import Record, key_hash
from dts_pipeline.core.conflicts import Kind, Winner
from dts_pipeline.core.links import Link
from dts_pipeline.errors import TerminalError

HELD = "held"
"""The code of a change that is left out because an earlier one of its key was."""
_COLUMNS = (
    "SELECT id, link, event, topic, partition_number, offset_number, code, quarantined_at "
    "FROM `dts`.`quarantine`"
)
_OPEN = f"{_COLUMNS} WHERE link = %s ORDER BY id"
_FREE = (
    "DELETE FROM `dts`.`quarantine` "
    "WHERE id = %s AND topic = %s AND partition_number = %s AND offset_number = %s"
)
_RECORD = "WHERE link = %s AND table_name = %s AND key_hash = %s AND state = 'open' AND kind = %s"
_CLOSE = (
    "UPDATE `dts`.`conflict` SET state = 'closed', open_slot = NULL, "
    f"changed_at = UTC_TIMESTAMP(6) {_RECORD}"
)
_GIVEN_UP = (
    "UPDATE `dts`.`conflict` SET decision = %s, times = times + 1, "
    f"changed_at = UTC_TIMESTAMP(6) {_RECORD}"
)
_ADD = (
    "INSERT INTO `dts`.`quarantine` (link, topic, partition_number, offset_number, code, event, "
    "quarantined_at) VALUES (%s, %s, %s, %s, %s, %s, UTC_TIMESTAMP(6))"
)
_HOLD = (
    "UPDATE `dts`.`quarantine` SET topic = %s, partition_number = %s, offset_number = %s, "
    "event = %s WHERE id = %s"
)


@dataclass(frozen=True)
class LeftOut:
    """A change of a batch that is not written: CHANGE_COLUMNS, and why."""

    table: str
    key: bytes
    before: bytes | None
    after: bytes | None
    topic: str
    partition: int
    offset: int
    code: str

    def event(self, before: bytes | None) -> str:
        """What the ledger keeps of it: table, key and rows as the connector spelled them."""
        parts = {
            "table": self.table,
            "key": msgspec.Raw(self.key),
            "before": msgspec.Raw(before or b"null"),
            "after": msgspec.Raw(self.after or b"null"),
        }
        return msgspec.json.encode(parts).decode("utf-8", "replace")


@dataclass(frozen=True)
class Quarantined:
    """A row of the quarantine: the key that it holds, and the place of its last change."""

    id: int
    link: str
    table: str
    key: bytes
    before: bytes | None
    after: bytes | None
    topic: str
    partition: int
    offset: int
    code: str
    since: datetime


Standing = Mapping[tuple[str, bytes], Quarantined]


def left_out(change: pd.Series[Any], code: str) -> LeftOut:
    """A row of a batch's changes that is left out."""
    return LeftOut(
        str(change["table"]),
        change["key"],
        change["before"] if isinstance(change["before"], bytes) else None,
        change["after"] if isinstance(change["after"], bytes) else None,
        str(change["topic"]),
        int(change["partition"]),
        int(change["offset"]),
        code,
    )


class _Event(msgspec.Struct):
    table: str
    key: msgspec.Raw
    before: msgspec.Raw
    after: msgspec.Raw


def standing(
    cursor: Cursor, link: str, *, lock: bool = False
) -> dict[tuple[str, bytes], Quarantined]:
    """What a link has in quarantine, by table and key; locked for the rest of a transaction."""
    cursor.execute(_OPEN + (" FOR UPDATE" if lock else ""), (link,))
    rows = [_quarantined(row) for row in cursor.fetchall()]
    return {(row.table, row.key): row for row in rows}


def listed(database: Database, link: str | None = None) -> list[Quarantined]:
    """The quarantine of a site, oldest first; of one link, or of all that write there."""
    query = f"{_COLUMNS} WHERE :link IS NULL OR link = :link ORDER BY id"
    return [_quarantined(tuple(row)) for row in database.query(query, {"link": link})]


def free(cursor: Cursor, row: Quarantined) -> bool:
    """Takes a key out, unless another change of it was held since `row` was read."""
    place = (row.id, row.topic, row.partition, row.offset)
    return bool(cursor.execute(_FREE, place))


def end_record(cursor: Cursor, row: Quarantined, *, stays_open: bool = False) -> None:
    """Closes the record of a key that was in quarantine, or notes that the target's row stays."""
    place = (row.link, row.table, key_hash(row.table, row.key), Kind.QUARANTINED.value)
    if stays_open:
        cursor.execute(_GIVEN_UP, (Winner.TARGET.value, *place))
    else:
        cursor.execute(_CLOSE, place)


def _quarantined(values: Sequence[Any]) -> Quarantined:
    number, link, text, topic, partition, offset, code, since = values
    event = msgspec.json.decode(text, type=_Event)
    before, after = (None if r == b"null" else bytes(r) for r in (event.before, event.after))
    place = (str(topic), int(partition), int(offset))
    return Quarantined(
        int(number), str(link), event.table, bytes(event.key), before, after, *place, code, since
    )


def set_apart(changes: pd.DataFrame, kept: Standing) -> tuple[pd.DataFrame, list[LeftOut]]:
    """`(free, held)`: a batch's changes, and those of keys in quarantine."""
    if not kept:
        return changes, []
    places = zip(changes["table"], changes["key"], strict=True)
    held = pd.Series([place in kept for place in places], index=changes.index, dtype=bool)
    return changes[~held], [left_out(change, HELD) for _, change in changes[held].iterrows()]


def write_quarantine(
    cursor: Cursor, link: Link, rows: Sequence[LeftOut], kept: Standing
) -> list[Record]:
    """Puts changes into quarantine, and gives the records of keys that were not there before.

    Raises TerminalError `quarantine_full` past the link's limit.
    """
    fresh = [row for row in rows if (row.table, row.key) not in kept]
    if fresh and len(kept) + len(fresh) > link.quarantine_limit:
        raise _full(link, fresh[0], len(kept) + len(fresh))
    cursor.executemany(
        _ADD,
        [(link.name, r.topic, r.partition, r.offset, r.code, r.event(r.before)) for r in fresh],
    )
    again = [(row, kept[row.table, row.key]) for row in rows if (row.table, row.key) in kept]
    cursor.executemany(
        _HOLD,
        [(r.topic, r.partition, r.offset, r.event(old.before), old.id) for r, old in again],
    )
    return [
        Record(row.table, row.key, Kind.QUARANTINED, Winner.NONE, row.before, row.after)
        for row in fresh
    ]


def _full(link: Link, row: LeftOut, count: int) -> TerminalError:
    return TerminalError(
        "quarantine_full",
        f"{count} keys would be in quarantine, more than quarantine_limit allows",
        where={
            "link": link.name,
            "limit": link.quarantine_limit,
            "topic": row.topic,
            "partition": row.partition,
            "offset": row.offset,
            "table": row.table,
            "cause": row.code,
        },
        remedy="Look at `dts quarantine list` and mend the cause, then `dts quarantine retry` or "
        "`discard`; nothing of the batch was written.",
    )
