"""What the files of deploy/ say, without an engine: pins, secrets, and settings told twice."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dts_pipeline.config import load_config
from dts_pipeline_tests.deploy.composition import CONNECT_IMAGE, DEPLOY, IMAGE, base_images

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "docker-compose.yaml").read_text())
PLAIN: dict[str, Any] = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
IN_CONTAINERS: dict[str, Any] = yaml.safe_load((DEPLOY / "docker" / "dagster.yaml").read_text())
LAUNCHER = IN_CONTAINERS["run_launcher"]["config"]
DTS_YAML = DEPLOY / "docker" / "conf" / "dts.yaml"


def test_every_image_is_pinned_to_one_version() -> None:
    pinned = re.compile(r"[\w/.-]+:\d+\.\d+[\w.-]*")

    assert [name for name in base_images() if not pinned.fullmatch(name)] == []
    assert len(base_images()) == 6


def test_our_images_are_named_alike_everywhere() -> None:
    assert COMPOSE["services"]["code"]["image"] == f"${{DTS_IMAGE:-{IMAGE}}}"
    assert COMPOSE["services"]["connect"]["image"] == f"${{DTS_CONNECT_IMAGE:-{CONNECT_IMAGE}}}"


@pytest.mark.parametrize("key", sorted(PLAIN.keys() - {"run_launcher", "storage"}))
def test_dagster_runs_in_containers_by_the_same_settings(key: str) -> None:
    assert IN_CONTAINERS[key] == PLAIN[key]


def test_a_run_is_given_what_the_links_need_and_no_more() -> None:
    config = load_config(DTS_YAML)
    needed = {site.password for site in config.sites.values()}
    own = {f"${{{name}}}" for name in LAUNCHER["env_vars"] if name.startswith("DTS_")}

    assert own - {"${DTS_IMAGE}", "${DTS_NETWORK}"} == needed


@pytest.mark.parametrize("service", ["daemon", "code"])
def test_services_have_what_they_pass_on(service: str) -> None:
    missing = set(LAUNCHER["env_vars"]) - COMPOSE["services"][service]["environment"].keys()

    assert missing == set()


def test_a_run_s_container_is_as_closed_as_the_services() -> None:
    service, run = COMPOSE["services"]["code"], LAUNCHER["container_kwargs"]

    assert run["auto_remove"] is True
    for key in ("user", "read_only", "cap_drop", "security_opt", "init", "pids_limit"):
        assert run[key] == service[key], key


def test_every_service_is_kept_from_new_rights_and_bounded() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        assert "privileged" not in service, name


def test_every_password_comes_from_the_environment() -> None:
    text = (DEPLOY / "docker-compose.yaml").read_text()
    named = set(re.findall(r"\$\{(\w*PASSWORD\w*):\?run deploy/docker/make-env\}", text))
    given = re.findall(r"(\w*PASSWORD\w*): \"?(\S+?)\"?[,}\n]", text)

    assert [name for name, value in given if not value.startswith("${")] == []
    assert len(named) == 8


def test_make_env_draws_every_secret_once_and_for_the_owner_only(tmp_path: Path) -> None:
    text = (DEPLOY / "docker-compose.yaml").read_text()
    file = tmp_path / "env"
    script = str(DEPLOY / "docker" / "make-env")
    subprocess.run([script, str(file)], check=True, capture_output=True)
    first = file.read_text()
    subprocess.run([script, str(file)], check=True, capture_output=True)
    pairs = dict(line.split("=", 1) for line in first.splitlines() if "=" in line)

    assert file.read_text() == first
    assert file.stat().st_mode & 0o777 == 0o600
    assert set(re.findall(r"\$\{(\w+):\?run", text)) == set(pairs)
    assert len(set(pairs.values())) == len(pairs)
    assert min(map(len, pairs.values())) >= 22


def test_no_secret_reaches_the_builder() -> None:
    kept = (DEPLOY.parent / ".dockerignore").read_text().splitlines()

    assert "*" in kept
    assert not [line for line in kept if line.startswith("!") and ".env" in line]


_STAND_INS = {
    "apt-get": "[[ $1 != download ]] || touch docker-compose_1_amd64.deb",
    "dpkg-deb": 'mkdir -p "$3" && touch "$3/docker-compose" && chmod +x "$3/docker-compose"',
    "docker": "exit 1",
    "id": "echo 0",
}
"""What would change the machine, by name: the line that is run instead of it."""


def test_compose_of_sid_is_unpacked_and_nothing_of_sid_is_installed(tmp_path: Path) -> None:
    programs, calls = tmp_path / "bin", tmp_path / "calls"
    programs.mkdir()
    for name, line in _STAND_INS.items():
        program = programs / name
        log = f'echo "{name} $1 under=${{APT_CONFIG:-}}" >>{calls}'
        program.write_text(f"#!/bin/bash\n{log}\n{line}\n")
        program.chmod(0o755)
    tools = "bash cat chmod dirname env find head install mkdir rm touch"
    for name in tools.split():
        (programs / name).symlink_to(str(shutil.which(name)))
    environment = {
        "PATH": str(programs),
        "DTS_LOCAL_CACHE": str(tmp_path / "cache"),
        "DTS_LOCAL_DEBIAN_MIRROR": "http://mirror.invalid/debian",
    }
    script = DEPLOY / "engine" / "install"
    subprocess.run([script], env=environment, check=True, capture_output=True)

    assert (tmp_path / "cache/compose/cli-plugins/docker-compose").is_file()
    asked = calls.read_text().splitlines()
    under = f"under={tmp_path / 'cache/compose/apt/apt.conf'}"
    assert [line for line in asked if line.endswith(under)] == [
        f"apt-get update {under}",
        f"apt-get download {under}",
    ]
