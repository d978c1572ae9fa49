"""What it means that rows in the way are not the ones that were seen."""

from __future__ import annotations

from typing import Any, cast

import pandas as pd
import pytest
from pymysql.cursors import Cursor

from dts_pipeline.adapters.staging import StagedTable
from dts_pipeline.adapters.unique_conflicts import _Decisions
from dts_pipeline.core.links import Link, MarkKind
from dts_pipeline.core.schema import Column, Dialect, Table
from dts_pipeline.core.statements import TableStatements
from dts_pipeline.core.unique_statements import UniqueStatements
from dts_pipeline.errors import DtsError, TerminalError, TransientError

ID = Column("id", "int", "int", False)
MAIL = Column("mail", "varchar", "varchar(40)", True, charset="utf8mb4")
TABLE = Table("shop", "people", (ID, MAIL), ("id",), unique_keys=(("mail", ("mail",)),))
LINK = Link("a_to_b", "a", "b", ("shop.*",), "a", MarkKind.ORIGIN, pair="shop")


class Deletes:
    """A cursor whose every statement writes so many rows."""

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def execute(self, _statement: str) -> int:
        return self._rows


@pytest.mark.parametrize(
    ("rows", "error", "code"),
    [(2, TransientError, "unique_value_taken"), (0, TerminalError, "count_mismatch")],
)
def test_a_user_who_was_faster_makes_the_batch_begin_again(
    rows: int, error: type[DtsError], code: str
) -> None:
    statements = TableStatements(TABLE, Dialect.MARIADB, 0, "")
    staged = StagedTable(statements, TABLE, pd.DataFrame({"key": [b"{}"]}))
    seen: Any = pd.DataFrame({"ord": [0], "newer": [0], "key": ["[5]"], "row": [{"id": "5"}]})
    decisions = _Decisions(cast(Cursor, Deletes(rows)), LINK)

    with pytest.raises(error) as raised:
        decisions._take_away(UniqueStatements(statements), staged, seen)
    assert raised.value.code == code
