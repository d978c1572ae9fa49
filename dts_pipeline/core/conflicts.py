"""What a change meets at the target, and who wins where both sides changed the row.

Rules R1 to R3: what was found equal already, what was overtaken and every conflict leave a record
at the target, whatever was decided, so that no key can stay different without one.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

import numpy as np
import numpy.typing as npt

from dts_pipeline.core.links import Policy


class Meeting(IntEnum):
    """How the target's row compares with the change; the numbers stand in SQL."""

    CLEAN = 0  # equal to `before`: the target has seen nothing else
    SAME = 1  # equal to `after` already
    CONFLICT = 2  # neither: somebody else changed it
    COUNTED = 3  # only counters changed: they are added, the rest is the target's (core/delta.py)


class Kind(StrEnum):
    """What a record in `dts.conflict` is about."""

    SAME = "same"
    SUPERSEDED = "superseded"
    UPDATE_UPDATE = "update_update"
    INSERT_INSERT = "insert_insert"
    UPDATE_DELETE = "update_delete"  # updated at the source, gone at the target
    DELETE_UPDATE = "delete_update"  # deleted at the source, changed at the target
    COUNTER = "counter"  # a counter that cannot be added to, or a version that went back
    UNIQUE = "unique"  # a unique value of the source's row belongs to another key at the target
    QUARANTINED = "quarantined"  # the key waits in `dts.quarantine`; never settled by itself
    UNIQUE_HOLDER = "unique_holder"  # that other key, whose row was deleted for it
    CASCADE = "cascade"  # a row changed because the source's server did, unlogged
    MOVED = "moved"  # a row got another key, and unlogged rows that refer to it may have followed
    REPLAY = "replay"  # a replay wrote the row, over what was there
    REPAIR = "repair"  # a repair wrote the row, over what was there


RECORDED = "recorded/"
"""The beginning of a count's name: how many keys a batch recorded, then `KIND/DECISION`."""


class Winner(StrEnum):
    """Whose row stays."""

    SOURCE = "source"
    TARGET = "target"
    NONE = "none"  # nothing to decide: the rows are equal, or nothing was written


def meet(before: object, after: object, found: object) -> Meeting:
    """The meeting of one change and one row, None being an absent row (the SQL in `statements`)."""
    if found == after:
        return Meeting.SAME
    return Meeting.CLEAN if found == before else Meeting.CONFLICT


def kind_of(is_delete: bool, has_before: bool, found: bool) -> Kind:
    """The kind of a conflict: what the source did, and whether the target has the row."""
    if is_delete:
        return Kind.DELETE_UPDATE
    if not found:
        return Kind.UPDATE_DELETE
    return Kind.UPDATE_UPDATE if has_before else Kind.INSERT_INSERT


def source_wins(
    policy: Policy,
    source_site: str,
    *,
    is_delete: npt.NDArray[np.bool_],
    found: npt.NDArray[np.bool_],
    newer: npt.NDArray[np.int64],
) -> npt.NDArray[np.bool_]:
    """For each conflict whether the source's side is written.

    `found` says whether the target has the row; `newer` is 1, 0 or -1: the source's version is
    later, equal or earlier. Both links of a pair come to the same winner.
    """
    site_says = np.full(len(found), policy.site == source_site, dtype=np.bool_)
    if policy.kind == "site":
        return site_says
    by_version = np.where(newer == 0, site_says, newer > 0)
    by_kind = np.where(is_delete, not policy.update_wins, policy.update_wins)
    return np.where(is_delete | ~found, by_kind, by_version).astype(np.bool_)
