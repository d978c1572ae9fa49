"""The picture of a bench: events a second by workload and contender, one panel a target."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.report import Measured
from benchmarks.results import Spread, by_contender


def draw(path: Path, measured: Sequence[Measured]) -> None:
    """Writes a PNG: bars are medians, whiskers least and most; the scale is logarithmic."""
    targets = list(dict.fromkeys(each.target for each in measured))
    height = 1.5 + 0.32 * max(_bars(measured, target) for target in targets)
    figure = Figure(figsize=(8 * len(targets), height), layout="constrained")
    panels = figure.subplots(1, len(targets), squeeze=False, sharex=True)
    names = list(dict.fromkeys(run.contender for each in measured for run in each.runs))
    colours = {name: f"C{number}" for number, name in enumerate(names)}
    for panel, target in zip(panels[0], targets, strict=True):
        place, ticks, labels = 0.0, [], []
        for each in (each for each in measured if each.target == target):
            begin = place
            for name, runs in by_contender(each.runs).items():
                spread = Spread.of(run.rate for run in runs)
                whiskers = [[spread.median - spread.least], [spread.most - spread.median]]
                panel.barh(place, spread.median, xerr=whiskers, color=colours[name], label=name)
                panel.annotate(f" {spread.median:,.0f}", (spread.most, place), va="center")
                place += 1
            ticks.append((begin + place - 1) / 2)
            labels.append(each.workload)
            place += 1
        panel.set(xscale="log", xlabel="events a second", title=target)
        panel.set_yticks(ticks, labels)
        panel.invert_yaxis()
        panel.margins(x=0.2)
    handles = {
        label: handle
        for panel in panels[0]
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2)
    figure.savefig(path, dpi=120)


def _bars(measured: Sequence[Measured], target: str) -> int:
    """Bars and gaps of a target's panel."""
    return sum(1 + len(by_contender(m.runs)) for m in measured if m.target == target)
