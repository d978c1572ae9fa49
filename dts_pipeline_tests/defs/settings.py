"""The dts.yaml of these tests; no server stands behind it."""

from __future__ import annotations

import dagster as dg

from dts_pipeline.config import parse_config
from dts_pipeline.defs.build import build_definitions
from dts_pipeline_tests.fakes import FakeStages

ENVIRONMENT = {"DTS_A": "secret-of-a", "DTS_B": "secret-of-b", "DTS_K": "secret-of-kafka"}
SETTINGS = """
kafka: {bootstrap.servers: "127.0.0.1:1", sasl.password: "${DTS_K}", log.connection.close: false}
sites:
  a: {host: 127.0.0.1, port: 1, user: dts, password: "${DTS_A}", topic_prefix: a}
  b: {host: 127.0.0.1, port: 2, user: dts, password: "${DTS_B}", topic_prefix: b}
mark: origin
pairs:
  shop:
    sites: [a, b]
    tables: [shop.orders, "crm.*"]
    conflicts: {policy: {site: a}}
schedule: {cron: "*/2 * * * *", lag_sensor_seconds: 10}
"""


def job_with_fakes(name: str) -> dg.JobDefinition:
    """A job of these settings as another process would build it."""
    definitions = build_definitions(parse_config(SETTINGS), stages=FakeStages(sizes=[3]).stages())
    return definitions.resolve_job_def(name)
