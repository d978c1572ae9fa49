"""dts.yaml: its shape, and every mistake in it reported at once with its path.

Secrets stand in the file as `${NAME}` only; their values are read from the environment by the
caller and handed to `Config.secret`.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from dts_pipeline.config_lanes import lane_problems, lanes_kind, table_lanes
from dts_pipeline.config_meshes import in_meshes, mesh_problems
from dts_pipeline.config_references import SECRET, kafka_problems, reference_problems
from dts_pipeline.config_renames import rename_problems
from dts_pipeline.core.condition_parser import parse_condition
from dts_pipeline.core.conditions import Condition, columns_of
from dts_pipeline.core.connector_config import LARGEST_MESSAGE_BYTES, MAX_MESSAGE_BYTES
from dts_pipeline.core.links import (
    MAIN,
    RESERVED_SCHEMAS,
    WHOLE,
    Ddl,
    Lane,
    Link,
    MarkKind,
    Policy,
    Start,
)
from dts_pipeline.core.names import Names
from dts_pipeline.core.schema import AllBut
from dts_pipeline.errors import ConfigError

_NAME = r"^[a-z][a-z0-9_]{0,27}$"  # two of them and `_to_` fit the ledger's 64 characters
_OWNER = r"^(team:[A-Za-z0-9._\-]+|[A-Za-z0-9._%+\-]+@[A-Za-z0-9.\-]+\.[A-Za-z]{2,})$"
_TABLE_PATTERN = re.compile(r"^!?[^.\s!]+\.[^.\s]+$")
_UNITS = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def _secret_reference(value: object) -> object:
    if not isinstance(value, str) or not SECRET.match(value):
        raise ValueError("a secret must be written as ${NAME} and given in the environment")
    return value


def _byte_size(value: object) -> object:
    match = re.fullmatch(r"(\d+)\s*(B|KiB|MiB|GiB)?", str(value))
    if match is None:
        raise ValueError("a size is a whole number with B, KiB, MiB or GiB, such as 256MiB")
    return int(match[1]) * _UNITS[match[2] or ""]


def _table_pattern(pattern: str) -> str:
    if not _TABLE_PATTERN.match(pattern):
        raise ValueError("a table pattern must be schema.table, such as shop.*")
    schema = pattern.removeprefix("!").split(".")[0].lower()
    if not pattern.startswith("!") and any(fnmatchcase(own, schema) for own in RESERVED_SCHEMAS):
        raise ValueError(
            "the pattern would carry the pipeline's ledger or the server's own tables; name the "
            "schema"
        )
    return pattern


def _condition(text: str) -> str:
    parse_condition(text)
    return text


def _lane_pattern(pattern: str) -> str:
    return pattern if pattern == "*" else _table_pattern(pattern)


TablePattern = Annotated[str, AfterValidator(_table_pattern)]
LanePattern = Annotated[str, AfterValidator(_lane_pattern)]
SecretReference = Annotated[
    str,
    BeforeValidator(_secret_reference),
    WithJsonSchema({"type": "string", "pattern": SECRET.pattern}),
]
_BYTES_SCHEMA = {"type": ["integer", "string"], "pattern": r"^\d+\s*(B|KiB|MiB|GiB)?$"}
ByteSize = Annotated[
    int, BeforeValidator(_byte_size), Field(ge=2**10), WithJsonSchema(_BYTES_SCHEMA)
]
Name = Annotated[str, Field(pattern=_NAME)]
TableName = Annotated[str, Field(pattern=r"^[^.\s*?\[]+\.[^.\s*?\[]+$")]
RenamedTables = Annotated[str, Field(pattern=r"^[^.\s*?\[!]+\.(\*|[^.\s*?\[]+)$")]
ColumnName = Annotated[str, Field(min_length=1, max_length=64)]
ConditionText = Annotated[str, AfterValidator(_condition)]
Owner = Annotated[str, Field(pattern=_OWNER)]


class _Model(BaseModel):
    """Unknown keys are mistakes; nothing changes after the file was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class AccountConfig(_Model):
    """A database account; the connector's own where it differs from the pipeline's."""

    user: str = Field(min_length=1)
    password: SecretReference


class TlsConfig(_Model):
    """TLS: the server's certificate and host name are verified against `ca`."""

    ca: str = Field(min_length=1)
    cert: str | None = None
    key: str | None = None

    @model_validator(mode="after")
    def _a_key_has_its_certificate(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("`cert` and `key` belong together")
        return self


class SiteTlsConfig(TlsConfig):
    """TLS to a site; `truststore` holds the authority for the connector, on Connect's workers."""

    truststore: str | None = None
    truststore_password: SecretReference | None = None


class SiteConfig(_Model):
    """One MySQL or MariaDB server."""

    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65535)
    user: str = Field(min_length=1)
    password: SecretReference
    topic_prefix: str = Field(pattern=r"^[A-Za-z0-9_\-][A-Za-z0-9._\-]*$")
    tls: SiteTlsConfig | None = None
    connector: AccountConfig | None = None


class ConnectConfig(_Model):
    """Kafka Connect's REST interface, and the largest message that its connectors send."""

    url: str = Field(pattern=r"^https?://[^\s@]+$")
    tls: TlsConfig | None = None
    max_message_bytes: ByteSize = Field(MAX_MESSAGE_BYTES, ge=2**20, le=LARGEST_MESSAGE_BYTES)

    @model_validator(mode="after")
    def _files_are_for_https(self) -> Self:
        if self.tls and not self.url.startswith("https:"):
            raise ValueError("`tls` needs a `url` that begins with https:")
        return self


class NewestPolicy(_Model):
    """The row whose `newest` column is later wins; ties go to `ties` (default: the first site)."""

    newest: str = Field(min_length=1)
    deletes: Literal["update_wins", "delete_wins"] = "update_wins"
    ties: Name | None = None


class SitePolicy(_Model):
    """The row of the named site wins."""

    site: Name


def _refuse_unsafe_policy(value: object) -> object:
    if value == "overwrite":
        raise ValueError(
            "`overwrite` is refused: concurrent updates would swap and stay different; "
            "use {site: NAME}, {newest: COLUMN} or fail"
        )
    if isinstance(value, dict) and "delta" in value:
        raise ValueError(
            "`delta` stands beside a table's policy: tables: {TABLE: {delta: [COLUMN], policy: …}}"
        )
    return value


def _policy_kind(value: object) -> str | None:
    """Which policy is meant, so that a mistake in it is told once."""
    if isinstance(value, SitePolicy) or (isinstance(value, dict) and "site" in value):
        return "policy:site"
    if isinstance(value, NewestPolicy) or (isinstance(value, dict) and "newest" in value):
        return "policy:newest"
    return "policy:fail" if value == "fail" else None


PolicyConfig = Annotated[
    Annotated[SitePolicy, Tag("policy:site")]
    | Annotated[NewestPolicy, Tag("policy:newest")]
    | Annotated[Literal["fail"], Tag("policy:fail")],
    Discriminator(
        _policy_kind,
        custom_error_type="policy",
        custom_error_message="must be {site: NAME}, {newest: COLUMN} or fail",
    ),
    BeforeValidator(_refuse_unsafe_policy),
]


class TableConflictConfig(_Model):
    """The policy of one table (default: the pair's), and its columns that are added up."""

    policy: PolicyConfig | None = None
    delta: list[str] = []

    @model_validator(mode="after")
    def _something_is_said(self) -> Self:
        if self.policy is None and not self.delta:
            raise ValueError("name a `policy`, or the columns of `delta`")
        if len(set(self.delta)) < len(self.delta):
            raise ValueError("`delta` names a column twice")
        return self


class ConflictsConfig(_Model):
    """Who wins a conflict, for all tables of a pair and for single ones. There is no default."""

    policy: PolicyConfig
    tables: dict[str, TableConflictConfig] = {}


class PartitionLanes(_Model):
    """So many lanes that share each table by the partitions of its topic."""

    by: Literal["partition"]
    count: int = Field(ge=2, le=64)


LanesConfig = Annotated[
    Annotated[PartitionLanes, Tag("lanes:partition")]
    | Annotated[dict[Name, list[LanePattern]], Tag("lanes:table")],
    Discriminator(lanes_kind),
]


class ColumnsConfig(_Model):
    """The columns of one table that each site keeps for itself: these, or all others.

    `rename`: site → a column's common name → what the site calls it.
    """

    exclude: list[ColumnName] | None = Field(default=None, min_length=1)
    include: list[ColumnName] | None = Field(default=None, min_length=1)
    rename: dict[Name, dict[ColumnName, ColumnName]] = {}

    @model_validator(mode="after")
    def _one_of_both_without_repeats(self) -> Self:
        if self.exclude is not None and self.include is not None:
            raise ValueError("name either `exclude` or `include`")
        if self.exclude is None and self.include is None and not self.rename:
            raise ValueError("name `exclude`, `include` or `rename`")
        for key, names in (("exclude", self.exclude or []), ("include", self.include or [])):
            if len(set(names)) < len(names):
                raise ValueError(f"`{key}` names a column twice")
        return self

    @property
    def excluded(self) -> tuple[str, ...]:
        """What is not synced."""
        return AllBut(self.include) if self.include else tuple(self.exclude or ())


class _Carried(_Model):
    """What pairs and one-way links have in common."""

    tables: list[TablePattern] = Field(min_length=1)
    columns: dict[TableName, ColumnsConfig] = {}
    rename: dict[Name, dict[RenamedTables, RenamedTables]] = {}
    lanes: LanesConfig | None = None
    version: str | dict[str, str] | None = None
    mark_domain_id: int | None = Field(default=None, ge=1, le=2**32 - 1)
    start: Start = Start.EARLIEST
    ddl: Ddl = Ddl.STOP
    truncate: Literal["stop", "ignore"] = "stop"
    on_poison: Literal["stop", "quarantine"] = "stop"
    quarantine_limit: int = Field(default=100, ge=1)
    max_events_per_second: float | None = Field(default=None, gt=0)
    owners: list[Owner] = []

    @model_validator(mode="after")
    def _something_is_carried(self) -> Self:
        if all(pattern.startswith("!") for pattern in self.tables):
            raise ValueError("`tables` must name tables, not only leave some out")
        return self

    @model_validator(mode="after")
    def _excluded_columns_are_free(self) -> Self:
        for table in self.columns:
            if not self.carries(table):
                raise ValueError(f"`columns` names {table}, which `tables` does not carry")
        for table, columns in self.excluded_columns().items():
            for column in sorted(c for c in self._compared_columns(table) if c in columns):
                raise ValueError(
                    f"`columns` excludes {column} of {table}, which decides about its rows: it is "
                    "named by `version`, `newest` or `delta`"
                )
        return self

    def carries(self, table: str) -> bool:
        """Whether `tables` matches the name."""
        inside = [p for p in self.tables if not p.startswith("!")]
        outside = [p[1:] for p in self.tables if p.startswith("!")]
        return any(fnmatchcase(table, p) for p in inside) and not any(
            fnmatchcase(table, p) for p in outside
        )

    def _compared_columns(self, table: str) -> set[str]:
        """The columns of a table that decide about its rows, as far as the file names them."""
        versions = self.version_columns()
        version = versions.get(table) or versions.get("*")
        names = {version} if version else set()
        conflicts: ConflictsConfig | None = getattr(self, "conflicts", None)
        if conflicts is not None:
            own = conflicts.tables.get(table)
            policy = own.policy if own and own.policy else conflicts.policy
            names |= set(own.delta) if own else set()
            names |= {policy.newest} if isinstance(policy, NewestPolicy) else set()
        return names

    def excluded_columns(self) -> dict[str, tuple[str, ...]]:
        """Table → the columns that each site keeps for itself."""
        return {table: own.excluded for table, own in self.columns.items() if own.excluded}

    def resolved_lanes(self) -> tuple[Lane, ...]:
        """The lanes; none for a link of one."""
        if isinstance(self.lanes, PartitionLanes):
            count = self.lanes.count
            return tuple(Lane(f"{n}_of_{count}", part=n, parts=count) for n in range(count))
        return table_lanes(self.lanes or {})

    def version_columns(self) -> dict[str, str]:
        """Table (or `*`) → its version column."""
        if self.version is None or isinstance(self.version, dict):
            return dict(self.version or {})
        return {"*": self.version}


class PairConfig(_Carried):
    """Two-way sync of the same tables between two sites."""

    sites: tuple[Name, Name]
    mesh: Name | None = None
    conflicts: ConflictsConfig
    max_returns: int = Field(default=50, ge=2)

    @model_validator(mode="after")
    def _no_column_is_left_out_in_silence(self) -> Self:
        if self.ddl is Ddl.IGNORE:
            raise ValueError(
                "`ddl: ignore` would leave a pair's sites different without a word; name the "
                "columns that each site keeps for itself under `columns`"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _all_rows_are_carried(cls, data: object) -> object:
        if isinstance(data, dict) and "where" in data:
            raise ValueError(
                "`where` is for one-way links: of a pair both sites would have to find the same "
                "rows inside, also while each changes them"
            )
        return data


class LinkConfig(_Carried):
    """One-way sync; without a policy, `detect: false` must say that conflicts are overwritten."""

    source: Name
    target: Name
    detect: bool = True
    conflicts: ConflictsConfig | None = None
    where: dict[TableName, ConditionText] = {}

    @model_validator(mode="after")
    def _filters_are_of_carried_tables(self) -> Self:
        excluded = self.excluded_columns()
        for table, text in self.where.items():
            if not self.carries(table):
                raise ValueError(f"`where` names {table}, which `tables` does not carry")
            for column in columns_of(parse_condition(text)):
                if column in excluded.get(table, ()):
                    raise ValueError(f"`where` of {table} names {column}, which `columns` excludes")
        return self

    def filters(self) -> dict[str, Condition]:
        """Table → the condition that its rows must meet to be carried."""
        return {table: parse_condition(text) for table, text in self.where.items()}

    @model_validator(mode="after")
    def _detection_needs_a_policy(self) -> Self:
        if self.detect and self.conflicts is None:
            raise ValueError("name a `conflicts` policy, or write `detect: false`")
        if (
            not self.detect
            and self.conflicts
            and any(table.delta for table in self.conflicts.tables.values())
        ):
            raise ValueError("`delta` adds to what the target holds: it needs `detect: true`")
        return self


class BatchConfig(_Model):
    """Limits of a batch; a source transaction is never cut, so one larger is taken whole.

    `staging`: `auto` fills temporary tables by LOAD DATA LOCAL where both ends allow it, `insert`
    never does. A transaction that stays incomplete for `max_wait_seconds`, by Kafka's timestamps,
    is an error.
    """

    max_events: int = Field(default=200_000, ge=1)
    max_bytes: ByteSize = 256 * 2**20
    max_seconds: float = Field(default=50.0, gt=0)
    max_transaction_bytes: ByteSize = 2 * 2**30
    staging: Literal["auto", "insert"] = "auto"
    max_wait_seconds: float = Field(default=600.0, gt=0)


class ScheduleConfig(_Model):
    """When runs start: cron lines in UTC, and optionally a sensor every so many seconds.

    Past `lag_warn_seconds` the check on a link's lag warns.
    """

    cron: str = "* * * * *"
    settle_cron: str = "*/5 * * * *"
    lag_warn_seconds: float = Field(default=300.0, gt=0)
    lag_sensor_seconds: int | None = Field(default=None, ge=1)


class AlertsConfig(_Model):
    """Where Dagster's sensors tell of failed runs and of links that lag: a URL, a secret."""

    webhook: SecretReference


class RetentionConfig(_Model):
    """How many days the jobs `prune_runs` and `prune_ledger` leave things where they are."""

    run_days: float = Field(default=7.0, gt=0)
    failed_run_days: float = Field(default=30.0, gt=0)
    batch_days: float = Field(default=30.0, gt=0)
    conflict_days: float = Field(default=90.0, gt=0)


class Config(_Model):
    """The whole of dts.yaml."""

    config_version: Literal[1] = 1
    kafka: dict[str, str | int | float | bool]
    connect: ConnectConfig | None = None
    sites: dict[Name, SiteConfig] = Field(min_length=2)
    mark: MarkKind
    pairs: dict[Name, PairConfig] = {}
    links: dict[Name, LinkConfig] = {}
    batch: BatchConfig = BatchConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    retention: RetentionConfig = RetentionConfig()
    alerts: AlertsConfig | None = None

    @property
    def secret_names(self) -> list[str]:
        """Every environment variable that the file names, sorted."""
        texts = [str(value) for value in self.kafka.values()]
        texts += [self.alerts.webhook] if self.alerts else []
        for site in self.sites.values():
            texts += [site.password] + ([site.connector.password] if site.connector else [])
            texts += [(site.tls and site.tls.truststore_password) or ""]
        return sorted({match[1] for text in texts if (match := SECRET.match(text))})

    def site_names(self, site: str) -> Names:
        """What a site calls tables and columns: entries that share a table there agree on it."""
        entries = (*self.pairs.values(), *self.links.values())
        tables = [pair for entry in entries for pair in entry.rename.get(site, {}).items()]
        columns = {
            table: own.rename[site]
            for entry in entries
            for table, own in entry.columns.items()
            if site in own.rename
        }
        return Names.of(tables, columns)

    def resolved_links(self) -> dict[str, Link]:
        """Every link by name: two for each pair, and the one-way ones."""
        domains = frozenset(
            carried.mark_domain_id
            for carried in (*self.pairs.values(), *self.links.values())
            if carried.mark_domain_id is not None
        )
        found: dict[str, Link] = {}
        for name, pair in self.pairs.items():
            for source, target in (pair.sites, pair.sites[::-1]):
                link = self._link(f"{source}_to_{target}", source, target, pair, domains, name)
                found[link.name] = link
        for name, one_way in self.links.items():
            found[name] = self._link(name, one_way.source, one_way.target, one_way, domains, None)
        meshes = {name: pair.mesh for name, pair in self.pairs.items() if pair.mesh}
        found = in_meshes(found, meshes)
        return {name: _beside(own, found.values()) for name, own in found.items()}

    def _link(
        self,
        name: str,
        source: str,
        target: str,
        carried: PairConfig | LinkConfig,
        domains: frozenset[int],
        pair: str | None,
    ) -> Link:
        conflicts = carried.conflicts
        first = carried.sites[0] if isinstance(carried, PairConfig) else source
        tables = conflicts.tables if conflicts else {}
        return Link(
            name=name,
            source=source,
            target=target,
            tables=tuple(p for p in carried.tables if not p.startswith("!")),
            excluded=tuple(p[1:] for p in carried.tables if p.startswith("!")),
            source_prefix=self.sites[source].topic_prefix,
            mark=self.mark,
            pair=pair,
            detect=True if isinstance(carried, PairConfig) else carried.detect,
            policy=_policy(conflicts.policy, first) if conflicts else None,
            table_policies={t: _policy(c.policy, first) for t, c in tables.items() if c.policy},
            source_names=self.site_names(source),
            target_names=self.site_names(target),
            excluded_columns=carried.excluded_columns(),
            filters=carried.filters() if isinstance(carried, LinkConfig) else {},
            counters={t: tuple(c.delta) for t, c in tables.items() if c.delta},
            version_columns=carried.version_columns(),
            mark_domain_id=carried.mark_domain_id,
            all_mark_domains=domains,
            lanes=(lanes := carried.resolved_lanes()),
            lane=WHOLE if lanes else MAIN,
            start=carried.start,
            ddl=carried.ddl,
            truncate=carried.truncate,
            on_poison=carried.on_poison,
            quarantine_limit=carried.quarantine_limit,
            max_events_per_second=carried.max_events_per_second,
            owners=tuple(carried.owners),
            max_returns=carried.max_returns if isinstance(carried, PairConfig) else 0,
        )


def _beside(link: Link, links: Iterable[Link]) -> Link:
    """The link with what it must know of the others that write at its source."""
    writers = [own for own in links if own.target == link.source]
    others = [own for own in writers if link.pair is None or own.pair != link.pair]
    carried = [own for own in others if own.pair not in link.mesh_pairs]
    return replace(
        link,
        writers=frozenset(own.name for own in writers),
        others=frozenset(own.name for own in others),
        other_domains=_domains(others, link),
        carries_on=frozenset(own.name for own in carried),
        carried_domains=_domains(carried, link),
    )


def _domains(writers: Iterable[Link], link: Link) -> frozenset[int]:
    """The GTID domains that others write under, and the link itself does not."""
    found = {own.mark_domain_id for own in writers} - {link.mark_domain_id}
    return frozenset(domain for domain in found if domain is not None)


def _policy(config: SitePolicy | NewestPolicy | str, first_site: str) -> Policy:
    if isinstance(config, SitePolicy):
        return Policy("site", config.site)
    if isinstance(config, NewestPolicy):
        update_wins = config.deletes == "update_wins"
        return Policy("newest", config.ties or first_site, config.newest, update_wins)
    return Policy("fail", first_site)


def other_policy(config: Config, link: Link, text: str) -> Policy:
    """A policy as dts.yaml spells it, such as `{site: a}`, in the place of a link's own.

    Raises ConfigError.
    """
    problem = "must be {site: NAME}, {newest: COLUMN} or fail"
    try:
        given: Any = TypeAdapter(PolicyConfig).validate_python(yaml.safe_load(text))
    except yaml.YAMLError:
        raise ConfigError([("policy", problem)], source="--policy") from None
    except ValidationError as error:
        problems = [(f"policy.{path}", what) for path, what in _shape_problems(error)]
        raise ConfigError(problems, source="--policy") from None
    first = config.pairs[link.pair].sites[0] if link.pair else link.source
    policy = _policy(given, first)
    if policy.site not in (link.source, link.target):
        sites = f"{link.source} or {link.target}"
        raise ConfigError([("policy", f"must name {sites}")], source="--policy")
    return policy


def load_config(path: Path | str) -> Config:
    """Reads and checks dts.yaml.

    Raises ConfigError with every mistake and its path.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            [("(file)", f"cannot be read: {error.strerror}")], source=str(path)
        ) from error
    return parse_config(text, source=str(path))


def parse_config(text: str, *, source: str = "dts.yaml") -> Config:
    """Checks the text of a dts.yaml; see `load_config`."""
    try:
        data = yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "(file)"
        problem = str(getattr(error, "problem", None) or "is not YAML")
        if not isinstance(error, _KeyError):  # YAML's own words can quote what stands there
            problem = re.sub(r"'[^']*'", "…", problem)
        raise ConfigError([(where, problem)], source=source) from None
    if not isinstance(data, dict):
        raise ConfigError([("(file)", "must be a mapping of keys")], source=source)
    problems = [*kafka_problems(data), *reference_problems(data), *lane_problems(data)]
    problems += [*rename_problems(data), *mesh_problems(data)]
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        problems = _shape_problems(error) + problems
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)), source=source)
    return config


def resolve_secrets(config: Config, environ: Mapping[str, str]) -> dict[str, str]:
    """The value of each `${NAME}` in the file; every missing variable is reported at once."""
    missing = [name for name in config.secret_names if not environ.get(name)]
    if missing:
        problems = [(f"${{{name}}}", "is not set in the environment") for name in missing]
        raise ConfigError(problems)
    return {name: environ[name] for name in config.secret_names}


def secret_value(reference: str, secrets: Mapping[str, str]) -> str:
    """What stands behind `${NAME}`; any other text stands for itself."""
    match = SECRET.match(reference)
    return secrets[match[1]] if match else reference


class _KeyError(yaml.constructor.ConstructorError):
    """A key that is written twice, or is no plain text."""


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML that refuses a key written twice instead of keeping the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool | None):
                raise _KeyError(None, None, "a key must be plain text", key_node.start_mark)
            if key in seen:
                raise _KeyError(None, None, f"key {key!r} is written twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _shape_problems(error: ValidationError) -> list[tuple[str, str]]:
    """Pydantic's findings as (path, message), without the offending input."""
    problems = []
    for item in error.errors(include_input=False, include_url=False):
        parts = [str(p) for p in item["loc"] if p not in _UNION_TAGS]
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "unknown key"
        elif item["type"] == "missing":
            message = _MISSING.get(parts[-1], "is required")
        problems.append((".".join(parts) or "(file)", message))
    return problems


_UNION_TAGS = {
    "policy:site", "policy:newest", "policy:fail", "lanes:partition", "lanes:table", "[key]",
}  # fmt: skip
_MISSING = {
    "conflicts": "is required: a pair must name a conflict policy, there is no default",
    "policy": "is required: {site: NAME}, {newest: COLUMN} or fail; there is no default",
}
