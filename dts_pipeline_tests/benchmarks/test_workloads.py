"""The workloads' counts, by which a recording is known to be whole."""

from __future__ import annotations

import pytest

from benchmarks.workloads import (
    WORKLOADS,
    deletes,
    hot_keys,
    literal_statements,
    many_tables,
    mixed,
)


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_a_workload_has_as_many_events_as_were_asked_for(name: str) -> None:
    kind = WORKLOADS[name]
    for size in (kind.events, kind.sample):
        assert kind.make(size).events == size


def test_the_mixed_one_is_half_inserts_and_half_updates() -> None:
    changes = mixed(200_000).changes
    inserts = sum(write.events for write in changes if write.sql.startswith("INSERT"))
    updates = sum(write.events for write in changes if write.sql.startswith("UPDATE"))
    assert (inserts, updates) == (100_000, 100_000)


def test_a_delete_is_an_event_and_a_tombstone() -> None:
    workload = deletes(2_500)
    assert (workload.events, workload.messages) == (2_500, 5_000)
    assert sum("INSERT" in statement for statement in workload.base) == 3


def test_the_last_transaction_is_as_large_as_what_is_left() -> None:
    assert [write.events for write in deletes(2_500).changes] == [1_000, 1_000, 500]


def test_hot_keys_write_a_hundredth_of_their_events_keys() -> None:
    assert "1 + CRC32(n) MOD 10000," in hot_keys(1_000_000).changes[0].sql


def test_tables_take_turns() -> None:
    workload = many_tables(100_000)
    assert len(workload.tables) == 200
    assert [write.sql.split()[2] for write in workload.changes[:3]] == ["t000", "t001", "t002"]


def test_literal_statements_carry_their_rows_in_their_text() -> None:
    workload = literal_statements(3, rows=4)
    assert workload.events == 12
    assert [write.sql.count("(") for write in workload.changes] == [4, 4, 4]
