"""Unlogged cascades: what events set free, in which steps it is followed, whose rows it meets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from dts_pipeline.core.cascades import (
    NEVER,
    Cascades,
    cascades_of,
    held_columns,
    may_reach,
    reachable,
    waves,
)
from dts_pipeline.core.schema import ForeignKey
from dts_pipeline_tests import builders
from dts_pipeline_tests.builders import ChangeEvent

PARENT, CHILD, LAST = "shop.orders", "shop.item", "shop.note"


def edge(child: str, parent: str, columns: Mapping[str, str] | None = None) -> ForeignKey:
    pairs = columns or {"v": "id"}
    names = tuple(pairs), tuple(pairs.values())
    return ForeignKey(f"{child}_fk", child, names[0], parent, names[1], "CASCADE", "CASCADE")


ITEMS = edge(CHILD, PARENT)
NOTES = edge(LAST, CHILD)


def decode(events: pd.DataFrame, side: str, columns: Sequence[str]) -> Mapping[str, list[Any]]:
    rows = [json.loads(row) if row is not None else {} for row in events[side]]
    return {name: [row.get(name) for row in rows] for name in columns}


def found(
    events: Sequence[ChangeEvent],
    *edges: ForeignKey,
    marked: Sequence[int] = (),
) -> Cascades | None:
    flags = [place in marked for place in range(len(events))]
    frame = builders.frame(builders.sent(events), marked=flags)
    return cascades_of(frame, edges or (ITEMS,), decode)


def freed(cascades: Cascades | None, column: str = "id") -> list[tuple[int, Any, Any]]:
    """ordinal, old, new (None: gone) of what the orders set free."""
    if cascades is None:
        return []
    frame = cascades.freed[PARENT]
    return list(
        zip(
            frame["ordinal"].tolist(),
            frame[f"old {column}"].tolist(),
            frame[f"new {column}"].tolist(),
            strict=True,
        )
    )


def new_keys(cascades: Cascades | None) -> list[bytes | None]:
    assert cascades is not None
    return list(cascades.freed[PARENT]["new key"])


def test_a_delete_frees_what_the_row_was_referred_to_by() -> None:
    assert freed(found([builders.insert(1, "a"), builders.delete(1, "a")])) == [(1, 1, None)]


def test_a_key_change_is_a_move() -> None:
    moved = found(builders.key_change(1, 2, "a"))
    assert freed(moved) == [(0, 1, 2)]
    assert new_keys(moved) == [b'{"id":2}']


def test_a_row_has_another_key_only_where_it_got_one() -> None:
    gone = [*builders.key_change(1, 2, "a"), builders.delete(2, "a"), builders.insert(1, "b")]
    assert new_keys(found(gone)) == [b'{"id":2}', None]
    by_value = edge(CHILD, PARENT, {"v": "v"})
    assert new_keys(found([builders.update(1, "a", "b")], by_value)) == [b'{"id":1}']


def test_a_replaced_row_is_a_delete() -> None:
    assert freed(found([builders.delete(1, "a"), builders.insert(1, "b")])) == [(0, 1, None)]


def test_an_update_frees_only_what_it_changes() -> None:
    events = [builders.update(1, "a", "b"), builders.update(1, "b", None)]
    assert found(events) is None
    by_value = edge(CHILD, PARENT, {"v": "v"})
    assert freed(found(events, by_value), "v") == [(0, "a", "b"), (1, "b", None)]


def test_a_key_change_that_keeps_the_referred_column_frees_nothing() -> None:
    assert found(builders.key_change(1, 2, "a"), edge(CHILD, PARENT, {"v": "v"})) is None


def test_marked_events_free_nothing() -> None:
    assert found([builders.delete(1, "a")], marked=[0]) is None
    assert found(builders.key_change(1, 2, "a"), marked=[0, 1]) is None


def test_events_free_whatever_became_of_the_row() -> None:
    """Overtaken by a mark, or undone in the same batch: the source's server did it then."""
    overtaken = [builders.delete(1, "a"), builders.insert(1, "b")]
    assert freed(found(overtaken, marked=[1])) == [(0, 1, None)]
    undone = [builders.delete(1, "a"), builders.insert(1, "a")]
    assert freed(found(undone)) == [(0, 1, None)]


def test_snapshot_rows_and_inserts_free_nothing() -> None:
    assert found([builders.snapshot(1, "a"), builders.insert(2, "b")]) is None


def test_windows_of_a_key() -> None:
    own = {"table": CHILD}
    cascades = found(
        [
            builders.insert(1, 7, **own),
            builders.update(1, 7, 8, **own),
            builders.delete(7, "a"),
            builders.update(1, 8, 9, **own),
            builders.update(2, 7, 8, **own),
            builders.update(2, 8, 7, **own),
        ],
        marked=[1, 5],
    )
    assert cascades is not None
    assert cascades.windows[CHILD].to_dict("list") == {
        "key": [b'{"id":1}', b'{"id":2}'],
        "mark": [1, 5],
        "first": [3, NEVER],
        "last": [3, -1],
    }


def test_tables_that_nothing_reaches_are_left_alone() -> None:
    events = [builders.insert(1, 7, table=CHILD), builders.delete(1, 7, table=CHILD)]
    cascades = found(events, ITEMS, NOTES)
    assert cascades is not None
    assert cascades.edges == (NOTES,)
    assert not cascades.windows
    assert not cascades.held


def test_what_a_child_held_between_its_events() -> None:
    own = {"table": CHILD}
    cascades = found(
        [
            builders.insert(10, 1, **own),
            builders.update(10, 1, 2, **own),
            builders.delete(1, "a"),
            builders.delete(10, 2, **own),
        ],
        ITEMS,
        NOTES,
        marked=[1],
    )
    assert cascades is not None
    assert held_columns(cascades.edges, CHILD) == ["v", "id"]
    assert cascades.held[CHILD].to_dict("list") == {
        "since": [0, 1],
        "until": [1, 3],
        "v": [1, 2],
        "id": [10, 10],
    }
    assert LAST not in cascades.held


def test_parents_come_before_children() -> None:
    short = edge(LAST, PARENT)
    other = edge("shop.other", "shop.far")
    edges = [NOTES, short, ITEMS, other]
    assert reachable(edges, [PARENT]) == (short, ITEMS, NOTES)
    assert reachable(edges, [CHILD]) == (NOTES,)


def test_circles_end() -> None:
    itself = edge(PARENT, PARENT)
    back = edge(PARENT, LAST)
    assert set(reachable([NOTES, ITEMS, itself, back], [PARENT])) == {NOTES, ITEMS, itself, back}


def test_which_events_may_have_changed_rows_of_a_child() -> None:
    keys = {PARENT: ["id"], CHILD: ["id"]}

    def may(event: ChangeEvent, child: str, *edges: ForeignKey) -> bool:
        return may_reach(builders.frame([event]), edges, keys, child)

    assert may(builders.delete(1, "a"), CHILD, ITEMS)
    assert may(builders.delete(1, "a"), LAST, ITEMS, NOTES)
    assert not may(builders.delete(1, "a"), LAST, NOTES)
    assert not may(builders.insert(1, "a"), CHILD, ITEMS)
    assert not may(builders.update(1, "a", "b"), CHILD, ITEMS)
    assert may(builders.update(1, "a", "b"), CHILD, edge(CHILD, PARENT, {"v": "v"}))


def steps(*moves: tuple[int, int], unique: bool = False) -> list[int]:
    old, new = (np.array(side, dtype=np.int64) for side in zip(*moves, strict=True))
    return waves(old, new, unique=unique).tolist()


def test_moves_that_meet_are_steps() -> None:
    assert steps((1, 2), (2, 3)) == [0, 1]
    assert steps((1, 2), (2, 3), (3, 1)) == [0, 1, 2]
    assert steps((1, -1), (2, -1), (1, -1)) == [0, 0, 1]


def test_moves_that_do_not_meet_are_one_step() -> None:
    assert steps((2, 3), (1, 2)) == [0, 0]
    assert steps((2, 3), (1, 2), unique=True) == [0, 1]
    assert steps((1, -1), (2, -1), (3, 9)) == [0, 0, 0]


Moves = st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 4)), min_size=1, max_size=12)


@settings(deadline=None)
@given(Moves, st.booleans())
def test_steps_come_to_the_same_as_one_by_one(moves: list[tuple[int, int]], unique: bool) -> None:
    step = steps(*moves, unique=unique)
    for row in range(5):
        expected = row
        for old, new in moves:
            expected = new if expected == old else expected
        at = row
        for number in range(max(step) + 1):
            fitting = [
                new
                for (old, new), own in zip(moves, step, strict=True)
                if (own, old) == (number, at)
            ]
            assert len(fitting) <= 1
            at = fitting[0] if fitting else at
        assert at == expected
