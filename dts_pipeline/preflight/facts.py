"""What the checks look at: everything is asked once, before any check runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dts_pipeline.adapters.connect_api import RegisteredConnector
from dts_pipeline.adapters.kafka_admin import TopicSettings
from dts_pipeline.config import Config
from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.core.links import Link, MarkKind
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.schema import Dialect, Table


@dataclass(frozen=True)
class Trigger:
    """A trigger of a carried table; `timing` is BEFORE or AFTER."""

    table: str
    name: str
    timing: str
    event: str
    statement: str = field(repr=False)


@dataclass(frozen=True)
class SiteFacts:
    """A server as the pipeline's account sees it.

    `variables` are the server's global variables, and of its status `slaves_running`.
    `origin_errno` is the error of really trying the origin stamp, 0 where it worked.
    `refused` maps a table to the rights that were refused on it. `triggers` and `replicas` are
    None where the account may not see them.
    `clock_ahead` is in seconds against this machine, `clock_doubt` how far it may be off.
    `grants` are SHOW GRANTS' lines, None where they were not asked.
    `checkpoints` are those of the links that write here, by link; `used_marks` names the links
    whose next GTID the server has executed already.
    """

    name: str
    version: str
    dialect: Dialect
    variables: Mapping[str, str]
    tables: Mapping[str, Table] = field(default_factory=dict)
    ledger: frozenset[str] = frozenset()
    origin_errno: int = 0
    refused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    triggers: tuple[Trigger, ...] | None = ()
    replicas: int | None = 0
    clock_ahead: float = 0.0
    clock_doubt: float = 0.0
    incarnation: str = ""
    checkpoints: Mapping[str, Checkpoint] = field(default_factory=dict)
    used_marks: frozenset[str] = frozenset()
    grants: tuple[str, ...] | None = None

    def is_on(self, variable: str) -> bool:
        """Whether a boolean variable is on; False for one that the server does not have."""
        return self.variables.get(variable, "OFF").upper() in ("ON", "1", "TRUE", "YES")

    def number(self, variable: str) -> float | None:
        """A numeric variable; None for one that the server does not have."""
        text = self.variables.get(variable, "")
        try:
            return float(text)
        except ValueError:
            return None

    @property
    def release(self) -> tuple[int, ...]:
        """The version's numbers, such as (10, 11, 6)."""
        head = self.version.split("-")[0]
        return tuple(int(part) for part in head.split(".") if part.isdigit())


@dataclass(frozen=True)
class Facts:
    """All that was learnt. A server that could not be asked is absent or None."""

    config: Config
    links: tuple[Link, ...]
    sites: Mapping[str, SiteFacts]
    topics: Mapping[str, TopicSettings] | None = None
    connectors: Mapping[str, RegisteredConnector] | None = None
    offsets: Mapping[TopicPartition, tuple[int, int]] = field(default_factory=dict)

    @property
    def mark(self) -> MarkKind:
        """The kind of mark that the installation is configured for."""
        return self.config.mark

    def is_source(self, site: str) -> bool:
        """Whether any link reads from the site."""
        return any(link.source == site for link in self.links)

    def is_target(self, site: str) -> bool:
        """Whether any link writes to the site."""
        return any(link.target == site for link in self.links)

    def links_from(self, site: str) -> list[Link]:
        """The links that read from the site."""
        return [link for link in self.links if link.source == site]

    def carried(self, link: Link) -> list[Table]:
        """The link's tables as they are at its source; empty if that could not be asked."""
        site = self.sites.get(link.source)
        tables = self.tables_of(link, site) if site else {}
        return list(tables.values())

    @staticmethod
    def tables_of(link: Link, site: SiteFacts) -> dict[str, Table]:
        """The link's tables as they are at a site, by name, with the link's excluded columns."""
        excluded = link.excluded_columns
        return {
            name: table.excluding(excluded.get(name, ()))
            for name, table in site.tables.items()
            if link.matches(name)
        }
