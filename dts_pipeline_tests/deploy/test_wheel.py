"""The wheel: installed with pip into an environment of its own, away from the repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from dts_pipeline_tests.deploy.composition import DEPLOY, ROOT

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(900)]
SECRETS = {
    name: f"secret-of-{name.lower()}"
    for name in (
        "DTS_A_PASSWORD",
        "DTS_B_PASSWORD",
        "DTS_A_CONNECTOR_PASSWORD",
        "DTS_B_CONNECTOR_PASSWORD",
    )
}
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    words = ("-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    subprocess.run([sys.executable, *words], check=True, timeout=300)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory, summary: list[str]) -> Run:
    """Runs a program of an environment into which only the wheel was installed."""
    home = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([DEPLOY.parent / "deploy" / "make-venv", home / "venv"], check=True, timeout=300)
    programs = home / "venv" / "bin"
    began = time.monotonic()
    constraints = str(ROOT / "constraints.txt")
    words = ("install", "--quiet", "--disable-pip-version-check", "-c", constraints, str(wheel))
    subprocess.run([programs / "pip", *words], check=True, timeout=600, cwd=home)
    size = wheel.stat().st_size / 1024
    summary.append(f"{wheel.name}: {size:.0f} KiB, pip install {time.monotonic() - began:.0f} s")
    (home / "dts.yaml").write_text((DEPLOY / "docker" / "conf" / "dts.yaml").read_text())

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return subprocess.run(
            [programs / program, *arguments],
            cwd=home,
            env={**kept, **SECRETS, "DAGSTER_HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    assert {name.split("/")[0].partition("-")[0] for name in names} == {"dts_pipeline"}
    assert "dts_pipeline/py.typed" in names
    assert any(name.endswith("LICENSE") for name in names)
    packaged = {name for name in names if name.endswith(".py")}
    assert packaged == {str(p.relative_to(ROOT)) for p in (ROOT / "dts_pipeline").rglob("*.py")}


def test_dts_helps(installed: Run) -> None:
    done = installed("dts", "--help")

    assert done.returncode == 0, done.stderr
    assert "preflight" in done.stdout


def test_dts_init_shows_sql_and_grants_without_a_server(installed: Run) -> None:
    done = installed("dts", "init", "--print")

    assert done.returncode == 0, done.stderr
    assert "GRANT REPLICATION_APPLIER ON *.* TO 'dts'@'%';" in done.stdout
    assert [value for value in SECRETS.values() if value in done.stdout + done.stderr] == []


def test_dts_prints_the_schema_of_its_configuration(installed: Run) -> None:
    done = installed("dts", "config-schema")

    assert json.loads(done.stdout)["title"] == "dts.yaml"


def test_dagster_loads_the_definitions(installed: Run) -> None:
    done = installed("dagster", "definitions", "validate", "-m", "dts_pipeline.definitions")

    assert done.returncode == 0, done.stderr[-2000:]


LAUNCHER_TAKES = """
import json, sys
from dagster_k8s.job import UserDefinedDagsterK8sConfig
given = json.loads(sys.argv[1])
print(UserDefinedDagsterK8sConfig.from_dict(given).container_config["security_context"])
"""


def test_the_launcher_for_kubernetes_takes_its_part_of_the_values(
    installed: Run, wheel: Path
) -> None:
    constraints = str(ROOT / "constraints.txt")
    done = installed("pip", "install", "--quiet", "-c", constraints, f"{wheel}[kubernetes]")
    assert done.returncode == 0, done.stderr
    values = yaml.safe_load((DEPLOY / "kubernetes" / "values.yaml").read_text())
    part = values["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    names = {
        "containerConfig": "container_config",
        "podSpecConfig": "pod_spec_config",
        "jobSpecConfig": "job_spec_config",
    }
    given = json.dumps({names[key]: value for key, value in part.items()})
    taken = installed("python", "-c", LAUNCHER_TAKES, given)

    assert taken.returncode == 0, taken.stderr[-2000:]
    assert "'read_only_root_filesystem': True" in taken.stdout
