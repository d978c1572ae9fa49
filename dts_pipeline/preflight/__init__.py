"""Looks for everything that would stop a link or lose rows, before the first row is carried."""

from dts_pipeline.preflight.findings import Finding, Severity
from dts_pipeline.preflight.run import run_preflight

__all__ = ["Finding", "Severity", "run_preflight"]
