"""Fixtures: real servers, started once a session and only when a test asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.sampling import IS_SAMPLE
from dts_pipeline_tests.stacks import Stack, running_stack

# No test asserts a time, and an example on a busy machine may take long.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

MakeRig = Callable[..., Rig]
_LINES = pytest.StashKey[list[str]]()
_MARKED = {
    "guards": ("test_bad_", "test_on_servers"),
    "repairs": (
        "test_checksums",
        "test_preview",
        "test_quarantine",
        "test_replay",
        "test_settle",
        "test_trace",
        "test_unique_conflicts",
        "test_verify",
    ),
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Some suites on real servers have targets of their own: `make test-guards` …"""
    for item in items:
        if item.path.parent.name in ("faults", "operation"):
            item.add_marker(item.path.parent.name)
        if item.path.parent.name == "security" and item.get_closest_marker("servers"):
            item.add_marker("security")
        for mark, names in _MARKED.items():
            if item.path.parent.name in ("integration", "preflight") and item.path.name.startswith(
                names
            ):
                item.add_marker(mark)


@pytest.fixture(scope="session")
def stack_mariadb() -> Iterator[Stack]:
    """Two MariaDB servers, marks by origin."""
    with running_stack("mariadb", "origin") as stack:
        yield stack


@pytest.fixture(scope="session")
def stack_mariadb_comment() -> Iterator[Stack]:
    """Two MariaDB servers, marks by comment."""
    with running_stack("mariadb", "comment") as stack:
        yield stack


@pytest.fixture(scope="session")
def stack_mysql() -> Iterator[Stack]:
    """Two MySQL servers, marks by origin."""
    with running_stack("mysql", "origin") as stack:
        yield stack


@pytest.fixture(scope="session")
def stack_mixed() -> Iterator[Stack]:
    """MariaDB at site a and MySQL at site b, marks by origin."""
    with running_stack("mixed", "origin") as stack:
        yield stack


@pytest.fixture(
    scope="session",
    params=[
        "stack_mariadb",
        "stack_mariadb_comment",
        pytest.param("stack_mysql", marks=pytest.mark.mysql),
    ],
)
def each_stack(request: pytest.FixtureRequest) -> Stack:
    """Both kinds of server, and both kinds of mark."""
    found: Stack = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def make_rig(stack_mariadb: Stack, tmp_path: Path) -> MakeRig:
    """Makes a pair of its own on the MariaDB stack: `make_rig("name", "CREATE TABLE …")`."""

    def make(name: str, *ddl: str, **settings: object) -> Rig:
        return Rig(stack_mariadb, name, tmp_path, **settings).create(*ddl)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def is_sample() -> bool:
    """Whether a sample is enough: `SAMPLE=1`."""
    return IS_SAMPLE


@pytest.fixture(scope="session")
def summary(request: pytest.FixtureRequest) -> list[str]:
    """Lines to be printed when everything has run."""
    lines: list[str] = []
    request.config.stash[_LINES] = lines
    return lines


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The lines that tests left."""
    lines = terminalreporter.config.stash.get(_LINES, [])
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.line(line)
