"""`dts status --watch` in a real terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from dts_pipeline.cli import main
from dts_pipeline.commands import exits
from dts_pipeline.errors import TerminalError
from dts_pipeline.stages import failed
from dts_pipeline_tests.conftest import MakeRig
from dts_pipeline_tests.integration.rig import Rig
from dts_pipeline_tests.sampling import full_only

ITEM = "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(40))"
SECONDS = 60.0


class Terminal:
    """A command in a terminal, and what it has shown so far."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        self._own, theirs = pty.openpty()
        variables = {**os.environ, **environment, "COLUMNS": "250", "LINES": "50", "TERM": "xterm"}
        self.process = subprocess.Popen(
            words, stdin=theirs, stdout=theirs, stderr=theirs, env=variables, start_new_session=True
        )
        os.close(theirs)
        self.shown = ""

    def wait_for(self, pattern: str) -> None:
        """Until something new matches."""
        deadline = time.monotonic() + SECONDS
        while not re.search(pattern, self.shown):
            assert time.monotonic() < deadline, self.shown[-3000:]
            if select.select([self._own], [], [], 0.5)[0]:
                self.shown += os.read(self._own, 65536).decode(errors="replace")
        self.shown = ""

    def interrupt(self) -> int:
        """Ctrl-C; the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    rig = make_rig("watched", ITEM)
    rig.sync()
    rig.drain()
    return rig


@pytest.mark.servers
def test_it_shows_what_changes_until_ctrl_c(rig: Rig) -> None:
    dts = str(Path(sys.executable).parent / "dts")
    words = [dts, "status", "--watch", "--interval", "0.2", "--config", str(rig.path)]
    terminal = Terminal(words, rig.stack.env)
    try:
        terminal.wait_for(rf"{rig.forth}.*running")
        runtime = rig.runtime(rig.forth)
        failed(runtime, TerminalError("offsets_lost", "gone"))
        runtime.close()
        terminal.wait_for(r"[^(]offsets_lost \d")
        rig.sql("a", "INSERT INTO item VALUES (1, 'one')")
        rig.sync()
        terminal.wait_for(r"\(offsets_lost \d")
    finally:
        assert terminal.interrupt() == exits.DONE


@pytest.mark.servers
@full_only
def test_the_last_error_wants_attention_until_a_run_ends_well(rig: Rig) -> None:
    def status() -> tuple[int, str]:
        environment = {**rig.stack.env, "DTS_CONFIG": str(rig.path)}
        result = CliRunner().invoke(main, ["status"], env=environment)
        return result.exit_code, result.stdout

    assert status()[0] == exits.DONE
    runtime = rig.runtime(rig.forth)
    failed(runtime, TerminalError("offsets_lost", "gone"))
    runtime.close()
    code, text = status()
    assert (code, " offsets_lost " in text) == (exits.FOUND, True)
    rig.run(rig.forth)
    code, text = status()
    assert (code, "(offsets_lost " in text) == (exits.DONE, True)


def test_a_program_does_not_watch() -> None:
    result = CliRunner().invoke(main, ["status", "--watch", "--json"])
    assert result.exit_code == exits.FAILED
    assert '"usage"' in result.stdout
