"""What is said of a TLS connection that did not come about; on real servers: `security/`."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.tls import TlsFiles, client_context, tls_problem
from dts_pipeline.errors import TerminalError
from dts_pipeline_tests.security.certificates import make_certificates

# A MySQL greeting (protocol 10) whose capabilities lack CLIENT_SSL (0x0800).
_GREETING = (
    b"\x0a8.4.0\0" + b"\1\0\0\0" + b"12345678\0" + b"\xff\xf7" + b"\xff" + b"\2\0" + b"\xff\xff"
    + b"\x15" + b"\0" * 10 + b"123456789012\0" + b"mysql_native_password\0"
)  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("tls"), "x")


@pytest.fixture
def stripped() -> Iterator[tuple[int, list[bytes]]]:
    """A server, or somebody in between, that says it has no TLS; and what it was sent."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(len(_GREETING).to_bytes(3, "little") + b"\0" + _GREETING)
                heard.append(connection.recv(4096))

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], heard
        thread.join(10)


def test_a_server_that_takes_tls_away_gets_nothing(
    files: Path, stripped: tuple[int, list[bytes]]
) -> None:
    port, heard = stripped
    tls = TlsFiles(str(files / "ca.pem"))
    database = Database("a", "localhost", port, "dts", "secret", tls)
    with pytest.raises(TerminalError) as caught:
        database.query("SELECT 1")
    assert caught.value.code == "tls_unavailable"
    assert caught.value.where["address"] == f"localhost:{port}"
    database.close()
    assert heard in ([], [b""])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ssl.SSLEOFError(8, "EOF occurred"), None),
        (ConnectionResetError(), None),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong"), "tls_failed"),
    ],
)
def test_a_connection_that_breaks_is_not_tls_fault(error: Exception, code: str | None) -> None:
    """An SSLError of one's own making has no reason; the real ones are tried on real servers."""
    found = tls_problem(error, {"site": "a"})
    assert (found and found.code) == code


@pytest.mark.parametrize(
    ("ca", "cert", "key", "named"),
    [
        ("absent.pem", None, None, "absent.pem"),
        ("server.key", None, None, "server.key"),
        ("ca.pem", "client.pem", "server.key", "client.pem"),
        ("ca.pem", "absent.pem", "client.key", "absent.pem"),
    ],
)
def test_files_that_cannot_be_used_are_named(
    files: Path, ca: str, cert: str | None, key: str | None, named: str
) -> None:
    paths = [str(files / name) if name else None for name in (ca, cert, key)]
    with pytest.raises(TerminalError) as caught:
        client_context(TlsFiles(*paths), {"site": "a"})
    assert caught.value.code == "tls_file_unusable"
    assert caught.value.where["file"] == str(files / named)
    assert caught.value.where["site"] == "a"
