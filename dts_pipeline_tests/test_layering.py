"""Imports go one way, `core` stays pure, and the environment is read at the edge only."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import dts_pipeline

ROOT = Path(dts_pipeline.__file__).parent
LAYERS = (
    ("errors",),
    ("core",),
    ("config", "config_references", "config_lanes", "config_meshes", "config_renames"),
    ("adapters",),
    ("stages", "preflight"),
    ("defs",),
    ("commands",),
    ("definitions", "cli"),
)
"""From the lowest to the highest; a module imports its own layer and those before it."""
CORE_MAY_IMPORT = {"msgspec", "numpy", "pandas"}
"""Third-party packages of the core; all of the standard library but what IMPURE names is free."""
IMPURE = {
    "os", "time", "socket", "subprocess", "threading", "asyncio", "multiprocessing", "random",
    "secrets", "uuid", "shutil", "tempfile", "io", "pathlib", "sys", "logging", "http", "urllib",
    "signal", "locale",
}  # fmt: skip
ENVIRONMENT_READERS = {"definitions.py", "cli.py", "defs/resources.py"}
CLOCKS = {"now", "utcnow", "today", "monotonic", "perf_counter", "time_ns"}

MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))
CORE = [name for name in MODULES if name.startswith("core/")]


@cache
def tree(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"))


def imports(name: str) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything a module imports, inside functions too."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno} imports relatively"
            module = node.module or ""
            if module == "dts_pipeline":  # `from dts_pipeline import __version__` is no layer's
                names = (alias.name for alias in node.names if not alias.name.startswith("__"))
                yield from ((node.lineno, f"{module}.{part}") for part in names)
            else:
                yield node.lineno, module


def layer_of(part: str) -> int:
    for height, names in enumerate(LAYERS):
        if part in names:
            return height
    raise AssertionError(f"{part} belongs to no layer: add it to LAYERS")


def own_part(name: str) -> str:
    return name.split("/")[0].removesuffix(".py")


@pytest.mark.parametrize("name", [m for m in MODULES if m != "__init__.py"])
def test_imports_go_down_only(name: str) -> None:
    height = layer_of(own_part(name))
    upwards = [
        f"{name}:{line} imports {imported}"
        for line, imported in imports(name)
        if imported.startswith("dts_pipeline.") and layer_of(imported.split(".")[1]) > height
    ]
    assert not upwards


@pytest.mark.parametrize("name", CORE)
def test_the_core_imports_nothing_that_reaches_outside(name: str) -> None:
    foreign = []
    for line, imported in imports(name):
        package = imported.split(".")[0]
        pure = package in sys.stdlib_module_names and package not in IMPURE
        if package != "dts_pipeline" and not pure and package not in CORE_MAY_IMPORT:
            foreign.append(f"{name}:{line} imports {imported}")
    assert not foreign


@pytest.mark.parametrize("name", CORE)
def test_the_core_reads_no_clock_and_no_file(name: str) -> None:
    found = [
        f"{name}:{node.lineno}"
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS)
            or (isinstance(node.func, ast.Name) and node.func.id in {"open", "print", "input"})
        )
    ]
    assert not found


def environment_reads(name: str) -> list[int]:
    """The lines where a module reaches for os.environ or os.getenv."""
    found = []
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            if {alias.name for alias in node.names} & {"environ", "getenv"}:
                found.append(node.lineno)
        elif (
            isinstance(node, ast.Attribute)
            and node.attr in {"environ", "getenv"}
            and isinstance(node.value, ast.Name)
            and node.value.id == "os"
        ):
            found.append(node.lineno)
    return found


def test_the_environment_is_read_at_the_edge_only() -> None:
    readers = {name for name in MODULES if environment_reads(name)}

    assert readers
    assert readers <= ENVIRONMENT_READERS


def test_only_the_marks_know_what_a_mark_looks_like() -> None:
    """One place writes it and recognises it; preflight's probe tries the privilege, no more."""
    tells = ("SET gtid_next", "SET SESSION gtid_domain_id", "/* dts")
    knowing = {
        name
        for name in MODULES
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and any(tell in node.value for tell in tells)
    }
    assert knowing <= {"core/marks.py", "preflight/probe.py"}
    assert "core/marks.py" in knowing
