"""The source has thrown away what its connector had not read: named, and mended as documented.

Nobody can send what is gone, so the sites are made equal by hand, the connector begins anew, and
the link gets a new start behind the gap.
"""

from __future__ import annotations

import pytest

from dts_pipeline.commands import exits
from dts_pipeline_tests.faults.load import KEYS, Load
from dts_pipeline_tests.faults.servers import Server
from dts_pipeline_tests.integration.bad_bench import Bench
from dts_pipeline_tests.integration.rig import Rig, wait_for

pytestmark = [pytest.mark.servers, pytest.mark.matrix]

_RESET = {"mariadb": "RESET MASTER", "mysql": "RESET BINARY LOGS AND GTIDS"}


def purge(rig: Rig) -> None:
    """All binlogs but a new one; those that a reader still holds are kept by the server."""
    with rig.user("a") as connection, connection.cursor() as cursor:
        cursor.execute("FLUSH BINARY LOGS")

        def gone() -> bool:
            cursor.execute("SHOW BINARY LOGS")
            last = cursor.fetchall()[-1][0]
            cursor.execute(f"PURGE BINARY LOGS TO '{last}'")
            cursor.execute("SHOW BINARY LOGS")
            return len(cursor.fetchall()) == 1

        wait_for(gone, 60)


def reset(rig: Rig) -> None:
    """As a server that was set up anew over its old data.

    Its GTID position must not stay empty, or MariaDB's connector does not start.
    """
    rig.sql("a", _RESET[rig.stack.flavour])
    rig.tick("a")


@pytest.mark.parametrize("how", [purge, reset])
def test_a_connector_whose_place_is_gone(shaken: Rig, how: object) -> None:
    bench, lost = Bench(shaken), f"UPDATE own SET v = 'lost' WHERE id < {KEYS}"
    with Server(shaken.stack, "connect").away():
        shaken.sql("a", lost)
        how(shaken)  # type: ignore[operator]
    bench.await_connector("RUNNING", "FAILED")

    code = "connector_position_lost"
    assert bench.refused(code)["where"]["connector"] == f"dts-{shaken.sites[0]}"
    bench.foreseen(code)
    shown = bench.dts("status", "--json")
    assert shown.exit_code == exits.FOUND
    assert code in shown.stdout

    shaken.sql("b", lost)  # by hand, while nobody writes
    bench.begin_anew()
    for side in "ab":
        shaken.await_events(side)
    for link in (shaken.forth, shaken.back):  # back would find the repair to be the same already
        bench.new_start(link)
    load = Load(rig=shaken)
    with load.running():
        load.await_progress()
