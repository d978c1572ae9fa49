"""The lanes of a link in the ledger: each with the checkpoint that is its own."""

from __future__ import annotations

from collections.abc import Iterable

from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.core.lanes import refuse_moved, splits
from dts_pipeline.errors import TransientError
from dts_pipeline.stages.runtime import LinkRuntime


def arranged(runtime: LinkRuntime, tables: Iterable[str]) -> Checkpoint | None:
    """The lane's checkpoint, once every lane of the link has its own; None if it never ran.

    `tables`: all that the link carries. Raises TerminalError `lanes_changed`, TransientError
    `lane_moved` where a batch was applied meanwhile.
    """
    link = runtime.link
    names = {link.topic_of(name): name for name in tables}
    rows = runtime.ledger.lanes(link.name)
    for split in splits(link, rows, names):
        if not runtime.ledger.split(split.old, split.rest, split.new):
            raise TransientError(
                "lane_moved",
                "a batch was applied while the link was being split into lanes",
                where={"link": link.name, "lane": split.old.lane},
                remedy="It is tried again by itself.",
            )
        rows = runtime.ledger.lanes(link.name)
    refuse_moved(link, rows, names)
    return rows.get(link.lane)
