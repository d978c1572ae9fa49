"""Every case of `cases/` through real servers, both directions, compared byte by byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dts_pipeline_tests.case_files import Case, all_cases
from dts_pipeline_tests.integration.case_bench import DIRECTIONS, CaseBench, differences
from dts_pipeline_tests.stacks import running_stack

_RIGS = [
    pytest.param(("mariadb", "origin")),
    pytest.param(("mixed", "origin"), marks=pytest.mark.mysql),
    pytest.param(("mysql", "origin"), marks=pytest.mark.mysql),
    *(
        pytest.param((flavour, "comment"), marks=pytest.mark.mysql)
        for flavour in ("mariadb", "mysql", "mixed")
    ),
]
_BY_NAME = {case.name: case for case in all_cases()}


@pytest.fixture(scope="module", params=_RIGS, ids="-".join)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    flavour, mark = request.param
    cases = [case for case in _BY_NAME.values() if flavour in case.flavours]
    with running_stack(flavour, mark) as stack:
        bench = CaseBench(stack, tmp_path_factory.mktemp("cases"), cases)
        bench.run()
        yield bench


@pytest.mark.servers
@pytest.mark.fidelity
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", _BY_NAME)
def test_case(bench: CaseBench, name: str, direction: str) -> None:
    if _BY_NAME[name] not in bench.cases:
        pytest.skip("its types are not those of this flavour")
    assert bench.problems[name, direction] == []


def test_there_are_enough_cases() -> None:
    assert len(_BY_NAME) >= 90


@pytest.mark.parametrize("case", _BY_NAME.values(), ids=lambda case: case.name)
def test_a_case_has_what_the_runner_reads(case: Case) -> None:
    known = {
        "create.sql", "create.b.sql", "change.sql", "only.txt", "expect.sql",
        "expect.target.sql", "expect.differs", "expect.refused", "expect.records",
    }  # fmt: skip
    there = {path.name for path in Path(case.path).iterdir()}
    assert there <= known
    assert "create.sql" in there
    assert case.flavours <= {"mariadb", "mysql", "mixed"}
    for kind in ("mariadb", "mysql"):
        made = case.create("a", kind) + case.create("b", kind)
        assert any(case.name in statement for statement in made) or case.flavours <= {kind}
        assert case.refused or any(case.parts(kind)[0])


def test_one_value_that_differs_is_told() -> None:
    rows = {("1",): {"v": "41"}, ("2",): {"v": None}}
    assert list(differences(rows, rows)) == []
    other = {("1",): {"v": "61"}, ("3",): {"v": None}}
    found = list(differences(rows, other))
    assert len(found) == 3
    assert "key ('1',), v: '41' at a, '61' at b" in found
