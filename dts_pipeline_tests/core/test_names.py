"""What a site calls the tables: one-to-one, or told."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dts_pipeline.core.links import Link, MarkKind
from dts_pipeline.core.names import AS_THEY_ARE, Names, renaming_problems

SCHEMAS, TABLES = ["shop", "store", "mall"], ["x", "y", "z", "w"]
ALL = [f"{schema}.{table}" for schema in SCHEMAS for table in TABLES]
NAMES = Names.of(
    [("shop.orders", "store.orders_eu"), ("shop.*", "store.*"), ("shop.same", "shop.same")]
)
single = st.sampled_from(ALL)
whole = st.sampled_from([f"{schema}.*" for schema in SCHEMAS])
renames = st.lists(
    st.one_of(st.tuples(single, single), st.tuples(whole, whole)),
    max_size=3,
    unique_by=lambda pair: pair[0],
)
wholes = st.lists(whole, min_size=1, max_size=3, unique=True)
others = st.lists(st.one_of(single, single.map("!".__add__), st.just("s*.x")), max_size=2)
carried = st.builds(list.__add__, wholes, others)


def is_carried(table: str, patterns: list[str]) -> bool:
    inside = any(fnmatchcase(table, p) for p in patterns if not p.startswith("!"))
    return inside and not any(fnmatchcase(table, p[1:]) for p in patterns if p.startswith("!"))


@pytest.mark.parametrize(
    ("common", "own"),
    [
        ("shop.orders", "store.orders_eu"),
        ("shop.customer", "store.customer"),
        ("shop.same", "shop.same"),
        ("crm.orders", "crm.orders"),
        ("dts.watermark", "dts.watermark"),
    ],
)
def test_single_tables_come_before_their_schema(common: str, own: str) -> None:
    assert NAMES.own(common) == own
    assert NAMES.common(own) == common


@pytest.mark.parametrize("own", ["shop.orders", "shop.customer"])
def test_a_table_that_has_anothers_common_name_is_not_carried(own: str) -> None:
    link = Link("l", "a", "b", ("*.*", "?*.*", "shop.*"), "b", MarkKind.ORIGIN, source_names=NAMES)
    assert NAMES.common(own) == f".{own}"
    assert not link.matches(NAMES.common(own))


def test_a_links_topics_are_the_sites_own() -> None:
    link = Link("l", "a", "b", ("shop.*",), "b", MarkKind.ORIGIN, source_names=NAMES)
    assert link.topic_of("shop.orders") == "b.store.orders_eu"
    assert link.table_of("b.store.orders_eu") == "shop.orders"
    assert link.topic_of("dts.watermark") == "b.dts.watermark"


def test_without_renames_all_names_stay() -> None:
    assert not AS_THEY_ARE
    assert AS_THEY_ARE.common("shop.orders") == AS_THEY_ARE.own("shop.orders") == "shop.orders"
    assert AS_THEY_ARE.patterns(["shop.*", "crm.a"]) == ("shop.*", "crm.a")


@settings(max_examples=400)
@given(renames, carried)
def test_what_is_not_refused_is_one_to_one(
    pairs: list[tuple[str, str]], patterns: list[str]
) -> None:
    """Tables have names of their own, all of them are found again, patterns take them all."""
    assume(not list(renaming_problems(pairs, patterns)))
    names = Names.of(pairs)
    known = [table for table in ALL if is_carried(table, patterns)]
    nameless = {table for table in known if names.own(table) == f".{table}"}
    assert not nameless & set(patterns)
    known = [table for table in known if table not in nameless]
    own = [names.own(table) for table in known]
    assert len(set(own)) == len(own)
    assert all(table.partition(".")[0] for table in own)
    assert [names.common(table) for table in own] == known
    inside = names.patterns([p for p in patterns if not p.startswith("!")])
    assert all(any(fnmatchcase(table, p) for p in inside) for table in own)


def test_a_single_table_takes_the_name_that_another_of_the_schema_would_have() -> None:
    """There is nothing to tell whether that one exists: if it does, it has no name there."""
    assert NAMES.own("shop.orders_eu") == ".shop.orders_eu"


@pytest.mark.parametrize(
    ("pairs", "tables"),
    [
        ([("shop.*", "store.orders")], ["shop.*"]),
        ([("shop.a", "store.*")], ["shop.*"]),
        ([("crm.*", "store.*")], ["shop.*"]),
        ([("shop.a", "shop.b")], ["shop.a", "shop.b"]),
        ([("shop.a", "store.b"), ("shop.*", "store.*")], ["shop.*", "shop.b"]),
        ([("shop.a", "crm.x"), ("shop.b", "crm.x")], ["shop.*"]),
        ([("shop.*", "store.*")], ["shop.*", "store.x"]),
        ([("shop.*", "store.*"), ("mall.*", "store.*")], ["shop.*", "mall.*"]),
    ],
)
def test_what_is_refused(pairs: list[tuple[str, str]], tables: list[str]) -> None:
    assert list(renaming_problems(pairs, tables))


def test_tables_can_swap_names() -> None:
    assert not list(renaming_problems([("s.a", "s.b"), ("s.b", "s.a")], ["s.*"]))
