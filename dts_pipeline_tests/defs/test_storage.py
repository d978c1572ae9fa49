"""Dagster's SQLite storage with files that stay open: the same data, seen by whoever looks."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

from dts_pipeline.defs.storage import KeptSqliteStorage, instance_at

STORAGES = [KeptSqliteStorage, DagsterSqliteStorage]


def entry(run_id: str, message: str) -> EventLogEntry:
    return EventLogEntry(
        error_info=None,
        level=20,
        user_message=message,
        run_id=run_id,
        timestamp=time.time(),
        job_name="sync_a_to_b",
    )


def messages(logs: EventLogStorage, run_id: str) -> list[str]:
    return [entry.user_message for entry in logs.get_logs_for_run(run_id)]


def open_files(folder: Path) -> int:
    """How many databases under a folder this process has open."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue
        if path.startswith(f"{folder}/") and path.endswith(".db"):
            found.add(path)
    return len(found)


@pytest.mark.parametrize("writer", STORAGES)
@pytest.mark.parametrize("reader", STORAGES)
def test_each_reads_what_the_other_wrote_and_writes_on(
    tmp_path: Path, writer: type[DagsterSqliteStorage], reader: type[DagsterSqliteStorage]
) -> None:
    first = writer.from_local(str(tmp_path))
    first.run_storage.add_run(dg.DagsterRun(job_name="sync_a_to_b", run_id="one"))
    first.event_log_storage.store_event(entry("one", "read"))
    second = reader.from_local(str(tmp_path))

    second.event_log_storage.store_event(entry("one", "written"))

    assert messages(second.event_log_storage, "one") == ["read", "written"]
    assert messages(first.event_log_storage, "one") == ["read", "written"]
    assert [run.run_id for run in second.run_storage.get_runs()] == ["one"]
    first.dispose()
    second.dispose()


@pytest.mark.parametrize("writer", STORAGES)
def test_whoever_watches_a_run_is_told_of_what_another_writes(
    tmp_path: Path, writer: type[DagsterSqliteStorage]
) -> None:
    watching = KeptSqliteStorage.from_local(str(tmp_path)).event_log_storage
    writing = writer.from_local(str(tmp_path)).event_log_storage
    writing.store_event(entry("one", "before"))
    seen: list[str] = []
    told = threading.Event()

    def callback(event: EventLogEntry, _cursor: str) -> None:
        seen.append(event.user_message)
        told.set()

    watching.watch("one", None, callback)
    writing.store_event(entry("one", "meanwhile"))

    assert told.wait(10)
    watching.end_watch("one", callback)
    writing.store_event(entry("one", "afterwards"))
    time.sleep(0.5)
    assert seen == ["before", "meanwhile"]
    watching.dispose()
    writing.dispose()


def test_few_files_stay_open_and_none_after_dispose(tmp_path: Path) -> None:
    storage = KeptSqliteStorage.from_local(str(tmp_path))
    logs = storage.event_log_storage
    for number in range(20):
        logs.store_event(entry(f"run{number}", "read"))

    assert 1 <= open_files(tmp_path / "history" / "runs") <= 4
    assert [messages(logs, f"run{number}") for number in range(20)] == [["read"]] * 20
    storage.dispose()
    assert open_files(tmp_path) == 0
    assert not list(tmp_path.rglob("*-wal"))


def test_a_call_within_a_call_finds_a_connection(tmp_path: Path) -> None:
    runs = KeptSqliteStorage.from_local(str(tmp_path)).run_storage

    with runs.connect():  # type: ignore[attr-defined]
        runs.add_run(dg.DagsterRun(job_name="sync_a_to_b", run_id="one"))

    assert runs.has_run("one")
    runs.dispose()


def test_threads_take_turns(tmp_path: Path) -> None:
    storage = KeptSqliteStorage.from_local(str(tmp_path))
    logs, runs = storage.event_log_storage, storage.run_storage

    def write(name: str) -> None:
        runs.add_run(dg.DagsterRun(job_name="sync_a_to_b", run_id=name))
        for number in range(50):
            logs.store_event(entry("one", f"{name}-{number}"))

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(messages(logs, "one"))) == 200
    assert len(runs.get_runs()) == 4
    storage.dispose()


def test_wiped_logs_begin_anew(tmp_path: Path) -> None:
    logs = KeptSqliteStorage.from_local(str(tmp_path)).event_log_storage
    logs.store_event(entry("one", "gone"))

    logs.wipe()
    logs.store_event(entry("one", "new"))

    assert messages(logs, "one") == ["new"]
    logs.dispose()


def test_dagster_yaml_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(Path(__file__).parents[2] / "deploy" / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))

    with dg.DagsterInstance.get() as named, instance_at(tmp_path) as opened:
        for instance in (named, opened):
            instance.event_log_storage.store_event(entry("one", "read"))
            assert instance.run_storage.get_runs() == []

            storage = type(instance.event_log_storage), type(instance.run_storage)
            assert {kind.__module__ for kind in storage} == {KeptSqliteStorage.__module__}
        assert messages(named.event_log_storage, "one") == ["read", "read"]
