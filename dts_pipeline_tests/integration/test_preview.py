"""What a preview says of a range is what applying that range then does, on real servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from confluent_kafka import TopicPartition as KafkaTopicPartition
from confluent_kafka.admin import AdminClient

from dts_pipeline.core.links import Policy
from dts_pipeline.core.previews import Preview
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.selection import Selection, parse_selection, spelled
from dts_pipeline.errors import DtsError
from dts_pipeline.stages.preview import preview
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.stacks import Stack

pytestmark = pytest.mark.servers

ITEM = """
CREATE TABLE item (id INT PRIMARY KEY, v VARCHAR(40), n INT, at DATETIME(6)) CHARACTER SET utf8mb4
"""
MAIL = """
CREATE TABLE mail (id INT PRIMARY KEY, address VARCHAR(60) NOT NULL, UNIQUE KEY one (address))
"""
WORD = """
CREATE TABLE word (w VARCHAR(20) PRIMARY KEY, n INT) CHARACTER SET utf8mb4
COLLATE utf8mb4_general_ci
"""
COUNTED = "CREATE TABLE counted (id INT PRIMARY KEY, v VARCHAR(40), n INT NOT NULL)"
TIGHT = "CREATE TABLE tight (id INT PRIMARY KEY, v VARCHAR(40))"
OPEN = parse_selection()


@pytest.fixture(
    scope="module",
    params=["stack_mariadb", pytest.param("stack_mysql", marks=pytest.mark.mysql)],
)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """One pair for all tests of the module."""
    stack: Stack = request.getfixturevalue(request.param)
    rig = Rig(stack, "prev", tmp_path_factory.mktemp("preview"))
    rig.conflicts = {"policy": {"site": "A"}, "tables": {f"{rig.name}.counted": {"delta": ["n"]}}}
    rig.changes = {"pairs": {"pair": {"on_poison": "quarantine"}}}
    return rig.create(ITEM, MAIL, WORD, COUNTED, TIGHT)


@pytest.fixture
def rig(pair: Rig) -> Rig:
    """Equal sites, in sync, with ten rows in `item`."""
    rig = pair
    for side in "ab":
        rig.sql(side, "DELETE FROM item", "DELETE FROM mail", "DELETE FROM word")
    rig.sync()
    rows = ", ".join(f"({i}, 'old', {i}, NULL)" for i in range(1, 11))
    rig.sql("a", f"INSERT INTO item VALUES {rows}", "INSERT INTO mail VALUES (1,'x'),(2,'y')")
    rig.sql("a", "INSERT INTO word VALUES ('a',1),('b',2)")
    rig.sync()
    rig.drain()
    return rig


def look(
    rig: Rig, selection: Selection = OPEN, policy: Policy | None = None, limit: int = 20
) -> Preview:
    runtime = rig.runtime(rig.forth)
    try:
        return preview(runtime, selection, policy=policy, limit=limit)
    finally:
        runtime.close()


def write_everything(rig: Rig) -> None:
    """Every way a key can go: written, deleted, there already, disputed, overtaken, net nothing."""
    rig.sql(
        "a",
        "INSERT INTO item VALUES (20,'new',1,NULL),(21,'gone again',1,NULL)",
        "DELETE FROM item WHERE id = 21",
        "UPDATE item SET v = 'a', n = 100 WHERE id IN (1, 2)",
        "UPDATE item SET n = n + 1 WHERE id = 1",
        "DELETE FROM item WHERE id IN (3, 4)",
        "UPDATE item SET v = 'same' WHERE id = 5",
        "UPDATE item SET v = 'from a' WHERE id IN (6, 7)",
        "UPDATE item SET id = 30 WHERE id = 8",
        "UPDATE mail SET address = 'free' WHERE id = 1",
        "UPDATE mail SET address = 'x' WHERE id = 2",
        "INSERT INTO mail VALUES (3, 'y')",
        "UPDATE word SET w = 'A', n = 10 WHERE w = 'a'",
    )
    rig.sql(
        "b",
        "UPDATE item SET v = 'same' WHERE id = 5",
        "UPDATE item SET v = 'from b' WHERE id = 6",
        "DELETE FROM item WHERE id = 7",
        "DELETE FROM item WHERE id = 4",
        "UPDATE item SET n = -1 WHERE id = 2",
    )
    rig.await_events("a")


def applied(rig: Rig) -> dict[str, dict[str, int]]:
    """What one run of the link reports, without the records that it left."""
    summary = rig.run(rig.forth)
    assert summary.batches == 1
    return without_records(summary.tables)


def without_records(tables: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """The counts of rows; tables that only have records are left out."""
    rows = {
        table: {kind: n for kind, n in counts.items() if not kind.startswith("recorded/")}
        for table, counts in tables.items()
    }
    return {table: counts for table, counts in rows.items() if counts}


def test_a_preview_says_what_the_batch_then_does(rig: Rig) -> None:
    write_everything(rig)
    before = rig.checkpoint(rig.forth)

    found = look(rig)

    assert rig.checkpoint(rig.forth) == before
    item = found.tables[f"{rig.name}.item"]
    assert (item["conflicts"], item["same"], item["deleted"]) == (3, 2, 2)
    assert found.tables == applied(rig)
    due = sum(c[k] for c in found.tables.values() for k in ("inserted", "updated", "deleted"))
    same = sum(c["same"] for c in found.tables.values())
    assert found.counts["changes"] == due + same + 1  # `a` and `A` are one row to the server


def test_another_policy_on_the_same_range(rig: Rig) -> None:
    write_everything(rig)

    other = look(rig, policy=Policy("site", rig.sites[1]))
    stop = look(rig, policy=Policy("fail", rig.sites[0]))
    own = look(rig)

    name = f"{rig.name}.item"
    assert (own.tables[name]["lost"], other.tables[name]["lost"]) == (0, 3)
    assert stop.stops == (name,)
    assert {k.action for k in stop.keys if k.disputed} == {"stop"}
    assert own.tables == applied(rig)


def test_counters_are_added_up_in_a_preview_as_in_a_batch(rig: Rig) -> None:
    rig.sql(
        "a", "DELETE FROM counted", "INSERT INTO counted VALUES (1,'x',10),(2,'y',20),(3,'z',0)"
    )
    rig.sync()
    rig.sql("a", "UPDATE counted SET n = n + 5", "UPDATE counted SET v = 'a' WHERE id = 2")
    rig.sql(
        "b", "UPDATE counted SET n = n + 7 WHERE id < 3", "UPDATE counted SET v = 'b' WHERE id = 2"
    )
    rig.await_events("a")

    found = look(rig)

    counts = found.tables[f"{rig.name}.counted"]
    assert (counts["updated"], counts["conflicts"]) == (3, 1)
    assert found.tables == applied(rig)
    assert rig.rows("b", "SELECT n FROM counted ORDER BY id") == [(22,), (32,), (5,)]


def test_a_key_that_does_not_fit_is_left_out_of_a_preview_as_of_a_batch(rig: Rig) -> None:
    rig.sql("b", "ALTER TABLE tight MODIFY v VARCHAR(3)")
    rig.sql("a", "INSERT INTO tight VALUES (1, 'fits not'), (2, 'yes')")
    rig.await_events("a")

    found = look(rig)

    assert found.tables[f"{rig.name}.tight"]["inserted"] == 1
    assert found.tables == applied(rig)
    held = rig.rows("b", f"SELECT code FROM dts.quarantine WHERE link = '{rig.forth}'")
    assert held == [("value_refused",)]


def test_keys_and_changed_columns_are_shown_up_to_the_limit(rig: Rig) -> None:
    write_everything(rig)

    found = {k.key: k for k in look(rig, limit=100).keys if k.table == f"{rig.name}.item"}

    assert len(look(rig, limit=3).keys) == 3
    assert (found['{"id":6}'].action, found['{"id":6}'].columns) == ("update", ("v",))
    assert found['{"id":1}'].columns == ("v", "n")
    assert (found['{"id":5}'].action, found['{"id":3}'].action) == ("same", "delete")
    assert [found[f'{{"id":{i}}}'].disputed for i in (1, 6, 7)] == [False, True, True]


def test_what_a_mark_overtook_is_counted_as_superseded(rig: Rig) -> None:
    """b's row came to a after a had made and removed one under the same key."""
    rig.sql("a", "INSERT INTO item VALUES (40,'a',1,NULL)", "DELETE FROM item WHERE id = 40")
    rig.await_events("a")
    rig.sql("b", "INSERT INTO item VALUES (40,'b',1,NULL)")
    rig.await_events("b")
    rig.run(rig.back)
    rig.await_events("a")

    found = look(rig)
    summary = rig.run(rig.forth)

    assert found.counts["superseded"] == summary.counts["superseded"] == 1
    assert found.counts["marked"] == summary.counts["marked"] > 0
    assert found.tables == without_records(summary.tables)


@pytest.mark.parametrize("winner", ["A", "B"])
def test_unique_values_that_both_sites_gave_to_different_keys(rig: Rig, winner: str) -> None:
    """One value of a taken row is freed by the batch itself; the one of the other is not."""
    rig.sql(
        "a",
        "INSERT INTO mail VALUES (10, 'taken'), (11, 'free')",
        "UPDATE mail SET address = 'moved' WHERE id = 1",
        "UPDATE mail SET address = 'x' WHERE id = 2",
        "INSERT INTO mail VALUES (12, 'taken too')",
    )
    rig.sql("b", "INSERT INTO mail VALUES (20, 'taken'), (21, 'taken too')")
    rig.await_events("a")
    policy = Policy("site", rig.sites["AB".index(winner)])

    found = look(rig, policy=policy)
    runtime = rig.runtime(rig.forth)
    link = replace(runtime.link, policy=policy)
    rig.links[rig.forth] = link
    done = applied(rig)
    rig.links[rig.forth] = runtime.link
    runtime.close()

    name = f"{rig.name}.mail"
    assert found.tables[name]["unique"] == 2
    assert found.tables[name]["inserted"] == (3 if winner == "A" else 1)
    assert found.tables == done


def test_a_preview_leaves_nothing_behind_and_waits_for_no_lock(rig: Rig) -> None:
    """A user's transaction holds the rows while the preview looks at them."""
    write_everything(rig)
    gone = "SELECT @@gtid_binlog_pos" if rig.stack.flavour == "mariadb" else None
    with rig.user("b") as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("UPDATE item SET n = n + 1000")
        position = rig.rows("b", gone) if gone else None
        found = look(rig)
        after = rig.rows("b", gone) if gone else None
        cursor.execute("ROLLBACK")

    assert position == after
    assert found.tables == applied(rig)


def test_a_range_by_offsets_is_the_open_range(rig: Rig) -> None:
    write_everything(rig)
    whole = look(rig)
    topics = [r.topic_partition.topic for r in whole.ranges if r.size]
    froms = [r.from_offset for r in whole.ranges if r.size]
    untils = [r.until_offset for r in whole.ranges if r.size]

    same = look(rig, parse_selection(topics, [], froms, untils))

    assert same.tables == whole.tables
    assert spelled(same.ranges) == spelled(whole.ranges)
    assert applied(rig) == whole.tables


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("range_ahead", {"froms": [0], "untils": [10_000_000]}),
        ("range_not_carried", {"topics": ["elsewhere"], "froms": [0]}),
        ("range_not_carried", {"partitions": [7], "froms": [0]}),
        ("range_not_carried", {"topics": [], "tables": ["no.such"]}),
        ("range_ahead", {"topics": [], "since": "2020-01-01", "until_time": "2999-01-01"}),
    ],
)
def test_what_is_no_range_of_the_link_is_refused(
    rig: Rig, code: str, words: dict[str, object]
) -> None:
    topic = f"{rig.sites[0]}.{rig.name}.item"
    named = {"topics": [topic], **words}

    with pytest.raises(DtsError) as caught:
        look(rig, parse_selection(**named))  # type: ignore[arg-type]

    assert caught.value.code == code


def test_what_kafka_no_longer_holds_is_refused(rig: Rig) -> None:
    topic = TopicPartition(f"{rig.sites[0]}.{rig.name}.item", 0)
    admin = AdminClient({"bootstrap.servers": rig.stack.kafka})
    for future in admin.delete_records([KafkaTopicPartition(topic.topic, 0, 5)]).values():
        future.result()

    with pytest.raises(DtsError) as by_offsets:
        look(rig, parse_selection([topic.topic], [0], [2], [8]))
    with pytest.raises(DtsError) as by_time:
        look(rig, parse_selection(since="2020-01-01"))

    for caught in (by_offsets, by_time):
        assert caught.value.code == "range_lost"
        assert caught.value.where["topic"] == topic.topic
        assert caught.value.where["low"] == 5
    assert look(rig, parse_selection([topic.topic], [0], [5], [8])).ranges.size == 3
