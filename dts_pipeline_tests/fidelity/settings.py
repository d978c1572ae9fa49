"""On what the cases run: a flavour, a mark, and how the connectors spell values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from dts_pipeline_tests.case_files import Case
from dts_pipeline_tests.fidelity.drawn import DrawnCase
from dts_pipeline_tests.sampling import IS_SAMPLE


@dataclass(frozen=True)
class Modes:
    """Settings that both connectors have beside the project's own.

    `concerns` is searched in a case's create.sql, and `not_with`: it must be there, and must not.
    """

    name: str
    settings: Mapping[str, str] = field(default_factory=dict)
    concerns: str = ""
    not_with: str = "(?!)"

    def takes(self, sql: str) -> bool:
        """Whether tables made by this SQL are to be carried so."""
        return bool(re.search(self.concerns, sql)) and not re.search(self.not_with, sql)


@dataclass(frozen=True)
class Setting:
    """One run of all cases."""

    flavour: str
    mark: str
    modes: Modes

    def __str__(self) -> str:
        return f"{self.flavour}-{self.mark}-{self.modes.name}"

    def takes(self, case: Case | DrawnCase) -> bool:
        """Whether the case is meant for this setting."""
        created = "\n".join(case.create("a", "mariadb") + case.create("a", "mysql"))
        return self.flavour in case.flavours and self.modes.takes(created)


_SCHEMAS = {"key.converter.schemas.enable": "true", "value.converter.schemas.enable": "true"}
DEFAULTS = Modes("defaults")
TEXT = Modes(
    "text",
    {
        "decimal.handling.mode": "string",
        "bigint.unsigned.handling.mode": "precise",
        "time.precision.mode": "microseconds",
        "binary.handling.mode": "hex",
        # 14 MB are 28 MB as hex.
        "producer.override.max.request.size": str(40 * 2**20),
        "producer.override.buffer.memory": str(80 * 2**20),
        **_SCHEMAS,
    },
)
# TIME outside of a day is lost with isostring, so a run refuses the column.
ISO = Modes(
    "iso",
    {"time.precision.mode": "isostring", "binary.handling.mode": "base64-url-safe"},
    not_with=r"\bTIME\b",
)
BASE64 = Modes(
    "base64",
    {"binary.handling.mode": "base64", "decimal.handling.mode": "string"},
    concerns=r"BINARY|BLOB|DECIMAL|NUMERIC|binary",
)
SETTINGS = [
    Setting("mariadb", "origin", DEFAULTS),
    Setting("mariadb", "origin", TEXT),
    Setting("mariadb", "origin", ISO),
    Setting("mariadb", "origin", BASE64),
    Setting("mysql", "origin", DEFAULTS),
    Setting("mysql", "origin", TEXT),
    Setting("mysql", "origin", ISO),
    Setting("mysql", "origin", BASE64),
    Setting("mixed", "origin", DEFAULTS),
    Setting("mariadb", "comment", DEFAULTS),
    Setting("mysql", "comment", DEFAULTS),
    Setting("mixed", "comment", DEFAULTS),
]


def params() -> Iterator[object]:
    """The settings as pytest's parameters; with SAMPLE=1 only the first two."""
    for setting in SETTINGS[:2] if IS_SAMPLE else SETTINGS:
        marks = [] if setting.flavour == "mariadb" else [pytest.mark.mysql]
        yield pytest.param(setting, marks=marks, id=str(setting))
