"""`make audit` never takes a silent advisory service for a clean bill."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dts_pipeline_tests.stacks import ROOT

INSTALLED = {"click": "8.5.1", "pyyaml": "6.0.3", "dts-pipeline": "0.1.0"}


@pytest.fixture
def audit(tmp_path: Path) -> ModuleType:
    """The program, writing into a folder of the test's own."""
    loader = importlib.machinery.SourceFileLoader("audit", str(ROOT / "deploy" / "audit"))
    spec = importlib.util.spec_from_loader("audit", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    module.FOLDER = tmp_path  # type: ignore[attr-defined]
    return module


def component(name: str, version: str) -> dict[str, str]:
    return {"name": name, "version": version, "purl": f"pkg:pypi/{name.lower()}@{version}"}


def test_an_sbom_that_is_whole(audit: ModuleType) -> None:
    whole = [component("click", "8.5.1"), component("PyYAML", "6.0.3"), {"name": "dts_pipeline"}]
    assert audit.differences({"components": whole}, INSTALLED) == []


@pytest.mark.parametrize(
    ("components", "says"),
    [
        ([component("PyYAML", "6.0.3")], "click 8.5.1 is missing"),
        ([component("click", "8.5.0"), component("PyYAML", "6.0.3")], "click is 8.5.1, not 8.5.0"),
        (
            [{"name": "click", "version": "8.5.1"}, component("PyYAML", "6.0.3")],
            "click: None",
        ),
    ],
)
def test_an_sbom_that_lacks_something(
    audit: ModuleType, components: list[dict[str, str]], says: str
) -> None:
    own = {"name": "dts-pipeline"}
    assert audit.differences({"components": [*components, own]}, INSTALLED) == [says]


@pytest.mark.parametrize(
    ("answers", "status", "says"),
    [
        ([{"vulns": []}, {"vulns": []}], 0, "audited 2 packages at pypi: 0 known"),
        ([{"vulns": []}, {"vulns": [{"id": "PYSEC-1", "fix_versions": ["9"]}]}], 1, "PYSEC-1"),
        ([{"vulns": []}, {"skip_reason": "not found on PyPI"}], 3, "NOT AUDITED"),
        (None, 3, "NOT AUDITED"),
    ],
    ids=["clean", "vulnerable", "a package that the service does not know", "no service"],
)
def test_what_the_service_says(
    audit: ModuleType,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    answers: list[dict[str, Any]] | None,
    status: int,
    says: str,
) -> None:
    names = ("click", "pyyaml")
    listed = [{"name": n, "version": "1", **a} for n, a in zip(names, answers or [], strict=False)]
    text = json.dumps({"dependencies": listed}) if answers else "no connection"
    program = tmp_path / "pip-audit"  # it answers as pip-audit does, whose status is 0 either way
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
    program.chmod(0o755)
    assert audit.audited(tmp_path, INSTALLED) == status
    assert says in capsys.readouterr().out
