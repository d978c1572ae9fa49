"""`dts status`: where every link stands, also while a server is down."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from dts_pipeline.adapters.connect_api import RegisteredConnector, require_running
from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.figures import LaneFigures, events_a_second, read_figures
from dts_pipeline.adapters.kafka_admin import KafkaAdmin
from dts_pipeline.adapters.ledger import Ledger
from dts_pipeline.adapters.load_state import LoadStates
from dts_pipeline.adapters.loop_ledger import recent_findings
from dts_pipeline.adapters.shapes import Shapes
from dts_pipeline.adapters.sites import open_connect
from dts_pipeline.commands import exits
from dts_pipeline.commands.output import Output, table_of
from dts_pipeline.commands.runtimes import link_runtime
from dts_pipeline.commands.session import Session
from dts_pipeline.commands.status_view import parts
from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.core.links import Ddl, Link
from dts_pipeline.core.load import LoadState
from dts_pipeline.errors import DtsError

_Answer = TypeVar("_Answer")
_CONNECT_SECONDS = 3.0


@dataclass
class LinkStatus:
    """One link, or a lane of one that has several.

    What could not be asked is None, and `problems` says why.

    `state` is unknown, never_ran, paused or running. `behind` counts the row events in Kafka past
    the checkpoint, `lag_seconds`: what was committed at the source longer ago is applied (None
    if nothing was applied yet). `open_conflicts` is by table, then kind. `consistency`:
    transactional where batches hold whole source transactions, else eventual. `waiting`: the
    transaction that is not whole and that everything waits for, since how many seconds by Kafka's
    timestamps, and how many of its events are missing, by table. `loop`: the loop audit's findings
    of the last day, by kind. `events_per_second`: what batches of the last five minutes read.
    `last_error`: how the last failed run ended (code, message, where, remedy), when (`at`), and
    whether a run has ended well since (`over`). `altered`: what the link ran at its target within a
    day under `ddl: additive` (statement, `at`), the newest first. `open_loads`: the loads
    of its tables that are not done, of a pair with the link to its second site: table, state and
    percent.
    """

    link: str
    source: str
    target: str
    lane: str | None = None
    state: str = "unknown"
    batch: int | None = None
    generation: int | None = None
    behind: int | None = None
    lag_seconds: float | None = None
    open_conflicts: dict[str, dict[str, int]] = field(default_factory=dict)
    updated_at: str | None = None
    consistency: str | None = None
    waiting: dict[str, object] | None = None
    loop: dict[str, int] = field(default_factory=dict)
    events_per_second: float | None = None
    last_error: dict[str, object] | None = None
    altered: list[dict[str, str]] = field(default_factory=list)
    open_loads: list[dict[str, object]] = field(default_factory=list)
    problems: list[dict[str, object]] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The link's name, and the lane's where it has several."""
        return f"{self.link}/{self.lane}" if self.lane else self.link

    @property
    def wants_attention(self) -> bool:
        """Whether somebody should look.

        A problem, a pause, an open conflict, a loop's finding, an open load, or the last run has
        failed.
        """
        failing = self.last_error is not None and not self.last_error["over"]
        found = self.problems or self.open_conflicts or self.loop or self.open_loads or failing
        return bool(found or self.state == "paused")


def status(session: Session, output: Output) -> int:
    """Shows every link; FOUND if one wants attention, FAILED if no link could be read at all."""
    board = _Board(session)
    found = [board.look(lane) for link in session.links.values() for lane in link.each_lane()]
    output.document({"links": [vars(entry) for entry in found], "sites": board.sites()})
    for part in parts(found, board.all_errors):
        if isinstance(part, str):
            output.line(part)
        else:
            output.table(*part)
    if all(entry.state == "unknown" for entry in found):
        return exits.FAILED
    wants = any(entry.wants_attention for entry in found) or board.problems
    return exits.FOUND if wants else exits.DONE


def watch(session: Session, interval: float) -> int:
    """Shows every link again and again, until Ctrl-C."""
    console = Console()
    with contextlib.suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
        while True:
            board = _Board(session)
            found = [board.look(link) for link in session.links.values()]
            shown = [
                Text(p) if isinstance(p, str) else table_of(*p)
                for p in parts(found, board.all_errors)
            ]
            moment = datetime.now(UTC).strftime("%F %T")
            live.update(Group(*shown, Text(f"{moment} UTC; Ctrl-C ends")), refresh=True)
            time.sleep(interval)
    return exits.DONE


class _Board:
    """Asks each server once; one that failed is not asked again."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.admin: KafkaAdmin | None = None
        self.connectors: dict[str, RegisteredConnector] | None = None
        self.problems: dict[str, DtsError] = {}
        self.errors: list[DtsError] = []  # of single links
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

    @property
    def all_errors(self) -> list[DtsError]:
        """Of servers, then of single links."""
        return [*self.problems.values(), *self.errors]

    def look(self, link: Link) -> LinkStatus:
        """One link, as far as its servers answer."""
        entry = LinkStatus(link.name, link.source, link.target, link.lane if link.own else None)
        checkpoint = self._ask(link.target, lambda: self._from_ledger(link, entry))
        if checkpoint is not None:
            self._ask("kafka", lambda: self._from_kafka(link, checkpoint, entry))
            if "kafka" not in self.problems and not checkpoint.paused:
                self._waiting(link, checkpoint, entry)
            self._look_at_connector(link)
        for name in (link.source, link.target, "kafka", "connect", _capture(link)):
            if name in self.problems:
                entry.problems.append(self.problems[name].to_dict())
        return entry

    def _look_at_connector(self, link: Link) -> None:
        """A link whose source is not read any more has nothing behind, and looks healthy."""
        settings = self.session.config.connect
        if settings is None:
            return
        known = self.connectors = self.connectors or self._ask("connect", self._from_connect)
        if known is not None:
            url, prefix = settings.url, link.source_prefix
            self._ask(_capture(link), lambda: require_running(known, prefix, url))

    def _from_connect(self) -> dict[str, RegisteredConnector]:
        assert self.session.config.connect is not None
        with open_connect(self.session.config.connect, patience=_CONNECT_SECONDS) as api:
            return api.connectors()

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
        lanes = read_figures(database, link.name).lanes
        for lane in (own for own in lanes if own.lane == link.lane):
            entry.updated_at = _iso(lane.moved_at)
            entry.last_error = _last_error(lane)
        if checkpoint is None:
            entry.state = "never_ran"
            return None
        entry.state = "paused" if checkpoint.paused else "running"
        entry.batch, entry.generation = checkpoint.batch, checkpoint.generation
        entry.consistency = checkpoint.consistency(link.transaction_topic)
        first = link.lane == link.whole.each_lane()[0].lane
        if link.ddl is Ddl.ADDITIVE and first:
            entry.altered = [
                {"statement": one.statement, "at": one.at.isoformat(timespec="seconds")}
                for one in Shapes(database, link.name).recent()
            ]
        counts = ledger.open_conflicts(link.name)
        entry.open_conflicts = _by_table({n: c for n, c in counts.items() if _own(link, n, first)})
        entry.open_loads = _open_loads(database, link)
        entry.loop = recent_findings(database, link.name) if link.pair and first else {}
        lanes = read_figures(database, link.name).lanes
        for lane in (own for own in lanes if own.lane == link.lane):
            entry.updated_at = (
                lane.moved_at.isoformat(timespec="seconds") if lane.moved_at else None
            )
            entry.last_error = _last_error(lane)
        entry.events_per_second = round(events_a_second(database, link.name, link.lane), 1)
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

        with link_runtime(self.session, link.name, link.lane) as runtime:
            return lag_seconds(runtime, checkpoint)

    def _waiting(self, link: Link, checkpoint: Checkpoint, entry: LinkStatus) -> None:
        from dts_pipeline.stages.doubts import long_wait
        from dts_pipeline.stages.waiting import waiting_now

        try:
            with link_runtime(self.session, link.name, link.lane) as runtime:
                found = waiting_now(runtime, checkpoint)
                error: DtsError | None = long_wait(runtime, checkpoint, found)
        except DtsError as failure:
            found, error = None, failure
        if found is not None:
            seconds = round(found.seconds, 1)
            entry.waiting = {
                "transaction": found.transaction,
                "seconds": seconds,
                "missing": dict(found.missing),
            }
        if error is not None:
            entry.problems.append(error.to_dict())
            self.errors.append(error)

    def _new_topics(self, link: Link, known: set[str]) -> list[str]:
        """Topics of carried tables that no run has taken into the checkpoint yet."""
        assert self.admin is not None
        prefix = f"{link.source_prefix}."
        return [
            name
            for name in self.admin.names() - known
            if name.startswith(prefix) and link.matches(link.table_of(name))
        ]


def _last_error(lane: LaneFigures) -> dict[str, object] | None:
    if lane.error is None or lane.failed_at is None:
        return None
    return {**lane.error, "at": _iso(lane.failed_at), "over": not lane.is_failing}


def _open_loads(database: Database, link: Link) -> list[dict[str, object]]:
    """The loads of the lane's tables that its target's ledger has; a pair's stand in one ledger."""
    found = LoadStates(database, link.pair or link.name).all()
    return [
        {"table": load.table, "state": load.state.value, "percent": round(load.percent, 1)}
        for load in found.values()
        if load.state is not LoadState.DONE and link.takes(load.table, 0)
    ]


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None


def _capture(link: Link) -> str:
    """What the connector of a link's source is asked as."""
    return f"connector of {link.source}"


def _own(link: Link, name: str, first: bool) -> bool:
    """Whether records (`table/kind`) are shown with this lane: each once, those of no lane too."""
    table = name.rpartition("/")[0]
    if link.by_partition or not link.whole.matches(table):
        return first
    return link.matches(table)


def _by_table(counts: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """`table/kind` → count, as table → kind → count."""
    tables: dict[str, dict[str, int]] = defaultdict(dict)
    for name, count in sorted(counts.items()):
        table, _, kind = name.rpartition("/")
        tables[table][kind] = count
    return dict(tables)
