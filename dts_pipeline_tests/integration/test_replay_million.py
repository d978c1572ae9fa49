"""1,000,000 events replayed at a target that lost rows, stopped in the middle and gone on with."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dts_pipeline.core.selection import Selection, parse_selection
from dts_pipeline.stages.carry import carry
from dts_pipeline.stages.reconcile import Patience
from dts_pipeline.stages.replay import ReplayReport, Step, replay
from dts_pipeline.stages.settle import settle
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.integration.test_matrix import DIGITS
from dts_pipeline_tests.integration.test_replay import opened
from dts_pipeline_tests.integration.test_verify import TABLE, syncing, unlogged, writing
from dts_pipeline_tests.stacks import Stack

pytestmark = [pytest.mark.servers, pytest.mark.matrix]

ROWS = 500_000
PATIENT = Patience(caught_up=120, hold=20, rounds=5)


class Stopped(Exception):
    """What Ctrl-C is to the command."""


def fill(rig: Rig) -> None:
    """Half a million inserts, and then an update of each: a million events."""
    powers = " + ".join(f"{chr(97 + p)}.d * {10**p}" for p in range(5))
    tables = ", ".join(f"({DIGITS}) AS {chr(97 + p)}" for p in range(5))
    for part in range(5):
        rig.sql(
            "a",
            f"INSERT INTO item SELECT i, CONCAT('name ', i), i / 7, '2026-11-23 10:00:00.123', "
            f"i / 3e0, REPEAT('x', i % 50), 0 FROM (SELECT {part * 100_000} + {powers} AS i "
            f"FROM {tables}) AS numbers",
        )
    for part in range(5):
        low = part * 100_000
        rig.sql("a", f"UPDATE item SET n = 1 WHERE id BETWEEN {low} AND {low + 99_999}")


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("flavour", ["mariadb", "mysql"])
def test_a_million_events(
    flavour: str, request: pytest.FixtureRequest, tmp_path: Path, summary: list[str]
) -> None:
    stack: Stack = request.getfixturevalue(f"stack_{flavour}")
    rig = Rig(stack, f"rmi{flavour[:2]}", tmp_path).create(TABLE)
    fill(rig)
    rig.sync(600)
    topic = f"{rig.sites[0]}.{rig.name}.item"
    unlogged(
        rig, "b", "DELETE FROM item WHERE id % 5 = 0", "UPDATE item SET n = 0 WHERE id % 7 = 0"
    )
    with rig.user("b") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM item WHERE n = 0")
        lost = ROWS // 5 + int(cursor.fetchone()[0])

    began = time.monotonic()
    reports: list[ReplayReport] = []

    def halfway(report: ReplayReport) -> None:
        reports[:] = [report]
        if report.rest.size < 500_000:
            raise Stopped

    with writing(rig, ROWS) as writes, syncing(rig):
        with pytest.raises(Stopped):
            run(rig, parse_selection([topic], [0], [0], [1_000_000]), halfway)
        stopped = time.monotonic() - began
        rest = next(iter(reports[0].rest))
        rest_of = parse_selection([topic], [0], [rest.from_offset], [rest.until_offset])
        last = run(rig, rest_of)
        seconds = time.monotonic() - began
        statements = writes()
    come_to_rest(rig)
    rig.assert_equal()

    counts = [report.tables[f"{rig.name}.item"] for report in (reports[0], last)]
    assert sum(c["events"] for c in counts) == 1_000_000
    written = sum(c["written"] for c in counts)
    assert lost * 0.9 < written  # users have rewritten some of them meanwhile
    summary.append(
        f"{flavour}: 1,000,000 events, {lost} rows lost, {written} written, "
        f"{sum(c['again'] for c in counts)} left moving; {seconds:.1f} s "
        f"(stopped after {stopped:.1f} s, gone on), {statements} statements a site meanwhile"
    )


def run(rig: Rig, selection: Selection, step: Step = lambda report: None) -> ReplayReport:
    """A replay that the scheduled runs carry on with beside it."""
    with opened(rig) as pair:
        return replay(pair.forth, pair, selection, patience=PATIENT, step=step)


def come_to_rest(rig: Rig) -> None:
    """What users wrote over rows that were lost has left records; they are settled."""
    with opened(rig) as pair:
        for _ in range(5):
            rig.sync(300)
            settle(pair, carry=carry)
            if not (rig.records(rig.forth) or rig.records(rig.back)):
                return
    raise AssertionError("records stay open")
