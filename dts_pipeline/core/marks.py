"""The only file that knows what a mark looks like: how it is written and how it is recognised.

Two kinds. `origin`: on MySQL a GTID whose UUID is ours (`SET gtid_next`), on MariaDB a GTID
domain of ours (`SET SESSION gtid_domain_id`). `comment`: `/* dts ... */` right after a
statement's first keyword. Whatever a link is configured for, every kind is recognised.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dts_pipeline.core.links import MarkKind
from dts_pipeline.core.schema import Dialect

_FIXED = "64747350"  # "dtsP": the first 32 bits of every GTID UUID that this project makes
# Version 8 (RFC 9562: application's own layout): no server_uuid has it, MySQL's are version 1.
_OUR_UUID = re.compile(
    rf"^{_FIXED}-[0-9a-f]{{4}}-8[0-9a-f]{{3}}-[89ab][0-9a-f]{{3}}-[0-9a-f]{{12}}:"
)
# A comment counts at the very start or right after the first keyword, nowhere else: users' texts
# may contain it. The head of the statement arrives as JSON text, hence the leading quote and the
# escaped white space.
_OUR_COMMENT = re.compile(
    rb'^"(?:\s|\\[nrt])*(?:[A-Za-z]+(?:\s|\\[nrt])*)?/\*(?:\s|\\[nrt])*dts(?:\s[^*]*)?\*/'
)


@dataclass(frozen=True)
class Mark:
    """The mark of one batch of one link: `number` is drawn from the ledger's sequence."""

    kind: MarkKind
    dialect: Dialect
    link: str
    batch: int
    uuid: str
    number: int
    domain: int | None = None

    @property
    def comment(self) -> str:
        """What stands after the verb of every statement that writes a synced table."""
        return f"/* dts link={self.link} batch={self.batch} */"

    @property
    def gtid(self) -> str:
        """The GTID that the batch's transaction takes on MySQL."""
        return f"{self.uuid}:{self.number}"

    def before_transaction(self) -> list[str]:
        """Statements for the session before BEGIN; they fail inside a transaction."""
        if self.kind is MarkKind.COMMENT:
            return []
        if self.dialect is Dialect.MYSQL:
            return [f"SET gtid_next = '{self.gtid}'"]
        return [f"SET SESSION gtid_domain_id = {self.domain}"]

    def after_transaction(self) -> list[str]:
        """Statements that give the session back its own GTIDs, after COMMIT or ROLLBACK."""
        if self.kind is MarkKind.COMMENT:
            return []
        if self.dialect is Dialect.MYSQL:
            return ["SET gtid_next = 'AUTOMATIC'"]
        return ["SET SESSION gtid_domain_id = @@GLOBAL.gtid_domain_id"]


def reconcile_comment(link: str) -> str:
    """The comment of a statement by which reconcile writes as this link."""
    return f"/* dts link={link} reconcile */"


def mark_uuid(installation: str, link: str, lane: str, generation: int) -> str:
    """The UUID of a lane's GTIDs: fixed bits of the project, then a hash of who writes."""
    digest = hashlib.sha256(f"{installation}/{link}/{lane}/{generation}".encode()).hexdigest()
    variant = "89ab"[int(digest[7], 16) % 4]
    return f"{_FIXED}-{digest[0:4]}-8{digest[4:7]}-{variant}{digest[8:11]}-{digest[11:23]}"


def recognise(events: pd.DataFrame, mark_domains: Collection[int]) -> npt.NDArray[np.bool_]:
    """Which row events the pipeline itself wrote: one bool per row of `events`.

    Reads the columns gtid, connector and query_head of `envelope.parse_events`.
    """
    return _by_origin(events, mark_domains) | _by_comment(events)


def unseen(events: pd.DataFrame, kind: MarkKind) -> npt.NDArray[np.bool_]:
    """Which c, u and d events carry nothing in which the configured mark could be seen."""
    column = "gtid" if kind is MarkKind.ORIGIN else "query_head"
    streamed = events["op"].isin(["c", "u", "d"]).to_numpy()
    return streamed & events[column].isna().to_numpy()


def is_our_gtid(gtid: str, mark_domains: Collection[int]) -> bool:
    """Whether a GTID, of either dialect, was written by this project."""
    if _OUR_UUID.match(gtid):
        return True
    domain = gtid.partition("-")[0]
    return gtid.count("-") == 2 and domain.isdigit() and int(domain) in mark_domains


def is_our_statement(head: bytes) -> bool:
    """Whether a statement's head (JSON text, as in the message) carries our comment."""
    return _OUR_COMMENT.match(head) is not None


def _by_origin(events: pd.DataFrame, domains: Collection[int]) -> npt.NDArray[np.bool_]:
    return _lookup(events["gtid"], lambda gtid: is_our_gtid(gtid, domains))


def _by_comment(events: pd.DataFrame) -> npt.NDArray[np.bool_]:
    return _lookup(events["query_head"], is_our_statement)


def _lookup(values: pd.Series[Any], test: Any) -> npt.NDArray[np.bool_]:
    """The test once per distinct value: a transaction's or statement's rows share theirs."""
    codes, distinct = pd.factorize(values, use_na_sentinel=True)
    answers = np.array([bool(test(value)) for value in distinct] + [False], dtype=np.bool_)
    return answers[codes]  # absent values have code -1: the False at the end
