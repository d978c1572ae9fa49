"""Each alert fires in a real Prometheus when it is caused, and the dashboard asks what there is."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from dts_pipeline.errors import TerminalError
from dts_pipeline.stages import failed
from dts_pipeline_tests.conftest import MakeRig
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.operation.exporting import exporting
from dts_pipeline_tests.operation.prometheus import RULES, Prometheus, program, watching
from dts_pipeline_tests.sampling import full_only
from dts_pipeline_tests.stacks import ROOT

pytestmark = pytest.mark.servers

ITEM = "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(40))"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "links.json").read_text())
ALERTS = [
    rule["alert"]
    for rule in yaml.safe_load((RULES / "alerts.yaml").read_text())["groups"][0]["rules"]
]
METRIC = re.compile(r"\bdts_[a-z_]+\b")
SECONDS = 60.0


def test_promtool_takes_the_files_and_the_timing_of_every_alert() -> None:
    for words in (
        ("check", "config", "prometheus.yaml"),
        ("test", "rules", "alerts_test.yaml"),
    ):
        done = subprocess.run(
            [program("promtool"), *words], cwd=RULES, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    tested = (RULES / "alerts_test.yaml").read_text()
    assert set(re.findall(r"alertname: (\w+)$", tested, re.M)) == set(ALERTS)


def test_the_alerts_described_are_those_there_are() -> None:
    described = re.findall(r"^\| `(Dts\w+)` \|", (ROOT / "docs" / "metrics.md").read_text(), re.M)
    assert described == ALERTS


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    changes = {"pairs": {"pair": {"on_poison": "quarantine", "quarantine_limit": 1}}}
    rig = make_rig("alerted", ITEM, changes=changes)
    rig.sync()
    rig.drain()
    return rig


def ledger(rig: Rig, statement: str) -> None:
    """Changes the ledger of the link a to b."""
    rig.sql("b", f"{statement} WHERE link = '{rig.forth}'")


def conflict(rig: Rig, key: int = 1) -> None:
    rig.sql("b", f"INSERT INTO item VALUES ({key}, 'of b')")
    rig.sql("a", f"INSERT INTO item VALUES ({key}, 'of a')")
    rig.sync()


def quarantined(rig: Rig) -> None:
    rig.sql("b", "ALTER TABLE item MODIFY name VARCHAR(5)")
    rig.sql("a", "INSERT INTO item VALUES (2, REPEAT('x', 30))")
    rig.sync()


def failing(rig: Rig) -> None:
    runtime = rig.runtime(rig.forth)
    failed(runtime, TerminalError("offsets_lost", "gone"))
    runtime.close()


def loop(rig: Rig) -> None:
    rig.sql(
        "b",
        "INSERT INTO dts.loop_finding (link, stamp, table_name, kind, rows_written, rows_returned,"
        f" found_at) VALUES ('{rig.forth}', 's', 't', 'more', 1, 2, UTC_TIMESTAMP(6))",
    )


def stood_still(minutes: int) -> Callable[[Rig], None]:
    past = f"UTC_TIMESTAMP(6) - INTERVAL {minutes} MINUTE"
    return lambda rig: ledger(rig, f"UPDATE dts.progress SET succeeded_at = {past}")


CAUSES: list[tuple[str, Callable[[Rig], None]]] = [
    ("DtsLagging", stood_still(6)),
    ("DtsNoSuccessfulRun", stood_still(16)),
    ("DtsRunsFail", failing),
    ("DtsConflictsStayOpen", conflict),
    (
        "DtsManyConflicts",
        lambda rig: ledger(rig, "UPDATE dts.total SET value = value + 5000"),
    ),
    ("DtsQuarantine", quarantined),
    ("DtsQuarantineFilling", lambda rig: None),  # the one before has filled its limit of 1
    ("DtsLoopFinding", loop),
    ("DtsPaused", lambda rig: ledger(rig, "UPDATE dts.checkpoint SET paused = 1")),
]


@pytest.fixture
def watched(rig: Rig, tmp_path: Path) -> Iterator[Prometheus]:
    with (
        exporting(rig.path, rig.stack.env) as exporter,
        watching(tmp_path, exporter.address) as prometheus,
    ):
        wait_for(lambda: len(prometheus.query("dts_lag_seconds")) == 2, SECONDS)
        yield prometheus


def test_each_alert_fires_once_it_is_caused(rig: Rig, watched: Prometheus) -> None:
    conflict(rig, 3)  # a counter that begins at 0 rises from then on
    assert {alert for alert, _ in CAUSES} == set(ALERTS) - {"DtsExporterDown", "DtsLinkUnreadable"}
    assert {alert for alert, _ in watched.firing()} <= {"DtsConflictsStayOpen"}
    for alert, cause in CAUSES:
        cause(rig)
        wait_for(lambda alert=alert: (alert, rig.forth) in watched.firing(), SECONDS)  # type: ignore[misc]

    ledger(rig, "UPDATE dts.checkpoint SET paused = 0")
    rig.drain()
    wait_for(
        lambda: (
            not {"DtsRunsFail", "DtsLagging", "DtsNoSuccessfulRun", "DtsPaused"}
            & {alert for alert, _ in watched.firing()}
        ),
        SECONDS,
    )


def test_a_ledger_and_an_exporter_that_do_not_answer(rig: Rig, tmp_path: Path) -> None:
    document = rig.document()
    document["sites"][rig.sites[0]] |= {"port": 1}
    path = tmp_path / "away.yaml"
    path.write_text(yaml.safe_dump(document))
    with contextlib.ExitStack() as stack:
        exporter = stack.enter_context(exporting(path, rig.stack.env))
        with watching(tmp_path, exporter.address) as prometheus:
            unreadable = {("DtsLinkUnreadable", rig.back)}
            wait_for(lambda: prometheus.firing() == unreadable, SECONDS)
            stack.close()
            wait_for(lambda: ("DtsExporterDown", "") in prometheus.firing(), SECONDS)


@full_only
def test_every_query_of_the_dashboard_is_answered(rig: Rig, watched: Prometheus) -> None:
    conflict(rig)
    failing(rig)
    wait_for(lambda: bool(watched.query("dts_run_failures_total")), SECONDS)
    wait_for(lambda: bool(watched.query("rate(dts_events_total[1m]) > 0")), SECONDS)
    exported = {series["metric"]["__name__"] for series in watched.query('{__name__=~"dts_.*"}')}
    expressions = [t["expr"] for panel in DASHBOARD["panels"] for t in panel["targets"]]
    assert expressions
    for expression in expressions:
        assert set(METRIC.findall(expression)) <= exported, expression
        asked = expression.replace("$link", ".*")
        wait_for(lambda asked=asked: bool(watched.query(asked)), SECONDS)  # type: ignore[misc]
    assert set(METRIC.findall((RULES / "alerts.yaml").read_text())) <= exported
