"""What `mark: comment` costs in Kafka: every row's message repeats its statement's text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.record import Recording, recorded
from benchmarks.setting import Setting
from benchmarks.workloads import literal_statements
from dts_pipeline.adapters.kafka_admin import KafkaAdmin
from dts_pipeline.adapters.kafka_reader import KafkaReader
from dts_pipeline.core.ranges import TopicPartition

GOAL = 20.0
_STATEMENTS, _SAMPLE = 40, 4


@dataclass(frozen=True)
class Captured:
    """A topic's bytes: of its messages, and as Kafka keeps them (compressed)."""

    messages: int
    sent: int
    stored: int


def measure_capture(setting: Setting, *, sample: bool) -> str:
    """Statements of 500 rows under both marks, as a section of the report."""
    workload = literal_statements(_SAMPLE if sample else _STATEMENTS)
    with recorded(setting, workload, ("plain", "query")) as recording:
        origin, comment = (_captured(recording, form) for form in ("plain", "query"))
    ratio = comment.stored / origin.stored
    rows = [
        f"| `mark: {mark}` | {found.messages:,} | {found.sent:,} | {found.stored:,} |"
        for mark, found in (("origin", origin), ("comment", comment))
    ]
    return "\n".join(
        [
            f"## Capture on {setting.target_kind}: {workload.what}",
            "",
            "| | messages | bytes of the messages | bytes in Kafka (lz4) |",
            "|---|---|---|---|",
            *rows,
            "",
            f"In Kafka {ratio:.1f} times fewer with origin (at least {GOAL:.0f} wanted: "
            f"{'met' if ratio >= GOAL else 'not met'}); the messages themselves "
            f"{comment.sent / origin.sent:.1f} times.",
            "",
        ]
    )


def _captured(recording: Recording, form: str) -> Captured:
    """The table's topic; its segments lie in the broker's folder."""
    (topic,) = recording.topics(form)
    partition = TopicPartition(topic, 0)
    servers = {"bootstrap.servers": recording.setting.kafka}
    low, high = KafkaAdmin(servers).offsets([partition])[partition]
    reader = KafkaReader(servers)
    buffer = reader.read_to_end({partition: low}, {partition: high}, 2**31)[partition]
    reader.close()
    data = Path(recording.setting.description["dir"]) / "kafka" / "data" / f"{topic}-0"
    return Captured(
        messages=len(buffer.messages),
        sent=sum(len(m.key or b"") + len(m.value or b"") for m in buffer.messages),
        stored=sum(path.stat().st_size for path in data.glob("*.log")),
    )
