"""Schema changes from one side, and what the links of a pair make of them."""

from __future__ import annotations

import time

import pytest

from dts_pipeline.commands import exits
from dts_pipeline.errors import DtsError
from dts_pipeline_tests.integration.bad_bench import Bench
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.sampling import full_only

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
