"""Which sockets processes listen on, as the kernel lists them (proc(5), /proc/net/tcp)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

_LISTEN = "0A"
Address = IPv4Address | IPv6Address


def listening(pids: Iterable[int]) -> set[tuple[Address, int]]:
    """Address and port of every TCP socket on which one of the processes listens."""
    own = {inode for pid in pids for inode in _sockets(pid)}
    return {(a, p) for table in ("tcp", "tcp6") for inode, a, p in _table(table) if inode in own}


def is_loopback(address: Address) -> bool:
    """Also of an IPv4 address that is spelled as IPv6."""
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _sockets(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = os.readlink(entry)
                if target.startswith("socket:["):
                    yield target[8:-1]


def _table(name: str) -> Iterator[tuple[str, Address, int]]:
    for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == _LISTEN:
            host, _, port = fields[1].partition(":")
            words = [bytes.fromhex(host[i : i + 8])[::-1] for i in range(0, len(host), 8)]
            yield fields[9], ip_address(b"".join(words)), int(port, 16)
