"""What commands work with: a pair's links, and in a full mesh those of its other pairs."""

from __future__ import annotations

from pathlib import Path

import pytest

from dts_pipeline.commands.comparisons import named, opened
from dts_pipeline.commands.runtimes import pair_runtime
from dts_pipeline.commands.session import Session
from dts_pipeline_tests.defs.test_entries import MESH


@pytest.fixture
def session(tmp_path: Path) -> Session:
    path = tmp_path / "dts.yaml"
    path.write_text(MESH)
    return Session(path, {"P": "not used"})


def test_a_pair_of_a_mesh_has_the_others_beside_it(session: Session) -> None:
    with pair_runtime(session, "ac") as pair:
        assert pair.name == "ac"
        assert [runtime.link.name for runtime in pair.links] == [
            "a_to_c", "c_to_a", "a_to_b", "b_to_a", "b_to_c", "c_to_b"
        ]  # fmt: skip
        assert [each.beside for each in pair.beside] == [(), ()]


def test_a_pair_outside_of_a_mesh_stands_alone(session: Session) -> None:
    with pair_runtime(session, "crm") as pair:
        assert [runtime.link.name for runtime in pair.links] == ["a_to_d", "d_to_a"]


@pytest.mark.parametrize(
    ("name", "links"),
    [
        ("b_to_c", ["b_to_c", "c_to_b", "a_to_b", "b_to_a", "a_to_c", "c_to_a"]),
        ("crm", ["a_to_d", "d_to_a"]),
        ("copy", ["copy"]),
    ],
)
def test_what_is_compared_has_its_mesh_beside_it(
    name: str, links: list[str], session: Session
) -> None:
    [(found, own)] = named(session, name).items()
    with opened(session, found, own) as comparison:
        assert [runtime.link.name for runtime in comparison.all_links] == links
