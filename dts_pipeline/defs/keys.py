"""The names of everything that Dagster shows, in one place.

A table has two asset keys, or a pair would be a cycle: `<site>/<schema>/<table>` is what users
write at a site, `<link>/<schema>/<table>` what a link writes there. Between them stand
`kafka/<topic>` and `checkpoint/<link>`. Patterns are resolved when a run starts, without a server
there are only patterns; so a pattern has ONE asset whose last part is `_` and the pattern, with
`*` spelled `all`, `?` spelled `any` and what else a name may not hold spelled `_`: `shop.*` of
site a is `a/shop/_all`.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import dagster as dg

from dts_pipeline.core.links import Link

LANE_TAG = "dts/lane"
PROCESS_TAG = "dts/process"
BATCHES_TAG = "dts/batches"
_WILD = re.compile(r"[*?\[\]]")


def lane_of(link: Link) -> str:
    """The value of the lane's tag; at most one run with it is under way."""
    return f"{link.name}/{link.lane}"


def pool_of(link: Link) -> str | None:
    """The pool of every op of the lane; it also counts runs that carry no tag yet.

    None for a link of several lanes: their runs share the ops, and go on side by side.
    """
    return None if link.lanes else f"dts_lane_{link.name}_{link.lane}"


def lanes_def(link: Link) -> dg.StaticPartitionsDefinition | None:
    """The partitions of a link's checkpoint: its lanes, where there are several."""
    names = [lane.lane for lane in link.each_lane()]
    return dg.StaticPartitionsDefinition(names) if link.lanes else None


def checkpoint_key(link: str) -> dg.AssetKey:
    """The asset that mirrors a link's checkpoint."""
    return dg.AssetKey(["checkpoint", link])


def graph_name(link: str) -> str:
    """The graph behind the checkpoint asset; every step's key begins with it."""
    return checkpoint_key(link).to_python_identifier()


def job_name(link: str) -> str:
    """The job that a schedule, a sensor and `dts sync` start."""
    return f"sync_{link}"


def source_key(link: Link, pattern: str) -> dg.AssetKey:
    """The tables of a pattern as users write them at the source."""
    return dg.AssetKey([link.source, *_table_parts(pattern)])


def topic_key(link: Link, pattern: str) -> dg.AssetKey:
    """The topic of a table, or the topics of a pattern."""
    if not _WILD.search(pattern):
        return dg.AssetKey(["kafka", link.topic_of(pattern)])
    schema, table = _table_parts(pattern)
    return dg.AssetKey(["kafka", f"{link.source_prefix}.{schema}.{table}"])


def target_key(link: Link, pattern: str) -> dg.AssetKey:
    """The tables of a pattern as the link writes them at the target."""
    return dg.AssetKey([link.name, *_table_parts(pattern)])


def pattern_of(link: Link, full_name: str) -> str | None:
    """The pattern whose asset stands for a table: its own name before the first that matches."""
    if full_name in link.tables:
        return full_name
    return next((p for p in link.tables if fnmatchcase(full_name, p)), None)


def _table_parts(pattern: str) -> tuple[str, str]:
    schema, _, table = pattern.partition(".")
    return _part(schema), _part(table)


def _part(text: str) -> str:
    if not _WILD.search(text):
        return text
    spelled = text.replace("*", "all").replace("?", "any")
    return "_" + re.sub(r"[^A-Za-z0-9_\-]", "_", spelled)
