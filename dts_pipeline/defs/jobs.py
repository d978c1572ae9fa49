"""The jobs: one a link, for its schedule, its sensor and `dts sync`."""

from __future__ import annotations

import dagster as dg

from dts_pipeline.core.links import Link
from dts_pipeline.defs.comparing import TOUCHED_KEYS
from dts_pipeline.defs.contract import contract_check_key
from dts_pipeline.defs.keys import LANE_TAG, checkpoint_key, job_name, lane_of


def sync_job(link: Link) -> dg.UnresolvedAssetJobDefinition:
    """Carries what Kafka holds past the checkpoint, as many batches as fit into `max_seconds`.

    Without the checks of `check_<link>`, one of which waits for runs of this lane.
    """
    key = checkpoint_key(link.name)
    apart = dg.AssetSelection.checks(
        dg.AssetCheckKey(key, TOUCHED_KEYS), contract_check_key(link.name)
    )
    return dg.define_asset_job(
        job_name(link.name),
        selection=dg.AssetSelection.assets(key) - apart,
        description=f"Carries the changes of {link.source} to {link.target}.",
        tags=None if link.lanes else {LANE_TAG: lane_of(link)},
        executor_def=dg.in_process_executor,
    )
