"""A contender's own process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.contenders.child import peak_bytes, resident_bytes, run_child, write_result
from benchmarks.errors import BenchError


def test_a_child_that_fails_ends_the_bench_and_leaves_its_words(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    with pytest.raises(BenchError, match=r"exit status 1.*child\.log"):
        run_child("benchmarks.no_such_module", [], os.environ, log)
    assert "no_such_module" in log.read_text()


def test_a_result_carries_the_process_s_largest_memory(tmp_path: Path) -> None:
    write_result(str(tmp_path / "result.json"), {"events": 3})
    assert '"events": 3' in (tmp_path / "result.json").read_text()
    assert peak_bytes("self") >= resident_bytes("self") > 2**20
