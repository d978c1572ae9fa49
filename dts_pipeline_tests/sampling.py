"""Whether a sample of a long suite is enough: `SAMPLE=1`."""

from __future__ import annotations

import os

import pytest

IS_SAMPLE = os.environ.get("SAMPLE", "0") not in ("", "0")

full_only = pytest.mark.skipif(IS_SAMPLE, reason="a sample does without")
