"""Measurements in turn and repeated, each checked against the source."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from benchmarks.contenders.child import cpu_seconds
from benchmarks.record import Recording
from benchmarks.results import Run


class Contender(Protocol):
    """Carries a recorded range to the target."""

    @property
    def name(self) -> str:
        """What the tables call it."""

    def run(self, recording: Recording) -> Run:
        """Carries the range once; the target is as before the range. Raises BenchError."""


def measure(
    recording: Recording,
    contenders: Sequence[Contender],
    repeat: int,
    tell: Callable[[str], None],
) -> list[Run]:
    """`repeat` rounds of every contender; each round begins with another one.

    After each run the target must hold what the source holds. Raises BenchError.
    """
    runs = []
    server = str(recording.setting.pid("site_b"))
    for number in range(repeat):
        start = number % len(contenders)
        for contender in (*contenders[start:], *contenders[:start]):
            began = time.monotonic()
            recording.reset_target()
            before = cpu_seconds(server)
            run = contender.run(recording)
            run = replace(run, target_cpu=cpu_seconds(server) - before)
            recording.check_target(contender.name)
            runs.append(run)
            stages = " ".join(f"{name} {value:.2f}" for name, value in run.stages.items())
            tell(
                f"{recording.workload.name} {number + 1}/{repeat} {run.contender}: "
                f"{run.seconds:.2f} s, {run.rate:,.0f} events/s "
                f"({time.monotonic() - began:.1f} s in all) {stages}"
            )
    return runs
