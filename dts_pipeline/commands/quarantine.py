"""`dts quarantine`: keys whose change could not be decoded or written."""

from __future__ import annotations

from typing import Any

from dts_pipeline.adapters.quarantine import Quarantined, listed
from dts_pipeline.commands import exits
from dts_pipeline.commands.output import Output
from dts_pipeline.commands.runtimes import link_runtime, pair_runtime
from dts_pipeline.commands.session import Session
from dts_pipeline.commands.sited_ids import sited_id
from dts_pipeline.core.links import Link
from dts_pipeline.errors import TerminalError

_COLUMNS = ["id", "link", "table", "topic", "partition", "offset", "code", "since"]


def list_quarantine(session: Session, output: Output, link: str | None) -> int:
    """What is in quarantine, without keys and values; FOUND if there is something."""
    links = [session.link(link)] if link else list(session.links.values())
    found = [
        _head(each.target, row)
        for each in links
        for row in listed(session.databases[each.target], each.name)
    ]
    output.document({"quarantine": found})
    if found:
        output.table("", _COLUMNS, [list(entry.values()) for entry in found])
        output.line("`dts conflicts --kind quarantined` shows the keys")
    else:
        output.line("nothing is in quarantine")
    return exits.FOUND if found else exits.DONE


def retry(session: Session, output: Output, text: str, *, carry: bool) -> int:
    """Makes a key right and takes it out; FOUND if it could not be done yet."""
    from dts_pipeline.stages.carry import carry as run
    from dts_pipeline.stages.quarantine import retry as tried

    site, number = sited_id(session, text)
    link = _link(session, site, number)
    runs = run if carry else None
    if link.pair is None:
        with link_runtime(session, link.name) as runtime:
            done = tried(runtime, None, number, runs)
    else:
        with pair_runtime(session, link.pair) as pair:
            runtime = pair.forth if pair.forth.link.name == link.name else pair.back
            done = tried(runtime, pair, number, runs)
    output.document({"id": text, "link": link.name, "freed": done})
    output.line(f"{text} is out of quarantine" if done else f"{text} stays: its row kept changing")
    return exits.DONE if done else exits.FOUND


def discard(session: Session, output: Output, text: str) -> int:
    """Gives the held changes of a key up."""
    from dts_pipeline.stages.quarantine import discard as given_up

    site, number = sited_id(session, text)
    link = _link(session, site, number)
    with link_runtime(session, link.name) as runtime:
        given_up(runtime, number)
    output.document({"id": text, "link": link.name, "discarded": True})
    output.line(f"{text} is given up; the row at {site} stays as it is")
    return exits.DONE


def _link(session: Session, site: str, number: int) -> Link:
    """The link that an entry belongs to; raises TerminalError `quarantine_unknown`."""
    for row in listed(session.databases[site]):
        if row.id == number:
            return session.link(row.link)
    raise TerminalError(
        "quarantine_unknown",
        "there is no such entry in quarantine",
        where={"site": site, "id": number},
        remedy="`dts quarantine list` shows what there is.",
    )


def _head(site: str, row: Quarantined) -> dict[str, Any]:
    return {
        "id": f"{site}:{row.id}",
        "link": row.link,
        "table": row.table,
        "topic": row.topic,
        "partition": row.partition,
        "offset": row.offset,
        "code": row.code,
        "since": row.since.isoformat(sep=" ", timespec="seconds"),
    }
