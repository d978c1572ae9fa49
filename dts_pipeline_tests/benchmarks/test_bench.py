"""Every contender over one small recorded range on real servers, and a wrong result found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.contenders.autocommit import Autocommit
from benchmarks.contenders.jdbc_sink import JdbcSink
from benchmarks.contenders.pipeline import Pipeline
from benchmarks.errors import BenchError
from benchmarks.measure import measure
from benchmarks.record import Recording, make_numbers, recorded
from benchmarks.results import Run
from benchmarks.setting import running
from benchmarks.workloads import mixed

pytestmark = [pytest.mark.servers, pytest.mark.matrix]
EVENTS = 400


class Nothing:
    """A contender that is fast and wrong."""

    name = "nothing"

    def run(self, recording: Recording) -> Run:
        return Run(self.name, recording.workload.events, 0.001)


@pytest.fixture(scope="module")
def small() -> Iterator[Recording]:
    with running("mariadb", None) as setting:
        for site in "ab":
            make_numbers(setting, site, EVENTS)
        with recorded(setting, mixed(EVENTS)) as recording:
            yield recording


def test_every_contender_ends_as_the_source(small: Recording, tmp_path: Path) -> None:
    contenders = [
        *(Pipeline(tmp_path, detect=True, form=form) for form in ("plain", "schemas")),
        Pipeline(tmp_path, detect=False, staging="insert"),
        JdbcSink(),
        Autocommit(tmp_path),
    ]
    told: list[str] = []
    runs = measure(small, contenders, 1, told.append)
    assert [run.contender for run in runs] == [contender.name for contender in contenders]
    assert all(run.events == EVENTS and run.seconds > 0 for run in runs)
    assert len(told) == len(runs)


def test_a_wrong_result_ends_the_bench(small: Recording) -> None:
    with pytest.raises(BenchError, match="nothing left 1 table"):
        measure(small, [Nothing()], 1, lambda _: None)
