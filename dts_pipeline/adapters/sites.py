"""The databases of dts.yaml's sites, secrets filled in."""

from __future__ import annotations

from collections.abc import Mapping

from dts_pipeline.adapters.connect_api import ConnectApi
from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.tls import TlsFiles
from dts_pipeline.config import Config, ConnectConfig, TlsConfig, secret_value


def open_databases(config: Config, secrets: Mapping[str, str]) -> dict[str, Database]:
    """A Database for each site, not connected yet."""
    found = {}
    for name, site in config.sites.items():
        password = secret_value(site.password, secrets)
        tls = tls_files(site.tls)
        names = config.site_names(name)
        found[name] = Database(name, site.host, site.port, site.user, password, tls, names)
    return found


def open_connect(connect: ConnectConfig, *, patience: float = 15.0) -> ConnectApi:
    """A client of Kafka Connect; `patience` as `ConnectApi` takes it."""
    return ConnectApi(connect.url, tls=tls_files(connect.tls), patience=patience)


def tls_files(tls: TlsConfig | None) -> TlsFiles | None:
    """The files that dts.yaml names; None where TLS is not asked for."""
    return TlsFiles(tls.ca, tls.cert, tls.key) if tls else None


def kafka_properties(config: Config, secrets: Mapping[str, str]) -> dict[str, str]:
    """librdkafka's properties from dts.yaml, as text."""
    found = {}
    for name, value in config.kafka.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        found[name] = secret_value(text, secrets)
    return found
