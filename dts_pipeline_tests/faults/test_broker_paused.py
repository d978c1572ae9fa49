"""A broker that stands still: runs end with an error worth repeating, in a bounded time.

The timeouts of a run are 8 s for a question to the broker and 30 s without a message while
messages are due; `socket.timeout.ms` in dts.yaml shortens both. The pause is longer than these,
and in the whole test also than those of Kafka's own clients at the other end: 120 s for a message
of a producer (`delivery.timeout.ms`; Connect's own producers wait for ever), 60 s for its first
metadata (`max.block.ms`), 30 s for a request.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from dts_pipeline import stages
from dts_pipeline.errors import TransientError
from dts_pipeline.stages.carry import carry
from dts_pipeline_tests.faults.load import Load
from dts_pipeline_tests.faults.servers import Server
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.sampling import IS_SAMPLE

pytestmark = pytest.mark.servers

PAUSE = 8.0 if IS_SAMPLE else 150.0
SILENCE = 2.0
"""`socket.timeout.ms`, in seconds."""
BOUND = SILENCE + 10
"""For a run to end: a question may follow another that was answered, and machines are slow."""


def impatient(rig: Rig, link: str) -> stages.LinkRuntime:
    """A run's settings with short timeouts."""
    runtime = rig.runtime(link)
    return replace(runtime, kafka={**runtime.kafka, "socket.timeout.ms": str(int(SILENCE * 1000))})


def assert_gives_up(work: Callable[[], object]) -> float:
    """It ends with `kafka_unreachable`; after how many seconds."""
    began = time.monotonic()
    with pytest.raises(TransientError) as caught:
        work()
    seconds = time.monotonic() - began
    assert caught.value.code == "kafka_unreachable"
    assert seconds < BOUND
    return seconds


@pytest.mark.timeout(900)
def test_a_broker_that_stands_still_for_longer_than_every_timeout(
    shaken: Rig, summary: list[str]
) -> None:
    load = Load(rig=shaken)
    reading, fresh = impatient(shaken, shaken.forth), impatient(shaken, shaken.back)
    with load.running():
        load.await_progress()
        plan = stages.plan_ranges(reading)
        with Server(shaken.stack, "kafka").paused():
            began = time.monotonic()
            seconds = [
                assert_gives_up(lambda: stages.pull(reading, plan, 0)),
                assert_gives_up(lambda: carry(fresh)),
            ]
            time.sleep(max(0.0, began + PAUSE - time.monotonic()))
    for runtime in (reading, fresh):
        runtime.close()
    assert set(load.codes) <= {"kafka_unreachable", "connect_unreachable", "connector_starting"}
    summary.append(
        f"broker paused for {PAUSE:.0f} s: a run that reads ends after {seconds[0]:.1f} s, one "
        f"that begins after {seconds[1]:.1f} s (socket.timeout.ms {SILENCE:.0f} s); "
        f"{sum(load.committed.values())} transactions, lost 0, applied twice 0"
    )
