"""JSON texts that say the same."""

from __future__ import annotations

import numpy as np
import pytest

from dts_pipeline.core.same_json import same_json


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ('{"a": 1.0}', '{"a": 1}', True),
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', True),
        ("1e2", "100", True),
        ("[1, 2]", "[2, 1]", False),
        ("true", "1", False),
        ("[false]", "[0]", False),
        ("null", "", False),
        ("", "", True),
        ('"1"', "1", False),
        ("0.1", "0.10000000000000001", False),
    ],
)
def test_same_json(one: str, two: str, expected: bool) -> None:
    texts = (np.array([text, "1"], dtype=object) for text in (one, two))

    assert same_json(*texts).tolist() == [expected, True]
