"""The assets: source tables → topics → checkpoint → target tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg

from dts_pipeline.core.links import Link
from dts_pipeline.defs.descriptions import (
    checkpoint_description,
    source_description,
    target_description,
    topic_description,
)
from dts_pipeline.defs.keys import (
    checkpoint_key,
    job_name,
    lanes_def,
    source_key,
    target_key,
    topic_key,
)
from dts_pipeline.defs.ops import OpFactory
from dts_pipeline.defs.record import check_specs


def lineage_specs(links: Iterable[Link]) -> list[dg.AssetSpec]:
    """The tables and topics around the checkpoints; links that share a source share its assets."""
    specs: dict[dg.AssetKey, dg.AssetSpec] = {}
    for link in links:
        for pattern in link.tables:
            for spec in _specs_of(link, pattern):
                specs.setdefault(spec.key, spec)
    return list(specs.values())


def checkpoint_asset(link: Link, lag_warn_seconds: float) -> dg.AssetsDefinition:
    """The graph asset whose materialization is a run of the link."""
    topic_keys = list(dict.fromkeys(topic_key(link, pattern) for pattern in link.tables))
    topics = {f"topics_{i}": key for i, key in enumerate(topic_keys)}
    key = checkpoint_key(link.name)
    checks = check_specs(link, lag_warn_seconds)
    ops = OpFactory(link, list(topics), lag_warn_seconds)

    @dg.graph_asset(
        key=key,
        ins={name: dg.AssetIn(topic, dagster_type=dg.Nothing) for name, topic in topics.items()},
        check_specs=checks,
        group_name=link.name,
        partitions_def=lanes_def(link),
        kinds={"kafka", "mysql"},
        owners=list(link.owners) or None,
        description=checkpoint_description(link, job_name(link.name)),
    )
    def checkpoint(**topics: Any) -> dict[str, Any]:
        plan, slots = ops.plan_ranges().alias("plan_ranges")(**topics)
        pull, normalize = ops.pull().alias("pull"), ops.normalize().alias("normalize")
        drop_marked = ops.drop_marked().alias("drop_marked")
        compact, apply = ops.compact().alias("compact"), ops.apply().alias("apply")

        def batch(slot: Any) -> Any:
            return apply(plan, compact(drop_marked(normalize(plan, pull(plan, slot)))))

        recorded = ops.record().alias("record")(plan, slots.map(batch).collect())
        outputs = {check.get_python_identifier(): check.name for check in checks}
        return {"result": recorded.checkpoint} | {
            output: getattr(recorded, name) for output, name in outputs.items()
        }

    return checkpoint


def _specs_of(link: Link, pattern: str) -> Sequence[dg.AssetSpec]:
    source, topic = source_key(link, pattern), topic_key(link, pattern)
    return (
        dg.AssetSpec(
            source,
            group_name=link.source,
            kinds={"mysql"},
            owners=link.owners,
            description=source_description(link, pattern),
        ),
        dg.AssetSpec(
            topic,
            deps=[source],
            group_name=link.source,
            kinds={"kafka"},
            owners=link.owners,
            description=topic_description(link, pattern),
        ),
        dg.AssetSpec(
            target_key(link, pattern),
            deps=[checkpoint_key(link.name)],
            group_name=link.name,
            kinds={"mysql"},
            owners=link.owners,
            description=target_description(link, pattern),
        ),
    )
