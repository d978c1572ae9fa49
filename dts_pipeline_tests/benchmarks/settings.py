"""A stack's description and a recording, for tests that start no server."""

from __future__ import annotations

from benchmarks.record import Recording
from benchmarks.setting import Setting
from benchmarks.workloads import Workload, mixed


def setting(kind: str = "mysql") -> Setting:
    site = {"host": "127.0.0.1", "user": "app", "password": "secret", "kind": kind}
    return Setting(
        {
            "sites": {"a": {**site, "port": 13301}, "b": {**site, "port": 13302}},
            "env": {},
            "kafka": "127.0.0.1:19092",
            "connect": "http://127.0.0.1:18083",
            "mark": "origin",
            "dir": "/nowhere",
        }
    )


def recording(kind: str = "mysql", workload: Workload | None = None) -> Recording:
    sources = {"plain": "plain_mixed_1", "schemas": "schemas_mixed_1"}
    return Recording(setting(kind), workload or mixed(20), sources, {})
