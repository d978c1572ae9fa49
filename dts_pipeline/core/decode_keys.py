"""Debezium's message keys made values: what tells which row an event is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from dts_pipeline.core.decode import decode_rows
from dts_pipeline.core.decode_modes import ValueModes
from dts_pipeline.core.schema import Table


def decode_keys(
    keys: Sequence[bytes], table: Table, modes: ValueModes, *, source: Table | None = None
) -> pd.DataFrame:
    """One row a key, one object column a primary-key column, in the index's order.

    `keys` are Kafka's message keys, JSON objects of just the key columns. Values as `decode_rows`
    gives them; raises what it raises.
    """
    narrow = _keys_only(table)
    decoded = decode_rows(list(keys), narrow, modes, source=_keys_only(source or table, table))
    columns = {name: pd.Series(decoded.columns[name], dtype=object) for name in table.primary_key}
    return pd.DataFrame(columns, columns=list(table.primary_key))


def _keys_only(table: Table, keyed: Table | None = None) -> Table:
    names = (keyed or table).primary_key
    return replace(table, columns=tuple(c for c in table.columns if c.name in names))
