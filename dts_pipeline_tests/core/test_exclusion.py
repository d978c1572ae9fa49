"""Excluded columns leave events, and writes of nothing else leave with them."""

from __future__ import annotations

import pandas as pd
import pytest

from dts_pipeline.core.contract import compare_tables, untold
from dts_pipeline.core.decode import ValueModes, decode_rows
from dts_pipeline.core.exclusion import unknown_columns, without_excluded
from dts_pipeline.core.schema import AllBut, Column, Dialect, ForeignKey, Table

EXCLUDED = {"s.t": ("note",)}
ID = Column("id", "int", "int", nullable=False)
N = Column("n", "int", "int")
NOTE = Column("note", "varchar", "varchar(20)", charset="utf8mb4", collation="utf8mb4_bin")


def table(*columns: Column, **settings: object) -> Table:
    return Table("s", "t", columns, ("id",), **settings)  # type: ignore[arg-type]


def events(*rows: tuple[str, bytes | None, bytes | None, bool], name: str = "s.t") -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["op", "before", "after", "marked"], dtype=object)
    return frame.assign(marked=frame["marked"].astype(bool), table=name)


def codes(source: Table, target: Table) -> list[str]:
    found = compare_tables(source, target, Dialect.MARIADB, Dialect.MARIADB)
    assert all(difference.changes_rows for difference in found)
    return [difference.code for difference in found]


def test_all_but_some_leaves_the_key_and_takes_what_comes_later() -> None:
    found = table(ID, N, NOTE).excluding(AllBut(["n"]))
    assert [c.name for c in found.written_columns] == ["id", "n"]
    assert unknown_columns({"s.t": AllBut(["n", "m"])}, {"s.t": found}, {}) == [("s.t", "m")]


def test_the_other_values_stay_byte_for_byte() -> None:
    row = b'{"id":1,"d":1.10,"note":"x","s":"\\u00e4","big":12345678901234567890}'
    found = without_excluded(events(("c", None, row, False)), EXCLUDED)
    assert found["after"].tolist() == [
        b'{"id":1,"d":1.10,"s":"\\u00e4","big":12345678901234567890}'
    ]
    assert found["before"].tolist() == [None]


@pytest.mark.parametrize(
    ("op", "before", "after", "marked", "kept"),
    [
        ("u", b'{"id":1,"note":"x"}', b'{"id":1,"note":"y"}', False, 0),
        ("u", b'{"id":1,"note":"x"}', b'{"id":1,"note":"y"}', True, 1),
        ("u", b'{"id":1,"n":1,"note":"x"}', b'{"id":1,"n":2,"note":"y"}', False, 1),
        ("c", None, b'{"id":1,"note":"x"}', False, 1),
        ("d", b'{"id":1,"note":"x"}', None, False, 1),
        ("u", b'{"id":1}', b'{"id":1}', False, 0),
    ],
)
def test_only_a_users_update_of_nothing_else_is_let_go(
    op: str, before: bytes | None, after: bytes | None, marked: bool, kept: int
) -> None:
    assert len(without_excluded(events((op, before, after, marked)), EXCLUDED)) == kept


def test_other_tables_and_malformed_rows_stay() -> None:
    idle = events(("u", b'{"note":"x"}', b'{"note":"x"}', False), name="s.other")
    assert without_excluded(idle, EXCLUDED) is idle
    both = pd.concat([idle, events(("c", None, b"[1]", False))], ignore_index=True)
    assert without_excluded(both, EXCLUDED)["after"].tolist() == [b'{"note":"x"}', b"[1]"]


def test_a_second_time_changes_nothing() -> None:
    once = without_excluded(events(("c", None, b'{"id":1,"note":"x"}', False)), EXCLUDED)
    pd.testing.assert_frame_equal(without_excluded(once, EXCLUDED), once)


@pytest.mark.parametrize("sides", [(True, True), (True, False), (False, True)])
def test_excluded_columns_may_be_at_one_site_only(sides: tuple[bool, bool]) -> None:
    tables = [table(ID, N, *([NOTE] if there else [])) for there in sides]
    assert codes(*tables) == ([] if all(sides) else ["column_missing"])
    assert codes(*(one.excluding(["note"]) for one in tables)) == []


def test_what_cannot_be_excluded() -> None:
    whole = table(ID, N, NOTE)
    needy = table(ID, N, Column("note", "int", "int", nullable=False, needs_value=True))
    unique = table(ID, N, NOTE, unique_keys=(("by_n", ("n",)),))
    mine = whole.excluding(["note"])
    assert codes(whole.excluding(["id"]), whole.excluding(["id"])) == ["exclude_in_key"]
    assert codes(mine, needy.excluding(["note"])) == ["exclude_needs_default"]
    assert codes(needy.excluding(["note"]), mine) == []
    assert "exclude_with_unique_key" in codes_of_all(mine, unique.excluding(["note"]))
    assert codes_of_all(unique.excluding(["note"]), mine) == []


def codes_of_all(source: Table, target: Table) -> list[str]:
    return [d.code for d in compare_tables(source, target, Dialect.MARIADB, Dialect.MARIADB)]


def test_a_cascade_that_goes_by_an_excluded_column_is_not_told() -> None:
    key = ForeignKey("f", "s.t", ("note",), "s.p", ("id",), "CASCADE", "NO ACTION")
    parent = Table("s", "p", (ID,), ("id",))
    assert untold(key, {"s.t": table(ID, NOTE), "s.p": parent}) is None
    why = untold(key, {"s.t": table(ID, NOTE).excluding(["note"]), "s.p": parent})
    assert why is not None
    assert "excluded" in why


def test_misspelt_names_are_found() -> None:
    tables = {"s.t": table(ID, NOTE)}
    assert unknown_columns(EXCLUDED, tables, {"s.t": table(ID)}) == []
    assert unknown_columns({"s.t": ("Note",), "s.u": ("n",)}, tables, tables) == [
        ("s.t", "Note"),
        ("s.u", "n"),
    ]


def test_a_row_that_still_has_the_column_is_read() -> None:
    source, target = table(ID, NOTE).excluding(["note"]), table(ID)
    found = decode_rows([b'{"id":1,"note":"x"}'], target, ValueModes(), source=source)
    assert dict(found.columns) == {"id": [1]}
