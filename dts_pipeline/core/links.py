"""Links, pairs and policies as the pipeline uses them, made from dts.yaml by config.py."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

RESERVED_SCHEMAS = frozenset({"dts", "mysql", "sys", "information_schema", "performance_schema"})


class MarkKind(StrEnum):
    """How our own writes are told from users' writes."""

    ORIGIN = "origin"
    COMMENT = "comment"


class Start(StrEnum):
    """Where a link without a checkpoint begins."""

    EARLIEST = "earliest"  # the first offset ever; refused if Kafka has already removed it
    AVAILABLE = "available"  # the first offset that Kafka still holds
    LATEST = "latest"  # only what comes from now on


@dataclass(frozen=True)
class Policy:
    """Who wins a conflict.

    `kind` is `site`, `newest` or `fail`. `site` names the winner (for `newest`: of ties).
    `column` is the version compared by `newest`; `update_wins` decides rows against deletes.
    """

    kind: str
    site: str
    column: str = ""
    update_wins: bool = True


@dataclass(frozen=True)
class Link:
    """One direction: `source` site → `target` site, and the tables it carries.

    `tables` and `excluded` are shell-style patterns over `schema.table`, case-sensitive. `pair` is
    None for a one-way link. `version_columns` maps `schema.table` or `*` to a column, `counters`
    `schema.table` to the columns whose changes are added up (`core/delta.py`).
    `all_mark_domains` are the MariaDB GTID domains that any link of the installation writes under.
    """

    name: str
    source: str
    target: str
    tables: tuple[str, ...]
    source_prefix: str
    mark: MarkKind
    excluded: tuple[str, ...] = ()
    pair: str | None = None
    detect: bool = True
    policy: Policy | None = None
    table_policies: dict[str, Policy] = field(default_factory=dict)
    version_columns: dict[str, str] = field(default_factory=dict)
    counters: dict[str, tuple[str, ...]] = field(default_factory=dict)
    mark_domain_id: int | None = None
    all_mark_domains: frozenset[int] = frozenset()
    start: Start = Start.EARLIEST
    truncate: str = "stop"
    on_poison: str = "stop"
    quarantine_limit: int = 100
    lane: str = "main"

    def matches(self, full_name: str) -> bool:
        """Whether `schema.table` is carried: by a pattern of `tables` and none of `excluded`."""
        if full_name.partition(".")[0].lower() in RESERVED_SCHEMAS:
            return False
        return any(fnmatchcase(full_name, p) for p in self.tables) and not any(
            fnmatchcase(full_name, p) for p in self.excluded
        )

    def policy_of(self, full_name: str) -> Policy | None:
        """The policy of a table: its own, else the pair's."""
        return self.table_policies.get(full_name, self.policy)

    def version_column_of(self, full_name: str) -> str | None:
        """The column that is promised to change with every write of the row, if there is one.

        The column of `newest` is not one by itself: a timestamp can stay the same for two writes.
        """
        return self.version_columns.get(full_name) or self.version_columns.get("*")

    @property
    def transaction_topic(self) -> str:
        """Debezium's topic of BEGIN and END messages of the source."""
        return f"{self.source_prefix}.transaction"

    def topic_of(self, full_name: str) -> str:
        """The topic of a table; Debezium replaces what Kafka does not allow in names by `_`."""
        return re.sub(r"[^a-zA-Z0-9._\-]", "_", f"{self.source_prefix}.{full_name}")
