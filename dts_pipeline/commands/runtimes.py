"""The stages' runtimes for a command that works in this process, without Dagster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dts_pipeline.commands.session import Session

if TYPE_CHECKING:
    from dts_pipeline.stages import LinkRuntime
    from dts_pipeline.stages.pair import PairRuntime


@contextlib.contextmanager
def link_runtime(session: Session, name: str, lane: str | None = None) -> Iterator[LinkRuntime]:
    """What the stages of a link, or of one of its lanes, work with; closed at the end.

    Raises `unknown_link`.
    """
    from dts_pipeline.adapters.sites import tls_files
    from dts_pipeline.stages import LinkRuntime

    link = session.link(name)
    connect = session.config.connect
    runtime = LinkRuntime(
        link,
        session.config.batch,
        session.databases[link.source],
        session.databases[link.target],
        session.kafka,
        connect.url if connect else None,
        tls_files(connect.tls) if connect else None,
    )
    try:
        yield runtime.lane(lane) if lane else runtime
    finally:
        runtime.close()


@contextlib.contextmanager
def pair_runtime(session: Session, pair: str) -> Iterator[PairRuntime]:
    """What reconciling a pair works with: both links' runtimes, and those of its mesh's pairs."""
    from dts_pipeline.stages.pair import PairRuntime

    with contextlib.ExitStack() as stack:
        forth, back = both_links(session, pair, stack)
        yield PairRuntime(forth, back, beside(session, forth, stack))


def both_links(
    session: Session, pair: str, stack: contextlib.ExitStack
) -> tuple[LinkRuntime, LinkRuntime]:
    """A pair's runtimes in dts.yaml's order, which end with `stack`."""
    names = [link.name for link in session.links.values() if link.pair == pair]
    forth, back = (stack.enter_context(link_runtime(session, name)) for name in names)
    return forth, back


def beside(
    session: Session, runtime: LinkRuntime, stack: contextlib.ExitStack
) -> tuple[PairRuntime, ...]:
    """The other pairs of a link's mesh, which end with `stack`; empty outside of one."""
    from dts_pipeline.stages.pair import PairRuntime

    return tuple(PairRuntime(*both_links(session, pair, stack)) for pair in runtime.link.mesh_pairs)
