"""The databases of dts.yaml's sites, secrets filled in."""

from __future__ import annotations

from collections.abc import Mapping

from dts_pipeline.adapters.database import Database
from dts_pipeline.config import Config, secret_value


def open_databases(config: Config, secrets: Mapping[str, str]) -> dict[str, Database]:
    """A Database for each site, not connected yet; `tls` verifies certificate and name."""
    found = {}
    for name, site in config.sites.items():
        tls: dict[str, object] = {}
        if site.tls:
            tls = {"ca": site.tls.ca, "check_hostname": True, "verify_mode": "required"}
            tls |= {k: v for k in ("cert", "key") if (v := getattr(site.tls, k))}
        password = secret_value(site.password, secrets)
        found[name] = Database(name, site.host, site.port, site.user, password, tls)
    return found


def kafka_properties(config: Config, secrets: Mapping[str, str]) -> dict[str, str]:
    """librdkafka's properties from dts.yaml, as text."""
    found = {}
    for name, value in config.kafka.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        found[name] = secret_value(text, secrets)
    return found
