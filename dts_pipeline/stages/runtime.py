"""What the stages of one link work with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.kafka_admin import KafkaAdmin
from dts_pipeline.adapters.kafka_reader import KafkaReader
from dts_pipeline.adapters.ledger import Ledger
from dts_pipeline.adapters.mysql_writer import BatchWriter
from dts_pipeline.adapters.tls import TlsFiles
from dts_pipeline.config import BatchConfig
from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.core.lanes import merged
from dts_pipeline.core.links import Link
from dts_pipeline.core.marks import NOBODY, Writers
from dts_pipeline.stages.ahead import ReadAhead

PACED_SECONDS = 2.0
"""Of a link with `max_events_per_second`, how much a batch may have of it at once."""


@dataclass(frozen=True)
class LinkRuntime:
    """One link's settings and its connections, opened when first used; `close` ends them.

    `kafka` holds librdkafka properties, secrets filled in; `connect_url` Kafka Connect's REST
    address, where the connector's state and settings are asked, with `connect_tls` for https.
    `run_id` names Dagster's run in the ledger; empty outside of one.
    """

    link: Link
    limits: BatchConfig
    source: Database
    target: Database
    kafka: Mapping[str, str]
    connect_url: str | None = None
    connect_tls: TlsFiles | None = None
    run_id: str = ""

    @property
    def max_events(self) -> int:
        """How many row events a batch may have; a link with a rate takes small ones, often."""
        rate = self.link.max_events_per_second
        if rate is None:
            return self.limits.max_events
        return max(1, min(self.limits.max_events, int(rate * PACED_SECONDS)))

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

    @cached_property
    def carried(self) -> Writers:
        """The other links whose writes at the source this one carries on."""
        if not self.link.carries_on:
            return NOBODY
        return Writers.carried_by(self.link, self.ledger.installation())

    @cached_property
    def others(self) -> Writers:
        """All other links that write at the source, but its own pair's."""
        if self.link.others == self.link.carries_on:
            return self.carried
        return Writers.beside(self.link, self.ledger.installation())

    @cached_property
    def lanes(self) -> tuple[LinkRuntime, ...]:
        """Its lanes, each with its own consumers; itself where it is one."""
        links = self.link.each_lane()
        return (self,) if len(links) == 1 else tuple(replace(self, link=own) for own in links)

    @cached_property
    def groups(self) -> tuple[LinkRuntime, ...]:
        """Its lanes by table, or itself; each carries tables that no other does."""
        return (self,) if len(self.link.groups()) == 1 else self.lanes

    def lane(self, name: str) -> LinkRuntime:
        """One of its lanes; KeyError if there is none of that name."""
        return {own.link.lane: own for own in self.lanes}[name]

    def carrying(self, table: str) -> LinkRuntime:
        """What of it carries a table."""
        return next((own for own in self.groups if own.link.matches(table)), self)

    def writing(self, table: str, partition: int) -> LinkRuntime:
        """The lane that writes a table's keys of one partition."""
        return next((own for own in self.lanes if own.link.takes(table, partition)), self)

    def standing(self) -> Checkpoint | None:
        """The checkpoint; of several lanes how far all of them are (`core.lanes.merged`)."""
        link = self.link
        if len(self.lanes) == 1:
            return self.ledger.read(link.name, self.lanes[0].link.lane)
        rows = self.ledger.lanes(link.name)
        return merged(link, [rows[own.lane] for own in link.each_lane() if own.lane in rows])

    @cached_property
    def beside(self) -> LinkRuntime:
        """The same link with a consumer of its own, for a thread beside this one."""
        return replace(self)

    @cached_property
    def ahead(self) -> ReadAhead[Any]:
        """What is read while a batch is applied."""
        return ReadAhead(self.beside.reader.stop)

    def close(self) -> None:
        """Closes the consumers and the databases' idle connections."""
        if "ahead" in self.__dict__:
            self.ahead.close()
            self.beside.reader.close()
        for lane in self.__dict__.get("lanes", ()):
            if lane is not self:
                lane.close()
        if "reader" in self.__dict__:
            self.reader.close()
        for database in (self.source, self.target):
            database.close()
