"""This pipeline: the link's real Dagster job, in a fresh process as `dts sync` runs it."""

from __future__ import annotations

import itertools
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.contenders.child import run_child
from benchmarks.errors import BenchError
from benchmarks.record import Recording
from benchmarks.results import Run
from benchmarks.setting import ROOT

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Pipeline:
    """One way to set up the link: with or without detection, which messages it reads.

    `staging`: dts.yaml's `batch.staging`; `auto` is LOAD DATA here, where both ends allow it.
    """

    folder: Path
    detect: bool
    form: str = "plain"
    staging: str = "auto"
    profile: bool = False

    @property
    def name(self) -> str:
        """What the tables call it."""
        parts = ["pipeline", f"detection {'on' if self.detect else 'off'}"]
        parts += ["messages with schemas"] if self.form != "plain" else []
        parts += ["staged by INSERT"] if self.staging == "insert" else []
        return ", ".join(parts)

    def run(self, recording: Recording) -> Run:
        """Carries the recorded range once, under a link's name that was never used before.

        A new name has no checkpoint yet, and MySQL's mark of its own.
        """
        link = f"bench_{next(_numbers)}_{time.time_ns() // 10**9:x}"
        path = self.folder / f"{link}.yaml"
        document = recording.document(self.form, link, self._settings(recording))
        document["batch"] = {"staging": self.staging}
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        profile = self.folder / f"{recording.workload.name}-{link}.prof"
        module = "benchmarks.contenders.pipeline_child"
        found = run_child(
            module,
            [str(path), link, *([str(profile)] if self.profile else [])],
            {**os.environ, **recording.setting.secrets, "DAGSTER_HOME": str(self._home())},
            self.folder / "pipeline.log",
        )
        self._check(recording, found)
        return Run(
            contender=self.name,
            events=recording.workload.events,
            seconds=found["ended"] - found["planned"],
            startup=found["planned"] - found["spawned"],
            first_read=found["read"] - found["spawned"],
            peak_bytes=found["peak_bytes"],
            stages=found["stages"],
            cpu=found["cpu"],
        )

    def _settings(self, recording: Recording) -> dict[str, Any]:
        source = recording.sources[self.form]
        detection = {"conflicts": {"policy": {"site": source}}} if self.detect else {}
        return {"detect": self.detect, **detection}

    def _home(self) -> Path:
        """DAGSTER_HOME: the events are stored as in an installation."""
        home = (self.folder / "dagster").absolute()
        home.mkdir(exist_ok=True)
        if not (home / "dagster.yaml").exists():
            shutil.copy(ROOT / "deploy" / "dagster.yaml", home / "dagster.yaml")
        return home

    def _check(self, recording: Recording, found: dict[str, Any]) -> None:
        wanted = recording.workload.events
        if found["events"] != wanted or found["open_conflicts"]:
            raise BenchError(
                f"{self.name} read {found['events']:,} events of {wanted:,} and left "
                f"{found['open_conflicts']:,} open conflicts"
            )
