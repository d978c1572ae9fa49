"""What touched a row: its key as somebody types it, its events put to the batches they are in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dts_pipeline.core.schema import Table
from dts_pipeline.errors import TerminalError

BATCH_COLUMNS = ["generation", "batch", "first", "until", "mark", "run", "committed_at"]


@dataclass(frozen=True)
class Touch:
    """One event of the row: where it lies in Kafka, and which batch carried it.

    `state` is applied, waiting (no batch has read it yet), forgotten (before the ledger's first
    batch) or own (the pipeline's write, which is not carried back). For applied and own events
    `batch` and what follows name the batch that applied or wrote it, as far as it can be told.
    """

    link: str
    topic: str
    partition: int
    offset: int
    at_ms: int
    op: str
    gtid: str | None
    state: str
    batch: int | None = None
    generation: int | None = None
    run: str | None = None
    committed_at: str | None = None


def typed_key(table: Table, text: str) -> dict[str, str]:
    """The key that was typed: a JSON object of the key's columns, or the bare value of one column.

    Values as text, as `key_texts` gives them. Raises TerminalError `key_invalid`, which does not
    quote the key.
    """
    names = table.primary_key
    given: Any = {names[0]: text} if len(names) == 1 else None
    if text.lstrip().startswith("{"):
        try:
            parsed = json.loads(text, parse_float=str)
        except json.JSONDecodeError:
            parsed = None
        given = parsed if isinstance(parsed, dict) and set(parsed) == set(names) else None
    if given is None or any(isinstance(v, dict | list | None) for v in given.values()):
        raise TerminalError(
            "key_invalid",
            "the key does not name a row of the table",
            where={"table": table.full_name, "columns": ",".join(names)},
            remedy="A JSON object with just these columns, or the bare value if there is one.",
        )
    return {name: _text(given[name]) for name in names}


def is_key(keys: pd.DataFrame, typed: Mapping[str, str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which decoded keys are the one that was typed, compared as text; bytes stand as 0x…."""
    same = np.ones(len(keys), dtype=np.bool_)
    for name, text in typed.items():
        same &= (keys[name].map(_text) == text).to_numpy(dtype=np.bool_)
    return same


def spellings(table: Table, typed: Mapping[str, str]) -> list[bytes]:
    """How Debezium may have spelled the key: each value as text, or as a number where it is one."""
    quoted = {name: json.dumps(typed[name], ensure_ascii=False) for name in table.primary_key}
    bare = {n: typed[n] if typed[n].lstrip("-").isdigit() else q for n, q in quoted.items()}
    found = []
    for values in (bare, quoted):
        pairs = ",".join(f"{json.dumps(n, ensure_ascii=False)}:{v}" for n, v in values.items())
        found.append(f"{{{pairs}}}".encode())
    return list(dict.fromkeys(found))


def touches(
    link: str, events: pd.DataFrame, batches: pd.DataFrame, marks: pd.DataFrame, reached: int
) -> list[Touch]:
    """The row's events of one topic-partition with their batches.

    `events`: columns as `envelope.parse_events`, and marked (bool). `batches`: BATCH_COLUMNS, of
    the link, `[first, until)` being the offsets here; a range that two generations carried stands
    with the later one. `marks`: BATCH_COLUMNS of the other link, found by GTID. `reached` is the
    link's next offset.
    """
    found = []
    columns = ("topic", "partition", "offset", "ts_ms", "op", "gtid", "marked")
    for topic, partition, offset, at, op, gtid, marked in zip(
        *(events[c].tolist() for c in columns), strict=True
    ):
        if marked:
            own = marks[marks["mark"] == gtid] if gtid else marks[:0]
            state = "own"
        else:
            own = batches[(batches["first"] <= offset) & (offset < batches["until"])]
            state = "waiting" if offset >= reached else "applied" if len(own) else "forgotten"
        place = (link, topic, int(partition), int(offset), int(at), op, gtid, state)
        found.append(Touch(*place, **_batch(own)))
    return found


def newest(found: Sequence[Touch], at_most: int) -> list[Touch]:
    """The newest touches of all links, the newest last."""
    return sorted(found, key=lambda t: (t.at_ms, t.link, t.partition, t.offset))[-at_most:]


def _batch(own: pd.DataFrame) -> dict[str, Any]:
    if own.empty:
        return {}
    last = own.iloc[-1]
    return {
        "batch": int(last["batch"]),
        "generation": int(last["generation"]),
        "run": last["run"] or None,
        "committed_at": str(last["committed_at"]),
    }


def _text(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return "0x" + bytes(value).hex()
    if isinstance(value, bool):
        return str(int(value))
    return str(value)
