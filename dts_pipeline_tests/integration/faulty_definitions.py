"""The definitions as in production, in processes that carry out the orders of `faults`.

A workspace of a test names this module in the place of `dts_pipeline.definitions`.
"""

from __future__ import annotations

import os
from dataclasses import MISSING, fields, replace
from pathlib import Path

from dts_pipeline import stages
from dts_pipeline.config import load_config
from dts_pipeline.core import points
from dts_pipeline.core.batches import Plan
from dts_pipeline.core.points import Point
from dts_pipeline.defs.build import build_definitions
from dts_pipeline.defs.resources import Stages
from dts_pipeline_tests.integration.faults import FAULTS, Faults

_faults = Faults(Path(os.environ[FAULTS]))
_link = ""


def _plan_ranges(runtime: stages.LinkRuntime) -> Plan:
    """A run's process has one link, and here it says which: the points don't."""
    global _link
    _link = runtime.link.name
    return stages.plan_ranges(runtime)


def _meet(point: Point) -> None:
    _faults.meet(_link, point)


_real = Stages(**{f.name: getattr(stages, f.name) for f in fields(Stages) if f.default is MISSING})
points.install(_meet)
defs = build_definitions(
    load_config(os.environ["DTS_CONFIG"]), stages=replace(_real, plan_ranges=_plan_ranges)
)
