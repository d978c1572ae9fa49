"""`ddl: ignore` of a one-way link: what the target lacks is left out, all else still stops."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dts_pipeline.commands import exits
from dts_pipeline.errors import DtsError
from dts_pipeline_tests.integration.bad_bench import Bench
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.sampling import full_only
from dts_pipeline_tests.stacks import Stack

pytestmark = [pytest.mark.servers, pytest.mark.change, full_only]
ITEM = "CREATE TABLE {0} (id BIGINT PRIMARY KEY, n INT NOT NULL, name VARCHAR(20))"
FEED = "feed"


@pytest.fixture(
    scope="module", params=["stack_mariadb", pytest.param("stack_mixed", marks=pytest.mark.mysql)]
)
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    stack: Stack = request.getfixturevalue(request.param)
    rig = Rig(stack, "ign", tmp_path_factory.mktemp("ign"))
    link = {
        "source": rig.sites[0],
        "target": rig.sites[1],
        "tables": [f"{rig.name}.*"],
        "ddl": "ignore",
        "conflicts": {"policy": {"site": rig.sites[0]}},
        "mark_domain_id": 4712,
    }
    rig.changes = {"pairs": None, "links": {FEED: link}}
    made = Bench(rig.create(ITEM.format("warm")))
    yield made
    made.remove_connectors()


def arrives(rig: Rig, query: str, rows: list[tuple[object, ...]]) -> None:
    """The query gives these rows at the target, after some runs."""

    def there() -> bool:
        rig.run(FEED)
        return list(rig.rows("b", query)) == rows

    wait_for(there, 60)


def repair(bench: Bench, name: str) -> None:
    table = f"{bench.rig.name}.{name}"
    done = bench.dts("repair", FEED, "--table", table, "--execute", "--carry")
    assert done.exit_code == exits.DONE, done.output


def filled(bench: Bench, name: str) -> str:
    """A table at both sites with two rows that have been carried."""
    bench.rig.both(ITEM.format(name))
    bench.rig.sql("a", f"INSERT INTO {name} VALUES (1, 1, 'x'), (2, 2, 'y')")
    arrives(bench.rig, f"SELECT COUNT(*) FROM {name}", [(2,)])
    return name


def test_a_column_that_the_target_lacks_is_left_out(bench: Bench) -> None:
    rig, name = bench.rig, filled(bench, "wider")
    rig.sql("a", f"UPDATE {name} SET n = 3 WHERE id = 1")
    rig.sql("a", f"ALTER TABLE {name} ADD COLUMN extra INT NOT NULL DEFAULT 7 AFTER id")
    rig.sql("a", f"UPDATE {name} SET extra = 8 WHERE id = 1", f"DELETE FROM {name} WHERE id = 2")
    rig.sql("a", f"INSERT INTO {name} (id, n, extra) VALUES (3, 30, 31)")
    arrives(rig, f"SELECT id, n, name FROM {name} ORDER BY id", [(1, 3, "x"), (3, 30, None)])
    assert rig.records(FEED, name) == []
    done = bench.dts("verify", FEED, "--table", f"{rig.name}.{name}", "--carry", "--json")
    assert done.exit_code == exits.DONE, done.output


def test_once_the_target_has_it_too_it_is_carried(bench: Bench) -> None:
    rig, name = bench.rig, filled(bench, "later")
    rig.sql("a", f"ALTER TABLE {name} ADD COLUMN extra INT")
    rig.sql("a", f"UPDATE {name} SET extra = 8, n = 8 WHERE id = 1")
    arrives(rig, f"SELECT n FROM {name} WHERE id = 1", [(8,)])
    rig.sql("b", f"ALTER TABLE {name} ADD COLUMN extra INT")
    rig.sql("a", f"UPDATE {name} SET extra = 9 WHERE id = 2")
    arrives(rig, f"SELECT id, extra FROM {name} ORDER BY id", [(1, None), (2, 9)])
    repair(bench, name)
    assert rig.rows("b", f"SELECT id, extra FROM {name} ORDER BY id") == [(1, 8), (2, 9)]


def test_a_repair_leaves_it_out_too(bench: Bench) -> None:
    rig, name = bench.rig, filled(bench, "repaired")
    rig.sql("a", f"ALTER TABLE {name} ADD COLUMN extra INT", f"UPDATE {name} SET extra = 8")
    rig.sql("b", f"UPDATE {name} SET n = 100 WHERE id = 1", f"DELETE FROM {name} WHERE id = 2")
    repair(bench, name)
    assert rig.rows("b", f"SELECT * FROM {name} ORDER BY id") == [(1, 1, "x"), (2, 2, "y")]


@pytest.mark.parametrize(
    ("side", "alter", "back"),
    [
        ("b", "ADD COLUMN own INT", "DROP COLUMN own"),
        ("a", "RENAME COLUMN name TO label", "RENAME COLUMN label TO name"),
    ],
    ids=["more at the target", "renamed"],
)
def test_a_column_that_the_source_lacks_still_stops(
    bench: Bench, side: str, alter: str, back: str
) -> None:
    rig, name = bench.rig, filled(bench, f"stops_{side}")
    rig.sql(side, f"ALTER TABLE {name} {alter}")
    with pytest.raises(DtsError) as refused:
        rig.run(FEED)
    assert refused.value.code == "column_missing"
    rig.sql(side, f"ALTER TABLE {name} {back}")
    rig.sql("a", f"UPDATE {name} SET n = 5 WHERE id = 1")
    arrives(rig, f"SELECT n FROM {name} WHERE id = 1", [(5,)])
