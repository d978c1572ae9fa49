"""A backlog: memory and time as it grows, and how long Dagster's own ticks take to drain it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from benchmarks.contenders.pipeline import Pipeline
from benchmarks.daemon import SENSOR_SECONDS, daemon, make_home
from benchmarks.errors import BenchError
from benchmarks.record import Recording, make_numbers, recorded
from benchmarks.results import Run
from benchmarks.setting import Setting, rows_of
from benchmarks.workloads import insert_only
from dts_pipeline.defs.storage import instance_at

GOAL = 1.5
_SIZES, _SAMPLE = (200_000, 5_000_000), (10_000, 100_000)
_LINK = "drained"
_DRAIN_SECONDS = 3_600.0
_END_SECONDS = 30.0
_MIB = 2**20


@dataclass(frozen=True)
class Drained:
    """wall: from the first run's start to the last's end. batches: seconds of all their stages."""

    wall: float
    batches: float
    runs: int


def measure_backlog(setting: Setting, out: Path, *, sample: bool) -> str:
    """A small and a large backlog by one `dts sync`, the large one by the daemon as well."""
    sizes = _SAMPLE if sample else _SIZES
    for site in "ab":
        make_numbers(setting, site, max(sizes))
    found = {}
    drained = None
    for size in sizes:
        with recorded(setting, insert_only(size), ("plain",)) as recording:
            recording.reset_target()
            found[size] = Pipeline(out, detect=True).run(recording)
            recording.check_target("the pipeline")
            if size == max(sizes):
                recording.reset_target()
                drained = drain(recording, out)
                recording.check_target("the daemon's runs")
    assert drained is not None
    return "\n".join(_section(setting, found, drained))


def drain(recording: Recording, out: Path) -> Drained:
    """Lets Dagster's daemon carry the range by its schedule and its lag sensor."""
    home = (out / "backlog").absolute()
    link = f"{_LINK}_{time.time_ns() // 10**9:x}"
    source = recording.sources["plain"]
    document = recording.document("plain", link, {"conflicts": {"policy": {"site": source}}})
    with daemon(make_home(home, document, recording.setting.secrets), home / "daemon.log"):
        _await_end(recording, link)
        with instance_at(home) as instance:
            return _drained(instance, link)


def _await_end(recording: Recording, link: str) -> None:
    """Until the ledger says that every event of the range was applied."""
    wanted = recording.workload.events
    query = (
        "SELECT COALESCE(SUM(CAST(JSON_VALUE(counts, '$.events') AS UNSIGNED)), 0) "
        f"FROM dts.batch WHERE link = '{link}'"
    )
    until = time.monotonic() + _DRAIN_SECONDS
    with recording.setting.application("b") as connection:
        while int(rows_of(connection, query)[0][0]) < wanted:
            if time.monotonic() > until:
                raise BenchError(f"the backlog was not drained in {_DRAIN_SECONDS:.0f} s")
            time.sleep(0.5)


def _drained(instance: dg.DagsterInstance, link: str) -> Drained:
    """From the finished runs that applied something."""
    key = dg.AssetKey(["checkpoint", link])
    until = time.monotonic() + _END_SECONDS
    while _unfinished(instance):
        if time.monotonic() > until:
            raise BenchError("the last run does not end")
        time.sleep(0.2)
    seconds: dict[str, float] = {}
    for record in instance.fetch_materializations(key, limit=1_000).records:
        if record.asset_materialization and record.event_log_entry.run_id:
            metadata = record.asset_materialization.metadata
            if metadata["batches_this_run"].value:
                run_id = record.event_log_entry.run_id
                seconds[run_id] = sum(
                    float(str(value.value))
                    for name, value in metadata.items()
                    if name.startswith("seconds/")
                )
    records = instance.get_run_records(dg.RunsFilter(run_ids=list(seconds)))
    begun = [record.start_time for record in records if record.start_time]
    ended = [record.end_time for record in records if record.end_time]
    if not begun or not ended:
        raise BenchError("no run has applied anything")
    return Drained(max(ended) - min(begun), sum(seconds.values()), len(seconds))


def _unfinished(instance: dg.DagsterInstance) -> bool:
    started = [dg.DagsterRunStatus.STARTED]
    return any(
        run.job_name.startswith("sync_")
        for run in instance.get_runs(dg.RunsFilter(statuses=started))
    )


def _section(setting: Setting, found: Mapping[int, Run], drained: Drained) -> Iterator[str]:
    yield f"## Backlog on {setting.target_kind}"
    yield ""
    yield "| events | seconds | events/s | peak memory, MiB |"
    yield "|---|---|---|---|"
    for size, run in found.items():
        peak = (run.peak_bytes or 0) / _MIB
        yield f"| {size:,} | {run.seconds:.1f} | {run.rate:,.0f} | {peak:,.0f} |"
    ratio = drained.wall / drained.batches
    yield ""
    yield (
        f"{max(found):,} events by Dagster's daemon, with a schedule each minute and a sensor "
        f"every {SENSOR_SECONDS} s: {drained.wall:.1f} s in {drained.runs} run(s), whose "
        f"batches took {drained.batches:.1f} s: {ratio:.2f} times (at most {GOAL} wanted: "
        f"{'met' if ratio <= GOAL else 'not met'})."
    )
    yield ""
