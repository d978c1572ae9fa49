"""What the ways to run the pipeline are called: the report's goals go by these names."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.contenders.pipeline import Pipeline
from benchmarks.report import GOALS


@pytest.mark.parametrize(
    ("way", "name"),
    [
        (Pipeline(Path(), detect=True), "pipeline, detection on"),
        (Pipeline(Path(), detect=False), "pipeline, detection off"),
        (
            Pipeline(Path(), detect=True, form="schemas"),
            "pipeline, detection on, messages with schemas",
        ),
        (
            Pipeline(Path(), detect=False, staging="insert"),
            "pipeline, detection off, staged by INSERT",
        ),
    ],
)
def test_a_way_is_named_by_what_differs(way: Pipeline, name: str) -> None:
    assert way.name == name


def test_goals_name_ways_that_there_are() -> None:
    ways = {Pipeline(Path(), detect=detect).name for detect in (True, False)}
    assert {goal.pipeline for goal in GOALS} == ways
