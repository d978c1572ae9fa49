"""Which links are asked for the batches that wrote a marked event."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from dts_pipeline.core.links import Link, MarkKind
from dts_pipeline.stages.trace import _writers
from dts_pipeline_tests import builders
from dts_pipeline_tests.builders import insert


@dataclass
class OneBatchALink:
    """A ledger in which each link has one batch, under the mark that is named after it."""

    asked: list[str] = field(default_factory=list)

    @contextmanager
    def connect(self, **_where: object) -> Iterator[Any]:
        yield self

    def execute(self, _statement: object, values: dict[str, Any]) -> Any:
        self.asked.append(values["link"])
        rows = [
            (1, 7, None, None, mark, None, datetime(2026, 1, 1))
            for mark in values["marks"]
            if mark == f"of_{values['link']}"
        ]
        return SimpleNamespace(fetchall=lambda: rows)


def link(source: str, target: str, pair: str, mesh_pairs: tuple[str, ...]) -> Link:
    made = Link(f"{source}_to_{target}", source, target, ("shop.*",), source, MarkKind.ORIGIN)
    return replace(made, pair=pair, mesh_pairs=mesh_pairs)


@pytest.mark.parametrize(
    ("mesh", "asked"),
    [((), ["b_to_a"]), (("ac", "bc"), ["b_to_a", "c_to_a"])],
    ids=["pair", "mesh"],
)
def test_the_writers_at_a_source_are_of_the_pair_and_of_its_mesh(
    mesh: tuple[str, ...], asked: list[str]
) -> None:
    ledger: Any = OneBatchALink()
    links = [link("a", "b", "ab", mesh), link("b", "a", "ab", ())]
    links += [link(*ends, "ac", ()) for ends in ("ac", "ca")]
    links += [link(*ends, "bc", ()) for ends in ("bc", "cb")]
    runtimes: list[Any] = [SimpleNamespace(link=own, source=ledger, target=ledger) for own in links]
    events = builders.frame(
        [insert(1, "v", gtid="of_b_to_a"), insert(2, "v", gtid="of_c_to_a")], marked=[True, True]
    )

    found = _writers(runtimes[0], runtimes, events)

    assert ledger.asked == asked
    assert found["mark"].tolist() == [f"of_{name}" for name in asked]
