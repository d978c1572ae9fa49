"""What `make bench` can be asked for."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import main, parse
from benchmarks.workloads import WORKLOADS


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--workloads", "mixed,mixd"], "'mixd'"),
        (["--targets", "postgres"], "'postgres'"),
        (["--contenders", "pipelin"], "'pipelin'"),
        (["--unknown"], "--unknown"),
    ],
)
def test_a_name_that_there_is_not_is_refused(
    arguments: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refusal:
        main(arguments)
    assert refusal.value.code == 2
    assert what in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "workloads", "parts"),
    [
        ([], list(WORKLOADS), ["capture", "startup", "backlog", "lanes", "latency"]),
        (["--workloads", "mixed,hot"], ["mixed", "hot"], []),
        (["--parts", "startup"], [], ["startup"]),
        (["--parts", "startup", "--workloads", "mixed"], ["mixed"], ["startup"]),
    ],
)
def test_naming_only_workloads_or_parts_leaves_the_others_out(
    arguments: list[str], workloads: list[str], parts: list[str]
) -> None:
    found = parse(arguments)
    assert (found.workloads, found.parts) == (workloads, parts)
