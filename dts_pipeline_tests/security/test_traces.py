"""The search finds what it is meant to find."""

from __future__ import annotations

import base64
import sqlite3
import zlib
from pathlib import Path

import pytest

from dts_pipeline_tests.security.traces import found_in, left_in

TEXT = "planted8d1f"


@pytest.mark.parametrize("before", ["", "x", "xy", "xyz"])
def test_spellings(before: str) -> None:
    text = f"{before}{TEXT} and more"
    blobs = {
        "plain": text.encode(),
        "hex": text.encode().hex().encode(),
        "base64": base64.b64encode(text.encode()),
    }
    assert found_in(blobs.items(), [TEXT, "another"]) == [f"{name}: {TEXT}" for name in blobs]


def test_files_and_compressed_values(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "log").write_text(f"a line\n{TEXT}\n")
    connection = sqlite3.connect(tmp_path / "runs.db")
    connection.execute("CREATE TABLE snapshots (body BLOB)")
    connection.execute("INSERT INTO snapshots VALUES (?)", [zlib.compress(TEXT.encode())])
    connection.commit()
    connection.close()
    places = [line.split("/")[-1] for line in found_in(left_in(tmp_path), [TEXT])]
    assert places == [f"log: {TEXT}", f"runs.db snapshots: {TEXT}"]
