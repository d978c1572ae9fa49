"""Every rule of the table comparison, one line each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dts_pipeline.core.column_names import ColumnNames
from dts_pipeline.core.contract import Difference, compare_tables, unlogged_cascades
from dts_pipeline.core.schema import Column, Dialect, ForeignKey, Table
from dts_pipeline.core.type_fit import Fit

_TEXTS = ("char", "varchar", "text", "enum", "set")


def column(column_type: str, **settings: object) -> Column:
    """A column `v`; character types get utf8mb4_general_ci unless told otherwise."""
    data_type = column_type.partition("(")[0].partition(" ")[0]
    defaults: dict[str, object] = {
        "name": "v",
        "data_type": data_type,
        "column_type": column_type,
    }
    if data_type.removeprefix("tiny").removeprefix("medium").removeprefix("long") in _TEXTS:
        defaults |= {"charset": "utf8mb4", "collation": "utf8mb4_general_ci"}
    return Column(**{**defaults, **settings})  # type: ignore[arg-type]


def table(*columns: Column, key: tuple[str, ...] = ("id",), **settings: object) -> Table:
    """shop.item with an `id` in front of the given columns."""
    first = column("int", name="id", nullable=False)
    return Table("shop", "item", (first, *columns), key, **settings)  # type: ignore[arg-type]


def differences(
    source: Table,
    target: Table,
    dialects: tuple[Dialect, Dialect] = (Dialect.MARIADB, Dialect.MARIADB),
) -> list[Difference]:
    return compare_tables(source, target, *dialects)


def verdicts(source: Column, target: Column) -> list[tuple[str, str, bool]]:
    found = differences(table(source), table(target))
    return [(str(d.fit), d.code, d.silent) for d in found]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("int(11)", "int"),
        ("int(10) unsigned", "bigint"),
        ("tinyint(1)", "smallint"),
        ("decimal(10,2)", "decimal(12,3)"),
        ("decimal(10,2) unsigned", "decimal(10,2)"),
        ("decimal(5)", "decimal(5,0)"),
        ("float", "double"),
        ("bit(3)", "bit(8)"),
        ("char(5)", "varchar(5)"),
        ("varchar(100)", "text"),
        ("tinytext", "mediumtext"),
        ("longtext", "longtext"),
        ("text", "text"),
        ("varbinary(300)", "blob"),
        ("binary(4)", "varbinary(4)"),
        ("binary(4)", "binary(4)"),
        ("enum('a','b')", "enum('b','c','a')"),
        ("set('a','it''s')", "set('it''s','a')"),
        ("datetime(3)", "datetime(6)"),
        ("time", "time(2)"),
        ("timestamp(6)", "timestamp(6)"),
        ("year(4)", "year"),
        ("date", "date"),
        ("json", "json"),
        ("point", "geometry"),
        ("geometrycollection", "geomcollection"),
        ("vector(3)", "vector(3)"),
    ],
)
def test_types_that_hold_every_value(source: str, target: str) -> None:
    assert verdicts(column(source), column(target)) == []


@pytest.mark.parametrize(
    ("source", "target", "silent"),
    [
        ("bigint", "int", False),
        ("int", "int unsigned", False),
        ("int unsigned", "int", False),
        ("decimal(12,2)", "decimal(10,2)", False),
        ("decimal(10,3)", "decimal(12,2)", True),
        ("decimal(10,2)", "decimal(10,2) unsigned", False),
        ("double", "float", True),
        ("double", "double(10,2)", True),
        ("double", "double unsigned", False),
        ("bit(8)", "bit(1)", False),
        ("varchar(20)", "varchar(10)", False),
        ("varchar(10)", "char(10)", True),
        ("text", "varchar(100)", False),
        ("mediumtext", "text", False),
        ("blob", "varbinary(100)", False),
        ("varbinary(4)", "binary(4)", True),
        ("binary(4)", "binary(8)", True),
        ("enum('a','b')", "enum('a')", False),
        ("set('a','b')", "set('a')", False),
        ("datetime(6)", "datetime", True),
        ("time(3)", "time", True),
        ("timestamp(6)", "timestamp(3)", True),
        ("geometry", "point", False),
        ("vector(3)", "vector(4)", False),
    ],
)
def test_types_that_lose_values(source: str, target: str, silent: bool) -> None:
    assert verdicts(column(source), column(target)) == [("lossy", "type_narrower", silent)]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("int", "varchar(20)"),
        ("varchar(20)", "int"),
        ("datetime", "timestamp"),
        ("date", "datetime"),
        ("text", "blob"),
        ("enum('a')", "varchar(10)"),
        ("bit(1)", "tinyint(1)"),
        ("decimal(10,0)", "bigint"),
    ],
)
def test_types_of_another_kind_are_impossible(source: str, target: str) -> None:
    assert verdicts(column(source), column(target)) == [("impossible", "type_mismatch", False)]


def test_a_type_that_is_not_known_is_impossible() -> None:
    assert verdicts(column("uuid"), column("uuid")) == [
        ("impossible", "column_type_unsupported", False)
    ]


def test_a_character_set_that_lacks_characters_is_lossy() -> None:
    latin = column("varchar(10)", charset="latin1", collation="latin1_swedish_ci")
    assert ("lossy", "type_narrower", False) in verdicts(column("varchar(10)"), latin)
    assert [v[0] for v in verdicts(latin, column("varchar(10)"))] == ["harmless"]


def test_a_column_that_is_missing_at_the_target_is_impossible() -> None:
    found = differences(table(column("int")), table())
    assert [(d.fit, d.code, d.column) for d in found] == [(Fit.IMPOSSIBLE, "column_missing", "v")]
    assert found[0].message == "column v is missing at the target"


def test_a_column_spelled_in_another_case_is_missing() -> None:
    found = differences(table(column("int")), table(column("int", name="V")))
    assert [(d.code, d.column) for d in found] == [("column_missing", "v")]
    assert "another case" in found[0].message


def test_a_generated_column_of_the_source_must_exist_at_the_target_too() -> None:
    found = differences(table(column("int", generated=True)), table())
    assert [(str(d.fit), d.code) for d in found] == [("impossible", "column_missing")]


def test_a_column_generated_at_the_target_only_loses_values_silently() -> None:
    generated = column("int", generated=True)
    assert verdicts(column("int"), generated) == [("lossy", "generated_at_target", True)]
    assert verdicts(generated, generated) == []
    assert verdicts(generated, column("int")) == []


def test_null_into_not_null_is_lossy_and_the_other_way_fine() -> None:
    required = column("int", nullable=False)
    assert verdicts(column("int"), required) == [("lossy", "null_refused", False)]
    assert verdicts(required, column("int")) == []


def test_a_table_without_a_key_is_impossible() -> None:
    found = differences(table(key=()), table())
    assert [(d.fit, d.code) for d in found] == [(Fit.IMPOSSIBLE, "key_missing")]
    assert "source" in found[0].message


def test_keys_of_other_columns_are_impossible_but_their_order_does_not_matter() -> None:
    other = column("int", nullable=False)
    found = differences(table(other, key=("id",)), table(other, key=("id", "v")))
    assert [d.code for d in found] == ["key_mismatch"]
    assert differences(table(other, key=("v", "id")), table(other, key=("id", "v"))) == []


def test_a_unique_key_at_the_target_only_is_lossy() -> None:
    unique = (("v_unique", ("v",)),)
    found = differences(table(column("int")), table(column("int"), unique_keys=unique))
    assert [(d.fit, d.code) for d in found] == [(Fit.LOSSY, "unique_key_extra")]
    both = table(column("int"), unique_keys=(("other_name", ("v",)),))
    assert differences(both, table(column("int"), unique_keys=unique)) == []


def test_the_target_must_be_innodb_and_the_source_should() -> None:
    plain, old = table(), table(engine="MyISAM")
    assert [(d.fit, d.code) for d in differences(plain, old)] == [
        (Fit.IMPOSSIBLE, "engine_unsupported")
    ]
    assert [(d.fit, d.code) for d in differences(old, plain)] == [(Fit.LOSSY, "engine_unsupported")]


@pytest.mark.parametrize(
    ("collation", "key", "unique", "expected"),
    [
        ("utf8mb4_bin", ("id",), (), ("harmless", False)),
        ("utf8mb4_bin", ("v",), (), ("lossy", True)),
        ("utf8mb4_bin", ("id",), (("u", ("v",)),), ("lossy", False)),
    ],
)
def test_collations_matter_in_keys(
    collation: str,
    key: tuple[str, ...],
    unique: tuple[tuple[str, tuple[str, ...]], ...],
    expected: tuple[str, bool],
) -> None:
    source = table(column("varchar(9)", collation=collation), key=key, unique_keys=unique)
    target = table(column("varchar(9)"), key=key, unique_keys=unique)
    found = differences(source, target)
    assert [(str(d.fit), d.silent) for d in found] == [expected]
    assert found[0].code == "collation_differs"


def test_the_two_names_of_three_byte_utf8_are_one_collation() -> None:
    old = column("varchar(9)", charset="utf8", collation="utf8_general_ci")
    new = column("varchar(9)", charset="utf8mb3", collation="utf8mb3_general_ci")
    assert differences(table(old, key=("v",)), table(new, key=("v",))) == []


def test_json_of_the_two_dialects_fits_and_is_named() -> None:
    mysql = column("json", is_json=True)
    mariadb = column("longtext", is_json=True, collation="utf8mb4_bin")
    found = differences(table(mysql), table(mariadb), (Dialect.MYSQL, Dialect.MARIADB))
    assert [(str(d.fit), d.code) for d in found] == [("harmless", "json_text_differs")]


def test_text_into_json_is_lossy_and_json_into_long_text_fine() -> None:
    document = column("longtext", is_json=True)
    assert verdicts(column("longtext"), document) == [("lossy", "type_narrower", False)]
    assert verdicts(document, column("longtext")) == []
    assert verdicts(document, column("text")) == [("lossy", "type_narrower", False)]


def test_extra_columns_at_the_target_are_impossible_unless_generated() -> None:
    found = differences(table(), table(column("int")))
    assert [(str(d.fit), d.code, d.column) for d in found] == [
        ("impossible", "column_missing", "v")
    ]
    assert differences(table(), table(column("int", generated=True))) == []


def test_labels_of_an_enum_are_not_quoted_in_messages() -> None:
    found = differences(table(column("enum('secret')")), table(column("enum('x')")))
    assert "secret" not in found[0].message


@pytest.mark.parametrize(
    ("dialect", "version", "native", "logged"),
    [
        (Dialect.MARIADB, "10.11.6-MariaDB", False, False),
        (Dialect.MARIADB, "11.8.1-MariaDB", False, False),
        (Dialect.MYSQL, "8.0.40", False, False),
        (Dialect.MYSQL, "9.5.0", False, False),
        (Dialect.MYSQL, "9.6.0", False, True),
        (Dialect.MYSQL, "9.7.4-2", False, True),
        (Dialect.MYSQL, "9.7.4-2", True, False),
    ],
)
def test_who_logs_what_a_cascade_changes(
    dialect: Dialect, version: str, native: bool, logged: bool
) -> None:
    acting = ForeignKey("fk", "shop.item", ("v",), "shop.item", ("id",), "CASCADE", "RESTRICT")
    forbidding = replace(acting, name="no", on_delete="NO ACTION")
    tables = {"shop.item": table(column("int"), foreign_keys=(acting, forbidding))}
    found = unlogged_cascades(tables, dialect, version, native=native)
    assert found == (() if logged else (acting,))


RENAMED = ColumnNames((("v", "own_v"),))


def renamed(*names: str) -> Table:
    """A site's table with columns that it calls so, of which `own_v` is common `v`."""
    found = table(*(column("int", name=name) for name in names))
    return found.under_common_names(RENAMED)


def test_a_renamed_column_fits_the_one_of_the_common_name() -> None:
    plain = table(column("int"))
    assert differences(plain, renamed("own_v")) == differences(renamed("own_v"), plain) == []


@pytest.mark.parametrize("flipped", [False, True])
def test_a_missing_column_is_told_by_the_name_at_its_site(flipped: bool) -> None:
    sides = (table(column("int")), renamed())
    found = differences(*(sides[::-1] if flipped else sides))
    assert [d.code for d in found] == ["column_missing"]
    assert "(there own_v)" in found[0].message
    assert "ADD COLUMN `own_v` int" in found[0].remedy
    assert "DROP COLUMN `v`" in found[0].remedy


def test_what_to_drop_has_the_name_at_its_site() -> None:
    [found] = differences(table(), renamed("own_v"))
    assert "ADD COLUMN `v` int" in found.remedy
    assert "DROP COLUMN `own_v`" in found.remedy


@pytest.mark.parametrize("name", ["v", "V"])
@pytest.mark.parametrize("flipped", [False, True])
def test_both_names_at_a_site_are_told_before_anything_else(name: str, flipped: bool) -> None:
    sides = (table(column("int")), renamed("own_v", name))
    found = differences(*(sides[::-1] if flipped else sides))
    assert (found[0].code, found[0].fit) == ("column_name_taken", Fit.IMPOSSIBLE)


def test_the_common_name_alone_is_not_the_column() -> None:
    codes = {d.code for d in differences(table(column("int")), renamed("v"))}
    assert codes == {"column_missing"}


def test_a_renamed_column_that_neither_site_has_is_told() -> None:
    [found] = differences(table(), renamed())
    assert (found.code, found.column) == ("column_missing", "v")
