"""What a table was like at both sites when it last fitted: tells what came from what went.

A column that one site lacks was added at the other or dropped here. If both had it once, it was
dropped (or renamed); if not, it was added. The same for indexes and for whole tables. A type that
differs was changed at the site where it is no longer as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from dts_pipeline.core.definitions import Definition
from dts_pipeline.core.schema import Column


@dataclass(frozen=True)
class Shape:
    """Columns that both sites had, each as it was at the source and at the target.

    `indexes` and `unique` hold the signatures of the secondary indexes that either site had.
    """

    columns: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    indexes: frozenset[str] = frozenset()
    unique: frozenset[str] = frozenset()

    @classmethod
    def of(cls, source: Definition, target: Definition) -> Shape:
        """The shape of a table that fits."""
        there = {column.name: column for column in target.table.columns}
        return cls(
            {
                column.name: (kind_of(column), kind_of(there[column.name]))
                for column in source.table.columns
                if column.name in there and not column.excluded
            },
            frozenset(i.signature for d in (source, target) for i in d.indexes if not i.unique),
            frozenset(i.signature for d in (source, target) for i in d.indexes if i.unique),
        )

    def to_json(self) -> str:
        """As the ledger keeps it."""
        plain = {
            "columns": {name: list(kinds) for name, kinds in sorted(self.columns.items())},
            "indexes": sorted(self.indexes),
            "unique": sorted(self.unique),
        }
        return msgspec.json.encode(plain).decode()

    @classmethod
    def from_json(cls, text: str) -> Shape:
        """What `to_json` gave."""
        plain = msgspec.json.decode(text)
        columns = {name: (kinds[0], kinds[1]) for name, kinds in plain["columns"].items()}
        return cls(columns, frozenset(plain["indexes"]), frozenset(plain["unique"]))


def kind_of(column: Column) -> str:
    """A column's type, characters and NULL, by which a change of it is seen."""
    null = "NULL" if column.nullable else "NOT NULL"
    return " ".join(filter(None, (column.column_type, column.collation, null)))
