"""A wire between a client and a database server, which can lose an answer, or go dead."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from types import TracebackType


@dataclass
class Line:
    """One connection: the client's end and the server's."""

    client: socket.socket
    server: socket.socket
    cut: threading.Event = field(default_factory=threading.Event)
    is_dead: bool = False


class Wire:
    """Forwards connections to a server; `port` is where it listens on 127.0.0.1.

    It looks at no text, which can be encrypted. Who looks on (`CountingWire`) may do something
    before and after data goes to the server.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = host, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._armed = threading.Event()
        self._lines: list[Line] = []
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def lose_next_answer(self) -> None:
        """The next statement reaches the server; its answer and the connection are lost."""
        self._armed.set()

    def go_dead(self) -> None:
        """Cuts all lines of now: clients see it, the server hears nothing more of them.

        As when a machine loses its power, or a firewall forgets a connection.
        """
        for line in self._lines:
            line.is_dead = True
            _end(line.client)

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()
        for line in self._lines:
            _end(line.client)
            _end(line.server)

    def before_server(self, line: Line, data: bytes) -> None:
        """Data of the client that the server is about to get."""

    def after_server(self, line: Line) -> None:
        """The server has got it."""

    def before_client(self, line: Line, data: bytes) -> bytes:
        """Data of the server, and what the client is to get of it."""
        return data

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                line = Line(client, socket.create_connection(self._server))
                self._lines.append(line)
                for target in self._ask, self._answer:
                    threading.Thread(target=target, args=(line,), daemon=True).start()

    def _ask(self, line: Line) -> None:
        """From the client to the server; notes which line is to be cut."""
        with contextlib.suppress(OSError):
            while data := line.client.recv(65536):
                if self._armed.is_set():
                    self._armed.clear()
                    line.cut.set()
                self.before_server(line, data)
                line.server.sendall(data)
                self.after_server(line)
        if not line.is_dead:
            _end(line.server)

    def _answer(self, line: Line) -> None:
        """From the server to the client; a line to be cut ends with the next answer."""
        with contextlib.suppress(OSError):
            while data := line.server.recv(65536):
                if line.cut.is_set():
                    self.cuts += 1
                    break
                line.client.sendall(self.before_client(line, data))
        _end(line.client)
        if not line.is_dead:
            _end(line.server)


def _end(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
