"""`dts exporter` on real servers: its figures are the ledger's."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.errors import TerminalError
from dts_pipeline.stages import failed
from dts_pipeline_tests.conftest import MakeRig
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.operation.exporting import Exporter, exporting
from dts_pipeline_tests.sampling import full_only

pytestmark = pytest.mark.servers

ITEM = "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(40))"
ROW_VALUE = "alice@example.org"
ROWS = ("inserted", "updated", "deleted", "cascaded", "same")
COUNTERS = {
    "events": "dts_events_total",
    "marked": "dts_marked_events_total",
    "duplicates": "dts_duplicate_events_total",
    "changes": "dts_changes_total",
    "conflicts": "dts_conflicts_total",
    "superseded": "dts_superseded_changes_total",
    "quarantined": "dts_quarantined_changes_total",
    **{name: f"dts_rows_total/{name}" for name in ROWS},
}


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    quarantine = {"pairs": {"pair": {"on_poison": "quarantine", "quarantine_limit": 7}}}
    return make_rig("exported", ITEM, changes=quarantine)


def written_to(rig: Rig) -> None:
    """Rows of both sides, a conflict, and a value that the target does not take."""
    rig.sql("b", "ALTER TABLE item MODIFY name VARCHAR(17)")
    rig.sql("a", f"INSERT INTO item VALUES (1, '{ROW_VALUE}'), (2, 'of a'), (3, 'gone soon')")
    rig.sql("b", "INSERT INTO item VALUES (2, 'of b')")
    rig.sync()
    rig.sql("a", "DELETE FROM item WHERE id = 3", "INSERT INTO item VALUES (4, REPEAT('x', 30))")
    rig.sql("b", "UPDATE item SET name = 'again' WHERE id = 1")
    rig.sync()
    rig.drain()


def ledger_counts(rig: Rig, link: str) -> tuple[int, Counter[str]]:
    """Batches, and the sums of the counts that they left in `dts.batch`."""
    rows = rig.database(rig.links[link].target).query(
        "SELECT counts FROM dts.batch WHERE link = :link", {"link": link}
    )
    sums: Counter[str] = Counter()
    for row in rows:
        counts = json.loads(row.counts)
        for own in (counts, *counts["tables"].values()):
            sums.update({name: n for name, n in own.items() if isinstance(n, int)})
    return len(rows), sums


def exported(exporter: Exporter, metric: str, place: dict[str, str]) -> float:
    name, _, action = metric.partition("/")
    return exporter.value(name, {**place, **({"action": action} if action else {})})


def scalar(rig: Rig, link: str, query: str) -> Any:
    ((value,),) = rig.database(rig.links[link].target).query(query, {"link": link})
    return value


@pytest.fixture
def exporter(rig: Rig) -> Iterator[Exporter]:
    written_to(rig)
    with exporting(rig.path, rig.stack.env) as exporter:
        wait_for(lambda: exporter.values("dts_link_up") == [1, 1], 30)
        yield exporter


def test_the_figures_are_the_ledger_s(rig: Rig, exporter: Exporter) -> None:
    for link in (rig.forth, rig.back):
        place = {"link": link, "lane": "main"}
        batches, sums = ledger_counts(rig, link)
        assert exporter.value("dts_batches_total", place) == batches > 0
        for count, metric in COUNTERS.items():
            assert exported(exporter, metric, place) == sums[count], (link, count)
        checkpoint: Checkpoint = rig.checkpoint(link)
        assert exporter.value("dts_checkpoint_batch", place) == checkpoint.batch
        assert exporter.value("dts_checkpoint_generation", place) == checkpoint.generation
        opened = "SELECT COUNT(*) FROM dts.conflict WHERE link = :link AND state = 'open'"
        assert exporter.value("dts_open_conflicts", {"link": link}) == scalar(rig, link, opened)
        held = "SELECT COUNT(*) FROM dts.quarantine WHERE link = :link"
        assert exporter.value("dts_quarantined_keys", {"link": link}) == scalar(rig, link, held)
        recorded = {n: v for n, v in sums.items() if n.startswith("recorded/")}
        assert sum(exporter.values("dts_records_total", place)) == sum(recorded.values())

    forth = {"link": rig.forth}
    assert exporter.value("dts_quarantined_keys", forth) == 1
    assert exporter.value("dts_quarantine_limit_keys", forth) == 7
    kind = {**forth, "kind": "insert_insert", "table": f"{rig.name}.item"}
    assert exporter.value("dts_open_conflicts_by_kind", kind) == 1
    assert ROW_VALUE not in exporter.text()


@full_only
def test_lag_seconds_of_stages_and_runs_are_the_last_run_s(rig: Rig, exporter: Exporter) -> None:
    place = {"link": rig.forth, "lane": "main"}
    rig.sql("a", "INSERT INTO item VALUES (10, 'ten')")
    rig.await_events("a")
    before = {
        labels["stage"]: value
        for name, labels, value in exporter.samples()
        if name == "dts_stage_seconds_total" and place.items() <= labels.items()
    }
    runs = exporter.value("dts_runs_total", place)

    summary = rig.run(rig.forth)

    wait_for(lambda: exporter.value("dts_runs_total", place) == runs + 1, 30)
    assert set(summary.seconds) == {"pull", "normalize", "drop_marked", "compact", "apply"}
    for stage, value in summary.seconds.items():
        after = exporter.value("dts_stage_seconds_total", {**place, "stage": stage})
        assert after - before[stage] == pytest.approx(value, abs=1e-5)
    noted = "SELECT lag_seconds FROM dts.progress WHERE link = :link"
    assert float(scalar(rig, rig.forth, noted)) == pytest.approx(summary.lag_seconds, abs=0.001)
    at = exporter.value("dts_last_success_timestamp_seconds", place)
    read = exporter.value("dts_ledger_read_timestamp_seconds", {"link": rig.forth})
    lag = exporter.value("dts_lag_seconds", place)
    assert lag >= summary.lag_seconds - 0.001
    assert lag == pytest.approx(summary.lag_seconds + read - at, abs=2)
    assert exporter.value("dts_behind_events", place) == summary.behind


@full_only
def test_how_a_run_failed_is_told_by_its_code(rig: Rig, exporter: Exporter) -> None:
    place = {"link": rig.forth, "lane": "main"}
    runtime = rig.runtime(rig.forth)
    failed(runtime, TerminalError("offsets_lost", "gone", where={"topic": "t"}, remedy="Look."))
    runtime.close()

    wait_for(lambda: exporter.value("dts_last_run_failed", place) == 1, 30)
    assert exporter.value("dts_run_failures_total", {**place, "code": "offsets_lost"}) == 1

    rig.run(rig.forth)
    wait_for(lambda: exporter.value("dts_last_run_failed", place) == 0, 30)
    assert exporter.value("dts_run_failures_total", {**place, "code": "offsets_lost"}) == 1


@pytest.mark.parametrize("kind", [pytest.param("closed", marks=full_only), "silent"])
def test_a_server_that_is_away_hides_no_other_link(rig: Rig, tmp_path: Path, kind: str) -> None:
    rig.drain()
    document = rig.document()
    with socket.create_server(("127.0.0.1", 0)) as listener:  # takes connections, says nothing
        port = listener.getsockname()[1]
        if kind == "closed":
            listener.close()
        document["sites"][rig.sites[0]] |= {"port": port}
        path = tmp_path / "away.yaml"
        path.write_text(yaml.safe_dump(document))
        with exporting(path, rig.stack.env) as exporter:
            up = {"link": rig.forth}
            wait_for(lambda: exporter.value("dts_link_up", up) == 1, 30)
            assert exporter.value("dts_checkpoint_generation", up) == 1
            assert exporter.value("dts_link_up", {"link": rig.back}) == 0
            assert not exporter.values("dts_checkpoint_generation", {"link": rig.back})
