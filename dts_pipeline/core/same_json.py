"""Whether two JSON texts say the same; MySQL keeps 1.0 and 1 apart in text and not as values."""

from __future__ import annotations

import json
from decimal import Decimal

import numpy as np
import numpy.typing as npt


def same_json(one: npt.NDArray[np.object_], two: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
    """For each pair of texts whether they hold equal values; '' stands for NULL."""
    equal = one == two
    rest = np.flatnonzero(~equal)
    equal[rest] = [_value(one[i]) == _value(two[i]) for i in rest]
    return np.asarray(equal, dtype=np.bool_)


def _value(text: str) -> object:
    """The value, numbers exact; `true` is not 1 here, as it would be in Python."""
    if not text:
        return None
    return _tagged(json.loads(text, parse_float=Decimal, parse_int=Decimal))


def _tagged(value: object) -> object:
    if isinstance(value, bool) or value is None:
        return ("constant", value)
    if isinstance(value, list):
        return [_tagged(item) for item in value]
    if isinstance(value, dict):
        return {name: _tagged(item) for name, item in value.items()}
    return value
