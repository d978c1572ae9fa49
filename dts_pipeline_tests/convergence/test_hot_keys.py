"""Eight writers a side on 200 keys: whatever they do, both sides end equal, and no record open.

They write for three minutes a policy; with SAMPLE=1 for ten seconds, on MariaDB, under one policy
and with counters.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from dts_pipeline_tests.convergence.hot_keys import Fight
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.sampling import IS_SAMPLE

pytestmark = [pytest.mark.servers, pytest.mark.convergence]

KEYS = 200
_SECONDS = 10.0 if IS_SAMPLE else 180.0
_STACKS = ["stack_mariadb", pytest.param("stack_mysql", marks=pytest.mark.mysql)]
_ROW = (
    "CREATE TABLE {0} (id INT PRIMARY KEY, v VARCHAR(40), n BIGINT NOT NULL DEFAULT 0, "
    "at DATETIME(6) NOT NULL) CHARACTER SET utf8mb4"
)
POLICIES = {
    "site": {"site": "A"},
    "other_site": {"site": "B"},
    "newest": {"newest": "at", "ties": "A"},
    "delete_wins": {"newest": "at", "ties": "B", "deletes": "delete_wins"},
}


def any_write(cursor: Any, chance: random.Random, side: str) -> int:
    """Inserts, updates and deletes, some of them several in one transaction."""
    for _ in range(chance.choice((1, 1, 1, 3))):
        key, text = chance.randrange(KEYS), f"{side}{chance.randrange(1000)}"
        kind = chance.random()
        if kind < 0.3:
            cursor.execute("DELETE FROM hot WHERE id = %s", (key,))
        elif kind < 0.6:
            cursor.execute("REPLACE INTO hot VALUES (%s, %s, 0, UTC_TIMESTAMP(6))", (key, text))
        else:
            cursor.execute(
                "UPDATE hot SET v = %s, at = UTC_TIMESTAMP(6) WHERE id = %s", (text, key)
            )
    return 0


@pytest.mark.parametrize("policy", ["newest"] if IS_SAMPLE else POLICIES)
@pytest.mark.parametrize("stack", _STACKS)
def test_both_sides_end_equal(
    request: pytest.FixtureRequest, tmp_path: Path, summary: list[str], stack: str, policy: str
) -> None:
    rig = Rig(request.getfixturevalue(stack), f"hot{policy[:3]}", tmp_path)
    rig.conflicts = {
        "policy": {"site": "A"},
        "tables": {f"{rig.name}.hot": {"policy": POLICIES[policy]}},
    }
    rig.create(_ROW.format("hot"))
    rig.sync()
    fight = Fight(rig, any_write)
    fight.run(_SECONDS)
    rig.assert_equal()
    assert len(fight.added) > 20 * _SECONDS
    assert sum(report.total("closed") for report in fight.settled) > 0
    summary.append(
        f"{stack} {policy}: {len(fight.added)} transactions in {_SECONDS:.0f} s, "
        f"{len(fight.settled)} settlements, "
        f"{sum(r.total('closed') for r in fight.settled)} records closed, "
        f"{sum(r.total('written') for r in fight.settled)} rows written by them"
    )


def add_up(cursor: Any, chance: random.Random, side: str) -> int:
    """Adds to counters; now and then another column changes too."""
    added = 0
    for key in sorted({chance.randrange(KEYS) for _ in range(chance.choice((1, 1, 2)))}):
        amount = chance.randrange(-5, 20)
        if chance.random() < 0.2:
            change = "n = n + %s, v = %s, at = UTC_TIMESTAMP(6)"
            cursor.execute(f"UPDATE hot SET {change} WHERE id = %s", (amount, side, key))
        else:
            cursor.execute("UPDATE hot SET n = n + %s WHERE id = %s", (amount, key))
        added += amount
    return added


@pytest.mark.parametrize("stack", _STACKS)
def test_no_increment_is_lost(
    request: pytest.FixtureRequest, tmp_path: Path, summary: list[str], stack: str
) -> None:
    rig = Rig(request.getfixturevalue(stack), "hotsum", tmp_path)
    counters = {f"{rig.name}.hot": {"delta": ["n"], "policy": {"site": "A"}}}
    rig.conflicts = {"policy": {"site": "A"}, "tables": counters}
    rig.create(_ROW.format("hot"))
    rows = ", ".join(f"({key}, '-', 0, UTC_TIMESTAMP(6))" for key in range(KEYS))
    rig.sql("a", f"INSERT INTO hot VALUES {rows}")
    rig.sync()
    fight = Fight(rig, add_up)
    fight.run(_SECONDS)
    rig.assert_equal()
    assert len(fight.added) > 20 * _SECONDS
    for side in "ab":
        assert rig.rows(side, "SELECT SUM(n) FROM hot") == [(sum(fight.added),)]
    summary.append(
        f"{stack} delta: {len(fight.added)} transactions in {_SECONDS:.0f} s, the sum of both "
        f"sites is that of all increments, {sum(fight.added)}"
    )
