"""`ddl: additive` by rule: what is made up, by which statement, and what stops instead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dts_pipeline.core.ddl import Change, Flow, changes, is_copy, new_tables, refuse_lost
from dts_pipeline.core.definitions import Definition, Index
from dts_pipeline.core.schema import Column, Default, Dialect, ForeignKey, Table
from dts_pipeline.core.shapes import Shape
from dts_pipeline.errors import TerminalError

GENERAL = "utf8mb4_general_ci"
FLOW = Flow("a_to_b", "a", "b", (Dialect.MARIADB, Dialect.MARIADB), GENERAL.__eq__, both_ways=True)
CROSSING = replace(FLOW, dialects=(Dialect.MYSQL, Dialect.MARIADB))
ID = Column("id", "bigint", "bigint(20)", nullable=False)
N = Column("n", "int", "int(11)", nullable=False, needs_value=True)
NAME = Column("name", "varchar", "varchar(20)", charset="utf8mb4", collation=GENERAL)
KIND = Column("kind", "enum", "enum('one','two')", charset="utf8mb4", collation=GENERAL)
BY_NAME = Index("by_name", (("name", 0),))
SHOWN = """CREATE TABLE `item` (
  `id` bigint(20) NOT NULL,
  `n` int(11) NOT NULL DEFAULT 5 COMMENT 'how NOT NULL, many',
  `name` varchar(20) DEFAULT NULL,
  `kind` enum('one','two') DEFAULT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=77 DEFAULT CHARSET=utf8mb4"""
OLD = (ID, N, NAME, KIND)


def table(*columns: Column, indexes: tuple[Index, ...] = (), **settings: object) -> Definition:
    return Definition(Table("shop", "item", columns, ("id",), **settings), indexes)  # type: ignore[arg-type]


BEFORE = table(*OLD)
KNOWN = Shape.of(BEFORE, BEFORE)


def statements(
    source: Definition,
    target: Definition = BEFORE,
    known: Shape = KNOWN,
    flow: Flow = FLOW,
) -> list[str]:
    found = list(changes(flow, source, target, known, lambda _: SHOWN))
    assert {change.table for change in found} <= {"shop.item"}
    return [change.statement for change in found]


def refused(source: Definition, target: Definition = BEFORE, flow: Flow = FLOW) -> TerminalError:
    with pytest.raises(TerminalError) as error:
        statements(source, target, flow=flow)
    return error.value


# -- columns --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "definition"),
    [
        (Column("x", "int", "int(11)"), "`x` int(11) NULL"),
        (replace(NAME, name="x y"),
         f"`x y` varchar(20) CHARACTER SET utf8mb4 COLLATE {GENERAL} NULL"),
        (Column("x", "int", "int", nullable=False, default=Default.LITERAL, preset="7"),
         "`x` int NOT NULL DEFAULT 7"),
        (Column("x", "bigint", "bigint unsigned", nullable=False, needs_value=True),
         "`x` bigint unsigned NOT NULL"),
        (Column("x", "longtext", "longtext", charset="utf8mb4", collation=GENERAL, is_json=True),
         "`x` JSON NULL"),
        (Column("x", "datetime", "datetime(3)", on_update=True),
         "`x` datetime(3) NULL ON UPDATE CURRENT_TIMESTAMP(3)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("first", [False, True])
def test_an_added_column_wherever_it_stands(column: Column, definition: str, first: bool) -> None:
    source = table(ID, column, N, NAME, KIND) if first else table(*OLD, column)
    assert statements(source) == [f"ALTER TABLE `shop`.`item` ADD COLUMN {definition}"]


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (Column("x", "datetime", "datetime", default=Default.NOW), "not a constant"),
        (Column("x", "varchar", "varchar(36)", default=Default.COMPUTED), "not a constant"),
        (Column("x", "int", "int", generated=True), "generated"),
        (Column("x", "int", "int", nullable=False, auto_increment=True), "numbers the rows"),
        (Column("x", "uuid", "uuid"), "not supported"),
        (Column("x", "date", "date", nullable=False, needs_value=True), "cannot be told"),
        (replace(NAME, name="x", collation="utf8mb4_0900_ai_ci"), "no collation"),
    ],
)
def test_a_column_whose_rows_would_not_be_equal_is_left_to_somebody(
    column: Column, reason: str
) -> None:
    error = refused(table(*OLD, column))
    assert error.code == "ddl_by_hand"
    assert reason in error.message
    assert "ALTER TABLE `shop`.`item` ADD COLUMN `x`" in error.remedy
    assert error.where == {"link": "a_to_b", "table": "shop.item", "column": "x", "site": "b"}


def test_what_fits_or_is_excluded_or_is_more_at_the_target_needs_nothing() -> None:
    assert statements(BEFORE) == []
    assert statements(table(*OLD, Column("x", "int", "int", excluded=True))) == []
    assert statements(BEFORE, table(*OLD, Column("x", "int", "int"))) == []


# -- types ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wider", "clause"),
    [
        (replace(N, data_type="bigint", column_type="bigint(20)"),
         "`n` bigint(20) NOT NULL DEFAULT 5 COMMENT 'how NOT NULL, many'"),
        (replace(N, nullable=True), "`n` int(11) NULL DEFAULT 5 COMMENT 'how NOT NULL, many'"),
        (replace(NAME, column_type="varchar(60)"), "`name` varchar(60) DEFAULT NULL"),
        (replace(KIND, column_type="enum('one','two','three')"),
         "`kind` enum('one','two','three') DEFAULT NULL"),
    ],
)  # fmt: skip
def test_a_wider_type_keeps_all_else_of_the_column(wider: Column, clause: str) -> None:
    source = table(*(wider if column.name == wider.name else column for column in OLD))
    assert statements(source) == [f"ALTER TABLE `shop`.`item` MODIFY COLUMN {clause}"]


@pytest.mark.parametrize(
    "other",
    [
        replace(N, data_type="smallint", column_type="smallint(6)"),
        replace(NAME, column_type="varchar(10)"),
        replace(KIND, column_type="enum('zero','one','two')"),
        replace(KIND, column_type="enum('two')"),
        replace(N, column_type="int(10) unsigned"),
    ],
)
def test_a_narrower_or_a_mixed_type_is_not_carried(other: Column) -> None:
    source = table(*(other if column.name == other.name else column for column in OLD))
    assert statements(source) == []


def test_a_type_that_was_narrowed_at_the_target_is_not_widened_again() -> None:
    narrowed = table(ID, replace(N, column_type="smallint(6)", data_type="smallint"), NAME, KIND)
    assert statements(BEFORE, narrowed) == []
    assert statements(BEFORE, narrowed, Shape()) == []
    wider = table(ID, replace(N, column_type="bigint(20)", data_type="bigint"), NAME, KIND)
    assert statements(wider, narrowed) == []


# -- indexes --------------------------------------------------------------------------------------


def test_a_new_index_is_made_under_its_name() -> None:
    both = Index("by both", (("name", 5), ("n", 0)))
    assert statements(table(*OLD, indexes=(both,))) == [
        "CREATE INDEX `by both` ON `shop`.`item` (`name`(5), `n`)"
    ]


def test_an_index_of_an_added_column_comes_after_it() -> None:
    extra = Column("x", "int", "int(11)")
    source = table(*OLD, extra, indexes=(Index("by_x", (("x", 0),)),))
    assert [text.partition("`x`")[0] for text in statements(source)] == [
        "ALTER TABLE `shop`.`item` ADD COLUMN ",
        "CREATE INDEX `by_x` ON `shop`.`item` (",
    ]


def test_an_index_that_was_known_or_is_there_or_cannot_be_spelled_is_left_alone() -> None:
    source = table(*OLD, indexes=(BY_NAME,))
    assert statements(source, known=Shape.of(source, BEFORE)) == []
    assert statements(source, table(*OLD, indexes=(replace(BY_NAME, name="other"),))) == []
    assert statements(table(*OLD, indexes=(replace(BY_NAME, plain=False),))) == []
    taken = table(*OLD, indexes=(Index("by_name", (("n", 0),)),))
    assert statements(source, taken, Shape.of(BEFORE, taken)) == []


def test_a_new_unique_index_stops_a_pair_and_is_left_alone_on_one_way() -> None:
    source = table(*OLD, indexes=(replace(BY_NAME, unique=True),))
    error = refused(source)
    assert error.code == "ddl_by_hand"
    assert "CREATE UNIQUE INDEX `by_name` ON `shop`.`item` (`name`)" in error.remedy
    assert statements(source, flow=replace(FLOW, both_ways=False)) == []
    assert statements(source, known=Shape.of(source, BEFORE)) == []


# -- what was dropped or renamed ------------------------------------------------------------------


def lost(source: dict[str, Definition], target: dict[str, Definition]) -> TerminalError:
    with pytest.raises(TerminalError) as error:
        refuse_lost(FLOW, source, target, {"shop.item": KNOWN})
    return error.value


def test_a_column_that_both_had_was_dropped_at_whoever_lacks_it() -> None:
    for source, target, here, there in (
        (table(ID, N, KIND), BEFORE, "a", "b"),
        (BEFORE, table(ID, N, KIND), "b", "a"),
    ):
        error = lost({"shop.item": source}, {"shop.item": target})
        assert (error.code, error.where["site"]) == ("column_missing", here)
        assert f"at site {there}: ALTER TABLE `shop`.`item` DROP COLUMN `name`" in error.remedy
        assert "RENAME" not in error.remedy


def test_a_column_that_came_as_another_went_may_be_renamed() -> None:
    renamed = table(ID, N, replace(NAME, name="label"), KIND)
    error = lost({"shop.item": renamed}, {"shop.item": BEFORE})
    assert "at site b: ALTER TABLE `shop`.`item` RENAME COLUMN `name` TO `label`" in error.remedy


def test_a_table_that_both_had_was_dropped_or_renamed() -> None:
    other = Definition(replace(BEFORE.table, name="thing"))
    error = lost({"shop.thing": other}, {"shop.item": BEFORE})
    assert (error.code, error.where["site"]) == ("table_missing", "a")
    assert "DROP TABLE `shop`.`item`" in error.remedy
    assert "RENAME TABLE `shop`.`item` TO `shop`.`thing`" in error.remedy


def test_what_fits_or_was_never_common_is_not_lost() -> None:
    both = {"shop.item": BEFORE}
    refuse_lost(FLOW, both, both, {"shop.item": KNOWN})
    refuse_lost(FLOW, {}, {}, {"shop.item": KNOWN})
    excluded = {"shop.item": table(ID, N, replace(NAME, excluded=True), KIND)}
    refuse_lost(FLOW, {"shop.item": table(ID, N, KIND)}, excluded, {"shop.item": KNOWN})
    refuse_lost(FLOW, {"shop.item": table(*OLD, N)}, both, {})
    refuse_lost(FLOW, both, {}, {})


# -- new tables -----------------------------------------------------------------------------------


def made(definition: Definition, flow: Flow = FLOW) -> list[Change]:
    full_name = definition.table.full_name
    return list(new_tables(flow, {full_name: definition}, {}, lambda _: SHOWN))


def test_a_new_table_is_made_as_the_source_shows_it() -> None:
    (change,) = made(BEFORE)
    assert change.statement.startswith("CREATE TABLE IF NOT EXISTS `shop`.`item` (\n  `id` bigint")
    assert change.statement.endswith(") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4")


def test_a_new_table_gets_the_targets_own_name() -> None:
    flow = replace(FLOW, called=lambda name: "store.item_eu", renames=True)
    for one in (flow, replace(flow, dialects=CROSSING.dialects)):
        (change,) = made(BEFORE, one)
        assert change.table == "shop.item"
        assert change.statement.startswith("CREATE TABLE IF NOT EXISTS `store`.`item_eu` (")


@pytest.mark.parametrize("called", ["store.item", ".shop.item"])
def test_a_new_table_that_cannot_be_spelled_under_other_names(called: str) -> None:
    """One whose foreign key would name a table by another name, and one that has no name there."""
    flow = replace(FLOW, called=lambda name: called, renames=True)
    key = ForeignKey("of", "shop.item", ("n",), "shop.other", ("id",), "CASCADE", "RESTRICT")
    keys = (key,) if called == "store.item" else ()
    with pytest.raises(TerminalError) as error:
        made(replace(BEFORE, table=replace(BEFORE.table, foreign_keys=keys)), flow)
    assert error.value.code == "ddl_by_hand"


def test_the_other_kind_of_server_gets_it_by_its_facts() -> None:
    now = Column("at", "datetime", "datetime(6)", nullable=False, default=Default.NOW)
    number = replace(ID, auto_increment=True)
    indexes = (BY_NAME, Index("one", (("n", 0),), unique=True), replace(BY_NAME, plain=False))
    (change,) = made(table(number, N, NAME, now, indexes=indexes), CROSSING)
    assert change.statement == (
        "CREATE TABLE IF NOT EXISTS `shop`.`item` (\n"
        "  `id` bigint(20) NOT NULL AUTO_INCREMENT,\n"
        "  `n` int(11) NOT NULL,\n"
        f"  `name` varchar(20) CHARACTER SET utf8mb4 COLLATE {GENERAL} NULL,\n"
        "  `at` datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),\n"
        "  PRIMARY KEY (`id`),\n"
        "  KEY `by_name` (`name`),\n"
        "  UNIQUE KEY `one` (`n`)\n"
        ") ENGINE=InnoDB"
    )


@pytest.mark.parametrize(
    "definition",
    [
        table(ID, replace(NAME, collation="utf8mb4_0900_ai_ci")),
        table(ID, replace(N, generated=True)),
        table(ID, NAME, indexes=(replace(BY_NAME, unique=True, plain=False),)),
        table(ID, N, foreign_keys=(ForeignKey("f", "c", ("n",), "p", ("id",), "CASCADE", ""),)),
    ],
    ids=["collation", "generated", "unique by expression", "foreign key"],
)
def test_what_the_other_kind_of_server_may_spell_otherwise_is_left_to_somebody(
    definition: Definition,
) -> None:
    with pytest.raises(TerminalError) as error:
        made(definition, CROSSING)
    assert error.value.code == "ddl_by_hand"
    assert "CREATE TABLE `item`" in error.value.remedy


def test_tables_that_would_not_fit_or_are_copies_are_not_made() -> None:
    assert made(Definition(replace(BEFORE.table, primary_key=()))) == []
    assert made(Definition(replace(BEFORE.table, engine="MyISAM"))) == []
    assert made(Definition(replace(BEFORE.table, name="_item_gho"))) == []


@pytest.mark.parametrize("name", ["_item_gho", "_item_ghc", "_item_del", "_item_new", "_item_old"])
def test_copies_are_known_by_their_names(name: str) -> None:
    assert is_copy(f"shop.{name}")
    assert not is_copy(f"shop.{name[1:]}")


def test_a_shape_survives_the_ledger() -> None:
    shape = Shape.of(table(*OLD, indexes=(BY_NAME, replace(BY_NAME, unique=True))), BEFORE)
    assert Shape.from_json(shape.to_json()) == shape
    assert shape.columns["n"] == ("int(11) NOT NULL", "int(11) NOT NULL")
