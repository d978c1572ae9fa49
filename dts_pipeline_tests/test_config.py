"""dts.yaml: every mistake at once, each with its path, and never a secret."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from dts_pipeline.config import (
    Config,
    load_config,
    parse_config,
    resolve_secrets,
    secret_value,
)
from dts_pipeline.core.conditions import Comparison
from dts_pipeline.core.links import MarkKind, Policy, Start
from dts_pipeline.core.names import AS_THEY_ARE
from dts_pipeline.errors import ConfigError

GOOD = """
kafka: {bootstrap.servers: "127.0.0.1:19092"}
connect: {url: "http://127.0.0.1:18083"}
sites:
  a: {host: 127.0.0.1, port: 13301, user: dts, password: "${DTS_A_PASSWORD}", topic_prefix: a}
  b: {host: 127.0.0.1, port: 13302, user: dts, password: "${DTS_B_PASSWORD}", topic_prefix: b}
mark: origin
pairs:
  shop:
    sites: [a, b]
    tables: ["shop.*"]
    conflicts: {policy: {site: a}}
"""
POLICY = "pairs.shop.conflicts.policy"


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def with_pair(**settings: object) -> str:
    """GOOD with keys of its pair replaced or added; None takes a key away."""
    data = yaml.safe_load(GOOD)
    data["pairs"]["shop"] |= settings
    pair = {key: value for key, value in data["pairs"]["shop"].items() if value is not None}
    data["pairs"]["shop"] = pair
    return yaml.safe_dump(data)


def with_policy(policy: object) -> str:
    return with_pair(conflicts={"policy": policy})


def with_columns(columns: object, **settings: object) -> str:
    return with_pair(columns={"shop.a": columns}, **settings)


def with_link(**settings: object) -> str:
    """GOOD with a one-way link `feed` as well."""
    data = yaml.safe_load(GOOD)
    data["links"] = {"feed": {"source": "b", "target": "a", "tables": ["crm.*"], **settings}}
    return yaml.safe_dump(data)


def problems(text: str) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    return caught.value.problems


def paths(text: str) -> list[str]:
    return [path for path, _ in problems(text)]


# --- what a good file gives ------------------------------------------------------------------


def test_a_pair_gives_two_links() -> None:
    links = parse_config(GOOD).resolved_links()

    assert list(links) == ["a_to_b", "b_to_a"]
    there, back = links.values()
    assert (there.source, there.target, there.source_prefix) == ("a", "b", "a")
    assert (back.source, back.target, back.source_prefix) == ("b", "a", "b")
    assert there.pair == back.pair == "shop"
    assert there.policy == back.policy == Policy("site", "a")
    assert there.mark is MarkKind.ORIGIN
    assert there.start is Start.EARLIEST
    assert there.matches("shop.orders")
    assert not there.matches("crm.orders")


def test_newest_takes_ties_to_the_first_site_unless_told_otherwise() -> None:
    def policy(settings: object) -> Policy | None:
        return parse_config(with_policy(settings)).resolved_links()["b_to_a"].policy

    assert policy({"newest": "t"}) == Policy("newest", "a", "t", update_wins=True)
    assert policy({"newest": "t", "ties": "b", "deletes": "delete_wins"}) == Policy(
        "newest", "b", "t", update_wins=False
    )
    assert policy("fail") == Policy("fail", "a")


def test_a_table_may_have_a_policy_of_its_own() -> None:
    conflicts = {
        "policy": {"site": "a"},
        "tables": {"shop.stock": {"policy": {"site": "b"}}},
    }
    link = parse_config(with_pair(conflicts=conflicts)).resolved_links()["a_to_b"]

    assert link.policy_of("shop.stock") == Policy("site", "b")
    assert link.policy_of("shop.orders") == Policy("site", "a")


def test_a_table_may_have_counters_and_the_policy_of_the_pair() -> None:
    conflicts = {"policy": {"site": "a"}, "tables": {"shop.stock": {"delta": ["n", "m"]}}}
    link = parse_config(with_pair(conflicts=conflicts)).resolved_links()["b_to_a"]

    assert link.policy_of("shop.stock") == Policy("site", "a")
    assert link.counters == {"shop.stock": ("n", "m")}


def test_counters_need_a_look_at_the_target() -> None:
    conflicts = {"policy": {"site": "a"}, "tables": {"crm.x": {"delta": ["n"]}}}

    assert problems(with_link(detect=False, conflicts=conflicts))
    assert parse_config(with_link(conflicts=conflicts))


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (None, (None, None)),
        ("v", ("v", "v")),
        ({"shop.a": "v"}, ("v", None)),
        ({"shop.a": "v", "*": "w"}, ("v", "w")),
    ],
)
def test_version_columns(version: object, expected: tuple[str | None, str | None]) -> None:
    link = parse_config(with_pair(version=version)).resolved_links()["a_to_b"]

    assert (link.version_column_of("shop.a"), link.version_column_of("shop.b")) == expected


def test_the_column_of_newest_is_not_a_version_column_by_itself() -> None:
    link = parse_config(with_policy({"newest": "updated_at"})).resolved_links()["a_to_b"]

    assert link.version_column_of("shop.a") is None


def test_a_one_way_link_stands_beside_the_pair() -> None:
    link = parse_config(with_link(detect=False)).resolved_links()["feed"]

    assert (link.pair, link.detect, link.policy) == (None, False, None)


def test_every_link_knows_the_domains_of_all() -> None:
    text = with_link(detect=False, mark_domain_id=12)
    data = yaml.safe_load(text)
    data["pairs"]["shop"]["mark_domain_id"] = 11
    links = parse_config(yaml.safe_dump(data)).resolved_links()

    assert {link.all_mark_domains for link in links.values()} == {frozenset({11, 12})}
    assert [link.mark_domain_id for link in links.values()] == [11, 11, 12]


def test_patterns_with_an_exclamation_mark_leave_tables_out() -> None:
    link = parse_config(with_pair(tables=["shop.*", "!shop.log_*"])).resolved_links()["a_to_b"]

    assert link.matches("shop.orders")
    assert not link.matches("shop.log_2026")


def test_topics_are_named_as_debezium_names_them() -> None:
    link = parse_config(GOOD).resolved_links()["a_to_b"]

    assert link.transaction_topic == "a.transaction"
    assert link.topic_of("shop.orders") == "a.shop.orders"
    assert link.topic_of("shop.with space$") == "a.shop.with_space_"


def test_what_is_done_about_schema_changes() -> None:
    def policies(text: str) -> set[str]:
        return {link.ddl.value for link in parse_config(text).resolved_links().values()}

    assert policies(with_pair()) == {"stop"}
    assert policies(with_pair(ddl="additive")) == {"additive"}
    assert policies(with_link(ddl="ignore", detect=False)) == {"stop", "ignore"}


def test_included_columns_leave_out_all_others() -> None:
    text = with_pair(columns={"shop.a": {"include": ["n"]}}, version="n")
    excluded = parse_config(text).resolved_links()["a_to_b"].excluded_columns["shop.a"]

    assert [name for name in ("id", "n", "later") if name in excluded] == ["id", "later"]
    assert list(excluded) == ["n"]


def test_a_renamed_site_has_the_same_names_in_both_directions() -> None:
    renames = {"shop.orders": "store.orders_eu", "shop.*": "store.*"}
    there, back = parse_config(with_pair(rename={"b": renames})).resolved_links().values()

    assert there.source_names == back.target_names == AS_THEY_ARE
    assert there.target_names == back.source_names
    assert back.topic_of("shop.orders") == "b.store.orders_eu"
    assert there.topic_of("shop.orders") == "a.shop.orders"


HUB = """
sites:
  c: {host: 127.0.0.1, port: 13303, user: dts, password: "${DTS_C_PASSWORD}", topic_prefix: c}
pairs:
  more: {sites: %s, tables: ["%s"], rename: %s, conflicts: {policy: fail}}
"""


def hub(sites: str, tables: str, rename: str, own: object) -> str:
    """GOOD, its pair with renames at b, and a pair more with site c."""
    data = yaml.safe_load(with_pair(rename={"b": own} if own else {}))
    for section, entries in yaml.safe_load(HUB % (sites, tables, rename)).items():
        data[section] |= entries
    return yaml.safe_dump(data, sort_keys=False)


STORE = {"shop.*": "store.*"}


@pytest.mark.parametrize(
    ("sites", "tables", "rename", "own"),
    [
        ("[a, c]", "shop.*", '{c: {"shop.*": "crm.*"}}', STORE),
        ("[c, b]", "shop.*", '{b: {"shop.*": "store.*"}}', STORE),
        ("[b, c]", "crm.*", "{}", STORE),
    ],
    ids=["the hub's names are the common ones", "alike in both", "other tables"],
)
def test_renamed_pairs_meet(sites: str, tables: str, rename: str, own: object) -> None:
    assert len(parse_config(hub(sites, tables, rename, own)).resolved_links()) == 4


@pytest.mark.parametrize(
    ("sites", "tables", "rename", "own"),
    [
        ("[b, c]", "store.*", "{}", STORE),
        ("[b, c]", "shop.*", "{}", STORE),
        ("[c, b]", "shop.*", '{b: {"shop.*": "crm.*"}}', STORE),
        ("[c, b]", "shop.*", '{b: {"shop.x": "crm.x"}}', None),
        ("[c, b]", "mall.*", '{b: {"mall.*": "store.*"}}', STORE),
        ("[c, b]", "crm.a", '{b: {"crm.a": "store.b"}}', STORE),
    ],
)
def test_what_meets_at_a_site_has_one_name_there(
    sites: str, tables: str, rename: str, own: object
) -> None:
    assert "pairs.more.rename" in paths(hub(sites, tables, rename, own))


def test_a_renamed_column_has_the_same_names_in_both_directions() -> None:
    text = with_columns({"exclude": ["x"], "rename": {"b": {"n": "m", "Id": "id"}}})
    there, back = parse_config(text).resolved_links().values()

    assert there.source_names == back.target_names == AS_THEY_ARE
    assert there.target_names == back.source_names
    names = back.source_names.columns_of("shop.a")
    assert (names.own("n"), names.own("Id"), names.own("other")) == ("m", "id", "other")
    assert (names.common("m"), names.common("id"), names.common("n")) == ("n", "Id", ".n")
    assert not back.source_names.columns_of("shop.b")
    assert there.excluded_columns == {"shop.a": ("x",)}


def test_renamed_columns_exclude_nothing() -> None:
    text = with_columns({"rename": {"a": {"n": "x"}, "b": {"n": "m"}}})
    assert parse_config(text).resolved_links()["a_to_b"].excluded_columns == {}


COLUMNS = {"shop.a": {"rename": {"b": {"n": "m"}}}}


@pytest.mark.parametrize(
    ("tables", "columns", "refused"),
    [
        ("shop.*", {}, True),
        ("shop.*", {"shop.a": {"rename": {"b": {"n": "other"}}}}, True),
        ("shop.*", {"shop.a": {"rename": {"b": {"n": "m"}, "c": {"n": "x"}}}}, False),
        ("shop.b", {}, False),
    ],
)
def test_what_meets_at_a_site_has_one_name_for_each_column(
    tables: str, columns: dict[str, object], refused: bool
) -> None:
    data = yaml.safe_load(hub("[b, c]", tables, "{}", None))
    data["pairs"]["shop"]["columns"] = COLUMNS
    data["pairs"]["more"]["columns"] = columns
    text = yaml.safe_dump(data, sort_keys=False)
    if refused:
        assert paths(text) == ["pairs.more.columns.shop.a.rename.b"]
    else:
        assert parse_config(text).site_names("b").columns_of("shop.a").own("n") == "m"


def test_a_mesh_has_no_renamed_columns() -> None:
    text = with_columns({"rename": {"b": {"n": "m"}}}, mesh="trio")
    assert "pairs.shop.columns.shop.a.rename" in paths(text)


def test_excluded_columns_are_both_links() -> None:
    links = parse_config(with_pair(columns={"shop.a": {"exclude": ["n"]}})).resolved_links()

    assert [link.excluded_columns for link in links.values()] == [{"shop.a": ("n",)}] * 2


def test_filters_are_the_link_s() -> None:
    links = parse_config(with_link(detect=False, where={"crm.a": "n >= 2"})).resolved_links()

    assert links["feed"].filters == {"crm.a": Comparison("n", ">=", Decimal(2))}
    assert links["a_to_b"].filters == {}


def test_a_filter_says_where_it_cannot_be_read_and_of_a_pair_why_not() -> None:
    with pytest.raises(ConfigError, match="at character 7: a literal"):
        parse_config(with_link(detect=False, where={"crm.a": "n IN ()"}))
    with pytest.raises(ConfigError, match="`where` is for one-way links"):
        parse_config(with_pair(where={"shop.a": "n = 1"}))


@pytest.mark.parametrize(
    ("text", "size"),
    [("1024", 1024), ("1024B", 1024), ("4KiB", 4096), ("256 MiB", 2**28), ("2GiB", 2**31)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_config(f"{GOOD}batch: {{max_bytes: {text}}}").batch.max_bytes == size


def test_nothing_changes_after_the_file_was_read() -> None:
    config = parse_config(GOOD)

    with pytest.raises(ValueError, match="frozen"):
        config.mark = MarkKind.COMMENT  # type: ignore[misc]


# --- mistakes ------------------------------------------------------------------------------

MISTAKES: dict[str, tuple[str, list[str]]] = {
    "unknown key at the top": (GOOD + "colour: red", ["colour"]),
    "unknown key of a site": (changed("port: 13301", "port: 13301, usr: x"), ["sites.a.usr"]),
    "unknown key of a pair": (with_pair(zebra=1), ["pairs.shop.zebra"]),
    "key of a later release": (with_pair(lanes=2), ["pairs.shop.lanes"]),
    "pair without conflicts": (with_pair(conflicts=None), ["pairs.shop.conflicts"]),
    "pair without a policy": (with_pair(conflicts={"tables": {}}), [POLICY]),
    "overwrite": (with_policy("overwrite"), [POLICY]),
    "overwrite of one table": (
        with_pair(conflicts={"policy": "fail", "tables": {"shop.a": {"policy": "overwrite"}}}),
        ["pairs.shop.conflicts.tables.shop.a.policy"],
    ),
    "delta": (with_policy({"delta": ["n"], "policy": {"site": "a"}}), [POLICY]),
    "policy of a site that is not the pair's": (with_policy({"site": "c"}), [POLICY + ".site"]),
    "ties to a site that is not the pair's": (
        with_policy({"newest": "t", "ties": "c"}), [POLICY + ".ties"],
    ),
    "one site": (changed("  b: {host", "  # b: {host"), ["sites", "pairs.shop.sites.1"]),
    "pair of one site": (with_pair(sites=["a"]), ["pairs.shop.sites.1"]),
    "pair with a missing site": (with_pair(sites=["a", "z"]), ["pairs.shop.sites.1"]),
    "a table without policy and counters": (
        with_pair(conflicts={"policy": "fail", "tables": {"shop.a": {}}}),
        ["pairs.shop.conflicts.tables.shop.a"],
    ),
    "delta as a policy": (
        with_pair(conflicts={"policy": {"delta": ["n"]}}),
        ["pairs.shop.conflicts.policy"],
    ),
    "a counter named twice": (
        with_pair(conflicts={"policy": "fail", "tables": {"shop.a": {"delta": ["n", "n"]}}}),
        ["pairs.shop.conflicts.tables.shop.a"],
    ),
    "columns left out of a pair without a word": (with_pair(ddl="ignore"), ["pairs.shop"]),
    "a way with schema changes that does not exist": (with_pair(ddl="all"), ["pairs.shop.ddl"]),
    "excluded column of a table that is not carried": (
        with_pair(columns={"crm.a": {"exclude": ["n"]}}), ["pairs.shop"],
    ),
    "excluded column of a table that is left out": (
        with_pair(tables=["shop.*", "!shop.a"], columns={"shop.a": {"exclude": ["n"]}}),
        ["pairs.shop"],
    ),
    "excluded column of a pattern": (
        with_pair(columns={"shop.*": {"exclude": []}}),
        ["pairs.shop.columns.shop.*", "pairs.shop.columns.shop.*.exclude"],
    ),
    "excluded column named twice": (
        with_pair(columns={"shop.a": {"exclude": ["n", "n"]}}), ["pairs.shop.columns.shop.a"],
    ),
    "columns that are neither excluded nor included": (
        with_pair(columns={"shop.a": {}}), ["pairs.shop.columns.shop.a"],
    ),
    "columns excluded and included": (
        with_pair(columns={"shop.a": {"exclude": ["m"], "include": ["n"]}}),
        ["pairs.shop.columns.shop.a"],
    ),
    "included column named twice": (
        with_pair(columns={"shop.a": {"include": ["n", "n"]}}), ["pairs.shop.columns.shop.a"],
    ),
    "version that is not included": (
        with_pair(version="v", columns={"shop.a": {"include": ["n"]}}), ["pairs.shop"],
    ),
    "column renamed at a site that is not the pair's": (
        with_columns({"rename": {"c": {"n": "m"}}}), ["pairs.shop.columns.shop.a.rename.c"],
    ),
    "column renamed of a table that is not carried": (
        with_pair(columns={"crm.a": {"rename": {"b": {"n": "m"}}}}), ["pairs.shop"],
    ),
    "two columns renamed to one": (
        with_columns({"rename": {"b": {"n": "x", "m": "X"}}}),
        ["pairs.shop.columns.shop.a.rename.b.m", "pairs.shop.columns.shop.a.rename.b.n"],
    ),
    "columns that swap names": (
        with_columns({"rename": {"b": {"n": "m", "m": "n"}}}),
        ["pairs.shop.columns.shop.a.rename.b.m", "pairs.shop.columns.shop.a.rename.b.n"],
    ),
    "column renamed to another that is renamed at the other site": (
        with_columns({"rename": {"a": {"n": "m"}, "b": {"m": "x"}}}),
        ["pairs.shop.columns.shop.a.rename.a.n"],
    ),
    "column renamed to an included one": (
        with_columns({"include": ["n", "m"], "rename": {"b": {"n": "m"}}}),
        ["pairs.shop.columns.shop.a.rename.b.n"],
    ),
    "column renamed to an excluded one": (
        with_columns({"exclude": ["m"], "rename": {"b": {"n": "m"}}}),
        ["pairs.shop.columns.shop.a.rename.b.n"],
    ),
    "excluded column renamed": (
        with_columns({"exclude": ["n"], "rename": {"b": {"n": "m"}}}),
        ["pairs.shop.columns.shop.a.rename.b.n"],
    ),
    "column renamed to its name": (
        with_columns({"rename": {"b": {"n": "n"}}}), ["pairs.shop.columns.shop.a.rename.b.n"],
    ),
    "column renamed under additive": (
        with_columns({"rename": {"b": {"n": "m"}}}, ddl="additive"),
        ["pairs.shop.columns.shop.a.rename"],
    ),
    "column renamed under ignore": (
        with_link(
            detect=False, ddl="ignore", columns={"crm.a": {"rename": {"a": {"n": "m"}}}}
        ),
        ["links.feed.columns.crm.a.rename"],
    ),
    "rename of a site that is not the pair's": (
        with_pair(rename={"c": {"shop.*": "store.*"}}), ["pairs.shop.rename.c"],
    ),
    "rename at the first site": (
        with_pair(rename={"a": {"shop.*": "store.*"}}), ["pairs.shop.rename.a"],
    ),
    "rename of a table that is not carried": (
        with_pair(rename={"b": {"crm.x": "crm.y"}}), ["pairs.shop.rename.b.crm.x"],
    ),
    "rename of a schema to a table": (
        with_pair(rename={"b": {"shop.*": "store.x"}}), ["pairs.shop.rename.b.shop.*"],
    ),
    "rename of two tables to one": (
        with_pair(rename={"b": {"shop.x": "store.z", "shop.y": "store.z"}}),
        ["pairs.shop.rename.b.shop.x", "pairs.shop.rename.b.shop.y"],
    ),
    "rename by a pattern": (
        with_pair(rename={"b": {"shop.x*": "store.x"}}),
        ["pairs.shop.rename.b.shop.x*"],
    ),
    "rename to the ledger": (
        with_pair(rename={"b": {"shop.batch": "dts.batch"}}), ["pairs.shop.rename.b.shop.batch"],
    ),
    "rename onto a schema that is carried": (
        with_pair(tables=["shop.*", "store.x"], rename={"b": {"shop.*": "store.*"}}),
        ["pairs.shop.rename.b.shop.*"],
    ),
    "excluded version": (
        with_pair(version="v", columns={"shop.a": {"exclude": ["v"]}}), ["pairs.shop"],
    ),
    "excluded column of newest": (
        with_pair(conflicts={"policy": {"newest": "t"}}, columns={"shop.a": {"exclude": ["t"]}}),
        ["pairs.shop"],
    ),
    "excluded counter": (
        with_pair(
            conflicts={"policy": "fail", "tables": {"shop.a": {"delta": ["n"]}}},
            columns={"shop.a": {"exclude": ["n"]}},
        ),
        ["pairs.shop"],
    ),
    "a filter of a pair": (with_pair(where={"shop.a": "n = 1"}), ["pairs.shop"]),
    "a filter that is no condition": (
        with_link(detect=False, where={"crm.a": "n = 1 AND"}), ["links.feed.where.crm.a"],
    ),
    "a filter of a table that is not carried": (
        with_link(detect=False, where={"shop.b": "n = 1"}), ["links.feed"],
    ),
    "a filter by an excluded column": (
        with_link(detect=False, columns={"crm.a": {"exclude": ["n"]}}, where={"crm.a": "n = 1"}),
        ["links.feed"],
    ),
    "no tables": (with_pair(tables=[]), ["pairs.shop.tables"]),
    "tables not a list": (with_pair(tables="shop.*"), ["pairs.shop.tables"]),
    "same topic prefix": (changed("topic_prefix: b", "topic_prefix: a"), ["sites.b.topic_prefix"]),
    "bad topic prefix": (changed("prefix: b", "prefix: 'b c'"), ["sites.b.topic_prefix"]),
    "bad port": (changed("13302", "70000"), ["sites.b.port"]),
    "bad name of a site": (
        changed("  b: {host", "  B b: {host"), ["sites.B b", "pairs.shop.sites.1"],
    ),
    "bad mark": (changed("mark: origin", "mark: both"), ["mark"]),
    "no mark": (changed("mark: origin", ""), ["mark"]),
    "bad start": (with_pair(start="somewhere"), ["pairs.shop.start"]),
    "bad truncate": (with_pair(truncate="apply"), ["pairs.shop.truncate"]),
    "domain 0 is every server's": (with_pair(mark_domain_id=0), ["pairs.shop.mark_domain_id"]),
    "bad address": (changed("http://127", "127"), ["connect.url"]),
    "no servers": (changed("bootstrap.servers", "client.id"), ["kafka.bootstrap.servers"]),
    "kafka not a mapping": (changed("kafka: {", "kafka: []\n#"), ["kafka"]),
    "limits": (
        GOOD + "batch: {max_events: 0, max_bytes: lots, max_seconds: -1}",
        ["batch.max_events", "batch.max_bytes", "batch.max_seconds"],
    ),
    "link without a policy": (with_link(), ["links.feed"]),
    "link to itself": (with_link(detect=False, target="b"), ["links.feed"]),
    "link named like a pair's": (
        with_link(detect=False).replace("feed:", "a_to_b:"), ["links.a_to_b"],
    ),
    "a pair's table in a link too": (
        with_link(detect=False, tables=["crm.*", "shop.x*"]), ["links.feed.tables"],
    ),
    "empty": ("", ["(file)"]),
    "a list": ("- a", ["(file)"]),
    "not YAML": ("a: [", ["line 1, column 5"]),
    "a key written twice": (GOOD + "mark: comment", ["line 13, column 1"]),
    "a key written twice further in": (
        changed("port: 13301", "port: 13301, port: 1"), ["line 5, column 37"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_reported_with_its_path(text: str, expected: list[str]) -> None:
    assert paths(text) == expected


@pytest.mark.parametrize(
    "key",
    [
        "auto.offset.reset",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "isolation.level",
        "enable.partition.eof",
        "group.id",
        "enable.ssl.certificate.verification",
        "ssl.endpoint.identification.algorithm",
    ],
)
def test_properties_that_the_pipeline_fixes_are_refused(key: str) -> None:
    text = changed("kafka: {", f"kafka: {{{key}: x, ")

    ((path, message),) = problems(text)
    assert path == f"kafka.{key}"
    assert "fixed" in message


def test_every_mistake_is_reported_at_once() -> None:
    text = GOOD + "colour: red\nbatch: {max_events: 0}"
    for old, new in [
        ("port: 13301", "port: 0"),
        ("${DTS_B_PASSWORD}", "plain"),
        ("mark: origin", "mark: both"),
        ("{site: a}", "overwrite"),
        ("kafka: {", "kafka: {group.id: x, "),
    ]:
        assert old in text
        text = text.replace(old, new)

    assert set(paths(text)) == {
        "colour",
        "batch.max_events",
        "sites.a.port",
        "sites.b.password",
        "mark",
        POLICY,
        "kafka.group.id",
    }
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    assert caught.value.code == "config_invalid"
    assert all(path in str(caught.value) for path in paths(text))
    assert caught.value.to_dict()["problems"] == [
        {"path": path, "message": message} for path, message in problems(text)
    ]


def test_names_that_do_not_exist_are_reported_beside_other_mistakes() -> None:
    text = with_pair(sites=["a", "z"], zebra=1)

    assert set(paths(text)) == {"pairs.shop.zebra", "pairs.shop.sites.1"}


def test_each_bad_pattern_is_reported_with_its_own_path() -> None:
    text = with_pair(tables=["shop", "shop.*", "crm"], zebra=1)

    assert set(paths(text)) == {
        "pairs.shop.tables.0",
        "pairs.shop.tables.2",
        "pairs.shop.zebra",
    }


@pytest.mark.parametrize("policy", [{}, "first", {"sight": "a"}, {"newest": "t", "deletes": "x"}])
def test_a_wrong_policy_is_one_mistake(policy: object) -> None:
    assert len(problems(with_policy(policy))) == 1


@pytest.mark.parametrize(
    "pattern",
    ["dts.*", "dts.checkpoint", "DTS.*", "*.*", "*.orders", "**.orders", "d*.*", "?ts.*", "[d]ts.*",
     "mysql.user", "s*.x", "performance_schema.*"],
)  # fmt: skip
def test_the_ledger_is_never_carried(pattern: str) -> None:
    ((path, message),) = problems(with_pair(tables=[pattern]))

    assert path == "pairs.shop.tables.0"
    assert "ledger" in message


def test_a_link_never_matches_the_ledger_or_the_servers_own_tables() -> None:
    link = replace(parse_config(GOOD).resolved_links()["a_to_b"], tables=("*.*",))

    assert link.matches("shop.orders")
    for name in ("dts.checkpoint", "DTS.watermark", "mysql.user", "sys.x", "information_schema.x"):
        assert not link.matches(name)


def test_a_key_that_is_no_text_is_a_mistake() -> None:
    assert problems(GOOD + "? [a, b]\n: c\n") == [("line 13, column 3", "a key must be plain text")]


def test_a_merged_key_may_be_overridden() -> None:
    text = changed("  a: {host", "  a: &a {host").replace("  b: {host", "  b: {<<: *a, host")

    assert parse_config(text).sites["b"].port == 13302


# --- secrets -------------------------------------------------------------------------------

SECRET = "hunter2"


@pytest.mark.parametrize(
    "written",
    [SECRET, f"'{SECRET}'", f"[{SECRET}]", f"{{a: {SECRET}}}", f"'${{{SECRET}'", f"&x {SECRET}",
     f"'${{DTS_A}}{SECRET}'", f'"{SECRET}', f"@{SECRET}", f"%{SECRET}", f"{SECRET}: [}}"],
)  # fmt: skip
def test_a_secret_in_the_file_is_refused_and_not_repeated(written: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(changed('"${DTS_A_PASSWORD}"', written))

    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value.to_dict())
    assert SECRET not in repr(caught.value.__cause__)


@pytest.mark.parametrize("written", [f"*{SECRET}", f"!{SECRET} x"])
def test_a_secret_that_looks_like_an_alias_or_a_tag_is_not_repeated(written: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(changed('"${DTS_A_PASSWORD}"', written))

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "key",
    ["sasl.password", "ssl.key.password", "ssl.keystore.password", "ssl.key.pem",
     "sasl.oauthbearer.client.secret", "sasl.oauthbearer.config",
     "sasl.oauthbearer.assertion.private.key.passphrase"],
)  # fmt: skip
def test_secrets_of_kafka_are_references_too(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(changed("kafka: {", f"kafka: {{{key}: {SECRET}, "))

    assert [path for path, _ in caught.value.problems] == [f"kafka.{key}"]
    assert SECRET not in str(caught.value)
    parse_config(changed("kafka: {", f"kafka: {{{key}: '${{KAFKA_SECRET}}', "))


def test_a_password_in_the_address_of_connect_is_refused() -> None:
    text = changed("http://127.0.0.1", f"http://me:{SECRET}@127.0.0.1")

    assert paths(text) == ["connect.url"]


def secured() -> Config:
    connector = 'connector: {user: c, password: "${CONNECTOR_PASSWORD}"}, topic_prefix: a'
    text = changed("topic_prefix: a", connector)
    return parse_config(text.replace("kafka: {", "kafka: {sasl.password: '${KAFKA_PASSWORD}', "))


def test_the_secrets_that_the_file_names() -> None:
    assert secured().secret_names == [
        "CONNECTOR_PASSWORD",
        "DTS_A_PASSWORD",
        "DTS_B_PASSWORD",
        "KAFKA_PASSWORD",
    ]


def test_every_missing_variable_is_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_secrets(secured(), {"DTS_A_PASSWORD": SECRET, "KAFKA_PASSWORD": ""})

    assert [path for path, _ in caught.value.problems] == [
        "${CONNECTOR_PASSWORD}",
        "${DTS_B_PASSWORD}",
        "${KAFKA_PASSWORD}",
    ]
    assert SECRET not in str(caught.value)


def test_references_are_filled_in_and_other_text_stands_for_itself() -> None:
    config = parse_config(GOOD)
    secrets = resolve_secrets(config, {"DTS_A_PASSWORD": "x", "DTS_B_PASSWORD": "y", "Z": "z"})

    assert secrets == {"DTS_A_PASSWORD": "x", "DTS_B_PASSWORD": "y"}
    assert secret_value(config.sites["b"].password, secrets) == "y"
    assert secret_value("127.0.0.1:19092", secrets) == "127.0.0.1:19092"


# --- the file ------------------------------------------------------------------------------


def test_a_file_is_read_and_named_in_its_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD + "colour: red", encoding="utf-8")

    with pytest.raises(ConfigError, match=r"mine\.yaml has 1 mistake"):
        load_config(path)
    path.write_text(GOOD, encoding="utf-8")
    assert load_config(path) == parse_config(GOOD)


def test_a_file_that_is_not_there_is_a_mistake_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "missing.yaml")

    assert caught.value.problems == [("(file)", "cannot be read: No such file or directory")]


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("connect: {url: ", "connect: {tls: {ca: /ca.pem}, url: ", "connect"),
        ("topic_prefix: a}", "topic_prefix: a, tls: {ca: /c, key: /k}}", "sites.a.tls"),
        (
            "topic_prefix: a}",
            f"topic_prefix: a, tls: {{ca: /c, truststore_password: {SECRET}}}}}",
            "sites.a.tls.truststore_password",
        ),
    ],
)
def test_files_of_tls_that_would_not_be_used_are_refused(old: str, new: str, path: str) -> None:
    ((found, _),) = problems(changed(old, new))
    assert found == path


def test_the_truststores_password_is_read_from_the_environment() -> None:
    tls = "tls: {ca: /c, truststore_password: '${TRUST}'}"
    config = parse_config(changed("topic_prefix: a}", f"topic_prefix: a, {tls}}}"))
    assert "TRUST" in config.secret_names


# -- lanes --------------------------------------------------------------------------------------


def test_lanes_by_table_have_their_patterns_and_one_takes_the_rest() -> None:
    text = with_pair(lanes={"orders": ["shop.order*"], "rest": ["*"]})
    for link in parse_config(text).resolved_links().values():
        orders, rest = link.each_lane()
        assert (orders.title, rest.title) == (f"{link.name}/orders", f"{link.name}/rest")
        assert orders.matches("shop.orders")
        assert not rest.matches("shop.orders")
        assert rest.matches("shop.items")
        assert not rest.matches("crm.items")


def test_lanes_by_partition_are_numbered() -> None:
    link = parse_config(with_pair(lanes={"by": "partition", "count": 3})).resolved_links()["a_to_b"]
    assert [lane.lane for lane in link.each_lane()] == ["0_of_3", "1_of_3", "2_of_3"]


def test_a_link_without_lanes_has_one() -> None:
    link = parse_config(GOOD).resolved_links()["a_to_b"]
    assert link.each_lane() == (link,)
    assert (link.lane, link.title) == ("main", "a_to_b")


@pytest.mark.parametrize(
    ("lanes", "path", "words"),
    [
        ({"orders": ["shop.order*"]}, "lanes", "two lanes or more"),
        ({"orders": ["shop.order*"], "more": ["shop.more"]}, "lanes", "exactly one lane"),
        ({"one": ["*"], "two": ["*"]}, "lanes", "exactly one lane"),
        ({"main": ["shop.a"], "rest": ["*"]}, "lanes.main", "where it has only one"),
        ({"a": ["shop.o*"], "b": ["shop.or*"], "rest": ["*"]}, "lanes.b", "lane a too"),
        ({"a": ["shop.o", "*"], "rest": ["*"]}, "lanes.a", "stands alone"),
        ({"a": ["!shop.o"], "rest": ["*"]}, "lanes.a", "goes to the rest"),
        ({"a": [], "rest": ["*"]}, "lanes.a", "must name a table"),
        ({"a": ["orders"], "rest": ["*"]}, "lanes.a.0", "schema.table"),
        ({"a": "shop.o", "rest": ["*"]}, "lanes.a", "list"),
        ({"by": "partition"}, "lanes.count", "required"),
        ({"by": "partition", "count": 1}, "lanes.count", "greater than or equal to 2"),
        ({"by": "table", "count": 2}, "lanes.by", "partition"),
        ([["shop.a"]], "lanes", ""),
    ],
)
def test_lanes_that_share_or_miss_tables_are_refused(lanes: object, path: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(with_pair(lanes=lanes))
    assert any(p == f"pairs.shop.{path}" and words in m for p, m in caught.value.problems), (
        caught.value.problems
    )


def with_third_site(entries: dict[str, dict[str, object]]) -> str:
    """GOOD with sites c and d, and with pairs (`sites`) and links (`source`) beside its pair."""
    data = yaml.safe_load(GOOD)
    for number, site in enumerate("cd"):
        other = {"port": 13303 + number, "topic_prefix": site}
        data["sites"][site] = {**data["sites"]["b"], **other}
    for name, entry in entries.items():
        kind = "pairs" if "sites" in entry else "links"
        data.setdefault(kind, {})[name] = {
            "tables": ["shop.*"], "conflicts": {"policy": "fail"}, **entry
        }  # fmt: skip
    return yaml.safe_dump(data, sort_keys=False)


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"feed": {"source": "c", "target": "b"}}, "shop.* is written at b by pairs.shop already"),
        ({"feed": {"source": "c", "target": "b", "tables": ["shop.o*"]}}, "shop.o* is written"),
        (
            {"chain": {"sites": ["b", "c"]}, "ring": {"sites": ["a", "c"]}},
            "shop.* is carried from a to c through other sites already (pairs.chain, pairs.shop)",
        ),
        (
            {"chain": {"sites": ["b", "c"]}, "copy": {"source": "a", "target": "c"}},
            "shop.* is written at c by pairs.chain already",
        ),
        (
            {"copy": {"source": "a", "target": "c"}, "copies": {"source": "b", "target": "c"}},
            "shop.* is written at c by links.copy already",
        ),
    ],
    ids=["feed of a pair", "one table", "ring", "two ways", "two copies"],
)
def test_tables_that_would_go_round_or_have_two_masters_are_refused(
    entries: dict[str, dict[str, object]], told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(with_third_site(entries))
    assert told in str(caught.value)


def test_a_link_carries_on_what_others_write_at_its_source() -> None:
    entries: dict[str, dict[str, object]] = {
        "chain": {"sites": ["b", "c"], "mark_domain_id": 2},
        "copy": {"source": "c", "target": "d", "mark_domain_id": 3},
    }
    links = parse_config(with_third_site(entries)).resolved_links()

    carries_on = {name: set(link.carries_on) for name, link in links.items()}
    assert carries_on == {
        "a_to_b": set(),
        "b_to_a": {"c_to_b"},
        "b_to_c": {"a_to_b"},
        "c_to_b": set(),
        "copy": {"b_to_c"},
    }
    assert links["b_to_a"].carried_domains == links["copy"].carried_domains == {2}
    assert links["b_to_c"].carried_domains == set()


def test_who_carries_on_needs_a_domain_of_its_own() -> None:
    data = yaml.safe_load(with_third_site({"chain": {"sites": ["b", "c"], "mark_domain_id": 5}}))
    data["pairs"]["shop"]["mark_domain_id"] = 5

    with pytest.raises(ConfigError, match="under the same mark_domain_id"):
        parse_config(yaml.safe_dump(data))
    data["pairs"]["chain"]["tables"] = ["crm.*"]  # they do not meet: nothing is carried on
    links = parse_config(yaml.safe_dump(data)).resolved_links()
    assert links["b_to_c"].carried_domains == set()


def test_pairs_in_a_ring_over_different_tables_are_no_ring() -> None:
    entries: dict[str, dict[str, object]] = {
        "chain": {"sites": ["b", "c"], "tables": ["shop.one", "crm.*"]},
        "back": {"sites": ["c", "a"], "tables": ["crm.*", "wiki.*"]},
    }

    assert set(parse_config(with_third_site(entries)).pairs) == {"shop", "chain", "back"}


def test_two_sources_of_one_table_are_refused_and_two_targets_are_not() -> None:
    links: dict[str, dict[str, object]] = {
        "one": {"source": "a", "target": "c", "tables": ["crm.*"]},
        "two": {"source": "b", "target": "c", "tables": ["crm.item"]},
    }
    with pytest.raises(ConfigError, match=r"crm\.item is written at c by links\.one already"):
        parse_config(with_third_site(links))
    links["two"] = {"source": "a", "target": "b", "tables": ["crm.item"]}
    assert set(parse_config(with_third_site(links)).links) == {"one", "two"}
