"""Schema changes from one side, and what the links of a pair make of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from dts_pipeline.commands import exits
from dts_pipeline.errors import DtsError
from dts_pipeline_tests.integration.bad_bench import Bench
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.sampling import full_only

Swap = Callable[[Rig, str, str, str], None]
"""Changes a side's table by an ALTER's clauses, as an online schema change does."""
either_side = pytest.mark.parametrize(
    ("here", "there"), ["ab", pytest.param("b", "a", marks=full_only)]
)


def stopped(rig: Rig) -> dict[str, DtsError | None]:
    """A run of both links, and the error that each ended with."""
    found: dict[str, DtsError | None] = {}
    for link in (rig.forth, rig.back):
        found[link] = None
        try:
            rig.run(link)
        except DtsError as error:
            found[link] = error
    return found


def stopped_by(bench: Bench, code: str) -> DtsError:
    """Both links stop by this code, and by no other; gives the first one's error."""
    found = list(stopped(bench.rig).values())
    assert [error and error.code for error in found] == [code, code]
    assert found[0] is not None
    return found[0]


def wait_for_writers() -> None:
    """Time for events of this moment's shape to come into being and into Kafka."""
    time.sleep(0.8)


def ends_equal(bench: Bench) -> None:
    bench.rig.sync()
    bench.rig.sync()
    bench.rig.assert_equal()


def comes_to_rest(bench: Bench) -> None:
    """Both links have read everything, also what came back of their own writes."""
    for _ in range(2):
        for side in "ab":
            bench.rig.await_events(side)
        bench.rig.sync()


def starts_anew(bench: Bench) -> None:
    """What docs/schema-changes.md says of events that cannot be told: pass them over, repair."""
    for side in "ab":
        bench.rig.await_events(side)
    for link in (bench.rig.forth, bench.rig.back):
        done = bench.dts("checkpoint", link, "--to", "latest", "--execute", "--json")
        assert done.exit_code == exits.DONE, done.output
    done = bench.dts(
        "repair", "pair", "--winner", bench.rig.sites[0], "--execute", "--carry", "--json"
    )
    assert done.exit_code == exits.DONE, done.output
    ends_equal(bench)


def swap_by_gh_ost(rig: Rig, side: str, name: str, alter: str) -> None:
    """What gh-ost does to a table, in its order; the rows of the copy are copied once more."""
    copy = f"_{name}_gho"
    rig.sql(side, f"CREATE TABLE {copy} LIKE {name}", f"ALTER TABLE {copy} {alter}")
    for first, last in ((0, 1_000_010), (1_000_011, 3_000_000)):
        chunk = f"SELECT id, n, name, amount, kind FROM {name} WHERE id BETWEEN {first} AND {last}"
        rig.sql(side, f"INSERT IGNORE INTO {copy} (id, n, name, amount, kind) {chunk}")
        wait_for_writers()
    rename = f"RENAME TABLE {name} TO _{name}_del, {copy} TO {name}"
    with rig.user(side) as connection, connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLES {name} READ")  # users wait
        rig.sql(
            side,
            f"REPLACE INTO {copy} (id, n, name, amount, kind) SELECT id, n, name, amount, kind "
            f"FROM {name}",
            f"DELETE FROM {copy} WHERE id NOT IN (SELECT id FROM {name})",
        )
        # It waits in another session for the lock's end, before the users who wait.
        swapping = threading.Thread(target=rig.sql, args=(side, rename))
        swapping.start()
        wait_for_writers()
        cursor.execute("UNLOCK TABLES")
        swapping.join(30)
    rig.sql(side, f"DROP TABLE _{name}_del")


def swap_by_pt_osc(rig: Rig, side: str, name: str, alter: str) -> None:
    """What pt-online-schema-change does: triggers keep the copy up to date until the swap."""
    copy = f"_{name}_new"
    rig.sql(side, f"CREATE TABLE {copy} LIKE {name}", f"ALTER TABLE {copy} {alter}")
    cols, new = "id, n, name, amount, kind", "NEW.id, NEW.n, NEW.name, NEW.amount, NEW.kind"
    write = f"FOR EACH ROW REPLACE INTO {copy} ({cols}) VALUES ({new})"
    rig.sql(
        side,
        f"CREATE TRIGGER pt_del_{name} AFTER DELETE ON {name} FOR EACH ROW "
        f"DELETE IGNORE FROM {copy} WHERE id <=> OLD.id",
        f"CREATE TRIGGER pt_upd_{name} AFTER UPDATE ON {name} {write}",
        f"CREATE TRIGGER pt_ins_{name} AFTER INSERT ON {name} {write}",
    )
    for first, last in ((0, 1_000_010), (1_000_011, 3_000_000)):
        rig.sql(
            side,
            f"INSERT IGNORE INTO {copy} ({cols}) SELECT {cols} FROM {name} "
            f"WHERE id BETWEEN {first} AND {last} LOCK IN SHARE MODE",
        )
        wait_for_writers()
    rig.sql(
        side,
        f"RENAME TABLE {name} TO _{name}_old, {copy} TO {name}",
        f"DROP TABLE _{name}_old",
    )
