"""`dts exporter`: the ledgers' figures for Prometheus, until it is ended.

Runs live for seconds, so nobody could scrape them; what they leave in the ledger stays. A thread a
link reads it again and again, so that a server which does not answer hides no other link, and a
scrape never waits for a server.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from types import FrameType

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.figures import LinkFigures, read_figures
from dts_pipeline.adapters.ledger import Ledger
from dts_pipeline.commands import exits
from dts_pipeline.commands.metrics import Reading, metrics_of
from dts_pipeline.commands.output import Output
from dts_pipeline.commands.session import Session
from dts_pipeline.core.links import Link
from dts_pipeline.errors import DtsError, TerminalError

_PATIENCE = 15.0
"""How much longer than the interval an answer may be away before the last one is too old."""


def exporter(session: Session, output: Output, *, listen: str, interval: float) -> int:
    """Serves /metrics at HOST:PORT until SIGTERM or Ctrl-C.

    Raises TerminalError `listen_failed`; a server that is away is only shown by its metric.
    """
    host, port = _address(listen)
    watches = [
        LinkWatch(link, session.databases[link.target], interval) for link in session.links.values()
    ]
    ended = threading.Event()
    with _serving(host, port, watches) as at, _until_signal(ended):
        for watch in watches:
            threading.Thread(target=watch.run, args=(ended,), daemon=True).start()
        output.document({"listening": at})
        output.line(f"metrics of {len(watches)} link(s) at {at}")
        ended.wait()
    return exits.DONE


class LinkWatch:
    """Reads one link's figures every `interval` seconds, and keeps the last reading."""

    def __init__(self, link: Link, database: Database, interval: float) -> None:
        """`database` is the link's target."""
        self._link, self._database, self._interval = link, database, interval
        self._reading = Reading(link, None, 0.0, 0.0)

    def run(self, ended: threading.Event) -> None:
        """Reads until `ended`."""
        while not ended.is_set():
            self.read()
            ended.wait(self._interval)

    def read(self) -> None:
        """One reading; a ledger that cannot be read is a reading without figures."""
        began = time.monotonic()
        figures: LinkFigures | None = None
        with contextlib.suppress(DtsError):
            Ledger(self._database).installation()
            figures = read_figures(self._database, self._link.name)
        self._reading = Reading(self._link, figures, time.time(), time.monotonic() - began)

    @property
    def reading(self) -> Reading:
        """The last one, without its figures where the next is overdue: the server hangs."""
        last = self._reading
        if time.time() - last.at > self._interval + _PATIENCE:
            return Reading(last.link, None, last.at, last.seconds)
        return last


class LedgerCollector(Collector):
    """What a scrape is answered with: the last reading of every link."""

    def __init__(self, watches: Sequence[LinkWatch]) -> None:
        self._watches = watches

    def collect(self) -> Iterator[Metric]:
        """The metrics of `metrics_of`."""
        yield from metrics_of(watch.reading for watch in self._watches)


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise TerminalError(
            "listen_failed",
            "this is no address to listen at",
            where={"listen": listen},
            remedy="HOST:PORT, such as 127.0.0.1:9808.",
        )
    return host.strip("[]"), int(port)


@contextlib.contextmanager
def _serving(host: str, port: int, watches: Sequence[LinkWatch]) -> Iterator[str]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(LedgerCollector(watches))
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise TerminalError(
            "listen_failed",
            f"nothing can listen there ({error.strerror or type(error).__name__})",
            where={"listen": f"{host}:{port}"},
            remedy="Another exporter may run already; --listen names another HOST:PORT.",
        ) from None
    shown = f"[{host}]" if ":" in host else host
    try:
        yield f"http://{shown}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def _until_signal(ended: threading.Event) -> Iterator[None]:
    """SIGTERM and Ctrl-C end the exporter, which is no failure of it."""

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
