"""What ends a benchmark."""

from __future__ import annotations


class BenchError(Exception):
    """The benchmark could not be done, or somebody's result was wrong."""
