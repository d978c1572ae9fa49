"""What a command works with: dts.yaml, its secrets and the servers, each read when first used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dts_pipeline.config import Config, TlsConfig, load_config, resolve_secrets, secret_value
from dts_pipeline.core.links import Link
from dts_pipeline.errors import TerminalError

if TYPE_CHECKING:
    from dts_pipeline.adapters.database import Database


@dataclass(frozen=True)
class Session:
    """One command's way to dts.yaml at `path`; `environ` holds the secrets it names."""

    path: Path
    environ: Mapping[str, str]

    @cached_property
    def config(self) -> Config:
        """The checked configuration; raises ConfigError."""
        return load_config(self.path)

    @cached_property
    def secrets(self) -> dict[str, str]:
        """The value of every `${NAME}`; raises ConfigError that names all that are missing."""
        return resolve_secrets(self.config, self.environ)

    @cached_property
    def links(self) -> dict[str, Link]:
        """Every link by name, also those of pairs."""
        return self.config.resolved_links()

    @cached_property
    def kafka(self) -> dict[str, str]:
        """librdkafka's properties with the secrets filled in."""
        return {key: self.secret(_spelled(value)) for key, value in self.config.kafka.items()}

    @cached_property
    def databases(self) -> dict[str, Database]:
        """Every site's server by name; nothing is connected yet."""
        return {site: self._database(site) for site in self.config.sites}

    def secret(self, reference: str) -> str:
        """What stands behind `${NAME}`."""
        return secret_value(reference, self.secrets)

    def link(self, name: str) -> Link:
        """A link by its name; raises TerminalError `unknown_link`."""
        if name not in self.links:
            raise TerminalError(
                "unknown_link",
                f"there is no link {name}",
                remedy=f"dts.yaml has: {', '.join(sorted(self.links))}.",
            )
        return self.links[name]

    def _database(self, name: str) -> Database:
        from dts_pipeline.adapters.database import Database

        site = self.config.sites[name]
        return Database(
            name,
            site.host,
            site.port,
            site.user,
            self.secret(site.password),
            _tls_options(site.tls),
        )


def _spelled(value: object) -> str:
    """A property as librdkafka spells it: true and false in small letters."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _tls_options(tls: TlsConfig | None) -> dict[str, object]:
    """PyMySQL's options: the server's certificate and host name are always verified."""
    if tls is None:
        return {}
    options: dict[str, object] = {"ca": tls.ca, "check_hostname": True, "verify_mode": "required"}
    return options | {name: path for name in ("cert", "key") if (path := getattr(tls, name))}
