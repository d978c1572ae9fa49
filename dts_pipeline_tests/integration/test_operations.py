"""Every kind of write goes to the other side once, on real servers, with both marks."""

from __future__ import annotations

from pathlib import Path

import pytest

from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

TABLES = """
CREATE TABLE {0} (id INT PRIMARY KEY, name VARCHAR(100) NOT NULL, n INT, at DATETIME(6))
CHARACTER SET utf8mb4
"""
UNIQUE = """
CREATE TABLE {0} (id INT PRIMARY KEY, address VARCHAR(100) NOT NULL, n INT,
UNIQUE KEY one_address (address)) CHARACTER SET utf8mb4
"""
WORDS = """
CREATE TABLE word (w VARCHAR(20) PRIMARY KEY, n INT) CHARACTER SET utf8mb4
COLLATE utf8mb4_general_ci
"""


@pytest.fixture(scope="module")
def rig(each_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """One pair for the module and stack; each test has tables of its own."""
    path: Path = tmp_path_factory.mktemp("operations")
    plain = [TABLES.format(name) for name in ("item", "left_item", "texts", "quiet")]
    unique = [UNIQUE.format(name) for name in ("mail", "right_mail", "handed")]
    return Rig(each_stack, "ops", path).create(*plain, *unique, WORDS)


def test_every_kind_of_statement_arrives(rig: Rig) -> None:
    rig.sql("a", "INSERT INTO item VALUES (1,'one',1,NOW(6)),(2,'two',2,NOW(6)),(3,'three',3,NULL)")
    rig.sql("b", "INSERT INTO item VALUES (11,'eleven',1,NOW(6)),(12,'twelve',2,NULL)")
    rig.sync()
    rig.assert_equal()
    rig.sql(
        "a",
        "UPDATE item SET n = n + 10 WHERE id = 1",
        "DELETE FROM item WHERE id = 2",
        "REPLACE INTO item VALUES (4,'a new row',4,NULL)",
        "REPLACE INTO item VALUES (3,'an existing row',5,NULL)",
        "UPDATE item SET id = 20 WHERE id = 11",
        "INSERT INTO mail VALUES (1,'x@example',1),(2,'y@example',2)",
    )
    rig.sql("b", "UPDATE item SET id = 21, name = 'moved' WHERE id = 12")
    rig.sync()
    rig.assert_equal()
    assert sorted(r[0] for r in rig.rows("b", "SELECT id FROM item")) == [1, 3, 4, 20, 21]
    assert rig.records(rig.forth, "item") == []
    assert rig.records(rig.back, "item") == []


def test_a_statement_over_several_tables_and_a_transaction_over_several(rig: Rig) -> None:
    rig.sql("a", "INSERT INTO left_item VALUES (1,'one',1,NULL),(2,'two',2,NULL)")
    rig.sql("a", "INSERT INTO right_mail VALUES (1,'x',1),(2,'y',2)")
    rig.sync()
    rig.sql(
        "b",
        "UPDATE left_item l JOIN right_mail r USING (id) SET l.n = 7, r.n = 8 WHERE id = 1",
        "DELETE l, r FROM left_item l JOIN right_mail r USING (id) WHERE l.id = 2",
        "BEGIN",
        "INSERT INTO left_item VALUES (5,'five',5,NULL)",
        "INSERT INTO right_mail VALUES (5,'five',5)",
        "COMMIT",
        "BEGIN",
        "INSERT INTO left_item VALUES (6,'never',6,NULL)",
        "ROLLBACK",
    )
    rig.sync()
    rig.assert_equal()
    assert rig.rows("a", "SELECT id, n FROM left_item ORDER BY id") == [(1, 7), (5, 5)]
    assert rig.rows("a", "SELECT id, n FROM right_mail ORDER BY id") == [(1, 8), (5, 5)]


def test_a_text_that_contains_the_mark_is_a_users_write(rig: Rig) -> None:
    rig.sql("a", "INSERT INTO texts VALUES (1,'/* dts */',1,NULL)")
    rig.sql("b", "INSERT INTO texts VALUES (2,'x /* dts link=a_to_b batch=1 */ y',1,NULL)")
    rig.sync()
    rig.assert_equal()
    assert len(rig.rows("a", "SELECT id FROM texts")) == 2


def test_unique_values_change_hands_within_a_batch(rig: Rig) -> None:
    rig.sql("a", "INSERT INTO handed VALUES (1,'x',1),(2,'y',2),(3,'z',3)")
    rig.sync()
    rig.sql(
        "a",
        "UPDATE handed SET address = 'free' WHERE id = 1",
        "UPDATE handed SET address = 'x' WHERE id = 2",
        "UPDATE handed SET address = 'y' WHERE id = 1",
        "DELETE FROM handed WHERE id = 3",
        "INSERT INTO handed VALUES (4,'z',4)",
    )
    rig.sync()
    rig.assert_equal()
    assert rig.records(rig.forth, "handed") == []


def test_keys_that_the_collation_finds_equal_are_one_row(rig: Rig) -> None:
    rig.sql("a", "INSERT INTO word VALUES ('a',1),('b',2),('c ',3)")
    rig.sync()
    rig.sql(
        "a",
        "UPDATE word SET w = 'A', n = 10 WHERE w = 'a'",
        "DELETE FROM word WHERE w = 'b'",
        "INSERT INTO word VALUES ('B',20)",
        "UPDATE word SET w = 'c' WHERE w = 'c'",
    )
    rig.sync()
    rig.assert_equal()
    assert rig.rows("b", "SELECT w, n FROM word ORDER BY w") == [("A", 10), ("B", 20), ("c", 3)]


def test_a_table_made_later_on_both_sides_is_carried(rig: Rig) -> None:
    rig.both(TABLES.format("later"))
    rig.sql("a", "INSERT INTO later VALUES (1,'x',1,NULL)")
    rig.sql("b", "INSERT INTO later VALUES (2,'y',2,NULL)")
    rig.sync()
    rig.assert_equal()
    assert len(rig.rows("a", "SELECT id FROM later")) == 2


def test_nothing_goes_back_and_the_links_come_to_rest(rig: Rig) -> None:
    for side, base in (("a", 1), ("b", 1001)):
        rows = ",".join(f"({number},'{side}',{number},NULL)" for number in range(base, base + 500))
        rig.sql(side, f"INSERT INTO quiet VALUES {rows}")
    rig.sync()
    rig.sync()
    keys = {side: rig.marked_keys(side, "quiet") for side in "ab"}
    for side, other in ("ab", "ba"):
        assert len(keys[side][True]) == 500
        assert keys[side][True] == keys[other][False]
        assert not keys[side][True] & keys[side][False]
    rig.drain()
    before = {link: rig.checkpoint(link).batch for link in (rig.forth, rig.back)}
    for _ in range(3):
        assert rig.run(rig.forth).batches == 0
        assert rig.run(rig.back).batches == 0
    assert {link: rig.checkpoint(link).batch for link in before} == before
