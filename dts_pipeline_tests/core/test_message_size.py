"""Which tables can have a row whose message is too large for Kafka."""

from __future__ import annotations

import pytest

from dts_pipeline.core.message_size import can_exceed
from dts_pipeline.core.schema import Column, Table

MIB = 2**20


def table(*types: str) -> Table:
    kinds = (kind.partition("(")[0] for kind in types)
    columns = tuple(Column(f"c{i}", kind, types[i]) for i, kind in enumerate(kinds))
    return Table("shop", "doc", columns, ("c0",))


@pytest.mark.parametrize("kind", ["longblob", "longtext", "mediumtext", "json", "geometry"])
def test_one_value_can_be_too_large(kind: str) -> None:
    assert can_exceed(table("int(11)", kind), 20 * MIB)


def test_many_small_values_can_be_too_large_together() -> None:
    assert not can_exceed(table("int(11)", "text", "varchar(1000)"), MIB)
    assert can_exceed(table("int(11)", *["text"] * 2), MIB)
    assert not can_exceed(table(*["bigint(20)"] * 1000), MIB)
    assert can_exceed(table("int(11)", "vector(16383)"), MIB)
