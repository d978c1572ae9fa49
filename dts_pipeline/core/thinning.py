"""A long range in bounded memory: only the events that decide what becomes of their keys.

Which of a key's events count, what they add up to and what a mark overtook depends on at most
five of them: the last marked one, and the first and last user event before and after it. All
others can be let go of while the range is still being read, in any number of pieces.
"""

from __future__ import annotations

import numpy as np
import pandas as pd


def thin(events: pd.DataFrame) -> pd.DataFrame:
    """The events without those that `drop_marked` and `compact` would pass over.

    `events`: columns table, key, marked (bool), ordinal (int64), in `ordinal` order, as
    `stages.normalize` gives them. Same columns; `ordinal` is kept.
    """
    if events.empty:
        return events
    keys = events.groupby(["table", "key"], sort=False, observed=True).ngroup().to_numpy()
    marked = events["marked"].to_numpy(dtype=np.bool_)
    ordinal = events["ordinal"].to_numpy()
    last_mark = np.full(keys.max() + 1, -1, dtype=np.int64)
    np.maximum.at(last_mark, keys[marked], ordinal[marked])
    # 0: users' before the last mark, 1: the marked, 2: users' after it
    part = np.where(marked, 1, np.where(ordinal > last_mark[keys], 2, 0))
    group = pd.Series(keys * 3 + part)
    first = ~group.duplicated(keep="first").to_numpy() & ~marked
    last = ~group.duplicated(keep="last").to_numpy()
    kept: pd.DataFrame = events[first | last].reset_index(drop=True)
    return kept
