"""The Markdown report of a bench, and its raw figures as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.results import Run, Spread, by_contender, ratios, stage_medians

SINK = "Debezium JDBC sink"
AUTOCOMMIT = "one autocommit statement an event"
_MIB = 2**20


@dataclass(frozen=True)
class Measured:
    """Every run of one workload on one target."""

    target: str
    workload: str
    what: str
    runs: Sequence[Run]


@dataclass(frozen=True)
class Goal:
    """How many times faster the pipeline means to be, on every target."""

    workload: str
    pipeline: str
    against: str
    least: float


GOALS = (
    Goal("mixed", "pipeline, detection off", SINK, 10),
    Goal("mixed", "pipeline, detection on", SINK, 7),
    Goal("hot", "pipeline, detection on", SINK, 20),
    Goal("mixed", "pipeline, detection on", AUTOCOMMIT, 25),
)


def facts(command: str) -> dict[str, str]:
    """When and where: what figures mean nothing without."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": str(os.cpu_count()),
        "memory": f"{memory / 2**30:.0f} GiB",
        "load when it began": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        "command": f"`{command}`",
    }


def write_json(path: Path, about: Mapping[str, str], measured: Sequence[Measured]) -> None:
    """Every single run, for another look later."""
    document = {"about": dict(about), "measured": [asdict(each) for each in measured]}
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")


def markdown(
    about: Mapping[str, str], measured: Sequence[Measured], parts: Sequence[str] = ()
) -> str:
    """The whole report; `parts` are texts of further measurements."""
    lines = ["# Benchmark", "", *(f"- {name}: {value}" for name, value in about.items()), ""]
    goals = list(_goals(measured))
    if goals:
        lines += ["## Goals", "", *_table(_GOAL_HEAD, goals), ""]
    for each in measured:
        lines += [f"## {each.workload} on {each.target}: {each.what}", "", *_figures(each), ""]
        stages = list(_stages(each.runs))
        if stages:
            lines += ["Median seconds a stage:", "", *stages, ""]
    return "\n".join([*lines, *parts])


_GOAL_HEAD = ("workload", "target", "who", "against", "at least", "found", "met")
_HEAD = (
    "who",
    "events/s",
    "seconds",
    "start-up, s",
    "peak memory, MiB",
    "CPU s",
    "CPU s of target",
)


def _goals(measured: Sequence[Measured]) -> Iterator[tuple[str, ...]]:
    for goal in GOALS:
        for each in measured:
            runs = by_contender(each.runs)
            if each.workload == goal.workload and {goal.pipeline, goal.against} <= set(runs):
                found = ratios(runs[goal.pipeline], runs[goal.against])
                met = "yes" if found.median >= goal.least else "no"
                yield (
                    *(each.workload, each.target, goal.pipeline, goal.against),
                    *(f"{goal.least:.0f} times", _times(found), met),
                )


def _figures(measured: Measured) -> Iterator[str]:
    """A row a contender; how many times each is as fast as the others that are not the pipeline."""
    runs = by_contender(measured.runs)
    others = [name for name in (SINK, AUTOCOMMIT) if name in runs]
    rounds = max(len(found) for found in runs.values())
    rows = []
    for name, found in runs.items():
        memory = [run.peak_bytes / _MIB for run in found if run.peak_bytes is not None]
        startup = [run.startup for run in found if run.startup is not None]
        rows.append(
            (
                name,
                _spread(Spread.of(run.rate for run in found), "{:,.0f}"),
                _spread(Spread.of(run.seconds for run in found), "{:.2f}"),
                _spread(Spread.of(startup), "{:.1f}") if startup else "",
                f"{max(memory):,.0f}" if memory else "",
                _median(run.cpu for run in found),
                _median(run.target_cpu for run in found),
                *(_times(ratios(found, runs[o])) if o != name else "" for o in others),
            )
        )
    yield from _table((*_HEAD, *(f"times {name}" for name in others)), rows)
    yield ""
    yield f"Medians of {rounds} interleaved rounds (least to most)."


def _stages(runs: Sequence[Run]) -> Iterator[str]:
    medians = {name: stage_medians(found) for name, found in by_contender(runs).items()}
    stages = list(dict.fromkeys(stage for found in medians.values() for stage in found))
    if stages:
        yield from _table(
            ("who", *stages),
            [
                (name, *(f"{found.get(stage, 0.0):.2f}" for stage in stages))
                for name, found in medians.items()
                if found
            ],
        )


def _median(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{Spread.of(known).median:.1f}" if known else ""


def _spread(spread: Spread, form: str) -> str:
    least, most = form.format(spread.least), form.format(spread.most)
    return f"{form.format(spread.median)} ({least} to {most})"


def _times(spread: Spread) -> str:
    return _spread(spread, "{:.1f}")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
