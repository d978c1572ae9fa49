"""Compaction: from the events of a batch to at most one change per key.

The rules, each with a test of its own:

- Per key only the user events AFTER the key's last marked event count. What a marked event
  overtook was overwritten by the other side already; bringing it back would undo that.
- Overtaken user events are not forgotten: they become a record at the target (rule R2).
- `before` is that of the first event that counts, `after` that of the last.
- A key whose before and after are equal, or both absent, has not changed. Except: a delete after
  a snapshot row stays a delete, because the snapshot row says nothing of the time before it.
- A change of a key's value is two events, a delete of the old key and an insert of the new one.

Order within a key is the source's own, `ordinal`; never that of a hash or of arrival.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

CHANGE_COLUMNS = ["table", "key", "before", "after", "snapshot", "topic", "partition", "offset"]


def drop_marked(events: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Splits a batch's events into those that count and a record of those overtaken by a mark.

    `events`: columns table, key (bytes), before, after (bytes or None), op, marked (bool), ordinal
    (int64), topic, partition, offset; in `ordinal` order. Gives `(counting, superseded)`: the
    events that count, same columns; and one row per overtaken key with CHANGE_COLUMNS.
    """
    marked = events["marked"].to_numpy(dtype=np.bool_)
    if not marked.any():
        return events, _merge(events.iloc[:0])[CHANGE_COLUMNS]
    keys = _key_numbers(events)
    ordinal = events["ordinal"].to_numpy()
    last_mark = np.full(keys.max(initial=-1) + 1, -1, dtype=np.int64)
    np.maximum.at(last_mark, keys[marked], ordinal[marked])
    after_mark = ordinal > last_mark[keys]
    counting = events[~marked & after_mark]
    return counting, _merge(events[~marked & ~after_mark])[CHANGE_COLUMNS]


def compact(events: pd.DataFrame) -> pd.DataFrame:
    """One row per key that changed, in the order of each key's last event.

    `events`: what `drop_marked` gave. Columns of the result: CHANGE_COLUMNS; `snapshot` is true
    where the change began with a snapshot row; topic, partition and offset are the last event's.
    """
    merged = _merge(events)
    deleted_after_snapshot = merged["snapshot"] & merged["after"].isna()
    # The row that such a delete names is all that is known of what it deletes.
    before = merged["before"].where(~deleted_after_snapshot, merged["last_before"])
    changes = merged.assign(before=before)
    return changes[_changed(changes)][CHANGE_COLUMNS].reset_index(drop=True)


def _merge(events: pd.DataFrame) -> pd.DataFrame:
    """Before of each key's first event, after of its last."""
    keys = _key_numbers(events)
    places = np.arange(len(keys))
    first, last = (np.full(keys.max(initial=-1) + 1, at) for at in (len(keys), -1))
    np.minimum.at(first, keys, places)
    np.maximum.at(last, keys, places)
    last = np.sort(last)
    first = first[keys[last]]
    merged = events.iloc[last].reset_index(drop=True)
    return merged.assign(
        last_before=merged["before"],
        before=events["before"].to_numpy(dtype=object)[first],
        snapshot=events["op"].to_numpy(dtype=object)[first] == "r",
    )[[*CHANGE_COLUMNS, "last_before"]]


def _key_numbers(events: pd.DataFrame) -> npt.NDArray[np.int64]:
    """A number from 0 on for each table and key, one per event."""
    keys, distinct = pd.factorize(events["key"])
    tables, names = pd.factorize(events["table"])
    if len(names) < 2:
        return keys
    both, _ = pd.factorize(keys + len(distinct) * tables)
    return both


def _changed(merged: pd.DataFrame) -> pd.Series:
    before, after = merged["before"], merged["after"]
    same = (before == after) | (before.isna() & after.isna())
    return ~same
