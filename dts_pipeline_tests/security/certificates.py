"""Certificates of a test's own authority: for `localhost`, valid, expired, and of somebody else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

#: The one name in the certificates; 127.0.0.1 is the same server under a name that is not in them.
NAME = "localhost"
_DAYS = {"server": 30, "expired": -2, "client": 30}


def make_certificates(folder: Path, password: str) -> Path:
    """Files that the servers' user can read, too: they are good for these servers only.

    `ca.pem` and its `trust.p12` for Java; `other.pem`, another authority; and for `server`,
    `expired` and `client` a `.pem`, a `.key`, and both together as `-bundle.pem` and `.p12`.
    `password` is that of the `.p12` files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ours, other = trustme.CA(), trustme.CA()
    _write(folder / "ca.pem", ours.cert_pem.bytes())
    _write(folder / "other.pem", other.cert_pem.bytes())
    _write(folder / "trust.p12", _truststore(ours.cert_pem.bytes(), password))
    for name, days in _DAYS.items():
        _issue(ours, folder / name, days, password)
    return folder


def _issue(authority: trustme.CA, path: Path, days: int, password: str) -> None:
    now = datetime.now(UTC)
    leaf = authority.issue_cert(
        NAME, not_before=now - timedelta(days=20), not_after=now + timedelta(days=days)
    )
    chain = b"".join(part.bytes() for part in leaf.cert_chain_pems)
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())  # as Java reads it
    _write(path.with_name(f"{path.name}.pem"), chain)
    _write(path.with_name(f"{path.name}.key"), text)
    _write(path.with_name(f"{path.name}-bundle.pem"), text + chain)
    locked = BestAvailableEncryption(password.encode())
    certificate = x509.load_pem_x509_certificate(chain)
    _write(
        path.with_name(f"{path.name}.p12"),
        pkcs12.serialize_key_and_certificates(b"own", key, certificate, None, locked),
    )


def _truststore(pem: bytes, password: str) -> bytes:
    found = pkcs12.PKCS12Certificate(x509.load_pem_x509_certificate(pem), b"ca")
    return pkcs12.serialize_java_truststore([found], BestAvailableEncryption(password.encode()))


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o644)
