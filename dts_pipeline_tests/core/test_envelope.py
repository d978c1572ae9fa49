"""Messages as the connector sends them, parsed: what was recorded, and what is wrong."""

from __future__ import annotations

import pandas as pd
import pytest
from msgspec.structs import replace

from dts_pipeline.core.envelope import Message, is_wrapped, parse_events
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.transaction_messages import parse_transaction_messages
from dts_pipeline.errors import PoisonError
from dts_pipeline_tests import builders, recorded

ORDERS = TopicPartition("a.shop.orders", 0)
INTEGER_COLUMNS = {
    "partition", "offset", "timestamp", "total_order", "file", "pos", "row", "half", "ts_ms",
    "server_id",
}  # fmt: skip


def recorded_messages(name: str, topic_end: str) -> list[Message]:
    return [
        Message(m.offset, m.timestamp, m.key, m.value)
        for m in recorded.messages(name)
        if m.topic.endswith(topic_end)
    ]


def parsed_recording(name: str) -> pd.DataFrame:
    return parse_events(ORDERS, recorded_messages(name, ".every_type"))


@pytest.mark.parametrize("name", ["mysql-defaults", "mariadb-defaults"])
def test_a_recorded_history_is_read_whole_and_without_its_tombstones(name: str) -> None:
    events = parsed_recording(name)

    assert len(recorded_messages(name, ".every_type")) > len(events)
    # three inserts, an update, a key change (d and c), a delete, a REPLACE (u)
    assert list(events["op"]) == ["c", "c", "c", "u", "d", "c", "d", "u"]
    assert set(events["table"]) == {"fx.every_type"}
    assert set(events["connector"]) == {name.split("-")[0]}
    assert events["before"].isna().tolist() == [op == "c" for op in events["op"]]
    assert events["after"].isna().tolist() == [op == "d" for op in events["op"]]
    assert events["query_head"].isna().all()


@pytest.mark.parametrize("name", ["mysql-defaults", "mariadb-defaults"])
def test_the_two_events_of_a_recorded_key_change_share_a_position_but_for_the_half(
    name: str,
) -> None:
    events = parsed_recording(name)
    gone, came = (events.iloc[i] for i in (4, 5))

    shared = ["file", "pos", "row", "gtid", "transaction"]
    assert gone[shared].tolist() == came[shared].tolist()
    assert (gone["half"], came["half"]) == (0, 1)
    assert gone["key"] != came["key"]


@pytest.mark.parametrize("name", ["mysql-readable", "mariadb-readable"])
def test_of_a_recorded_query_only_the_head_is_kept(name: str) -> None:
    heads = parsed_recording(name)["query_head"]

    assert heads.notna().all()
    assert all(len(head) <= 200 for head in heads)
    assert heads.iloc[0].startswith(b'"INSERT')


@pytest.mark.parametrize("name", ["mysql-defaults", "mariadb-defaults"])
def test_recorded_ends_announce_exactly_the_recorded_events(name: str) -> None:
    events = parsed_recording(name)
    messages = parse_transaction_messages(
        TopicPartition("a.transaction", 0), recorded_messages(name, ".transaction")
    )
    announced = {m.id: m.counts for m in messages if m.is_end}
    sent = events.groupby("transaction")["op"].size()

    assert [m.is_end for m in messages] == [False, True] * (len(messages) // 2)
    assert announced == {t: {"fx.every_type": int(n)} for t, n in sent.items()}
    assert all(not m.counts for m in messages if not m.is_end)


def test_both_converter_settings_give_the_same_frame() -> None:
    events = [
        builders.insert(1, "a", transaction="x:1", total_order=1, query="INSERT INTO t"),
        builders.update(1, "a", "b", offset=1),
        builders.delete(1, "b", offset=2),
    ]
    plain = parse_events(ORDERS, [builders.message(e) for e in events])
    wrapped = parse_events(ORDERS, [builders.message(e, wrapped=True) for e in events])

    pd.testing.assert_frame_equal(plain, wrapped)
    assert plain["key"].iloc[0] == b'{"id":1}'
    assert plain["after"].iloc[0] == b'{"id":1,"v":"a"}'


def test_every_field_lands_in_its_column() -> None:
    event = builders.change_event(
        "u",
        {"id": 7, "part": "x"},
        before={"id": 7, "v": None},
        after={"id": 7, "v": "a"},
        table="shop.items",
        offset=12,
        timestamp=1_700_000_000_001,
        run="0190",
        gtid="1-101-24",
        transaction="1-101-24",
        total_order=3,
        query="UPDATE items",
        file=17,
        pos=400,
        row=2,
        ts_ms=1_700_000_000_000,
        server_id=9,
        connector="mariadb",
    )
    found = parse_events(TopicPartition("t", 3), [builders.message(event)]).iloc[0].to_dict()

    assert found == {
        "topic": "t",
        "partition": 3,
        "offset": 12,
        "timestamp": 1_700_000_000_001,
        "run": "0190",
        "table": "shop.items",
        "key": b'{"id":7,"part":"x"}',
        "before": b'{"id":7,"v":null}',
        "after": b'{"id":7,"v":"a"}',
        "op": "u",
        "gtid": "1-101-24",
        "transaction": "1-101-24",
        "total_order": 3,
        "query_head": b'"UPDATE items"',
        "file": 17,
        "pos": 400,
        "row": 2,
        "half": 0,
        "ts_ms": 1_700_000_000_000,
        "server_id": 9,
        "connector": "mariadb",
    }


def test_the_columns_have_the_same_dtypes_with_and_without_events() -> None:
    for messages in ([], [builders.message(builders.insert(1, "a"))]):
        dtypes = parse_events(ORDERS, messages).dtypes.astype(str).to_dict()
        assert {c for c, dtype in dtypes.items() if dtype == "int64"} == INTEGER_COLUMNS
        assert {dtype for c, dtype in dtypes.items() if c not in INTEGER_COLUMNS} == {"object"}


def test_a_tombstone_is_not_an_event() -> None:
    gone = builders.delete(1, "a")
    events = parse_events(ORDERS, [builders.message(gone), builders.tombstone(gone, 1)])

    assert list(events["op"]) == ["d"]


def test_numbers_above_2_to_the_53_keep_every_digit() -> None:
    event = builders.insert(9_007_199_254_740_993, 18_446_744_073_709_551_615)
    found = parse_events(ORDERS, [builders.message(event)]).iloc[0]

    assert found["key"] == b'{"id":9007199254740993}'
    assert found["after"] == b'{"id":9007199254740993,"v":18446744073709551615}'


def test_a_query_that_is_null_or_left_out_is_absent() -> None:
    with_null = builders.message(builders.insert(1, "a"))
    assert with_null.value is not None
    left_out = replace(with_null, value=with_null.value.replace(b',"query":null', b""))
    assert left_out.value != with_null.value

    assert parse_events(ORDERS, [with_null, left_out])["query_head"].tolist() == [None, None]


def test_a_snapshot_row_has_neither_transaction_nor_gtid() -> None:
    found = parse_events(ORDERS, [builders.message(builders.snapshot(1, "a"))]).iloc[0]

    assert found["op"] == "r"
    assert found["gtid"] is None
    assert found["transaction"] is None
    assert found["server_id"] == 0


def test_a_truncate_event_may_come_without_a_key() -> None:
    found = parse_events(ORDERS, [builders.message(builders.change_event("t", None))])

    assert found[["op", "key"]].iloc[0].tolist() == ["t", None]


MALFORMED = {
    "cut short": b'{"before":null,"after":{"id":1',
    "empty": b"",
    "no object": b'"text"',
    "not an envelope": b'{"id":1,"v":"secret@example.org"}',
    "op of another type": b'{"op":1,"source":{"db":"shop"}}',
    "no source": b'{"op":"c","before":null,"after":null}',
    "a schema without payload": b'{"schema":{"type":"struct"}}',
}


@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_message_is_poison_that_names_its_place_and_no_value(value: bytes) -> None:
    good = builders.message(builders.insert(1, "a", offset=40))
    with pytest.raises(PoisonError) as caught:
        parse_events(ORDERS, [good, Message(41, builders.T0, b'{"id":1}', value)])

    assert caught.value.code == "malformed_event"
    assert caught.value.where == {"topic": "a.shop.orders", "partition": 0, "offset": 41}
    assert "secret" not in str(caught.value)


def test_text_that_is_no_utf_8_is_poison() -> None:
    value = b'{"op":"\xff","source":{"db":"shop"}}'
    with pytest.raises(PoisonError):
        parse_events(ORDERS, [Message(41, builders.T0, b'{"id":1}', value)])


@pytest.mark.parametrize("op", ["m", "x", "", "C"])
def test_an_unknown_op_is_poison(op: str) -> None:
    with pytest.raises(PoisonError) as caught:
        parse_events(ORDERS, [builders.message(builders.change_event(op, 1, offset=5))])

    assert (caught.value.code, caught.value.where["offset"]) == ("unknown_op", 5)


def test_a_row_event_without_a_key_is_poison() -> None:
    with pytest.raises(PoisonError) as caught:
        parse_events(ORDERS, [builders.message(builders.change_event("c", None, offset=6))])

    assert (caught.value.code, caught.value.where["offset"]) == ("key_missing", 6)


def test_a_key_whose_first_column_is_named_schema_is_a_key() -> None:
    event = builders.change_event("c", {"schema": "x"}, after={"schema": "x"})

    assert parse_events(ORDERS, [builders.message(event)])["key"].iloc[0] == b'{"schema":"x"}'


def test_whether_a_key_is_wrapped_is_seen_at_its_value() -> None:
    event = builders.change_event("c", {"schema": "x", "payload": 1}, after={"schema": "x"})
    plain, wrapped = builders.message(event), builders.message(event, wrapped=True)

    assert wrapped.value is not None
    assert is_wrapped(wrapped.value)
    expected = b'{"schema":"x","payload":1}'
    assert parse_events(ORDERS, [plain, wrapped])["key"].tolist() == [expected, expected]


@pytest.mark.parametrize("key", [b'{"id":1}', b'{"schema":null', b"1", b'{"schema":"\xff"}'])
def test_a_key_without_wrapper_beside_a_wrapped_value_is_poison(key: bytes) -> None:
    good = builders.message(builders.insert(1, "a", offset=8), wrapped=True)
    with pytest.raises(PoisonError) as caught:
        parse_events(ORDERS, [replace(good, key=key)])

    assert (caught.value.code, caught.value.where["offset"]) == ("malformed_event", 8)


@pytest.mark.parametrize("wrapped", [False, True])
def test_begin_and_end_in_both_converter_settings(wrapped: bool) -> None:
    expected = [
        builders.begin("x:1", offset=7),
        builders.end("x:1", {"shop.orders": 3, "shop.items": 1}, offset=8, at=builders.T0 + 5),
    ]
    raw = [builders.raw_transaction(m, wrapped=wrapped) for m in expected]

    assert parse_transaction_messages(TopicPartition("a.transaction", 0), raw) == expected


@pytest.mark.parametrize("value", [b"", b"{}", b'{"status":"END"}', b'{"id":1,"status":"END"}'])
def test_anything_else_in_the_transaction_topic_is_poison(value: bytes) -> None:
    with pytest.raises(PoisonError) as caught:
        parse_transaction_messages(
            TopicPartition("a.transaction", 0), [Message(3, builders.T0, None, value)]
        )

    assert (caught.value.code, caught.value.where["offset"]) == ("malformed_event", 3)


def test_an_unknown_status_in_the_transaction_topic_is_poison() -> None:
    value = b'{"status":"ROLLED_BACK","id":"x:1"}'
    with pytest.raises(PoisonError):
        parse_transaction_messages(
            TopicPartition("a.transaction", 0), [Message(3, builders.T0, None, value)]
        )


# What Debezium added to or took out of the envelope between 2.1 and 3.5 (its documentation of each
# version, "Data change events"; ts_us and ts_ns came with 2.5, MariaDB's own connector with 2.7).
OLDER = {
    "2.1: ms only, a text for snapshot, no transaction, no row's thread": (
        b'{"before":null,"after":{"id":1,"v":"a"},"source":{"version":"2.1.4.Final","connector":'
        b'"mysql","name":"a","ts_ms":1700000000000,"snapshot":"false","db":"shop","sequence":null,'
        b'"table":"orders","server_id":101,"gtid":"u:7","file":"binlog.000003","pos":40,"row":1,'
        b'"query":null},"op":"c","ts_ms":1700000000100}'
    ),
    "2.4: a null transaction and a thread": (
        b'{"before":null,"after":{"id":1,"v":"a"},"source":{"version":"2.4.2.Final","connector":'
        b'"mysql","name":"a","ts_ms":1700000000000,"snapshot":"false","db":"shop","sequence":'
        b'"[\\"1\\",\\"2\\"]","table":"orders","server_id":101,"gtid":"u:7","file":"binlog.000003",'
        b'"pos":40,"row":1,"thread":12,"query":null},"op":"c","ts_ms":1700000000100,'
        b'"transaction":null}'
    ),
    "2.7: ts_us and ts_ns, the transaction first": (
        b'{"transaction":{"id":"u:7","total_order":2,"data_collection_order":1},"before":null,'
        b'"after":{"id":1,"v":"a"},"source":{"version":"2.7.0.Final","connector":"mysql","name":'
        b'"a","ts_ms":1700000000000,"ts_us":1700000000000000,"ts_ns":1700000000000000000,'
        b'"snapshot":"false","db":"shop","sequence":null,"table":"orders","server_id":101,'
        b'"gtid":"u:7","file":"binlog.000003","pos":40,"row":1,"thread":12,"query":null},'
        b'"op":"c","ts_ms":1700000000100,"ts_us":1700000000100000,"ts_ns":1700000000100000000}'
    ),
    "3.5: snapshot null, nothing but what is needed": (
        b'{"after":{"id":1,"v":"a"},"source":{"connector":"mysql","ts_ms":1700000000000,'
        b'"snapshot":null,"db":"shop","table":"orders","server_id":101,"gtid":"u:7",'
        b'"file":"binlog.000003","pos":40,"row":1},"op":"c"}'
    ),
}


@pytest.mark.parametrize("value", OLDER.values(), ids=OLDER)
def test_envelopes_of_every_version_from_2_1_on(value: bytes) -> None:
    wrapped = b'{"schema":{"type":"struct","version":1},"payload":' + value + b"}"
    key = b'{"schema":{"type":"struct"},"payload":{"id":1}}'
    messages = [Message(3, 5, b'{"id":1}', value), Message(4, 5, key, wrapped)]

    found = parse_events(ORDERS, messages)

    for _, event in found.iterrows():
        assert (event["table"], event["op"], event["key"]) == ("shop.orders", "c", b'{"id":1}')
        assert (event["before"], event["after"]) == (None, b'{"id":1,"v":"a"}')
        assert (event["gtid"], event["query_head"], event["server_id"]) == ("u:7", None, 101)
        assert tuple(event[["file", "pos", "row", "ts_ms"]]) == (3, 40, 1, 1_700_000_000_000)
    expected = "u:7" if b'"total_order"' in value else None
    assert found["transaction"].tolist() == [expected] * 2


@pytest.mark.parametrize("snapshot", ['"true"', '"first"', '"last"', "true"])
def test_snapshot_rows_of_every_version(snapshot: str) -> None:
    value = (
        f'{{"op":"r","source":{{"db":"shop","table":"orders","snapshot":{snapshot},"server_id":0,'
        f'"gtid":null,"file":"binlog.000003","pos":40,"row":0}},"before":null,"after":{{"id":1}}}}'
    )
    found = parse_events(ORDERS, [Message(0, 0, b'{"id":1}', value.encode())]).iloc[0]

    assert (found["op"], found["gtid"], found["transaction"]) == ("r", None, None)


def test_transaction_messages_without_times_as_before_2_1_1() -> None:
    values = [
        b'{"status":"BEGIN","id":"u:7"}',
        b'{"status":"END","id":"u:7","event_count":2,"data_collections":'
        b'[{"data_collection":"shop.orders","event_count":2}]}',
        b'{"status":"END","id":"u:8","event_count":0,"data_collections":[],"ts_ms":5,"ts_us":5}',
    ]
    found = parse_transaction_messages(
        TopicPartition("a.transaction", 0),
        [Message(i, 0, None, value) for i, value in enumerate(values)],
    )

    assert [(m.is_end, m.id, m.counts) for m in found] == [
        (False, "u:7", {}),
        (True, "u:7", {"shop.orders": 2}),
        (True, "u:8", {}),
    ]
