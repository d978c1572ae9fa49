"""Whether each link can be carried on from its checkpoint."""

from __future__ import annotations

from dts_pipeline.core.continuity import refuse_break
from dts_pipeline.core.links import Link
from dts_pipeline.errors import TerminalError
from dts_pipeline.preflight.facts import Facts, SiteFacts
from dts_pipeline.preflight.findings import error
from dts_pipeline.preflight.registry import Problems, link_check


@link_check("checkpoint_broken", "the link can be carried on from its checkpoint")
def checkpoint_holds(facts: Facts, link: Link, source: SiteFacts, target: SiteFacts) -> Problems:
    """What would stop the next run, found beforehand; a link that never ran has none."""
    for lane in link.each_lane():
        checkpoint = target.checkpoints.get(lane.title)
        if checkpoint is None or facts.topics is None:
            continue
        try:
            refuse_break(checkpoint, source.incarnation, facts.topics, facts.offsets)
        except TerminalError as problem:
            place = {k: str(v) for k, v in problem.where.items() if k != "link"}
            yield error(problem.message, problem.remedy, code=problem.code, **place)


@link_check("mark_number_used", "the link's next mark is free at the target")
def mark_is_free(_facts: Facts, link: Link, _source: SiteFacts, target: SiteFacts) -> Problems:
    """MySQL would skip a transaction whose GTID it has executed, without a word."""
    if any(lane.title in target.used_marks for lane in link.each_lane()):
        yield error(
            "the server has already executed the link's next GTID, yet the ledger is behind it",
            "The ledger was restored or set back. Compare both sites, then give the lane a new "
            "generation (docs/operations.md).",
        )
