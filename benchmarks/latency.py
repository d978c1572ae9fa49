"""From commit at one site to visible at the other, while both sites take writes.

A prober at each site inserts a row every fifth of a second and notes when its COMMIT returned; a
watcher at the other site notes when it first sees the row. All clocks are this machine's.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import dagster as dg
import yaml

from benchmarks.daemon import SENSOR_SECONDS, daemon, make_home, program
from benchmarks.errors import BenchError
from benchmarks.setting import Setting, rows_of, run_sql
from dts_pipeline.defs.storage import instance_at

GOAL = 10.0
"""Seconds within which 95 of 100 changes are to be visible."""
CHANGES = 1_000
"""Row changes a second and site."""
_SECONDS, _SAMPLE = 300.0, 40.0
_ROWS = 10  # of a transaction
_KEYS = 50_000
_PROBE_SECONDS, _LOOK_SECONDS = 0.2, 0.02
_WARM_SECONDS, _END_SECONDS, _COMMAND_SECONDS = 60.0, 180.0, 300
_OTHER = {"a": "b", "b": "a"}
_TABLES = (
    "DROP TABLE IF EXISTS shop.bench_change, shop.bench_probe",
    "CREATE TABLE shop.bench_change (id BIGINT PRIMARY KEY, number BIGINT NOT NULL, "
    "name VARCHAR(60) NOT NULL, note VARCHAR(200))",
    "CREATE TABLE shop.bench_probe (id BIGINT PRIMARY KEY, site CHAR(1) NOT NULL, KEY (site, id))",
)
_CHECK = (
    "SELECT COUNT(*), COALESCE(SUM(CRC32(CONCAT_WS('#', id, number, name, note))), 0) "
    "FROM shop.bench_change"
)


@dataclass
class Probes:
    """When each probe of a site was committed and seen at the other one, in seconds."""

    committed: dict[int, float] = field(default_factory=dict)
    seen: dict[int, float] = field(default_factory=dict)

    def seconds(self) -> list[float]:
        """How long each probe took."""
        return [self.seen[number] - at for number, at in self.committed.items()]


def measure_latency(setting: Setting, out: Path, *, sample: bool) -> str:
    """Five minutes (or less, for a sample) of changes at both sites, as a section of the report."""
    home = (out / "latency").absolute()
    document = yaml.safe_load(Path(setting.description["config"]).read_text(encoding="utf-8"))
    for pair in document["pairs"].values():
        pair["mark_domain_id"] = pair.get("mark_domain_id", 4712)
    environ = make_home(home, document, setting.secrets)
    for site in "ab":
        with setting.application(site) as connection:
            run_sql(connection, *_TABLES)
    for command in (["init"], ["connectors", "--register"]):
        _dts(command, environ)
    with daemon(environ, home / "daemon.log"):
        _carry_one(setting)
        probes = _play(setting, _SAMPLE if sample else _SECONDS)
        _await_equal(setting)
    with instance_at(home) as instance:
        runs = _runs(instance)
    return "\n".join(_section(setting, probes, runs, _SAMPLE if sample else _SECONDS))


def _dts(arguments: Sequence[str], environ: Mapping[str, str]) -> None:
    done = subprocess.run(
        [program("dts"), *arguments],
        env=dict(environ),
        capture_output=True,
        text=True,
        timeout=_COMMAND_SECONDS,
    )
    if done.returncode:
        raise BenchError(f"dts {arguments[0]} failed: {done.stderr.strip()}")


def _carry_one(setting: Setting) -> None:
    """Waits until a probe of each site has arrived: Dagster's start is not what is measured."""
    probes = {site: Probes() for site in "ab"}
    until = time.monotonic() + _WARM_SECONDS
    for site, found in probes.items():
        _probe(setting, site, found)
    with contextlib.ExitStack() as stack:
        targets = {s: stack.enter_context(setting.application(_OTHER[s])) for s in probes}
        while any(len(found.seen) < len(found.committed) for found in probes.values()):
            for site, found in probes.items():
                _look(targets[site], site, found)
            if time.monotonic() > until:
                raise BenchError(f"nothing was carried within {_WARM_SECONDS:.0f} s")
            time.sleep(_LOOK_SECONDS)


def _play(setting: Setting, seconds: float) -> dict[str, Probes]:
    """Writers, probers and watchers of both sites side by side."""
    probes = {site: Probes() for site in "ab"}
    written = threading.Event()
    with ThreadPoolExecutor(6) as pool:
        watching = [pool.submit(_watch, setting, s, probes[s], written) for s in "ab"]
        writing = [pool.submit(_write, setting, s, seconds) for s in "ab"]
        writing += [pool.submit(_prober, setting, s, probes[s], seconds) for s in "ab"]
        try:
            for future in writing:
                future.result()
        finally:
            written.set()
        for future in watching:
            future.result()
    return probes


def _ticks(seconds: float, each: float) -> Iterator[int]:
    """Numbers at an even pace; a tick that comes late does not put off those behind it."""
    began = time.monotonic()
    for number in range(int(seconds / each)):
        time.sleep(max(0.0, began + number * each - time.monotonic()))
        yield number


def _write(setting: Setting, site: str, seconds: float) -> None:
    """The site's own keys (even ones at a, odd ones at b), in transactions of some rows."""
    statement = (
        "INSERT INTO shop.bench_change VALUES "
        + ", ".join(["(%s, %s, 'a name of some length', 'a note that is a little longer')"] * _ROWS)
        + " ON DUPLICATE KEY UPDATE number = VALUES(number)"
    )
    with setting.application(site) as connection, connection.cursor() as cursor:
        for number in _ticks(seconds, _ROWS / CHANGES):
            keys = [(number * _ROWS + row) * 7919 % _KEYS * 2 for row in range(_ROWS)]
            parameters = [(key + (site == "b"), number) for key in sorted(keys)]
            cursor.execute(statement, [value for row in parameters for value in row])


def _prober(setting: Setting, site: str, probes: Probes, seconds: float) -> None:
    for _ in _ticks(seconds, _PROBE_SECONDS):
        _probe(setting, site, probes)


def _probe(setting: Setting, site: str, probes: Probes) -> None:
    number = time.time_ns() // 1_000 * 2 + (site == "b")
    with setting.application(site) as connection:
        run_sql(connection, f"INSERT INTO shop.bench_probe VALUES ({number}, '{site}')")
        probes.committed[number] = time.time()


def _watch(setting: Setting, site: str, probes: Probes, written: threading.Event) -> None:
    """Until every probe of the site has been seen at the other one."""
    ends: float | None = None
    with setting.application(_OTHER[site]) as connection:
        while not (written.is_set() and len(probes.seen) >= len(probes.committed)):
            _look(connection, site, probes)
            if written.is_set():
                ends = ends or time.monotonic() + _END_SECONDS
                if time.monotonic() > ends:
                    raise BenchError(f"probes of site {site} are missing after the end")
            time.sleep(_LOOK_SECONDS)


def _look(connection: Any, site: str, probes: Probes) -> None:
    last = max(probes.seen, default=min(probes.committed, default=2**63) - 1)
    query = f"SELECT id FROM shop.bench_probe WHERE site = '{site}' AND id > {last}"
    found = [int(number) for (number,) in rows_of(connection, query)]
    now = time.time()
    probes.seen.update({number: now for number in found if number not in probes.seen})


def _await_equal(setting: Setting) -> None:
    """Both sites hold the same rows once all is carried; anything else ends the bench."""
    _wait(lambda: len({_rows(setting, site) for site in "ab"}) == 1, "the two sites are different")


def _rows(setting: Setting, site: str) -> tuple[int, int]:
    with setting.application(site) as connection:
        count, total = rows_of(connection, _CHECK)[0]
    return int(count), int(total)


def _wait(condition: Callable[[], bool], otherwise: str) -> None:
    until = time.monotonic() + _END_SECONDS
    while not condition():
        if time.monotonic() > until:
            raise BenchError(f"after {_END_SECONDS:.0f} s {otherwise}")
        time.sleep(1)


@dataclass(frozen=True)
class Runs:
    """Medians in seconds: from a run's request to its start, and from there to its end."""

    count: int
    launch: float
    length: float


def _runs(instance: dg.DagsterInstance) -> Runs:
    finished = dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS])
    records = [
        record
        for record in instance.get_run_records(finished)
        if record.dagster_run.job_name.startswith("sync_") and record.start_time and record.end_time
    ]
    if not records:
        raise BenchError("no run has ended well")
    launch = [(r.start_time or 0) - r.create_timestamp.timestamp() for r in records]
    length = [(r.end_time or 0) - (r.start_time or 0) for r in records]
    return Runs(len(records), median(launch), median(length))


def _section(
    setting: Setting, probes: Mapping[str, Probes], runs: Runs, seconds: float
) -> Iterator[str]:
    found = [value for each in probes.values() for value in each.seconds()]
    cuts = quantiles(found, n=100)
    half, most = cuts[49], cuts[94]
    yield f"## Delay on {setting.target_kind}"
    yield ""
    yield (
        f"{CHANGES:,} changes/s at each of two sites for {seconds:.0f} s, a sensor every "
        f"{SENSOR_SECONDS} s. From commit at one site to visible at the other, {len(found):,} "
        f"probes: p50 {half:.1f} s, p95 {most:.1f} s, longest {max(found):.1f} s (aim: p95 "
        f"{GOAL:.0f} s, {'met' if most <= GOAL else 'not met'})."
    )
    yield ""
    yield (
        f"{runs.count} runs; medians: {runs.launch:.1f} s from a run's request to its start, "
        f"{runs.length:.1f} s from its start to its end. Both sites were equal at the end."
    )
    yield ""
