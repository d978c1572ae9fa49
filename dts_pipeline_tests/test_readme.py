"""The documents against the code: what they name exists, and what exists they name."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import click
import pytest
from pydantic import BaseModel

from dts_pipeline.adapters import database
from dts_pipeline.cli import main
from dts_pipeline.config import Config, parse_config
from dts_pipeline.core.decode_codec import CODECS
from dts_pipeline.core.type_fit import FAMILIES
from dts_pipeline_tests.case_files import all_cases
from dts_pipeline_tests.type_table import markdown

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "dts_pipeline"
README = (ROOT / "README.md").read_text()
# What makes an error from a code; the code is its first text, at whatever position.
_MAKERS = {"DtsError", "TransientError", "TerminalError", "PoisonError", "Difference"}
_HELPERS = {
    "_poison",
    "poison_message",
    "_stop",
    "_difference",
    "_altered",
    "_unsure",
    "_unreadable",
}
_CODE = re.compile(r"[a-z]+(_[a-z]+)*")


def documented(path: str, column: int = 0) -> set[str]:
    """The words in backticks of a column of every table of a document."""
    rows = [line.split("|")[1:] for line in (ROOT / path).read_text().splitlines()]
    cells = (row[column] for row in rows if len(row) > column + 1)
    return {word for cell in cells for word in re.findall(r"`([^`]+)`", cell)}


def raised_codes() -> set[str]:
    """Every code that an error of the package is made with."""
    found = {code for code, *_ in (*database._TRANSIENT.values(), *database._TERMINAL.values())}
    for path in PACKAGE.rglob("*.py"):
        if "preflight" in path.relative_to(PACKAGE).parts:
            continue  # findings, not errors: docs/preflight.md has them
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                found |= _code_of(node)
    return found


def _code_of(call: ast.Call) -> set[str]:
    function = call.func
    name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
    is_super = name == "__init__" and isinstance(function, ast.Attribute)
    if name not in _MAKERS | _HELPERS and not is_super:
        return set()
    texts = (a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str))
    return {text for text in list(texts)[:1] if _CODE.fullmatch(text)}


def config_paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of dts.yaml as a path; a policy's own keys count as its value."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        yield path
        if name != "policy":
            yield from _below(field.annotation, path)


def _below(annotation: Any, path: str) -> Iterator[str]:
    if get_origin(annotation) is dict:
        inner = "TABLE" if path.endswith(("tables", "columns")) else "NAME"
        yield from _below(get_args(annotation)[1], f"{path}.{inner}")
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from config_paths(annotation, f"{path}.")
    else:
        for part in get_args(annotation):
            yield from _below(part, path)


def test_every_key_of_the_configuration_is_described() -> None:
    paths = set(config_paths(Config))
    described = {key for key in documented("docs/configuration.md") if re.match(r"[a-z]", key)}
    described -= {"fail"}  # a policy, not a key

    assert paths - described == set()
    assert described - paths == set()


def test_every_error_code_is_described_with_its_remedy() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    described = documented("docs/operations.md")
    named = described | set(re.findall(r"`([a-z]+(?:_[a-z]+)*)`", text.partition("These diff")[2]))

    assert raised_codes() - named == set()


def test_no_error_code_is_described_that_is_never_raised() -> None:
    source = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))

    assert {c for c in documented("docs/operations.md") if f'"{c}"' not in source} == set()


def test_the_codes_are_found_in_the_source() -> None:
    found = raised_codes()

    assert {"config_invalid", "offsets_lost", "deadlock", "malformed_event", "usage"} <= found


def test_the_readme_s_configuration_is_valid() -> None:
    block = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert block is not None

    assert set(parse_config(block[1]).resolved_links()) == {"a_to_b", "b_to_a"}


def test_every_command_is_in_the_readme_with_its_options() -> None:
    for name, command in main.commands.items():
        row = next(line for line in README.splitlines() if line.startswith(f"| `dts {name}"))
        own = {"--config", "--json", "--debug", "--help", "-h"}
        options = {o for p in command.params for o in p.opts if isinstance(p, click.Option)} - own
        assert set(re.findall(r"--[a-z-]+", row.split("|")[1])) == options


def test_every_dts_command_that_a_document_names_exists() -> None:
    texts = "\n".join(p.read_text() for p in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    named = set(re.findall(r"`dts ([a-z]+)[ `]", texts)) - {"link"}  # `/* dts link=… */` is a mark

    assert named <= set(main.commands)
    assert named


@pytest.mark.parametrize("target", sorted(set(re.findall(r"^make ([a-z-]+)", README, re.M))))
def test_every_make_target_of_the_readme_exists(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_every_link_in_a_document_leads_somewhere() -> None:
    for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_ci_runs_what_the_readme_says() -> None:
    script = (ROOT / ".ci" / "run").read_text()

    for command in ("make lint", "make types", "make test", "make test-mysql", "make demo CHECK=1"):
        assert re.search(rf"{command}$", script, re.M), command


def test_the_table_of_types_is_the_decoder_s_own() -> None:
    document = (ROOT / "docs" / "types.md").read_text().splitlines()
    begin = next(n for n, line in enumerate(document) if line.startswith("<!-- made by"))
    assert document[begin + 1 : document.index("<!-- end -->")] == markdown()


def test_every_type_that_can_be_compared_can_be_read_and_the_other_way_round() -> None:
    comparable = {kind for kinds in FAMILIES.values() for kind in kinds}
    assert comparable | {"json"} == set(CODECS)


def test_cases_that_the_types_name_exist() -> None:
    named = documented("docs/types.md", column=3)
    assert named
    assert named <= {case.name for case in all_cases()}


def test_the_tests_that_the_promises_name_exist() -> None:
    tests = ROOT / "dts_pipeline_tests"
    named = {name for name in documented("docs/delivery.md", column=2) if name.endswith(".py")}
    assert named
    missing = {name for name in named if not any(tests.rglob(Path(name).name))}
    assert missing == set()
