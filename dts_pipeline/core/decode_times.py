"""Dates and times as Debezium spells them in JSON, made the text that a server reads.

TIMESTAMP text is in UTC: the session that writes it has time_zone '+00:00'. Everything is exact
over the servers' whole range (years 1 to 9999), so no nanosecond type is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import numpy as np

_EPOCH = datetime(1970, 1, 1)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MICROS = 1_000_000
UNIT_NAMES = {1_000: "milliseconds", 1_000_000: "microseconds"}
_UNITS = {1_000: "ms", 1_000_000: "us"}
_DAY_SECONDS = 86_400
_YEARS_1_TO_9999 = date.min.toordinal() - _EPOCH_DAY, date.max.toordinal() + 1 - _EPOCH_DAY
_MAX_HOURS = 838
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)Z", re.ASCII)
_TIME = re.compile(r"([01]\d|2[0-3])(:[0-5]\d:[0-5]\d(?:\.\d{1,6})?)Z", re.ASCII)
_LONGEST = len("2026-11-23T10:00:00.123456Z")
_NO_TIMESTAMP = "1970-01-01T00:00:00"
_ZERO_TIMESTAMP = "0000-00-00 00:00:00"


def date_of_days(days: int) -> str:
    """Days since 1970 → `2026-11-23`."""
    return date.fromordinal(days + _EPOCH_DAY).isoformat()


def time_of_microseconds(microseconds: int) -> str:
    """Signed microseconds → `-838:59:59.000000`."""
    seconds, micros = divmod(abs(microseconds), 1_000_000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    if hours > _MAX_HOURS:
        raise ValueError("beyond the range of TIME")
    sign = "-" if microseconds < 0 else ""
    return f"{sign}{hours:02}:{minute:02}:{second:02}.{micros:06}"


def per_second(mode: str, fraction_digits: int) -> int:
    """The unit of DATETIME(p): milliseconds up to p=3 in the default mode, else microseconds."""
    if mode == "adaptive_time_microseconds" and fraction_digits <= 3:
        return 1_000
    return 1_000_000


def datetime_of_count(per_second: int) -> Callable[[int], str]:
    """Milli- or microseconds since 1970, wall clock read as UTC → `2026-11-23T10:00:00.123`."""
    factor, digits = _MICROS // per_second, UNIT_NAMES[per_second]

    def convert(count: int) -> str:
        return (_EPOCH + timedelta(0, 0, count * factor)).isoformat("T", digits)

    return convert


def datetimes_of_counts(per_second: int) -> Callable[[list[int]], list[str]]:
    """`datetime_of_count` for many values at once."""
    return lambda counts: _texts(counts, _UNITS[per_second], _DAY_SECONDS * per_second)


def dates_of_days(days: list[int]) -> list[str]:
    """`date_of_days` for many values at once."""
    return _texts(days, "D", 1)


def _texts(counts: list[int], unit: str, per_day: int) -> list[str]:
    low, high = (day * per_day for day in _YEARS_1_TO_9999)
    if counts and not low <= min(counts) <= max(counts) < high:
        raise ValueError("beyond the range of years 1 to 9999")
    moments = np.array(counts, dtype=np.int64).view(f"datetime64[{unit}]")
    texts: list[str] = np.datetime_as_string(moments).tolist()
    return texts


def datetime_of_text(text: str) -> str:
    """ISO 8601 with `Z` or an offset → the same moment in UTC, without the zone."""
    moment = datetime.fromisoformat(text)
    if text[-1] == "Z" and text[10] == "T" and len(text) <= _LONGEST:
        return text[:-1]
    if moment.tzinfo is None:
        raise ValueError("no zone")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat()


def timestamp_of_text(text: str) -> str:
    """TIMESTAMP in ISO 8601 → UTC text.

    The epoch itself is no TIMESTAMP (the type begins a second later): Debezium sends it for the
    zero timestamp of a NOT NULL column.
    """
    moment = datetime_of_text(text)
    return _ZERO_TIMESTAMP if moment.startswith(_NO_TIMESTAMP) else moment


def date_of_text(text: str) -> str:
    """Reads a date of `time.precision.mode=isostring`: `2026-11-23Z`."""
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError("not a date")
    return date.fromisoformat(match[1]).isoformat()


def time_of_text(text: str) -> str:
    """Reads a time of `time.precision.mode=isostring`: `12:34:56.789Z`, within a day."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("not a time of day")
    return match[1] + match[2]
