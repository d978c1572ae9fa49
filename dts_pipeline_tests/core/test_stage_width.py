"""What temporary tables can hold."""

from __future__ import annotations

from dts_pipeline.core.contract import compare_tables
from dts_pipeline.core.schema import Column, Dialect, Table
from dts_pipeline.core.stage_width import sorts, staged_types

KEY = Column("id", "int", "int(11)")


def text(size: int, kind: str = "varchar") -> Column:
    return Column("v", kind, f"{kind}({size})", charset="utf8mb4", collation="utf8mb4_bin")


def test_columns_keep_their_type_and_limit_where_the_row_fits() -> None:
    kept = ["varchar(9000) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL"]
    assert staged_types([KEY], [text(9000)]) == kept


def test_rows_near_the_size_limit_lie_off_the_page() -> None:
    found = staged_types([text(250)], [KEY, text(16_300), Column("b", "varbinary", "varbinary(9)")])
    assert found == [
        "int(11) NULL",
        "longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL",
        "longblob NULL",
    ]


def test_only_mysql_cannot_sort_what_may_be_large() -> None:
    document = Column("j", "json", "json")
    for large in ([KEY, document], [KEY, text(16_000)]):
        assert not sorts(large, Dialect.MYSQL)
        assert sorts(large, Dialect.MARIADB)
    assert sorts([KEY, text(100)], Dialect.MYSQL)


def test_a_table_that_no_stage_can_hold_is_refused() -> None:
    def found(width: int) -> list[str]:
        more = tuple(Column(f"c{i}", "int", "int(11)") for i in range(width - 1))
        table = Table("s", "t", (KEY, *more), ("id",))
        compared = compare_tables(table, table, Dialect.MYSQL, Dialect.MYSQL)
        return [f"{d.fit} {d.code}" for d in compared]

    assert found(1013) == []
    assert found(1014) == ["impossible table_too_wide"]
