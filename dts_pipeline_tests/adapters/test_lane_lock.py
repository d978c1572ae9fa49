"""Which holder of a lane's lock is ended, as the server's process list tells it."""

from __future__ import annotations

from typing import Any

import pytest

from dts_pipeline.adapters.lane_lock import HALF_DEAD_SECONDS, lane_lock, lock_lane
from dts_pipeline.errors import TerminalError

HOLDER = 7
LATE = HALF_DEAD_SECONDS


class Server:
    """A server's answers; the lock is free once its holder has been killed."""

    def __init__(self, *processes: tuple[int, str, int]) -> None:
        self.processes = processes
        self.killed: list[str] = []
        self._rows: list[tuple[Any, ...]] = []

    def execute(self, statement: str, _parameters: object = None) -> None:
        if statement.startswith("KILL"):
            self.killed.append(statement)
        elif statement.startswith("SHOW"):
            self._rows = [(n, "dts", "", "", what, s, "", None) for n, what, s in self.processes]
        else:
            self._rows = [(1, None)] if self.killed else [(0, HOLDER)]

    def fetchone(self) -> tuple[Any, ...]:
        return self._rows[0]

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._rows


def locked(server: Server) -> None:
    lock_lane(server, "a_to_b", "main")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "processes", [[(HOLDER, "Sleep", LATE)], [(8, "Sleep", 0), (HOLDER, "Killed", 0)], []]
)
def test_a_holder_whose_client_is_silent_is_ended(processes: list[tuple[int, str, int]]) -> None:
    server = Server(*processes)
    locked(server)
    assert server.killed == [f"KILL {HOLDER}"]


@pytest.mark.parametrize(
    "processes", [[(HOLDER, "Sleep", LATE - 1)], [(HOLDER, "Query", 900), (8, "Sleep", 900)]]
)
def test_a_holder_that_works_is_let_be(processes: list[tuple[int, str, int]]) -> None:
    server = Server(*processes)
    with pytest.raises(TerminalError) as caught:
        locked(server)
    assert caught.value.code == "lane_busy"
    assert caught.value.where["session"] == HOLDER
    assert server.killed == []


def test_the_lock_s_name_fits_into_mysql_s_64_characters() -> None:
    assert len(lane_lock("l" * 200, "main")) <= 64
