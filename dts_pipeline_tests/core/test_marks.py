"""What a mark looks like, and what only looks like one."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dts_pipeline.core.links import Link, MarkKind
from dts_pipeline.core.marks import (
    Mark,
    Writers,
    disagreeing,
    is_our_gtid,
    is_our_statement,
    mark_uuid,
    recognise,
    unseen,
    write_ids,
)
from dts_pipeline.core.schema import Dialect
from dts_pipeline_tests import builders
from dts_pipeline_tests.builders import SERVER_UUID, insert

OUR_UUID = mark_uuid("2f1d7b52-0000-4000-8000-000000000000", "a_to_b", "main", 1)
DOMAIN = 4711


def mark(kind: MarkKind, dialect: Dialect) -> Mark:
    return Mark(kind, dialect, "a_to_b", 17, OUR_UUID, 99, DOMAIN)


def head(statement: str) -> bytes:
    """The head of a statement as it stands in a message."""
    return builders.encoded(statement)[:200]


def recognised(**fields: object) -> bool:
    events = builders.frame([insert(1, "v", **{"gtid": None, **fields})])
    return bool(recognise(events, {DOMAIN})[0])


# --- how a mark is written -----------------------------------------------------------------


def test_under_origin_mysql_takes_a_gtid_of_ours_and_gives_it_back() -> None:
    found = mark(MarkKind.ORIGIN, Dialect.MYSQL)

    assert found.before_transaction() == [f"SET gtid_next = '{OUR_UUID}:99'"]
    assert found.after_transaction() == ["SET gtid_next = 'AUTOMATIC'"]


def test_under_origin_mariadb_takes_a_domain_of_ours_and_gives_it_back() -> None:
    found = mark(MarkKind.ORIGIN, Dialect.MARIADB)

    assert found.before_transaction() == ["SET SESSION gtid_domain_id = 4711"]
    assert found.after_transaction() == ["SET SESSION gtid_domain_id = @@GLOBAL.gtid_domain_id"]


@pytest.mark.parametrize("dialect", list(Dialect))
def test_under_comment_the_session_stays_as_it_is(dialect: Dialect) -> None:
    found = mark(MarkKind.COMMENT, dialect)

    assert found.before_transaction() == found.after_transaction() == []


def test_the_comment_names_link_and_batch() -> None:
    for kind, word in ((MarkKind.COMMENT, "mark"), (MarkKind.ORIGIN, "stamp")):
        found = mark(kind, Dialect.MYSQL).comment

        assert found == f"/* dts link=a_to_b batch=17 {word}={OUR_UUID}:99 */"
        longest = replace(mark(kind, Dialect.MYSQL), link="l" * 64, batch=10**12, number=10**12)
        assert is_our_statement(head(f"INSERT {longest.comment} INTO t SELECT 1"))


def test_the_uuid_of_a_lane_never_changes() -> None:
    """Written out: another value would not be recognised by what already lies in Kafka."""
    assert OUR_UUID == "64747350-2a02-830a-b080-26da7e226b24"


@pytest.mark.parametrize(
    "other",
    [("x", "a_to_b", "main", 1), ("i", "b_to_a", "main", 1), ("i", "a_to_b", "two", 1),
     ("i", "a_to_b", "main", 2)],
)  # fmt: skip
def test_each_installation_link_lane_and_generation_has_its_own(
    other: tuple[str, str, str, int],
) -> None:
    assert mark_uuid(*other) != mark_uuid("i", "a_to_b", "main", 1)


@given(st.text(), st.text(), st.text(), st.integers(1, 1000))
def test_every_uuid_of_ours_is_a_uuid_and_is_recognised(
    installation: str, link: str, lane: str, generation: int
) -> None:
    found = mark_uuid(installation, link, lane, generation)

    assert str(uuid.UUID(found)) == found
    assert (uuid.UUID(found).version, uuid.UUID(found).variant) == (8, uuid.RFC_4122)
    assert is_our_gtid(f"{found}:1", ())


# --- how it is recognised ------------------------------------------------------------------


@pytest.mark.parametrize("configured", list(MarkKind))
@pytest.mark.parametrize("dialect", list(Dialect))
def test_what_a_mark_writes_is_recognised_in_every_dialect(
    configured: MarkKind, dialect: Dialect
) -> None:
    written = mark(configured, dialect)
    origin = {Dialect.MYSQL: f"{OUR_UUID}:99", Dialect.MARIADB: f"{DOMAIN}-2-99"}[dialect]

    if configured is MarkKind.ORIGIN:
        assert recognised(gtid=origin, connector=dialect.value)
    else:
        query = f"INSERT {written.comment} INTO t SELECT 1"
        assert recognised(query=query, connector=dialect.value)


@pytest.mark.parametrize(
    "gtid",
    [
        f"{SERVER_UUID}:5",  # a server's own, version 1
        "64747350-e733-11f1-abb7-02fc00000001:5",  # our first bits, but a server's version 1
        "64747350-e733-4bf1-abb7-02fc00000001:5",  # our first bits, but random (version 4)
        "64747351-9e7d-85a4-b2cb-ec8fc31b7b12:5",  # version 8, but not our first bits
        OUR_UUID,  # no transaction number
        f"0-{DOMAIN}-5",  # our domain's number, but as a server id
        f"0-1-{DOMAIN}",  # … and as a sequence
        f"1{DOMAIN}-1-5",
        f"{DOMAIN}-1",
        f"{DOMAIN}",
        "",
    ],
)
def test_foreign_gtids_are_users(gtid: str) -> None:
    assert not recognised(gtid=gtid)


def test_domains_that_no_link_writes_under_are_users() -> None:
    assert not is_our_gtid(f"{DOMAIN}-1-5", {DOMAIN + 1})
    assert is_our_gtid(f"{DOMAIN}-1-5", {DOMAIN + 1, DOMAIN})


@given(st.uuids(version=1), st.integers(1, 10**9))
def test_no_server_uuid_is_taken_for_ours(server: uuid.UUID, number: int) -> None:
    assert not is_our_gtid(f"{server}:{number}", {DOMAIN})


MARKED_STATEMENTS = [
    "INSERT /* dts link=a_to_b batch=17 */ INTO t SELECT 1",
    "DELETE /* dts link=a_to_b batch=17 */ t FROM t",
    "UPDATE /* dts link=a_to_b batch=17 */ t SET v = 1",
    "insert /* dts link=a_to_b batch=17 */ into t values (1)",
    "RePlAcE /* dts link=a_to_b batch=17 */ INTO t VALUES (1)",
    # older writers
    "/* dts */ INSERT INTO t VALUES (1)",
    "INSERT /* dts */ INTO t VALUES (1)",
    "INSERT /*dts*/ INTO t VALUES (1)",
    "/*dts*/INSERT INTO t VALUES (1)",
    "INSERT/* dts */INTO t VALUES (1)",
    # white space as drivers leave it; in the message it is escaped
    "  \n\tINSERT\n/* dts */ INTO t VALUES (1)",
    "\r\n/* dts */\r\nDELETE FROM t",
    "UPDATE\t \n/*\ndts batch=1\n*/ t SET v = 1",
]


@pytest.mark.parametrize("statement", MARKED_STATEMENTS)
def test_a_comment_at_the_two_places_is_a_mark(statement: str) -> None:
    assert recognised(query=statement)


USERS_STATEMENTS = [
    # the text of a row
    "INSERT INTO t VALUES ('/* dts */')",
    "INSERT INTO t VALUES ('/* dts link=a_to_b batch=17 */')",
    "INSERT INTO t VALUES (1, 'INSERT /* dts */ INTO t')",
    'INSERT INTO t VALUES ("\\n/* dts */")',
    'INSERT INTO t VALUES ("\\"INSERT /* dts */")',
    "UPDATE t SET v = '/* dts */' WHERE id = 1",
    "UPDATE t SET v = 1 /* dts */",
    "UPDATE t /* dts */ SET v = 1",
    "DELETE FROM t WHERE v = '/* dts */'",
    "INSERT INTO /* dts */ t VALUES (1)",
    "INSERT IGNORE /* dts */ INTO t VALUES (1)",
    "REPLACE INTO t VALUES ('\n/* dts */')",
    # other comments
    "/* app */ /* dts */ INSERT INTO t VALUES (1)",
    "/* app dts */ INSERT INTO t VALUES (1)",
    "INSERT /* dtsx */ INTO t VALUES (1)",
    "INSERT /* adts */ INTO t VALUES (1)",
    "INSERT /* dts-old */ INTO t VALUES (1)",
    "INSERT /* DTS */ INTO t VALUES (1)",
    "INSERT -- dts\n INTO t VALUES (1)",
    "-- /* dts */\nINSERT INTO t VALUES (1)",
    "# /* dts */\nINSERT INTO t VALUES (1)",
    "INSERT /*! dts */ INTO t VALUES (1)",
    "INSERT /* dts",
    "WITH a AS (SELECT '/* dts */') INSERT INTO t SELECT * FROM a",
    "(SELECT 1) /* dts */",
    "`INSERT` /* dts */",
    "'/* dts */'",
    "",
]


@pytest.mark.parametrize("statement", USERS_STATEMENTS)
def test_a_users_text_that_contains_the_mark_is_no_mark(statement: str) -> None:
    assert not recognised(query=statement)


@pytest.mark.parametrize("statement", USERS_STATEMENTS)
def test_the_same_statement_behind_a_users_leading_white_space_is_no_mark(statement: str) -> None:
    assert not is_our_statement(head("\n  \t" + statement))


def test_a_backslash_of_the_text_is_not_white_space() -> None:
    """`\\\\n` in the message is a backslash and an n of the statement, not a new line."""
    assert not is_our_statement(head("\\n/* dts */ INSERT"))
    assert not is_our_statement(head("INSERT\\n/* dts */"))


@given(
    before=st.text(alphabet=" \n\t\r", max_size=5),
    verb=st.sampled_from(["INSERT", "replace", "Update", "DELETE"]),
    value=st.text(max_size=60),
)
def test_no_value_of_a_plain_statement_makes_it_ours(before: str, verb: str, value: str) -> None:
    text = value.replace("\\", "\\\\").replace("'", "\\'")

    assert not is_our_statement(head(f"{before}{verb} INTO t VALUES ('{text}/* dts */')"))


def test_a_mark_far_into_a_long_statement_is_no_mark() -> None:
    assert not recognised(query="INSERT INTO t VALUES " + "('x')," * 1000 + "('/* dts */')")


def test_marks_are_found_event_by_event() -> None:
    events = builders.frame(
        [
            insert(1, "v"),
            insert(2, "v", gtid=f"{OUR_UUID}:5"),
            insert(3, "v", query="INSERT /* dts */ INTO t"),
            insert(4, "v", gtid=f"{DOMAIN}-1-5"),
            builders.snapshot(5, "v"),
            insert(6, "v", gtid=f"{OUR_UUID}:5", query="INSERT INTO t"),
        ]
    )
    assert recognise(events, {DOMAIN}).tolist() == [False, True, True, True, False, True]


def test_no_events_give_no_marks() -> None:
    assert recognise(builders.frame([]), {DOMAIN}).tolist() == []


# --- fail closed ---------------------------------------------------------------------------


def test_events_in_which_the_configured_mark_could_not_be_seen() -> None:
    events = builders.frame(
        [
            insert(1, "v", gtid=None, query="INSERT INTO t"),
            builders.update(1, "v", "w", gtid="0-1-5", query=None),
            builders.delete(1, "w", gtid=None, query=None),
            builders.snapshot(1, "v"),
            builders.change_event("t", None, gtid=None),
        ]
    )
    assert unseen(events, MarkKind.ORIGIN).tolist() == [True, False, True, False, False]
    assert unseen(events, MarkKind.COMMENT).tolist() == [False, True, True, False, False]


# --- stamp and comment beside each other ---------------------------------------------------

STAMPED = f"{DOMAIN}-1-5"
USERS = "0-1-5"
PLAIN = "INSERT INTO t VALUES (1)"


def ours(number: str, *, link: str = "a_to_b") -> str:
    return f"INSERT /* dts link={link} batch=17 {number} */ INTO t SELECT 1"


@pytest.mark.parametrize(
    ("gtid", "query", "wrong"),
    [
        (STAMPED, ours(f"stamp={OUR_UUID}:99"), False),
        (f"{OUR_UUID}:99", ours(f"stamp={OUR_UUID}:99"), False),
        (USERS, ours(f"mark={OUR_UUID}:99"), False),  # `mark: comment`
        (USERS, "INSERT /* dts */ INTO t VALUES (1)", False),  # an older writer's
        (STAMPED, "INSERT /* dts link=a_to_b reconcile */ INTO t SELECT 1", False),
        (USERS, PLAIN, False),  # a user's
        (STAMPED, None, False),  # the statement does not arrive
        (None, ours(f"stamp={OUR_UUID}:99"), False),  # the GTID does not
        (STAMPED, PLAIN, True),  # somebody writes under our domain
        (f"{OUR_UUID}:99", PLAIN, True),
        (f"{OUR_UUID}:98", ours(f"stamp={OUR_UUID}:99"), True),  # another write's
        (USERS, ours(f"stamp={OUR_UUID}:99"), True),  # our statement, copied under another GTID
        (f"{SERVER_UUID}:5", ours(f"stamp={OUR_UUID}:99"), True),
        (STAMPED, ours(f"stamp={OUR_UUID}:99", link="b_to_a"), True),  # another server's rows
    ],
)
def test_what_disagrees(gtid: str | None, query: str | None, wrong: bool) -> None:
    other = insert(1, "v", gtid=USERS, query=PLAIN)
    events = builders.frame([other, insert(2, "v", gtid=gtid, query=query), other])

    assert disagreeing(events, {DOMAIN}, {"a_to_b"}).tolist() == [False, wrong, False]


def test_the_link_of_a_comment_counts_only_where_the_writers_are_known() -> None:
    events = builders.frame([insert(1, "v", gtid=STAMPED, query=ours("", link="b_to_a"))])

    assert not disagreeing(events, {DOMAIN}).any()


# --- writes of other links that are carried on ----------------------------------------------

INSTALLATION = "2f1d7b52-0000-4000-8000-000000000000"
THROUGH = Link(
    name="b_to_c",
    source="b",
    target="c",
    tables=("shop.*",),
    source_prefix="b",
    mark=MarkKind.ORIGIN,
    pair="bc",
    carries_on=frozenset({"a_to_b"}),
    carried_domains=frozenset({DOMAIN}),
)
OWN_DOMAIN = 4712
OWN_UUID = mark_uuid(INSTALLATION, "c_to_b", "main", 1)


@pytest.mark.parametrize(
    ("gtid", "query", "dropped"),
    [
        (STAMPED, None, False),
        (f"{OWN_DOMAIN}-1-5", None, True),
        (f"{OUR_UUID}:99", None, False),
        (f"{mark_uuid(INSTALLATION, 'a_to_b', 'other', 7)}:1", None, False),
        (f"{OWN_UUID}:99", None, True),
        (f"{mark_uuid('another', 'a_to_b', 'main', 1)}:1", None, True),  # whose is not known
        (None, ours("mark=1"), False),
        (None, ours("mark=1", link="c_to_b"), True),
        (None, "INSERT /* dts */ INTO t VALUES (1)", True),
        (USERS, ours("mark=1"), False),
        (USERS, ours("mark=1", link="c_to_b"), True),
        (STAMPED, ours("stamp=1"), False),
        (f"{OWN_DOMAIN}-1-5", ours("stamp=1", link="c_to_b"), True),
        (f"{OWN_DOMAIN}-1-5", ours("stamp=1"), True),  # the GTID decides
        (USERS, PLAIN, False),
    ],
)
def test_what_another_link_wrote_counts_as_a_users(
    gtid: str | None, query: str | None, dropped: bool
) -> None:
    carried = Writers.carried_by(THROUGH, INSTALLATION)
    domains = {DOMAIN, OWN_DOMAIN}
    other = insert(1, "v", gtid=USERS, query=PLAIN)
    events = builders.frame([other, insert(2, "v", gtid=gtid, query=query), other])

    assert recognise(events, domains, carried).tolist() == [False, dropped, False]
    everyones = recognise(events, domains).tolist()
    assert everyones == [False, gtid != USERS or query != PLAIN, False]


def test_a_stamp_and_a_comment_of_different_links_disagree() -> None:
    carried = Writers.carried_by(THROUGH, INSTALLATION)
    writers = {"a_to_b", "c_to_b"}
    events = builders.frame(
        [
            insert(1, "v", gtid=STAMPED, query=ours("stamp=1", link="c_to_b")),
            insert(2, "v", gtid=f"{OWN_DOMAIN}-1-5", query=ours("stamp=1")),
            insert(3, "v", gtid=STAMPED, query=ours("stamp=1")),
            insert(4, "v", gtid=f"{OWN_DOMAIN}-1-5", query=ours("stamp=1", link="c_to_b")),
        ]
    )

    found = disagreeing(events, {DOMAIN, OWN_DOMAIN}, writers, [carried])

    assert found.tolist() == [True, True, False, False]


# --- writes of a mesh's other pairs, which are dropped and not the pair's own ----------------

MESHED = Link(
    name="a_to_b",
    source="a",
    target="b",
    tables=("shop.*",),
    source_prefix="a",
    mark=MarkKind.ORIGIN,
    pair="ab",
    writers=frozenset({"b_to_a", "c_to_a"}),
    others=frozenset({"c_to_a"}),
    other_domains=frozenset({OWN_DOMAIN}),
    mesh=("a", "b", "c"),
    mesh_pairs=("ac", "bc"),
)
FROM_B = mark_uuid(INSTALLATION, "b_to_a", "main", 1)
FROM_C = mark_uuid(INSTALLATION, "c_to_a", "main", 1)


@pytest.mark.parametrize(
    ("gtid", "query", "dropped", "own"),
    [
        (f"{FROM_B}:1", None, True, True),
        (f"{FROM_C}:1", None, True, False),
        (f"{DOMAIN}-1-5", None, True, True),
        (f"{OWN_DOMAIN}-1-5", None, True, False),
        (None, ours("mark=1", link="b_to_a"), True, True),
        (None, ours("mark=1", link="c_to_a"), True, False),
        (USERS, PLAIN, False, False),
    ],
)
def test_what_a_meshs_other_pair_wrote_is_dropped_and_not_the_pairs_own(
    gtid: str | None, query: str | None, dropped: bool, own: bool
) -> None:
    domains = {DOMAIN, OWN_DOMAIN}
    events = builders.frame([insert(1, "v", gtid=gtid, query=query)])
    carried = Writers.carried_by(MESHED, INSTALLATION)
    others = Writers.beside(MESHED, INSTALLATION)

    assert recognise(events, domains, carried).tolist() == [dropped]
    assert recognise(events, domains, others).tolist() == [own]


def test_a_stamp_and_a_comment_of_two_pairs_of_a_mesh_disagree() -> None:
    others = Writers.beside(MESHED, INSTALLATION)
    events = builders.frame(
        [
            insert(1, "v", gtid=f"{FROM_C}:1", query=ours("stamp=1", link="b_to_a")),
            insert(2, "v", gtid=f"{DOMAIN}-1-5", query=ours("stamp=1", link="c_to_a")),
            insert(3, "v", gtid=f"{FROM_C}:1", query=ours("stamp=1", link="c_to_a")),
            insert(4, "v", gtid=f"{DOMAIN}-1-5", query=ours("stamp=1", link="b_to_a")),
        ]
    )
    domains = {DOMAIN, OWN_DOMAIN}

    found = disagreeing(events, domains, MESHED.writers, [others])

    assert found.tolist() == [True, True, False, False]
    assert not disagreeing(events, domains, MESHED.writers).any()  # dropped are both


def test_the_last_group_of_a_uuid_is_the_links() -> None:
    groups = {mark_uuid("i", "a_to_b", lane, n).split("-")[-1] for lane in "xy" for n in (1, 2)}

    assert len(groups) == 1
    assert mark_uuid("i", "b_to_a", "x", 1).split("-")[-1] not in groups
    assert mark_uuid("j", "a_to_b", "x", 1).split("-")[-1] not in groups


def test_what_names_a_write() -> None:
    number = f"{OUR_UUID}:99"
    events = builders.frame(
        [
            insert(1, "v", gtid=STAMPED, query=ours(f"stamp={number}")),
            insert(2, "v", gtid=STAMPED, query=None),
            insert(3, "v", gtid=f"{OUR_UUID}:7", query=None),
            insert(4, "v", gtid=f"{SERVER_UUID}:5", query=ours(f"mark={number}")),
            insert(5, "v", gtid=None, query=ours(f"mark={number}")),
            insert(6, "v", gtid=None, query="INSERT /* dts link=a_to_b reconcile */ INTO t"),
        ]
    )

    assert write_ids(events).tolist() == [
        STAMPED,
        STAMPED,
        f"{OUR_UUID}:7",
        number,
        number,
        None,
    ]
