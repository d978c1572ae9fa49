"""Servers that die under load, one after the other: both links go on by themselves each time."""

from __future__ import annotations

import os
import random
import time
from collections import Counter

import pytest

from dts_pipeline_tests.faults.load import Load
from dts_pipeline_tests.faults.servers import Server
from dts_pipeline_tests.integration.bad_bench import Bench
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.sampling import IS_SAMPLE

pytestmark = pytest.mark.servers

SEED = int(os.environ.get("SEED", "20261124"))
NAMES = ("kafka", "connect", "site_a", "site_b")
ROUNDS = 1 if IS_SAMPLE else 6
_EXPECTED = {
    "connect_unreachable",
    "connection_lost",
    "connector_starting",
    "kafka_unreachable",
    "lane_busy",
    "server_unreachable",
    "server_shutdown",
}
"""What runs end with meanwhile; each is worth repeating, and nobody has to do a thing."""


def kills(chance: random.Random) -> list[str]:
    """The servers in the order of their deaths: each once a round."""
    return [name for _ in range(ROUNDS) for name in chance.sample(NAMES, len(NAMES))]


@pytest.mark.matrix
def test_a_source_that_is_shut_down_in_order(shaken: Rig) -> None:
    """MySQL's connector (3.5) takes the orderly end of the stream for an error, and gives up."""
    bench, load = Bench(shaken), Load(rig=shaken)
    with Server(shaken.stack, "site_a").stopped():
        pass
    if shaken.stack.flavour == "mysql":
        bench.await_connector("RUNNING", "FAILED")
        assert bench.refused("connector_failed")["where"]["connector"] == f"dts-{shaken.sites[0]}"
        bench.revive()
    with load.running():
        load.await_progress()


@pytest.mark.timeout(1800)
def test_whichever_server_dies_the_links_go_on(shaken: Rig, summary: list[str]) -> None:
    chance = random.Random(SEED)
    load = Load(rig=shaken, seed=SEED)
    seconds: Counter[str] = Counter()
    with load.running():
        for name in kills(chance):
            time.sleep(chance.random())  # somewhere within the runs
            began = time.monotonic()
            Server(shaken.stack, name).crash()
            load.await_progress()
            seconds[name] = max(seconds[name], round(time.monotonic() - began))
    assert set(load.codes) <= _EXPECTED
    summary.append(
        f"{len(NAMES) * ROUNDS} servers killed, seed {SEED}: {sum(load.committed.values())} "
        f"transactions, {load.counts['duplicates']} events sent twice; lost 0, applied twice 0; "
        f"longest until the links went on: {dict(seconds)} s; runs failed: {dict(load.codes)}"
    )
