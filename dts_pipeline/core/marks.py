"""The only file that knows what a mark looks like: how it is written and how it is recognised.

Two kinds. `origin`: on MySQL a GTID whose UUID is ours (`SET gtid_next`), on MariaDB a GTID
domain of ours (`SET SESSION gtid_domain_id`). `comment`: `/* dts ... */` right after a
statement's first keyword. Whatever a link is configured for, every kind is recognised.

The comment is written under both kinds and says which link wrote what under which number
(`mark=UUID:n`, or `stamp=UUID:n` where the transaction carries an origin stamp as well). So where a
statement's text arrives beside its GTID, each can be held against the other.

A mark also tells which link wrote: the comment by its name, a UUID by its last group, a domain by
being one pair's or one-way link's alone. So a link can carry on what another one brought to its
source, and tell its own pair's writes from those of its mesh (`Writers`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dts_pipeline.core.links import Link, MarkKind
from dts_pipeline.core.schema import Dialect

_FIXED = "64747350"  # "dtsP": the first 32 bits of every GTID UUID that this project makes
# Version 8 (RFC 9562: application's own layout): no server_uuid has it, MySQL's are version 1.
_OUR_UUID = re.compile(
    rf"^{_FIXED}-[0-9a-f]{{4}}-8[0-9a-f]{{3}}-[89ab][0-9a-f]{{3}}-([0-9a-f]{{12}}):"
)
# A comment counts at the very start or right after the first keyword, nowhere else: users' texts
# may contain it. The head of the statement arrives as JSON text, hence the leading quote and the
# escaped white space.
_OUR_COMMENT = re.compile(
    rb'^"(?:\s|\\[nrt])*(?:[A-Za-z]+(?:\s|\\[nrt])*)?/\*(?:\s|\\[nrt])*dts(?:\s[^*]*)?\*/'
)
_LINK = re.compile(rb"\blink=([a-z0-9_]+)")
_NUMBER = re.compile(rb"\b(mark|stamp)=([0-9a-f-]{36}:[0-9]+)")
_MARIADB_GTID = re.compile(r"[0-9]+-[0-9]+-[0-9]+")


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
        word = "stamp" if self.kind is MarkKind.ORIGIN else "mark"
        return f"/* dts link={self.link} batch={self.batch} {word}={self.gtid} */"

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


@dataclass(frozen=True)
class Writers:
    """Links that write at a source: links of other pairs, or one-way ones.

    `links` by name; `domains` their MariaDB GTID domains; `groups` the last groups of their UUIDs.
    """

    links: frozenset[str] = frozenset()
    domains: frozenset[int] = frozenset()
    groups: frozenset[str] = frozenset()

    @classmethod
    def of(cls, links: frozenset[str], domains: frozenset[int], installation: str) -> Writers:
        """These links, which write under these domains."""
        return cls(links, domains, frozenset(_group(installation, name) for name in links))

    @classmethod
    def carried_by(cls, link: Link, installation: str) -> Writers:
        """Those whose writes `link` carries on."""
        return cls.of(link.carries_on, link.carried_domains, installation)

    @classmethod
    def beside(cls, link: Link, installation: str) -> Writers:
        """All but the link of its own pair: those it carries on, and those of its mesh."""
        return cls.of(link.others, link.other_domains, installation)

    def has_gtid(self, gtid: str) -> bool:
        """Whether a GTID of ours is one of these links'."""
        ours = _OUR_UUID.match(gtid)
        if ours:
            return ours[1] in self.groups
        return int(gtid.partition("-")[0]) in self.domains

    def has_statement(self, head: bytes) -> bool:
        """Whether a statement's head with our comment names one of these links."""
        comment = _OUR_COMMENT.match(head)
        link = _LINK.search(comment[0]) if comment else None
        return link is not None and link[1].decode() in self.links


NOBODY = Writers()


def reconcile_comment(link: str) -> str:
    """The comment of a statement by which reconcile writes as this link."""
    return f"/* dts link={link} reconcile */"


def mark_uuid(installation: str, link: str, lane: str, generation: int) -> str:
    """The UUID of a lane's GTIDs: fixed bits of the project, a hash of who writes, one of the link.

    The last group is the same in all lanes and generations of a link.
    """
    digest = _digest(installation, link, lane, generation)
    variant = "89ab"[int(digest[7], 16) % 4]
    who = f"{digest[0:4]}-8{digest[4:7]}-{variant}{digest[8:11]}"
    return f"{_FIXED}-{who}-{_group(installation, link)}"


def _group(installation: str, link: str) -> str:
    return _digest(installation, link)[:12]


def _digest(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def recognise(
    events: pd.DataFrame, mark_domains: Collection[int], but: Writers = NOBODY
) -> npt.NDArray[np.bool_]:
    """Which row events the pipeline itself wrote: one bool per row.

    Reads the columns gtid and query_head of `envelope.parse_events`. Those that `but` wrote are
    left out, as users' are; where GTID and comment are both ours, the GTID decides.
    """
    stamped, commented = _by_origin(events, mark_domains), _by_comment(events)
    ours = stamped | commented
    if not but.links or not ours.any():
        return ours
    by_gtid = _lookup(events.loc[stamped, "gtid"], but.has_gtid)
    by_comment = _lookup(events.loc[~stamped & ours, "query_head"], but.has_statement)
    ours[stamped] = ~by_gtid
    ours[~stamped & ours] = ~by_comment
    return ours


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


def disagreeing(
    events: pd.DataFrame,
    mark_domains: Collection[int],
    writers: Collection[str] = (),
    groups: Sequence[Writers] = (),
) -> npt.NDArray[np.bool_]:
    """Which row events have a stamp and a comment that contradict each other: one bool per row.

    Only where both could be seen, and one of them is ours. `writers` are the links that write at
    the source, as far as known: a comment that names another belongs to another server's rows.
    Of each of the `groups` stamp and comment must both be, or neither.
    """
    result = np.zeros(len(events), dtype=np.bool_)
    both = (events["gtid"].notna() & events["query_head"].notna()).to_numpy()
    if not both.any():
        return result
    seen = events.loc[both, ["gtid", "query_head"]]
    doubtful = _by_origin(seen, mark_domains) | _by_comment(seen)
    codes, pairs = _pairs(seen[doubtful])
    answers = [not _agree(gtid, head, mark_domains, writers, groups) for gtid, head in pairs]
    result[np.flatnonzero(both)[doubtful]] = np.array(answers, dtype=np.bool_)[codes]
    return result


def _pairs(events: pd.DataFrame) -> tuple[npt.NDArray[np.int64], list[tuple[Any, Any]]]:
    """The distinct pairs of gtid and query_head (None where absent), and each event's."""
    gtid_codes, gtids = pd.factorize(events["gtid"], use_na_sentinel=True)
    head_codes, heads = pd.factorize(events["query_head"], use_na_sentinel=True)
    width = len(heads) + 1
    both, codes = np.unique((gtid_codes + 1) * width + head_codes + 1, return_inverse=True)
    texts, statements = [None, *gtids], [None, *heads]
    found = [(texts[pair // width], statements[pair % width]) for pair in both.tolist()]
    return codes.astype(np.int64), found


def _agree(
    gtid: str,
    head: bytes,
    mark_domains: Collection[int],
    writers: Collection[str],
    groups: Sequence[Writers],
) -> bool:
    """Whether a stamp and a comment, one of them ours, can come from one write of ours."""
    stamped, comment = is_our_gtid(gtid, mark_domains), _OUR_COMMENT.match(head)
    if comment is None:
        return False
    number, link = _NUMBER.search(comment[0]), _LINK.search(comment[0])
    if not stamped:
        return number is None or number[1] == b"mark"
    if number is not None and _OUR_UUID.match(gtid) and number[2].decode() != gtid:
        return False
    if link is None:
        return True
    name = link[1].decode()
    if writers and name not in writers:
        return False
    return all(group.has_gtid(gtid) == (name in group.links) for group in groups)


def write_ids(events: pd.DataFrame) -> pd.Series[Any]:
    """What names the write that each marked event belongs to; None where nothing does.

    MariaDB's GTID, or our UUID and number (the GTID of an origin stamp on MySQL, or out of the
    comment). A reconcile's comment has no number.
    """
    codes, distinct = _pairs(events)
    names = np.array([_write_id(gtid, head) for gtid, head in distinct], dtype=object)
    return pd.Series(names[codes], index=events.index, dtype=object)


def returned_rows(events: pd.DataFrame) -> dict[str, dict[str, int]]:
    """How many row events came back to the pair, by the write (`write_ids`) and by table.

    Reads the columns returning, gtid, query_head and table. Events of unnamed writes are left out.
    """
    own = events[events["returning"]]
    if own.empty:
        return {}
    named = pd.DataFrame({"write": write_ids(own), "table": own["table"]}).dropna()
    found: dict[str, dict[str, int]] = {}
    sizes = named.value_counts(sort=False).reset_index()
    for write, table, count in zip(sizes["write"], sizes["table"], sizes["count"], strict=True):
        found.setdefault(write, {})[table] = int(count)
    return found


def _write_id(gtid: object, head: object) -> str | None:
    if isinstance(gtid, str) and (_MARIADB_GTID.fullmatch(gtid) or _OUR_UUID.match(gtid)):
        return gtid
    comment = _OUR_COMMENT.match(head) if isinstance(head, bytes) else None
    number = _NUMBER.search(comment[0]) if comment else None
    return number[2].decode() if number else None


def _by_origin(events: pd.DataFrame, domains: Collection[int]) -> npt.NDArray[np.bool_]:
    return _lookup(events["gtid"], lambda gtid: is_our_gtid(gtid, domains))


def _by_comment(events: pd.DataFrame) -> npt.NDArray[np.bool_]:
    return _lookup(events["query_head"], is_our_statement)


def _lookup(values: pd.Series[Any], test: Any) -> npt.NDArray[np.bool_]:
    """The test once per distinct value: a transaction's or statement's rows share theirs."""
    codes, distinct = pd.factorize(values, use_na_sentinel=True)
    answers = np.array([bool(test(value)) for value in distinct] + [False], dtype=np.bool_)
    return answers[codes]  # absent values have code -1: the False at the end
