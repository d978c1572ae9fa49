"""A pair on a running stack whose accounts hold nothing but the GRANTs that `dts init` prints."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx
import yaml

from dts_pipeline import stages
from dts_pipeline.adapters.connector_setup import register_connectors
from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.ledger import Ledger
from dts_pipeline.adapters.sites import kafka_properties, open_databases
from dts_pipeline.config import Config, parse_config
from dts_pipeline.core.grants import Account, SiteUse, grants_script
from dts_pipeline.core.schema import Dialect
from dts_pipeline.preflight import Finding, Severity, run_preflight
from dts_pipeline_tests.stacks import Stack

SECRETS = {"GUARDED_DTS": "a-word-to-get-in-1", "GUARDED_CONNECTOR": "a-word-to-get-in-2"}
ITEM = "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(20), at DATE)"


@dataclass
class GuardedPair:
    """Sites `<name>a` and `<name>b` over schema `<name>`, with accounts `<name>d` and `<name>c`."""

    stack: Stack
    name: str = field(default_factory=lambda: f"pf{time.time_ns() // 10**6 % 46656**2:x}")
    other: Mapping[str, Any] | None = None

    @property
    def sites(self) -> dict[str, str]:
        """The stack's side behind each site."""
        return {f"{self.name}a": "a", f"{self.name}b": "b"}

    def document(self) -> dict[str, Any]:
        """dts.yaml, for tests to change."""
        if self.other is not None:
            return dict(self.other)
        account = {"user": f"{self.name}d", "password": "${GUARDED_DTS}"}
        connector = {"user": f"{self.name}c", "password": "${GUARDED_CONNECTOR}"}
        return {
            "kafka": {"bootstrap.servers": self.stack.kafka},
            "connect": {"url": self.stack.connect},
            "sites": {
                site: {
                    "host": self.stack.site(side)["host"],
                    "port": self.stack.site(side)["port"],
                    "topic_prefix": site,
                    "connector": connector,
                    **account,
                }
                for site, side in self.sites.items()
            },
            "mark": "origin",
            "pairs": {
                "pair": {
                    "sites": list(self.sites),
                    "tables": [f"{self.name}.*"],
                    "mark_domain_id": 4711,
                    "conflicts": {"policy": {"site": f"{self.name}a"}},
                }
            },
        }

    def changed(self, document: Mapping[str, Any]) -> GuardedPair:
        """The same pair under another dts.yaml."""
        return GuardedPair(self.stack, self.name, document)

    def config(self, document: Mapping[str, Any] | None = None) -> Config:
        return parse_config(yaml.safe_dump(document or self.document()))

    @cached_property
    def databases(self) -> dict[str, Database]:
        return open_databases(self.config(), SECRETS)

    def admin(self, side: str, *statements: str) -> None:
        """Runs statements as somebody who may do anything, in the pair's schema."""
        with self.stack.application(side, self.name) as connection:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)

    def both(self, *statements: str) -> None:
        for side in "ab":
            self.admin(side, *statements)

    def value(self, side: str, query: str) -> Any:
        with self.stack.application(side, self.name) as connection:
            with connection.cursor() as cursor:
                cursor.execute(query)
                row = cursor.fetchone()
        return row[0] if row else None

    def create(self) -> GuardedPair:
        """Schema, ledger, accounts by the printed script, connectors that capture."""
        config = self.config()
        links = list(config.resolved_links().values())
        for site, side in self.sites.items():
            found = self.stack.site(side)
            with self.stack.application(side) as connection, connection.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {self.name}")
                cursor.execute("SET GLOBAL sync_binlog = 1")  # a fast stack's servers are laxer
                cursor.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
            password = found["password"]
            Ledger(Database(site, found["host"], found["port"], found["user"], password)).create(
                "t"
            )
            use = SiteUse.of(site, links, Dialect(found["kind"]), config.mark)
            script = grants_script(Account(f"{self.name}d"), Account(f"{self.name}c"), use)
            passwords = {f"{self.name}d": "GUARDED_DTS", f"{self.name}c": "GUARDED_CONNECTOR"}
            for user, secret in passwords.items():
                self.admin(side, f"CREATE USER '{user}'@'%' IDENTIFIED BY '{SECRETS[secret]}'")
            self.admin(side, *(s for s in script.splitlines() if s.startswith("GRANT")))
        self.both(ITEM)
        assert [r.site for r in self.register()] == sorted(self.sites)
        return self

    def register(self) -> list[Any]:
        return list(register_connectors(self.config(), self.databases, SECRETS))

    def preflight(self, document: Mapping[str, Any] | None = None) -> list[Finding]:
        return run_preflight(self.config(document), SECRETS)

    def problems(self, document: Mapping[str, Any] | None = None) -> set[tuple[str, str]]:
        """The codes and severities of what is not in order."""
        found = [f for f in self.preflight(document) if f.severity is not Severity.OK]
        assert all(f.remedy for f in found)
        return {(f.check, str(f.severity)) for f in found}

    @contextmanager
    def setting(self, side: str, variable: str, value: str) -> Iterator[None]:
        """A global variable of a server, for the time of the block."""
        before = self.value(side, f"SELECT @@GLOBAL.{variable}")
        self.admin(side, f"SET GLOBAL {variable} = {value}")
        try:
            yield
        finally:
            old = before if isinstance(before, int) else f"'{before}'"
            self.admin(side, f"SET GLOBAL {variable} = {old}")

    @contextmanager
    def revoked(self, side: str, right: str, place: str) -> Iterator[None]:
        """A right taken from the pipeline's account, for the time of the block."""
        account = f"'{self.name}d'@'%'"
        self.admin(side, f"REVOKE {right} ON {place} FROM {account}")
        try:
            yield
        finally:
            self.admin(side, f"GRANT {right} ON {place} TO {account}")

    @contextmanager
    def connector(self, site: str, changes: Mapping[str, str | None]) -> Iterator[None]:
        """The connector's settings changed at Connect itself, for the time of the block."""
        url = f"{self.stack.connect}/connectors/dts-{site}/config"
        before = httpx.get(url).raise_for_status().json()
        changed = {k: v for k, v in {**before, **changes}.items() if v is not None}
        httpx.put(url, json=changed).raise_for_status()
        self.await_running(site)
        try:
            yield
        finally:
            httpx.put(url, json=before).raise_for_status()
            self.await_running(site)

    def await_running(self, site: str) -> None:
        url = f"{self.stack.connect}/connectors/dts-{site}/status"

        def running() -> bool:
            answer = httpx.get(url)
            body = answer.json() if answer.status_code == 200 else {"tasks": []}
            return [task["state"] for task in body["tasks"]] == ["RUNNING"]

        wait_for(running)

    def sync(self, source: str) -> None:
        """One run of the link that starts at `source`."""
        config = self.config()
        link = next(n for n in config.resolved_links().values() if n.source == source)
        runtime = stages.LinkRuntime(
            link,
            config.batch,
            self.databases[link.source],
            self.databases[link.target],
            kafka_properties(config, SECRETS),
        )
        try:
            plan = stages.plan_ranges(runtime)
            for slot in range(plan.slots):
                batch = stages.pull(runtime, plan, slot)
                if batch is not None:
                    rows = stages.drop_marked(stages.normalize(runtime, plan, batch))
                    stages.apply(runtime, plan, stages.compact(rows))
        finally:
            runtime.close()


def wait_for(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {seconds} s")
        time.sleep(0.1)
