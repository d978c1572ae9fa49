"""`dts pause` and `dts resume`: whether a link's runs may write."""

from __future__ import annotations

from dts_pipeline.adapters.ledger import Ledger
from dts_pipeline.commands import exits
from dts_pipeline.commands.output import Output
from dts_pipeline.commands.session import Session
from dts_pipeline.errors import TerminalError


def set_paused(session: Session, output: Output, name: str, *, paused: bool) -> int:
    """Writes the lane's `paused` in the target's ledger; a batch under way still ends.

    Raises TerminalError `unknown_link`, `ledger_missing` or `link_never_ran`.
    """
    link = session.link(name)
    ledger = Ledger(session.databases[link.target])
    ledger.installation()
    before = ledger.read(link.name, link.lane)
    if before is None:
        raise TerminalError(
            "link_never_ran",
            "the link has no checkpoint yet, so there is nothing to pause or resume",
            where={"link": name, "site": link.target},
            remedy=f"Run `dts sync {name}` once, or turn its schedule off in Dagster's UI.",
        )
    ledger.set_paused(link.name, link.lane, paused)
    output.document({"link": name, "paused": paused, "changed": before.paused != paused})
    word = "paused" if paused else "running again"
    output.line(f"{name} is {word}" + ("" if before.paused != paused else " already"))
    return exits.DONE
