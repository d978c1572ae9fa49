"""Thinning lets go of events without changing what becomes of any key."""

from __future__ import annotations

import random

import pandas as pd
import pytest

from dts_pipeline.core import compaction
from dts_pipeline.core.thinning import thin
from dts_pipeline_tests.builders import ChangeEvent, change_event, frame, row, sent


def history(seed: int) -> tuple[list[ChangeEvent], list[bool]]:
    """A few keys written by turns by users and by the pipeline; chance decides."""
    chance = random.Random(seed)
    rows: dict[int, object] = {}
    events, marks = [], []
    for number in range(chance.randint(1, 40)):
        key = chance.randint(1, 3)
        old = rows.get(key)
        new = None if old is not None and chance.random() < 0.4 else f"v{number}"
        before = None if old is None else row(key, old)
        after = None if new is None else row(key, new)
        op = "d" if new is None else "c" if old is None else "u"
        rows[key] = new
        events.append(change_event(op, key, before=before, after=after))
        marks.append(chance.random() < 0.25)
    return sent(events), marks


def outcome(events: pd.DataFrame) -> tuple[list[object], list[object]]:
    counting, superseded = compaction.drop_marked(events)
    changes = compaction.compact(counting)
    return changes.to_numpy().tolist(), superseded.to_numpy().tolist()


@pytest.mark.parametrize("seed", range(200))
def test_in_any_number_of_pieces_the_outcome_is_that_of_the_whole(seed: int) -> None:
    events, marks = history(seed)
    whole = frame(events, marked=marks)
    size = random.Random(seed).randint(1, len(events))
    kept = whole[:0]

    for start in range(0, len(whole), size):
        kept = thin(pd.concat([kept, whole[start : start + size]], ignore_index=True))

    assert outcome(kept) == outcome(whole)


@pytest.mark.parametrize("seed", range(200))
def test_at_most_five_events_a_key_are_kept(seed: int) -> None:
    events, marks = history(seed)

    kept = thin(frame(events, marked=marks))

    assert kept.groupby("key").size().max() <= 5


def test_nothing_of_nothing() -> None:
    assert thin(frame([], marked=[])).empty
