"""What a link wrote against what came back under its mark."""

from __future__ import annotations

from collections.abc import Mapping

from dts_pipeline.core.loop_audit import LoopFinding, LoopKind, Returned, Written, compare

LANE = ("a_to_b", "main", 1)
ITEM, WORD = "shop.item", "shop.word"


def wrote(number: int, rows: Mapping[str, int], *, noted: bool = True) -> Written:
    return Written(f"uuid:{number}", LANE, number, f"9-1-{number}" if noted else None, rows)


def came(number: int, rows: Mapping[str, int], *, audited: bool = False) -> Returned:
    return Returned(f"9-1-{number}", rows, audited)


def test_what_came_back_as_it_was_written_is_done_with() -> None:
    written = [wrote(1, {ITEM: 2, WORD: 1}), wrote(2, {ITEM: 1}), wrote(3, {ITEM: 5})]
    verdict = compare(written, [came(1, {ITEM: 2, WORD: 1}), came(2, {ITEM: 1})])

    assert verdict.findings == ()
    assert verdict.settled == ("uuid:1", "uuid:2")
    assert verdict.compared == 2


def test_fewer_and_more_rows_are_found_by_table() -> None:
    verdict = compare([wrote(1, {ITEM: 2, WORD: 1})], [came(1, {ITEM: 1, WORD: 3})])

    assert verdict.findings == (
        LoopFinding("9-1-1", ITEM, LoopKind.FEWER, 2, 1),
        LoopFinding("9-1-1", WORD, LoopKind.MORE, 1, 3),
    )


def test_a_table_that_nobody_wrote_has_more() -> None:
    """What a trigger does at the target."""
    verdict = compare([wrote(1, {ITEM: 2})], [came(1, {ITEM: 2, WORD: 2})])

    assert verdict.findings == (LoopFinding("9-1-1", WORD, LoopKind.MORE, 0, 2),)


def test_a_write_that_later_ones_overtook_is_missing() -> None:
    written = [wrote(number, {ITEM: 1}) for number in (1, 2, 3, 4)]
    verdict = compare(written, [came(1, {ITEM: 1}), came(3, {ITEM: 1})])

    assert verdict.findings == (LoopFinding("9-1-2", ITEM, LoopKind.MISSING, 1, 0),)
    assert verdict.settled == ("uuid:1", "uuid:3", "uuid:2")


def test_another_lane_s_number_overtakes_nothing() -> None:
    other = Written("other:9", ("a_to_b", "main", 2), 9, "9-1-90", {ITEM: 1})
    verdict = compare([wrote(1, {ITEM: 1}), other], [came(90, {ITEM: 1})])

    assert (verdict.findings, verdict.settled) == ((), ("other:9",))


def test_rows_that_nobody_noted_are_unknown() -> None:
    verdict = compare([wrote(2, {ITEM: 1})], [came(1, {ITEM: 4, WORD: 1})])

    assert verdict.findings == (
        LoopFinding("9-1-1", ITEM, LoopKind.UNKNOWN, 0, 4),
        LoopFinding("9-1-1", WORD, LoopKind.UNKNOWN, 0, 1),
    )
    assert verdict.settled == ()


def test_a_writer_that_died_before_it_noted_its_stamp_is_told_by_its_rows() -> None:
    written = [wrote(1, {ITEM: 4}, noted=False), wrote(2, {ITEM: 1})]
    verdict = compare(written, [came(1, {ITEM: 4}), came(2, {ITEM: 1})])

    assert (verdict.findings, verdict.compared) == ((), 2)


def test_what_was_audited_is_not_judged_again() -> None:
    """A run that died between its findings and letting go of what it had compared."""
    verdict = compare(
        [wrote(1, {ITEM: 2})], [came(1, {ITEM: 1}, audited=True), came(7, {}, audited=True)]
    )

    assert (verdict.findings, verdict.settled) == ((), ("uuid:1",))
