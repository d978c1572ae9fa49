"""verify and repair on 1,000,000 rows, while users write at both sites and both links run."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dts_pipeline.core.verification import State, VerifyReport
from dts_pipeline.stages.at_rest import Carry
from dts_pipeline.stages.carry import carry
from dts_pipeline.stages.repair import all_mended, mend
from dts_pipeline.stages.verify import verify
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.integration.test_matrix import DIGITS
from dts_pipeline_tests.integration.test_verify import (
    TABLE,
    comparison,
    keys_of,
    syncing,
    unlogged,
    writing,
)
from dts_pipeline_tests.stacks import Stack

pytestmark = [pytest.mark.servers, pytest.mark.matrix]

MILLION = 1_000_000


def fill(rig: Rig) -> None:
    powers = " + ".join(f"{chr(97 + p)}.d * {10**p}" for p in range(6))
    tables = ", ".join(f"({DIGITS}) AS {chr(97 + p)}" for p in range(6))
    for side in "ab":
        unlogged(
            rig,
            side,
            f"INSERT INTO item SELECT i, CONCAT('name ', i), i / 7, '2026-11-23 10:00:00.123', "
            f"i / 3e0, REPEAT('x', i % 50), 0 FROM (SELECT {powers} AS i FROM {tables}) AS numbers",
            "ANALYZE TABLE item",
        )


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("flavour", ["mariadb", "mysql"])
def test_a_million_rows(
    flavour: str, request: pytest.FixtureRequest, tmp_path: Path, summary: list[str]
) -> None:
    stack: Stack = request.getfixturevalue(f"stack_{flavour}")
    rig = Rig(stack, f"mio{flavour[:2]}", tmp_path).create(TABLE)
    fill(rig)
    rig.sync()
    figures = []
    with comparison(rig) as pair:

        def timed(what: str, runs: Carry | None = carry) -> VerifyReport:
            began = time.monotonic()
            report = verify(pair, [f"{rig.name}.item"], carry=runs)
            chunks = report.tables[0].chunks
            figures.append(f"{what}: {time.monotonic() - began:.1f} s, {chunks} chunks")
            return report

        assert timed("equal, nobody writes").different == 0
        with writing(rig, MILLION) as writes, syncing(rig):
            found = timed("equal, users write at both sites", None)
            figures.append(f"  {writes()} statements a site meanwhile")
        assert (found.different, found.moving) == (0, 0)
        rig.sync()
        unlogged(rig, "a", "UPDATE item SET note = CONCAT('y', SUBSTR(note, 2)) WHERE id = 123449")
        unlogged(rig, "b", "DELETE FROM item WHERE id = 777777")
        unlogged(rig, "b", "REPLACE INTO item (id) VALUES (5000000)")
        unlogged(rig, "a", "REPLACE INTO item (id) VALUES (777777)")
        with writing(rig, MILLION // 10), syncing(rig):
            found = timed("a changed byte, a missing and an extra row, users write", None)
            assert keys_of(found, "item") == {
                (123449, State.CHANGED),
                (777777, State.ONLY_FIRST),
                (5000000, State.ONLY_SECOND),
            }
            began = time.monotonic()
            assert all_mended(mend(pair, found, rig.sites[0]))
            figures.append(f"repair: {time.monotonic() - began:.1f} s")
        rig.sync()
        assert timed("after the repair").different == 0
    summary += [flavour, *figures]
