"""`dts pause` and `dts resume`: whether a link's runs may write."""

from __future__ import annotations

from dts_pipeline.adapters.ledger import Ledger
from dts_pipeline.commands import exits
from dts_pipeline.commands.output import Output
from dts_pipeline.commands.session import Session
from dts_pipeline.errors import TerminalError


def set_paused(
    session: Session, output: Output, name: str, lane: str | None, *, paused: bool
) -> int:
    """Writes `paused` of the link's lanes in the target's ledger; a batch under way still ends.

    Raises TerminalError `unknown_link`, `unknown_lane`, `ledger_missing` or `link_never_ran`.
    """
    link = session.link(name)
    ledger = Ledger(session.databases[link.target])
    ledger.installation()
    rows = ledger.lanes(name)
    lanes = session.lanes(name, lane)
    if not any(own.lane in rows for own in lanes):
        raise TerminalError(
            "link_never_ran",
            "the link has no checkpoint yet, so there is nothing to pause or resume",
            where={"link": name, "site": link.target},
            remedy=f"Run `dts sync {name}` once, or turn its schedule off in Dagster's UI.",
        )
    changed = False
    for own in lanes:
        if own.lane in rows:
            changed = changed or rows[own.lane].paused != paused
            ledger.set_paused(name, own.lane, paused)
    title = lanes[0].title if lane else name
    output.document({"link": title, "paused": paused, "changed": changed})
    word = "paused" if paused else "running again"
    output.line(f"{title} is {word}" + ("" if changed else " already"))
    return exits.DONE
