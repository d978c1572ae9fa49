"""The stages of a batch: adapters and core put together, without Dagster.

In order: plan_ranges, pull, normalize, drop_marked, compact, apply; then summarize, or failed.
"""

from dts_pipeline.stages.apply import apply
from dts_pipeline.stages.plan import behind, plan_ranges
from dts_pipeline.stages.pull import pull
from dts_pipeline.stages.reduce import compact, drop_marked, normalize
from dts_pipeline.stages.runtime import LinkRuntime
from dts_pipeline.stages.summary import failed, summarize

__all__ = [
    "LinkRuntime",
    "apply",
    "behind",
    "compact",
    "drop_marked",
    "failed",
    "normalize",
    "plan_ranges",
    "pull",
    "summarize",
]
