"""Dagster's way in: reads dts.yaml (its path in DTS_CONFIG) and builds the definitions.

A mistake in dts.yaml is shown as the code location's error; no server is asked here.
"""

from __future__ import annotations

import os

from dts_pipeline.config import load_config
from dts_pipeline.defs.build import build_definitions

defs = build_definitions(load_config(os.environ.get("DTS_CONFIG", "dts.yaml")))
