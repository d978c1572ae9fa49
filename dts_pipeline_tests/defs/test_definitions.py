"""What the code location shows: names, lineage, resources without secrets; no server is asked."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._serdes import serialize_value

from dts_pipeline.config import parse_config
from dts_pipeline.core.batches import Checkpoint, RunSummary
from dts_pipeline.core.links import Link, MarkKind
from dts_pipeline.defs.build import build_definitions
from dts_pipeline.defs.descriptions import checkpoint_description
from dts_pipeline.defs.keys import pattern_of, source_key, target_key, topic_key
from dts_pipeline.defs.record import metadata_of
from dts_pipeline.errors import ConfigError
from dts_pipeline_tests.defs.settings import ENVIRONMENT, SETTINGS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_definitions(parse_config(SETTINGS))


def test_names_of_jobs_schedules_and_sensors(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    assert sorted(repository.job_names) == [
        "__ASSET_JOB",
        "check_a_to_b",
        "check_b_to_a",
        "load_shop",
        "preview_a_to_b",
        "preview_b_to_a",
        "prune_ledger",
        "prune_runs",
        "repair",
        "replay_a_to_b",
        "replay_b_to_a",
        "settle",
        "sync_a_to_b",
        "sync_b_to_a",
        "verify",
    ]
    assert sorted(schedule.name for schedule in repository.schedule_defs) == [
        "check_a_to_b_schedule",
        "check_b_to_a_schedule",
        "prune_ledger_schedule",
        "prune_runs_schedule",
        "settle_schedule",
        "sync_a_to_b_schedule",
        "sync_b_to_a_schedule",
    ]
    assert sorted(sensor.name for sensor in repository.sensor_defs) == [
        "sync_a_to_b_lag_sensor",
        "sync_b_to_a_lag_sensor",
    ]


def test_the_checks_apart_are_no_steps_of_a_link_s_runs(definitions: dg.Definitions) -> None:
    steps = [
        str(handle)
        for job in ("sync_a_to_b", "check_a_to_b")
        for handle in definitions.resolve_job_def(job).graph.iterate_node_handles()
    ]
    assert sorted(step for step in steps if "touched" in step or "contract" in step) == [
        "checkpoint__a_to_b_contract",
        "checkpoint__a_to_b_touched_keys_equal",
    ]
    assert steps.count("checkpoint__a_to_b") == 1


def test_names_of_the_steps(definitions: dg.Definitions) -> None:
    job = definitions.resolve_job_def("sync_a_to_b")
    assert [str(handle) for handle in sorted(map(str, job.graph.iterate_node_handles()))] == [
        "checkpoint__a_to_b",
        "checkpoint__a_to_b.apply",
        "checkpoint__a_to_b.compact",
        "checkpoint__a_to_b.drop_marked",
        "checkpoint__a_to_b.normalize",
        "checkpoint__a_to_b.plan_ranges",
        "checkpoint__a_to_b.pull",
        "checkpoint__a_to_b.record",
    ]


def test_the_order_of_a_pair_s_assets_has_no_cycle(definitions: dg.Definitions) -> None:
    levels = definitions.resolve_asset_graph().toposorted_asset_keys_by_level
    assert [sorted(key.to_user_string() for key in level) for level in levels] == [
        ["a/crm/_all", "a/shop/orders", "b/crm/_all", "b/shop/orders"],
        ["kafka/a.crm._all", "kafka/a.shop.orders", "kafka/b.crm._all", "kafka/b.shop.orders"],
        ["checkpoint/a_to_b", "checkpoint/b_to_a"],
        ["a_to_b/crm/_all", "a_to_b/shop/orders", "b_to_a/crm/_all", "b_to_a/shop/orders"],
    ]


def test_a_table_is_read_from_its_topic_and_written_after_the_checkpoint(
    definitions: dg.Definitions,
) -> None:
    graph = definitions.resolve_asset_graph()

    def parents(*path: str) -> set[str]:
        return {key.to_user_string() for key in graph.get(dg.AssetKey(path)).parent_keys}

    assert parents("a_to_b", "shop", "orders") == {"checkpoint/a_to_b"}
    assert parents("checkpoint", "a_to_b") == {"kafka/a.shop.orders", "kafka/a.crm._all"}
    assert parents("kafka", "a.shop.orders") == {"a/shop/orders"}
    assert parents("a", "shop", "orders") == set()


def test_schedules_run_by_the_cron_line_from_the_start(definitions: dg.Definitions) -> None:
    schedule = definitions.resolve_schedule_def("sync_a_to_b_schedule")
    assert schedule.cron_schedule == "*/2 * * * *"
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_the_sensor_looks_as_often_as_dts_yaml_says(definitions: dg.Definitions) -> None:
    sensor = definitions.resolve_sensor_def("sync_a_to_b_lag_sensor")
    assert sensor.minimum_interval_seconds == 10


def test_without_lag_sensor_seconds_there_is_no_sensor() -> None:
    config = parse_config(SETTINGS.replace(", lag_sensor_seconds: 10", ""))
    assert not list(build_definitions(config).sensors or [])


def test_a_cron_line_that_dagster_refuses_is_a_mistake_in_dts_yaml() -> None:
    config = parse_config(SETTINGS.replace("*/2 * * * *", "every minute"))
    with pytest.raises(ConfigError, match=r"schedule\.cron"):
        build_definitions(config)


def test_the_location_executes_in_process(definitions: dg.Definitions) -> None:
    assert definitions.resolve_job_def("sync_a_to_b").executor_def is dg.in_process_executor
    assert definitions.resolve_implicit_global_asset_job_def().executor_def is (
        dg.in_process_executor
    )


def test_assets_name_their_owners_and_describe_themselves() -> None:
    owned = SETTINGS.replace("sites: [a, b]", "sites: [a, b]\n    owners: [team:shop, o@x.org]")
    graph = build_definitions(parse_config(owned)).resolve_asset_graph()
    for node in graph.asset_nodes:
        assert list(node.owners) == ["team:shop", "o@x.org"], node.key
        assert node.kinds & {"mysql", "kafka"}, node.key
        assert node.description, node.key
    checkpoint = graph.get(dg.AssetKey(["checkpoint", "a_to_b"])).description or ""
    for said in ("sync_a_to_b", "the row of a wins", "`shop.orders`, `crm.*`", "`dts status`"):
        assert said in checkpoint


@pytest.mark.parametrize("owner", ["shop", "team:", "a b@x.org"])
def test_an_owner_that_dagster_would_refuse_is_a_mistake_in_dts_yaml(owner: str) -> None:
    text = SETTINGS.replace("sites: [a, b]", f"sites: [a, b]\n    owners: ['{owner}']")
    with pytest.raises(ConfigError, match=r"pairs\.shop\.owners"):
        parse_config(text)


def test_the_checkpoint_s_description_names_every_figure_in_its_table() -> None:
    summary = RunSummary(
        "a_to_b", Checkpoint("a_to_b", "main", 1, 1, {}), 1, {}, {}, {}, 0, 0, True
    )
    shown = set(metadata_of(summary))
    (rows,) = re.findall(r"\| figure.*?\n\n", checkpoint_description(LINK, "sync"), re.S)
    named = {name for row in rows.splitlines() for name in re.findall(r"`([a-z_]+)`", row)}
    assert named
    assert named <= shown


def test_secrets_are_named_not_shown(
    definitions: dg.Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    shown = serialize_value(RepositorySnap.from_def(definitions.get_repository_def()))
    assert "DTS_A" in shown
    assert "DTS_K" in shown
    for value in ENVIRONMENT.values():
        assert value not in shown


LINK = Link(
    name="a_to_b",
    source="a",
    target="b",
    tables=("shop.orders", "shop.*", "crm.c?_*"),
    source_prefix="pre",
    mark=MarkKind.ORIGIN,
)


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [
        ("shop.orders", ["a/shop/orders", "kafka/pre.shop.orders", "a_to_b/shop/orders"]),
        ("shop.*", ["a/shop/_all", "kafka/pre.shop._all", "a_to_b/shop/_all"]),
        (
            "crm.c?_*",
            ["a/crm/_cany_all", "kafka/pre.crm._cany_all", "a_to_b/crm/_cany_all"],
        ),
    ],
)
def test_keys_of_tables_and_patterns(pattern: str, keys: list[str]) -> None:
    made = [source_key(LINK, pattern), topic_key(LINK, pattern), target_key(LINK, pattern)]
    assert [key.to_user_string() for key in made] == keys


@pytest.mark.parametrize(
    ("table", "pattern"),
    [("shop.orders", "shop.orders"), ("shop.items", "shop.*"), ("crm.x", None)],
)
def test_a_table_s_asset_is_its_own_before_a_pattern_s(table: str, pattern: str | None) -> None:
    assert pattern_of(LINK, table) == pattern


def _import(config: Path, code: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "DTS_CONFIG": str(config), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False
    )


def test_the_code_location_loads_without_servers_secrets_and_heavy_imports(tmp_path: Path) -> None:
    (tmp_path / "dts.yaml").write_text(SETTINGS)
    code = (
        "import sys; from dts_pipeline.definitions import defs; defs.resolve_asset_graph();"
        "print(sorted({'pandas', 'confluent_kafka', 'pymysql'} & set(sys.modules)))"
    )
    done = _import(tmp_path / "dts.yaml", code)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        (SETTINGS.replace("mark: origin", "mark: orign"), "mark:"),
    ],
)
def test_a_missing_or_wrong_dts_yaml_is_said_by_the_code_location(
    tmp_path: Path, text: str | None, said: str
) -> None:
    path = tmp_path / "dts.yaml"
    if text is not None:
        path.write_text(text)
    done = _import(path, "import dts_pipeline.definitions")
    assert done.returncode != 0
    assert "config_invalid" in done.stderr
    assert said in done.stderr


def test_workspace_yaml_names_the_module() -> None:
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    [entry] = workspace["load_from"]
    assert entry["python_module"]["module_name"] == "dts_pipeline.definitions"
