"""KILL of the applying session at every statement of a batch: the run goes on by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import pymysql
import pytest

from dts_pipeline import stages
from dts_pipeline_tests.faults.applied_once import assert_unbroken, marked_writes
from dts_pipeline_tests.faults.counting_wire import CountingWire
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.integration.small_batches import TABLES
from dts_pipeline_tests.sampling import IS_SAMPLE
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

BATCHES = 200  # more than there are statements in a batch, twice
FAMILY = (
    "CREATE TABLE parent (id INT PRIMARY KEY, v INT)",
    "CREATE TABLE child (id INT PRIMARY KEY, p INT, "
    "FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE)",
)
KINDS = {"plain": TABLES, "cascades": TABLES + FAMILY, "undetected": TABLES}


@dataclass
class WiredRig(Rig):
    """A rig whose runs reach their target through a wire; `kind` is one of `KINDS`."""

    wire: CountingWire | None = None
    kind: str = "plain"

    @property
    def forth(self) -> str:
        """A link of its own has a name of its own."""
        return f"w_{self.name}" if self.kind == "undetected" else super().forth

    def runtime(self, link: str) -> stages.LinkRuntime:
        made = super().runtime(link)
        if self.wire is None:
            return made
        return replace(made, target=replace(made.target, host="127.0.0.1", port=self.wire.port))

    def seed(self) -> None:
        """The rows that batches change and delete."""
        rows = ",".join(f"({n * 10},'old',1),({n * 10 + 1},'old',1)" for n in range(BATCHES))
        self.sql("a", f"INSERT INTO item VALUES {rows}")
        if self.kind == "cascades":
            rows = ",".join(f"({n},1)" for n in range(BATCHES))
            self.sql("a", f"INSERT INTO parent VALUES {rows}")
            rows = ",".join(f"({n},{n})" for n in range(BATCHES))
            self.sql("a", f"INSERT INTO child VALUES {rows}")

    def write(self, number: int) -> None:
        """A transaction with every kind of change: a batch, because the limit is one event."""
        n = number * 10
        family = [f"DELETE FROM parent WHERE id = {number}"] if self.kind == "cascades" else []
        self.sql(
            "a",
            "BEGIN",
            f"UPDATE item SET v = 'new', n = n + 1 WHERE id = {n}",
            f"DELETE FROM item WHERE id = {n + 1}",
            f"INSERT INTO item VALUES ({n + 2},'fresh',1)",
            f"INSERT INTO mail VALUES ({n},'{n}@example'),({n + 1},'{n + 1}@example')",
            *family,
            "COMMIT",
        )

    def catch_up(self) -> None:
        """Runs the link from a to b until it has nothing left."""
        self.await_events("a")
        while self.run(self.forth).batches:
            pass


def one_way(rig: Rig) -> dict[str, object]:
    """The changes that make a one-way link, which looks at nothing, of a rig's pair."""
    link = {
        "source": rig.sites[0],
        "target": rig.sites[1],
        "tables": [f"{rig.name}.*"],
        "detect": False,
        "mark_domain_id": 4712,
    }
    return {"pairs": None, "links": {rig.forth: link}}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((stack, kind), id=f"{stack[6:]}-{kind}", marks=marks)
        for stack, marks in (("stack_mariadb", []), ("stack_mysql", [pytest.mark.mysql]))
        for kind in (["cascades"] if IS_SAMPLE else KINDS)
    ],
)
def rig(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WiredRig]:
    stack: Stack = request.getfixturevalue(request.param[0])
    rig = WiredRig(stack, "stmt", tmp_path_factory.mktemp("stmt"), kind=request.param[1])
    rig.changes = {"batch": {"max_events": 1}}
    if rig.kind == "undetected":
        rig.changes |= one_way(rig)
    rig.create(*KINDS[rig.kind])
    rig.seed()
    rig.sql("a", "INSERT INTO mail VALUES (-1, '-')")  # its topic is there
    rig.catch_up()
    target = stack.site("b")
    with CountingWire(target["host"], target["port"]) as wire:
        rig.wire = wire
        yield rig


@pytest.mark.timeout(1500)
def test_a_session_killed_at_each_statement_is_made_up_for_by_the_same_run(
    rig: WiredRig, summary: list[str]
) -> None:
    wire = rig.wire
    assert wire is not None
    before = rig.checkpoint(rig.forth)
    rig.write(0)
    rig.await_events("a")
    # The marker's event can be there a moment before the transaction's END is.
    wait_for(lambda: rig.run(rig.forth).batches > 0, 30)
    statements = wire.most_statements
    due = strikes(wire, statements)
    kills = len(due)
    assert statements > 25
    for number in range(1, kills + 1):
        rig.write(number)
    rig.await_events("a")
    with rig.user("b") as connection, connection.cursor() as cursor:

        def kill(session: int) -> None:
            with suppress(pymysql.OperationalError):  # it has ended by itself
                cursor.execute(f"KILL {session}")

        def arm(_link: str) -> None:
            if due and not wire.is_armed:
                strike, statement = due.pop(0)
                strike(statement, kill)

        def all_struck() -> bool:
            rig.run(rig.forth, before_apply=arm)
            return not (due or wire.is_armed)

        wait_for(all_struck, 60 + 5 * kills)
    rig.catch_up()
    assert_unbroken(rig, rig.forth, before)
    assert_all_of_it_once(rig, kills + 1)
    summary.append(
        f"killed at each of {statements} statements, {rig.stack.flavour}, {rig.kind}: {kills} "
        "kills, each made up for by its own run; lost 0, applied twice 0"
    )


Strike = Callable[[int, Callable[[int], None]], None]


def strikes(wire: CountingWire, statements: int) -> list[tuple[Strike, int]]:
    """Before each statement, and as each is under way; every seventh of both for a sample."""
    every = [
        (strike, number)
        for number in range(1, statements + 1)
        for strike in (wire.strike_before, wire.strike_after)
    ]
    return every[3::7] if IS_SAMPLE else every


def assert_all_of_it_once(rig: WiredRig, applied: int) -> None:
    """Both sides equal, nothing recorded, and the target's binlog holds each change once."""
    rig.assert_equal()
    assert {kind for _, kind, _ in rig.records(rig.forth)} <= {"cascade"}
    if rig.kind == "undetected":  # nobody captures the target of a one-way link
        return
    rig.await_events("b")
    item = {(n * 10 + i, "c") for n in range(BATCHES) for i in (0, 1)}
    mail = {(-1, "c")}
    for number in range(applied):
        n = number * 10
        item |= {(n, "u"), (n + 1, "d"), (n + 2, "c")}
        mail |= {(n, "c"), (n + 1, "c")}
    assert marked_writes(rig, "b", "item") == Counter(item)
    assert marked_writes(rig, "b", "mail") == Counter(mail)
