"""Row filters in normalize's frame: other tables stay, order stays, poison is met or set apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import pytest

from dts_pipeline.core.batches import Checkpoint, Plan
from dts_pipeline.core.condition_parser import parse_condition
from dts_pipeline.core.links import Link, MarkKind
from dts_pipeline.core.schema import Column, ForeignKey, Table
from dts_pipeline.errors import PoisonError, TerminalError
from dts_pipeline.stages.filters import check_filters, of_inside_rows
from dts_pipeline_tests import builders
from dts_pipeline_tests.builders import ChangeEvent, insert, update

COLUMNS = (Column("id", "int", "int", nullable=False), Column("v", "int", "int"))
ORDERS, OTHER = (Table("shop", name, COLUMNS, ("id",)) for name in ("orders", "other"))
LINK = Link(
    "l", "a", "b", ("shop.*",), "a", MarkKind.ORIGIN,
    filters={"shop.orders": parse_condition("v > 1")},
)  # fmt: skip
TABLES = {f"a.{table.full_name}": table for table in (ORDERS, OTHER)}
PLAN = Plan("l", Checkpoint("l", "main", 1, 1, {}), {}, {}, TABLES, TABLES, 1, 0.0)


def inside(events: Sequence[ChangeEvent], link: Link = LINK) -> pd.DataFrame:
    frame = builders.frame(builders.sent(events), marked=[False] * len(events))
    return of_inside_rows(link, PLAN, frame)


def test_events_of_rows_outside_go_and_the_order_stays() -> None:
    found = inside(
        [
            insert(1, 1),
            insert(7, 1, table="shop.other"),
            update(1, 1, 2),
            insert(2, 5),
            update(7, 1, 0, table="shop.other"),
            update(1, 2, 1),
        ]
    )
    assert found["op"].tolist() == ["c", "c", "c", "u", "d"]
    assert found["ordinal"].tolist() == [1, 2, 3, 4, 5]
    assert found["table"].tolist() == [
        "shop.other",
        *["shop.orders"] * 2,
        "shop.other",
        *["shop.orders"],
    ]
    assert found.index.tolist() == list(range(5))


def test_nothing_stays_nothing() -> None:
    assert inside([]).empty
    assert inside([insert(1, 0)]).empty


def test_a_row_that_cannot_be_told_stops_the_link_and_names_its_place() -> None:
    with pytest.raises(PoisonError) as error:
        inside([insert(1, 5), insert(2, "planted")])
    assert error.value.code == "undecodable_value"
    assert (error.value.where["offset"], error.value.where["column"]) == (1, "v")
    assert "planted" not in str(error.value)


def test_or_is_left_to_apply_where_keys_go_into_quarantine() -> None:
    found = inside(
        [insert(1, 0), insert(2, "bad"), insert(3, 5), update(4, "bad", 0)],
        replace(LINK, on_poison="quarantine"),
    )
    assert found["key"].tolist() == [b'{"id":2}', b'{"id":3}', b'{"id":4}']
    assert found["op"].tolist() == ["c", "c", "d"]


@pytest.mark.parametrize(
    ("text", "code"),
    [("x = 1", "where_unknown"), ("v = 'x'", "where_unfit"), ("v = 1", None)],
)
def test_conditions_are_checked(text: str, code: str | None) -> None:
    link = replace(LINK, filters={"shop.orders": parse_condition(text)})
    if code is None:
        return check_filters(link, {"shop.orders": ORDERS})
    with pytest.raises(TerminalError) as error:
        check_filters(link, {"shop.orders": ORDERS})
    assert (error.value.code, error.value.where["table"]) == (code, "shop.orders")
    return None


def test_a_table_that_is_not_there_is_refused_if_it_would_be_carried() -> None:
    with pytest.raises(TerminalError) as error:
        check_filters(LINK, {"shop.other": OTHER})
    assert error.value.code == "where_unknown"
    check_filters(replace(LINK, excluded=("shop.orders",)), {"shop.other": OTHER})


def test_a_cascade_that_has_no_events_is_refused() -> None:
    key = ForeignKey("fk", "shop.other", ("v",), "shop.orders", ("id",), "CASCADE", "RESTRICT")
    tables = {table.full_name: table for table in (ORDERS, OTHER)}
    with pytest.raises(TerminalError) as error:
        check_filters(LINK, tables, (key,))
    assert error.value.code == "where_with_cascade"
    check_filters(replace(LINK, filters={}), tables, (key,))
