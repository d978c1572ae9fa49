"""Ids of ledger rows on the command line: `SITE:NUMBER`, because each site counts for itself."""

from __future__ import annotations

import re

from dts_pipeline.commands.session import Session
from dts_pipeline.errors import TerminalError


def sited_id(session: Session, text: str) -> tuple[str, int]:
    """The site and the number; raises TerminalError `usage`."""
    match = re.fullmatch(r"(.+):(\d+)", text)
    if match is None or match[1] not in session.config.sites:
        raise TerminalError(
            "usage",
            "an id is SITE:NUMBER, as it is listed",
            remedy=f"Sites: {', '.join(sorted(session.config.sites))}.",
        )
    return match[1], int(match[2])
