"""`--help` and the shell's completion: nothing that a person would have to guess."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from dts_pipeline.cli import main
from dts_pipeline_tests.test_cli import SETTINGS


def commands(group: click.Group = main, path: str = "dts") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


ALL = dict(commands())


def completed(*words: str) -> list[str]:
    """What the shell offers for the last word."""
    *before, begun = words
    shell = ShellComplete(main, {}, "dts", "_DTS_COMPLETE")
    return sorted(item.value for item in shell.get_completions(before, begun))


@pytest.mark.parametrize("name", ALL)
def test_every_option_says_what_it_does(name: str) -> None:
    options = [p for p in ALL[name].params if isinstance(p, click.Option)]

    assert [o.name for o in options if not o.help] == []


@pytest.mark.parametrize("name", ALL)
def test_every_command_says_in_one_line_what_it_does(name: str) -> None:
    first = (ALL[name].help or "").split("\n\n")[0].replace("\n", " ")

    assert first.endswith(".")
    assert "\n" not in first
    assert first[0].isupper()


@pytest.mark.parametrize("name", ALL)
def test_every_argument_stands_in_the_text(name: str) -> None:
    arguments = [p for p in ALL[name].params if isinstance(p, click.Argument)]
    text = f"{ALL[name].help} {ALL[name].get_usage(click.Context(ALL[name], info_name=name))}"

    assert [a.name for a in arguments if a.make_metavar(click.Context(ALL[name])) not in text] == []


def test_the_whole_help_names_files_environment_and_exit_statuses() -> None:
    text = CliRunner().invoke(main, ["--help"]).output

    for word in (
        "dts.yaml",
        "DTS_CONFIG",
        "DAGSTER_HOME",
        "Exit status",
        "--json",
        "_DTS_COMPLETE",
    ):
        assert word in text


def test_commands_are_completed() -> None:
    assert completed("pre") == ["preflight", "preview"]


def test_links_and_pairs_are_completed_from_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dts.yaml").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)

    assert completed("sync", "a") == ["a_to_b"]
    assert completed("pause", "") == ["a_to_b", "b_to_a"]
    assert completed("settle", "") == ["shop"]
    assert completed("verify", "s") == ["shop"]


def test_without_a_configuration_nothing_is_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert completed("sync", "") == []
