"""A stack with TLS at every server, SCRAM at Kafka, and a client's certificate asked by Connect.

Beside them stand the plain listeners on loopback, for the tests' own looking.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from dts_pipeline_tests.security.certificates import NAME, make_certificates
from dts_pipeline_tests.stacks import Stack, running_stack

KAFKA_USER = "dts"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


@dataclass(frozen=True)
class SecureStack:
    """A running stack, the folder of its certificates, and its listeners with TLS."""

    stack: Stack
    files: Path
    kafka: str
    kafka_expired: str
    connect: str

    def path(self, name: str) -> str:
        """A file of `certificates.py`."""
        return str(self.files / name)

    def certificate(self, of: str, kind: str) -> None:
        """Gives `database` or `connect` the certificate `server` or `expired`, in its files."""
        for found in self.files.glob(f"{kind}.*"):
            shutil.copy(found, self.files / f"{of}{found.suffix}")

    def processes(self) -> dict[str, dict[str, Any]]:
        """What `stack status` says, by name."""
        return dict(json.loads(self.stack.command("status")))

    def reload_site(self, side: str) -> None:
        """A database server reads its certificate again; open connections stay as they are."""
        again = {"mariadb": "FLUSH SSL", "mysql": "ALTER INSTANCE RELOAD TLS"}
        with self.stack.application(side) as connection, connection.cursor() as cursor:
            cursor.execute(again[str(self.stack.site(side)["kind"])])


@contextlib.contextmanager
def secure_stack(flavour: str) -> Iterator[SecureStack]:
    """For the time of the block. The secrets are among `stack.env`.

    DTS_TEST_SECURE_STACK names the file that `python -m dts_pipeline_tests.security.secure_stack`
    has written: that stack is used, for quick repeats while developing.
    """
    given = os.environ.get("DTS_TEST_SECURE_STACK")
    if given:
        known = json.loads(Path(given).read_text())
        if known["stack"]["flavour"] == flavour:
            stack, files = Stack(known.pop("stack")), Path(known.pop("files"))
            yield SecureStack(stack, files, **known)
            return
    env = {f"{name}_SECRET": f"{name.lower()}-{secrets.token_hex(12)}" for name in ("KAFKA", "P12")}
    env["WEBHOOK_SECRET"] = f"http://127.0.0.1:9/{secrets.token_hex(12)}"  # nobody is there
    ports = _free_ports(3)
    with tempfile.TemporaryDirectory(prefix="dts-tls-") as folder:
        files = make_certificates(Path(folder), env["P12_SECRET"])
        files.chmod(0o755)
        kafka, expired, connect = (f"{NAME}:{port}" for port in ports)
        options = [
            *_database_options(files),
            *_kafka_options(files, ports),
            *_connect_options(files, ports[2], env["P12_SECRET"]),
        ]
        made = SecureStack(Stack({}), files, kafka, expired, f"https://{connect}")
        for name in ("database", "connect"):
            made.certificate(name, "server")
        with running_stack(flavour, "origin", *options) as stack:
            _add_scram_user(stack.kafka, env["KAFKA_SECRET"])
            stack.description["env"] = {**stack.env, **env}
            yield SecureStack(stack, files, kafka, expired, f"https://{connect}")


def _database_options(files: Path) -> Iterator[str]:
    for side in "ab":
        for name, file in (("ca", "ca.pem"), ("cert", "database.pem"), ("key", "database.key")):
            yield from ("--server-option", f"{side}:ssl-{name}={files / file}")


def _kafka_options(files: Path, ports: list[int]) -> Iterator[str]:
    plain = "PLAINTEXT://127.0.0.1:{kafka}"
    bound = [f"{name}://127.0.0.1:{port}" for name, port in zip(_LISTENERS, ports, strict=False)]
    named = [f"{name}://{NAME}:{port}" for name, port in zip(_LISTENERS, ports, strict=False)]
    scram = "listener.name.secure.scram-sha-512.sasl.jaas.config"
    settings = {
        "listeners": ",".join([plain, "CONTROLLER://127.0.0.1:{controller}", *bound]),
        "advertised.listeners": ",".join([plain, *named]),
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL,EXPIRED:SSL"
        ),
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        scram: _SCRAM,
        "ssl.keystore.type": "PEM",
        "listener.name.secure.ssl.keystore.location": f"{files}/server-bundle.pem",
        "listener.name.expired.ssl.keystore.location": f"{files}/expired-bundle.pem",
    }
    for name, value in settings.items():
        yield from ("--kafka-option", f"{name}={value}")


_LISTENERS = ("SECURE", "EXPIRED")


def _connect_options(files: Path, port: int, password: str) -> Iterator[str]:
    settings = {
        "listeners": f"http://127.0.0.1:{{connect}},https://127.0.0.1:{port}",
        "listeners.https.ssl.client.auth": "required",
    }
    for store, file in (("keystore", "connect.p12"), ("truststore", "trust.p12")):
        prefix = f"listeners.https.ssl.{store}"
        settings |= {
            f"{prefix}.type": "PKCS12",
            f"{prefix}.location": f"{files / file}",
            f"{prefix}.password": password,
        }
    for name, value in settings.items():
        yield from ("--connect-option", f"{name}={value}")


def _add_scram_user(bootstrap: str, password: str) -> None:
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    user = UserScramCredentialUpsertion(KAFKA_USER, info, password.encode())
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.alter_user_scram_credentials([user]).values():
        future.result()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _keep(flavour: str, note: Path) -> None:
    """Holds a stack until its note is removed."""
    with secure_stack(flavour) as made:
        known = {**vars(made), "stack": made.stack.description, "files": str(made.files)}
        note.write_text(json.dumps(known))
        while note.exists():
            time.sleep(1)


if __name__ == "__main__":
    _keep(sys.argv[1], Path(sys.argv[2]))
