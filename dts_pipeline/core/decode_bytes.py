"""Binary values as Debezium spells them in JSON: bytes, geometries, vectors."""

from __future__ import annotations

import struct
from binascii import a2b_base64, a2b_hex, b2a_base64
from collections.abc import Callable
from typing import Any

UNAVAILABLE = "__debezium_unavailable_value"
UNAVAILABLE_BYTES = frozenset(
    {UNAVAILABLE, b2a_base64(UNAVAILABLE.encode(), newline=False).decode()}
    | {UNAVAILABLE.encode().hex()}
)
_TO_PLAIN = str.maketrans("-_", "+/")
_LITTLE_ENDIAN = 1


def bytes_of_base64(text: str) -> bytes:
    """Reads `binary.handling.mode` bytes and base64, which are the same in JSON."""
    return a2b_base64(text, strict_mode=True)


def bytes_of_url_safe_base64(text: str) -> bytes:
    """Reads `binary.handling.mode=base64-url-safe`, padded or not."""
    plain = text.translate(_TO_PLAIN)
    return a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)


def bytes_reader(mode: str) -> Callable[[str], bytes]:
    """How binary.handling.mode spells bytes."""
    if mode == "hex":
        return a2b_hex
    return bytes_of_url_safe_base64 if mode == "base64-url-safe" else bytes_of_base64


def geometry_of_struct(value: dict[str, Any]) -> bytes:
    """`{wkb, srid}` → the servers' internal format: SRID in 4 bytes little-endian, then WKB.

    Debezium cuts the WKB out of just this format, so its axes stand as the server stores them
    (x is the longitude, whatever the SRID says). Written back as bytes nothing is swapped, while
    ST_GeomFromWKB would swap them on MySQL for SRIDs such as 4326.
    """
    wkb = a2b_base64(value["wkb"], strict_mode=True)
    if not wkb or wkb[0] != _LITTLE_ENDIAN:
        raise ValueError("not little-endian WKB")
    return struct.pack("<I", value["srid"] or 0) + wkb


def vector_of_numbers(numbers: list[float]) -> bytes:
    """VECTOR as the servers store it: float32, little-endian."""
    return struct.pack(f"<{len(numbers)}f", *numbers)
