"""A stack of their own for tests that kill, pause and restart its servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dts_pipeline_tests.faults.load import loaded
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.stacks import Stack, running_stack


@pytest.fixture(scope="session", params=["mariadb", pytest.param("mysql", marks=pytest.mark.mysql)])
def fragile(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A stack whose servers may fail."""
    with running_stack(request.param, "origin") as stack:
        yield stack


@pytest.fixture(scope="session")
def shaken(fragile: Stack, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """One pair on it, with the tables of a load; each test leaves it running and equal."""
    rig = Rig(fragile, "shaken", tmp_path_factory.mktemp("shaken"))
    rig.changes = {"batch": {"max_events": 2_000}}
    # A binlog reader that lost its server looks again after a minute if nobody says otherwise.
    rig.connector_changes = {"connect.keep.alive.interval.ms": "5000"}
    return loaded(rig)
