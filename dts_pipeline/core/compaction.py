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
import pandas as pd

CHANGE_COLUMNS = ["table", "key", "before", "after", "snapshot", "topic", "partition", "offset"]


def drop_marked(events: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Splits a batch's events into those that count and a record of those overtaken by a mark.

    `events`: columns table, key (bytes), before, after (bytes or None), op, marked (bool), ordinal
    (int64), topic, partition, offset; in `ordinal` order. Gives `(counting, superseded)`: the
    events that count, same columns; and one row per overtaken key with CHANGE_COLUMNS.
    """
    keys = events.groupby(["table", "key"], sort=False, observed=True).ngroup().to_numpy()
    marked = events["marked"].to_numpy(dtype=np.bool_)
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
    first = events.drop_duplicates(["table", "key"], keep="first").set_index(["table", "key"])
    last = events.drop_duplicates(["table", "key"], keep="last").reset_index(drop=True)
    first = first.reindex(pd.MultiIndex.from_frame(last[["table", "key"]]))
    return last.assign(
        last_before=last["before"],
        before=first["before"].to_numpy(dtype=object),
        snapshot=(first["op"] == "r").to_numpy(dtype=np.bool_),
    )[[*CHANGE_COLUMNS, "last_before"]]


def _changed(merged: pd.DataFrame) -> pd.Series:
    before, after = merged["before"], merged["after"]
    same = (before == after) | (before.isna() & after.isna())
    return ~same
