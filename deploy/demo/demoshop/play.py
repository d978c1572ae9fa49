"""The play: both sides write, then rest until scheduled runs have made them equal."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count

from rich.live import Live

from demoshop.compare import Picture, picture
from demoshop.errors import DemoError
from demoshop.evidence import Runs, runs_of
from demoshop.setting import SITES, Setting
from demoshop.shop import Writer, clash
from demoshop.show import CONSOLE, board, say, step

JOBS = ("sync_a_to_b", "sync_b_to_a", "settle")
_WRITE_SECONDS = 30.0
_WRITE_LIMIT = 240.0
_EQUAL_LIMIT = 420.0
_ROUND_SECONDS = 60.0
_REST_SECONDS = 20.0
_LOOK_SECONDS = 2.0
_LINE_SECONDS = 10.0


def watch(setting: Setting) -> int:
    """Plays rounds of writing and resting until Ctrl-C."""
    say(f"\nDagster's UI: {setting.url}\nCtrl-C ends everything.\n")
    for number in count(1):
        _write(setting, number, lambda elapsed, _now: elapsed >= _ROUND_SECONDS)
        if not _rest(setting, number):
            say("not equal in time; `dts status` and the UI show why")
        _look(setting, "equal; the next round begins soon", _REST_SECONDS, lambda *_: False)
    return 0


def check(setting: Setting) -> int:
    """One round, unattended; 0 if both sides are equal and only schedules started runs."""
    say(f"Dagster's UI: {setting.url}")

    def ran_while_writing(elapsed: float, _now: Picture) -> bool:
        runs = runs_of(setting.home)
        if elapsed > _WRITE_LIMIT:
            raise DemoError(_no_runs(setting, runs))
        return elapsed >= _WRITE_SECONDS and all(runs.succeeded(job) for job in JOBS)

    written = _write(setting, 1, ran_while_writing)
    equal = _rest(setting, 1)
    links = setting.status()["links"]
    return _verdict(setting, written, equal, links)


def _write(setting: Setting, number: int, done: Callable[[float, Picture], bool]) -> dict[str, int]:
    """Both sides write until `done`; gives the transactions by site."""
    step(f"round {number}: both sides write")
    writers = {site: Writer(site, lambda s=site: setting.connect(s), number) for site in SITES}  # type: ignore[misc]
    for writer in writers.values():
        writer.start()

    def ended(elapsed: float, now: Picture) -> bool:
        for site, writer in writers.items():
            if writer.failure:
                raise DemoError(f"the writer of side {site} failed: {writer.failure}")
        return done(elapsed, now)

    try:
        _look(setting, "both sides write", _WRITE_LIMIT + 60, ended)
    finally:
        for writer in writers.values():
            writer.stop()
    for site in SITES:
        with setting.connect(site) as connection:
            clash(connection, site, number)
    written = {site: writer.transactions for site, writer in writers.items()}
    say(" ".join(f"{n} transactions at {site}." for site, n in written.items()))
    return written


def _rest(setting: Setting, number: int) -> bool:
    """Nobody writes; waits until the schedules have carried everything, and settled conflicts."""
    step(f"round {number}: nobody writes, the schedule goes on")

    def settled(_elapsed: float, now: Picture) -> bool:
        links = setting.status()["links"]
        at_rest = all(link["behind"] == 0 and not link["open_conflicts"] for link in links)
        return now.is_equal and at_rest

    return _look(setting, "waiting for equality", _EQUAL_LIMIT, settled)


def _look(
    setting: Setting, what: str, seconds: float, done: Callable[[float, Picture], bool]
) -> bool:
    """Shows both sides until `done` or the time is over; whether it was done."""
    began = time.monotonic()
    last_line = -_LINE_SECONDS
    with Live(console=CONSOLE, auto_refresh=False, transient=False) as live:
        while (elapsed := time.monotonic() - began) < seconds:
            setting.children.raise_if_ended()
            now = picture(setting)
            title = f"{what}, {elapsed:.0f} s"
            if CONSOLE.is_terminal:
                live.update(board(now, title), refresh=True)
            elif elapsed - last_line >= _LINE_SECONDS:
                last_line = elapsed
                say(_line(now, title))
            if done(elapsed, now):
                return True
            time.sleep(_LOOK_SECONDS)
    return False


def _line(now: Picture, title: str) -> str:
    rows = " ".join(
        f"{site}={sum(r for r, _ in side.tables.values())}" for site, side in now.sides.items()
    )
    batches = " ".join(f"{k}={n}" for side in now.sides.values() for k, n in side.batches.items())
    word = "equal" if now.is_equal else "different"
    return f"{title}: {word}, rows {rows}, batches {batches or 'none yet'}"


def _verdict(
    setting: Setting, written: dict[str, int], equal: bool, links: list[dict[str, object]]
) -> int:
    """Prints the evidence and judges it."""
    now, runs = picture(setting), runs_of(setting.home)
    CONSOLE.print(board(now, "evidence"))
    for job in JOBS:
        counts = ", ".join(f"{n} {s}" for s, n in sorted(runs.by_job.get(job, {}).items()))
        say(f"{job}: started by {runs.schedules.get(job, 'nobody')}: {counts or 'no run'}")
    findings = {
        "both sides are equal": equal and now.is_equal,
        "there are rows, written at both sides": now.rows > 0 and all(written.values()),
        "every run was started by a schedule": not runs.started_by_hand
        and set(JOBS) <= set(runs.schedules),
        "each link had runs that succeeded": all(runs.succeeded(job) for job in JOBS),
        "no run failed": not runs.failed,
        "nothing is left in Kafka": all(link["behind"] == 0 for link in links),
        "no conflict is open": not any(link["open_conflicts"] for link in links),
    }
    for finding, holds in findings.items():
        say(f"{'ok  ' if holds else 'FAIL'} {finding}")
    if runs.failed:
        say(setting.log_tail("dagster-daemon"))
    return 0 if all(findings.values()) else 1


def _no_runs(setting: Setting, runs: Runs) -> str:
    found = ", ".join(f"{job} {by}" for job, by in runs.by_job.items()) or "none"
    return (
        f"no scheduled run of each link has succeeded in {_WRITE_LIMIT:.0f} s; runs: {found}\n"
        f"{setting.log_tail('dagster-daemon')}"
    )
