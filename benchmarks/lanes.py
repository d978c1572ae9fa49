"""One lane beside two, by table and by partition: the same recorded range, the same target."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from benchmarks.contenders.child import run_child
from benchmarks.errors import BenchError
from benchmarks.measure import measure
from benchmarks.record import Recording, make_numbers, recorded
from benchmarks.results import Run
from benchmarks.setting import Setting
from benchmarks.workloads import two_tables

_EVENTS, _SAMPLE = 200_000, 10_000
_PARTITIONS = 4
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Lanes:
    """The link with these lanes, each by a process of its own, all at once."""

    name: str
    folder: Path
    settings: Mapping[str, Any] | None
    lanes: Sequence[str]

    def run(self, recording: Recording) -> Run:
        """From the moment when the first lane plans to the end of the last."""
        link = f"lanes_{next(_numbers)}_{time.time_ns() // 10**9:x}"
        source = recording.sources["plain"]
        keys: dict[str, Any] = {"conflicts": {"policy": {"site": source}}}
        keys |= {"lanes": dict(self.settings)} if self.settings else {}
        path = self.folder / f"{link}.yaml"
        document = recording.document("plain", link, keys)
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        titles = [f"{link}/{lane}" for lane in self.lanes] or [link]
        with ThreadPoolExecutor(len(titles)) as pool:
            found = list(pool.map(lambda title: self._child(recording, path, title), titles))
        events = sum(child["events"] for child in found)
        if any(child["open_conflicts"] for child in found):
            raise BenchError(f"{self.name} left open conflicts")
        if events != recording.workload.events:
            raise BenchError(f"{self.name} carried {events:,} events")
        return Run(
            contender=self.name,
            events=recording.workload.events,
            seconds=max(c["ended"] for c in found) - min(c["planned"] for c in found),
            peak_bytes=max(child["peak_bytes"] for child in found),
            stages=_added(found),
            cpu=sum(child["cpu"] for child in found),
        )

    def _child(self, recording: Recording, path: Path, title: str) -> dict[str, Any]:
        return run_child(
            "benchmarks.contenders.pipeline_child",
            [str(path), title],
            {**os.environ, **recording.setting.secrets, "DAGSTER_HOME": ""},
            self.folder / "lanes.log",
        )


def measure_lanes(setting: Setting, out: Path, repeat: int, *, sample: bool) -> str:
    """Rounds of one lane, two by table and two by partition; each checked against the source."""
    size = _SAMPLE if sample else _EVENTS
    for site in "ab":
        make_numbers(setting, site, size)
    workload = two_tables(size)
    schema = workload.schema
    ways = [
        Lanes("one lane", out, None, ()),
        Lanes("two by table", out, {"t": [f"{schema}.t"], "rest": ["*"]}, ("t", "rest")),
        Lanes("two by partition", out, {"by": "partition", "count": 2}, ("0_of_2", "1_of_2")),
    ]
    with recorded(setting, workload, ("plain",), _PARTITIONS) as recording:
        runs = measure(recording, ways, repeat, lambda text: print(text, file=sys.stderr))
    return "\n".join(_section(setting, workload.what, runs))


def _added(found: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    stages: dict[str, float] = {}
    for child in found:
        for name, value in child["stages"].items():
            stages[name] = stages.get(name, 0.0) + value
    return stages


def _section(setting: Setting, what: str, runs: Sequence[Run]) -> Iterator[str]:
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        by_name.setdefault(run.contender, []).append(run)
    one = median(run.rate for run in by_name["one lane"])
    yield f"## Lanes on {setting.target_kind}: {what}, {_PARTITIONS} partitions a topic"
    yield ""
    yield "| lanes | events/s, median | lowest to highest | times one lane | CPU of the runs, s |"
    yield "|---|---|---|---|---|"
    for name, own in by_name.items():
        rates = sorted(run.rate for run in own)
        yield (
            f"| {name} | {median(rates):,.0f} | {rates[0]:,.0f} to {rates[-1]:,.0f} | "
            f"{median(rates) / one:.2f} | {median(run.cpu or 0.0 for run in own):.1f} |"
        )
    yield ""
