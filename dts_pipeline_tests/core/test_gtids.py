"""Sets of applied transactions in both servers' notations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dts_pipeline.core.gtids import GtidSet
from dts_pipeline_tests.builders import SERVER_UUID

OTHER = "11111111-e733-11f1-abb7-02fc00000001"


def of(*gtids: str) -> GtidSet:
    found = GtidSet()
    found.add(gtids)
    return found


@pytest.mark.parametrize(
    ("gtids", "text"),
    [
        ([], ""),
        ([f"{OTHER}:1"], f"{OTHER}:1"),
        ([f"{OTHER}:{n}" for n in (1, 2, 3)], f"{OTHER}:1-3"),
        ([f"{OTHER}:{n}" for n in (5, 1, 3, 2)], f"{OTHER}:1-3:5"),
        ([f"{OTHER}:1", f"{SERVER_UUID}:7"], f"{OTHER}:1,{SERVER_UUID}:7"),
        (["0-101-5", "0-102-9", "0-101-7"], "0-9"),
        (["1-101-5", "0-101-4"], "0-4,1-5"),
        (["file=binlog.000001,pos=157", "x", "", "1-2", "a-b-c", f"{OTHER}:x"], ""),
    ],
)
def test_as_text(gtids: list[str], text: str) -> None:
    assert str(of(*gtids)) == text


def test_a_gap_is_not_in_the_set() -> None:
    found = of(f"{OTHER}:1", f"{OTHER}:3")

    assert [f"{OTHER}:{n}" in found for n in (1, 2, 3, 4)] == [True, False, True, False]
    assert f"{SERVER_UUID}:1" not in found


def test_a_gap_closes() -> None:
    found = GtidSet.parse(f"{OTHER}:1-5:7-9")
    found.add([f"{OTHER}:6"])

    assert str(found) == f"{OTHER}:1-9"


def test_mariadb_has_all_up_to_the_highest_of_a_domain_whatever_server_wrote_it() -> None:
    found = of("0-101-5")

    assert ["0-101-4" in found, "0-999-5" in found, "0-101-6" in found, "1-101-1" in found] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("gtid", ["", "x", "1-2", "file=binlog.000001,pos=4", f"{OTHER}:x"])
def test_what_is_no_gtid_is_in_no_set(gtid: str) -> None:
    assert gtid not in of("0-101-5", f"{OTHER}:1")


@given(
    mysql=st.lists(st.tuples(st.sampled_from([OTHER, SERVER_UUID]), st.integers(1, 30))),
    mariadb=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 30))),
)
def test_text_and_back_gives_the_same_set(
    mysql: list[tuple[str, int]], mariadb: list[tuple[int, int]]
) -> None:
    found = of(*(f"{u}:{n}" for u, n in mysql), *(f"{d}-1-{n}" for d, n in mariadb))

    assert GtidSet.parse(str(found)) == found
    assert all(f"{uuid}:{n}" in found for uuid, n in mysql)
    held = {(u, n) for u in (OTHER, SERVER_UUID) for n in range(1, 32) if f"{u}:{n}" in found}
    assert held == set(mysql)
