"""Tables, rows and changes drawn at random, each a case like those of the folder `cases/`.

Many are carried in one run of the chain, so hypothesis only draws; what differs is found by the
bench. The seed is printed; DTS_FIDELITY_SEED repeats one. A sample
always draws the same.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from dts_pipeline_tests.fidelity.kinds import Kind, kinds
from dts_pipeline_tests.sampling import IS_SAMPLE

# A check that repeats itself is no place for finds; the full runs draw anew.
SEED = int(os.environ.get("DTS_FIDELITY_SEED") or (1 if IS_SAMPLE else secrets.randbits(32)))
_TABLES = 40
_DRAWS = 3
_NAMES = ["a", "Bé", "sel ect", "order", "名", "x`y", "%s", "key"]


@dataclass(frozen=True)
class DrawnCase:
    """A case without a folder; it has what the bench asks a `case_files.Case` for."""

    name: str
    created: Sequence[str]
    changed: Sequence[Sequence[str]]
    flavours: frozenset[str] = frozenset({"mariadb", "mysql", "mixed"})
    refused: str | None = None
    differs: frozenset[str] = frozenset()
    sessions: str = field(default="SET SESSION time_zone = '+00:00'", repr=False)

    def create(self, _side: str, _kind: str) -> list[str]:
        return [self.sessions, *self.created]

    def parts(self, _kind: str) -> list[list[str]]:
        return [[self.sessions, *part] for part in self.changed]

    def records(self, _kind: str) -> list[str]:
        """None are due."""
        return []

    def expectations(self, _kind: str, _target: bool) -> list[str]:
        return []


@dataclass(frozen=True)
class _Column:
    name: str
    kind: Kind
    nullable: bool

    @property
    def ddl(self) -> str:
        null = "NULL" if self.nullable else "NOT NULL"
        default = f" DEFAULT {self.kind.default}" if self.kind.default else ""
        return f"{self.name} {self.kind.ddl} {null}{default}"

    @property
    def literals(self) -> st.SearchStrategy[str]:
        return (
            st.one_of(st.just("NULL"), self.kind.literals) if self.nullable else self.kind.literals
        )


def drawn_cases(flavour: str) -> list[DrawnCase]:
    """The tables of this run's seed."""
    return [_drawn(number, flavour) for number in range(_TABLES)]


def _drawn(number: int, flavour: str) -> DrawnCase:
    """The last of a few draws: hypothesis begins with the simplest."""
    found: list[DrawnCase] = []

    @seed(SEED * 1_000 + number)
    @settings(
        max_examples=_DRAWS,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(_tables(f"drawn_{number}", flavour))
    def collect(case: DrawnCase) -> None:
        found.append(case)

    collect()
    return found[-1]


@st.composite
def _tables(draw: Callable[..., Any], name: str, flavour: str) -> DrawnCase:
    keys = draw(st.lists(kinds(flavour).filter(lambda kind: kind.keyable), min_size=1, max_size=2))
    others = draw(st.lists(kinds(flavour), min_size=2, max_size=9))
    columns = [_Column(_named(draw, 0), Kind("INT", st.integers(1, 6).map(str)), False)]
    columns += [_Column(_named(draw, len(columns) + i), k, False) for i, k in enumerate(keys)]
    first = len(columns)
    columns += [
        _Column(_named(draw, first + i), k, draw(st.booleans())) for i, k in enumerate(others)
    ]
    key = columns[:first] if draw(st.booleans()) else columns[1:first]
    order = draw(st.permutations(columns))
    unique = [c.name for c in order if c not in key and c.kind.keyable][: draw(st.integers(0, 1))]
    parts = [
        *(column.ddl for column in order),
        f"PRIMARY KEY ({', '.join(c.name for c in key)})",
        *(f"UNIQUE KEY ({column})" for column in unique),
    ]
    options = "COLLATE utf8mb4_general_ci ROW_FORMAT=DYNAMIC"
    created = f"CREATE TABLE {name} ({', '.join(parts)}) {options}"
    return _history(draw, name, created, order, key)


def _named(draw: Callable[..., Any], number: int) -> str:
    name = f"{draw(st.sampled_from(_NAMES))}{number}".replace("`", "``")
    return f"`{name}`"


def _history(
    draw: Callable[..., Any],
    name: str,
    created: str,
    columns: Sequence[_Column],
    key: Sequence[_Column],
) -> DrawnCase:
    """Rows that both sites have, then two batches of changes of these and of others."""
    rows = draw(
        st.lists(
            st.fixed_dictionaries({c.name: c.literals for c in columns}), min_size=3, max_size=10
        )
    )
    there = draw(st.integers(0, len(rows)))
    changes = _changes(name, rows, columns, key)
    batches = [draw(st.lists(changes, min_size=2, max_size=12)) for _ in range(2)]
    if draw(st.booleans()):
        batches[0] = ["BEGIN", *batches[0], "COMMIT"]
    return DrawnCase(name, [created, *(_replace(name, row) for row in rows[:there])], batches)


def _changes(
    name: str,
    rows: Sequence[dict[str, str]],
    columns: Sequence[_Column],
    key: Sequence[_Column],
) -> st.SearchStrategy[str]:
    """REPLACE, UPDATE, UPDATE of the key, DELETE; each of one key that the table may have.

    IGNORE, as the row may run into another's key: then nothing is changed.
    """
    picked = st.sampled_from(rows)

    def at(row: dict[str, str]) -> str:
        return " AND ".join(f"{c.name} = {row[c.name]}" for c in key)

    def update(row: dict[str, str], other: dict[str, str], some: list[_Column]) -> str:
        changed = ", ".join(f"{c.name} = {other[c.name]}" for c in some)
        return f"UPDATE IGNORE {name} SET {changed} WHERE {at(row)}"

    return st.one_of(
        picked.map(lambda row: _replace(name, row)),
        st.builds(
            update, picked, picked, st.lists(st.sampled_from(columns), min_size=1, unique=True)
        ),
        st.builds(update, picked, picked, st.just(list(key))),
        picked.map(lambda row: f"DELETE FROM {name} WHERE {at(row)}"),
    )


def _replace(name: str, row: dict[str, str]) -> str:
    return f"REPLACE INTO {name} ({', '.join(row)}) VALUES ({', '.join(row.values())})"
