"""`dts status`: where every link stands, also while a server is down."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import select

from dts_pipeline.adapters import ledger_tables
from dts_pipeline.adapters.kafka_admin import KafkaAdmin
from dts_pipeline.adapters.ledger import Ledger
from dts_pipeline.commands import exits
from dts_pipeline.commands.output import Output, error_block
from dts_pipeline.commands.runtimes import link_runtime
from dts_pipeline.commands.session import Session
from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.core.links import Link
from dts_pipeline.errors import DtsError

_Answer = TypeVar("_Answer")


@dataclass
class LinkStatus:
    """One link; what could not be asked is None, and `problems` says why.

    `state` is unknown, never_ran, paused or running. `behind` counts the row events in Kafka past
    the checkpoint, `lag_seconds`: what was committed at the source longer ago is applied (None
    if nothing was applied yet). `open_conflicts` is by table, then kind.
    """

    link: str
    source: str
    target: str
    state: str = "unknown"
    batch: int | None = None
    generation: int | None = None
    behind: int | None = None
    lag_seconds: float | None = None
    open_conflicts: dict[str, dict[str, int]] = field(default_factory=dict)
    updated_at: str | None = None
    problems: list[dict[str, object]] = field(default_factory=list)

    @property
    def wants_attention(self) -> bool:
        """Whether somebody should look: a problem, a pause, or an open conflict."""
        return bool(self.problems or self.state == "paused" or self.open_conflicts)


def status(session: Session, output: Output) -> int:
    """Shows every link; FOUND if one wants attention, FAILED if no link could be read at all."""
    board = _Board(session)
    found = [board.look(link) for link in session.links.values()]
    output.document({"links": [vars(entry) for entry in found], "sites": board.sites()})
    _show(output, found, board)
    if all(entry.state == "unknown" for entry in found):
        return exits.FAILED
    wants = any(entry.wants_attention for entry in found) or board.problems
    return exits.FOUND if wants else exits.DONE


class _Board:
    """Asks each server once; one that failed is not asked again."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.admin: KafkaAdmin | None = None
        self.problems: dict[str, DtsError] = {}
        self.answering: dict[str, str] = {}
        for site, database in session.databases.items():
            version = self._ask(site, lambda database=database: database.facts.version)  # type: ignore[misc]
            if version is not None:
                self.answering[site] = version

    def sites(self) -> dict[str, dict[str, object]]:
        """Which server answers, and its version."""
        return {
            site: {"answers": site in self.answering, "version": self.answering.get(site)}
            for site in self.session.databases
        }

    def look(self, link: Link) -> LinkStatus:
        """One link, as far as its servers answer."""
        entry = LinkStatus(link.name, link.source, link.target)
        checkpoint = self._ask(link.target, lambda: self._from_ledger(link, entry))
        if checkpoint is not None:
            self._ask("kafka", lambda: self._from_kafka(link, checkpoint, entry))
        for name in (link.source, link.target, "kafka"):
            if name in self.problems:
                entry.problems.append(self.problems[name].to_dict())
        return entry

    def _ask(self, name: str, question: Callable[[], _Answer]) -> _Answer | None:
        if name in self.problems:
            return None
        try:
            return question()
        except DtsError as error:
            self.problems[name] = error
            return None

    def _from_ledger(self, link: Link, entry: LinkStatus) -> Checkpoint | None:
        database = self.session.databases[link.target]
        ledger = Ledger(database)
        ledger.installation()
        checkpoint = ledger.read(link.name, link.lane)
        if checkpoint is None:
            entry.state = "never_ran"
            return None
        entry.state = "paused" if checkpoint.paused else "running"
        entry.batch, entry.generation = checkpoint.batch, checkpoint.generation
        entry.open_conflicts = _by_table(ledger.open_conflicts(link.name))
        lanes = ledger_tables.checkpoint.c
        with database.connect() as connection:
            moved = connection.scalar(
                select(lanes.updated_at).where(lanes.link == link.name, lanes.lane == link.lane)
            )
        if moved is not None:
            entry.updated_at = moved.replace(tzinfo=UTC).isoformat(timespec="seconds")
        return checkpoint

    def _from_kafka(self, link: Link, checkpoint: Checkpoint, entry: LinkStatus) -> None:
        self.admin = self.admin or KafkaAdmin(self.session.kafka)
        known = {
            tp: at for tp, at in checkpoint.partitions.items() if tp.topic != link.transaction_topic
        }
        new = self._new_topics(link, {tp.topic for tp in known})
        highs = {tp: high for tp, (_, high) in self.admin.offsets(list(known)).items()}
        entry.behind = sum(max(0, highs[tp] - at.next_offset) for tp, at in known.items())
        entry.behind += sum(self.admin.end_offset(topic) for topic in new)
        lag = self._ask(link.source, lambda: self._lag(link, checkpoint))
        newest = max((at.ts_ms for at in known.values()), default=0)
        if lag is not None:
            entry.lag_seconds = round(lag, 1)
        elif not entry.behind:
            entry.lag_seconds = 0.0
        elif newest:
            entry.lag_seconds = round(max(0.0, time.time() - newest / 1000), 1)

    def _lag(self, link: Link, checkpoint: Checkpoint) -> float | None:
        from dts_pipeline.stages.lag import lag_seconds

        with link_runtime(self.session, link.name) as runtime:
            return lag_seconds(runtime, checkpoint)

    def _new_topics(self, link: Link, known: set[str]) -> list[str]:
        """Topics of carried tables that no run has taken into the checkpoint yet."""
        assert self.admin is not None
        prefix = f"{link.source_prefix}."
        return [
            name
            for name in self.admin.names() - known
            if name.startswith(prefix) and link.matches(name.removeprefix(prefix))
        ]


def _by_table(counts: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """`table/kind` → count, as table → kind → count."""
    tables: dict[str, dict[str, int]] = defaultdict(dict)
    for name, count in sorted(counts.items()):
        table, _, kind = name.rpartition("/")
        tables[table][kind] = count
    return dict(tables)


def _show(output: Output, found: list[LinkStatus], board: _Board) -> None:
    columns = ["link", "batch", "generation", "behind", "lag s", "state", "open conflicts", "moved"]
    output.table("", columns, [_row(entry) for entry in found])
    conflicts = [
        (entry.link, table, kind, count)
        for entry in found
        for table, kinds in entry.open_conflicts.items()
        for kind, count in kinds.items()
    ]
    if conflicts:
        output.table("Open conflicts", ["link", "table", "kind", "keys"], conflicts)
    for error in board.problems.values():
        output.line(error_block(error))


def _row(entry: LinkStatus) -> list[Any]:
    waiting = sum(sum(kinds.values()) for kinds in entry.open_conflicts.values())
    counts = None if entry.batch is None else waiting
    moved = entry.updated_at and datetime.fromisoformat(entry.updated_at).strftime("%F %T")
    return [
        entry.link,
        entry.batch,
        entry.generation,
        entry.behind,
        entry.lag_seconds,
        entry.state.replace("_", " "),
        counts,
        moved,
    ]
