"""`ddl: additive` of a one-way link with lanes: carried to the target, which is never followed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dts_pipeline.errors import DtsError
from dts_pipeline_tests.integration.bad_bench import Bench
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.sampling import full_only
from dts_pipeline_tests.stacks import Stack

pytestmark = [pytest.mark.servers, pytest.mark.change, full_only]
ITEM = "CREATE TABLE {0} (id BIGINT PRIMARY KEY, n INT NOT NULL, name VARCHAR(20))"
FEED = "feed"


@pytest.fixture(scope="module")
def rig(stack_mariadb: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(stack_mariadb, "way", tmp_path_factory.mktemp("way"))
    link = {
        "source": rig.sites[0],
        "target": rig.sites[1],
        "tables": [f"{rig.name}.*"],
        "ddl": "additive",
        "lanes": {"first": [f"{rig.name}.first*"], "rest": ["*"]},
        "conflicts": {"policy": {"site": rig.sites[0]}},
        "mark_domain_id": 4712,
    }
    rig.changes = {"pairs": None, "links": {FEED: link}}
    rig.create(ITEM.format("first"), ITEM.format("second"))
    yield rig
    Bench(rig).remove_connectors()


def arrives(rig: Rig, query: str, rows: list[tuple[object, ...]]) -> None:
    """The query gives these rows at the target, after some runs."""

    def there() -> bool:
        rig.run(FEED)
        return list(rig.rows("b", query)) == rows

    wait_for(there, 60)


def test_each_lane_carries_the_changes_of_its_tables(rig: Rig) -> None:
    rig.run(FEED)
    for name in ("first", "second"):
        rig.sql("a", f"INSERT INTO {name} VALUES (1, 1, 'x')")
        rig.sql("a", f"ALTER TABLE {name} ADD COLUMN extra INT NOT NULL DEFAULT 7")
        rig.sql("a", f"CREATE UNIQUE INDEX once ON {name} (name)")
        rig.sql("a", f"INSERT INTO {name} VALUES (2, 2, 'y', 8)")
        arrives(rig, f"SELECT id, extra FROM {name} ORDER BY id", [(1, 7), (2, 8)])
        assert [r for r in rig.rows("b", f"SHOW INDEX FROM {name}") if r[2] == "once"] == []


def test_a_table_of_either_lane_is_made_before_its_first_row(rig: Rig) -> None:
    for name in ("first_new", "second_new"):
        rig.sql("a", ITEM.format(name), f"INSERT INTO {name} VALUES (1, 1, 'x')")
        rig.await_events("a")
        arrives(rig, f"SELECT id, n, name FROM {name}", [(1, 1, "x")])


def test_what_the_target_has_more_is_not_carried_back(rig: Rig) -> None:
    rig.run(FEED)
    rig.sql("b", "ALTER TABLE second ADD COLUMN own INT")
    with pytest.raises(DtsError) as refused:
        rig.run(f"{FEED}/rest")
    assert refused.value.code == "column_missing"
    assert [row[0] for row in rig.rows("a", "SHOW COLUMNS FROM second LIKE 'own'")] == []
    rig.sql("b", "ALTER TABLE second DROP COLUMN own")
    rig.run(FEED)
