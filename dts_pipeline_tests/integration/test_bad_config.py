"""Mistakes in dts.yaml and its variables, by the command that a user would run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dts_pipeline.cli import main
from dts_pipeline.commands import exits

SECRETS = {"DTS_A_PASSWORD": "secret-of-a", "DTS_B_PASSWORD": "secret-of-b"}
SOUND = """
kafka: {bootstrap.servers: "127.0.0.1:1"}
sites:
  a: {host: 127.0.0.1, port: 1, user: dts, password: "${DTS_A_PASSWORD}", topic_prefix: a}
  b: {host: 127.0.0.1, port: 1, user: dts, password: "${DTS_B_PASSWORD}", topic_prefix: b}
mark: origin
pairs:
  shop:
    sites: [a, b]
    tables: ["shop.*"]
    conflicts: {policy: {site: a}}
"""
POLICY = "    conflicts: {policy: {site: a}}\n"


@pytest.mark.parametrize("words", [("sync", "a_to_b"), ("preflight",)])
@pytest.mark.parametrize(
    ("old", "new", "path", "says"),
    [
        ("mark: origin", "mark: origin\nmarks: origin", "marks", "unknown key"),
        ("    tables:", "    table: x\n    tables:", "pairs.shop.table", "unknown key"),
        (POLICY, "", "pairs.shop.conflicts", "a pair must name a conflict policy"),
        ("{policy: {site: a}}", "{}", "pairs.shop.conflicts.policy", "is required"),
        ("{site: a}", "overwrite", "pairs.shop.conflicts.policy", "`overwrite` is refused"),
        ("{site: a}", "{site: c}", "pairs.shop.conflicts.policy.site", "must be one of a, b"),
        ('"${DTS_B_PASSWORD}"', "secret-of-b", "sites.b.password", "${NAME}"),
        ("shop.*", "dts.*", "pairs.shop.tables.0", "ledger"),
        ("mark: origin", "mark: [origin", "line 7, column 6", "expected"),
    ],
)
def test_a_mistake_is_named_with_its_path(
    tmp_path: Path, words: tuple[str, ...], old: str, new: str, path: str, says: str
) -> None:
    assert SOUND.count(old) == 1
    error = refused(tmp_path, SOUND.replace(old, new), words, SECRETS)
    assert [p["path"] for p in error["problems"]] == [path]
    assert says in error["problems"][0]["message"]
    assert "secret-of" not in json.dumps(error)


@pytest.mark.parametrize("words", [("sync", "a_to_b"), ("preflight",)])
def test_variables_that_are_not_set_are_all_named(tmp_path: Path, words: tuple[str, ...]) -> None:
    error = refused(tmp_path, SOUND, words, {})
    assert [p["path"] for p in error["problems"]] == ["${DTS_A_PASSWORD}", "${DTS_B_PASSWORD}"]


def refused(
    folder: Path, text: str, words: tuple[str, ...], environment: dict[str, str]
) -> dict[str, Any]:
    """The error of a command with this dts.yaml and no other variables."""
    path = folder / "dts.yaml"
    path.write_text(text)
    unset = {**dict.fromkeys(SECRETS), "DAGSTER_HOME": None, "DTS_CONFIG": str(path)}
    done = CliRunner().invoke(main, [*words, "--json"], env={**unset, **environment})
    assert done.exit_code == exits.FAILED, done.output
    error = dict(json.loads(done.stdout)["error"])
    assert error["code"] == "config_invalid"
    assert error["remedy"]
    return error
