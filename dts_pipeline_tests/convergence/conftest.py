"""The summary of long runs, printed at the end of the tests."""

from __future__ import annotations

import os

import pytest

_LINES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def is_sample() -> bool:
    """Whether a sample is enough: `SAMPLE=1`."""
    return os.environ.get("SAMPLE", "0") not in ("", "0")


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
        terminalreporter.section("both sites end equal")
        for line in lines:
            terminalreporter.line(line)
