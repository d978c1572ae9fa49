"""Runs by the thousand in Dagster's SQLite storage: real ones, copied row by row.

A real run takes seconds. Its rows (run, tags, events, materializations, check results) and the file
of its log are copied under another run's id, which is what the storage would hold of that run.
"""

from __future__ import annotations

import shutil
import sqlite3
import uuid
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

_OWN = {"runs": "run_id", "run_tags": "run_id"}
_INDEX = ("event_logs", "asset_check_executions")


class Copies:
    """Copies of stored runs in the home `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def copy(self, run_id: str, at: datetime) -> str:
        """A run like `run_id` that began at `at`; gives its id."""
        copied = str(uuid.uuid4())
        history = self._folder / "history"
        with closing(sqlite3.connect(history / "runs.db")) as runs:
            for table, key in _OWN.items():
                for row in _rows(runs, table, key, run_id):
                    _insert(runs, table, _renamed(row, run_id, copied, at))
            runs.commit()
        with closing(sqlite3.connect(history / "runs" / "index.db")) as index:
            self._index(index, run_id, copied, at)
            index.commit()
        self._log(history / "runs", run_id, copied)
        return copied

    @staticmethod
    def _index(index: sqlite3.Connection, run_id: str, copied: str, at: datetime) -> None:
        for table in _INDEX:
            for row in _rows(index, table, "run_id", run_id):
                number = _insert(index, table, _renamed(row, run_id, copied, at))
                if table == "event_logs":
                    for tag in _rows(index, "asset_event_tags", "event_id", row["id"]):
                        _insert(index, "asset_event_tags", {**tag, "event_id": number})

    @staticmethod
    def _log(folder: Path, run_id: str, copied: str) -> None:
        target = folder / f"{copied}.db"
        shutil.copyfile(folder / f"{run_id}.db", target)
        with closing(sqlite3.connect(target)) as log:
            log.execute(
                "UPDATE event_logs SET run_id = ?, event = REPLACE(event, ?, ?)",
                (copied, run_id, copied),
            )
            log.commit()


def settled(folder: Path) -> None:
    """Writes every log into its file, so that a copy of the file is a copy of the log."""
    for path in (folder / "history" / "runs").glob("*.db"):
        with closing(sqlite3.connect(path)) as log:
            log.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def stored_bytes(folder: Path) -> int:
    """What all of Dagster's storage takes."""
    return sum(path.stat().st_size for path in folder.rglob("*.db*"))


def stored_rows(folder: Path) -> dict[str, int]:
    """The rows of the tables that grow with runs, and the number of logs."""
    history = folder / "history"
    found: dict[str, int] = {"logs": len(list((history / "runs").glob("*-*.db")))}
    for name, tables in (
        (history / "runs.db", ("runs", "run_tags")),
        (history / "runs" / "index.db", (*_INDEX, "asset_event_tags")),
    ):
        with closing(sqlite3.connect(name)) as storage:
            for table in tables:
                (found[table],) = storage.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
    return found


def _rows(storage: sqlite3.Connection, table: str, key: str, value: object) -> list[dict[str, Any]]:
    cursor = storage.execute(f"SELECT * FROM {table} WHERE {key} = ?", (value,))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _renamed(row: dict[str, Any], run_id: str, copied: str, at: datetime) -> dict[str, Any]:
    found = {n: v.replace(run_id, copied) if isinstance(v, str) else v for n, v in row.items()}
    if "create_timestamp" in found and "run_body" in found:
        found["create_timestamp"] = found["update_timestamp"] = at.strftime("%F %T.%f")
        found["start_time"] = found["end_time"] = at.timestamp()
    return found


def _insert(storage: sqlite3.Connection, table: str, row: dict[str, Any]) -> int:
    own = {name: value for name, value in row.items() if name != "id"}
    names, marks = ", ".join(f'"{name}"' for name in own), ", ".join("?" * len(own))
    cursor = storage.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(own.values()))
    return int(cursor.lastrowid or 0)
