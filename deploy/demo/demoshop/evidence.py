"""What Dagster's run storage says: which runs there were and who started them."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

SCHEDULE_TAG = "dagster/schedule_name"


@dataclass(frozen=True)
class Runs:
    """Finished runs by job: how many by status, and the ids of those no schedule started."""

    by_job: dict[str, dict[str, int]]
    schedules: dict[str, str]
    started_by_hand: list[str]

    def succeeded(self, job: str) -> int:
        """How many runs of a job succeeded."""
        return self.by_job.get(job, {}).get("SUCCESS", 0)

    @property
    def failed(self) -> int:
        """How many runs failed."""
        return sum(by_status.get("FAILURE", 0) for by_status in self.by_job.values())


def runs_of(home: Path) -> Runs:
    """Reads the run storage of a DAGSTER_HOME."""
    os.environ["DAGSTER_HOME"] = str(home)
    with dg.DagsterInstance.get() as instance:
        runs = instance.get_runs()
    by_job: dict[str, Counter[str]] = {}
    for run in runs:
        by_job.setdefault(run.job_name, Counter())[run.status.value] += 1
    return Runs(
        by_job={job: dict(by_status) for job, by_status in by_job.items()},
        schedules={r.job_name: r.tags[SCHEDULE_TAG] for r in runs if SCHEDULE_TAG in r.tags},
        started_by_hand=[run.run_id for run in runs if SCHEDULE_TAG not in run.tags],
    )
