"""Keys whose row is put back whenever the other link has written it.

A write of ours comes back marked and is dropped, so the two links alone never carry a row round
and round. It takes a third party at a site: a scheduled job, a tool or a replica that writes its
own version of a row after ours, unmarked, as any user does. If each site has one, each with a
version of its own, the key changes sides for ever. Such a write undoes ours: every column that the
marked event changed has again what it had before it. Two users can do that, too, but not dozens of
times running.

An insert that is undone by a delete does not count (rows that one site makes and the other uses
up); where such a key goes round, its delete is undone by an insert, which counts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec
import pandas as pd

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_KEY = ["table", "key"]


def put_back(events: pd.DataFrame, ignored: Callable[[str], Collection[str]]) -> pd.DataFrame:
    """The keys whose last event, a user's, undoes the last of the pair's own: columns table, key.

    `events`: columns table, key, before, after, in the source's order, marked (ours, not a user's)
    and returning (what the pair's other link wrote; in a mesh not all of ours is). `ignored` gives
    the columns of a table that say nothing: those that change with every write.
    """
    marked, returning = events["marked"].to_numpy(), events["returning"].to_numpy()
    if marked.all() or not returning.any():
        return events[_KEY].iloc[:0]
    last = ~events.duplicated(_KEY, keep="last").to_numpy()
    users = events[last & ~marked & events["after"].notna().to_numpy()]
    ours = events[returning & events["before"].notna().to_numpy()]
    ours = ours[ours["key"].isin(users["key"])].drop_duplicates(_KEY, keep="last")
    both = users[[*_KEY, "after"]].merge(
        ours[[*_KEY, "before", "after"]], on=_KEY, suffixes=("", "_marked")
    )
    rows = zip(both["table"], both["before"], both["after_marked"], both["after"], strict=True)
    undone = [_undoes(*row, ignored) for row in rows]
    found: pd.DataFrame = both.loc[undone, _KEY]
    return found.reset_index(drop=True)


def _undoes(
    table: str,
    before: bytes,
    written: bytes | None,
    after: bytes,
    ignored: Callable[[str], Collection[str]],
) -> bool:
    """Whether `after` has what `before` had in all columns that the write of ours changed."""
    was, now = _row(before), _row(after)
    wrote = _row(written) if isinstance(written, bytes) else {}
    changed = {name for name in was if wrote.get(name) != was[name]} - set(ignored(table))
    return bool(changed) and all(now.get(name) == was[name] for name in changed)


def _row(row: bytes) -> Mapping[str, Any]:
    return {name: bytes(value) for name, value in _decode(row).items()}
