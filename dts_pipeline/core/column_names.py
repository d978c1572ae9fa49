"""What a site calls the columns of a table: everything else has one name for each, the common one.

A site's own name is met where SQL is made for it (`column_sql.column_name`), where its tables are
read, and where its events are parsed, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class ColumnNames:
    """(common, own) of a table's columns that a site calls otherwise, one-to-one."""

    renamed: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        """Whether any name differs."""
        return bool(self.renamed)

    @cached_property
    def _own(self) -> dict[str, str]:
        return dict(self.renamed)

    @cached_property
    def _common(self) -> dict[str, str]:
        return {own: common for common, own in self.renamed}

    @cached_property
    def _taken(self) -> frozenset[str]:
        return frozenset(common.lower() for common in self._own)

    def own(self, common: str) -> str:
        """What the site calls a column."""
        return self._own.get(common, common)

    def common(self, own: str) -> str:
        """The common name of what the site calls so.

        A column whose name here is the common one of another gets a name that none has: its own
        behind a dot. It must not be taken for that other one.
        """
        found = self._common.get(own)
        return found or (f".{own}" if own.lower() in self._taken else own)


AS_THEY_ARE = ColumnNames()
"""The names of a table whose columns are called as everything else does."""
