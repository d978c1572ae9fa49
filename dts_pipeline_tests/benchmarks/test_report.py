"""The report's tables, its goals, and the figures kept beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.report import AUTOCOMMIT, SINK, Measured, facts, markdown, write_json
from benchmarks.results import Run

ON, OFF = "pipeline, detection on", "pipeline, detection off"


def _measured(workload: str = "mixed", **seconds: float) -> Measured:
    names = {"on": ON, "off": OFF, "sink": SINK, "old": AUTOCOMMIT}
    runs = [Run(names[who], 1_000, value) for who, value in seconds.items()]
    return Measured("mysql", workload, "changes", runs)


def _row(text: str, *cells: str) -> str:
    """The one line of a table that begins with these cells."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {' | '.join(cells)} |"))
    return line


@pytest.mark.parametrize(("seconds", "met"), [(10.0, "yes"), (9.9, "no")])
def test_a_goal_is_met_from_its_ratio_on(seconds: float, met: str) -> None:
    text = markdown({}, [_measured(off=1.0, sink=seconds)])
    assert _row(text, "mixed", "mysql", OFF, SINK).endswith(f"| {met} |")


def test_every_goal_that_was_measured_is_listed() -> None:
    found = [_measured(on=1, off=1, sink=9, old=30), _measured("hot", on=1, sink=9)]
    goals = markdown({}, found).partition("## Goals")[2].partition("\n## ")[0]
    assert [line.split(" | ")[4] for line in goals.splitlines() if " times |" in line] == [
        "10 times",
        "7 times",
        "20 times",
        "25 times",
    ]


def test_goals_without_a_measurement_are_left_out() -> None:
    assert "## Goals" not in markdown({}, [_measured(on=1.0)])


def test_a_contender_has_its_rate_spread_and_ratio() -> None:
    runs = [
        *(
            Run(ON, 1_000, seconds, startup=1.5, peak_bytes=2**20, cpu=seconds / 2, target_cpu=3.0)
            for seconds in (1.0, 2.0, 4.0)
        ),
        *(Run(SINK, 1_000, seconds) for seconds in (10.0, 10.0, 10.0)),
    ]
    text = markdown({}, [Measured("mysql", "mixed", "changes", runs)])
    row = _row(text, ON)
    assert row == (
        f"| {ON} | 500 (250 to 1,000) | 2.00 (1.00 to 4.00) | 1.5 (1.5 to 1.5) | 1 "
        "| 1.0 | 3.0 | 5.0 (2.5 to 10.0) |"
    )
    assert _row(text, SINK).endswith("|  |  |  |  |  |")


def test_stages_have_a_table_of_their_own() -> None:
    runs = [Run(ON, 1_000, 3.0, stages={"pull": 1.0, "apply": 1.5})]
    text = markdown({}, [Measured("mysql", "mixed", "changes", runs)])
    assert "| who | pull | apply | the rest |" in text
    assert f"| {ON} | 1.00 | 1.50 | 0.50 |" in text


def test_what_figures_mean_nothing_without_stands_on_top() -> None:
    about = facts("make bench")
    text = markdown(about, [])
    assert about["cores"].isdigit()
    assert "- command: `make bench`" in text
    assert f"- date: {about['date']}" in text


def test_further_parts_come_last() -> None:
    assert markdown({}, [_measured(on=1.0)], ["## Capture\n"]).endswith("## Capture\n")


def test_every_run_is_kept(tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", {"cores": "2"}, [_measured(on=1.0, sink=2.0)])
    kept = json.loads((tmp_path / "results.json").read_text())
    assert kept["about"] == {"cores": "2"}
    assert [run["seconds"] for run in kept["measured"][0]["runs"]] == [1.0, 2.0]


def test_the_picture_is_a_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="only the extra `bench` brings it")
    from benchmarks.plot import draw

    draw(tmp_path / "plot.png", [_measured(on=1.0, sink=2.0), _measured("hot", on=1.0)])
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
