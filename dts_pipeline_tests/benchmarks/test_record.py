"""The dts.yaml of a bench, and the names of its topics."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.record import parsed
from dts_pipeline_tests.benchmarks.settings import recording


def test_topics_are_those_of_the_form_s_own_connector() -> None:
    assert recording().topics("schemas") == ["schemas_mixed_1.bench_mixed.t"]


@pytest.mark.parametrize(
    ("settings", "detect"),
    [
        ({"detect": False}, False),
        ({"detect": True, "conflicts": {"policy": {"site": "plain_mixed_1"}}}, True),
    ],
)
def test_the_configuration_has_one_link_from_the_form_s_source(
    settings: dict[str, Any], detect: bool
) -> None:
    (link,) = parsed(recording().document("plain", "bench_1", settings)).resolved_links().values()
    assert (link.name, link.source, link.target) == ("bench_1", "plain_mixed_1", "target")
    assert (link.detect, link.pair) == (detect, None)
    assert link.topic_of("bench_mixed.t") == recording().topics("plain")[0]
