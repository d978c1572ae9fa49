"""TLS as a client: contexts that verify certificate and host name, and why a server was refused."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dts_pipeline.errors import TerminalError

_CODES = {
    9: "certificate_expired",  # X509_V_ERR_CERT_NOT_YET_VALID
    10: "certificate_expired",
    62: "certificate_other_name",
    64: "certificate_other_name",  # the same for an address
}
_WORDS = {
    "certificate_expired": (
        "the server's certificate has expired, or is not valid yet",
        "Renew the server's certificate; check both machines' clocks.",
    ),
    "certificate_other_name": (
        "the server's certificate is for another host name",
        "Name the server in dts.yaml as its certificate does, or give it a certificate with this "
        "name.",
    ),
    "certificate_untrusted": (
        "the server's certificate is not from the given authority",
        "Give the certificate of the authority that signed it: `tls.ca` of the site or of "
        "`connect`, `ssl.ca.location` under `kafka`. If it is the right one, another server "
        "answers in this one's place.",
    ),
    "client_certificate_refused": (
        "the server does not accept this client's certificate, or wants one",
        "`tls.cert` and `tls.key` of the site or of `connect`, `ssl.certificate.location` and "
        "`ssl.key.location` under `kafka`.",
    ),
    "tls_unavailable": (
        "TLS is asked for, and the server does not speak it at this address",
        "Switch TLS on at the server, or mend the port; nothing was sent without it.",
    ),
    "tls_failed": (
        "no TLS connection came about",
        "Look the reason up; server and client may have no version or cipher in common.",
    ),
}
_CLIENT_REFUSED = (
    "CERTIFICATE_REQUIRED",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNKNOWN_CA",
    "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_CERTIFICATE_UNKNOWN",
    "HANDSHAKE_FAILURE",
)
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
_BROKEN_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


@dataclass(frozen=True)
class TlsFiles:
    """Paths of PEM files: the authority's certificate, and the client's own with its key.

    Without `ca` the system's authorities count.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    key_password: str | None = field(default=None, repr=False)


def client_context(files: TlsFiles, where: Mapping[str, object]) -> ssl.SSLContext:
    """Verifies the server's certificate and host name.

    Raises TerminalError `tls_file_unusable`.
    """
    with _reading(files.ca, "authority's certificate", where):
        context = ssl.create_default_context(cafile=files.ca)
    # Python 3.13 refuses what the letter of RFC 5280 forbids, such as MySQL's own certificates.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if files.cert:
        with _reading(files.cert, "client's certificate or key", where):
            context.load_cert_chain(files.cert, files.key, files.key_password or "")
    return context


class _reading:
    """Turns what is wrong with a file into an error that names it."""

    def __init__(self, path: str | None, what: str, where: Mapping[str, object]) -> None:
        self._path, self._what, self._where = path, what, where

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError):  # ssl.SSLError is one
            reason = getattr(error, "reason", None) or error.strerror
            raise file_unusable(self._path or "", str(reason), self._where, self._what) from None


def file_unusable(
    path: str, reason: str, where: Mapping[str, object], what: str = "certificate or key"
) -> TerminalError:
    """The error for a file that TLS cannot do with."""
    return TerminalError(
        "tls_file_unusable",
        f"the {what} cannot be used",
        where={**where, "file": path, "reason": reason},
        remedy="The path in dts.yaml must name a PEM file that this account can read; a key must "
        "belong to its certificate.",
    )


def tls_problem(error: BaseException, where: Mapping[str, object]) -> TerminalError | None:
    """The error for a connection that TLS ended; None where something else did.

    A connection that was broken off is not TLS's fault: the other end may have died.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            code = _CODES.get(cause.verify_code, "certificate_untrusted")
            return problem(code, where, cause.verify_message.rstrip("."))
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, _BROKEN_OFF):
            reason = getattr(cause, "reason", None) or type(cause).__name__
            if any(word in reason for word in _CLIENT_REFUSED):
                return problem("client_certificate_refused", where, reason)
            if any(word in reason for word in _NO_TLS):
                return problem("tls_unavailable", where, reason)
            return problem("tls_failed", where, reason)
    return None


def problem(code: str, where: Mapping[str, object], reason: str = "") -> TerminalError:
    """The error of a code of this module."""
    what, remedy = _WORDS[code]
    place = {**where, "reason": reason} if reason else where
    return TerminalError(code, what, where=place, remedy=remedy)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what led to it; PyMySQL and SQLAlchemy have names of their own for that."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        found = waiting.pop(0)
        if not isinstance(found, BaseException) or any(found is known for known in seen):
            continue
        seen.append(found)
        yield found
        waiting += [getattr(found, name, None) for name in ("orig", "original_exception")]
        waiting += [found.__cause__, found.__context__]
