"""Cascades that the source does not log: which references its events set free, and when.

A foreign key with CASCADE or SET NULL changes rows of its child table as the server's own doing.
MariaDB, and MySQL before 9.6, do not log those rows. What is logged is the parent's delete, or the
change of the columns that are referred to: from these the rows follow, and apply changes them.

The rules, each with a test of its own:

- Only users' events free anything. Our own statements run with foreign_key_checks off, so the
  server does nothing by itself, and what a marked event belongs to is marked, too.
- All of them do, also those that a mark overtook or that compaction removes: the source's server
  did it at that moment, whatever became of the parent since.
- A row of the target stands for the source's row between the key's last marked event and its first
  one that counts; what the key's own change brings holds from its last event on (`windows`). In
  between, the events themselves say what became of the row.
- What a child with events referred to at some moment stands in its events (`held`): the grand-
  children's references follow from that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dts_pipeline.core.schema import ForeignKey

NEVER = int(np.iinfo(np.int64).max)
"""An ordinal behind every event."""
_PLACE = ["file", "pos", "row"]

Decode = Callable[[pd.DataFrame, str, Sequence[str]], Mapping[str, list[Any]]]
"""Values of the named columns of events' `before` or `after`, by column; None for an absent row."""


@dataclass(frozen=True)
class Cascades:
    """What a batch's events say of unlogged cascades; tables by `schema.table`.

    `edges` are the foreign keys that can be reached. `freed`, by parent: ordinal, key (bytes),
    `new key` (bytes; None for a delete), moved (bool), `old NAME` and `new NAME` for each column
    that is referred to. `windows`, by child: key (bytes), mark, first, last (ordinals). `held`, by
    table that is child and parent: since, until (ordinals), and the values of the columns of its
    edges by name.
    """

    edges: tuple[ForeignKey, ...]
    freed: Mapping[str, pd.DataFrame]
    windows: Mapping[str, pd.DataFrame]
    held: Mapping[str, pd.DataFrame]


def cascades_of(
    events: pd.DataFrame, edges: Sequence[ForeignKey], decode: Decode
) -> Cascades | None:
    """What the events set free and what is needed to follow it; None if they free nothing.

    `events`: columns table, key, before, after, op, marked, ordinal, file, pos, row, in `ordinal`
    order, as `stages.normalize` has them. Raises what `decode` raises.
    """
    by_table = dict(list(events.groupby("table", sort=False, observed=True)))
    freed = {}
    for parent in dict.fromkeys(edge.parent for edge in edges):
        if parent in by_table:
            found = freed_references(by_table[parent], referred_columns(edges, parent), decode)
            if len(found):
                freed[parent] = found
    if not freed:
        return None
    reached = reachable(edges, list(freed))
    children = {edge.child for edge in reached} & by_table.keys()
    parents = {edge.parent for edge in reached}
    return Cascades(
        edges=reached,
        freed=freed,
        windows={name: windows(by_table[name]) for name in sorted(children)},
        held={
            name: held_references(by_table[name], held_columns(reached, name), decode)
            for name in sorted(children & parents)
        },
    )


def reachable(edges: Sequence[ForeignKey], parents: Sequence[str]) -> tuple[ForeignKey, ...]:
    """The edges that lead from these tables to their children, and on; parents before children.

    Where tables refer to each other in a circle the order within it is that of `edges`.
    """
    seen = dict.fromkeys(parents)
    for parent in (todo := list(parents)):
        fresh = [e.child for e in edges if e.parent == parent and e.child not in seen]
        seen.update(dict.fromkeys(fresh))
        todo.extend(dict.fromkeys(fresh))
    left = [edge for edge in edges if edge.parent in seen]
    ordered: list[ForeignKey] = []
    while left:
        waiting = {edge.child for edge in left if edge.child != edge.parent}
        ready = [edge for edge in left if edge.parent not in waiting] or left[:1]
        ordered += ready
        left = [edge for edge in left if edge not in ready]
    return tuple(ordered)


def may_reach(
    events: pd.DataFrame, edges: Sequence[ForeignKey], keys: Mapping[str, Sequence[str]], child: str
) -> bool:
    """Whether the server may have changed rows of `child` unlogged along with these events.

    `events`: columns table, op. `keys` are the tables' primary keys, whose changes come as deletes.
    """
    if not any(edge.child == child for edge in edges):
        return False
    deleted = set(events.loc[events["op"] == "d", "table"])
    updated = set(events.loc[events["op"] == "u", "table"])
    freeing = [
        edge.parent
        for edge in edges
        if edge.parent in deleted
        or (edge.parent in updated and not set(edge.parent_columns) <= set(keys[edge.parent]))
    ]
    return any(edge.child == child for edge in reachable(edges, freeing))


def referred_columns(edges: Sequence[ForeignKey], parent: str) -> list[str]:
    """The columns of a table that its children refer to."""
    return list(dict.fromkeys(c for e in edges if e.parent == parent for c in e.parent_columns))


def held_columns(edges: Sequence[ForeignKey], name: str) -> list[str]:
    """The columns by which a table is child or parent."""
    own = [c for e in edges if e.child == name for c in e.columns]
    return list(dict.fromkeys([*own, *referred_columns(edges, name)]))


def freed_references(events: pd.DataFrame, columns: Sequence[str], decode: Decode) -> pd.DataFrame:
    """What a parent's events set free: see `Cascades.freed`.

    A change of the primary key is a delete and an insert at one place of the log: a move, too.
    """
    users = events[~events["marked"].to_numpy(dtype=np.bool_)]
    came = users[users["op"] == "c"].drop_duplicates(_PLACE)[[*_PLACE, "key", "after"]]
    came = came.rename(columns={"key": "new key"})
    gone = users[users["op"] == "d"].drop(columns="after").merge(came, on=_PLACE, how="left")
    updated = users[users["op"] == "u"]
    both = pd.concat([gone, updated.assign(**{"new key": updated["key"]})], ignore_index=True)
    both = both.sort_values("ordinal").reset_index(drop=True)
    for name in ("after", "new key"):
        both[name] = both[name].astype(object).where(both[name].notna(), None)
    old, new = (decode(both, side, columns) for side in ("before", "after"))
    moved = both["after"].notna().to_numpy(dtype=np.bool_)
    frame = pd.DataFrame(
        {
            "ordinal": both["ordinal"].to_numpy(dtype=np.int64),
            "key": both["key"].to_numpy(dtype=object),
            "new key": both["new key"].to_numpy(dtype=object),
            "moved": moved,
            **{f"old {name}": pd.Series(old[name], dtype=object) for name in columns},
            **{f"new {name}": pd.Series(new[name], dtype=object) for name in columns},
        }
    )
    return frame[~moved | changed(frame, columns)].reset_index(drop=True)


def changed(freed: pd.DataFrame, columns: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which of `Cascades.freed` differ, old from new, in one of the columns."""
    differs = np.zeros(len(freed), dtype=np.bool_)
    for name in columns:
        old, new = freed[f"old {name}"], freed[f"new {name}"]
        differs |= ~((old == new) | (old.isna() & new.isna())).to_numpy(dtype=np.bool_)
    return differs


def windows(events: pd.DataFrame) -> pd.DataFrame:
    """When a key's row follows from the target's, and when from its change; a row a key.

    `mark` is the ordinal of its last marked event, -1 for none; `first` and `last` those of the
    users' events behind it, NEVER and -1 for none. What happens to the row at the source between
    `mark` and `first` happens to the target's row; behind `last`, to what the change brings.
    """
    keys = events["key"].reset_index(drop=True)
    codes, distinct = pd.factorize(keys)
    ordinal = events["ordinal"].to_numpy(dtype=np.int64)
    marked = events["marked"].to_numpy(dtype=np.bool_)
    mark, last = (np.full(len(distinct), -1, dtype=np.int64) for _ in range(2))
    first = np.full(len(distinct), NEVER, dtype=np.int64)
    np.maximum.at(mark, codes[marked], ordinal[marked])
    counts = ~marked & (ordinal > mark[codes])
    np.minimum.at(first, codes[counts], ordinal[counts])
    np.maximum.at(last, codes[counts], ordinal[counts])
    return pd.DataFrame({"key": distinct, "mark": mark, "first": first, "last": last})


def held_references(events: pd.DataFrame, columns: Sequence[str], decode: Decode) -> pd.DataFrame:
    """What rows held and from when to when, by the events of their keys: see `Cascades.held`."""
    own = events.sort_values("ordinal").reset_index(drop=True)
    following = own.groupby("key", sort=False)["ordinal"].shift(-1, fill_value=NEVER)
    values = decode(own, "after", columns)
    frame = pd.DataFrame(
        {
            "since": own["ordinal"].to_numpy(dtype=np.int64),
            "until": following.to_numpy(dtype=np.int64),
            **{name: pd.Series(values[name], dtype=object) for name in columns},
        }
    )
    return frame[own["after"].notna().to_numpy()].reset_index(drop=True)


def waves(
    old: npt.NDArray[np.int64], new: npt.NDArray[np.int64], *, unique: bool = False
) -> npt.NDArray[np.int64]:
    """Steps, in order, so that the references of one can be followed all at once: 0, 1, 2 …

    `old` and `new` are numbers that stand for values, -1 for none. What is freed must not have
    been freed or taken earlier in its step: 1→2 and then 2→3 carry a row from 1 to 3. Where the
    child's columns are `unique`, a value must not be taken either that was freed in the step: it
    could meet the row that is about to give it up.
    """
    behind = np.maximum(_latest(old, old), _latest(new, old))
    if unique:
        behind = np.maximum(behind, np.where(new < 0, -1, _latest(old, new)))
    starts = np.zeros(len(old), dtype=np.bool_)
    begin = 0
    for place in np.flatnonzero(behind >= 0):
        if behind[place] >= begin:
            starts[place], begin = True, int(place)
    return np.cumsum(starts, dtype=np.int64)


def _latest(values: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each place the last one before it at which `values` holds what is wanted there; or -1."""
    count = len(values)
    places = np.arange(count, dtype=np.int64)
    frame = pd.DataFrame(
        {
            "value": np.concatenate([values, wanted]),
            # A place asks before it answers.
            "turn": np.concatenate([2 * places + 1, 2 * places]),
            "place": np.concatenate([places, np.full(count, -1, dtype=np.int64)]),
        }
    ).sort_values("turn")
    frame["found"] = frame["place"].where(frame["place"] >= 0)
    latest = frame.groupby("value", sort=False)["found"].ffill()
    asked = frame["place"] < 0
    return latest[asked].fillna(-1).to_numpy(dtype=np.int64)
