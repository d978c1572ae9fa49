"""dts.yaml: its shape, and every mistake in it reported at once with its path.

Secrets stand in the file as `${NAME}` only; their values are read from the environment by the
caller and handed to `Config.secret`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from dts_pipeline.core.links import Link, MarkKind, Policy, Start
from dts_pipeline.errors import ConfigError

_SECRET = re.compile(r"^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$")
_NAME = r"^[a-z][a-z0-9_]{0,30}$"
_TABLE_PATTERN = re.compile(r"^[^.\s]+\.[^.\s]+$")
_KAFKA_FIXED = {
    "auto.offset.reset": "the pipeline stops on a lost offset instead of jumping over it",
    "enable.auto.commit": "offsets are kept in the target's ledger",
    "enable.auto.offset.store": "offsets are kept in the target's ledger",
    "isolation.level": "aborted messages must never be applied",
    "enable.partition.eof": "the reader needs it",
    "group.id": "partitions are assigned, not subscribed",
}
_KAFKA_SECRETS = re.compile(r"password|secret|\.key\.pem$|oauthbearer\.config")
_UNITS = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def _secret_reference(value: object) -> object:
    if not isinstance(value, str) or not _SECRET.match(value):
        raise ValueError("a secret must be written as ${NAME} and given in the environment")
    return value


def _byte_size(value: object) -> object:
    match = re.fullmatch(r"(\d+)\s*(B|KiB|MiB|GiB)?", str(value))
    if match is None:
        raise ValueError("a size is a whole number with B, KiB, MiB or GiB, such as 256MiB")
    return int(match[1]) * _UNITS[match[2] or ""]


SecretReference = Annotated[str, BeforeValidator(_secret_reference)]
ByteSize = Annotated[int, BeforeValidator(_byte_size), Field(ge=2**10)]
Name = Annotated[str, Field(pattern=_NAME)]


class _Model(BaseModel):
    """Unknown keys are mistakes; nothing changes after the file was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class AccountConfig(_Model):
    """A database account; the connector's own where it differs from the pipeline's."""

    user: str = Field(min_length=1)
    password: SecretReference


class TlsConfig(_Model):
    """TLS to a site: the server's certificate and host name are verified against `ca`."""

    ca: str
    cert: str | None = None
    key: str | None = None


class SiteConfig(_Model):
    """One MySQL or MariaDB server."""

    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65535)
    user: str = Field(min_length=1)
    password: SecretReference
    topic_prefix: str = Field(pattern=r"^[A-Za-z0-9_\-][A-Za-z0-9._\-]*$")
    tls: TlsConfig | None = None
    connector: AccountConfig | None = None


class ConnectConfig(_Model):
    """Kafka Connect's REST interface."""

    url: str = Field(pattern=r"^https?://[^\s]+$")


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
        raise ValueError("`delta` is not there yet; use {site: NAME}, {newest: COLUMN} or fail")
    return value


PolicyConfig = Annotated[
    SitePolicy | NewestPolicy | Literal["fail"], BeforeValidator(_refuse_unsafe_policy)
]


class TableConflictConfig(_Model):
    """The policy of one table."""

    policy: PolicyConfig


class ConflictsConfig(_Model):
    """Who wins a conflict, for all tables of a pair and for single ones. There is no default."""

    policy: PolicyConfig
    tables: dict[str, TableConflictConfig] = {}


class _Carried(_Model):
    """What pairs and one-way links have in common."""

    tables: list[str] = Field(min_length=1)
    version: str | dict[str, str] | None = None
    mark_domain_id: int | None = Field(default=None, ge=1, le=2**32 - 1)
    start: Start = Start.EARLIEST
    truncate: Literal["stop", "ignore"] = "stop"

    @model_validator(mode="after")
    def _patterns_name_schema_and_table(self) -> Self:
        for pattern in self.tables:
            if not _TABLE_PATTERN.match(pattern):
                raise ValueError(f"table pattern {pattern!r} must be schema.table, such as shop.*")
            if pattern.split(".")[0] in ("dts", "*"):
                raise ValueError(f"table pattern {pattern!r} would carry the pipeline's own ledger")
        if all(pattern.startswith("!") for pattern in self.tables):
            raise ValueError("at least one pattern must name tables, not leave them out")
        return self

    def version_columns(self) -> dict[str, str]:
        """Table (or `*`) → its version column."""
        if self.version is None or isinstance(self.version, dict):
            return dict(self.version or {})
        return {"*": self.version}


class PairConfig(_Carried):
    """Two-way sync of the same tables between two sites."""

    sites: tuple[Name, Name]
    conflicts: ConflictsConfig


class LinkConfig(_Carried):
    """One-way sync; without a policy, `detect: false` must say that conflicts are overwritten."""

    source: Name
    target: Name
    detect: bool = True
    conflicts: ConflictsConfig | None = None

    @model_validator(mode="after")
    def _detection_needs_a_policy(self) -> Self:
        if self.detect and self.conflicts is None:
            raise ValueError("name a `conflicts` policy, or write `detect: false`")
        return self


class BatchConfig(_Model):
    """Limits of a batch; a source transaction is never cut, so one larger is taken whole."""

    max_events: int = Field(default=200_000, ge=1)
    max_bytes: ByteSize = 256 * 2**20
    max_seconds: float = Field(default=50.0, gt=0)
    max_transaction_bytes: ByteSize = 2 * 2**30


class ScheduleConfig(_Model):
    """When runs start: a cron line, and optionally a sensor every so many seconds."""

    cron: str = "* * * * *"
    lag_sensor_seconds: int | None = Field(default=None, ge=1)


class Config(_Model):
    """The whole of dts.yaml."""

    kafka: dict[str, str | int | float | bool]
    connect: ConnectConfig | None = None
    sites: dict[Name, SiteConfig] = Field(min_length=2)
    mark: MarkKind
    pairs: dict[Name, PairConfig] = {}
    links: dict[Name, LinkConfig] = {}
    batch: BatchConfig = BatchConfig()
    schedule: ScheduleConfig = ScheduleConfig()

    @property
    def secret_names(self) -> list[str]:
        """Every environment variable that the file names, sorted."""
        texts = [str(value) for value in self.kafka.values()]
        for site in self.sites.values():
            texts += [site.password] + ([site.connector.password] if site.connector else [])
        return sorted({match[1] for text in texts if (match := _SECRET.match(text))})

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
        return found

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
            table_policies={t: _policy(c.policy, first) for t, c in tables.items()},
            version_columns=carried.version_columns(),
            mark_domain_id=carried.mark_domain_id,
            all_mark_domains=domains,
            start=carried.start,
            truncate=carried.truncate,
        )


def _policy(config: SitePolicy | NewestPolicy | str, first_site: str) -> Policy:
    if isinstance(config, SitePolicy):
        return Policy("site", config.site)
    if isinstance(config, NewestPolicy):
        update_wins = config.deletes == "update_wins"
        return Policy("newest", config.ties or first_site, config.newest, update_wins)
    return Policy("fail", first_site)


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
        problem = getattr(error, "problem", None) or "is not YAML"
        raise ConfigError([(where, str(problem))], source=source) from None
    if not isinstance(data, dict):
        raise ConfigError([("(file)", "must be a mapping of keys")], source=source)
    problems = _extra_problems(data)
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        problems = _shape_problems(error) + problems
        raise ConfigError(_unique(problems), source=source) from None
    problems += _reference_problems(config)
    if problems:
        raise ConfigError(_unique(problems), source=source)
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
    match = _SECRET.match(reference)
    return secrets[match[1]] if match else reference


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML that refuses a key written twice instead of keeping the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is written twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _unique(problems: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return list(dict.fromkeys(problems))


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
    "SitePolicy",
    "NewestPolicy",
    "literal['fail']",
    "[key]",
    "function-before[_refuse_unsafe_policy(), union[SitePolicy,NewestPolicy,literal['fail']]]",
}
_MISSING = {
    "conflicts": "is required: a pair must name a conflict policy, there is no default",
    "policy": "is required: {site: NAME}, {newest: COLUMN} or fail; there is no default",
}


def _extra_problems(data: dict[str, Any]) -> list[tuple[str, str]]:
    """Rules on the Kafka section; checked on the raw data, so that they join the other mistakes."""
    problems: list[tuple[str, str]] = []
    kafka = data.get("kafka")
    if not isinstance(kafka, dict):
        return problems
    if not kafka.get("bootstrap.servers"):
        problems.append(("kafka.bootstrap.servers", "is required"))
    for key, value in kafka.items():
        if key in _KAFKA_FIXED:
            problems.append((f"kafka.{key}", f"is fixed by the pipeline: {_KAFKA_FIXED[key]}"))
        elif _KAFKA_SECRETS.search(str(key)) and not _SECRET.match(str(value)):
            problems.append((f"kafka.{key}", "a secret must be written as ${NAME}"))
    return problems


def _reference_problems(config: Config) -> list[tuple[str, str]]:
    """Names that must exist elsewhere in the file, and names that must not meet."""
    problems: list[tuple[str, str]] = []
    if not config.pairs and not config.links:
        problems.append(("pairs", "there is neither a pair nor a link"))
    names: dict[str, str] = {}
    for name, pair in config.pairs.items():
        path = f"pairs.{name}"
        problems += _site_problems(
            config, [(f"{path}.sites.{i}", s) for i, s in enumerate(pair.sites)]
        )
        if pair.sites[0] == pair.sites[1]:
            problems.append((f"{path}.sites", "must name two different sites"))
        problems += _policy_problems(pair.conflicts, set(pair.sites), path)
        for source, target in (pair.sites, pair.sites[::-1]):
            problems += _claim(names, f"{source}_to_{target}", path)
    for name, link in config.links.items():
        path = f"links.{name}"
        problems += _site_problems(
            config, [(f"{path}.source", link.source), (f"{path}.target", link.target)]
        )
        if link.source == link.target:
            problems.append((path, "source and target must be different sites"))
        if link.conflicts:
            problems += _policy_problems(link.conflicts, {link.source, link.target}, path)
        problems += _claim(names, name, path)
    prefixes: dict[str, str] = {}
    for name, site in config.sites.items():
        if site.topic_prefix in prefixes:
            other = prefixes[site.topic_prefix]
            problems.append((f"sites.{name}.topic_prefix", f"is the same as that of site {other}"))
        prefixes[site.topic_prefix] = name
    return problems


def _claim(names: dict[str, str], link: str, path: str) -> list[tuple[str, str]]:
    if link in names:
        return [(path, f"would give a link named {link}, which {names[link]} gives already")]
    names[link] = path
    return []


def _site_problems(config: Config, used: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(path, f"there is no site {site}") for path, site in used if site not in config.sites]


def _policy_problems(
    conflicts: ConflictsConfig, sites: set[str], path: str
) -> list[tuple[str, str]]:
    policies: list[tuple[str, SitePolicy | NewestPolicy | str]]
    policies = [(f"{path}.conflicts.policy", conflicts.policy)]
    policies += [
        (f"{path}.conflicts.tables.{table}.policy", entry.policy)
        for table, entry in conflicts.tables.items()
    ]
    problems: list[tuple[str, str]] = []
    for where, policy in policies:
        if isinstance(policy, SitePolicy) and policy.site not in sites:
            problems.append((f"{where}.site", f"must be one of {', '.join(sorted(sites))}"))
        if isinstance(policy, NewestPolicy) and policy.ties and policy.ties not in sites:
            problems.append((f"{where}.ties", f"must be one of {', '.join(sorted(sites))}"))
    return problems
