"""What a range would do at the target: the counts, and key by key for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from dts_pipeline.core.conflicts import Meeting
from dts_pipeline.core.ranges import OffsetRanges
from dts_pipeline.core.statements import TableStatements

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True)
class PreviewedKey:
    """One key: `action` is insert, update, delete, none, same, lost (the target's row stays) or
    stop (the policy is `fail`); `disputed` says that both sides changed the row. `columns` are
    those that the range changed.
    """

    table: str
    key: str
    action: str
    disputed: bool
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Preview:
    """What applying a range at this moment would come to.

    `counts` over the range: events, duplicates, marked, superseded, changes. `tables` maps
    `schema.table` to what a batch would report: inserted, updated, deleted, same, conflicts, lost.
    `stops` are the tables whose policy `fail` would stop the link. `keys` are the first ones only.
    """

    link: str
    ranges: OffsetRanges
    counts: Mapping[str, int]
    tables: Mapping[str, Mapping[str, int]]
    keys: Sequence[PreviewedKey] = ()
    stops: Sequence[str] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


def outcomes(statements: TableStatements) -> str:
    """The first verdicts of a table: ord, meeting, found, won, is_delete; one parameter, how many.

    Read after classification, from the stages that apply would write from.
    """
    return (
        f"SELECT v.ord, v.meeting, v.found, v.won, s.is_delete FROM {statements.verdict} AS v "
        f"JOIN {statements.stage} AS s ON s.ord = v.ord ORDER BY v.ord LIMIT %s"
    )


def previewed(
    table: str, changes: pd.DataFrame, verdicts: pd.DataFrame, *, stops: bool
) -> list[PreviewedKey]:
    """The keys of the verdicts that `outcomes` gave, with what becomes of them.

    `changes` are the staged ones, by ordinal: key, before, after (bytes or None).
    """
    rows = changes.iloc[verdicts["ord"].to_numpy(dtype=np.int64)]
    disputed = (verdicts["meeting"] == Meeting.CONFLICT.value).to_numpy()
    found = zip(
        rows["key"].tolist(),
        _actions(verdicts, disputed & stops).tolist(),
        disputed.tolist(),
        rows["before"].tolist(),
        rows["after"].tolist(),
        strict=True,
    )
    return [
        PreviewedKey(
            table, key.decode("utf-8", "replace"), action, dispute, changed_columns(before, after)
        )
        for key, action, dispute, before, after in found
    ]


def changed_columns(before: bytes | None, after: bytes | None) -> tuple[str, ...]:
    """The columns in which two rows as sent (JSON objects) differ; none if either is absent."""
    if before is None or after is None:
        return ()
    old, new = _fields(before), _fields(after)
    names = dict.fromkeys([*old, *new])
    return tuple(name for name in names if _text(old, name) != _text(new, name))


def _text(row: Mapping[str, msgspec.Raw], name: str) -> bytes | None:
    return bytes(row[name]) if name in row else None


def _actions(verdicts: pd.DataFrame, stopped: npt.NDArray[np.bool_]) -> npt.NDArray[np.object_]:
    meeting = verdicts["meeting"].to_numpy()
    found, won, deletes = (
        verdicts[name].to_numpy(dtype=np.bool_) for name in ("found", "won", "is_delete")
    )
    cases = [
        stopped,
        meeting == Meeting.SAME.value,
        (meeting == Meeting.CONFLICT.value) & ~won,
        deletes & found,
        deletes,
        found,
    ]
    names = ["stop", "same", "lost", "delete", "none", "update"]
    return np.array(np.select(cases, names, "insert"), dtype=object)
