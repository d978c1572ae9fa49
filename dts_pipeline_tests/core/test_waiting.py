"""How long a transaction has been incomplete, by Kafka's own timestamps."""

from __future__ import annotations

from dts_pipeline.core.segments import segments_of
from dts_pipeline.core.transactions import find_cut
from dts_pipeline.core.waiting import Waiting, waiting_for
from dts_pipeline_tests import builders
from dts_pipeline_tests.builders import begin, end

ORDERS = "shop.orders"


def waited(messages: list[builders.TransactionMessage], newest: int, rows: int) -> Waiting | None:
    events = [builders.insert(i, "v", transaction="x:1", timestamp=5) for i in range(rows)]
    cut = find_cut(segments_of(messages), builders.frame(events), lambda _: True)
    return waiting_for(cut, newest)


def test_it_counts_from_the_end() -> None:
    messages = [begin("x:1", at=1_000), end("x:1", {ORDERS: 3}, offset=1, at=2_000)]

    assert waited(messages, 9_500, 1) == Waiting("x:1", 7.5, {ORDERS: 2}, 1)
    assert waited(messages, 9_500, 3) is None


def test_where_the_connector_died_it_counts_from_what_it_sent_next() -> None:
    messages = [begin("x:1", at=1_000), begin("x:2", offset=1, at=60_000)]

    assert waited(messages, 61_000, 1) == Waiting("x:1", 1.0)


def test_a_clock_that_was_set_back_makes_no_negative_wait() -> None:
    messages = [begin("x:1", at=1_000), end("x:1", {ORDERS: 1}, offset=1, at=2_000)]

    assert waited(messages, 500, 0) == Waiting("x:1", 0.0, {ORDERS: 1}, 1)
