"""`dts sync LINK`: the link's Dagster job in this process."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dts_pipeline.commands import exits
from dts_pipeline.commands.output import Output
from dts_pipeline.commands.session import Session
from dts_pipeline.core.links import Link
from dts_pipeline.errors import DtsError, TransientError

if TYPE_CHECKING:
    from dts_pipeline.core.batches import RunSummary

STALLED_SECONDS = 60.0
"""So long runs may apply nothing, with events left, before `--until-caught-up` gives up."""
PAUSE_SECONDS = 1.0
"""Between runs of `--until-caught-up` that applied nothing."""
_COUNTS = ("events", "marked", "changes", "inserted", "updated", "deleted", "same", "conflicts")


def sync(
    session: Session, output: Output, name: str, *, lane: str | None, until_caught_up: bool
) -> int:
    """Runs the link, each of its lanes in turn; FOUND if one is paused.

    Raises the DtsError that ended a run; of several lanes the first one's, once all have run.
    """
    found: list[dict[str, Any]] = []
    failed: list[DtsError] = []
    lanes = session.lanes(name, lane)
    for own in lanes:
        try:
            found.append(_sync(session, own, until_caught_up))
        except DtsError as error:
            failed.append(error)
    if lanes[0].lanes:
        output.document({"link": name, "lanes": found})
    elif found:
        output.document(found[0])
    for data in found:
        _show(output, data)
    if failed:
        raise failed[0]
    return exits.FOUND if any(data["paused"] for data in found) else exits.DONE


def _sync(session: Session, link: Link, until_caught_up: bool) -> dict[str, Any]:
    """One lane's runs, as a document."""
    from dts_pipeline.commands.progress import shown
    from dts_pipeline.defs.run import run_link_in_process

    began = time.monotonic()
    with shown(link.title) as stages:

        def run() -> RunSummary:
            return run_link_in_process(
                session.config, link.name, session.environ, lane=link.lane, stages=stages
            )

        runs = repeat(run, link.title) if until_caught_up else [run()]
    lane = {"lane": link.lane} if link.lanes else {}
    return {**_data(runs), **lane, "wall_seconds": round(time.monotonic() - began, 3)}


def repeat(
    run: Callable[[], RunSummary],
    link: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> list[RunSummary]:
    """Runs until a run leaves nothing of what Kafka held when it was planned, or is paused.

    Raises TransientError `not_caught_up` when nothing is applied for `STALLED_SECONDS`.
    """
    runs = [run()]
    moved = clock()
    while not (runs[-1].caught_up or runs[-1].checkpoint.paused):
        if runs[-1].batches:
            moved = clock()
        elif clock() - moved >= STALLED_SECONDS:
            raise _stalled(link, runs[-1])
        else:
            wait(PAUSE_SECONDS)
        runs.append(run())
    return runs


def _stalled(link: str, last: RunSummary) -> TransientError:
    return TransientError(
        "not_caught_up",
        f"nothing could be applied for {STALLED_SECONDS:.0f} s, with events left",
        where={"link": link, "behind": last.behind, "waiting": _waiting(last) or "nothing"},
        remedy="A source transaction whose END has not come is waited for: see that the source's "
        "connector runs, then sync again.",
    )


def _waiting(last: RunSummary) -> str | None:
    return last.waiting.transaction if last.waiting else None


def _data(runs: list[RunSummary]) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    seconds: dict[str, float] = {}
    tables: dict[str, Counter[str]] = {}
    for run in runs:
        counts.update({k: n for k, n in run.counts.items() if k != "open_conflicts"})
        seconds = {
            k: seconds.get(k, 0.0) + run.seconds.get(k, 0.0) for k in {**seconds, **run.seconds}
        }
        for table, by_kind in run.tables.items():
            tables.setdefault(table, Counter()).update(by_kind)
    last = runs[-1]
    return {
        "link": last.link,
        "runs": len(runs),
        "batches": sum(run.batches for run in runs),
        "checkpoint": {"batch": last.checkpoint.batch, "generation": last.checkpoint.generation},
        "paused": last.checkpoint.paused,
        "caught_up": last.caught_up,
        "behind": last.behind,
        "lag_seconds": round(last.lag_seconds, 1),
        "waiting": _waiting(last),
        "altered": [statement for run in runs for statement in run.altered],
        "counts": dict(counts),
        "open_conflicts": last.counts.get("open_conflicts", 0),
        "tables": {table: dict(by_kind) for table, by_kind in sorted(tables.items())},
        "seconds": {stage: round(s, 3) for stage, s in seconds.items()},
    }


def _show(output: Output, data: dict[str, Any]) -> None:
    facts = [
        ("batches applied", f"{data['batches']:,} in {data['runs']} run(s)"),
        ("checkpoint", f"batch {data['checkpoint']['batch']:,}"),
        *((name, f"{data['counts'].get(name, 0):,}") for name in _COUNTS),
        ("open conflicts", f"{data['open_conflicts']:,}"),
        ("behind", f"{data['behind']:,}" + (f" (waits for {w})" if (w := data["waiting"]) else "")),
        ("seconds", " ".join(f"{k} {s:.2f}" for k, s in data["seconds"].items())),
        ("in all", f"{data['wall_seconds']:.1f} s"),
    ]
    title = "/".join([data["link"], *([data["lane"]] if "lane" in data else [])])
    output.table(title, ["", ""], facts)
    kinds = ("inserted", "updated", "deleted", "same", "conflicts")
    rows = [(t, *(c.get(kind, 0) for kind in kinds)) for t, c in data["tables"].items()]
    if rows:
        output.table("Tables", ["table", *kinds], rows)
    for statement in data["altered"]:
        output.line(f"Made up: {statement}")
    if data["counts"].get("already_applied"):
        output.line("Another run had applied a batch of this one, which wrote nothing for it.")
    if data["paused"]:
        output.line(f"{title} is paused: `dts resume {data['link']}` lets it go on.")
