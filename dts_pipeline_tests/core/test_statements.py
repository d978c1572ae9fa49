"""Every statement as exact text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dts_pipeline.core.delta import Counters
from dts_pipeline.core.marks import is_our_statement
from dts_pipeline.core.schema import Column, Dialect, Table
from dts_pipeline.core.statements import (
    TableStatements,
    quoted,
    readable,
    same_bytes,
    stage_type,
    table_name,
)
from dts_pipeline_tests import builders

MARK = "/* dts link=a_to_b batch=17 */"
ID = Column("id", "int", "int(10) unsigned", nullable=False)
REGION = Column("region", "char", "char(2)", False, "utf8mb4", "utf8mb4_general_ci")
NAME = Column("name", "varchar", "varchar(50)", True, "utf8mb4", "utf8mb4_bin")
TOTAL = Column("total", "decimal", "decimal(10,2)")
SUM = Column("twice", "decimal", "decimal(11,2)", generated=True)
TABLE = Table("shop", "orders", (ID, NAME, TOTAL, SUM), ("id",))


def statements(table: Table = TABLE, dialect: Dialect = Dialect.MARIADB) -> TableStatements:
    return TableStatements(table, dialect, 3, MARK)


CLEAN = replace(statements(), clean=True)
UNIQUE = statements(replace(TABLE, unique_keys=(("name", ("name",)),)))
TWO_KEYS = statements(Table("shop", "stock", (NAME, REGION, ID), ("region", "id")))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("id", "`id`"), ("a b", "`a b`"), ("a`b", "`a``b`"), ("`; DROP", "```; DROP`"), ("é", "`é`")],
)
def test_identifiers_stand_between_backticks(name: str, expected: str) -> None:
    assert quoted(name) == expected


def test_a_table_is_named_with_its_schema() -> None:
    assert table_name(Table("my`shop", "or.ders", (ID,), ("id",))) == "`my``shop`.`or.ders`"


def test_the_stages_of_a_batch_are_temporary_without_constraints_and_apart_by_slot() -> None:
    assert statements().create() == [
        "DROP TEMPORARY TABLE IF EXISTS `dts`.`stage_3`",
        "DROP TEMPORARY TABLE IF EXISTS `dts`.`before_3`",
        "DROP TEMPORARY TABLE IF EXISTS `dts`.`verdict_3`",
        "CREATE TEMPORARY TABLE `dts`.`stage_3` (ord INT NOT NULL PRIMARY KEY, "
        "is_delete TINYINT NOT NULL, has_before TINYINT NOT NULL, "
        "k0 int(10) unsigned NULL, a0 int(10) unsigned NULL, "
        "a1 varchar(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL, a2 decimal(10,2) NULL) "
        "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC",
        "CREATE TEMPORARY TABLE `dts`.`before_3` (ord INT NOT NULL PRIMARY KEY, "
        "b0 int(10) unsigned NULL, "
        "b1 varchar(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL, b2 decimal(10,2) NULL) "
        "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC",
        "CREATE TEMPORARY TABLE `dts`.`verdict_3` (ord INT NOT NULL PRIMARY KEY, "
        "meeting TINYINT NOT NULL, found TINYINT NOT NULL, newer TINYINT NOT NULL, "
        "won TINYINT NOT NULL DEFAULT 0, adds TINYINT NOT NULL) "
        "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC",
    ]


def test_the_stages_are_filled_by_parameters_only() -> None:
    assert statements().fill_stage() == (
        "INSERT INTO `dts`.`stage_3` VALUES (%s, %s, %s, %s, %s, %s, %s)"
    )
    assert statements().fill_before() == "INSERT INTO `dts`.`before_3` VALUES (%s, %s, %s, %s)"


def test_equal_keys_are_looked_for_where_a_collation_can_make_them() -> None:
    assert statements().equal_keys() is None
    assert TWO_KEYS.equal_keys() == (
        "SELECT GROUP_CONCAT(ord ORDER BY ord) FROM `dts`.`stage_3` "
        "GROUP BY k0, k1 HAVING COUNT(*) > 1"
    )


def test_the_classification_locks_the_rows_in_the_order_of_the_stage() -> None:
    assert statements().classify(detect=True) == (
        "INSERT INTO `dts`.`verdict_3` (ord, meeting, found, newer, adds) "
        "SELECT STRAIGHT_JOIN s.ord, "
        "CASE "
        "WHEN s.is_delete AND NOT (t.`id` IS NOT NULL) THEN 1 "
        "WHEN NOT s.is_delete AND t.`id` IS NOT NULL AND t.`id` <=> s.a0 "
        "AND CAST(t.`name` AS BINARY) <=> CAST(s.a1 AS BINARY) AND t.`total` <=> s.a2 THEN 1 "
        "WHEN NOT s.has_before AND NOT (t.`id` IS NOT NULL) THEN 0 "
        "WHEN s.has_before AND t.`id` IS NOT NULL AND t.`id` <=> b.b0 "
        "AND CAST(t.`name` AS BINARY) <=> CAST(b.b1 AS BINARY) AND t.`total` <=> b.b2 THEN 0 "
        "ELSE 2 END, "
        "t.`id` IS NOT NULL, 0, 0 "
        "FROM `dts`.`stage_3` AS s LEFT JOIN `dts`.`before_3` AS b ON b.ord = s.ord "
        "LEFT JOIN `shop`.`orders` AS t ON t.`id` = s.k0 FOR UPDATE"
    )


def test_without_detection_every_change_is_clean() -> None:
    assert statements().classify(detect=False) == (
        "INSERT INTO `dts`.`verdict_3` (ord, meeting, found, newer, adds) "
        "SELECT STRAIGHT_JOIN s.ord, 0, t.`id` IS NOT NULL, 0, 0 "
        "FROM `dts`.`stage_3` AS s LEFT JOIN `dts`.`before_3` AS b ON b.ord = s.ord "
        "LEFT JOIN `shop`.`orders` AS t ON t.`id` = s.k0 FOR UPDATE"
    )


def test_the_key_is_joined_by_its_collation_in_the_order_of_the_index() -> None:
    found = TWO_KEYS.classify(detect=False)

    assert found.endswith("AS t ON t.`region` = s.k0 AND t.`id` = s.k1 FOR UPDATE")


def test_the_version_is_compared_with_nulls_as_the_oldest() -> None:
    newest = replace(statements(), version_column="total")

    assert (
        ", CASE WHEN s.a2 <=> t.`total` THEN 0 WHEN t.`total` IS NULL THEN 1 "
        "WHEN s.a2 > t.`total` THEN 1 ELSE -1 END, 0 FROM "
    ) in newest.classify(detect=True)


def test_what_is_read_back() -> None:
    assert statements().verdicts() == (
        "SELECT ord, meeting, found, newer, adds FROM `dts`.`verdict_3` "
        "WHERE meeting NOT IN (0, 3) OR adds > 1 ORDER BY ord"
    )
    assert statements().found_rows() == (
        "SELECT STRAIGHT_JOIN s.ord AS ord, CAST(t.`id` AS CHAR) AS `id`, "
        "CAST(t.`name` AS CHAR) AS `name`, CAST(t.`total` AS CHAR) AS `total` "
        "FROM `dts`.`verdict_3` AS v JOIN `dts`.`stage_3` AS s ON s.ord = v.ord "
        "JOIN `shop`.`orders` AS t ON t.`id` = s.k0 "
        "WHERE v.meeting = 2 OR v.adds > 1"
    )
    assert statements().expected_counts() == (
        "SELECT COALESCE(SUM(s.is_delete AND v.found), 0), "
        "COALESCE(SUM(NOT s.is_delete AND v.found), 0), "
        "COALESCE(SUM(NOT s.is_delete AND NOT v.found), 0) "
        "FROM `dts`.`verdict_3` AS v JOIN `dts`.`stage_3` AS s ON s.ord = v.ord "
        "WHERE (v.meeting = 0 OR v.won OR v.adds)"
    )


def test_a_conflict_is_won_by_its_ordinal() -> None:
    assert statements().set_won() == "UPDATE `dts`.`verdict_3` SET won = 1 WHERE ord = %s"


def test_the_writes_of_a_plain_table() -> None:
    plain = statements()

    assert not plain.replaces_rows
    assert plain.delete() == (
        f"DELETE {MARK} t FROM `dts`.`verdict_3` AS v "
        "STRAIGHT_JOIN `dts`.`stage_3` AS s ON s.ord = v.ord "
        "STRAIGHT_JOIN `shop`.`orders` AS t ON t.`id` = s.k0 "
        "WHERE (v.meeting = 0 OR v.won OR v.adds) AND v.found AND s.is_delete"
    )
    assert plain.update() == (
        f"UPDATE {MARK} `dts`.`verdict_3` AS v "
        "STRAIGHT_JOIN `dts`.`stage_3` AS s ON s.ord = v.ord "
        "STRAIGHT_JOIN `shop`.`orders` AS t ON t.`id` = s.k0 "
        "SET t.`id` = s.a0, t.`name` = s.a1, t.`total` = s.a2 "
        "WHERE (v.meeting = 0 OR v.won OR v.adds) AND v.found AND NOT s.is_delete"
    )
    assert plain.insert() == (
        f"INSERT {MARK} INTO `shop`.`orders` (`id`, `name`, `total`) "
        "SELECT s.a0, s.a1, s.a2 FROM `dts`.`verdict_3` AS v "
        "STRAIGHT_JOIN `dts`.`stage_3` AS s ON s.ord = v.ord "
        "WHERE (v.meeting = 0 OR v.won OR v.adds) AND NOT s.is_delete AND NOT v.found ORDER BY s.k0"
    )


def test_one_look_counts_and_locks_all_rows_and_filters_none() -> None:
    look = statements().look(detect=False)

    assert look == (
        "SELECT STRAIGHT_JOIN COUNT(*), "
        "COALESCE(SUM(0 <> 0 OR (t.`id` IS NOT NULL) <> s.has_before), 0), "
        "COALESCE(SUM(s.is_delete), 0), COALESCE(SUM(NOT s.is_delete AND s.has_before), 0), "
        "COALESCE(SUM(NOT s.is_delete AND NOT s.has_before), 0) "
        "FROM `dts`.`stage_3` AS s LEFT JOIN `dts`.`before_3` AS b ON b.ord = s.ord "
        "LEFT JOIN `shop`.`orders` AS t ON t.`id` = s.k0 FOR UPDATE"
    )
    assert "CASE WHEN s.is_delete" in (statements().look(detect=True) or "")


def test_unique_values_and_counters_need_verdicts() -> None:
    counters = Counters(("total",), ())

    assert UNIQUE.look(detect=True) is None
    assert replace(statements(), counters=counters).look(detect=True) is None


def test_the_writes_of_a_table_whose_changes_are_all_clean() -> None:
    clean = replace(statements(), clean=True)

    assert clean.delete() == (
        f"DELETE {MARK} t FROM `dts`.`stage_3` AS s "
        "STRAIGHT_JOIN `shop`.`orders` AS t ON t.`id` = s.k0 WHERE s.has_before AND s.is_delete"
    )
    assert clean.update() == (
        f"UPDATE {MARK} `dts`.`stage_3` AS s "
        "STRAIGHT_JOIN `shop`.`orders` AS t ON t.`id` = s.k0 "
        "SET t.`id` = s.a0, t.`name` = s.a1, t.`total` = s.a2 "
        "WHERE s.has_before AND NOT s.is_delete"
    )
    assert clean.insert() == (
        f"INSERT {MARK} INTO `shop`.`orders` (`id`, `name`, `total`) "
        "SELECT s.a0, s.a1, s.a2 FROM `dts`.`stage_3` AS s "
        "WHERE NOT s.is_delete AND NOT s.has_before ORDER BY s.k0"
    )


def test_a_secondary_unique_key_makes_updates_deletes_and_inserts() -> None:
    """A unique value handed from one row to another: all rows go before any comes."""
    assert UNIQUE.replaces_rows
    assert UNIQUE.update() is None
    assert UNIQUE.delete().endswith("WHERE (v.meeting = 0 OR v.won OR v.adds) AND v.found")
    assert UNIQUE.insert().endswith(
        "WHERE (v.meeting = 0 OR v.won OR v.adds) AND NOT s.is_delete ORDER BY s.k0"
    )


@pytest.mark.parametrize("made", [statements(), UNIQUE, TWO_KEYS, CLEAN])
def test_every_statement_that_writes_the_table_carries_the_mark(made: TableStatements) -> None:
    writes = [text for text in (made.delete(), made.update(), made.insert()) if text]

    assert all(is_our_statement(builders.encoded(text)[:200]) for text in writes)


@pytest.mark.parametrize("made", [statements(), UNIQUE, TWO_KEYS, CLEAN])
def test_no_statement_is_on_duplicate_key_update_or_replace(made: TableStatements) -> None:
    """It may rewrite the wrong row."""
    for text in (made.delete(), made.update() or "", made.insert()):
        assert "DUPLICATE" not in text
        assert "REPLACE" not in text
        assert "IGNORE" not in text


def test_generated_columns_are_never_written() -> None:
    made = statements()
    texts = [
        *made.create(),
        made.fill_stage(),
        made.update() or "",
        made.insert(),
        made.classify(True),
    ]

    assert not any("twice" in text for text in texts)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (ID, "int(10) unsigned NULL"),
        (NAME, "varchar(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL"),
        (Column("e", "enum", "enum('a','b')", True, "latin1", "latin1_bin"),
         "enum('a','b') CHARACTER SET latin1 COLLATE latin1_bin NULL"),
        (Column("b", "blob", "blob"), "blob NULL"),
        (Column("j", "json", "json"), "json NULL"),
        (Column("t", "timestamp", "timestamp(6)", False), "timestamp(6) NULL"),
    ],
)  # fmt: skip
def test_a_stage_has_the_targets_types_and_no_constraints(column: Column, expected: str) -> None:
    assert stage_type(column) == expected


def column(column_type: str, **fields: object) -> Column:
    data_type = column_type.partition("(")[0].split()[0]
    return Column("c", data_type, column_type, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        *((column(t), "l <=> r") for t in (
            "int", "bigint unsigned", "decimal(10,2)", "date", "datetime(6)", "timestamp",
            "time(6)", "year(4)", "binary(8)", "varbinary(8)", "blob", "bit(10)",
        )),
        *((column(t), "CAST(l AS BINARY) <=> CAST(r AS BINARY)") for t in (
            "char(5)", "varchar(5)", "tinytext", "text", "mediumtext", "longtext", "enum('a')",
            "set('a')",
        )),
        *((column(t), "(l <=> r AND CAST(l AS CHAR) <=> CAST(r AS CHAR))") for t in (
            "float", "double",
        )),
        *((column(t), "HEX(l) <=> HEX(r)") for t in ("point", "geometry", "vector(3)")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dialect", list(Dialect))
def test_columns_compare_by_their_bytes_and_never_by_collation(
    column: Column, expected: str, dialect: Dialect
) -> None:
    assert same_bytes(column, "l", "r", dialect) == expected


@pytest.mark.parametrize(
    ("dialect", "mixed", "expected"),
    [
        (Dialect.MYSQL, False, "l <=> r"),
        (Dialect.MYSQL, True, "l <=> r"),
        (Dialect.MARIADB, False, "CAST(l AS BINARY) <=> CAST(r AS BINARY)"),
        (Dialect.MARIADB, True,
         "CAST(JSON_NORMALIZE(l) AS BINARY) <=> CAST(JSON_NORMALIZE(r) AS BINARY)"),
    ],
)  # fmt: skip
def test_json_compares_as_each_server_keeps_it(
    dialect: Dialect, mixed: bool, expected: str
) -> None:
    text = column("json" if dialect is Dialect.MYSQL else "longtext", is_json=True)

    assert same_bytes(text, "l", "r", dialect, mixed) == expected


@pytest.mark.parametrize(
    ("column_type", "expected"),
    [
        ("int", "CAST(t.`c` AS CHAR)"),
        ("varchar(5)", "CAST(t.`c` AS CHAR)"),
        ("varbinary(5)", "HEX(t.`c`)"),
        ("longblob", "HEX(t.`c`)"),
        ("bit(3)", "HEX(t.`c`)"),
        ("point", "HEX(t.`c`)"),
    ],
)
def test_a_record_shows_text_and_hex(column_type: str, expected: str) -> None:
    assert readable(column(column_type), "t") == expected
