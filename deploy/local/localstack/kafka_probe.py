"""A Metadata request in Kafka's own protocol: cheap, and only a working broker answers it."""

import socket
import struct

_METADATA = 3
_VERSION = 1  # the oldest that names the controller; Kafka 4 still answers it


def ask_broker(port: int, seconds: float = 3) -> str:
    """An empty text when the broker lists itself and a controller, otherwise why not."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
            connection.sendall(_request())
            body = _receive(connection, struct.unpack(">i", _receive(connection, 4))[0])
    except (OSError, EOFError) as error:
        return f"no answer to a metadata request: {error}"
    try:
        brokers, controller = parse_metadata(body)
    except (struct.error, IndexError):
        return "what answers does not speak Kafka's protocol"
    if port not in brokers:
        return "the broker does not list itself yet"
    return "" if controller >= 0 else "there is no controller yet"


def _request() -> bytes:
    client = b"dts-local"
    header = struct.pack(">hhih", _METADATA, _VERSION, 1, len(client)) + client
    body = header + struct.pack(">i", 0)  # no topics: brokers and controller only
    return struct.pack(">i", len(body)) + body


def parse_metadata(body: bytes) -> tuple[list[int], int]:
    """The brokers' ports and the controller's id of a Metadata response, version 1."""
    _correlation, count = struct.unpack_from(">ii", body, 0)
    position, ports = 8, []
    for _ in range(count):
        position += 4  # node id
        position = _skip_text(body, position)  # host
        ports.append(struct.unpack_from(">i", body, position)[0])
        position = _skip_text(body, position + 4)  # rack
    return ports, struct.unpack_from(">i", body, position)[0]


def _skip_text(body: bytes, position: int) -> int:
    (length,) = struct.unpack_from(">h", body, position)
    return int(position + 2 + max(length, 0))  # -1 means null


def _receive(connection: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise EOFError("connection closed")
        parts += part
    return parts
