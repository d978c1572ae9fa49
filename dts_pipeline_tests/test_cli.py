"""The command line: errors, exit statuses and JSON, first without servers, then on real ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from dts_pipeline.adapters.kafka_admin import KafkaAdmin
from dts_pipeline.cli import Commands, main
from dts_pipeline.commands import exits
from dts_pipeline.commands.status import LinkStatus
from dts_pipeline.commands.sync import STALLED_SECONDS, repeat
from dts_pipeline.core.batches import Checkpoint, RunSummary
from dts_pipeline.core.waiting import Waiting
from dts_pipeline.errors import DtsError
from dts_pipeline_tests.integration.rig import Rig, wait_for
from dts_pipeline_tests.stacks import Stack

CLOSED_PORT = 1
SECRETS = {"DTS_A_PASSWORD": "secret-of-a", "DTS_B_PASSWORD": "secret-of-b"}
SETTINGS = f"""
kafka: {{bootstrap.servers: "127.0.0.1:{CLOSED_PORT}"}}
sites:
  a: {{host: 127.0.0.1, port: {CLOSED_PORT}, user: dts, password: "${{DTS_A_PASSWORD}}", topic_prefix: a}}
  b: {{host: 127.0.0.1, port: {CLOSED_PORT}, user: dts, password: "${{DTS_B_PASSWORD}}", topic_prefix: b}}
mark: origin
pairs:
  shop:
    sites: [a, b]
    tables: ["shop.*"]
    mark_domain_id: 7
    conflicts: {{policy: {{site: a}}}}
"""  # noqa: E501
ROW_VALUE = "alice@example.org"


@dataclass(frozen=True)
class Dts:
    """Runs `dts` with one configuration and environment."""

    config: Path
    environment: dict[str, str]

    def __call__(self, *words: str) -> Result:
        no_home: dict[str, str | None] = {"DAGSTER_HOME": None}
        environment = {**no_home, **self.environment, "DTS_CONFIG": str(self.config)}
        return CliRunner().invoke(main, words, env=environment)

    def json(self, *words: str, status: int = exits.DONE) -> dict[str, Any]:
        """The one JSON document of a command that ends with `status`."""
        result = self(*words, "--json")
        assert result.exit_code == status, result.output
        assert result.stderr == ""
        return dict(json.loads(result.stdout))

    def error(self, *words: str) -> dict[str, Any]:
        """The error of a command that could not be done."""
        return dict(self.json(*words, status=exits.FAILED)["error"])


@pytest.fixture
def dts(tmp_path: Path) -> Dts:
    """`dts` with a valid configuration behind which no server stands."""
    path = tmp_path / "dts.yaml"
    path.write_text(SETTINGS)
    return Dts(path, SECRETS)


class TestErrors:
    def test_a_missing_file_is_a_configuration_error(self, dts: Dts, tmp_path: Path) -> None:
        error = dts.error("status", "--config", str(tmp_path / "nowhere.yaml"))

        assert error["code"] == "config_invalid"
        assert "nowhere.yaml" in error["message"]

    def test_every_mistake_is_reported_at_once_with_its_path(self, dts: Dts) -> None:
        wrong = SETTINGS.replace("mark: origin", "mark: stamp").replace("sites: [a, b]", "sits: []")
        dts.config.write_text(wrong)

        error = dts.error("status")

        assert {p["path"] for p in error["problems"]} >= {"mark", "pairs.shop.sits"}

    def test_all_missing_secrets_are_named_and_no_other(self, dts: Dts) -> None:
        error = replace(dts, environment={"DTS_A_PASSWORD": "given"}).error("init")

        assert [p["path"] for p in error["problems"]] == ["${DTS_B_PASSWORD}"]

    def test_an_error_is_one_block_on_stderr(self, dts: Dts) -> None:
        result = dts("sync", "nowhere")

        assert (result.exit_code, result.stdout) == (exits.FAILED, "")
        assert result.stderr.splitlines() == [
            "error: there is no link nowhere",
            "  code:  unknown_link",
            "  next:  dts.yaml has: a_to_b, b_to_a.",
        ]

    @pytest.mark.parametrize("words", [("nowhere",), ("sync",), ("status", "--colour")])
    def test_wrong_usage_has_a_code_too(self, dts: Dts, words: tuple[str, ...]) -> None:
        assert dts.error(*words)["code"] == "usage"

    @pytest.mark.parametrize(
        "words", [("init",), ("connectors",), ("pause", "a_to_b"), ("resume", "a_to_b")]
    )
    def test_a_server_that_is_down_is_named(self, dts: Dts, words: tuple[str, ...]) -> None:
        error = dts.error(*words)

        assert error["code"] == "server_unreachable"
        assert error["where"]["site"] in ("a", "b")

    def test_the_configuration_is_taken_from_the_option_before_the_environment(
        self, dts: Dts, tmp_path: Path
    ) -> None:
        other = tmp_path / "other.yaml"
        other.write_text(SETTINGS.replace("[a, b]", "[b, a]").replace("shop:", "shop:\n    x: 1"))

        assert dts.error("pause", "a_to_b", "--config", str(other))["code"] == "config_invalid"


class TestUnexpected:
    """What nobody foresaw: an error block as well, and no row value."""

    @staticmethod
    def run(error: BaseException, *words: str) -> Result:
        group = Commands("dts")

        @group.command("break")
        @click.option("--json", "as_json", is_flag=True)
        @click.option("--debug", is_flag=True)
        def fail(as_json: bool, debug: bool) -> int:
            raise error

        return CliRunner().invoke(group, ["break", *words])

    def test_its_type_is_shown_but_not_its_text(self) -> None:
        result = self.run(RuntimeError(f"Duplicate entry '{ROW_VALUE}'"))

        assert result.exit_code == exits.FAILED
        assert "internal_error" in result.stderr
        assert "RuntimeError" in result.stderr
        assert ROW_VALUE not in result.output

    def test_its_traceback_is_shown_on_demand(self) -> None:
        result = self.run(RuntimeError(ROW_VALUE), "--debug")

        assert f"RuntimeError: {ROW_VALUE}" in result.stderr

    def test_a_program_gets_json(self) -> None:
        result = self.run(RuntimeError(ROW_VALUE), "--json")

        assert json.loads(result.stdout)["error"]["code"] == "internal_error"
        assert ROW_VALUE not in result.output

    def test_ctrl_c_has_a_status_of_its_own(self) -> None:
        result = self.run(KeyboardInterrupt(), "--json")

        assert result.exit_code == exits.INTERRUPTED
        assert json.loads(result.stdout)["error"]["code"] == "interrupted"


class TestWithoutServers:
    def test_print_shows_sql_and_grants_of_both_dialects(self, dts: Dts) -> None:
        found = dts.json("init", "--print")

        assert any("dts.checkpoint" in statement for statement in found["ledger"])
        assert set(found["grants"]) == {"a", "b"}
        assert "REPLICATION_APPLIER" in found["grants"]["a"]["mysql"]
        assert "BINLOG REPLAY" in found["grants"]["a"]["mariadb"]

    def test_print_needs_no_secret(self, dts: Dts) -> None:
        result = replace(dts, environment={})("init", "--print")

        assert result.exit_code == exits.DONE
        assert "CREATE TABLE IF NOT EXISTS dts.checkpoint" in result.stdout

    def test_status_of_nothing_that_answers_could_not_be_done(self, dts: Dts) -> None:
        found = dts.json("status", status=exits.FAILED)

        assert {link["state"] for link in found["links"]} == {"unknown"}
        assert {site["answers"] for site in found["sites"].values()} == {False}
        codes = {problem["code"] for link in found["links"] for problem in link["problems"]}
        assert codes == {"server_unreachable"}

    def test_preflight_finds_every_server_that_is_down(self, dts: Dts) -> None:
        found = dts.json("preflight", status=exits.FOUND)

        errors = [f for f in found["findings"] if f["severity"] == "error"]
        assert {f["check"] for f in errors} >= {"server_unreachable", "kafka_unreachable"}
        assert found["counts"]["error"] == len(errors)

    @pytest.mark.parametrize(
        ("change", "wanted"),
        [
            ({}, False),
            ({"state": "paused"}, True),
            ({"open_conflicts": {"shop.item": {"same": 1}}}, True),
            ({"problems": [{"code": "server_unreachable"}]}, True),
            ({"open_loads": [{"table": "shop.item", "state": "left", "percent": 100.0}]}, True),
            ({"behind": 10_000}, False),
        ],
    )
    def test_what_wants_attention(self, change: dict[str, Any], wanted: bool) -> None:
        entry = LinkStatus("a_to_b", "a", "b", **{"state": "running", **change})

        assert entry.wants_attention is wanted


class TestRepeat:
    """`--until-caught-up`, over runs that are only told."""

    @staticmethod
    def summary(*, batches: int, behind: int, paused: bool = False) -> RunSummary:
        checkpoint = Checkpoint("a_to_b", "main", 1, batches, {}, paused=paused)
        done, waiting = behind == 0, Waiting("t1", 1.0)
        return RunSummary(
            "a_to_b", checkpoint, batches, {}, {}, {}, behind, 0.0, done, waiting=waiting
        )

    def repeat(self, told: list[RunSummary]) -> tuple[list[RunSummary], float]:
        """The runs, and the seconds that were waited; the last one told stays for good."""
        now = 0.0

        def run() -> RunSummary:
            return told.pop(0) if len(told) > 1 else told[0]

        def wait(seconds: float) -> None:
            nonlocal now
            now += seconds

        return repeat(run, "a_to_b", clock=lambda: now, wait=wait), now

    def test_it_ends_once_nothing_is_left(self) -> None:
        told = [self.summary(batches=2, behind=5), self.summary(batches=1, behind=0)]

        runs, waited = self.repeat(told)

        assert [run.behind for run in runs] == [5, 0]
        assert waited == 0

    def test_it_waits_while_nothing_can_be_applied(self) -> None:
        told = [self.summary(batches=0, behind=5), self.summary(batches=1, behind=0)]

        runs, waited = self.repeat(told)

        assert len(runs) == 2
        assert waited > 0

    def test_it_does_not_wait_for_a_paused_link(self) -> None:
        runs, waited = self.repeat([self.summary(batches=0, behind=5, paused=True)])

        assert (len(runs), waited) == (1, 0)

    def test_it_gives_up_when_nothing_moves(self) -> None:
        with pytest.raises(DtsError) as caught:
            self.repeat([self.summary(batches=0, behind=5)])

        assert caught.value.code == "not_caught_up"
        assert caught.value.where["waiting"] == "t1"

    def test_progress_of_each_run_gives_new_patience(self) -> None:
        slow = [self.summary(batches=0, behind=5)] * int(STALLED_SECONDS - 1)
        told = [*slow, self.summary(batches=1, behind=5), *slow, self.summary(batches=1, behind=0)]

        runs, _ = self.repeat(told)

        assert runs[-1].caught_up


MakeRig = Callable[..., Rig]
ITEM = "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(40))"


def write_items(rig: Rig, *ids: int) -> None:
    """Inserts rows at side a and waits until Kafka holds the events of all rows so far."""
    values = ", ".join(f"({i}, 'item {i}')" for i in ids)
    rig.sql("a", f"INSERT INTO item VALUES {values}")
    ((rows,),) = rig.rows("a", "SELECT COUNT(*) FROM item")
    topic = f"{rig.sites[0]}.{rig.name}.item"
    admin = KafkaAdmin({"bootstrap.servers": rig.stack.kafka})
    wait_for(lambda: admin.end_offset(topic) >= rows, 60)


@pytest.fixture(scope="module")
def shared(stack_mariadb: Stack, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """A pair for the tests that leave it as it is."""
    return Rig(stack_mariadb, "cli", tmp_path_factory.mktemp("cli")).create(ITEM)


@pytest.mark.servers
class TestOnServers:
    """The commands over a pair on real servers."""

    @staticmethod
    def dts(rig: Rig) -> Dts:
        return Dts(rig.path, rig.stack.env)

    def test_from_sync_to_status(self, make_rig: MakeRig) -> None:
        rig = make_rig("cliflow", ITEM)
        dts = self.dts(rig)
        write_items(rig, 1, 2)

        synced = dts.json("sync", rig.forth, "--until-caught-up")
        status = dts.json("status")
        text = dts("status").stdout

        assert rig.rows("b", "SELECT * FROM item") == [(1, "item 1"), (2, "item 2")]
        assert synced["tables"][f"{rig.name}.item"]["inserted"] == 2
        assert (synced["caught_up"], synced["behind"]) == (True, 0)
        links = {link["link"]: link for link in status["links"]}
        assert links[rig.forth]["batch"] == synced["checkpoint"]["batch"]
        assert (links[rig.forth]["state"], links[rig.back]["state"]) == ("running", "never_ran")
        assert rig.forth in text

    def test_a_conflict_is_found_by_status(self, make_rig: MakeRig) -> None:
        rig = make_rig("cliconflict", ITEM)
        dts = self.dts(rig)
        rig.sql("b", "INSERT INTO item VALUES (1, 'of b')")
        write_items(rig, 1)

        dts.json("sync", rig.forth, "--until-caught-up")
        status = dts.json("status", status=exits.FOUND)

        forth = next(link for link in status["links"] if link["link"] == rig.forth)
        assert forth["open_conflicts"] == {f"{rig.name}.item": {"insert_insert": 1}}

    def test_a_paused_link_writes_nothing_until_it_is_resumed(self, make_rig: MakeRig) -> None:
        rig = make_rig("clipause", ITEM)
        dts = self.dts(rig)
        assert dts.error("pause", rig.forth)["code"] == "link_never_ran"
        write_items(rig, 1)
        dts.json("sync", rig.forth, "--until-caught-up")

        assert dts.json("pause", rig.forth)["changed"] is True
        assert dts.json("pause", rig.forth)["changed"] is False
        write_items(rig, 2)
        paused = dts.json("sync", rig.forth, "--until-caught-up", status=exits.FOUND)
        assert (paused["paused"], paused["batches"]) == (True, 0)
        assert rig.rows("b", "SELECT id FROM item") == [(1,)]
        shown = dts.json("status", status=exits.FOUND)["links"][0]
        assert (shown["state"], shown["behind"]) == ("paused", 1)

        dts.json("resume", rig.forth)
        dts.json("sync", rig.forth, "--until-caught-up")
        assert rig.rows("b", "SELECT id FROM item") == [(1,), (2,)]

    def test_status_counts_tables_that_no_run_has_seen_yet(self, make_rig: MakeRig) -> None:
        rig = make_rig("clinewtable")
        dts = self.dts(rig)
        dts.json("sync", rig.forth, "--until-caught-up")
        rig.both(ITEM)
        write_items(rig, 1, 2)

        assert dts.json("status")["links"][0]["behind"] == 2

    def test_status_goes_on_without_one_server(self, make_rig: MakeRig, tmp_path: Path) -> None:
        rig = make_rig("clidown", ITEM)
        self.dts(rig).json("sync", rig.forth, "--until-caught-up")
        document = rig.document()
        source = rig.sites[0]
        document["sites"][source]["port"] = CLOSED_PORT
        path = tmp_path / "down.yaml"
        path.write_text(yaml.safe_dump(document))

        found = Dts(path, rig.stack.env).json("status", status=exits.FOUND)

        links = {link["link"]: link for link in found["links"]}
        assert links[rig.forth]["state"] == "running"
        assert links[rig.forth]["behind"] == 0
        assert [p["code"] for p in links[rig.forth]["problems"]] == ["server_unreachable"]
        assert links[rig.back]["state"] == "unknown"
        assert found["sites"][source]["answers"] is False

    def test_a_run_s_error_comes_out_as_it_is(self, make_rig: MakeRig) -> None:
        rig = make_rig("clierror", ITEM)
        rig.sql("b", "DROP TABLE item")

        error = self.dts(rig).error("sync", rig.forth)

        assert error["code"] == "table_missing"
        assert error["where"]["link"] == rig.forth

    def test_init_shares_one_installation_and_refuses_two(self, shared: Rig) -> None:
        rig = shared
        dts = self.dts(rig)
        (before,) = rig.rows("b", "SELECT id FROM dts.installation")[0]

        assert dts.json("init") == {
            "installation": before,
            "sites": dict.fromkeys(rig.sites, "there"),
        }
        rig.sql("b", "UPDATE dts.installation SET id = 'another'")
        try:
            error = dts.error("init")
        finally:
            rig.sql("b", f"UPDATE dts.installation SET id = '{before}'")
        assert error["code"] == "installations_differ"
        assert error["where"] == {rig.sites[0]: before, rig.sites[1]: "another"}

    def test_init_gives_a_new_site_the_others_id(self, shared: Rig) -> None:
        rig = shared
        (before,) = rig.rows("a", "SELECT id FROM dts.installation")[0]
        rig.sql("b", "DELETE FROM dts.installation")

        found = self.dts(rig).json("init")

        assert found["sites"] == {rig.sites[0]: "there", rig.sites[1]: "made"}
        assert rig.rows("b", "SELECT id FROM dts.installation") == [(before,)]

    def test_connectors_shows_no_secret_and_registers_again(self, shared: Rig) -> None:
        rig = shared
        dts = self.dts(rig)

        shown = dts("connectors")
        registered = dts.json("connectors", "--register")

        assert "${DTS_A_CONNECTOR_PASSWORD}" in shown.stdout
        assert not any(secret in shown.stdout for secret in rig.stack.env.values())
        assert {c["site"] for c in registered["connectors"]} == set(rig.sites)

    def test_preflight_says_which_marks_an_account_may_use(self, shared: Rig) -> None:
        rig = shared

        found = self.dts(rig)("preflight")
        findings = self.dts(rig).json("preflight", status=found.exit_code)["findings"]

        assert {f["where"]["site"] for f in findings if f["check"] == "mark_choice"} == set(
            rig.sites
        )
        assert "origin: yes" in found.stdout

    def test_the_new_start_of_the_operations_manual(self, make_rig: MakeRig) -> None:
        rig = make_rig("clinew", ITEM, changes={"pairs": {"pair": {"start": "latest"}}})
        dts = self.dts(rig)
        dts.json("sync", rig.forth)
        write_items(rig, 1)
        dts.json("sync", rig.forth, "--until-caught-up")
        lane = f"WHERE link = '{rig.forth}' AND lane = 'main'"
        ((generation,),) = rig.rows("b", f"SELECT generation FROM dts.checkpoint {lane}")

        rig.sql("b", f"DELETE FROM dts.checkpoint {lane}")
        dts.json("sync", rig.forth)
        rig.sql("b", f"UPDATE dts.checkpoint SET generation = {generation} + 1 {lane}")
        write_items(rig, 2)
        found = dts.json("sync", rig.forth, "--until-caught-up")

        assert found["checkpoint"]["generation"] == generation + 1
        assert rig.rows("b", "SELECT id FROM item") == [(1,), (2,)]
