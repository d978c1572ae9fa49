"""Links, pairs and policies as the pipeline uses them, made from dts.yaml by config.py."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property

from dts_pipeline.core.conditions import Condition
from dts_pipeline.core.names import AS_THEY_ARE, Names

RESERVED_SCHEMAS = frozenset({"dts", "mysql", "sys", "information_schema", "performance_schema"})


class MarkKind(StrEnum):
    """How our own writes are told from users' writes."""

    ORIGIN = "origin"
    COMMENT = "comment"


class Ddl(StrEnum):
    """What a link does about tables that are not alike."""

    STOP = "stop"  # it stops until somebody has made them so
    ADDITIVE = "additive"  # it gives the target what the source has more
    IGNORE = "ignore"  # it leaves out columns that the target lacks; one-way links only


class Start(StrEnum):
    """Where a link without a checkpoint begins."""

    EARLIEST = "earliest"  # the first offset ever; refused if Kafka has already removed it
    AVAILABLE = "available"  # the first offset that Kafka still holds
    LATEST = "latest"  # only what comes from now on


MAIN = "main"
"""The lane of a link that has no others."""
WHOLE = "*"
"""Stands for all lanes of a link; no row of the ledger has it."""


@dataclass(frozen=True)
class Lane:
    """A part of a link that has a checkpoint, marks and runs of its own.

    By table: `tables` and `excluded` are patterns. By partition: of `parts` lanes that all carry
    the link's tables, the one that writes the keys of partitions `part`, `part + parts` and so on.
    """

    name: str
    tables: tuple[str, ...] = ("*",)
    excluded: tuple[str, ...] = ()
    part: int = 0
    parts: int = 1

    def matches(self, full_name: str) -> bool:
        """Whether `schema.table` is among the lane's tables."""
        return any(fnmatchcase(full_name, p) for p in self.tables) and not any(
            fnmatchcase(full_name, p) for p in self.excluded
        )

    def has(self, partition: int) -> bool:
        """Whether the keys of a topic's partition are the lane's."""
        return partition % self.parts == self.part


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
    `schema.table` to the columns whose changes are added up (`core/delta.py`). `max_returns` is how
    often a key may be put back (`core/pingpong.py`) before it is isolated.
    `source_names` and `target_names` are what its sites call the tables; all else here, patterns
    too, spells their common names (`core/names.py`).
    `excluded_columns` maps `schema.table` to the columns that each site keeps for itself (an
    AllBut where those are named that it does not),
    `filters` to the condition that a row must meet to be carried; of a pair it is empty.
    `owners` are shown by Dagster: e-mail addresses, or `team:NAME`.
    `all_mark_domains` are the MariaDB GTID domains that any link of the installation writes under,
    `writers` the links that write at the source, `others` those of them that are not the pair's
    own. `carries_on` are the others whose writes count as users' for this link: all but those of
    its mesh. `other_domains` and `carried_domains` are their GTID domains.
    `mesh` are the sites of a full mesh, the one that decides first, `mesh_pairs` the names of its
    other pairs; both are empty outside of one.

    `lanes` is empty for a link of one lane. `lane` is the one that this object stands for: of a
    link with lanes all of them (WHOLE), until `each_lane` gives them one by one.
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
    excluded_columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    filters: dict[str, Condition] = field(default_factory=dict)
    source_names: Names = AS_THEY_ARE
    target_names: Names = AS_THEY_ARE
    mark_domain_id: int | None = None
    all_mark_domains: frozenset[int] = frozenset()
    writers: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    other_domains: frozenset[int] = frozenset()
    carries_on: frozenset[str] = frozenset()
    carried_domains: frozenset[int] = frozenset()
    mesh: tuple[str, ...] = ()
    mesh_pairs: tuple[str, ...] = ()
    start: Start = Start.EARLIEST
    ddl: Ddl = Ddl.STOP
    truncate: str = "stop"
    on_poison: str = "stop"
    quarantine_limit: int = 100
    max_events_per_second: float | None = None
    max_returns: int = 0
    lanes: tuple[Lane, ...] = ()
    lane: str = MAIN
    owners: tuple[str, ...] = ()

    @cached_property
    def own(self) -> Lane | None:
        """The lane that this object stands for; None for the whole link."""
        return next((lane for lane in self.lanes if lane.name == self.lane), None)

    @property
    def whole(self) -> Link:
        """The link with all its lanes."""
        return replace(self, lane=WHOLE) if self.own else self

    @property
    def by_partition(self) -> bool:
        """Whether its lanes share each table instead of having tables of their own."""
        return any(lane.parts > 1 for lane in self.lanes)

    def each_lane(self) -> tuple[Link, ...]:
        """The lanes that this object stands for, each by itself."""
        if self.lane != WHOLE:
            return (self,)
        return tuple(replace(self, lane=lane.name) for lane in self.lanes)

    def takes(self, full_name: str, partition: int) -> bool:
        """Whether a table's keys of one partition are written by what this object stands for."""
        return (self.own is None or self.own.has(partition)) and self.matches(full_name)

    def groups(self) -> tuple[Link, ...]:
        """Its lanes by table; lanes by partition carry the same keys' tables, and stay together."""
        return (self,) if self.by_partition else self.each_lane()

    def matches(self, full_name: str) -> bool:
        """Whether `schema.table` is carried: by a pattern of `tables` and none of `excluded`.

        And whether it is one of the lane's.
        """
        schema = full_name.partition(".")[0].lower()
        if not schema or schema in RESERVED_SCHEMAS:
            return False
        if self.own and not self.own.matches(full_name):
            return False
        return any(fnmatchcase(full_name, p) for p in self.tables) and not any(
            fnmatchcase(full_name, p) for p in self.excluded
        )

    @property
    def title(self) -> str:
        """The link's name, with the lane's where there are several."""
        return f"{self.name}/{self.lane}" if self.own else self.name

    @property
    def reverse(self) -> str:
        """The name of a pair's link in the other direction."""
        return f"{self.target}_to_{self.source}"

    def policy_of(self, full_name: str) -> Policy | None:
        """The policy of a table: its own, else the pair's."""
        return self.table_policies.get(full_name, self.policy)

    def version_column_of(self, full_name: str) -> str | None:
        """The column that is promised to change with every write of the row, if there is one.

        The column of `newest` is not one by itself: a timestamp can stay the same for two writes.
        """
        return self.version_columns.get(full_name) or self.version_columns.get("*")

    def restless_columns(self, full_name: str) -> set[str]:
        """The columns of a table that change with a write whatever it is about, and counters."""
        policy = self.policy_of(full_name)
        names = {self.version_column_of(full_name), policy.column if policy else None}
        return {name for name in names if name} | set(self.counters.get(full_name, ()))

    @property
    def transaction_topic(self) -> str:
        """Debezium's topic of BEGIN and END messages of the source."""
        return f"{self.source_prefix}.transaction"

    def topic_of(self, full_name: str) -> str:
        """The topic of a table; Debezium replaces what Kafka does not allow in names by `_`."""
        own = self.source_names.own(full_name)
        return re.sub(r"[^a-zA-Z0-9._\-]", "_", f"{self.source_prefix}.{own}")

    def table_of(self, topic: str) -> str:
        """The table of a topic, as far as its name tells."""
        return self.source_names.common(topic.removeprefix(f"{self.source_prefix}."))
