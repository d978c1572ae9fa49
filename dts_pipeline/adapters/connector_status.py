"""How a connector stands, and the error for one that does not run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from dts_pipeline.errors import TerminalError

MESSAGE_TOO_LARGE = "message_too_large"
POSITION_LOST = "connector_position_lost"
_CLASS_NAME = re.compile(r"^(?:Caused by: )?((?:[a-z]\w*\.)+[A-Z][\w$]*)", re.MULTILINE)
_TOO_LARGE = "RecordTooLargeException"
# What the server says to a reader whose place it no longer has (1236), and what Debezium says when
# it finds that out by itself before it starts to read.
_NO_SUCH_PLACE = re.compile(r"Error code: 1236\b|no longer available on the server")
_SIZES = re.compile(rf"{_TOO_LARGE}: The message is (\d+) bytes when serialized .*? (\d+)")


@dataclass(frozen=True)
class ConnectorStatus:
    """What runs of a connector: RUNNING, FAILED, PAUSED, STOPPED, UNASSIGNED or RESTARTING.

    `causes` are the classes of the exceptions that ended it; their texts can quote rows and
    statements, so they stay behind. `message_bytes` and `limit_bytes` are those of a message that
    the connector's own producer found too large; None too where the broker refused it.
    `lost_position`: the server no longer has the place in the binlog that it wants to read from.
    """

    state: str
    tasks: tuple[str, ...]
    causes: tuple[str, ...] = ()
    message_bytes: int | None = None
    limit_bytes: int | None = None
    lost_position: bool = False

    @property
    def is_running(self) -> bool:
        """Whether the connector and all of its tasks run."""
        return self.state == "RUNNING" and bool(self.tasks) and set(self.tasks) == {"RUNNING"}

    @property
    def is_failed(self) -> bool:
        """Whether anything of it has given up."""
        return "FAILED" in (self.state, *self.tasks)

    @property
    def met_too_large_message(self) -> bool:
        """Whether it stands before a row whose message Kafka or its producer does not take."""
        return self.is_failed and _TOO_LARGE in self.causes


def status_of(answer: Mapping[str, Any]) -> ConnectorStatus:
    """The status in Connect's JSON."""
    tasks = sorted(answer.get("tasks", []), key=lambda task: task["id"])
    traces = [answer["connector"].get("trace"), *(task.get("trace") for task in tasks)]
    told = "\n".join(trace for trace in traces if trace)
    sizes = _SIZES.search(told)
    return ConnectorStatus(
        state=str(answer["connector"]["state"]),
        tasks=tuple(str(task["state"]) for task in tasks),
        causes=tuple(dict.fromkeys(c.rpartition(".")[2] for c in _CLASS_NAME.findall(told))),
        message_bytes=int(sizes[1]) if sizes else None,
        limit_bytes=int(sizes[2]) if sizes else None,
        lost_position=bool(_NO_SUCH_PLACE.search(told)),
    )


def failure(name: str, status: ConnectorStatus | None, url: str) -> TerminalError:
    """The error for a connector that does not run."""
    where: dict[str, object] = {"connect": url, "connector": name}
    if status is not None:
        where |= {"state": status.state, "tasks": ",".join(status.tasks) or "none"}
        if status.causes:
            where["causes"] = " < ".join(status.causes)
    if status is not None and status.met_too_large_message:
        if status.message_bytes is not None:
            where |= {"message_bytes": status.message_bytes, "limit_bytes": status.limit_bytes}
        return TerminalError(MESSAGE_TOO_LARGE, LARGER_THAN_KAFKA, where=where, remedy=RAISE_LIMIT)
    if status is not None and status.is_failed and status.lost_position:
        return TerminalError(POSITION_LOST, NO_SUCH_PLACE, where=where, remedy=BEGIN_ANEW)
    return TerminalError(
        "connector_failed",
        "the connector does not run",
        where=where,
        remedy=f"GET {url}/connectors/{quote(name)}/status has the whole trace. Mend the cause, "
        "then restart it (`dts connectors --register`).",
    )


LARGER_THAN_KAFKA = (
    "the connector has stopped before a row whose message is larger than its producer or the "
    "table's topic takes"
)
RAISE_LIMIT = (
    "Raise `connect.max_message_bytes` in dts.yaml and run `dts connectors --register`, which "
    "raises the limit of the topics too. The connector then sends the row again."
)
NO_SUCH_PLACE = (
    "the source no longer has the place in its binlog that the connector wants to go on from, so "
    "what was written since then will never be sent"
)
BEGIN_ANEW = (
    "Compare both sites, let the connector begin anew, then give the link a new start "
    '(docs/operations.md, "A source that changed"). Keep binlogs for longer.'
)
