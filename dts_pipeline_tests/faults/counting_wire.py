"""A wire that numbers the statements of applying sessions, to strike at one of them.

Read off the frames of MySQL's client/server protocol ("Protocol::Packet", "Protocol::Handshake"),
so the greeting is made to offer no TLS. An applying session is one that has chosen a schema by
COM_INIT_DB: what the pipeline sends before that, and its short reads, are not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dts_pipeline_tests.integration.wire import Line, Wire

_COM_INIT_DB = 0x02
_CLIENT_SSL = 0x0800


@dataclass
class _Frames:
    """What a client sends, cut into packets; `commands` counts those of an applying session."""

    commands: int = 0
    _left: int = 0
    _head: bytes = b""

    def feed(self, data: bytes) -> None:
        while data:
            if self._left and len(self._head) != 4:
                step = min(self._left, len(data))
                self._left, data = self._left - step, data[step:]
                continue
            if len(self._head) < 4:
                missing = 4 - len(self._head)
                self._head, data = self._head + data[:missing], data[missing:]
                if len(self._head) == 4:
                    self._left = int.from_bytes(self._head[:3], "little")
                if len(self._head) == 4 and not self._left:
                    self._head = b""  # an empty packet ends the rows of a LOAD DATA LOCAL
                continue
            self._meet(data[0])

    def _meet(self, command: int) -> None:
        """A packet's head, three bytes of length and its number in the exchange, and its begin."""
        if self._head[3] == 0 and (self.commands or command == _COM_INIT_DB):
            self.commands += 1
        self._head = b""


@dataclass
class _Session:
    number: int | None = None
    frames: _Frames = field(default_factory=_Frames)


class CountingWire(Wire):
    """`most_statements` is how many an applying session has sent at most."""

    def __init__(self, host: str, port: int) -> None:
        self.most_statements = 0
        self._sessions: dict[int, _Session] = {}
        self._before: tuple[int, Callable[[int], None]] | None = None
        self._after: tuple[int, Callable[[int], None]] | None = None
        self._due: dict[int, Callable[[int], None]] = {}
        super().__init__(host, port)

    def strike_before(self, statement: int, action: Callable[[int], None]) -> None:
        """Once: `action` gets the session's number before its statement (1, 2 …) is passed on."""
        self._before = statement, action

    def strike_after(self, statement: int, action: Callable[[int], None]) -> None:
        """Once: the same when the statement has been passed on, whatever the server does of it."""
        self._after = statement, action

    @property
    def is_armed(self) -> bool:
        """Whether a strike is still to come."""
        return bool(self._before or self._after)

    def before_server(self, line: Line, data: bytes) -> None:
        session = self._sessions.setdefault(id(line), _Session())
        known = session.frames.commands
        session.frames.feed(data)
        now = session.frames.commands
        if now == known or session.number is None:
            return
        self.most_statements = max(now, self.most_statements)
        if self._before and self._before[0] <= now:
            (_, action), self._before = self._before, None
            action(session.number)
        if self._after and self._after[0] <= now:
            (_, self._due[id(line)]), self._after = self._after, None

    def after_server(self, line: Line) -> None:
        action = self._due.pop(id(line), None)
        number = self._sessions[id(line)].number
        if action is not None and number is not None:
            action(number)

    def before_client(self, line: Line, data: bytes) -> bytes:
        session = self._sessions.setdefault(id(line), _Session())
        if session.number is not None:
            return data
        # The greeting: its version as text, the session's number, nine bytes, what it offers.
        start = data.index(b"\0", 5) + 1
        session.number = int.from_bytes(data[start : start + 4], "little")
        offers = start + 13
        without = int.from_bytes(data[offers : offers + 2], "little") & ~_CLIENT_SSL
        return data[:offers] + without.to_bytes(2, "little") + data[offers + 2 :]
