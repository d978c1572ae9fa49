"""Dagster: resources, ops, assets, jobs, schedules and sensors around the stages."""
