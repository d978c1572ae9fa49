"""Defaults as both kinds of server state them."""

from __future__ import annotations

import pytest

from dts_pipeline.core.presets import default_sql, older_value, preset_of
from dts_pipeline.core.schema import Column, Default, Dialect


@pytest.mark.parametrize(
    ("stated", "kind", "extra", "dialect", "found"),
    [
        (None, "int", "", Dialect.MARIADB, (Default.NONE, "")),
        ("NULL", "varchar", "", Dialect.MARIADB, (Default.NONE, "")),
        ("'NULL'", "varchar", "", Dialect.MARIADB, (Default.LITERAL, "NULL")),
        ("'it''s \\\\ a\\nb'", "varchar", "", Dialect.MARIADB, (Default.LITERAL, "it's \\ a\nb")),
        ("-7", "int", "", Dialect.MARIADB, (Default.LITERAL, "-7")),
        ("b'101'", "bit", "", Dialect.MARIADB, (Default.LITERAL, "b'101'")),
        ("current_timestamp()", "datetime", "", Dialect.MARIADB, (Default.NOW, "")),
        ("uuid()", "varchar", "", Dialect.MARIADB, (Default.COMPUTED, "")),
        (None, "int", "", Dialect.MYSQL, (Default.NONE, "")),
        ("it's", "varchar", "", Dialect.MYSQL, (Default.LITERAL, "it's")),
        ("NULL", "varchar", "", Dialect.MYSQL, (Default.LITERAL, "NULL")),
        ("CURRENT_TIMESTAMP", "datetime", "default_generated", Dialect.MYSQL,
         (Default.NOW, "")),
        ("uuid()", "varchar", "default_generated", Dialect.MYSQL, (Default.COMPUTED, "")),
    ],
)  # fmt: skip
def test_a_default_as_the_server_states_it(
    stated: str | None, kind: str, extra: str, dialect: Dialect, found: tuple[Default, str]
) -> None:
    assert preset_of(stated, kind, extra, dialect) == found


def column(kind: str, preset: str, **settings: object) -> Column:
    bare = kind.partition("(")[0]
    found = {"default": Default.LITERAL, "preset": preset, **settings}
    return Column("c", bare, kind, **found)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "clause"),
    [
        (column("int", "7"), "DEFAULT 7"),
        (column("decimal(8,2)", "-1.50"), "DEFAULT -1.50"),
        (column("varchar(9)", "it's \\"), "DEFAULT 'it''s \\\\'"),
        (column("enum('a','b')", "b"), "DEFAULT 'b'"),
        (column("bit(3)", "b'101'"), "DEFAULT b'101'"),
        (column("datetime", "2026-01-31 00:00:00"), "DEFAULT '2026-01-31 00:00:00'"),
        (column("int", "", default=Default.NONE), ""),
        (column("datetime(3)", "", default=Default.NOW), "DEFAULT CURRENT_TIMESTAMP(3)"),
        (column("varchar(36)", "", default=Default.COMPUTED), None),
        (column("binary(2)", "0x6162"), None),
        (column("int", "7 + 1"), None),
    ],
)
def test_the_clause_of_a_constant(one: Column, clause: str | None) -> None:
    assert default_sql(one) == clause


def test_what_older_rows_got_is_told_only_where_it_is_certain() -> None:
    assert older_value(column("int", "7")) == 7
    assert older_value(column("varchar(9)", "7")) == "7"
    assert older_value(column("bit(3)", "b'101'")) is None
    assert older_value(column("date", "", default=Default.NONE, nullable=False)) is None
    assert older_value(column("int", "", default=Default.NONE, nullable=False)) == 0
    assert older_value(column("int", "", default=Default.NONE)) is None
    assert older_value(column("int", "", default=Default.COMPUTED, nullable=False)) is None
    unique = column("int", "", default=Default.NONE, nullable=False, auto_increment=True)
    assert older_value(unique) is None
