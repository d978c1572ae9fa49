"""What dts.yaml says across its parts: names that must exist, and properties of Kafka."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dts_pipeline.core.table_patterns import overlap

SECRET = re.compile(r"^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$")
_KAFKA_FIXED = {
    "auto.offset.reset": "the pipeline stops on a lost offset instead of jumping over it",
    "enable.auto.commit": "offsets are kept in the target's ledger",
    "enable.auto.offset.store": "offsets are kept in the target's ledger",
    "isolation.level": "aborted messages must never be applied",
    "enable.partition.eof": "the reader needs it",
    "group.id": "partitions are assigned, not subscribed",
    "enable.ssl.certificate.verification": "the broker's certificate is always verified",
    "ssl.endpoint.identification.algorithm": "the broker's host name is always verified",
}
_KAFKA_SECRETS = re.compile(r"password|passphrase|secret|jaas|\.key\.pem$|oauthbearer\.config")


def kafka_problems(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Rules on the Kafka section.

    Like the references below they are checked on the raw data, so that they are told together
    with mistakes of shape.
    """
    kafka = data.get("kafka")
    if not isinstance(kafka, dict):
        return
    if not kafka.get("bootstrap.servers"):
        yield "kafka.bootstrap.servers", "is required"
    for key, value in kafka.items():
        if key in _KAFKA_FIXED:
            yield f"kafka.{key}", f"is fixed by the pipeline: {_KAFKA_FIXED[key]}"
        elif _KAFKA_SECRETS.search(str(key)) and not SECRET.match(str(value)):
            yield f"kafka.{key}", "a secret must be written as ${NAME}"


def reference_problems(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names that must exist elsewhere in the file, and names that must not meet."""
    sites = _section(data, "sites")
    pairs, links = _section(data, "pairs"), _section(data, "links")
    if not pairs and not links:
        yield "pairs", "there is neither a pair nor a link"
    made: dict[str, str] = {}
    for path, entry, ends in _ends_of(pairs, links):
        for where, site in ends:
            if site not in sites:
                yield f"{path}.{where}", f"there is no site {site}"
        names = [site for _, site in ends]
        if len(names) == 2 and names[0] == names[1]:
            yield path, "must join two different sites"
        yield from _policy_problems(entry.get("conflicts"), set(names), f"{path}.conflicts")
        for link in _link_names(path, names):
            if link in made:
                yield path, f"would give a link named {link}, which {made[link]} gives already"
            made[link] = path
    yield from _shared_tables(pairs, links)
    yield from _prefix_problems(sites)


def _section(data: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """A mapping of mappings, whatever else is wrong with the file."""
    found = data.get(name)
    entries = found.items() if isinstance(found, dict) else ()
    return {str(key): value for key, value in entries if isinstance(value, dict)}


def _ends_of(
    pairs: dict[str, dict[str, Any]], links: dict[str, dict[str, Any]]
) -> Iterator[tuple[str, dict[str, Any], list[tuple[str, str]]]]:
    """Each pair and link with its path and the places where it names its sites."""
    for name, pair in pairs.items():
        sites = pair.get("sites")
        listed = sites if isinstance(sites, list) else []
        yield f"pairs.{name}", pair, [(f"sites.{i}", str(s)) for i, s in enumerate(listed)]
    for name, link in links.items():
        ends = [(str(end), str(link[end])) for end in ("source", "target") if end in link]
        yield f"links.{name}", link, ends


@dataclass(frozen=True)
class _Entry:
    """A pair or link as the rules of meeting tables see it."""

    path: str
    ways: list[tuple[str, str]]
    tables: list[str]
    domain: object
    mesh: object

    @property
    def is_pair(self) -> bool:
        return len(self.ways) == 2


def _shared_tables(
    pairs: dict[str, dict[str, Any]], links: dict[str, dict[str, Any]]
) -> Iterator[tuple[str, str]]:
    """Entries that carry the same tables, and what they must not do then.

    Between the same two sites, two links in opposite directions would each decide for itself, and
    loop; in the same direction both would write every change. Among more sites see `_meeting` and
    `_ring`.
    """
    seen: list[_Entry] = []
    for path, entry, ends in _ends_of(pairs, links):
        ways = _ways(path, [site for _, site in ends])
        listed = entry.get("tables")
        tables = [str(t) for t in listed] if isinstance(listed, list) else []
        new = _Entry(path, ways, tables, entry.get("mark_domain_id"), entry.get("mesh"))
        if not ways:
            continue
        met = [(old, shared) for old in seen if (shared := overlap(tables, old.tables))]
        problems = [problem for old, shared in met if (problem := _meeting(shared, new, old))]
        for problem in problems or _ring(new, seen):
            yield f"{path}.tables", problem
        seen.append(new)


def _meeting(shared: str, new: _Entry, old: _Entry) -> str:
    """Why two entries cannot both carry a table; empty if they can.

    At a site where pairs meet each takes what the others write there for users' writes: it carries
    it on, and conflicts are decided as any others. A one-way link writes without such a talk.
    """
    if set(new.ways[0]) == set(old.ways[0]):
        return (
            f"{shared} is carried between the same sites by {old.path} already; two ways is a pair"
        )
    targets = {target for _, target in new.ways} & {target for _, target in old.ways}
    if targets and not (new.is_pair and old.is_pair):
        return (
            f"{shared} is written at {min(targets)} by {old.path} already; nothing would decide "
            "between the rows of two sources. Only pairs may meet at a site that they write"
        )
    carries_on = any(
        target == source
        for one, two in ((new, old), (old, new))
        for (_, target), (source, _) in itertools.product(one.ways, two.ways)
    )
    if carries_on and new.domain is not None and new.domain == old.domain:
        return (
            f"{shared} is carried by {old.path}, too, under the same mark_domain_id; where links "
            "carry on what others write, each needs one of its own to tell whose a write is"
        )
    return ""


def _ring(new: _Entry, seen: Sequence[_Entry]) -> Iterator[str]:
    """A table that goes round: by this entry, and by others from its one site to the other.

    Each change would reach a site by two ways, or come back to where it was made. Within a mesh
    links pass nothing on to each other (`config_meshes`), so that it may close.
    """
    ends = new.ways[0]
    left_out = [pattern for pattern in new.tables if pattern.startswith("!")]
    for pattern in (p for p in new.tables if not p.startswith("!")):
        others = [old for old in seen if overlap([pattern, *left_out], old.tables)]
        mesh = [old for old in others if new.mesh is not None and old.mesh == new.mesh]
        if ends[1] in _reached(ends[0], others) - _reached(ends[0], mesh):
            yield (
                f"{pattern} is carried from {ends[0]} to {ends[1]} through other sites already "
                f"({', '.join(sorted({old.path for old in others}))}); changes would go round. "
                "Leave one of them out: each passes on what the others bring. Three sites that all "
                "talk to each other are three pairs with the same `mesh:`"
            )
            return


def _reached(start: str, entries: Sequence[_Entry]) -> set[str]:
    """The sites that entries join to one, in any number of steps."""
    reached = {start}
    while found := _next_site(entries, reached):
        reached.add(found)
    return reached


def _next_site(entries: Sequence[_Entry], reached: Collection[str]) -> str | None:
    """A site that an entry joins to those reached already, in either direction."""
    for entry in entries:
        for one, other in (entry.ways[0], entry.ways[0][::-1]):
            if one in reached and other not in reached:
                return other
    return None


def _ways(path: str, sites: list[str]) -> list[tuple[str, str]]:
    """The directions of a pair or link, as (source, target)."""
    if len(set(sites)) != 2:
        return []
    one, two = sites
    return [(one, two)] if path.startswith("links.") else [(one, two), (two, one)]


def _link_names(path: str, sites: list[str]) -> list[str]:
    kind, _, name = path.partition(".")
    if kind == "links":
        return [name]
    return [f"{a}_to_{b}" for a, b in _ways(path, sites)]


def _policy_problems(conflicts: object, sites: set[str], path: str) -> Iterator[tuple[str, str]]:
    """Winners that are not a site of the pair or link."""
    if not isinstance(conflicts, dict):
        return
    tables = _section(conflicts, "tables")
    policies = [(f"{path}.policy", conflicts.get("policy"))]
    policies += [(f"{path}.tables.{t}.policy", entry.get("policy")) for t, entry in tables.items()]
    for where, policy in policies:
        for key in ("site", "ties"):
            if isinstance(policy, dict) and policy.get(key) not in (None, *sites):
                yield f"{where}.{key}", f"must be one of {', '.join(sorted(sites))}"


def _prefix_problems(sites: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    owners: dict[str, str] = {}
    for name, site in sites.items():
        prefix = str(site.get("topic_prefix"))
        if prefix in owners:
            yield f"sites.{name}.topic_prefix", f"is the same as that of site {owners[prefix]}"
        owners[prefix] = name
