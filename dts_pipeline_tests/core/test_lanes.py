"""Which lane holds which topic-partitions; splitting a link; rows that lanes must not divide."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from dts_pipeline.core.batches import Checkpoint, PartitionCheckpoint, SourcePosition
from dts_pipeline.core.lanes import merged, refuse_divided, refuse_moved, splits
from dts_pipeline.core.links import MAIN, WHOLE, Lane, Link, MarkKind
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.schema import Column, ForeignKey, Table
from dts_pipeline.errors import TerminalError

BY_TABLE = (Lane("orders", ("shop.order*",)), Lane("rest", excluded=("shop.order*",)))
BY_PARTITION = (Lane("0_of_2", part=0, parts=2), Lane("1_of_2", part=1, parts=2))


def link(lanes: tuple[Lane, ...] = BY_TABLE, lane: str = WHOLE) -> Link:
    return Link("a_to_b", "a", "b", ("shop.*",), "a", MarkKind.ORIGIN, lanes=lanes, lane=lane)


def row(lane: str, offsets: Mapping[str, int], batch: int = 5, gtids: str = "") -> Checkpoint:
    places = {
        TopicPartition(*_place(name)): PartitionCheckpoint(n, "id", SourcePosition(1, n, 0))
        for name, n in offsets.items()
    }
    return Checkpoint("a_to_b", lane, 1, batch, places, 9, "server", gtids)


def _place(name: str) -> tuple[str, int]:
    topic, _, partition = name.partition("/")
    return f"a.{topic}", int(partition or 0)


def offsets(checkpoint: Checkpoint) -> dict[str, int]:
    return {
        f"{tp.topic.removeprefix('a.')}/{tp.partition}": at.next_offset
        for tp, at in checkpoint.partitions.items()
    }


MAIN_ROW = row(MAIN, {"transaction": 40, "shop.orders": 3, "shop.order_lines": 8, "shop.items": 2})


def test_each_lane_matches_its_own_tables_and_the_whole_link_all() -> None:
    orders, rest = link().each_lane()
    assert [orders.matches(t) for t in ("shop.orders", "shop.items", "crm.orders")] == [1, 0, 0]
    assert [rest.matches(t) for t in ("shop.orders", "shop.items", "crm.items")] == [0, 1, 0]
    assert [link().matches(t) for t in ("shop.orders", "shop.items")] == [1, 1]


def test_lanes_by_partition_share_tables_and_divide_keys() -> None:
    first, second = link(BY_PARTITION).each_lane()
    assert [first.takes("shop.items", n) for n in range(4)] == [True, False, True, False]
    assert [second.takes("shop.items", n) for n in range(4)] == [False, True, False, True]
    assert len(link(BY_PARTITION).groups()) == 1
    assert len(link().groups()) == 2


def test_a_link_is_split_where_its_one_lane_stands() -> None:
    [split] = splits(link(lane="orders"), {MAIN: MAIN_ROW}, {})
    assert offsets(split.rest) == {"transaction/0": 40}
    orders, rest = split.new
    assert (orders.lane, rest.lane) == ("orders", "rest")
    assert offsets(orders) == {"transaction/0": 40, "shop.orders/0": 3, "shop.order_lines/0": 8}
    assert offsets(rest) == {"transaction/0": 40, "shop.items/0": 2}
    assert (orders.batch, orders.mark_sequence, orders.incarnation) == (5, 0, "server")
    at = orders.partitions[TopicPartition("a.shop.orders", 0)]
    assert at.position == SourcePosition(1, 3, 0)


def test_lanes_by_partition_all_begin_with_every_partition() -> None:
    [split] = splits(link(BY_PARTITION, "1_of_2"), {MAIN: MAIN_ROW}, {})
    assert [offsets(new) for new in split.new] == [offsets(MAIN_ROW)] * 2
    assert offsets(split.rest) == {"transaction/0": 40}


def test_a_lane_is_split_out_of_another_that_goes_on() -> None:
    rows = {"rest": row("rest", {"transaction": 9, "shop.orders": 1, "shop.items": 1})}
    [split] = splits(link(lane="rest"), rows, {})
    assert split.old.lane == "rest"
    assert offsets(split.rest) == {"transaction/0": 9, "shop.items/0": 1}


def test_a_lane_by_partition_that_gets_a_new_start_is_not_split_out_of_its_sisters() -> None:
    rows = {"1_of_2": row("1_of_2", {"transaction": 9, "shop.items": 1})}
    assert splits(link(BY_PARTITION, "0_of_2"), rows, {}) == []
    refuse_moved(link(BY_PARTITION, "0_of_2"), rows, {})


def test_a_topic_s_name_is_not_always_its_table_s() -> None:
    rows = {MAIN: row(MAIN, {"transaction": 9, "shop.o_der": 1})}
    [split] = splits(link(lane="orders"), rows, {"a.shop.o_der": "shop.order ä"})
    assert split.new[0].lane == "orders"


@pytest.mark.parametrize(
    ("lane", "rows"),
    [
        ("rest", {"rest": {"shop.items": 1, "shop.orders": 1}, "orders": {"shop.order_lines": 1}}),
        ("orders", {"rest": {"shop.items": 1, "shop.orders": 1}, "orders": {"shop.orders": 1}}),
        ("orders", {"orders": {"shop.orders": 1, "shop.items": 1}, "rest": {}}),
    ],
)
def test_tables_that_moved_between_lanes_stop_them(
    lane: str, rows: dict[str, dict[str, int]]
) -> None:
    standing = {name: row(name, {"transaction": 9, **places}) for name, places in rows.items()}
    assert splits(link(lane=lane), standing, {}) == []
    with pytest.raises(TerminalError, match="lanes_changed"):
        refuse_moved(link(lane=lane), standing, {})


def test_a_lane_whose_tables_stand_in_two_is_refused() -> None:
    lanes = (Lane("all_of_it", ("shop.*",)), Lane("rest", excluded=("shop.*",)))
    rows = {
        "orders": row("orders", {"transaction": 9, "shop.orders": 1}),
        "rest": row("rest", {"transaction": 8, "shop.items": 1}),
    }
    with pytest.raises(TerminalError, match="lanes_changed"):
        splits(link(lanes, "all_of_it"), rows, {})


def test_back_to_one_lane_is_refused() -> None:
    one = Link("a_to_b", "a", "b", ("shop.*",), "a", MarkKind.ORIGIN)
    rows = {
        MAIN: row(MAIN, {"transaction": 40}),
        "rest": row("rest", {"transaction": 9, "shop.items": 1}),
    }
    with pytest.raises(TerminalError, match="lanes_changed"):
        refuse_moved(one, rows, {})


def test_a_table_that_nobody_carries_any_more_stops_nothing() -> None:
    rows = {"rest": row("rest", {"transaction": 9, "shop.items": 1, "old.gone": 7})}
    assert splits(link(lane="rest"), rows, {}) == []
    refuse_moved(link(lane="rest"), rows, {})


def test_merged_is_as_far_as_all_are() -> None:
    rows = [
        row("orders", {"transaction": 40, "shop.orders": 3}, gtids="0-7"),
        row("rest", {"transaction": 30, "shop.items": 2}, gtids="0-5"),
    ]
    found = merged(link(), rows)
    assert found is not None
    assert offsets(found) == {"transaction/0": 30, "shop.orders/0": 3, "shop.items/0": 2}
    assert found.applied_gtids == "0-7"
    assert merged(link(), rows[:1]) is None


def table(name: str, key: str = "int", unique: bool = False, parent: str = "") -> Table:
    keys = (ForeignKey("fk", f"shop.{name}", ("p",), parent, ("id",), "RESTRICT", "RESTRICT"),)
    return Table(
        "shop",
        name,
        (Column("id", key, key), Column("p", "int", "int")),
        ("id",),
        unique_keys=(("one", ("p",)),) if unique else (),
        foreign_keys=keys if parent else (),
    )


def tables(*given: Table) -> dict[str, Table]:
    return {one.full_name: one for one in given}


def test_foreign_keys_stay_inside_of_a_lane() -> None:
    inside = tables(table("orders"), table("order_lines", parent="shop.orders"))
    refuse_divided(link(), inside)
    refuse_divided(link(()), tables(table("orders"), table("lines", parent="shop.orders")))
    with pytest.raises(TerminalError, match="lanes_divide") as caught:
        refuse_divided(link(), tables(table("orders"), table("lines", parent="shop.orders")))
    assert caught.value.where["constraint"] == "fk"
    # A parent that is not carried concerns nobody here.
    refuse_divided(link(), tables(table("lines", parent="crm.customers")))


@pytest.mark.parametrize(
    "given",
    [
        table("items", key="varchar"),
        table("items", key="enum"),
        table("items", unique=True),
        table("items", parent="shop.items"),
    ],
)
def test_lanes_by_partition_refuse_rows_that_depend_on_each_other(given: Table) -> None:
    refuse_divided(link(BY_PARTITION), tables(table("orders"), table("bin", key="varbinary")))
    refuse_divided(link(), tables(given))
    with pytest.raises(TerminalError, match="lanes_divide"):
        refuse_divided(link(BY_PARTITION), tables(given))
