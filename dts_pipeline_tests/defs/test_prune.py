"""Old runs go, with everything that Dagster keeps of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from dts_pipeline.config import RetentionConfig, parse_config
from dts_pipeline.defs.build import build_definitions
from dts_pipeline.defs.keys import BATCHES_TAG, LANE_TAG, checkpoint_key
from dts_pipeline.defs.prune import KEPT, prune, prune_filters
from dts_pipeline_tests.defs.settings import ENVIRONMENT, SETTINGS
from dts_pipeline_tests.fakes import FakeStages

Status = dg.DagsterRunStatus
FEW = {"applied": 2, "empty": 1, "failed": 1}
LINKS = list(parse_config(SETTINGS).resolved_links().values())


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        yield instance


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def stored(instance: dg.DagsterInstance, status: Status, lane: str, batches: str | None) -> str:
    tags = {LANE_TAG: lane} | ({BATCHES_TAG: batches} if batches else {})
    return instance.add_run(dg.DagsterRun(job_name="sync", status=status, tags=tags)).run_id


def kept(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


def test_of_each_kind_the_newest_runs_are_kept(instance: dg.DagsterInstance) -> None:
    kinds = [(Status.SUCCESS, "3"), (Status.SUCCESS, "0"), (Status.FAILURE, None)]
    runs = {
        kind: [stored(instance, *kind[:1], "a_to_b/main", kind[1]) for _ in range(4)]
        for kind in kinds
    }
    assert prune(instance, prune_filters(LINKS), FEW) == 2 + 3 + 3
    assert kept(instance) == {
        *runs[Status.SUCCESS, "3"][-2:],
        runs[Status.SUCCESS, "0"][-1],
        runs[Status.FAILURE, None][-1],
    }


def test_lanes_are_counted_apart_and_unfinished_runs_stay(instance: dg.DagsterInstance) -> None:
    for lane in ("a_to_b/main", "b_to_a/main"):
        stored(instance, Status.SUCCESS, lane, "0")
        for _ in range(3):
            stored(instance, Status.STARTED, lane, None)
    assert prune(instance, prune_filters(LINKS), FEW) == 0


def test_runs_go_by_their_age_but_for_the_newest_of_each_kind(instance: dg.DagsterInstance) -> None:
    kinds = [(Status.SUCCESS, "3"), (Status.SUCCESS, "0"), (Status.FAILURE, None)]
    runs = {
        kind: [stored(instance, *kind[:1], "a_to_b/main", kind[1]) for _ in range(3)]
        for kind in kinds
    }
    filters = prune_filters(LINKS)
    assert prune(instance, filters, KEPT, RetentionConfig()) == 0

    at_once = 1e-9
    young = RetentionConfig(run_days=at_once, failed_run_days=30)
    assert prune(instance, filters, KEPT, young) == 2 + 2
    assert prune(instance, filters, KEPT, RetentionConfig(failed_run_days=at_once)) == 2
    assert kept(instance) == {own[-1] for own in runs.values()}


def test_runs_of_others_stay(instance: dg.DagsterInstance) -> None:
    for _ in range(3):
        instance.add_run(dg.DagsterRun(job_name="theirs", status=Status.SUCCESS))
    assert prune(instance, prune_filters(LINKS), FEW) == 0


def test_nothing_of_a_pruned_run_is_left(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    definitions = build_definitions(parse_config(SETTINGS), stages=FakeStages().stages())
    job = definitions.resolve_job_def("sync_a_to_b")
    first, second = (job.execute_in_process(instance=instance).run_id for _ in range(2))
    assert prune(instance, prune_filters(LINKS), FEW) == 1
    assert kept(instance) == {second}
    left = [path.name for path in tmp_path.rglob("*.db*")]
    assert not [name for name in left if first in name]
    assert [name for name in left if second in name]
    checks = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(checkpoint_key("a_to_b"), "lag"), limit=10
    )
    assert [check.run_id for check in checks] == [second]


def test_the_job_prunes_the_instance_it_runs_in(instance: dg.DagsterInstance) -> None:
    number = KEPT["empty"] + 1
    runs = [stored(instance, Status.SUCCESS, "a_to_b/main", "0") for _ in range(number)]
    job = build_definitions(parse_config(SETTINGS)).resolve_job_def("prune_runs")
    assert job.execute_in_process(instance=instance).success
    assert kept(instance) & set(runs) == set(runs[1:])
