"""Puts a lane's checkpoint elsewhere, under a generation that it never had."""

from __future__ import annotations

from collections.abc import Callable

from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.lane_lock import lock_lane
from dts_pipeline.adapters.ledger import Ledger, columns
from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.core.schema import Dialect
from dts_pipeline.errors import TerminalError

_LAST = (
    "SELECT GREATEST("
    "COALESCE((SELECT MAX(generation) FROM dts.checkpoint WHERE link = :link AND lane = :lane), 0),"
    "COALESCE((SELECT MAX(generation) FROM dts.batch WHERE link = :link AND lane = :lane), 0)"
    ") AS last"
)
_MOVE = (
    "UPDATE `dts`.`checkpoint` SET generation = %s, batch = %s, offsets = %s, partitions = %s, "
    "mark_sequence = %s, incarnation = %s, applied_gtids = %s, updated_at = UTC_TIMESTAMP(6) "
    "WHERE link = %s AND lane = %s AND generation = %s AND batch = %s AND offsets = %s"
)


def move_checkpoint(
    database: Database, ledger: Ledger, old: Checkpoint, new: Checkpoint
) -> Checkpoint:
    """Writes `new` where `old` stands, with the lane's lock; gives what stands then.

    `new` has a generation of its own (`unused_generation`). Raises TerminalError `lane_busy`, or
    `another_run_ahead` where the checkpoint is not `old` any more.
    """
    with database.raw(where={"link": old.link}) as connection:
        cursor = connection.cursor()
        lock_lane(cursor, old.link, old.lane)
        moved = columns(new)
        names = ("batch", "offsets", "partitions", "mark_sequence", "incarnation", "applied_gtids")
        changed = cursor.execute(
            _MOVE,
            (
                new.generation,
                *(moved[name] for name in names),
                *(old.link, old.lane, old.generation, old.batch, old.offsets_json()),
            ),
        )
        connection.commit()
    if not changed:
        raise TerminalError(
            "another_run_ahead",
            "the checkpoint moved meanwhile",
            where={"link": old.link, "lane": old.lane},
            remedy="Nothing was changed; pause the link, and look again.",
        )
    standing = ledger.read(old.link, old.lane)
    assert standing is not None
    return standing


def unused_generation(database: Database, link: str, lane: str, uuid: Callable[[int], str]) -> int:
    """The first generation after all that the lane had.

    By the ledger, and on MySQL, where a generation has a GTID of its own (`uuid`), by what the
    server has executed: a ledger that was restored has forgotten some.
    """
    places = {"link": link, "lane": lane}
    (row,) = database.query(_LAST, places)
    generation = int(row.last) + 1
    if database.facts.dialect is Dialect.MYSQL:
        executed = str(database.query("SELECT @@GLOBAL.gtid_executed AS gtids")[0].gtids).lower()
        while uuid(generation).lower() in executed:
            generation += 1
    return generation
