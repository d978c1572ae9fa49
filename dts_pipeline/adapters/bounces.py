"""Counts, in the ledger, how often users put a key back (`core/pingpong.py`), and isolates it.

A counter exists only while it grows: a key that was not put back for an hour starts anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd
from pymysql.cursors import Cursor

from dts_pipeline.adapters.apply_request import ApplyRequest
from dts_pipeline.adapters.quarantine import LeftOut, Standing, left_out
from dts_pipeline.adapters.records import key_hash

PING_PONG = "ping_pong"
"""The code of a key in quarantine that changed sides too often."""
_CHUNK = 1_000
_RECENT = "changed_at > UTC_TIMESTAMP(6) - INTERVAL 1 HOUR"
_COUNT = (
    "INSERT INTO `dts`.`bounce` (link, table_name, key_hash, times, changed_at) "
    "VALUES (%s, %s, %s, 1, UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE "
    f"times = IF({_RECENT}, times + 1, 1), changed_at = UTC_TIMESTAMP(6)"
)
_FORGET = "DELETE FROM `dts`.`bounce` WHERE link = %s AND table_name = %s AND key_hash = %s"
_FORGET_OLD = f"DELETE FROM `dts`.`bounce` WHERE link = %s AND NOT {_RECENT}"

Keys = frozenset[tuple[str, bytes]]


def too_often(cursor: Cursor, request: ApplyRequest, kept: Standing) -> Keys:
    """The batch's keys that are put back once too often, as (table, key).

    As many as quarantine has room for: with more, none is worth stopping the link for.
    """
    bounced = request.batch.bounced
    if bounced is None or bounced.empty or not request.holds_quarantined:
        return frozenset()
    link = request.link
    places = {
        (table, key_hash(table, key)): (table, key)
        for table, key in zip(bounced["table"], bounced["key"], strict=True)
        if (table, key) not in kept
    }
    found = [
        places[place]
        for place, times in _times(cursor, link.name, list(places))
        if place in places and times + 1 >= link.max_returns
    ]
    return frozenset(found[: max(0, link.quarantine_limit - len(kept))])


def isolate(changes: pd.DataFrame, keys: Keys) -> tuple[pd.DataFrame, list[LeftOut]]:
    """`(free, isolated)`: a batch's changes, and those of keys that go into quarantine."""
    if not keys:
        return changes, []
    places = zip(changes["table"], changes["key"], strict=True)
    held = pd.Series([place in keys for place in places], index=changes.index, dtype=bool)
    return changes[~held], [left_out(change, PING_PONG) for _, change in changes[held].iterrows()]


def count_bounces(cursor: Cursor, request: ApplyRequest, isolated: Iterable[LeftOut]) -> None:
    """Counts the batch's keys that were put back, in its transaction; forgets those isolated."""
    bounced = request.batch.bounced
    if bounced is None or bounced.empty:
        return
    link = request.link.name
    done = {(row.table, row.key) for row in isolated if row.code == PING_PONG}
    rows = list(zip(bounced["table"], bounced["key"], strict=True))
    cursor.executemany(_COUNT, [(link, t, key_hash(t, k)) for t, k in rows if (t, k) not in done])
    if done:
        cursor.executemany(_FORGET, [(link, t, key_hash(t, k)) for t, k in done])
    cursor.execute(_FORGET_OLD, (link,))


def _times(
    cursor: Cursor, link: str, places: Sequence[tuple[str, bytes]]
) -> list[tuple[tuple[str, bytes], int]]:
    """The counters that still count: (table, hash of the key) and how often."""
    found = []
    for start in range(0, len(places), _CHUNK):
        part = places[start : start + _CHUNK]
        marks = ", ".join(["(%s, %s)"] * len(part))
        cursor.execute(
            "SELECT table_name, key_hash, times FROM `dts`.`bounce` "
            f"WHERE link = %s AND {_RECENT} AND (table_name, key_hash) IN ({marks})",
            (link, *(value for place in part for value in place)),
        )
        found += [((str(t), bytes(h)), int(times)) for t, h, times in cursor.fetchall()]
    return found
