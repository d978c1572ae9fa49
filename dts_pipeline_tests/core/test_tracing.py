"""A row's key as typed, and its events put to batches."""

from __future__ import annotations

import pandas as pd
import pytest

from dts_pipeline.core.schema import Column, Table
from dts_pipeline.core.tracing import (
    BATCH_COLUMNS,
    is_key,
    newest,
    spellings,
    touches,
    typed_key,
)
from dts_pipeline.errors import TerminalError
from dts_pipeline_tests.builders import frame, insert, sent, update

ONE = Table("shop", "item", (Column("id", "int", "int"),), ("id",))
TWO = Table(
    "shop",
    "line",
    (Column("item", "int", "int"), Column("name", "varchar", "varchar(9)")),
    ("item", "name"),
)
NO_BATCHES = pd.DataFrame(columns=BATCH_COLUMNS)


def batches(*rows: tuple[int, int, int, int]) -> pd.DataFrame:
    """generation, batch, first, until."""
    whole = [(*row, f"u:{row[1]}", f"run{row[1]}", "2026-11-23T14:00:00") for row in rows]
    return pd.DataFrame(whole, columns=BATCH_COLUMNS)


@pytest.mark.parametrize(
    ("table", "text", "key"),
    [
        (ONE, "5", {"id": "5"}),
        (ONE, '{"id": 5}', {"id": "5"}),
        (ONE, '{"id": "5"}', {"id": "5"}),
        (ONE, '{"id": 1.50}', {"id": "1.50"}),
        (TWO, '{"name": "a b", "item": 7}', {"item": "7", "name": "a b"}),
    ],
)
def test_a_key_is_an_object_or_the_bare_value(table: Table, text: str, key: dict[str, str]) -> None:
    assert typed_key(table, text) == key


@pytest.mark.parametrize(
    ("table", "text"),
    [(TWO, "5"), (TWO, '{"item": 5}'), (ONE, '{"no": 5}'), (ONE, "{x"), (ONE, '{"id": null}')],
)
def test_what_is_no_key_is_refused_and_not_quoted(table: Table, text: str) -> None:
    with pytest.raises(TerminalError) as caught:
        typed_key(table, text)

    assert caught.value.code == "key_invalid"
    assert text not in str(caught.value)


def test_decoded_keys_compare_as_text() -> None:
    keys = pd.DataFrame({"id": [5, "5", 6, b"\x05"]}, dtype=object)

    assert is_key(keys, {"id": "5"}).tolist() == [True, True, False, False]
    assert is_key(keys, {"id": "0x05"}).tolist() == [False, False, False, True]


def test_a_key_may_be_spelled_as_a_number_or_as_text() -> None:
    assert spellings(ONE, {"id": "5"}) == [b'{"id":5}', b'{"id":"5"}']
    assert spellings(ONE, {"id": "x"}) == [b'{"id":"x"}']


def test_each_event_is_put_to_the_batch_that_carried_it() -> None:
    events = sent([insert(1, "a"), update(1, "a", "b"), update(1, "b", "c"), update(1, "c", "d")])
    found = touches(
        "a_to_b",
        frame(events, marked=[False] * 4),
        batches((1, 7, 1, 2), (1, 8, 2, 3)),
        NO_BATCHES,
        3,
    )

    assert [(t.offset, t.state, t.batch, t.run) for t in found] == [
        (0, "forgotten", None, None),
        (1, "applied", 7, "run7"),
        (2, "applied", 8, "run8"),
        (3, "waiting", None, None),
    ]


def test_what_two_generations_carried_stands_with_the_later() -> None:
    events = frame(sent([insert(1, "a")]), marked=[False])

    (found,) = touches("a_to_b", events, batches((1, 7, 0, 2), (2, 1, 0, 5)), NO_BATCHES, 5)

    assert (found.generation, found.batch) == (2, 1)


def test_the_pipeline_s_own_write_is_told_by_its_gtid() -> None:
    events = frame(sent([insert(1, "a", gtid="u:9"), insert(2, "b", gtid="x:1")]), marked=[1, 1])

    found = touches("a_to_b", events, NO_BATCHES, batches((1, 9, 0, 0)), 5)

    assert [(t.state, t.batch) for t in found] == [("own", 9), ("own", None)]


def test_the_newest_come_last_over_all_links() -> None:
    events = [insert(1, "a", ts_ms=3), update(1, "a", "b", ts_ms=5)]
    forth = touches("a_to_b", frame(sent(events), marked=[0, 0]), NO_BATCHES, NO_BATCHES, 0)
    back = touches(
        "b_to_a", frame([insert(1, "a", ts_ms=4)], marked=[0]), NO_BATCHES, NO_BATCHES, 0
    )

    assert [t.at_ms for t in newest([*forth, *back], 2)] == [4, 5]
