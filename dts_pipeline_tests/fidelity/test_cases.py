"""Every case of `cases/` through real servers, both directions, compared byte by byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from dts_pipeline_tests.case_files import Case, all_cases
from dts_pipeline_tests.fidelity.bench import DIRECTIONS, CaseBench, differences
from dts_pipeline_tests.fidelity.conftest import Stacks
from dts_pipeline_tests.fidelity.drawn import SEED, drawn_cases
from dts_pipeline_tests.fidelity.settings import SETTINGS, Setting, params

_BY_NAME = {case.name: case for case in all_cases()}


@pytest.fixture(scope="module", params=params())
def setting(request: pytest.FixtureRequest) -> Setting:
    found: Setting = request.param
    return found


@pytest.fixture(scope="module")
def bench(
    request: pytest.FixtureRequest,
    setting: Setting,
    stacks: Stacks,
    summary: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> CaseBench:
    """The cases that were asked for (`-k`), run together."""
    asked = {
        item.callspec.params.get("name")
        for item in request.session.items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
        if item.callspec.params.get("setting") == setting
    }
    cases = [case for case in _BY_NAME.values() if case.name in asked and setting.takes(case)]
    stack = stacks.of(setting.flavour, setting.mark)
    bench = CaseBench(stack, tmp_path_factory.mktemp("cases"), cases, setting.modes.settings)
    bench.run()
    summary.append(f"{setting}: {bench.line()}")
    return bench


@pytest.fixture(scope="module")
def drawn(
    setting: Setting, stacks: Stacks, summary: list[str], tmp_path_factory: pytest.TempPathFactory
) -> CaseBench:
    """Tables and rows drawn at random, as many as fit into a minute or two."""
    cases = [case for case in drawn_cases(setting.flavour) if setting.takes(case)]
    stack = stacks.of(setting.flavour, setting.mark)
    directory = tmp_path_factory.mktemp("drawn")
    bench = CaseBench(stack, directory, cases, setting.modes.settings, "drawn")
    summary.append(f"{setting}: tables drawn at random, DTS_FIDELITY_SEED={SEED}")
    bench.run()
    summary.append(f"{setting}: drawn at random: {bench.line()}")
    return bench


@pytest.mark.servers
@pytest.mark.fidelity
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", _BY_NAME)
def test_case(bench: CaseBench, name: str, direction: str) -> None:
    if _BY_NAME[name] not in bench.cases:
        pytest.skip("not for this setting: other types than the flavour has, or than it is about")
    if bench.broken:
        pytest.fail("the bench did not come to an end: see the summary", pytrace=False)
    assert bench.problems[name, direction] == []


@pytest.mark.servers
@pytest.mark.fidelity
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_tables_and_rows_drawn_at_random(drawn: CaseBench, direction: str) -> None:
    if drawn.broken:
        pytest.fail("the bench did not come to an end: see the summary", pytrace=False)
    assert drawn.compared > 0
    found = {
        name: (problems, next(case for case in drawn.cases if case.name == name))
        for (name, there), problems in drawn.problems.items()
        if problems and there == direction
    }
    assert found == {}, f"repeat with DTS_FIDELITY_SEED={SEED}"


def test_there_are_enough_cases() -> None:
    assert len(_BY_NAME) >= 90


def test_every_readable_mode_has_a_setting() -> None:
    settings = [setting.modes.settings for setting in SETTINGS if setting.mark == "origin"]
    for name, modes in {
        "decimal.handling.mode": {"string"},
        "bigint.unsigned.handling.mode": {"precise"},
        "time.precision.mode": {"microseconds", "isostring"},
        "binary.handling.mode": {"base64", "base64-url-safe", "hex"},
        "value.converter.schemas.enable": {"true"},
    }.items():
        assert {s[name] for s in settings if name in s} == modes


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
