"""How often a batch is repeated, and what it ends in, by what went wrong."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dts_pipeline.adapters.apply_request import ApplyRequest, ApplyResult
from dts_pipeline.adapters.mysql_writer import BatchWriter
from dts_pipeline.errors import TerminalError, TransientError

DONE = ApplyResult("applied", {})


class Outrun(BatchWriter):
    """A target where so many attempts meet a duplicate in `index` before one goes through."""

    def __init__(self, index: str, times: int) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self.left, self.index = times, index

    def _attempt(self, request: Any) -> ApplyResult:
        if not self.left:
            return DONE
        self.left -= 1
        raise TransientError("duplicate_key", "is there", where={"index": self.index}, remedy="")

    def _end_last_session(self, link: str, lane: str) -> None:
        pass


def request() -> ApplyRequest:
    """As much of one as `apply` itself looks at."""
    lane = SimpleNamespace(lane="main")
    batch = SimpleNamespace(before=lane)
    return cast(ApplyRequest, SimpleNamespace(link=SimpleNamespace(name="l"), batch=batch))


def test_nothing_keeps_a_batch_once_it_is_applied() -> None:
    """Without the garbage collector, which comes by only after many a batch."""
    gc.collect()
    gc.disable()
    try:
        applied = request()
        seen = weakref.ref(applied)
        assert Outrun("PRIMARY", times=0).apply(applied) is DONE
        del applied
        assert seen() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("index", ["PRIMARY", "hot.PRIMARY"])
def test_a_key_that_a_user_inserts_first_is_looked_at_again_and_again(index: str) -> None:
    assert Outrun(index, times=20).apply(request()) is DONE


def test_a_key_that_is_never_reached_first_leaves_the_batch_to_the_next_run() -> None:
    with pytest.raises(TransientError) as caught:
        Outrun("PRIMARY", times=1_000).apply(request())
    assert caught.value.code == "duplicate_key"


def test_a_unique_value_that_stays_another_row_s_ends_the_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dts_pipeline.adapters.mysql_writer._WAIT", lambda _state: 0)
    with pytest.raises(TerminalError) as caught:
        Outrun("email", times=1_000).apply(request())
    assert caught.value.code == "unique_conflict"
