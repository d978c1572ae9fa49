"""Events in which our mark could not be seen stop a link; so does a GTID that was used already."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from dts_pipeline.commands import exits
from dts_pipeline.core.marks import mark_uuid
from dts_pipeline_tests.integration.bad_bench import PLANTED, Bench
from dts_pipeline_tests.integration.rig import INSTALLATION, Rig
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

ITEM = "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(100)) CHARACTER SET utf8mb4"


def made(rig: Rig) -> Bench:
    bench = Bench(rig.create(ITEM))
    rig.sql("a", f"INSERT INTO item VALUES (1, '{PLANTED}')")
    bench.goes_on()
    bench.foreseen()
    return bench


@pytest.fixture(scope="module")
def comment(stack_mariadb: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A pair that marks by comment, with connectors as somebody made them by hand."""
    rig = Rig(
        stack_mariadb,
        "badcom",
        tmp_path_factory.mktemp("bad"),
        changes={"mark": "comment"},
        connector_changes={"include.query": "false"},
    )
    bench = Bench(rig.create(ITEM))
    for link in (rig.forth, rig.back):
        assert bench.dts("sync", link).exit_code == exits.DONE
    yield bench
    bench.remove_connectors()


@pytest.fixture(scope="module")
def gtids(stack_mysql: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A pair that marks by GTID."""
    bench = made(Rig(stack_mysql, "badgtid", tmp_path_factory.mktemp("bad")))
    yield bench
    bench.remove_connectors()


class TestComment:
    """MariaDB; the mark's comment is seen only in logged statements that the connector repeats."""

    def test_connectors_that_leave_the_query_out(self, comment: Bench) -> None:
        finding = comment.foreseen("mark_unseen")
        assert "dts connectors --register" in finding["remedy"]
        self.assert_unseen(comment, 1)
        comment.revive()
        self.goes_on_after_a_new_start(comment)

    def test_query_logging_that_is_off(self, comment: Bench) -> None:
        comment.rig.sql("a", "SET GLOBAL binlog_annotate_row_events = OFF")
        try:
            finding = comment.foreseen("query_logging_off")
            self.assert_unseen(comment, 2)
        finally:
            comment.rig.sql("a", "SET GLOBAL binlog_annotate_row_events = ON")
        assert "binlog_annotate_row_events = ON" in finding["remedy"]
        self.goes_on_after_a_new_start(comment)

    def test_a_user_who_writes_under_the_pipelines_gtid_domain(self, comment: Bench) -> None:
        """The stamp says ours, the statement says theirs: nobody can tell whose row it is."""
        row = f"(3, '{PLANTED}')"
        comment.rig.sql("a", "SET SESSION gtid_domain_id = 4711", f"INSERT INTO item VALUES {row}")
        comment.rig.sql("b", "SET SESSION sql_log_bin = 0", f"INSERT INTO item VALUES {row}")
        comment.rig.await_events("a")
        error = comment.refused("marks_disagree")
        assert error["where"]["gtid"].startswith("4711-")
        assert error["where"]["topic"] == comment.topic("item")
        self.goes_on_after_a_new_start(comment)

    def test_a_connector_that_is_to_leave_the_query_out_from_now_on(self, comment: Bench) -> None:
        """MariaDB then sends fewer events, by which Debezium counts what it has sent already.

        Tried: of 210 rows that users wrote while the setting changed, 4 never reached Kafka.
        """
        words = ("connectors", "--register")
        error = comment.error(*words, changes={"mark": "origin"})
        assert error["code"] == "include_query_changed"
        settings = httpx.get(f"{comment.connector_url()}/config", timeout=30).json()
        assert settings["include.query"] == "true"
        comment.goes_on()

    @staticmethod
    def assert_unseen(bench: Bench, key: int) -> None:
        """A row that is written now, the same at both sides, is refused."""
        bench.rig.both(f"INSERT INTO item VALUES ({key}, '{PLANTED}')")
        bench.rig.await_events("a")
        error = bench.refused("mark_unseen")
        assert error["where"]["mark"] == "comment"
        assert error["where"]["topic"].startswith(bench.rig.sites[0])
        assert "include.query" in error["remedy"]

    @staticmethod
    def goes_on_after_a_new_start(bench: Bench) -> None:
        bench.foreseen()
        for side in "ab":
            bench.rig.await_events(side)
        for link in (bench.rig.forth, bench.rig.back):
            bench.new_start(link)
        bench.goes_on()


@pytest.mark.mysql
class TestOriginOnMysql:
    """The mark is a GTID: its number must be free, GTIDs on, the privilege there."""

    def test_a_number_that_was_used_while_the_ledger_is_behind(self, gtids: Bench) -> None:
        at = gtids.rig.checkpoint(gtids.rig.forth)
        uuid = mark_uuid(INSTALLATION, gtids.rig.forth, "main", at.generation)
        gtids.rig.sql("a", f"INSERT INTO item VALUES (2, '{PLANTED}')")
        gtids.rig.await_events("a")
        gtids.rig.sql(
            "b",
            f"SET gtid_next = '{uuid}:{at.mark_sequence + 1}'",
            "BEGIN",
            "COMMIT",
            "SET gtid_next = 'AUTOMATIC'",
        )

        error = gtids.refused("mark_number_used")

        assert error["where"]["gtid"] == f"{uuid}:{at.mark_sequence + 1}"
        gtids.foreseen("mark_number_used")
        gtids.rig.both(f"REPLACE INTO item VALUES (2, '{PLANTED}')")
        for side in "ab":
            gtids.rig.await_events(side)
        gtids.new_start(gtids.rig.forth)
        gtids.goes_on()

    def test_a_privilege_that_is_missing(self, gtids: Bench) -> None:
        gtids.rig.sql("a", f"INSERT INTO item VALUES (3, '{PLANTED}')")
        gtids.rig.await_events("a")
        gtids.rig.sql("b", "REVOKE REPLICATION_APPLIER ON *.* FROM 'dts'@'%'")
        try:
            gtids.refused("privilege_missing")
            assert "REPLICATION_APPLIER" in gtids.foreseen("privilege_missing")["remedy"]
        finally:
            gtids.rig.sql("b", "GRANT REPLICATION_APPLIER ON *.* TO 'dts'@'%'")
        gtids.goes_on()

    def test_gtids_that_are_off(self, gtids: Bench) -> None:
        """At the target the stamp cannot be set, and a connector reads no further by GTIDs."""
        gtids.rig.sql("a", f"INSERT INTO item VALUES (4, '{PLANTED}')")
        gtids.rig.await_events("a")
        gtids.stop_connector("b")
        steps = ("ON_PERMISSIVE", "OFF_PERMISSIVE", "OFF")
        gtids.rig.sql("b", *(f"SET GLOBAL gtid_mode = {step}" for step in steps))
        try:
            gtids.refused("gtid_off")
            found = gtids.foreseen("gtid_off", "connector_stopped")
            assert found["where"]["site"] == gtids.rig.sites[1]
        finally:
            gtids.rig.sql("b", *(f"SET GLOBAL gtid_mode = {s}" for s in (*steps[1::-1], "ON")))
        # What was written without a GTID stands in b's binlog, and no reader by GTIDs gets past it.
        url = f"{gtids.connector_url('b')}/offsets"
        httpx.delete(url, timeout=30).raise_for_status()
        gtids.revive()
        gtids.new_start(gtids.rig.back)
        gtids.goes_on()
