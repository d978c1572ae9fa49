"""The JSON Schema of dts.yaml: the file is the command's own, and it agrees with the real check."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from dts_pipeline.cli import main
from dts_pipeline.config import parse_config
from dts_pipeline.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "docs" / "dts.schema.json"
SCHEMA: dict[str, Any] = json.loads(FILE.read_text())
README = re.search(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
MISTAKES = {
    "an unknown key": {"colour": "green"},
    "a secret in the file": {"sites": {"a": {"password": "hunter2"}}},
    "a size without a unit that exists": {"batch": {"max_bytes": "256 megabytes"}},
    "a mark that does not exist": {"mark": "stamp"},
    "a policy that is none": {"pairs": {"shop": {"conflicts": {"policy": "overwrite"}}}},
    "a version of the file that does not exist": {"config_version": 2},
}


def readme() -> dict[str, Any]:
    assert README is not None
    return dict(yaml.safe_load(README[1]))


def merged(into: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """`given` laid over `into`, mapping by mapping."""
    found = dict(into)
    for key, value in given.items():
        old = found.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        found[key] = merged(old, value) if both else value  # type: ignore[arg-type]
    return found


def test_the_file_is_what_the_command_prints() -> None:
    result = CliRunner().invoke(main, ["config-schema"])

    assert result.exit_code == 0
    assert result.stdout == FILE.read_text(), (
        "make it anew: .venv/bin/dts config-schema > docs/dts.schema.json"
    )


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", ["README", "deploy/docker/conf/dts.yaml"])
def test_what_the_tool_takes_the_schema_takes(path: str) -> None:
    data = readme() if path == "README" else yaml.safe_load((ROOT / path).read_text())

    parse_config(yaml.safe_dump(data))
    assert list(Draft202012Validator(SCHEMA).iter_errors(data)) == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_both_refuse(mistake: str) -> None:
    data = merged(readme(), MISTAKES[mistake])

    with pytest.raises(ConfigError):
        parse_config(yaml.safe_dump(data))
    assert list(Draft202012Validator(SCHEMA).iter_errors(data)) != []
