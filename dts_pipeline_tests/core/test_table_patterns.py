"""Which lists of table patterns can name the same table."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dts_pipeline.core.table_patterns import overlap


@pytest.mark.parametrize(
    ("left", "right", "shared"),
    [
        (["shop.*"], ["shop.stock"], "shop.*"),
        (["shop.a*"], ["shop.*z"], "shop.a*"),
        (["shop.a*"], ["shop.b*"], None),
        (["shop.?"], ["shop.ab"], None),
        (["shop.[ab]"], ["shop.a"], "shop.[ab]"),
        (["shop.*", "!shop.log"], ["shop.log"], None),
        (["shop.log"], ["shop.*", "!shop.l*"], None),
        (["*.*"], ["crm.x"], "*.*"),
        (["shop.x"], ["crm.x"], None),
    ],
)
def test_overlap(left: list[str], right: list[str], shared: str | None) -> None:
    assert overlap(left, right) == shared
    assert (overlap(right, left) is None) == (shared is None)


patterns = st.text("ab*?", min_size=1, max_size=5)


@given(patterns, patterns, st.text("ab", max_size=5))
def test_a_text_that_matches_both_is_proof(one: str, other: str, text: str) -> None:
    if fnmatchcase(text, one) and fnmatchcase(text, other):
        assert overlap([one], [other]) == one


@given(patterns, st.text("ab", min_size=1, max_size=5))
def test_a_plain_name_overlaps_just_if_it_matches(pattern: str, name: str) -> None:
    as_regex = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    assert (overlap([name], [pattern]) is not None) == bool(re.fullmatch(as_regex, name))
