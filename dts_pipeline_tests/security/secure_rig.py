"""A pair on a secure stack, set up as the README says, by accounts that have nothing more than
what `dts init --print` says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from click.testing import CliRunner

from dts_pipeline import stages
from dts_pipeline.adapters.sites import kafka_properties, open_databases, tls_files
from dts_pipeline.cli import main
from dts_pipeline.commands import exits
from dts_pipeline_tests.integration.rig import Rig, _merged
from dts_pipeline_tests.security.certificates import NAME
from dts_pipeline_tests.security.secure_stack import KAFKA_USER, SecureStack


@dataclass
class SecureRig(Rig):
    """Everything that it opens by its own dts.yaml goes over TLS."""

    secure: SecureStack = field(kw_only=True)

    def document(self) -> dict[str, Any]:
        ca = self.secure.path("ca.pem")
        tls = {
            "ca": ca,
            "truststore": self.secure.path("trust.p12"),
            "truststore_password": "${P12_SECRET}",
        }
        client = {name: self.secure.path(f"client.{end}") for name, end in _CLIENT.items()}
        secured = {
            "kafka": {
                "bootstrap.servers": self.secure.kafka,
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": KAFKA_USER,
                "sasl.password": "${KAFKA_SECRET}",
                "ssl.ca.location": ca,
                "socket.timeout.ms": 2000,
            },
            "connect": {"url": self.secure.connect, "tls": {"ca": ca, **client}},
            "sites": {
                site: {
                    "host": NAME,
                    "user": f"{self.name}_dts",
                    "tls": tls,
                    "connector": {"user": f"{self.name}_dbz"},
                }
                for site in self.sites
            },
        }
        return _merged(_merged(super().document(), secured), self.changes)

    def create(self, *ddl: str) -> SecureRig:
        """Tables, accounts and ledger as an administrator makes them; then the connectors."""
        printed = json.loads(self.dts("init", "--print", "--json"))
        for site, side in zip(self.sites, "ab", strict=True):
            kind = str(self.stack.site(side)["kind"])
            with self.stack.application(side) as connection, connection.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE `{self.name}` CHARACTER SET utf8mb4")
                cursor.execute("CREATE DATABASE IF NOT EXISTS dts")
                for end in ("", "_CONNECTOR"):
                    user = f"{self.name}_{'dbz' if end else 'dts'}"
                    password = self.stack.env[f"DTS_{side.upper()}{end}_PASSWORD"]
                    cursor.execute(
                        f"CREATE USER '{user}'@'%' IDENTIFIED BY '{password}' REQUIRE SSL"
                    )
                for statement in printed["ledger"]:
                    cursor.execute(statement.rstrip(";"))
                for line in printed["grants"][site][kind].splitlines():
                    if line.startswith("GRANT "):
                        cursor.execute(line.rstrip(";"))
        self.both("CREATE TABLE zz_marker (side CHAR(1) PRIMARY KEY, n BIGINT NOT NULL)", *ddl)
        self.dts("init")
        self.dts("connectors", "--register")
        return self

    def runtime(self, link: str) -> stages.LinkRuntime:
        found = self.links[link]
        databases = open_databases(self.config, self.secrets)
        connect = self.config.connect
        assert connect is not None
        return stages.LinkRuntime(
            found,
            self.config.batch,
            databases[found.source],
            databases[found.target],
            kafka_properties(self.config, self.secrets),
            connect.url,
            tls_files(connect.tls),
        )

    def dts(self, *words: str, environment: Mapping[str, str] | None = None) -> str:
        """The output of a command that must succeed."""
        known = {**self.stack.env, "DTS_CONFIG": str(self.path), "DAGSTER_HOME": None}
        done = CliRunner().invoke(main, words, env={**known, **(environment or {})})
        assert done.exit_code == exits.DONE, done.output + done.stderr
        return done.stdout


_CLIENT = {"cert": "pem", "key": "key"}
