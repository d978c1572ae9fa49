"""Why no broker answers: librdkafka says only that, so its callback and a handshake are asked."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator, Mapping

from confluent_kafka import KafkaError

from dts_pipeline.adapters.kafka_errors import denied
from dts_pipeline.adapters.tls import TlsFiles, client_context, problem, tls_problem
from dts_pipeline.errors import DtsError, TerminalError

_HANDSHAKE_SECONDS = 3.0


class Unanswered:
    """Give it to a client as `error_cb`; it explains the client's `kafka_unreachable`."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        self._properties = properties
        self._refused = False

    def __call__(self, error: KafkaError) -> None:
        """What librdkafka calls, in whichever of its threads."""
        self._refused |= error.code() == KafkaError._AUTHENTICATION

    def explained(self, error: DtsError) -> DtsError:
        """The reason, where there is a better one than that nobody answers."""
        if error.code != "kafka_unreachable":
            return error
        servers = self._properties.get("bootstrap.servers", "")
        if self._refused:
            return denied(servers, "_AUTHENTICATION")
        protocol = self._properties.get("security.protocol", "").upper()
        return (handshake_problem(self._properties) if protocol.endswith("SSL") else None) or error


def handshake_problem(properties: Mapping[str, str]) -> TerminalError | None:
    """What TLS says of the first bootstrap server that takes a connection and ends it."""
    if "ssl.ca.pem" in properties:  # in memory only: the handshake would judge by other authorities
        return None
    files = TlsFiles(
        properties.get("ssl.ca.location"),
        properties.get("ssl.certificate.location"),
        properties.get("ssl.key.location"),
        properties.get("ssl.key.password"),
    )
    for host, port in _addresses(properties.get("bootstrap.servers", "")):
        where = {"kafka": f"{host}:{port}"}
        context = client_context(files, where)
        try:
            with contextlib.ExitStack() as stack:
                plain = socket.create_connection((host, port), _HANDSHAKE_SECONDS)
                stack.enter_context(plain)
                stack.enter_context(context.wrap_socket(plain, server_hostname=host))
        except (ssl.SSLEOFError, ConnectionResetError):
            return problem("tls_unavailable", where, "it ends the connection at once")
        except OSError as error:
            if found := tls_problem(error, where):
                return found
    return None


def _addresses(servers: str) -> Iterator[tuple[str, int]]:
    for server in servers.split(","):
        host, _, port = server.strip().rpartition(":")
        if host and port.isdigit():
            yield host.rpartition("//")[2].strip("[]"), int(port)
