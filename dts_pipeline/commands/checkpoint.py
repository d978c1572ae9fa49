"""`dts checkpoint LINK`: shows where a link stands, and moves it on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dts_pipeline.commands import exits
from dts_pipeline.commands.output import Output
from dts_pipeline.commands.runtimes import link_runtime
from dts_pipeline.commands.session import Session
from dts_pipeline.core.selection import time_ms

if TYPE_CHECKING:
    from dts_pipeline.core.batches import Checkpoint
    from dts_pipeline.stages.move import Move

LATEST = "latest"


def checkpoint(
    session: Session, output: Output, name: str, to: str | None, execute: bool, lane: str | None
) -> int:
    """Shows the checkpoint; with `to` what a move there would pass over, or does it.

    Raises TerminalError `unknown_lane`, and what `stages.move` raises.
    """
    from dts_pipeline.stages.move import carry_out, planned

    moment = None if to in (None, LATEST) else time_ms(to)
    # Of several lanes one must be named: each has a checkpoint, and moves by itself.
    own, *others = session.lanes(name, lane)
    if others:
        raise session.no_lane(name, "no lane is named")
    name = own.title
    with link_runtime(session, own.name, own.lane) as runtime:
        if to is None:
            link = runtime.link
            return _shown(output, name, runtime.ledger.read(link.name, link.lane))
        move = planned(runtime, moment)
        standing = carry_out(runtime, move) if execute else None
    return _told(output, name, move, standing)


def _shown(output: Output, name: str, found: Checkpoint | None) -> int:
    rows = [
        (tp.topic, tp.partition, at.next_offset)
        for tp, at in (sorted(found.partitions.items()) if found else [])
    ]
    output.document({"link": name, **_head(found), "partitions": _named(rows, "next")})
    if found is None:
        output.line(f"{name} has no checkpoint yet")
    else:
        output.line(f"{name}: generation {found.generation}, batch {found.batch}")
        output.table("", ["topic", "partition", "next offset"], rows)
    return exits.DONE


def _told(output: Output, name: str, move: Move, standing: Checkpoint | None) -> int:
    old = move.old.partitions if move.old else {}
    rows = [
        (
            tp.topic,
            tp.partition,
            old[tp].next_offset if tp in old else None,
            at.next_offset,
            move.passed[tp],
        )
        for tp, at in sorted(move.new.partitions.items())
    ]
    named = _named(rows, "from", "to", "passed_over")
    found = standing or move.old
    output.document({"link": name, "moved": standing is not None, **_head(found), "plan": named})
    output.table("", ["topic", "partition", "from", "to", "passed over"], rows)
    if standing is None:
        output.line("nothing was moved: --execute does it")
    else:
        output.line(f"{name} stands there now, in generation {standing.generation}")
        output.line("what was passed over is not carried: dts verify, dts repair")
    return exits.DONE


def _head(found: Checkpoint | None) -> dict[str, object]:
    if found is None:
        return {"generation": None, "batch": None}
    return {"generation": found.generation, "batch": found.batch, "paused": found.paused}


def _named(rows: Sequence[tuple[object, ...]], *names: str) -> list[dict[str, object]]:
    return [dict(zip(("topic", "partition", *names), row, strict=True)) for row in rows]
