"""One statement an event, each committed by itself: how such scripts began."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.contenders.child import run_child
from benchmarks.errors import BenchError
from benchmarks.record import Recording
from benchmarks.results import Run
from benchmarks.setting import rows_of
from dts_pipeline.adapters.kafka_admin import KafkaAdmin
from dts_pipeline.core.ranges import TopicPartition


@dataclass(frozen=True)
class Autocommit:
    """A plain script over the messages without schemas; values are parameters."""

    folder: Path
    name: str = "one autocommit statement an event"

    def run(self, recording: Recording) -> Run:
        """Carries the recorded range once."""
        at = recording.setting.site("b")
        order = {
            "kafka": recording.setting.kafka,
            "topics": _ends(recording),
            "target": {
                "host": at["host"],
                "port": at["port"],
                "user": at["user"],
                "database": recording.workload.schema,
            },
            "kinds": _kinds(recording),
        }
        found = run_child(
            "benchmarks.contenders.autocommit_child",
            [json.dumps(order)],
            {**os.environ, "BENCH_PASSWORD": str(at["password"])},
            self.folder / "autocommit.log",
        )
        if found["events"] != recording.workload.events:
            raise BenchError(f"{self.name} read {found['events']:,} events")
        return Run(
            contender=self.name,
            events=recording.workload.events,
            seconds=found["ended"] - found["first"],
            startup=found["began"] - found["spawned"],
            first_read=found["first"] - found["spawned"],
            peak_bytes=found["peak_bytes"],
            cpu=found["cpu"],
        )


def _ends(recording: Recording) -> dict[str, int]:
    admin = KafkaAdmin({"bootstrap.servers": recording.setting.kafka})
    found = admin.offsets([TopicPartition(topic, 0) for topic in recording.topics("plain")])
    return {tp.topic: end for tp, (_, end) in found.items()}


def _kinds(recording: Recording) -> dict[str, tuple[Any, int]]:
    """Data type and decimal places of each column; the tables of a workload are alike."""
    with recording.setting.application("b") as connection:
        rows = rows_of(
            connection,
            "SELECT column_name, data_type, COALESCE(numeric_scale, 0) "
            "FROM information_schema.columns "
            f"WHERE table_schema = '{recording.workload.schema}' "
            f"AND table_name = '{recording.workload.tables[0]}'",
        )
    return {str(name): (str(kind), int(scale)) for name, kind, scale in rows}
