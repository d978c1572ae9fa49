"""Hours replayed as the UI's backfill does it: Dagster's API, its daemon, a run an hour."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from confluent_kafka import TopicPartition as KafkaTopicPartition
from confluent_kafka.admin import AdminClient

from dts_pipeline.defs.failures import error_of
from dts_pipeline_tests.integration.dagster_home import DagsterHome, running
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.sampling import full_only
from dts_pipeline_tests.stacks import Stack

pytestmark = [pytest.mark.servers, pytest.mark.faults]

ITEM = "CREATE TABLE item (id INT PRIMARY KEY, v VARCHAR(40))"
LAUNCH = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""


@dataclass(frozen=True)
class Backfills:
    """A running Dagster over one pair."""

    rig: Rig
    home: DagsterHome
    instance: dg.DagsterInstance

    def launch(self, hours: Sequence[datetime]) -> list[dg.DagsterRun]:
        """Launches `replay_<link>` over the hours by the mutation that the UI sends; its runs."""
        job = f"replay_{self.rig.forth}"
        variables = {
            "params": {
                "selector": {
                    "partitionSetName": f"{job}_partition_set",
                    "repositorySelector": {
                        "repositoryName": "__repository__",
                        "repositoryLocationName": "dts_pipeline.definitions",
                    },
                },
                "partitionNames": [hour.strftime("%Y-%m-%d-%H:00") for hour in hours],
            }
        }
        answer = self._asked(LAUNCH, variables)["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        tag = {"dagster/backfill": answer["backfillId"]}

        def runs() -> Sequence[dg.DagsterRun]:
            return self.instance.get_runs(filters=dg.RunsFilter(tags=tag))

        wait_for(lambda: len(runs()) == len(hours) and all(r.is_finished for r in runs()), 300)
        return list(runs())

    def _asked(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        program = Path(sys.executable).parent / "dagster-graphql"
        answer = self.home.folder / "answer.json"
        subprocess.run(
            [
                *(str(program), "-w", str(self.home.folder / "workspace.yaml")),
                *("-t", query, "-v", json.dumps(variables), "-o", str(answer)),
            ],
            env=self.home.variables,
            check=True,
            capture_output=True,
            timeout=120,
        )
        data: dict[str, Any] = json.loads(answer.read_text())["data"]
        return data


@pytest.fixture(scope="module")
def backfills(
    stack_mariadb: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Backfills]:
    """A pair with 30 rows in sync, and a daemon that runs both links every few seconds."""
    path = tmp_path_factory.mktemp("backfill")
    schedule = {"schedule": {"lag_sensor_seconds": 1}}
    rig = Rig(stack_mariadb, "bfl", path, changes=schedule).create(ITEM)
    rig.sql("a", f"INSERT INTO item VALUES {', '.join(f'({i}, 1)' for i in range(30))}")
    rig.sync()
    home = DagsterHome(
        path / "dagster",
        "dts_pipeline.definitions",
        {"DTS_CONFIG": str(rig.path), **rig.stack.env},
    )
    with running(home), home.instance() as instance:
        yield Backfills(rig, home, instance)


def last_hours(count: int) -> list[datetime]:
    """The current hour and those before it, the oldest first."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return [now - timedelta(hours=back) for back in reversed(range(count))]


def test_a_backfill_over_three_hours_makes_the_target_right(backfills: Backfills) -> None:
    rig = backfills.rig
    unlogged = "SET SESSION sql_log_bin = 0"
    rig.sql("b", unlogged, "DELETE FROM item WHERE id < 10", "UPDATE item SET v = 'x'")
    rig.sql("a", "UPDATE item SET v = '2' WHERE id < 5")

    runs = backfills.launch(last_hours(3))

    assert [run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS] * 3, log_of(backfills)
    assert {run.tags["dagster/partition"] for run in runs} == {
        hour.strftime("%Y-%m-%d-%H:00") for hour in last_hours(3)
    }
    rig.sync()
    rig.assert_equal()
    assert rig.rows("b", "SELECT COUNT(*) FROM item WHERE v = '2'") == [(5,)]
    materialized = backfills.instance.get_latest_materialization_event(
        dg.AssetKey(["checkpoint", rig.forth])
    )
    assert materialized is None or materialized.run_id not in {run.run_id for run in runs}


@full_only
def test_an_hour_that_kafka_does_not_hold_whole_is_refused(backfills: Backfills) -> None:
    rig = backfills.rig
    topic = f"{rig.sites[0]}.{rig.name}.item"
    admin = AdminClient({"bootstrap.servers": rig.stack.kafka})
    for future in admin.delete_records([KafkaTopicPartition(topic, 0, 5)]).values():
        future.result()

    (run,) = backfills.launch(last_hours(1))

    assert run.status is dg.DagsterRunStatus.FAILURE
    failures = [
        error_of(entry.dagster_event)
        for entry in backfills.instance.all_logs(run.run_id)
        if entry.dagster_event and entry.dagster_event.is_step_failure
    ]
    assert [error.code for error in failures if error] == ["range_lost"]
    assert failures[0] is not None
    assert failures[0].where["low"] == "5"


def log_of(backfills: Backfills) -> str:
    """What the failed runs and the daemon said."""
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
    said = [
        entry.user_message or str(entry.dagster_event)
        for run in backfills.instance.get_runs(filters=failed)
        for entry in backfills.instance.all_logs(run.run_id)
    ]
    return "\n".join([*said[-40:], backfills.home.log_tail()])
