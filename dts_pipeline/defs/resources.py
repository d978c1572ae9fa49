"""The servers as Dagster resources; secrets are named here and read when a run starts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from dts_pipeline.config import BatchConfig, Config, ConnectConfig, SiteConfig
from dts_pipeline.core.links import Link
from dts_pipeline.core.names import AS_THEY_ARE, Names

if TYPE_CHECKING:  # pandas, SQLAlchemy and Kafka's client are left for the run to import
    from collections.abc import Callable, Sequence

    from dts_pipeline.adapters.database import Database
    from dts_pipeline.core.batches import Applied, Batch, Plan, RunSummary
    from dts_pipeline.errors import DtsError
    from dts_pipeline.stages import LinkRuntime

KAFKA = "kafka"
STAGES = "stages"
_SECRET = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Stages:
    """The stages that the ops call, in their order; `dts_pipeline.stages` documents each.

    `retry_waits`: seconds before each repetition of plan_ranges or pull after a transient error;
    they only read. apply repeats by itself, and a stage between has given its frame away. `failed`
    is told the error that ends a run.
    """

    plan_ranges: Callable[[LinkRuntime], Plan]
    pull: Callable[[LinkRuntime, Plan, int], Batch | None]
    normalize: Callable[[LinkRuntime, Plan, Batch], Batch]
    drop_marked: Callable[[Batch], Batch]
    compact: Callable[[Batch], Batch]
    apply: Callable[[LinkRuntime, Plan, Batch], Applied]
    summarize: Callable[[LinkRuntime, Plan, Sequence[Applied]], RunSummary]
    behind: Callable[[LinkRuntime], int]
    retry_waits: tuple[float, ...] = (2.0, 5.0, 15.0)
    failed: Callable[[LinkRuntime, DtsError], None] = lambda runtime, error: None


class SiteResource(dg.ConfigurableResource[Any]):
    """One MySQL or MariaDB server; with `ca`, TLS verifies certificate and host name."""

    host: str
    port: int
    user: str
    password: str
    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    def database(self, site: str, names: Names = AS_THEY_ARE) -> Database:
        """The connections to this server, under the site's name in dts.yaml.

        `names` is what the site calls tables and columns.
        """
        from dts_pipeline.adapters.database import Database
        from dts_pipeline.adapters.tls import TlsFiles

        tls = TlsFiles(self.ca, self.cert, self.key) if self.ca else None
        return Database(site, self.host, self.port, self.user, self.password, tls, names)


class KafkaResource(dg.ConfigurableResource[Any]):
    """librdkafka's properties; those that the pipeline fixes are added by the reader."""

    properties: dict[str, str]


def resources_of(config: Config, stages: Stages | None) -> dict[str, Any]:
    """Every resource by its key: the servers, and for each link what its stages work with."""
    found: dict[str, Any] = {KAFKA: KafkaResource(properties=_kafka_properties(config.kafka))}
    for name, site in config.sites.items():
        found[site_key(name)] = _site_resource(site)
    for link in config.resolved_links().values():
        found[runtime_key(link.name)] = _runtime_resource(link, config.batch, config.connect)
    return found | {STAGES: stages or _real_stages}


def site_key(site: str) -> str:
    """The key of a site's resource."""
    return f"site_{site}"


def runtime_key(link: str) -> str:
    """The key of the resource that gives a link's `LinkRuntime`."""
    return f"runtime_{link}"


def _site_resource(site: SiteConfig) -> SiteResource:
    tls = site.tls.model_dump(include={"ca", "cert", "key"}) if site.tls else {}
    return SiteResource(
        host=site.host, port=site.port, user=site.user, password=reference(site.password), **tls
    )


def _kafka_properties(kafka: Mapping[str, object]) -> dict[str, str]:
    return {key: reference(_spelled(value)) for key, value in kafka.items()}


def _spelled(value: object) -> str:
    """A property as librdkafka spells it: true and false in small letters."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def reference(text: str) -> str:
    """`${NAME}` as a reference that Dagster resolves in the run, so that the UI shows the name."""
    match = _SECRET.fullmatch(text)
    return dg.EnvVar(match[1]) if match else text


def _runtime_resource(
    link: Link, limits: BatchConfig, connect: ConnectConfig | None
) -> dg.ResourceDefinition:
    source, target = site_key(link.source), site_key(link.target)

    @dg.resource(
        required_resource_keys={KAFKA, source, target},
        description=f"What the stages of {link.name} work with.",
    )
    def runtime(context: dg.InitResourceContext) -> Iterator[LinkRuntime]:
        from dts_pipeline.adapters.sites import tls_files
        from dts_pipeline.stages import LinkRuntime

        sites = {key: getattr(context.resources, key) for key in (source, target)}
        made = LinkRuntime(
            link=link,
            limits=limits,
            source=sites[source].database(link.source, link.source_names),
            target=sites[target].database(link.target, link.target_names),
            kafka=dict(context.resources.kafka.properties),
            connect_url=connect.url if connect else None,
            connect_tls=tls_files(connect.tls) if connect else None,
            run_id=context.run.run_id if context.run else "",
        )
        try:
            yield made
        finally:
            made.close()

    return runtime


@dg.resource(description="The stages of a batch.")
def _real_stages(_context: dg.InitResourceContext) -> Stages:
    from dts_pipeline import stages

    return Stages(
        plan_ranges=stages.plan_ranges,
        pull=stages.pull,
        normalize=stages.normalize,
        drop_marked=stages.drop_marked,
        compact=stages.compact,
        apply=stages.apply,
        summarize=stages.summarize,
        behind=stages.behind,
        failed=stages.failed,
    )
