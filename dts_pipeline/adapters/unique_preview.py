"""Unique values in dispute, foreseen as `unique_conflicts` would decide them, nothing deleted."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pymysql.cursors import Cursor

from dts_pipeline.adapters.staging import StagedTable
from dts_pipeline.core.conflicts import source_wins
from dts_pipeline.core.links import Link
from dts_pipeline.core.row_values import to_json
from dts_pipeline.core.unique_statements import UniqueStatements


def prepare_unique(cursor: Cursor, staged: StagedTable) -> None:
    """Makes what `foresee_unique` needs; before the transaction that may not write."""
    statements = UniqueStatements(staged.statements)
    for statement in statements.create_freed() if statements.indexes() else ():
        cursor.execute(statement)


def foresee_unique(cursor: Cursor, link: Link, staged: StagedTable) -> bool:
    """Takes the losing rows out of the verdicts and counts `unique`; False if the policy stops.

    As apply: incoming rows that lose are left out first, and with them what they would have
    freed; then the rows in the way of the others are counted.
    """
    statements = UniqueStatements(staged.statements)
    while statements.indexes():
        clashes = _clashes(cursor, statements, staged)
        if clashes.empty:
            return True
        policy = link.policy_of(staged.table.full_name)
        if policy is not None and policy.kind == "fail":
            return False
        wins = np.ones(len(clashes), dtype=np.bool_)
        if policy is not None:
            wins = source_wins(
                policy,
                link.source,
                is_delete=~wins,
                found=wins,
                newer=clashes["newer"].to_numpy(dtype=np.int64),
            )
        lost = sorted(set(clashes["ord"][~wins].tolist()))
        count = len(lost) or clashes["key"].nunique()
        staged.counts["unique"] = staged.counts.get("unique", 0) + count
        if not lost:
            return True
        cursor.executemany(statements.set_lost(), [(ordinal,) for ordinal in lost])
    return True


def _clashes(cursor: Cursor, statements: UniqueStatements, staged: StagedTable) -> pd.DataFrame:
    """ord, newer and key of each row in the way that the batch does not take away itself."""
    for statement in statements.fill_freed():
        cursor.execute(statement)
    width = len(staged.table.primary_key)
    found = []
    for index in statements.indexes():
        cursor.execute(statements.clashes_not_freed(index))
        for ordinal, newer, *values in cursor.fetchall():
            key = to_json(staged.table.primary_key, values[:width])
            found.append((int(ordinal), int(newer), key))
    return pd.DataFrame(found, columns=["ord", "newer", "key"])
