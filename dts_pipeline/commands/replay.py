"""`dts replay LINK …range`: makes right again what a past range touched."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from dts_pipeline.commands import exits
from dts_pipeline.commands.bars import counted
from dts_pipeline.commands.output import Output
from dts_pipeline.commands.runtimes import link_runtime, pair_runtime
from dts_pipeline.commands.session import Session
from dts_pipeline.config import other_policy
from dts_pipeline.core.selection import Selection, spelled
from dts_pipeline.errors import TerminalError

if TYPE_CHECKING:
    from dts_pipeline.stages.pair import PairRuntime
    from dts_pipeline.stages.replay import ReplayReport
    from dts_pipeline.stages.runtime import LinkRuntime


def replay(
    session: Session,
    output: Output,
    name: str,
    selection: Selection,
    *,
    policy: str | None,
    execute: bool,
    carry: bool,
) -> int:
    """Shows what a replay would take on, or does it; FOUND if keys could not be made equal."""
    from dts_pipeline.stages.carry import carry as in_process
    from dts_pipeline.stages.replay import replay as run
    from dts_pipeline.stages.replay import survey

    link = session.link(name)
    other = other_policy(session.config, link, policy) if policy else None
    if not execute:
        with link_runtime(session, name) as runtime:
            found = survey(runtime, selection)
        return _told(output, found, selection, executed=False)
    last: list[ReplayReport] = []
    with _runtimes(session, name) as (runtime, pair), counted(name, "offsets") as bar:
        try:
            found = run(
                runtime,
                pair,
                selection,
                policy=other,
                carry=in_process if carry else None,
                step=_step(bar, last),
            )
        except KeyboardInterrupt:
            output.error(_stopped(name, last, selection))
            return exits.INTERRUPTED
    return _told(output, found, selection, executed=True)


@contextlib.contextmanager
def _runtimes(session: Session, name: str) -> Iterator[tuple[LinkRuntime, PairRuntime | None]]:
    """The link's runtime, and its pair's if it is of one."""
    link = session.link(name)
    if link.pair is None:
        with link_runtime(session, name) as runtime:
            yield runtime, None
        return
    with pair_runtime(session, link.pair) as pair:
        yield (pair.forth if pair.forth.link.name == name else pair.back), pair


def _step(
    bar: Callable[[int, int], None], last: list[ReplayReport]
) -> Callable[[ReplayReport], None]:
    def step(report: ReplayReport) -> None:
        last[:] = [report]
        bar(report.ranges.size - report.rest.size, report.ranges.size)

    return step


def _stopped(name: str, last: list[ReplayReport], selection: Selection) -> TerminalError:
    """What is done stays done; the rest is named so that it can be gone on with."""
    where = {"link": name}
    again = "Start it again as it was."
    if last:
        where["rest"] = spelled(last[0].rest, selection.tables)
        again = f"Go on with: dts replay {name} {where['rest']} --execute"
    return TerminalError(
        "interrupted", "broken off", where=where, remedy=f"Nothing is half-written. {again}"
    )


def _told(output: Output, found: ReplayReport, selection: Selection, *, executed: bool) -> int:
    data: dict[str, Any] = {
        "link": found.link,
        "executed": executed,
        "range": spelled(found.ranges, selection.tables),
        "tables": {table: dict(counts) for table, counts in sorted(found.tables.items())},
        "seconds": round(found.seconds, 3),
    }
    output.document(data)
    kinds = list(dict.fromkeys(kind for c in found.tables.values() for kind in c))
    rows = [(t, *(c.get(kind, 0) for kind in kinds)) for t, c in data["tables"].items()]
    if rows:
        output.table(found.link, ["table", *kinds], rows)
    output.line(f"range: {data['range'] or 'empty'}")
    if not executed:
        output.line("Nothing was written; --execute replays these keys.")
    return exits.FOUND if found.wants_attention else exits.DONE
