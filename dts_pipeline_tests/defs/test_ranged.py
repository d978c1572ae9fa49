"""The jobs over a range: what their run config and their partitions mean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from dts_pipeline.config import other_policy, parse_config
from dts_pipeline.core.links import Policy
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.selection import time_ms
from dts_pipeline.defs.build import build_definitions
from dts_pipeline.defs.ranged import hours, selection_of
from dts_pipeline.errors import ConfigError, TerminalError
from dts_pipeline_tests.defs.settings import SETTINGS

NOTHING: dict[str, Any] = {"ranges": [], "since": None, "until_time": None, "tables": []}
HOUR = datetime(2026, 11, 23, 14, tzinfo=UTC)


def test_offsets_of_the_run_config() -> None:
    ranges = [
        {"topic": "a.shop.item", "partition": 0, "from": 5, "until": 9},
        {"topic": "a.shop.item", "partition": 1, "from": 7, "until": None},
    ]

    found = selection_of({**NOTHING, "ranges": ranges, "tables": ["shop.item"]})

    assert found.offsets == {
        TopicPartition("a.shop.item", 0): (5, 9),
        TopicPartition("a.shop.item", 1): (7, None),
    }
    assert found.tables == ("shop.item",)


def test_an_hour_is_a_range_of_time() -> None:
    found = selection_of(NOTHING, (HOUR, HOUR + timedelta(hours=1)))

    assert (found.since_ms, found.until_ms) == (
        time_ms("2026-11-23T14:00"),
        time_ms("2026-11-23T15:00"),
    )


def test_a_partition_and_a_range_exclude_each_other() -> None:
    with pytest.raises(TerminalError) as caught:
        selection_of({**NOTHING, "since": "2026-11-23"}, (HOUR, HOUR + timedelta(hours=1)))

    assert caught.value.code == "range_invalid"


def test_the_hours_go_back_a_month_and_end_with_the_one_that_is_running() -> None:
    partitions = hours(datetime.now(UTC)).get_partition_keys()

    assert partitions[-1] == datetime.now(UTC).strftime("%Y-%m-%d-%H:00")
    assert 31 * 24 <= len(partitions) <= 32 * 24


def test_a_replay_needs_no_lane_and_materializes_nothing() -> None:
    repository = build_definitions(parse_config(SETTINGS)).get_repository_def()
    job = repository.get_job("replay_a_to_b")

    assert isinstance(job.partitions_def, dg.HourlyPartitionsDefinition)
    assert "dts/lane" not in job.tags
    assert {op.pool for op in job.all_node_defs if isinstance(op, dg.OpDefinition)} == {
        "dts_replay_shop"
    }


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("{site: b}", Policy("site", "b")),
        ("{newest: at}", Policy("newest", "a", "at")),
        ("{newest: at, ties: b, deletes: delete_wins}", Policy("newest", "b", "at", False)),
        ("fail", Policy("fail", "a")),
    ],
)
def test_another_policy_is_spelled_as_in_the_configuration(text: str, policy: Policy) -> None:
    config = parse_config(SETTINGS)

    assert other_policy(config, config.resolved_links()["b_to_a"], text) == policy


@pytest.mark.parametrize("text", ["", "{", "overwrite", "{site: elsewhere}", "{newest: 5}", "[]"])
def test_what_is_no_policy_is_refused(text: str) -> None:
    config = parse_config(SETTINGS)

    with pytest.raises(ConfigError) as caught:
        other_policy(config, config.resolved_links()["a_to_b"], text)

    assert all(path.startswith("policy") for path, _ in caught.value.problems)
