"""The SQL of unlogged cascades: what is marked, what is left alone, how a reference is compared."""

from __future__ import annotations

from dts_pipeline.core.cascade_children import ChildStatements
from dts_pipeline.core.cascade_statements import CascadeStatements, rows_that_refer
from dts_pipeline.core.schema import Column, Dialect, ForeignKey, Table
from dts_pipeline.core.statements import TableStatements

MARK = "/* dts link=a_to_b batch=17 */"
PARENT = Table(
    "shop",
    "orders",
    (
        Column("id", "int", "int(11)", False),
        Column("code", "varchar", "varchar(40)", False, "utf8mb4", "utf8mb4_bin"),
    ),
    ("id",),
    (("code", ("code",)),),
)
CHILD = Table(
    "shop",
    "item",
    (
        Column("n", "int", "int(11)", False),
        Column("of`code", "varchar", "varchar(20)", True, "utf8mb4", "utf8mb4_general_ci"),
        Column("at", "timestamp", "timestamp(6)", False),
    ),
    ("n",),
)
EDGE = ForeignKey("fk", "shop.item", ("of`code",), "shop.orders", ("code",), "CASCADE", "CASCADE")


def statements(staged: bool = False) -> CascadeStatements:
    stage = TableStatements(CHILD, Dialect.MARIADB, 3, MARK) if staged else None
    child = ChildStatements(CHILD, 0, stage, ("of`code",))
    return CascadeStatements(EDGE, PARENT, child, 0, MARK)


def test_what_is_written_is_marked_right_after_its_verb() -> None:
    assert statements().delete().startswith(f"DELETE {MARK} t FROM ")
    assert statements().update().startswith(f"UPDATE {MARK} ")


def test_only_the_reference_changes() -> None:
    """Times are set to themselves: their ON UPDATE would touch them."""
    assert " SET t.`of``code` = h.n0, t.`at` = t.`at` WHERE NOT h.gone" in statements().update()


def test_a_reference_is_as_wide_as_the_parents_and_compared_as_the_childs() -> None:
    refs = next(s for s in statements().create() if "cascade_refs_0` (" in s)
    kind = "varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NULL"
    assert f"o0 {kind}" in refs
    assert f"n0 {kind}" in refs


def test_rows_are_locked_when_they_are_found() -> None:
    _, find, _ = statements().find()
    assert find.endswith("WHERE r.wave = %s FOR UPDATE")
    assert "t.`of``code` = r.o0" in find


def test_no_statement_reads_a_temporary_table_twice() -> None:
    """MySQL cannot."""
    one = statements(staged=True)
    child = one.child
    texts = [
        *one.identities(), *one.find(), *one.fold(), one.counts(), one.found(), one.delete(),
        one.update(), one.held_freed(), one.held_follows(), child.turned(), child.note_staged(),
    ]  # fmt: skip
    for text in texts:
        assert text is not None
        for name in (one.refs, one.hits, one.names, child.window, child.held, child.stage.stage):
            assert text.count(name) <= 1, text


def test_the_children_of_a_row_are_found_by_what_they_refer_to() -> None:
    by_code = rows_that_refer(EDGE, PARENT, CHILD, "keys")
    assert "`shop`.`orders` AS p ON p.`id` = k.k0" in by_code
    assert "t.`of``code` = p.`code`" in by_code
    by_key = ForeignKey("fk", "shop.item", ("n",), "shop.orders", ("id",), "CASCADE", "CASCADE")
    found = rows_that_refer(by_key, PARENT, CHILD, "keys")
    assert "`shop`.`orders`" not in found
    assert "t.`n` = k.k0" in found
