"""What the stages of one link work with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.kafka_admin import KafkaAdmin
from dts_pipeline.adapters.kafka_reader import KafkaReader
from dts_pipeline.adapters.ledger import Ledger
from dts_pipeline.adapters.mysql_writer import BatchWriter
from dts_pipeline.config import BatchConfig
from dts_pipeline.core.links import Link


@dataclass(frozen=True)
class LinkRuntime:
    """One link's settings and its connections, opened when first used; `close` ends them.

    `kafka` holds librdkafka properties, secrets filled in; `connect_url` Kafka Connect's REST
    address, where the connector's state and settings are asked. `run_id` names Dagster's run in the
    ledger; empty outside of one.
    """

    link: Link
    limits: BatchConfig
    source: Database
    target: Database
    kafka: Mapping[str, str]
    connect_url: str | None = None
    run_id: str = ""

    @cached_property
    def reader(self) -> KafkaReader:
        """The Kafka consumer of this link."""
        return KafkaReader(self.kafka)

    @cached_property
    def admin(self) -> KafkaAdmin:
        """What topics and offsets are asked of."""
        return KafkaAdmin(self.kafka)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, which stands in the target."""
        return Ledger(self.target)

    @cached_property
    def writer(self) -> BatchWriter:
        """What applies batches to the target."""
        return BatchWriter(self.target)

    def close(self) -> None:
        """Closes the consumer and the databases' idle connections."""
        if "reader" in self.__dict__:
            self.reader.close()
        for database in (self.source, self.target):
            database.close()
