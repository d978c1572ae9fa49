"""What dts.yaml says across its parts: names that must exist, and properties of Kafka."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
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


def _shared_tables(
    pairs: dict[str, dict[str, Any]], links: dict[str, dict[str, Any]]
) -> Iterator[tuple[str, str]]:
    """Two entries that carry the same tables, unless both only read them at the same site.

    Between the same two sites, two links in opposite directions would each decide for itself, and
    loop; in the same direction both would write every change. Among three sites see `_meeting`.
    """
    seen: list[tuple[str, list[tuple[str, str]], list[str]]] = []
    for path, entry, ends in _ends_of(pairs, links):
        ways = _ways(path, [site for _, site in ends])
        listed = entry.get("tables")
        tables = [str(t) for t in listed] if isinstance(listed, list) else []
        for other, their_ways, their_tables in seen:
            shared = overlap(tables, their_tables)
            if shared and ways and their_ways:
                if set(ways[0]) == set(their_ways[0]):
                    problem = (
                        f"{shared} is carried between the same sites by {other} already; two ways "
                        "is a pair"
                    )
                else:
                    problem = _meeting(shared, ways, other, their_ways)
                if problem:
                    yield f"{path}.tables", problem
        seen.append((path, ways, tables))


def _meeting(
    shared: str, ways: list[tuple[str, str]], other: str, their_ways: list[tuple[str, str]]
) -> str:
    """Why two entries that join three sites cannot carry the same table; empty if they can.

    A link drops what the pipeline wrote at its source (marks), so a change that came by one link
    is not carried on by another: the third site would never get it. Where two links write at one
    site, nothing decides between them, and a repair by one deletes the rows of the other.
    """
    for one, two in ((ways, their_ways), (their_ways, ways)):
        for (origin, through), (source, end) in itertools.product(one, two):
            if through == source:
                return (
                    f"{shared} is carried by {other}, too: what reaches {through} from {origin} "
                    f"would never reach {end}, for no link carries on what another wrote. More "
                    "than two sites are not supported for one table"
                )
    targets = {target for _, target in ways} & {target for _, target in their_ways}
    if targets:
        return (
            f"{shared} is written at {min(targets)} by {other} already; nothing would decide "
            "between the rows of two sources"
        )
    return ""


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
