"""Dagster's SQLite storage whose files stay open, set up by deploy/dagster.yaml.

Dagster's own opens and closes a file for each event. The last one to close a file in WAL mode
copies its log into it and syncs both: some 4 ms an event and 130 events a run of one batch. Layout
and tables are Dagster's own, so that an installation may change from one to the other and back.

A power failure can take the newest events of a run's log (SQLite's `synchronous=NORMAL`), never a
run, and never what was applied: that stands in the target's ledger.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.event_api import EventHandlerFn
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    SqliteEventLogStorage,
    SqliteEventLogStorageWatchdog,
)
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import (
    DagsterSqliteStorage,
    SqliteStorageConfig,
    _event_logs_directory,
    _runs_directory,
    _schedule_directory,
)
from dagster._serdes import ConfigurableClassData
from sqlalchemy.pool import StaticPool

_KEPT_OPEN = 4
"""Event logs at a time: the index of all runs, and those of a few runs."""


def instance_at(home: Path) -> dg.DagsterInstance:
    """The instance of a folder with deploy/dagster.yaml in it, whatever DAGSTER_HOME is here."""
    storage = {
        "module": KeptSqliteStorage.__module__,
        "class": KeptSqliteStorage.__name__,
        "config": {"base_dir": str(home)},
    }
    overrides = {"storage": {"custom": storage}}
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=overrides))


class KeptSqliteStorage(DagsterSqliteStorage):
    """Runs and their logs in SQLite files that stay open; schedules as Dagster has them."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """`base_dir` is DAGSTER_HOME."""
        self.base_dir = base_dir
        self._inst_data = inst_data
        self._run_storage = _KeptRuns.from_local(_runs_directory(base_dir))
        self._event_log_storage = _KeptEventLogs(_event_logs_directory(base_dir))
        self._schedule_storage = SqliteScheduleStorage.from_local(_schedule_directory(base_dir))
        super(DagsterSqliteStorage, self).__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def from_config_value(  # type: ignore[override]  # as Dagster's own narrows its parent's
        cls, inst_data: ConfigurableClassData | None, config_value: SqliteStorageConfig
    ) -> KeptSqliteStorage:
        """What dagster.yaml says; Dagster's own makes one of its own class here."""
        return cls.from_local(inst_data=inst_data, **config_value)


class _KeptRuns(SqliteRunStorage):
    """Connections come from a pool; a call within a call gets another one, as in Dagster's own."""

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(conn_string, inst_data)
        self._engine = sa.create_engine(
            conn_string, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
        )

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        with self._engine.begin() as connection:
            yield connection

    def dispose(self) -> None:
        super().dispose()
        self._engine.dispose()


class _KeptEventLogs(SqliteEventLogStorage):
    """One connection for each of the logs that were used last."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, sa.Engine] = OrderedDict()
        super().__init__(base_dir, inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        with self._db_lock, self._engine_of(shard).begin() as connection:
            yield connection

    def _engine_of(self, shard: str) -> sa.Engine:
        if shard not in self._engines:
            engine = sa.create_engine(
                self.conn_string_for_shard(shard),
                poolclass=StaticPool,
                # Whichever thread it is: the lock lets one in at a time.
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
            )
            sa.event.listen(engine, "connect", _sync_at_checkpoints)
            self._initdb(engine)
            self._engines[shard] = engine
            while len(self._engines) > _KEPT_OPEN:
                _, oldest = self._engines.popitem(last=False)
                oldest.dispose()
        self._engines.move_to_end(shard)
        return self._engines[shard]

    def watch(self, run_id: str, cursor: str | None, callback: EventHandlerFn) -> None:
        """Dagster's watches the file alone; what is written stands in its log at first."""
        super().watch(run_id, cursor, callback)
        watchdog, watched = self._watchers[run_id][callback]
        own = _Watchdog(self, run_id, callback, cursor)
        observer: Any = self._obs
        observer.remove_handler_for_watch(watchdog, watched)
        observer.add_handler_for_watch(own, watched)
        self._watchers[run_id][callback] = own, watched

    def wipe(self) -> None:
        """Closes the files first: they are removed."""
        self._close()
        super().wipe()

    def dispose(self) -> None:
        super().dispose()
        self._close()

    def _close(self) -> None:
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()


class _Watchdog(SqliteEventLogStorageWatchdog):
    """Looks whenever a run's file or its write-ahead log has changed."""

    def __init__(self, storage: _KeptEventLogs, run_id: str, *more: Any) -> None:
        super().__init__(storage, run_id, *more)
        path = storage.path_for_shard(run_id)
        self._patterns = [path, f"{path}-wal"]

    def on_modified(self, _event: object) -> None:
        """Hands on what is new."""
        self._process_log()


def _sync_at_checkpoints(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")
