"""`dts conflicts`: what both sites disputed, and the rows of one record side by side."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from typing import Any

from dts_pipeline.adapters.conflict_list import Filter, Listed, listed, one
from dts_pipeline.adapters.sites import open_connect
from dts_pipeline.adapters.table_schema import read_tables
from dts_pipeline.commands import exits
from dts_pipeline.commands.output import Output
from dts_pipeline.commands.session import Session
from dts_pipeline.commands.sited_ids import sited_id
from dts_pipeline.core.conflicts import Kind
from dts_pipeline.core.decode_modes import ValueModes
from dts_pipeline.core.links import Link
from dts_pipeline.core.record_rows import ColumnValues, differing, sent_row, side_by_side, text_row
from dts_pipeline.core.schema import Table
from dts_pipeline.errors import DtsError, TerminalError

_COLUMNS = ["id", "link", "table", "key", "kind", "decision", "state", "times", "changed"]
_OWN_ROWS = {Kind.REPLAY, Kind.REPAIR, Kind.UNIQUE_HOLDER, Kind.CASCADE}


def conflicts(
    session: Session, output: Output, link: str | None, wanted: Filter, limit: int
) -> int:
    """Lists records, the newest first; FOUND if an open one is among them."""
    links = [session.link(link)] if link else list(session.links.values())
    by_target: dict[str, list[str]] = defaultdict(list)
    for each in links:
        by_target[each.target].append(each.name)
    found = [
        record
        for site, names in by_target.items()
        for record in listed(session.databases[site], names, wanted, limit + 1)
    ]
    found.sort(key=lambda record: record.changed_at, reverse=True)
    shown = found[:limit]
    output.document({"conflicts": [_head(record) for record in shown], "more": len(found) > limit})
    if shown:
        output.table("", _COLUMNS, [list(_head(record).values()) for record in shown])
    else:
        output.line("no records")
    if len(found) > limit:
        output.line(f"there are more than {limit}; --limit shows them")
    return exits.FOUND if any(record.state == "open" for record in shown) else exits.DONE


def show(session: Session, output: Output, text: str) -> int:
    """One record with its rows; FOUND if it is open. Raises TerminalError `conflict_unknown`."""
    site, number = sited_id(session, text)
    record = one(session.databases[site], number)
    if record is None:
        raise TerminalError(
            "conflict_unknown",
            "there is no such record",
            where={"site": site, "id": number},
            remedy="`dts conflicts --state all` lists them.",
        )
    lines = _rows(session, record)
    names = differing(lines)
    more = {"batch": record.batch, "opened": record.opened_at.isoformat(sep=" ")}
    rows = [{k: v for k, v in vars(line).items() if k != "differs"} for line in lines]
    output.document({**_head(record), **more, "differing": names, "rows": rows})
    for name, value in (_head(record) | more).items():
        output.line(f"{name:>9}: {value}")
    output.table(
        "",
        ["", "column", "before", "after", "found"],
        [("*" if x.differs else "", x.column, x.before, x.after, x.found) for x in lines],
    )
    output.line("before and after: at the source; found: at the target. * differs")
    return exits.FOUND if record.state == "open" else exits.DONE


def _head(record: Listed) -> dict[str, Any]:
    return {
        "id": f"{record.site}:{record.id}",
        "link": record.link,
        "table": record.table,
        "key": record.key,
        "kind": record.kind,
        "decision": record.decision,
        "state": record.state,
        "times": record.times,
        "changed": record.changed_at.isoformat(sep=" ", timespec="seconds"),
    }


def _rows(session: Session, record: Listed) -> list[ColumnValues]:
    """The rows; decoded if the link, its tables and its connector can be asked."""
    table = source = modes = None
    link = session.links.get(record.link)
    if link is not None and record.kind not in _OWN_ROWS:
        with contextlib.suppress(DtsError):
            table, source = (
                _table(session, site, link, record.table) for site in (link.target, link.source)
            )
            modes = _modes(session, link)
    before, after = (sent_row(row, table, source, modes) for row in (record.before, record.after))
    return side_by_side(before, after, text_row(record.found), table)


def _table(session: Session, site: str, link: Link, name: str) -> Table | None:
    return read_tables(session.databases[site], name.__eq__, link.excluded_columns).get(name)


def _modes(session: Session, link: Link) -> ValueModes:
    connect = session.config.connect
    if connect is None:
        return ValueModes()
    with open_connect(connect) as api:
        return ValueModes.of(api.running_of(link.source_prefix).settings)
