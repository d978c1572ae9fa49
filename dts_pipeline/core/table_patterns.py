"""Shell-style patterns over `schema.table`: whether two lists of them can name the same table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cache

_ONE = re.compile(r"\[!?\]?[^\]]*\]")


def overlap(left: Sequence[str], right: Sequence[str]) -> str | None:
    """A pattern of `left` that can name a table of `right` too; None if there is none.

    Patterns that begin with `!` leave tables out. A character class counts as any character, so
    that two lists that cannot be told apart for sure count as overlapping.
    """
    left_in, left_out = _split(left)
    right_in, right_out = _split(right)
    for one in left_in:
        for other in right_in:
            excluded = any(fnmatchcase(one, p) for p in right_out) or any(
                fnmatchcase(other, p) for p in left_out
            )
            if not excluded and _meet(_ONE.sub("?", one), _ONE.sub("?", other)):
                return one
    return None


def _split(patterns: Sequence[str]) -> tuple[list[str], list[str]]:
    inside = [p for p in patterns if not p.startswith("!")]
    return inside, [p[1:] for p in patterns if p.startswith("!")]


@cache
def _meet(one: str, other: str) -> bool:
    """Whether some text matches both patterns of `*`, `?` and plain characters."""
    if not one and not other:
        return True
    if one.startswith("*"):
        return _meet(one[1:], other) or (bool(other) and _meet(one, other[1:]))
    if other.startswith("*"):
        return _meet(other, one)
    if not one or not other:
        return False
    same = one[0] == other[0] or "?" in (one[0], other[0])
    return same and _meet(one[1:], other[1:])
