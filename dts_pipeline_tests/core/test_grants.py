"""The GRANTs as exact text; that they are enough is proven on real servers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dts_pipeline.core.grants import (
    ALTER_RIGHTS,
    Account,
    SiteUse,
    connector_grants,
    grants_script,
    lacking_rights,
    pipeline_grants,
    preflight_grants,
)
from dts_pipeline.core.links import Ddl, Link, MarkKind
from dts_pipeline.core.names import Names
from dts_pipeline.core.schema import Dialect

DTS = Account("dts")


def use(
    dialect: Dialect, mark: MarkKind = MarkKind.ORIGIN, *, written: str = "shop.*", read: str = ""
) -> SiteUse:
    return SiteUse(dialect, mark, tuple(written.split()), tuple(read.split()))


def test_mysql_with_origin() -> None:
    assert pipeline_grants(DTS, use(Dialect.MYSQL)) == [
        "GRANT SELECT, INSERT, UPDATE, DELETE ON `shop`.* TO 'dts'@'%';",
        "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, CREATE TEMPORARY TABLES "
        "ON `dts`.* TO 'dts'@'%';",
        "GRANT REPLICATION_APPLIER ON *.* TO 'dts'@'%';",
    ]


def test_mariadb_with_origin() -> None:
    assert pipeline_grants(DTS, use(Dialect.MARIADB))[-1] == (
        "GRANT BINLOG REPLAY ON *.* TO 'dts'@'%';"
    )


@pytest.mark.parametrize("dialect", list(Dialect))
def test_comments_need_no_global_privilege(dialect: Dialect) -> None:
    assert not any("*.*" in g for g in pipeline_grants(DTS, use(dialect, MarkKind.COMMENT)))


def test_a_site_that_is_only_read_grants_no_writing_and_no_mark() -> None:
    grants = pipeline_grants(DTS, use(Dialect.MYSQL, written="", read="shop.item"))
    assert grants[0] == "GRANT SELECT ON `shop`.`item` TO 'dts'@'%';"
    assert len(grants) == 2


@pytest.mark.parametrize(
    ("pattern", "place"),
    [
        ("shop.item", "`shop`.`item`"),
        ("my_shop.order_item", "`my_shop`.`order_item`"),
        ("my_shop.*", "`my\\_shop`.*"),
        ("shop.item_*", "`shop`.*"),
        ("shop_?.item", "`shop\\__`.*"),
        ("shop[12].item", "`shop_`.*"),
        ("shop*.item", "`shop%`.*"),
        ("100%.*", "`100\\%`.*"),
        ("a`b.c`d", "`a``b`.`c``d`"),
    ],
)
def test_where_a_pattern_is_granted(pattern: str, place: str) -> None:
    grants = pipeline_grants(DTS, use(Dialect.MYSQL, written=pattern))
    assert grants[0] == f"GRANT SELECT, INSERT, UPDATE, DELETE ON {place} TO 'dts'@'%';"


def test_patterns_of_one_schema_are_granted_once() -> None:
    grants = pipeline_grants(DTS, use(Dialect.MYSQL, MarkKind.COMMENT, written="shop.a* shop.b*"))
    assert len(grants) == 2


def test_account_names_are_quoted() -> None:
    grants = pipeline_grants(Account("o'neil", "10.0.%"), use(Dialect.MYSQL))
    assert grants[0].endswith("TO 'o''neil'@'10.0.%';")


def test_the_connector_reads_carried_tables_and_the_watermark_only() -> None:
    assert connector_grants(Account("debezium"), use(Dialect.MARIADB, read="crm.*")) == [
        "GRANT SELECT ON `shop`.* TO 'debezium'@'%';",
        "GRANT SELECT ON `crm`.* TO 'debezium'@'%';",
        "GRANT SELECT ON `dts`.`watermark` TO 'debezium'@'%';",
        "GRANT RELOAD, REPLICATION SLAVE, BINLOG MONITOR ON *.* TO 'debezium'@'%';",
    ]


def test_preflight_looks_for_replicas_where_gtid_domains_matter() -> None:
    process = "GRANT PROCESS ON *.* TO 'dts'@'%';"
    assert process in preflight_grants(DTS, use(Dialect.MARIADB))
    assert process not in preflight_grants(DTS, use(Dialect.MARIADB, MarkKind.COMMENT))
    assert process not in preflight_grants(DTS, use(Dialect.MYSQL))


def test_what_a_site_is_used_for_follows_from_the_links() -> None:
    there = Link("a_to_b", "a", "b", ("shop.*",), "a", MarkKind.ORIGIN)
    back = Link("b_to_a", "b", "a", ("shop.*",), "b", MarkKind.ORIGIN)
    report = Link("report", "a", "c", ("shop.*", "crm.*"), "a", MarkKind.ORIGIN)
    found = SiteUse.of("a", [there, back, report], Dialect.MYSQL, MarkKind.ORIGIN)
    assert (found.written, found.read) == (("shop.*",), ("crm.*",))
    only_written = SiteUse.of("c", [there, back, report], Dialect.MYSQL, MarkKind.ORIGIN)
    assert (only_written.written, only_written.read) == (("shop.*", "crm.*"), ())


def test_a_site_grants_on_its_own_names() -> None:
    names = Names.of([("shop.*", "store.*"), ("shop.orders", "eu.orders")])
    link = Link("feed", "a", "c", ("shop.*",), "a", MarkKind.ORIGIN, target_names=names)
    written = SiteUse.of("c", [link], Dialect.MYSQL, MarkKind.ORIGIN).written
    assert written == ("store.*", "eu.orders")
    assert SiteUse.of("a", [link], Dialect.MYSQL, MarkKind.ORIGIN).read == ("shop.*",)


def test_an_additive_link_alters_at_its_target_only() -> None:
    link = Link("report", "a", "c", ("shop.*",), "a", MarkKind.COMMENT, ddl=Ddl.ADDITIVE)
    at_target = SiteUse.of("c", [link], Dialect.MYSQL, MarkKind.COMMENT)
    assert "GRANT ALTER, CREATE, INDEX ON `shop`.* TO 'dts'@'%';" in pipeline_grants(DTS, at_target)
    for other in (
        SiteUse.of("a", [link], Dialect.MYSQL, MarkKind.COMMENT),
        SiteUse.of("c", [replace(link, ddl=Ddl.STOP)], Dialect.MYSQL, MarkKind.COMMENT),
    ):
        assert not [line for line in pipeline_grants(DTS, other) if line.startswith("GRANT ALTER")]


@pytest.mark.parametrize(
    ("line", "lacking"),
    [
        ("GRANT ALTER, CREATE, INDEX ON `shop`.* TO `dts`@`%`", []),
        ("GRANT SELECT, ALTER ON `shop`.`item` TO `dts`@`%`", ["CREATE", "INDEX"]),
        ("GRANT ALL PRIVILEGES ON *.* TO `dts`@`%`", []),
        ("GRANT ALTER, CREATE, INDEX ON *.* TO `dts`@`%`", []),
        ("GRANT ALTER, CREATE, INDEX ON `s%`.* TO `dts`@`%`", []),
        ("GRANT ALTER, CREATE, INDEX ON `sho_`.* TO `dts`@`%`", []),
        ("GRANT ALTER, CREATE, INDEX ON `sho\\_`.* TO `dts`@`%`", ["ALTER", "CREATE", "INDEX"]),
        ("GRANT ALTER, CREATE, INDEX ON `dts`.* TO `dts`@`%`", ["ALTER", "CREATE", "INDEX"]),
        ("GRANT ALTER, CREATE, INDEX ON `shop`.`other` TO `d`@`%`", ["ALTER", "CREATE", "INDEX"]),
        ("GRANT `role`@`%` TO `dts`@`%`", ["ALTER", "CREATE", "INDEX"]),
    ],
)
def test_the_rights_that_an_account_lacks_on_a_table(line: str, lacking: list[str]) -> None:
    shown = ["GRANT USAGE ON *.* TO `dts`@`%`", line]
    assert lacking_rights(shown, "shop.item", ALTER_RIGHTS) == lacking


def test_the_script_names_both_accounts_and_holds_no_password() -> None:
    script = grants_script(DTS, Account("debezium"), use(Dialect.MYSQL))
    assert script.startswith(
        "-- CREATE USER 'dts'@'%' IDENTIFIED BY '…';\n"
        "-- CREATE USER 'debezium'@'%' IDENTIFIED BY '…';\n"
    )
    statements = [line for line in script.splitlines() if line and not line.startswith("--")]
    assert all(line.startswith("GRANT ") and line.endswith(";") for line in statements)
    assert len(statements) == 3 + 1 + 3


def test_one_account_for_both_gets_both_sets() -> None:
    script = grants_script(DTS, None, use(Dialect.MYSQL))
    assert script.count("CREATE USER") == 1
    assert "REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'dts'@'%'" in script
