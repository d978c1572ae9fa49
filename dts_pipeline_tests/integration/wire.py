"""A wire between a client and a database server, which can lose the answer to a COMMIT."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType

_COMMIT = b"\x03COMMIT"
"""COM_QUERY with that text, as PyMySQL sends it."""


class Wire:
    """Forwards connections to a server; `port` is where it listens on 127.0.0.1."""

    def __init__(self, host: str, port: int) -> None:
        self._server = host, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._armed = threading.Event()
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def cut_at_commit(self) -> None:
        """The next COMMIT reaches the server; its answer and the connection are lost."""
        self._armed.set()

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                cut = threading.Event()
                for sides in (client, server), (server, client):
                    threading.Thread(target=self._forward, args=(*sides, cut), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, cut: threading.Event) -> None:
        """Forwards one direction. A cut connection ends when the server has answered."""
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if cut.is_set():
                    break
                if self._armed.is_set() and data.endswith(_COMMIT):
                    self._armed.clear()
                    self.cuts += 1
                    cut.set()
                sink.sendall(data)
        for end in source, sink:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
