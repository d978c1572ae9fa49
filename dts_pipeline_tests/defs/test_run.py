"""A run of a link's job over fake stages: order, memory, emptiness, errors, what it leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._serdes import serialize_value

from dts_pipeline.config import Config, parse_config
from dts_pipeline.core.batches import Checkpoint, RunSummary
from dts_pipeline.core.ranges import OffsetRanges, TopicPartition
from dts_pipeline.defs.build import build_definitions
from dts_pipeline.defs.failures import error_of
from dts_pipeline.defs.keys import LANE_TAG, PROCESS_TAG, checkpoint_key
from dts_pipeline.defs.record import metadata_of
from dts_pipeline.defs.run import run_link_in_process
from dts_pipeline.errors import ConfigError, PoisonError, TerminalError, TransientError
from dts_pipeline_tests.defs.settings import ENVIRONMENT, SETTINGS
from dts_pipeline_tests.fakes import ORDERS, ROW_VALUE, FakeStages

BATCH_STAGES = ("pull", "normalize", "drop_marked", "compact", "apply")


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> Config:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return parse_config(SETTINGS)


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def run(
    config: Config, fake: FakeStages, instance: dg.DagsterInstance
) -> dg.ExecuteInProcessResult:
    definitions = build_definitions(config, stages=fake.stages())
    job = definitions.resolve_job_def("sync_a_to_b")
    return job.execute_in_process(instance=instance, raise_on_error=False)


def steps(result: dg.ExecuteInProcessResult, kind: str) -> list[str]:
    events = [event for event in result.all_events if event.event_type_value == kind]
    return [str(event.step_key).removeprefix("checkpoint__a_to_b.") for event in events]


def whole_log(instance: dg.DagsterInstance, run_id: str) -> str:
    return "\n".join(serialize_value(entry) for entry in instance.all_logs(run_id))


def test_a_batch_is_finished_before_the_next_is_pulled(
    config: Config, instance: dg.DagsterInstance
) -> None:
    fake = FakeStages(sizes=[3, 2])
    result = run(config, fake, instance)
    assert result.success
    assert fake.calls == [
        "plan_ranges",
        *(f"{stage} 0" for stage in BATCH_STAGES),
        *(f"{stage} 1" for stage in BATCH_STAGES),
        "pull 2",
        "pull 3",
        "pull 4",
        "summarize",
    ]


def test_a_pull_finds_no_frame_of_an_earlier_batch_in_memory(
    config: Config, instance: dg.DagsterInstance
) -> None:
    fake = FakeStages(sizes=[3, 2, 4])
    assert run(config, fake, instance).success
    assert fake.alive == [0, 0, 0, 0, 0]


def test_slots_with_nothing_left_are_skipped(config: Config, instance: dg.DagsterInstance) -> None:
    result = run(config, FakeStages(sizes=[3], slots=3), instance)
    assert sorted(steps(result, "STEP_SKIPPED")) == sorted(
        f"{stage}[slot_00{slot}]" for stage in BATCH_STAGES[1:] for slot in (1, 2)
    )


def test_an_empty_range_materializes_too(config: Config, instance: dg.DagsterInstance) -> None:
    result = run(config, FakeStages(sizes=[]), instance)
    assert result.success
    [event] = result.get_asset_materialization_events()
    assert event.asset_key == checkpoint_key("a_to_b")
    assert event.materialization.metadata["events"].value == 0


def test_the_checkpoint_carries_offsets_counts_lag_and_times(
    config: Config, instance: dg.DagsterInstance
) -> None:
    fake = FakeStages(sizes=[3, 2], behind_offsets=7, lag_seconds=1.5)
    metadata = _materialized(run(config, fake, instance), checkpoint_key("a_to_b"))
    offsets = metadata["offsets"]
    assert isinstance(offsets, dg.TableMetadataValue)
    assert offsets.records[0].data["next_offset"] == 5
    tables = ("ranges", "offsets", "tables", "recorded", "open_records")
    plain = {name: metadata[name].value for name in metadata if name not in tables}
    assert plain == {
        "batch": 2,
        "batches_this_run": 2,
        "generation": 1,
        "paused": False,
        "caught_up": False,
        "behind_offsets": 7,
        "lag_seconds": 1.5,
        "consistency": "transactional",
        "waiting_for": "nothing",
        "waiting_seconds": 0.0,
        "waiting_events": 0,
        "events": 5,
        "marked": 0,
        "duplicates": 0,
        "changes": 0,
        "inserted": 0,
        "updated": 0,
        "deleted": 0,
        "cascaded": 0,
        "same": 0,
        "conflicts": 0,
        "superseded": 0,
        "unique": 0,
        "quarantined": 0,
        "open_conflicts": 0,
        "seconds/pull": 0.25,
        "seconds/apply": 0.5,
    }


def test_tables_show_ranges_what_was_done_and_what_is_open() -> None:
    quiet = TopicPartition("a.shop.items", 0)
    summary = RunSummary(
        "a_to_b",
        Checkpoint("a_to_b", "main", 1, 2, {}),
        2,
        {},
        {"shop.orders": {"updated": 3, "recorded/same/none": 1}, "shop.items": {"inserted": 2}},
        {},
        0,
        0.0,
        True,
        ranges=OffsetRanges.joined(
            [
                OffsetRanges.between({ORDERS: 5, quiet: 1}, {ORDERS: 7}),
                OffsetRanges.between({ORDERS: 7, quiet: 1}, {ORDERS: 12}),
            ]
        ),
        open_records={"shop.orders/update_update": 4},
    )
    metadata = metadata_of(summary)

    def shown(name: str) -> list[dict[str, object]]:
        return [dict(record.data) for record in metadata[name].records]

    assert shown("ranges") == [
        {"topic": ORDERS.topic, "partition": 0, "from": 5, "until": 12, "offsets": 7}
    ]
    assert shown("tables") == [
        {"table": "shop.items", "inserted": 2, "updated": 0},
        {"table": "shop.orders", "inserted": 0, "updated": 3},
    ]
    assert shown("open_records") == [{"table": "shop.orders", "kind": "update_update", "keys": 4}]


def test_records_are_counted_by_table_kind_and_decision() -> None:
    counts = {"updated": 3, "recorded/update_update/source": 2, "recorded/same/none": 1}
    summary = RunSummary(
        "a_to_b",
        Checkpoint("a_to_b", "main", 1, 1, {}),
        1,
        {"updated": 3, "recorded/update_update/source": 2, "recorded/same/none": 1},
        {"shop.orders": counts, "shop.items": {"updated": 1}},
        {},
        0,
        0.0,
        True,
    )
    metadata = metadata_of(summary)
    recorded = metadata["recorded"]
    assert isinstance(recorded, dg.TableMetadataValue)
    assert [dict(record.data) for record in recorded.records] == [
        {"table": "shop.orders", "kind": "same", "decision": "none", "keys": 1},
        {"table": "shop.orders", "kind": "update_update", "decision": "source", "keys": 2},
    ]
    assert not any(name.startswith("recorded/") for name in metadata)


def test_what_was_made_up_is_shown_where_there_is_something() -> None:
    summary = RunSummary(
        "a_to_b", Checkpoint("a_to_b", "main", 1, 1, {}), 1, {}, {}, {}, 0, 0.0, True
    )
    assert "altered" not in metadata_of(summary)
    altered = replace(summary, altered=("ALTER TABLE x ADD COLUMN y INT", "CREATE INDEX z"))
    assert metadata_of(altered)["altered"] == "ALTER TABLE x ADD COLUMN y INT\nCREATE INDEX z"


def test_written_tables_are_materialized_with_their_counts(
    config: Config, instance: dg.DagsterInstance
) -> None:
    result = run(config, FakeStages(sizes=[3, 2]), instance)
    metadata = _materialized(result, dg.AssetKey(["a_to_b", "shop", "orders"]))
    assert metadata["inserted"].value == 5


@pytest.mark.parametrize(
    ("open_conflicts", "behind", "lag", "passed"),
    [
        (0, 0, 0.0, {"open_conflicts": True, "lag": True, "loop_audit": True}),
        (2, 9, 10.0, {"open_conflicts": False, "lag": True, "loop_audit": True}),
        (0, 9, 301.0, {"open_conflicts": True, "lag": False, "loop_audit": True}),
    ],
)
def test_checks_warn_of_open_conflicts_and_lag(
    config: Config,
    instance: dg.DagsterInstance,
    open_conflicts: int,
    behind: int,
    lag: float,
    passed: dict[str, bool],
) -> None:
    fake = FakeStages(
        sizes=[1], open_conflicts=open_conflicts, behind_offsets=behind, lag_seconds=lag
    )
    result = run(config, fake, instance)
    evaluations = result.get_asset_check_evaluations()
    assert result.success
    assert {e.check_name: e.passed for e in evaluations} == passed
    assert {e.severity for e in evaluations} == {dg.AssetCheckSeverity.WARN}


def test_a_finding_of_the_loop_audit_warns(config: Config, instance: dg.DagsterInstance) -> None:
    result = run(config, FakeStages(sizes=[1], loop={"more": 2}), instance)
    (found,) = [e for e in result.get_asset_check_evaluations() if e.check_name == "loop_audit"]

    assert not found.passed
    assert {name: value.value for name, value in found.metadata.items()} == {
        "fewer": 0,
        "more": 2,
        "missing": 0,
        "unknown": 0,
    }


@pytest.mark.parametrize("stage", [*(f"{stage} 1" for stage in BATCH_STAGES), "summarize"])
def test_a_terminal_error_fails_the_run_once_and_records_nothing(
    config: Config, instance: dg.DagsterInstance, stage: str
) -> None:
    poison = PoisonError(
        "undecodable", "an event is no JSON", where={"topic": "a.shop.orders"}, remedy="Look."
    )
    fake = FakeStages(sizes=[3, 2, 4], errors={stage: [poison]})
    result = run(config, fake, instance)
    assert not result.success
    assert len(steps(result, "STEP_FAILURE")) == 1
    assert not result.get_asset_materialization_events()
    assert not [call for call in fake.calls if call in ("pull 2", "pull 3") and "1" in stage]
    [failure] = [event for event in result.all_events if event.is_step_failure]
    user = failure.step_failure_data.user_failure_data
    assert user is not None
    assert user.description == "an event is no JSON"
    assert user.metadata["code"].value == "undecodable"
    assert user.metadata["where"].value == "topic=a.shop.orders"
    assert user.metadata["remedy"].value == "Look."


def test_later_slots_read_nothing_after_a_failure(
    config: Config, instance: dg.DagsterInstance
) -> None:
    fake = FakeStages(sizes=[3, 2], errors={"apply 0": [TerminalError("x", "no")]})
    run(config, fake, instance)
    assert [call for call in fake.calls if call.startswith("pull")] == ["pull 0"]


@pytest.mark.parametrize("stage", ["plan_ranges", "pull 0"])
def test_transient_errors_of_reading_stages_are_repeated(
    config: Config, instance: dg.DagsterInstance, stage: str
) -> None:
    away: list[Exception] = [
        TransientError("broker_away", "the broker does not answer") for _ in range(3)
    ]
    fake = FakeStages(sizes=[3], errors={stage: away})
    result = run(config, fake, instance)
    assert result.success
    assert len(steps(result, "STEP_UP_FOR_RETRY")) == 3
    assert fake.ledger == [3]


def test_a_transient_error_that_stays_fails_with_its_own_words(
    config: Config, instance: dg.DagsterInstance
) -> None:
    away: list[Exception] = [
        TransientError("broker_away", "the broker does not answer") for _ in range(9)
    ]
    fake = FakeStages(sizes=[3], errors={"pull 0": away})
    result = run(config, fake, instance)
    assert steps(result, "STEP_FAILURE") == ["pull[slot_000]"]
    assert fake.calls.count("pull 0") == 1 + 3
    [failure] = [event for event in result.all_events if event.is_step_failure]
    error = error_of(failure)
    assert isinstance(error, TransientError)
    assert error.code == "broker_away"


def test_a_transient_error_of_apply_is_not_repeated_by_dagster(
    config: Config, instance: dg.DagsterInstance
) -> None:
    fake = FakeStages(sizes=[3], errors={"apply 0": [TransientError("deadlock", "again")]})
    result = run(config, fake, instance)
    assert steps(result, "STEP_UP_FOR_RETRY") == []
    assert fake.calls.count("apply 0") == 1


def test_neither_values_nor_secrets_reach_the_run_s_log(
    config: Config, instance: dg.DagsterInstance
) -> None:
    fake = FakeStages(sizes=[3, 2], errors={"compact 1": [KeyError(ROW_VALUE)]})
    result = run(config, fake, instance)
    log = whole_log(instance, result.run_id)
    assert "unexpected KeyError" in log
    for secret in (ROW_VALUE, *ENVIRONMENT.values()):
        assert secret not in log


def test_the_causes_of_a_repeated_error_stay_out_of_the_log(
    config: Config, instance: dg.DagsterInstance
) -> None:
    error = TransientError("connection_lost", "the connection was lost")
    error.__cause__ = ValueError(ROW_VALUE)
    fake = FakeStages(errors={"plan_ranges": [error], "pull 0": [TerminalError("x", "no")]})
    result = run(config, fake, instance)
    assert ROW_VALUE not in whole_log(instance, result.run_id)


def re_executed(
    config: Config, fake: FakeStages, home: Path
) -> tuple[dg.ExecuteInProcessResult, dg.JobExecutionResult]:
    """A failing run, and its re-execution from the failed step in a memory of its own."""
    with dg.instance_for_test(temp_dir=str(home)) as instance:
        first = run(config, fake, instance)
        again = dg.execute_job(
            dg.build_reconstructable_job(
                "dts_pipeline_tests.defs.settings", "job_with_fakes", ("sync_a_to_b",)
            ),
            instance=instance,
            reexecution_options=dg.ReexecutionOptions.from_failure(first.run_id, instance),
        )
    return first, again


@pytest.mark.parametrize("stage", ["pull 0", "compact 0", "apply 1", "summarize"])
def test_re_executing_from_a_failed_step_says_to_re_execute_all(
    config: Config, tmp_path: Path, stage: str
) -> None:
    fake = FakeStages(sizes=[3, 2], errors={stage: [TerminalError("x", "no")]})
    first, again = re_executed(config, fake, tmp_path)
    failures = [event for event in again.all_events if event.is_step_failure]
    users = [event.step_failure_data.user_failure_data for event in failures]
    assert {user.description for user in users if user} == {
        f"frames of run {first.run_id} lived in its memory: re-execute all steps"
    }


def test_re_executing_from_a_failed_plan_is_a_whole_run(config: Config, tmp_path: Path) -> None:
    fake = FakeStages(sizes=[3], errors={"plan_ranges": [TerminalError("x", "no")]})
    _, again = re_executed(config, fake, tmp_path)
    recorded = [event.asset_key for event in again.all_events if event.is_step_materialization]
    assert again.success
    assert checkpoint_key("a_to_b") in recorded


def test_the_run_names_its_lane_and_process(config: Config, instance: dg.DagsterInstance) -> None:
    result = run(config, FakeStages(), instance)
    stored = instance.get_run_by_id(result.run_id)
    assert stored is not None
    assert stored.tags[LANE_TAG] == "a_to_b/main"
    assert PROCESS_TAG in stored.tags


class TestRunLinkInProcess:
    def test_returns_the_summary(self, config: Config) -> None:
        fake = FakeStages(sizes=[3, 2])
        summary = run_link_in_process(config, "a_to_b", ENVIRONMENT, stages=fake.stages())
        assert summary.batches == 2
        assert summary.counts["events"] == 5

    def test_holds_one_batch_at_a_time(self, config: Config) -> None:
        fake = FakeStages(sizes=[3, 2, 4])
        run_link_in_process(config, "a_to_b", ENVIRONMENT, stages=fake.stages())
        assert fake.alive == [0, 0, 0, 0, 0]

    def test_raises_the_error_that_the_stage_raised(self, config: Config) -> None:
        gap = TerminalError("offsets_lost", "gone", where={"partition": 3}, remedy="Reset.")
        fake = FakeStages(errors={"plan_ranges": [gap]})
        with pytest.raises(TerminalError) as raised:
            run_link_in_process(config, "a_to_b", ENVIRONMENT, stages=fake.stages())
        assert raised.value.to_dict() == gap.to_dict()
        assert type(raised.value) is TerminalError

    def test_names_the_links_there_are(self, config: Config) -> None:
        with pytest.raises(TerminalError, match=r"unknown_link.*a_to_b, b_to_a"):
            run_link_in_process(config, "a_to_c", ENVIRONMENT)

    def test_names_every_missing_variable(self, config: Config) -> None:
        with pytest.raises(ConfigError) as raised:
            run_link_in_process(config, "a_to_b", {})
        assert [path for path, _ in raised.value.problems] == ["${DTS_A}", "${DTS_B}", "${DTS_K}"]

    def test_a_run_is_stored_in_dagster_home(
        self, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
        environ = {**ENVIRONMENT, "DAGSTER_HOME": str(tmp_path)}
        run_link_in_process(config, "a_to_b", environ, stages=FakeStages().stages())
        with dg.DagsterInstance.get() as instance:
            [stored] = instance.get_runs()
        assert (stored.job_name, stored.status.value) == ("sync_a_to_b", "SUCCESS")

    def test_a_wrong_dagster_home_is_an_error_of_its_own(
        self, config: Config, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DAGSTER_HOME", "relative/path")
        with pytest.raises(TerminalError, match="dagster_home_invalid"):
            run_link_in_process(config, "a_to_b", ENVIRONMENT | {"DAGSTER_HOME": "relative/path"})


def _materialized(
    result: dg.ExecuteInProcessResult, key: dg.AssetKey
) -> dict[str, dg.MetadataValue[Any]]:
    [event] = [e for e in result.get_asset_materialization_events() if e.asset_key == key]
    return dict(event.materialization.metadata)


# -- links of several lanes ---------------------------------------------------------------------

LANES = SETTINGS.replace("sites: [a, b]", 'sites: [a, b]\n    lanes: {crm: ["crm.*"], rest: ["*"]}')


def test_a_lane_s_run_materializes_its_partition(
    config: Config, instance: dg.DagsterInstance
) -> None:
    seen: list[str] = []

    def plan(runtime: Any) -> Any:
        seen.append(runtime.link.title)
        return FakeStages.plan_ranges(fake, runtime)

    fake = FakeStages(sizes=[3])
    stages = replace(fake.stages(), plan_ranges=plan)
    job = build_definitions(parse_config(LANES), stages=stages).resolve_job_def("sync_a_to_b")
    result = job.execute_in_process(instance=instance, partition_key="crm")
    assert seen == ["a_to_b/crm"]
    first, *_ = result.get_asset_materialization_events()
    assert (first.asset_key, first.partition) == (checkpoint_key("a_to_b"), "crm")
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags[LANE_TAG] == "a_to_b/crm"
    assert len(result.get_asset_check_evaluations()) == 3


def test_dts_sync_of_a_lane(config: Config) -> None:
    fake = FakeStages(sizes=[3])
    found = run_link_in_process(
        parse_config(LANES), "a_to_b", ENVIRONMENT, lane="rest", stages=fake.stages()
    )
    assert found.batches == 1
