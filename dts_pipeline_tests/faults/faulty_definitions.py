"""The definitions as in production, in processes that carry out the orders of `faults`.

A workspace of a test names this module in the place of `dts_pipeline.definitions`.
"""

from __future__ import annotations

import os
from dataclasses import MISSING, fields
from importlib import import_module
from pathlib import Path
from typing import Any

from dts_pipeline.config import load_config
from dts_pipeline.core import points
from dts_pipeline.defs.build import build_definitions
from dts_pipeline.defs.resources import Stages
from dts_pipeline_tests.faults.orders import FAULTS, Faults

_faults = Faults(Path(os.environ[FAULTS]))
_link: list[str] = []


def _stage(name: str) -> Any:
    """The real stage, imported when a run calls it, as the real definitions do.

    plan_ranges notes the link of the run's process: the points don't tell it.
    """

    def call(*arguments: Any) -> Any:
        if name == "plan_ranges":
            _link[:] = [arguments[0].link.name]
        return getattr(import_module("dts_pipeline.stages"), name)(*arguments)

    return call


points.install(lambda point: _faults.meet(_link[0], point))
defs = build_definitions(
    load_config(os.environ["DTS_CONFIG"]),
    stages=Stages(**{f.name: _stage(f.name) for f in fields(Stages) if f.default is MISSING}),
)
