"""A full mesh of three sites: each change reaches both others from where it was made, once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dts_pipeline.commands import exits
from dts_pipeline.core.conflicts import Kind
from dts_pipeline.core.links import Policy
from dts_pipeline.stages.carry import carry
from dts_pipeline.stages.reconcile import Patience, tables_at_sites
from dts_pipeline.stages.reconcile_round import Held
from dts_pipeline.stages.reconcile_work import RoundKeys, TableKeys
from dts_pipeline_tests.change.test_three_sites import SEED, TABLES
from dts_pipeline_tests.change.three_sites import Mesh, all_write
from dts_pipeline_tests.integration.bad_bench import Bench
from dts_pipeline_tests.integration.test_settle import hidden
from dts_pipeline_tests.sampling import IS_SAMPLE, full_only
from dts_pipeline_tests.stacks import Stack, running_stack

pytestmark = [pytest.mark.servers, pytest.mark.change, pytest.mark.timeout(1800)]
SECONDS = 10 if IS_SAMPLE else 300


@pytest.fixture(
    scope="module",
    params=[
        ("mariadb", "mariadb", "origin"),
        pytest.param(("mysql", "mysql", "origin"), marks=pytest.mark.mysql),
        pytest.param(("mixed", "mariadb", "comment"), marks=pytest.mark.mysql),
    ],
    ids=["mariadb", "mysql", "mixed by comment"],
)
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    flavour, third, mark = request.param
    with running_stack(flavour, mark, "--third-site", third) as stack:
        yield stack


@pytest.fixture
def rig(stack: Stack, tmp_path: Path) -> Iterator[Mesh]:
    made = Mesh(stack, "mesh", tmp_path)
    made.conflicts = {
        "policy": {"site": "A"},
        "tables": {f"{made.name}.counted": {"delta": ["n"]}},
    }
    made.create(*TABLES)
    yield made
    Bench(made).remove_connectors()


def test_users_at_all_three_sites(rig: Mesh, summary: list[str]) -> None:
    Bench(rig).foreseen()
    found = all_write(rig, SECONDS, SEED, settles=not IS_SAMPLE)
    summary.append(f"a mesh {found}")


@full_only
def test_a_dispute_of_three_is_settled_for_all_three(rig: Mesh) -> None:
    rig.sql("a", "INSERT INTO fought VALUES (1, 'v'), (2, 'v'), (3, 'v')")
    rig.sync()
    for side in rig.SIDES:
        rig.sql(side, f"UPDATE fought SET v = '{side}' WHERE id = 1")
    rig.sql("b", "UPDATE fought SET v = 'b' WHERE id = 2")
    rig.sql("c", "DELETE FROM fought WHERE id = 2", "UPDATE fought SET v = 'c' WHERE id = 3")
    rig.sync()
    assert any(rig.records(link) for link in rig.links)

    rig.come_to_rest()

    rig.assert_equal()
    assert rig.rows("c", "SELECT v FROM fought WHERE id IN (1, 3) ORDER BY id") == [("a",), ("c",)]


@full_only
def test_what_a_load_writes_reaches_each_site_by_its_own_pair(rig: Mesh) -> None:
    rows = ", ".join(f"({key}, 'v{key}')" for key in range(500))
    hidden(rig, "a", f"INSERT INTO fought VALUES {rows}")
    rig.sync()
    table = f"{rig.name}.fought"

    for pair in ("ab", "ac"):
        done = Bench(rig).dts("load", pair, "--table", table, "--execute", "--carry")
        assert done.exit_code == exits.DONE, done.output

    rig.sync()
    rig.assert_equal()
    for side in "bc":
        assert list(rig.events(side, "fought").values()) == [1] * 500
    assert not any(rig.records(link) for link in rig.links)


def test_a_repair_of_one_pair_makes_all_three_equal(rig: Mesh) -> None:
    rig.sql("a", "INSERT INTO fought VALUES (1, 'v'), (2, 'v'), (3, 'v')")
    rig.sync()
    hidden(rig, "b", "UPDATE fought SET v = 'wrong' WHERE id = 1")
    hidden(rig, "c", "DELETE FROM fought WHERE id = 2")
    hidden(rig, "a", "UPDATE fought SET v = 'other' WHERE id = 3")
    bench = Bench(rig)
    assert bench.dts("verify", "bc", "--carry").exit_code == exits.FOUND

    done = bench.dts("repair", "bc", "--winner", rig.site("b"), "--execute", "--carry")

    assert done.exit_code == exits.DONE, done.output
    rig.sync()
    assert rig.rows("c", "SELECT id, v FROM fought ORDER BY id") == [
        (1, "wrong"), (2, "v"), (3, "v")
    ]  # fmt: skip
    assert rig.rows("a", "SELECT v FROM fought WHERE id = 1") == [("wrong",)]
    # b and c agreed about the third row: nothing of it was b and c's to repair.
    assert bench.dts("verify", "ab", "--carry").exit_code == exits.FOUND
    done = bench.dts("repair", "ab", "--winner", rig.site("b"), "--execute", "--carry")
    assert done.exit_code == exits.DONE, done.output
    rig.come_to_rest()
    rig.assert_equal()


def test_a_write_of_the_third_site_s_user_is_never_undone(rig: Mesh) -> None:
    """A round of a and b, while a user of c deletes a row that the round is about to write."""
    rig.sql("a", "INSERT INTO fought VALUES (1, 'old'), (2, 'old')")
    rig.sync()
    hidden(rig, "b", "UPDATE fought SET v = 'wrong' WHERE id = 2")
    name = f"{rig.name}.fought"
    pair = rig.pair("ab")
    how = RoundKeys(Kind.REPAIR, Policy("site", rig.site("a")))
    with ExitStack() as stack:
        stack.callback(pair.close)
        held = Held(pair.star(rig.site("a")), how, Patience(), stack)
        works = held.begin([TableKeys(name, [(1,), (2,)])], tables_at_sites(pair, [name]))
        held.read(works)
        rig.sql("c", "DELETE FROM fought WHERE id = 1")
        held.catch_up(works, carry)
        result = held.decide(works)

    assert [table.keys for table in result.left] == [[(1,), (2,)]]
    assert result.counts[name]["written"] == 1  # the other key's
    rig.come_to_rest()
    for side in rig.SIDES:
        assert rig.rows(side, "SELECT id, v FROM fought") == [(2, "old")]


@full_only
def test_a_pair_of_a_mesh_waits_for_the_third_site(rig: Mesh) -> None:
    """What is under way from c would make a and b differ in a moment: it is no difference."""
    rig.sql("a", "INSERT INTO fought VALUES (1, 'v')")
    rig.sync()
    rig.sql("c", "UPDATE fought SET v = 'c' WHERE id = 1")
    rig.await_events("c")
    rig.run(f"{rig.site('c')}_to_{rig.site('a')}")
    assert rig.rows("a", "SELECT v FROM fought") != rig.rows("b", "SELECT v FROM fought")

    done = Bench(rig).dts("verify", "ab", "--carry")

    assert done.exit_code == exits.DONE, done.output
    assert Bench(rig).dts("pause", f"{rig.site('c')}_to_{rig.site('b')}").exit_code == exits.DONE
    rig.sql("c", "UPDATE fought SET v = 'd' WHERE id = 1")
    rig.await_events("c")
    rig.run(f"{rig.site('c')}_to_{rig.site('a')}")
    refused = Bench(rig).dts("verify", "ab", "--carry")
    assert refused.exit_code == exits.FAILED
    assert "link_paused" in refused.stderr
