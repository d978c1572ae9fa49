"""One stack at a time for the benches, and the counts printed at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from dts_pipeline_tests.stacks import Stack, running_stack


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
