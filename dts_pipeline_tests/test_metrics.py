"""What the exporter serves, without a server: names, labels, and links that cannot be read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.core import Metric

from dts_pipeline.adapters.figures import LaneFigures, LinkFigures
from dts_pipeline.commands.metrics import Reading, metrics_of
from dts_pipeline.config import parse_config
from dts_pipeline_tests.defs.settings import SETTINGS

DOCUMENT = (Path(__file__).resolve().parent.parent / "docs" / "metrics.md").read_text()
FORTH, BACK = parse_config(SETTINGS).resolved_links().values()
EARLY, LATE = datetime(2026, 11, 25, 12, tzinfo=UTC), datetime(2026, 11, 25, 13, tzinfo=UTC)
LANE = LaneFigures(
    "main",
    generation=1,
    batch=3,
    moved_at=EARLY,
    lag_seconds=2.5,
    behind=0,
    succeeded_at=EARLY,
    failed_at=LATE,
    error={"code": "deadlock"},
    totals={
        "events": 7.0,
        "recorded/same/source": 2.0,
        "seconds/pull": 0.5,
        "failures/deadlock": 1.0,
    },
)
FIGURES = LinkFigures((LANE,), {("shop.orders", "same"): 2}, 0, {})


def metrics(*readings: Reading) -> list[Metric]:
    return list(metrics_of(readings))


def described() -> dict[str, set[str]]:
    """The labels of each metric that the document's first table names."""
    rows = re.findall(r"^\| `(dts_\w+)` \| ([a-z, ]+) \|", DOCUMENT, re.M)
    return {name: set(labels.split(", ")) for name, labels in rows}


def served(found: Iterable[Metric]) -> dict[str, set[str]]:
    return {sample.name: set(sample.labels) for metric in found for sample in metric.samples}


def test_every_metric_is_described_with_its_labels() -> None:
    assert served(metrics(Reading(FORTH, FIGURES, 1.0, 0.1))) == described()


def test_names_follow_prometheus_conventions() -> None:
    for metric in metrics(Reading(FORTH, FIGURES, 1.0, 0.1)):
        assert metric.documentation
        for sample in metric.samples:
            assert (metric.type == "counter") == sample.name.endswith("_total")


@pytest.mark.parametrize(("succeeded", "failed", "value"), [(LATE, EARLY, 0), (EARLY, LATE, 1)])
def test_the_last_run_has_failed_if_none_ended_well_since(
    succeeded: datetime, failed: datetime, value: int
) -> None:
    lane = LaneFigures("main", succeeded_at=succeeded, failed_at=failed)
    found = metrics(Reading(FORTH, LinkFigures((lane,), {}, 0, {}), 1.0, 0.1))
    (metric,) = (m for m in found if m.name == "dts_last_run_failed")
    assert [sample.value for sample in metric.samples] == [value]


def test_of_a_link_that_cannot_be_read_only_that_is_told() -> None:
    found = metrics(Reading(FORTH, FIGURES, 1.0, 0.1), Reading(BACK, None, 1.0, 10.0))
    names = {
        sample.name
        for metric in found
        for sample in metric.samples
        if sample.labels["link"] == BACK.name
    }
    assert names == {
        "dts_link_up",
        "dts_link_info",
        "dts_ledger_read_timestamp_seconds",
        "dts_ledger_read_seconds",
    }
