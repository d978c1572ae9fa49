"""dts load on real servers: a site gets the rows that it lacks, while users write at both."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from dts_pipeline.commands import exits
from dts_pipeline.core.load import LoadState, TableLoad
from dts_pipeline.core.verification import State
from dts_pipeline.errors import TerminalError
from dts_pipeline.stages.carry import carry
from dts_pipeline.stages.load import Sizes, plan_load, run_load, states_of
from dts_pipeline.stages.pair import PairRuntime
from dts_pipeline.stages.settle import settle
from dts_pipeline.stages.verify import Comparison, verify
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.integration.test_matrix import DIGITS
from dts_pipeline_tests.integration.test_verify import (
    TABLE,
    compared,
    comparison,
    keys_of,
    ran,
    syncing,
    unlogged,
    writing,
)
from dts_pipeline_tests.sampling import full_only
from dts_pipeline_tests.stacks import Stack
from dts_pipeline_tests.test_cli import Dts

pytestmark = [pytest.mark.servers, pytest.mark.change]
MILLION = 1_000_000
NAMES = (
    "CREATE TABLE named (region VARCHAR(10), name VARCHAR(30), v INT, kind ENUM('x','y'), "
    "flags BIT(5), raw VARBINARY(20), PRIMARY KEY (region, name)) COLLATE utf8mb4_general_ci"
)
WORDS = (
    "CREATE TABLE words (word VARCHAR(30) PRIMARY KEY, v INT, price DECIMAL(12,4), "
    "code INT UNIQUE) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"
)


def numbers(below: int) -> str:
    """A SELECT of 0, 1, 2 … as `i`, on servers of any kind."""
    digits = len(str(below - 1))
    powers = " + ".join(f"{chr(97 + p)}.d * {10**p}" for p in range(digits))
    tables = ", ".join(f"({DIGITS}) AS {chr(97 + p)}" for p in range(digits))
    return f"(SELECT {powers} AS i FROM {tables}) AS numbers WHERE i < {below}"


def fill(rig: Rig, side: str, rows: int, table: str = "item") -> None:
    """Rows that no connector sees: what a site had before the pair was set up."""
    unlogged(
        rig,
        side,
        f"INSERT INTO {table} SELECT i, CONCAT('name ', i), i / 7, '2026-11-23 10:00:00.123', "
        f"i / 3e0, REPEAT('x', i % 50), 0 FROM {numbers(rows)}",
        f"ANALYZE TABLE {table}",
    )


def fill_names(rig: Rig, side: str) -> None:
    unlogged(
        rig,
        side,
        "INSERT INTO named SELECT CONCAT('r', i % 7), CONCAT('Näme ', i), i, 'y', i % 32, "
        f"UNHEX('00FF5C09') FROM {numbers(900)}",
        f"INSERT INTO words SELECT CONCAT('a\\\\b ', i), i, i / 7, i FROM {numbers(900)}",
    )


@contextmanager
def made(stack: Stack, label: str, path: Path, *ddl: str, **settings: Any) -> Iterator[Rig]:
    """A rig whose connectors end with the block."""
    rig = Rig(stack, label, path, **settings)
    try:
        yield rig.create(*ddl)
    finally:
        for site in rig.sites:
            httpx.delete(f"{stack.connect}/connectors/dts-{site}", timeout=30)


@pytest.fixture(
    params=[
        "stack_mariadb",
        pytest.param("stack_mysql", marks=pytest.mark.mysql),
        pytest.param("stack_mixed", marks=pytest.mark.mysql),
    ]
)
def stack(request: pytest.FixtureRequest) -> Stack:
    found: Stack = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def rig(stack: Stack, tmp_path: Path) -> Iterator[Rig]:
    with made(stack, "load", tmp_path, TABLE, NAMES, WORDS) as rig:
        yield rig


@pytest.fixture
def maria(stack_mariadb: Stack, tmp_path: Path) -> Iterator[Rig]:
    with made(stack_mariadb, "load", tmp_path, TABLE) as rig:
        yield rig


def loaded(
    rig: Rig, tables: Sequence[str] = (), keys: int = 5_000, **how: Any
) -> dict[str, TableLoad]:
    """A load by stages, to its end; the links run in this process."""
    names = [f"{rig.name}.{table}" for table in tables]
    with comparison(rig) as pair:
        plan = plan_load(pair, names, how.pop("source", None))
        ended = run_load(plan, carry=carry, sizes=Sizes(keys=keys), **how)
    return {load.table.partition(".")[2]: load for load in ended}


def settled(rig: Rig) -> None:
    """All that is under way applied, and all records closed."""
    rig.sync()
    with comparison(rig) as pair:
        forth, back = pair.links
        settle(PairRuntime(forth, back), carry=carry)
    rig.sync()


def test_an_empty_site_while_both_take_writes(rig: Rig) -> None:
    """Updates and deletes of rows loaded already and of rows yet to be loaded included."""
    rows = 30_000
    fill(rig, "a", rows)
    fill_names(rig, "a")
    rig.sync()
    hit: list[int] = []

    def meanwhile(load: TableLoad) -> None:
        if load.rows and not hit and load.table.endswith(".item"):
            hit.append(load.rows)
            rig.sql("a", "UPDATE item SET note = 'new' WHERE id = 29001")
            rig.sql("a", "DELETE FROM item WHERE id IN (29002, 21)")
            rig.sql("b", "UPDATE item SET note = 'new' WHERE id = 23")
            rig.sql("b", "DELETE FROM item WHERE id = 25")
            rig.sql("b", "INSERT INTO item (id, note) VALUES (70001, 'new')")

    def users() -> Any:
        return writing(rig, 20_000)

    with users() as writes, syncing(rig), comparison(rig) as pair:
        # Ids that no writer takes: 21 to 25 are odd and b's own writers' too, so move them away.
        ended = run_load(plan_load(pair), sizes=Sizes(keys=5_000), progress=meanwhile)
        count = writes()
    settled(rig)

    loads = {load.table.partition(".")[2]: load for load in ended}
    assert {load.state for load in ended} == {LoadState.DONE}, ended
    assert 0 < hit[0] < rows
    assert loads["item"].counts["written"] > rows * 0.8
    assert loads["named"].counts["written"] == loads["words"].counts["written"] == 900
    assert count > 50
    assert compared(rig).different == 0
    rig.assert_equal()
    for side in "ab":
        assert rig.rows(side, "SELECT id, note FROM item WHERE id IN (29001, 29002, 70001)") == [
            (29001, "new"),
            (70001, "new"),
        ]
    assert rig.records(rig.forth) == rig.records(rig.back) == []


def test_both_sites_have_rows(rig: Rig) -> None:
    """Each gets what it lacks; the policy decides what both have."""
    for side in "ab":
        fill(rig, side, 8_000)
    unlogged(rig, "a", "DELETE FROM item WHERE id < 300")
    unlogged(rig, "b", "DELETE FROM item WHERE id >= 7500")
    unlogged(rig, "b", "UPDATE item SET note = 'of b' WHERE id IN (1000, 1001)")
    rig.sync()

    ended = loaded(rig, ["item"])["item"]

    assert ended.state is LoadState.DONE, ended
    assert ended.counts["written"] == 800
    assert ended.counts["changed"] == 2
    settled(rig)
    rig.assert_equal()
    assert rig.rows("b", "SELECT COUNT(*), SUM(note = 'of b') FROM item") == [(8_000, 0)]


@full_only
def test_rows_of_the_other_site_stay_where_one_is_named(maria: Rig) -> None:
    rig = maria
    for side in "ab":
        fill(rig, side, 100)
    unlogged(rig, "a", "DELETE FROM item WHERE id < 10")
    unlogged(rig, "b", "DELETE FROM item WHERE id >= 95")
    rig.sync()

    ended = loaded(rig, ["item"], source=rig.sites[0])["item"]

    assert (ended.state, ended.counts["written"]) == (LoadState.DONE, 5)
    assert ended.counts["extra"] == 10
    assert [rig.rows(s, "SELECT COUNT(*) FROM item") for s in "ab"] == [[(90,)], [(100,)]]


def test_a_table_that_is_added_to_a_running_pair(rig: Rig) -> None:
    fill(rig, "a", 2_000)
    rig.sync()
    assert loaded(rig, ["item"])["item"].state is LoadState.DONE
    rig.both(TABLE.replace("item", "late"))
    fill(rig, "a", 3_000, "late")
    with writing(rig, 2_000), syncing(rig), comparison(rig) as pair:
        [ended] = run_load(plan_load(pair, [f"{rig.name}.late"]))
    settled(rig)

    assert (ended.state, ended.counts["written"]) == (LoadState.DONE, 3_000)
    rig.assert_equal()
    assert rig.rows("b", "SELECT COUNT(*) FROM late") == [(3_000,)]


@full_only
def test_a_disputed_row_is_left_to_the_policy(maria: Rig) -> None:
    """Deleted at the winner's site and updated at the other: the row does not come back."""
    rig = maria
    fill(rig, "a", 1_000)
    fill(rig, "b", 500)
    rig.sync()
    rig.sql("a", "DELETE FROM item WHERE id = 7")
    rig.sql("b", "UPDATE item SET n = 1 WHERE id = 7")
    ended = loaded(rig, ["item"])["item"]
    settled(rig)

    assert (ended.state, ended.counts["written"]) == (LoadState.DONE, 500)
    rig.assert_equal()
    assert rig.rows("a", "SELECT COUNT(*) FROM item WHERE id = 7") == [(0,)]


@full_only
def test_the_policy_fail_is_no_obstacle_where_a_row_is_missing(
    stack_mariadb: Stack, tmp_path: Path
) -> None:
    with made(stack_mariadb, "ldf", tmp_path, TABLE, conflicts={"policy": "fail"}) as rig:
        fill(rig, "a", 300)
        fill(rig, "b", 200)
        unlogged(rig, "b", "UPDATE item SET n = 1 WHERE id = 5")
        rig.sync()
        ended = loaded(rig, ["item"])["item"]

        assert ended.state is LoadState.LEFT
        assert (ended.counts["written"], ended.left) == (100, 1)
        assert keys_of(compared(rig), "item") == {(5, State.CHANGED)}


@full_only
def test_a_unique_value_in_the_way_stops_its_row_only(maria: Rig) -> None:
    rig = maria
    rig.both(WORDS)
    unlogged(rig, "a", f"INSERT INTO words SELECT CONCAT('w', i), i, 1, i FROM {numbers(40)}")
    unlogged(rig, "b", "INSERT INTO words VALUES ('taken', 0, 1, 7)")
    rig.sync()

    ended = loaded(rig, ["words"], source=rig.sites[0])["words"]

    assert ended.state is LoadState.LEFT
    assert (ended.counts["written"], ended.left) == (39, 1)
    assert rig.rows("b", "SELECT COUNT(*) FROM words") == [(40,)]


def test_a_one_way_link(rig: Rig) -> None:
    fill(rig, "a", 12_000)
    rig.sync()
    rig.sql("b", "INSERT INTO item (id) VALUES (99999), (11)")
    whole = rig.runtime(rig.forth)
    link = replace(whole, link=replace(whole.link, name=f"{rig.name}_one", pair=None, detect=False))
    single = Comparison(f"{rig.name}_one", (link,))
    carry(link)
    rig.sql("a", "DELETE FROM item WHERE id = 50")

    [ended] = run_load(plan_load(single, [f"{rig.name}.item"]), carry=carry)

    found = verify(single, [f"{rig.name}.item"], carry=carry)
    link.close()
    assert (ended.state, ended.counts["extra"]) == (LoadState.DONE, 1), ended
    assert (ended.counts["written"], ended.counts["changed"]) == (11_998, 1)
    assert keys_of(found, "item") == {(99999, State.ONLY_SECOND)}


def program(rig: Rig, *words: str) -> subprocess.Popen[bytes]:
    """A real process of `dts`."""
    dts = str(Path(sys.executable).parent / "dts")
    environment = {**os.environ, **rig.stack.env, "DTS_CONFIG": str(rig.path)}
    return subprocess.Popen(
        [dts, *words], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def finished(process: subprocess.Popen[bytes], seconds: float) -> None:
    _, told = process.communicate(timeout=seconds)
    assert process.returncode == exits.DONE, told.decode()


def standing(rig: Rig, table: str = "item") -> TableLoad | None:
    with comparison(rig) as pair:
        return states_of(pair).all().get(f"{rig.name}.{table}")


def is_in_the_middle(rig: Rig, rows: int) -> bool:
    found = standing(rig)
    return found is not None and found.rows >= rows and found.state is LoadState.LOADING


def killed_in_the_middle(rig: Rig, rows: int, *words: str) -> TableLoad:
    """A load that is ended by SIGKILL once so many rows are behind it; where it then stands."""
    process = program(rig, "load", "pair", "--table", f"{rig.name}.item", "--execute", *words)
    try:
        wait_for(lambda: is_in_the_middle(rig, rows) or process.poll() is not None, 600)
        assert process.poll() is None, "the load ended before it could be killed"
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    left = standing(rig)
    assert left is not None
    assert left.state is LoadState.LOADING
    return left


def shown(rig: Rig, document: dict[str, Any]) -> tuple[str, int]:
    """State and rows of this rig's table; all rigs of a stack have one ledger and one pair name."""
    [found] = [load for load in document["tables"] if load["table"] == f"{rig.name}.item"]
    return found["state"], found["rows"]


def open_loads(dts: Dts, rig: Rig) -> dict[str, str]:
    """What `dts status` tells of this rig's table, by link."""
    links = json.loads(dts("status", "--json").stdout)["links"]
    named = {link["link"]: load for link in links for load in link["open_loads"]}
    return {link: load["state"] for link, load in named.items() if load["table"].endswith("item")}


def test_killed_and_resumed(rig: Rig) -> None:
    fill(rig, "a", 170_000)
    rig.sync()
    dts = Dts(rig.path, dict(rig.stack.env))
    killed = killed_in_the_middle(rig, 50_000, "--carry")
    assert shown(rig, dts.json("load", "pair", "--status", status=exits.FOUND)) == (
        "loading",
        killed.rows,
    )
    planned = dts("load", "pair", "--table", f"{rig.name}.item")
    assert "goes on at" in planned.output, planned.output
    assert rig.rows("b", "SELECT COUNT(*) FROM item")[0][0] < 170_000
    assert killed.source == rig.sites[0]
    assert open_loads(dts, rig) == {rig.forth: "loading"}
    # Neither site is empty now, and yet the load goes on from where it was begun.
    unlogged(rig, "b", "INSERT INTO item (id, note) VALUES (900001, 'only here')")

    process = program(rig, "load", "pair", "--table", f"{rig.name}.item", "--execute", "--carry")
    finished(process, 300)

    ended = standing(rig)
    assert ended is not None
    assert (ended.state, ended.rows) == (LoadState.DONE, 170_000)
    assert ended.counts["extra"] == 1
    assert rig.rows("a", "SELECT COUNT(*) FROM item WHERE id = 900001") == [(0,)]
    told = dts("load", "pair", "--status", "--json")
    assert shown(rig, json.loads(told.stdout)) == ("done", 170_000)
    assert open_loads(dts, rig) == {}
    unlogged(rig, "b", "DELETE FROM item WHERE id = 900001")
    rig.sync()
    rig.assert_equal()


@full_only
def test_the_job(maria: Rig) -> None:
    rig = maria
    fill(rig, "a", 500)
    unlogged(rig, "a", "UPDATE item SET name = 'secret name'")
    rig.sync()
    chosen = {"load_tables_of_pair": {"config": {"tables": [f"{rig.name}.item"]}}}
    with syncing(rig):
        run = ran(rig, "load_pair", chosen)
        unsafe = {"load_tables_of_pair": {"config": {"from": "nobody"}}}
        refused = ran(rig, "load_pair", unsafe)

    assert (run.success, refused.success) == (True, False)
    [output] = [
        event.event_specific_data
        for event in run.all_events
        if event.event_type_value == "STEP_OUTPUT"
    ]
    metadata = output.metadata  # type: ignore[union-attr]
    assert (metadata["written"].value, metadata["left"].value) == (500, 0)
    assert "secret name" not in repr(run.all_events)
    rig.assert_equal()


class TestBadInput:
    def test_what_is_named_wrong(self, maria: Rig) -> None:
        rig = maria
        fill(rig, "a", 10)
        rig.sync()
        dts = Dts(rig.path, dict(rig.stack.env))
        assert dts.error("load", "nothing")["code"] == "unknown_link"
        assert dts.error("load", "pair", "--table", "shop.nothing")["code"] == "unknown_table"
        wrong = dts.error("load", "pair", "--from", "nobody", "--execute")
        assert wrong["code"] == "load_source_invalid"
        rig.sql("a", "CREATE TABLE alone (id INT PRIMARY KEY)")
        missing = dts.error("load", "pair")
        assert missing["code"] == "table_missing"
        assert "mysqldump --no-data" in missing["remedy"]
        assert standing(rig) is None

    def test_a_policy_that_would_take_rows_away(self, maria: Rig) -> None:
        fill(maria, "b", 10)
        maria.sync()
        error = Dts(maria.path, dict(maria.stack.env)).error("load", "pair", "--execute")
        assert error["code"] == "load_policy_unsafe"
        assert error["where"]["lacking"] == maria.sites[0]
        assert maria.rows("a", "SELECT COUNT(*) FROM item") == [(0,)]

    def test_links_that_never_ran(self, maria: Rig) -> None:
        fill(maria, "a", 10)
        error = Dts(maria.path, dict(maria.stack.env)).error("load", "pair", "--execute")
        assert error["code"] == "link_never_ran"
        assert maria.rows("b", "SELECT COUNT(*) FROM item") == [(0,)]

    def test_two_at_once(self, maria: Rig) -> None:
        rig = maria
        fill(rig, "a", 300)
        rig.sync()
        refused: list[str] = []

        def again(load: TableLoad) -> None:
            if not refused:
                with pytest.raises(TerminalError) as error:
                    loaded(rig, ["item"])
                refused.append(error.value.code)

        assert loaded(rig, ["item"], progress=again)["item"].state is LoadState.DONE
        assert refused == ["load_busy"]


@pytest.mark.matrix
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("flavour", ["mariadb", pytest.param("mysql", marks=pytest.mark.mysql)])
@pytest.mark.parametrize("kill", [False, True], ids=["whole", "killed"])
def test_a_million_rows(
    flavour: str, kill: bool, request: pytest.FixtureRequest, tmp_path: Path, summary: list[str]
) -> None:
    """Into an empty site while both take writes, and both links run beside the load."""
    stack: Stack = request.getfixturevalue(f"stack_{flavour}")
    with made(stack, f"lmio{flavour[:2]}", tmp_path, TABLE) as rig:
        fill(rig, "a", MILLION)
        rig.sync()
        began = time.monotonic()
        with writing(rig, MILLION) as writes:
            if kill:
                killed = killed_in_the_middle(rig, MILLION // 2, "--carry")
            words = ("load", "pair", "--table", f"{rig.name}.item", "--execute", "--carry")
            peak = 0
            with program(rig, *words) as process:
                try:
                    while process.poll() is None:
                        peak = max(peak, memory(process.pid))
                        time.sleep(1)
                    finished(process, 5)
                finally:
                    process.kill()  # nothing, where it has ended
            count = writes()
        seconds = time.monotonic() - began
        ended = standing(rig)
        settled(rig)
        report = compared(rig)
        assert ended is not None
        assert ended.state is LoadState.DONE
        assert not kill or killed.rows >= MILLION // 2
        assert (report.different, report.moving) == (0, 0)
        rig.assert_equal()
        figures = (
            f"{flavour}{', killed by SIGKILL and resumed' if kill else ''}: {seconds:.0f} s, "
            f"{MILLION / seconds:,.0f} rows/s, {peak} MiB, {count} statements a site meanwhile, "
            f"{dict(ended.counts)}"
        )
        summary.append(figures)


def memory(pid: int) -> int:
    """A process's resident memory at its highest, in MiB; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    found = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(found[0]) // 1024 if found else 0
