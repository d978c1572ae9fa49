"""What a command works with: dts.yaml, its secrets and the servers, each read when first used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.sites import kafka_properties, open_databases
from dts_pipeline.config import Config, load_config, resolve_secrets
from dts_pipeline.core.links import Link
from dts_pipeline.errors import TerminalError


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
        return kafka_properties(self.config, self.secrets)

    @cached_property
    def databases(self) -> dict[str, Database]:
        """Every site's server by name; nothing is connected yet."""
        return open_databases(self.config, self.secrets)

    def link(self, name: str) -> Link:
        """A link by its name; raises TerminalError `unknown_link`."""
        if name not in self.links:
            raise TerminalError(
                "unknown_link",
                f"there is no link {name}",
                remedy=f"dts.yaml has: {', '.join(sorted(self.links))}.",
            )
        return self.links[name]

    def lanes(self, name: str, lane: str | None = None) -> tuple[Link, ...]:
        """All lanes of a link, or the named one; raises TerminalError `unknown_lane`."""
        every = self.link(name).each_lane()
        if lane is None:
            return every
        found = tuple(own for own in every if own.lanes and own.lane == lane)
        if not found:
            raise self.no_lane(name, f"there is no lane {lane}")
        return found

    def no_lane(self, name: str, what: str) -> TerminalError:
        """The error that names the lanes of a link."""
        lanes = self.link(name).each_lane()
        names = ", ".join(own.lane for own in lanes if own.lanes) or "only one, without a name"
        return TerminalError(
            "unknown_lane", what, where={"link": name}, remedy=f"The link's lanes: {names}."
        )
