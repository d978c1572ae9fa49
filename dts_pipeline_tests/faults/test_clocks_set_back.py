"""Clocks that are set back by an hour, each server's by itself, and then all set right again.

Kafka's timestamps and the connector's run ids come from Connect's clock, commit times from the
databases'; neither may decide what is carried.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from dts_pipeline_tests.faults.load import Load, assert_kept, loaded
from dts_pipeline_tests.faults.servers import Server
from dts_pipeline_tests.faults.test_connect_killed import ROWS, Wire, write_and_kill
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.stacks import running_stack

pytestmark = [pytest.mark.servers, pytest.mark.matrix, pytest.mark.timeout(1800)]

NAMES = ("site_a", "site_b", "kafka", "connect")
HOUR = 3600
_TRIES = 5
_EXPECTED = {"connect_unreachable", "connector_starting", "lane_busy", "kafka_unreachable"}


@pytest.fixture(scope="module", params=["mariadb", pytest.param("mysql", marks=pytest.mark.mysql)])
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A pair on a stack whose clocks can be set."""
    with running_stack(request.param, "origin", "--clocks") as stack:
        made = Rig(stack, "clocks", tmp_path_factory.mktemp("clocks"))
        made.changes = {"batch": {"max_events": 2_000}}
        made.connector_changes = {"connect.keep.alive.interval.ms": "5000"}
        yield loaded(made)


@pytest.fixture
def set_right(rig: Rig) -> Iterator[None]:
    """Whatever a test did, the next one finds clocks that agree."""
    yield
    for name in NAMES:
        Server(rig.stack, name).set_clock(0)


def test_each_clock_is_set_back_under_load(rig: Rig, set_right: None, summary: list[str]) -> None:
    load = Load(rig=rig)
    with load.running():
        load.await_progress()
        for name in ("site_a", "site_b", "kafka"):
            Server(rig.stack, name).set_clock(-HOUR)
            assert_behind(rig, name)
            load.await_progress()
        goes_on = set_back_connect(rig, load)
        for name in NAMES:
            Server(rig.stack, name).set_clock(0)
            load.await_progress()
    assert set(load.codes) <= _EXPECTED
    summary.append(
        f"clocks set back by an hour, one after the other, {rig.stack.flavour}: "
        f"{sum(load.committed.values())} transactions, {load.counts['duplicates']} events sent "
        f"twice; Connect {'goes' if goes_on else 'does not go'} on by itself; lost 0, applied "
        "twice 0"
    )


def set_back_connect(rig: Rig, load: Load) -> bool:
    """Whether it goes on without being started again; then it is, and does.

    Kafka's clients measure their waits by the clock. The run that begins has an id that is older
    than what the one before it has sent.
    """
    connect = Server(rig.stack, "connect")
    connect.set_clock(-HOUR)
    try:
        load.await_progress(30)
        goes_on = True
    except AssertionError:
        goes_on = False
    connect.crash()
    assert_behind(rig, "connect")
    load.await_progress()
    return goes_on


def test_connect_comes_back_in_the_middle_of_a_transaction_an_hour_before_it_began(
    rig: Rig, set_right: None, summary: list[str]
) -> None:
    """Its second BEGIN is stamped before the first one, its rows before those of the first run."""
    since = {link: rig.checkpoint(link) for link in (rig.forth, rig.back)}
    connect, wire, duplicates, clock = Server(rig.stack, "connect"), Wire(rig), 0, 0
    for _ in range(_TRIES):
        clock -= HOUR
        middle = write_and_kill(rig, wire, lambda c=clock: connect.set_clock(c))  # type: ignore[misc]
        duplicates += rig.run(rig.forth).counts["duplicates"]
        if middle and duplicates:
            break
    assert middle
    assert duplicates > 0
    assert_behind(rig, "connect")
    assert rig.rows("b", "SELECT COUNT(*), MIN(n), MAX(n) FROM bulk WHERE id >= 0") == [
        (ROWS, 2, 2)
    ]
    rig.sync(300)
    assert_kept(rig, since)
    summary.append(
        f"Connect killed in a transaction of {2 * ROWS} row events and back with a clock an hour "
        f"behind, {rig.stack.flavour}: {duplicates} sent twice, none applied twice"
    )


def assert_behind(rig: Rig, name: str) -> None:
    """The server's clock really is an hour and more behind that of this machine."""
    look: dict[str, Callable[[], float]] = {
        "site_a": lambda: float(rig.rows("a", "SELECT UNIX_TIMESTAMP()")[0][0]),
        "site_b": lambda: float(rig.rows("b", "SELECT UNIX_TIMESTAMP()")[0][0]),
        "connect": lambda: newest_stamp(rig),
    }
    if name in look:
        wait_for(lambda: time.time() - look[name]() > HOUR - 60, 30)


def newest_stamp(rig: Rig) -> float:
    """Kafka's timestamp of what site a's connector sent last."""
    wire = Wire(rig)
    rig.tick("a")
    return wire.transactions(max(0, wire.transaction_end() - 1))[-1].timestamp / 1000
