"""The statements of the old way."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from benchmarks.contenders.autocommit_child import statement, value_of

KINDS = {"id": ("bigint", 0), "amount": ("decimal", 2)}


@pytest.mark.parametrize("op", ["c", "u"])
def test_a_row_is_written_by_one_marked_statement(op: str) -> None:
    event = {"op": op, "source": {"table": "t"}, "after": {"id": 7, "amount": "BNI="}}
    text, values = statement(event, KINDS)
    assert text == (
        "INSERT /* dts */ INTO t (id, amount) VALUES (%s, %s) "
        "ON DUPLICATE KEY UPDATE amount = VALUES(amount)"
    )
    assert values == [7, Decimal("12.34")]


def test_a_row_that_is_gone_is_deleted_by_its_key() -> None:
    event = {"op": "d", "source": {"table": "t"}, "before": {"id": 7}, "after": None}
    assert statement(event, KINDS) == ("DELETE /* dts */ FROM t WHERE id = %s", [7])


@pytest.mark.parametrize(
    ("sent", "kind", "stored"),
    [
        (None, ("decimal", 2), None),
        ("BNI=", ("decimal", 2), Decimal("12.34")),
        ("+y4=", ("decimal", 2), Decimal("-12.34")),
        (1_767_225_601_000_001, ("datetime", 0), datetime(2026, 1, 1, 0, 0, 1, 1)),
        ("text", ("varchar", 0), "text"),
    ],
)
def test_values_are_what_the_column_holds(sent: Any, kind: tuple[str, int], stored: Any) -> None:
    assert value_of(sent, *kind) == stored
