"""A pair whose user meets bad input: runs `dts` as a user would, and sees what was left behind.

Every refusal is held to the same rules: exit status 2, a stable code with a remedy, rows and
ledger of both sites as they were, and neither a planted row value nor a secret in any output.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import yaml
from click.testing import CliRunner, Result
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from dts_pipeline.cli import main
from dts_pipeline.commands import exits
from dts_pipeline_tests.integration.rig import Rig, _merged, wait_for

PLANTED = "planted8d1f"
"""Part of every row value that the tests write; no output may hold it."""
START_LATEST = {"pairs": {"pair": {"start": "latest"}}}
_LEDGER = {
    "checkpoint": "link, lane, generation, batch, mark_sequence, paused",
    "batch": "link, lane, generation, batch, until_offsets, mark",
    "conflict": "link, table_name, kind, decision, state, times",
    "quarantine": "link, topic, offset_number",
}


@dataclass
class Bench:
    """A rig, and the words of its user."""

    rig: Rig
    secrets: Sequence[str] = field(default_factory=list)

    # -- what a user does ---------------------------------------------------------------------

    def dts(
        self,
        *words: str,
        changes: Mapping[str, Any] | None = None,
        environment: Mapping[str, str | None] | None = None,
    ) -> Result:
        """Runs `dts WORDS` in this process, with the rig's configuration changed for this once."""
        known = {**self.rig.stack.env, "DTS_CONFIG": str(self.config(changes))}
        found = {"DAGSTER_HOME": None, **known, **(environment or {})}
        result = CliRunner().invoke(main, words, env=found)
        if result.exit_code == exits.INTERRUPTED:
            # Somebody ended the tests (Ctrl-C, or SIGTERM, which Dagster turns into the same).
            raise KeyboardInterrupt
        self.assert_silent(result.output + result.stderr)
        return result

    def config(self, changes: Mapping[str, Any] | None = None) -> Path:
        """The rig's dts.yaml, or a changed copy."""
        if not changes:
            return self.rig.path
        path = self.rig.directory / f"{self.rig.name}-{time.time_ns()}.yaml"
        path.write_text(yaml.safe_dump(_merged(self.rig.document(), changes), sort_keys=False))
        return path

    def refused(self, code: str, link: str = "", **settings: Any) -> dict[str, Any]:
        """Syncs (forth, or `link`) until the run is refused; gives the error.

        `settings` are those of `dts`. Asserts that rows and ledger are as they were.
        """
        before = self.standing()
        error = self.error("sync", link or self.rig.forth, **settings)
        assert error["code"] == code, error
        assert self.standing() == before
        return error

    def error(self, *words: str, **settings: Any) -> dict[str, Any]:
        """The error of a command, repeated while it succeeds: Kafka may not have the events yet."""
        deadline = time.monotonic() + 20
        while True:
            result = self.dts(*words, "--json", **settings)
            if result.exit_code != exits.DONE or time.monotonic() > deadline:
                break
        assert result.exit_code == exits.FAILED, result.output
        error = dict(json.loads(result.stdout)["error"])
        assert error["remedy"], error
        return error

    def foreseen(self, *checks: str, severity: str = "error", **settings: Any) -> dict[str, Any]:
        """Preflight finds these and nothing else of this severity; gives the first of them.

        Exit status 1 only for errors. Waits a little: Connect and Kafka tell of a change late.
        """
        deadline = time.monotonic() + 20
        while True:
            result = self.dts("preflight", "--json", **settings)
            findings = json.loads(result.stdout)["findings"]
            found = [f for f in findings if f["severity"] == severity]
            if {f["check"] for f in found} == set(checks) or time.monotonic() > deadline:
                break
        assert {f["check"] for f in found} == set(checks), found
        stops = found and severity == "error"
        assert result.exit_code == (exits.FOUND if stops else exits.DONE)
        assert all(f["remedy"] for f in found)
        return dict(next((f for f in found if f["check"] == checks[0]), {}) if found else {})

    def at_once(
        self,
        *commands: Sequence[str],
        changes: Mapping[str, Any] | None = None,
        home: Path | None = None,
    ) -> list[dict[str, Any]]:
        """Several commands side by side, each a process of its own; gives their documents.

        For servers that are down: each command waits for them, and they wait together. With
        `changes` the last command gets a configuration that is changed. `home`: DAGSTER_HOME.
        """
        environment = {**os.environ, **self.rig.stack.env, "DAGSTER_HOME": str(home or "")}
        paths = [self.rig.path] * len(commands)
        paths[-1] = self.config(changes)
        started = [
            subprocess.Popen(
                [sys.executable, "-m", "dts_pipeline.cli", *words, "--json"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**environment, "DTS_CONFIG": str(path)},
            )
            for words, path in zip(commands, paths, strict=True)
        ]
        documents = []
        for words, process in zip(commands, started, strict=True):
            out, err = process.communicate(timeout=200)
            self.assert_silent(out + err)
            expected = exits.FOUND if words[0] == "preflight" else exits.FAILED
            assert process.returncode == expected, out + err
            documents.append(json.loads(out))
        return documents

    def restart_connectors(self) -> None:
        """What lost its server and waits a minute before it looks again."""
        for side in "ab":
            url = f"{self.connector_url(side)}/restart?includeTasks=true"
            httpx.post(url, timeout=30).raise_for_status()
        for side in "ab":
            self.await_connector("RUNNING", "RUNNING", side=side)

    def revive(self) -> None:
        """Registers the connectors again, as the remedy of one that gave up says."""
        done = self.dts("connectors", "--register")
        assert done.exit_code == exits.DONE, done.output
        self.foreseen()

    def goes_on(self) -> None:
        """What either side writes now arrives, and both sides are equal."""
        self.rig.sync(60)
        standing = self.standing()
        assert standing["rows at a"] == standing["rows at b"]

    def carries(self, statement: str, query: str, seconds: float = 60) -> None:
        """A row that is written at a by `statement` is found at b by `query`."""
        self.rig.sql("a", statement)
        deadline = time.monotonic() + seconds
        while not self.rig.rows("b", query):
            assert time.monotonic() < deadline, "the row did not arrive"
            self.rig.run(self.rig.forth)

    def new_start(self, link: str) -> None:
        """Gives a link a new start, step by step as docs/operations.md says.

        What a test wrote must be at both sites already; the rig's own marker is seen to here.
        """
        source, target = (
            self.rig.sites.index(site)
            for site in (self.rig.links[link].source, self.rig.links[link].target)
        )
        for side, number in self.rig.rows("ab"[source], "SELECT side, n FROM zz_marker"):
            self.rig.sql("ab"[target], f"REPLACE INTO zz_marker VALUES ('{side}', {number})")
        side = "ab"[target]
        lane = f"link = '{link}' AND lane = 'main'"
        before = self.rig.rows(side, f"SELECT generation FROM dts.checkpoint WHERE {lane}")[0][0]
        self.rig.sql(side, f"DELETE FROM dts.checkpoint WHERE {lane}")
        done = self.dts("sync", link, changes=START_LATEST)
        assert done.exit_code == exits.DONE, done.output
        assert self.rig.checkpoint(link).generation >= before

    # -- what is looked at --------------------------------------------------------------------

    def standing(self) -> dict[str, Any]:
        """Checksums of all tables and the ledger's rows of both links, by side."""
        found: dict[str, Any] = {}
        links = f"link IN ('{self.rig.forth}', '{self.rig.back}')"
        for side in "ab":
            with self.rig.user(side) as connection, connection.cursor() as cursor:
                cursor.execute("SHOW TABLES")
                tables = ", ".join(f"`{name}`" for (name,) in cursor.fetchall())
                cursor.execute(f"CHECKSUM TABLE {tables}")
                found[f"rows at {side}"] = cursor.fetchall()
                for table, columns in _LEDGER.items():
                    cursor.execute(f"SELECT {columns} FROM dts.{table} WHERE {links} ORDER BY 1, 2")
                    found[f"{table} at {side}"] = cursor.fetchall()
                cursor.execute(f"SELECT link, offsets FROM dts.checkpoint WHERE {links}")
                found[f"offsets at {side}"] = {
                    # A new topic may be taken in with nothing read of it.
                    link: {tp: n for tp, n in json.loads(offsets).items() if n}
                    for link, offsets in cursor.fetchall()
                }
        return found

    def assert_silent(self, text: str) -> None:
        """Neither a planted row value nor a secret is in the text."""
        assert PLANTED not in text
        assert not [s for s in [*self.rig.stack.env.values(), *self.secrets] if s in text]

    # -- Kafka and Connect --------------------------------------------------------------------

    @cached_property
    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.rig.stack.kafka})

    def topic(self, table: str, side: str = "a") -> str:
        return f"{self.rig.site(side)}.{self.rig.name}.{table}"

    def topic_setting(self, topic: str, name: str, value: str) -> None:
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        for future in self.admin.incremental_alter_configs([resource]).values():
            future.result()

    def offsets(self, topic: str) -> tuple[int, int]:
        """The first offset that Kafka holds, and the next one to be written."""
        low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)
        return low, high

    def last_message(self, topic: str) -> bytes:
        """The value of the newest message."""
        self._consumer.assign([TopicPartition(topic, 0, self.offsets(topic)[1] - 1)])
        message = self._consumer.poll(20)
        assert message is not None
        assert message.error() is None
        return bytes(message.value() or b"")

    @cached_property
    def _consumer(self) -> Consumer:
        known = {"bootstrap.servers": self.rig.stack.kafka, "group.id": "bad-input"}
        return Consumer({**known, "enable.auto.commit": False})

    def produce(self, topic: str, value: bytes, key: bytes | None = b'{"id":1}') -> int:
        """A message that no connector sent; gives its offset."""
        sent: list[Any] = []
        producer = Producer({"bootstrap.servers": self.rig.stack.kafka})
        producer.produce(topic, value, key, on_delivery=lambda *answer: sent.append(answer))
        producer.flush(20)
        error, message = sent[0]
        assert error is None
        return int(message.offset())

    def connector_url(self, side: str = "a") -> str:
        site = self.rig.site(side)
        return f"{self.rig.stack.connect}/connectors/dts-{site}"

    def await_connector(self, *states: str, side: str = "a") -> None:
        site = self.rig.site(side)
        wait_for(lambda: tuple(self.rig.connector_state(site)) == states, 60)

    def stop_connector(self, side: str = "a") -> None:
        httpx.put(f"{self.connector_url(side)}/stop", timeout=30).raise_for_status()
        self.await_connector("STOPPED", side=side)

    def resume_connector(self, side: str = "a") -> None:
        httpx.put(f"{self.connector_url(side)}/resume", timeout=30).raise_for_status()
        self.await_connector("RUNNING", "RUNNING", side=side)

    def begin_anew(self, side: str = "a") -> None:
        """The connector forgets its place, and begins where the binlog ends."""
        self.stop_connector(side)
        httpx.delete(f"{self.connector_url(side)}/offsets", timeout=30).raise_for_status()
        self.resume_connector(side)
        self.rig.await_capture(side)

    def remove_connectors(self) -> None:
        """So that the stack does not carry them on for the rest of the session."""
        for side in self.rig.SIDES:
            httpx.delete(self.connector_url(side), timeout=30)
