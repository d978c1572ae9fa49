"""What an application of a batch needs, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dts_pipeline.core.batches import Batch
from dts_pipeline.core.decode import ValueModes
from dts_pipeline.core.links import Link
from dts_pipeline.core.marks import Mark
from dts_pipeline.core.schema import ForeignKey, Table


@dataclass(frozen=True)
class ApplyRequest:
    """One batch on its way; tables by `schema.table`, as they are at each site.

    `run_id` is Dagster's, if one is under way. `compare_json` says that the two sites store JSON
    differently. `holds_quarantined` false takes changes of keys in quarantine like any other: for
    what is to free them. `cascades` are the foreign keys whose cascades the source does not log.
    `loads` lets the stages be filled by LOAD DATA LOCAL, `inserts` also tables that just take rows
    in: only without cascades, which read the stages.
    """

    link: Link
    batch: Batch
    tables: Mapping[str, Table]
    source_tables: Mapping[str, Table]
    mark: Mark
    modes: ValueModes
    compare_json: bool
    run_id: str = ""
    holds_quarantined: bool = True
    cascades: tuple[ForeignKey, ...] = ()
    loads: bool = False
    inserts: bool = False


@dataclass(frozen=True)
class ApplyResult:
    """`outcome`: applied, already_applied or paused; counts per table."""

    outcome: str
    tables: Mapping[str, Mapping[str, int]]
