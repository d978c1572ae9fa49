"""Events in which our mark could not be seen stop a link; so does a GTID that was used already."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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


class TestComment:
    """MariaDB; the mark's comment is seen only in logged statements that the connector repeats."""

    @pytest.fixture(scope="class")
    def bench(
        self, stack_mariadb: Stack, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Bench]:
        directory = tmp_path_factory.mktemp("bad")
        bench = made(Rig(stack_mariadb, "badcom", directory, changes={"mark": "comment"}))
        yield bench
        bench.remove_connectors()

    def test_query_logging_that_is_off(self, bench: Bench) -> None:
        bench.rig.sql("a", "SET GLOBAL binlog_annotate_row_events = OFF")
        try:
            finding = bench.foreseen("query_logging_off")
            bench.rig.both(f"INSERT INTO item VALUES (2, '{PLANTED}')")
            bench.rig.await_events("a")
            self.assert_unseen(bench)
        finally:
            bench.rig.sql("a", "SET GLOBAL binlog_annotate_row_events = ON")
        assert "binlog_annotate_row_events = ON" in finding["remedy"]
        self.goes_on_after_a_new_start(bench)

    def test_a_connector_that_leaves_the_query_out(self, bench: Bench) -> None:
        bench.stop_connector()
        bench.rig.both(f"INSERT INTO item VALUES (3, '{PLANTED}')")
        bench.rig.put_connector(bench.rig.sites[0], "a", {"include.query": "false"})
        bench.resume_connector()
        finding = bench.foreseen("mark_unseen")
        assert "dts connectors --register" in finding["remedy"]
        bench.rig.await_events("a")
        self.assert_unseen(bench)
        bench.revive()
        self.goes_on_after_a_new_start(bench)

    @staticmethod
    def assert_unseen(bench: Bench) -> None:
        error = bench.refused("mark_unseen")
        assert error["where"]["mark"] == "comment"
        assert error["where"]["topic"] == bench.topic("item")
        assert "include.query" in error["remedy"]

    @staticmethod
    def goes_on_after_a_new_start(bench: Bench) -> None:
        bench.foreseen()
        for side in "ab":
            bench.rig.await_events(side)
        bench.new_start(bench.rig.forth)
        bench.goes_on()


class TestOriginOnMariadb:
    """The mark is a GTID domain, which the pair must name and no server may use."""

    @pytest.mark.parametrize(
        ("domain", "refusal", "check"),
        [(None, "mark_domain_missing", "mark_domain_missing"), (1, None, "mark_domain_taken")],
    )
    def test_a_domain_that_is_not_the_pipelines(
        self, bare: Bench, domain: int | None, refusal: str | None, check: str
    ) -> None:
        changes = {"pairs": {"pair": {"mark_domain_id": domain}}}
        bare.foreseen(check, changes=changes)
        bare.refused(refusal or check, changes=changes)

    @pytest.fixture(scope="class")
    def bare(
        self, stack_mariadb: Stack, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Bench]:
        bench = made(Rig(stack_mariadb, "baddom", tmp_path_factory.mktemp("bad")))
        yield bench
        bench.remove_connectors()


@pytest.mark.mysql
class TestOriginOnMysql:
    """The mark is a GTID: its number must be free, GTIDs on, the privilege there."""

    @pytest.fixture(scope="class")
    def bench(
        self, stack_mysql: Stack, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Bench]:
        bench = made(Rig(stack_mysql, "badgtid", tmp_path_factory.mktemp("bad")))
        yield bench
        bench.remove_connectors()

    def test_a_number_that_was_used_while_the_ledger_is_behind(self, bench: Bench) -> None:
        at = bench.rig.checkpoint(bench.rig.forth)
        uuid = mark_uuid(INSTALLATION, bench.rig.forth, "main", at.generation)
        bench.rig.sql("a", f"INSERT INTO item VALUES (2, '{PLANTED}')")
        bench.rig.await_events("a")
        bench.rig.sql(
            "b",
            f"SET gtid_next = '{uuid}:{at.mark_sequence + 1}'",
            "BEGIN",
            "COMMIT",
            "SET gtid_next = 'AUTOMATIC'",
        )

        error = bench.refused("mark_number_used")

        assert error["where"]["gtid"] == f"{uuid}:{at.mark_sequence + 1}"
        bench.foreseen("mark_number_used")
        bench.rig.both(f"REPLACE INTO item VALUES (2, '{PLANTED}')")
        for side in "ab":
            bench.rig.await_events(side)
        bench.new_start(bench.rig.forth)
        bench.goes_on()

    def test_a_privilege_that_is_missing(self, bench: Bench) -> None:
        bench.rig.sql("a", f"INSERT INTO item VALUES (3, '{PLANTED}')")
        bench.rig.await_events("a")
        bench.rig.sql("b", "REVOKE REPLICATION_APPLIER ON *.* FROM 'dts'@'%'")
        try:
            bench.refused("privilege_missing")
            assert "REPLICATION_APPLIER" in bench.foreseen("privilege_missing")["remedy"]
        finally:
            bench.rig.sql("b", "GRANT REPLICATION_APPLIER ON *.* TO 'dts'@'%'")
        bench.goes_on()

    def test_gtids_that_are_off(self, bench: Bench) -> None:
        """At the target the stamp cannot be set; at the source users' writes carry no GTID."""
        bench.rig.sql("a", f"INSERT INTO item VALUES (4, '{PLANTED}')")
        bench.rig.await_events("a")
        steps = ("ON_PERMISSIVE", "OFF_PERMISSIVE", "OFF")
        # b's connector reads by GTIDs, which the server then refuses.
        bench.stop_connector("b")
        bench.rig.sql("b", *(f"SET GLOBAL gtid_mode = {step}" for step in steps))
        try:
            bench.refused("gtid_off")
            assert (
                bench.foreseen("gtid_off", "connector_stopped")["where"]["site"]
                == bench.rig.sites[1]
            )
        finally:
            bench.rig.sql("b", *(f"SET GLOBAL gtid_mode = {s}" for s in (*steps[1::-1], "ON")))
        bench.resume_connector("b")
        bench.goes_on()
