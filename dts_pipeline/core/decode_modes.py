"""The connector's settings that decide how a value is spelled in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from dts_pipeline.core.schema import Table


@dataclass(frozen=True)
class ValueModes:
    """Debezium's type modes; the defaults are Debezium's own.

    `decimal` is decimal.handling.mode, `bigint_unsigned` bigint.unsigned.handling.mode, `time`
    time.precision.mode, `binary` binary.handling.mode. Any text may stand here: `lossy_modes`
    says which of them the pipeline refuses.
    """

    decimal: str = "precise"
    bigint_unsigned: str = "long"
    time: str = "adaptive_time_microseconds"
    binary: str = "bytes"

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> Self:
        """The modes of a connector's settings, Debezium's defaults where they name none."""
        return cls(**{f: settings[s] for f, s in SETTINGS.items() if s in settings})


SETTINGS = {
    "decimal": "decimal.handling.mode",
    "bigint_unsigned": "bigint.unsigned.handling.mode",
    "time": "time.precision.mode",
    "binary": "binary.handling.mode",
}
READABLE = {
    "decimal": {"precise", "string"},
    "bigint_unsigned": {"long", "precise"},
    "time": {"adaptive_time_microseconds", "microseconds", "isostring"},
    "binary": {"bytes", "base64", "base64-url-safe", "hex"},
}
_LOSES = {
    ("decimal", "double"): "loses digits of DECIMAL values",
    ("time", "connect"): "loses microseconds and fails on TIME outside of 0 to 24 hours",
    ("time", "adaptive"): "is not made for MySQL: TIME outside of 0 to 24 hours is lost",
    ("time", "nanoseconds"): "cannot hold years after 2262, which arrive as other dates",
}


def lossy_modes(modes: ValueModes, table: Table) -> list[str]:
    """One sentence for each mode that loses values of `table`, or that is not known.

    Empty: `decode_rows` can read the table's events. A mode that concerns no column of the table
    is not mentioned, except where no table could be read.
    """
    found = []
    for field, setting in SETTINGS.items():
        mode = getattr(modes, field)
        if mode not in READABLE[field]:
            reason = _LOSES.get((field, mode), "is not a mode that the pipeline can read")
            found.append(f"{setting}={mode} {reason}; use {sorted(READABLE[field])[0]}")
    if modes.time == "isostring":
        times = [c.name for c in table.written_columns if c.data_type == "time"]
        if times:
            found.append(
                f"time.precision.mode=isostring sends TIME outside of 0 to 24 hours as null "
                f"({table.full_name}: {', '.join(times)}); use adaptive_time_microseconds"
            )
    return found
