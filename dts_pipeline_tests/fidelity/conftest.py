"""One stack at a time for the benches, and the counts printed at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from dts_pipeline_tests.stacks import Stack, running_stack

_LINES = pytest.StashKey[list[str]]()


@dataclass
class Stacks:
    """The stack of a flavour and mark; the one before is ended when another is asked for."""

    ends: ExitStack = field(default_factory=ExitStack)
    running: Stack | None = None

    def of(self, flavour: str, mark: str) -> Stack:
        if self.running and (self.running.flavour, self.running.mark) == (flavour, mark):
            return self.running
        self.ends.close()
        self.running = self.ends.enter_context(running_stack(flavour, mark))
        return self.running


@pytest.fixture(scope="session")
def stacks() -> Iterator[Stacks]:
    stacks = Stacks()
    yield stacks
    stacks.ends.close()


@pytest.fixture(scope="session")
def counts(request: pytest.FixtureRequest) -> list[str]:
    """Lines to be printed when everything has run."""
    lines: list[str] = []
    request.config.stash[_LINES] = lines
    return lines


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The lines that the benches left."""
    lines = terminalreporter.config.stash.get(_LINES, [])
    if lines:
        terminalreporter.section("every value arrives exactly")
        for line in lines:
            terminalreporter.line(line)
