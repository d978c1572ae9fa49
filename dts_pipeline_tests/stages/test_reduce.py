"""normalize, drop_marked and compact on a batch as it was pulled; fail closed in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from dts_pipeline.core.batches import Batch, Plan, SourcePosition
from dts_pipeline.core.links import Lane, Link, MarkKind
from dts_pipeline.core.marks import mark_uuid
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.errors import TerminalError
from dts_pipeline.stages import compact, drop_marked, normalize
from dts_pipeline_tests import builders
from dts_pipeline_tests.builders import T0, ChangeEvent, begin, delete, end, insert, update
from dts_pipeline_tests.stages.bench import INSTALLATION, PAIR, Bench, topics

ORDERS = TopicPartition("a.shop.orders", 0)
DOMAIN = 4711
BY_ORIGIN = replace(PAIR, all_mark_domains=frozenset({DOMAIN}))
BY_COMMENT = replace(PAIR, mark=MarkKind.COMMENT)


def pulled(events: Sequence[ChangeEvent], link: Link = BY_ORIGIN) -> tuple[Bench, Plan, Batch]:
    """A batch of these events, all of one transaction, placed one behind the other."""
    counts: dict[str, int] = {}
    for event in events:
        if event.op != "r":
            counts[event.table] = counts.get(event.table, 0) + 1
    placed = builders.sent(
        [replace(e, transaction=None if e.op == "r" else "0-1-1") for e in events]
    )
    bench = Bench(topics(placed, [begin("0-1-1"), end("0-1-1", counts, offset=1)]), link=link)
    from_start = bench.checkpoint
    batch = bench.read()
    assert batch.before == from_start
    return bench, bench.plan(), batch


def normalized(events: Sequence[ChangeEvent], link: Link = BY_ORIGIN) -> Batch:
    bench, plan, batch = pulled(events, link)
    return normalize(bench.runtime, plan, batch)


def stopped(events: Sequence[ChangeEvent], link: Link = BY_ORIGIN) -> TerminalError:
    with pytest.raises(TerminalError) as caught:
        normalized(events, link)
    return caught.value


def test_the_way_of_a_batch() -> None:
    batch = normalized(
        [
            insert(1, "a", gtid="0-1-1"),
            update(1, "a", "b", gtid=f"{DOMAIN}-1-1"),
            update(1, "b", "c", gtid="0-1-1"),
            insert(2, "x", gtid="0-1-1"),
            delete(2, "x", gtid="0-1-1"),
        ]
    )
    assert batch.frame["marked"].tolist() == [False, True, False, False, False]
    assert batch.counts == {"events": 5, "duplicates": 0, "marked": 1}

    counting = drop_marked(batch)
    assert len(counting.frame) == 3
    assert counting.superseded is not None
    assert counting.superseded["key"].tolist() == [b'{"id":1}']
    assert counting.counts["superseded"] == 1

    changes = compact(counting)
    assert changes.frame[["key", "after"]].to_numpy().tolist() == [
        [b'{"id":1}', b'{"id":1,"v":"c"}']
    ]
    assert changes.counts["changes"] == 1
    assert set(changes.seconds) == {"pull", "normalize", "drop_marked", "compact"}


def test_the_checkpoint_takes_the_furthest_position_and_the_newest_time() -> None:
    batch = normalized([insert(1, "a", ts_ms=T0 + 9), insert(2, "b", ts_ms=T0 + 1)])

    at = batch.after.partitions[ORDERS]
    assert at.position == SourcePosition(1, 204, 0, 1)
    assert at.ts_ms == T0 + 9
    assert batch.before.partitions[ORDERS].position is None


def test_an_empty_batch_goes_through() -> None:
    bench = Bench(topics([], []))
    bench.logs[ORDERS] = []
    bench.__post_init__()
    batch = bench.read()
    reduced = compact(drop_marked(normalize(bench.runtime, bench.plan(), batch)))

    assert reduced.frame.empty
    assert reduced.counts["changes"] == 0


@pytest.mark.parametrize(
    ("link", "seen", "unseen"),
    [
        (BY_ORIGIN, {"gtid": "0-1-1"}, {"gtid": None, "query": "INSERT INTO t"}),
        (BY_COMMENT, {"query": "INSERT INTO t"}, {"gtid": "0-1-1", "query": None}),
    ],
    ids=["origin", "comment"],
)
@pytest.mark.parametrize("op", ["c", "u", "d"])
def test_an_event_in_which_the_mark_could_not_be_seen_stops_a_pair(
    link: Link, seen: dict[str, Any], unseen: dict[str, Any], op: str
) -> None:
    """Fail closed: "can't tell" is never a user's write."""
    made = {"c": insert(2, "b"), "u": update(2, "a", "b"), "d": delete(2, "a")}[op]
    error = stopped([replace(insert(1, "a"), **seen), replace(made, **unseen)], link)

    assert error.code == "mark_unseen"
    assert error.where["mark"] == link.mark.value
    assert error.where["offset"] == 1
    normalized([replace(insert(1, "a"), **seen)], link)


def test_a_one_way_link_needs_no_mark() -> None:
    one_way = replace(BY_ORIGIN, pair=None)

    assert len(normalized([insert(1, "a", gtid=None)], one_way).frame) == 1


@pytest.mark.parametrize("link", [BY_ORIGIN, BY_COMMENT], ids=["origin", "comment"])
def test_every_kind_of_mark_is_recognised_whatever_is_configured(link: Link) -> None:
    by_comment = insert(1, "a", gtid="0-1-1", query="INSERT /* dts */ INTO t VALUES (1)")
    domains = replace(link, all_mark_domains=frozenset({DOMAIN}))
    query = "INSERT /* dts link=b_to_a batch=1 */ INTO t VALUES (1)"
    by_origin = insert(2, "a", gtid=f"{DOMAIN}-1-1", query=query)

    assert normalized([by_comment, by_origin], domains).frame["marked"].tolist() == [True, True]


def test_a_stamp_whose_statement_is_not_ours_stops_the_link() -> None:
    events = [insert(1, "a", gtid="0-1-1"), insert(2, "a", gtid=f"{DOMAIN}-1-1", query="INSERT 1")]
    error = stopped(events)

    assert error.code == "marks_disagree"
    assert (error.where["offset"], error.where["gtid"]) == (1, f"{DOMAIN}-1-1")


def test_a_truncate_stops_the_link_and_names_the_table() -> None:
    truncate = builders.change_event("t", None, gtid="0-1-1")
    error = stopped([insert(1, "a"), truncate])

    assert (error.code, error.where["table"]) == ("truncate_event", "shop.orders")
    assert error.where["offset"] == 1


def test_a_truncate_may_be_ignored() -> None:
    truncate = builders.change_event("t", None, gtid="0-1-1")
    batch = normalized([insert(1, "a"), truncate], replace(BY_ORIGIN, truncate="ignore"))

    assert list(batch.frame["op"]) == ["c"]
    assert batch.counts["events"] == 2


# -- lanes by partition -------------------------------------------------------------------------

HALVES = tuple(Lane(f"{n}_of_2", part=n, parts=2) for n in range(2))


def test_a_lane_by_partition_keeps_its_own_keys_events_of_whole_transactions() -> None:
    events = [
        insert(1, "a", gtid="0-1-1"),
        replace(insert(2, "b", gtid="0-1-1"), partition=1),
        update(1, "a", "c", gtid=f"{DOMAIN}-1-1"),
        replace(update(2, "b", "d", gtid=f"{DOMAIN}-1-1"), partition=1),
        replace(insert(3, "e", gtid="0-1-1"), partition=2),
    ]
    found = [normalized(events, replace(BY_ORIGIN, lanes=HALVES, lane=h.name)) for h in HALVES]
    kept = [list(zip(b.frame["partition"], b.frame["op"], strict=True)) for b in found]
    assert kept == [[(0, "c"), (0, "u"), (2, "c")], [(1, "c"), (1, "u")]]
    assert [b.counts["events"] for b in found] == [3, 2]
    assert [b.counts["marked"] for b in found] == [1, 1]
    # Both go to the same place, and the first tells what came back of all.
    assert found[0].after.partitions.keys() == found[1].after.partitions.keys()
    assert [{t: sum(r.values()) for t, r in b.returned.items()} for b in found] == [
        {f"{DOMAIN}-1-1": 2},
        {},
    ]


OTHER_DOMAIN = 4712
MESHED = replace(
    BY_ORIGIN,
    all_mark_domains=frozenset({DOMAIN, OTHER_DOMAIN}),
    writers=frozenset({"b_to_a", "c_to_a"}),
    others=frozenset({"c_to_a"}),
    other_domains=frozenset({OTHER_DOMAIN}),
    mesh=("a", "b", "c"),
    mesh_pairs=("ac", "bc"),
)
MARKS = {
    "MariaDB": [{"gtid": f"{domain}-1-1"} for domain in (DOMAIN, OTHER_DOMAIN)],
    "MySQL": [
        {"gtid": f"{mark_uuid(INSTALLATION, name, 'main', 1)}:1"} for name in ("b_to_a", "c_to_a")
    ],
    "comment": [
        {
            "gtid": "0-1-9",
            "query": f"UPDATE /* dts link={name} batch=1 mark={mark_uuid('i', name, 'x', 1)}:1 */",
        }
        for name in ("b_to_a", "c_to_a")
    ],
}


@pytest.mark.parametrize("marks", MARKS.values(), ids=MARKS)
def test_of_a_mesh_all_is_dropped_and_only_the_pairs_own_is_audited(
    marks: list[dict[str, Any]],
) -> None:
    own, other = marks
    batch = normalized([insert(1, "b", **own), insert(2, "c", **other), insert(3, "u")], MESHED)

    assert batch.frame["marked"].tolist() == [True, True, False]
    assert batch.frame["returning"].tolist() == [True, False, False]
    assert batch.counts["marked"] == 2
    assert list(batch.returned.values()) == [{"shop.orders": 1}]
    assert compact(drop_marked(batch)).frame["key"].tolist() == [b'{"id":3}']


def test_a_write_of_a_meshs_other_pair_that_is_put_back_is_that_pairs_to_count() -> None:
    [own, other] = MARKS["MariaDB"]
    undone = [
        change
        for key, mark in ((1, own), (2, other))
        for change in (update(key, "B", "a", **mark), update(key, "a", "B", gtid="0-1-5"))
    ]
    bounced = normalized(undone, MESHED).bounced

    assert bounced is not None
    assert bounced["key"].tolist() == [b'{"id":1}']
