"""The ledger's figures as Prometheus' metrics: names, units and labels; no row values, no keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from dts_pipeline.adapters.figures import LaneFigures, LinkFigures
from dts_pipeline.adapters.totals import BATCHES, FAILURES, RUNS, SECONDS
from dts_pipeline.core.conflicts import RECORDED
from dts_pipeline.core.links import Link

_LANE = ("link", "lane")
_COUNTERS = {
    BATCHES: ("dts_batches", "Batches applied, each in one transaction."),
    "events": ("dts_events", "Row events read, our own writes and second copies included."),
    "marked": ("dts_marked_events", "Row events under our own mark, not carried back."),
    "duplicates": ("dts_duplicate_events", "Row events that the connector had sent before."),
    "changes": ("dts_changes", "Changes after compaction, at most one a key and batch."),
    "conflicts": ("dts_conflicts", "Changes that met another row at the target."),
    "superseded": ("dts_superseded_changes", "Users' changes that our own write overtook."),
    "quarantined": ("dts_quarantined_changes", "Changes put into quarantine or held there."),
    RUNS: ("dts_runs", "Runs that ended without an error."),
}
_ROWS = ("inserted", "updated", "deleted", "cascaded", "same")


@dataclass(frozen=True)
class Reading:
    """What is known of a link: its figures, None where its ledger could not be read.

    `at`, in seconds since 1970, and `seconds` are when that was tried, and how long it took.
    """

    link: Link
    figures: LinkFigures | None
    at: float
    seconds: float


def metrics_of(readings: Iterable[Reading]) -> Iterator[Metric]:
    """Every metric; a link whose ledger could not be read has `dts_link_up` 0 and little more."""
    readings = list(readings)
    known = [(r.link, r.figures) for r in readings if r.figures is not None]
    lanes = [
        (link, lane)
        for link, figures in known
        for lane in figures.lanes
        if lane.lane in {own.lane for own in link.each_lane()}  # not one that was split up
    ]
    yield from _of_readings(readings)
    yield from _of_links(known)
    yield from _gauges(lanes)
    yield from _counters(lanes)


def _of_readings(readings: list[Reading]) -> Iterator[Metric]:
    up = _gauge("dts_link_up", "Whether the link's ledger could be read.", ["link"])
    info = _gauge("dts_link_info", "1.", ["link", "source", "target", "pair"])
    at = _gauge(
        "dts_ledger_read_timestamp_seconds", "When the ledger was last asked; 0: never.", ["link"]
    )
    took = _gauge("dts_ledger_read_seconds", "How long it took.", ["link"])
    for reading in readings:
        link = reading.link
        up.add_metric([link.name], float(reading.figures is not None))
        info.add_metric([link.name, link.source, link.target, link.pair or ""], 1)
        at.add_metric([link.name], reading.at)
        took.add_metric([link.name], reading.seconds)
    yield from (up, info, at, took)


def _of_links(known: list[tuple[Link, LinkFigures]]) -> Iterator[Metric]:
    opened = _gauge("dts_open_conflicts", "Keys with an open record.", ["link"])
    by_kind = _gauge(
        "dts_open_conflicts_by_kind", "Keys with an open record.", ["link", "table", "kind"]
    )
    held = _gauge("dts_quarantined_keys", "Keys in quarantine.", ["link"])
    limit = _gauge("dts_quarantine_limit_keys", "`quarantine_limit` of dts.yaml.", ["link"])
    loop = _gauge("dts_loop_findings", "The loop audit's findings of one day.", ["link"])
    for link, figures in known:
        opened.add_metric([link.name], sum(figures.conflicts.values()))
        for (table, kind), count in sorted(figures.conflicts.items()):
            by_kind.add_metric([link.name, table, kind], count)
        held.add_metric([link.name], figures.quarantined)
        limit.add_metric([link.name], link.quarantine_limit)
        loop.add_metric([link.name], sum(figures.loop.values()))
    yield from (opened, by_kind, held, limit, loop)


def _gauges(lanes: list[tuple[Link, LaneFigures]]) -> Iterator[Metric]:
    batch = _gauge("dts_checkpoint_batch", "The number of the last batch.", _LANE)
    generation = _gauge("dts_checkpoint_generation", "The checkpoint's generation.", _LANE)
    paused = _gauge("dts_paused", "Whether the lane is paused.", _LANE)
    failing = _gauge("dts_last_run_failed", "Whether the newest run ended with an error.", _LANE)
    lag = _gauge(
        "dts_lag_seconds",
        "What was committed at the source longer ago is applied; by watermark, growing until the "
        "next run.",
        _LANE,
    )
    behind = _gauge("dts_behind_events", "Row events left in Kafka by the last run.", _LANE)
    success = _gauge("dts_last_success_timestamp_seconds", "When a run last ended well.", _LANE)
    failure = _gauge("dts_last_failure_timestamp_seconds", "When a run last failed.", _LANE)
    moved = _gauge("dts_checkpoint_moved_timestamp_seconds", "When a batch last moved it.", _LANE)
    for link, lane in lanes:
        for family, value in (
            (batch, lane.batch),
            (generation, lane.generation),
            (paused, float(lane.paused)),
            (failing, float(lane.is_failing)),
            (lag, lane.lag_seconds),
            (behind, lane.behind),
            (success, _epoch(lane.succeeded_at)),
            (failure, _epoch(lane.failed_at)),
            (moved, _epoch(lane.moved_at)),
        ):
            if value is not None:
                family.add_metric([link.name, lane.lane], value)
    yield from (batch, generation, paused, failing, lag, behind, success, failure, moved)


def _counters(lanes: list[tuple[Link, LaneFigures]]) -> Iterator[Metric]:
    for total, (name, words) in _COUNTERS.items():
        family = CounterMetricFamily(name, words, labels=_LANE)
        for link, lane in lanes:
            family.add_metric([link.name, lane.lane], lane.totals.get(total, 0.0))
        yield family
    rows = CounterMetricFamily(
        "dts_rows", "Rows written at the target, or found there already.", labels=(*_LANE, "action")
    )
    records = CounterMetricFamily(
        "dts_records",
        "Keys recorded in dts.conflict by batches.",
        labels=(*_LANE, "kind", "decision"),
    )
    seconds = CounterMetricFamily(
        "dts_stage_seconds", "What the stages of a batch took.", labels=(*_LANE, "stage")
    )
    failures = CounterMetricFamily(
        "dts_run_failures", "Runs that ended with an error.", labels=(*_LANE, "code")
    )
    for link, lane in lanes:
        place = [link.name, lane.lane]
        for action in _ROWS:
            rows.add_metric([*place, action], lane.totals.get(action, 0.0))
        for name, value in lane.totals.items():
            if name.startswith(RECORDED):
                records.add_metric([*place, *name.removeprefix(RECORDED).split("/")], value)
            elif name.startswith(SECONDS):
                seconds.add_metric([*place, name.removeprefix(SECONDS)], value)
            elif name.startswith(FAILURES):
                failures.add_metric([*place, name.removeprefix(FAILURES)], value)
    yield from (rows, records, seconds, failures)


def _gauge(name: str, words: str, labels: Iterable[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, words, labels=tuple(labels))


def _epoch(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None
