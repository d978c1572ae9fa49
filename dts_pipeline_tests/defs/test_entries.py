"""Which links' runtimes the jobs of a pair work with, in a full mesh and outside of one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from dts_pipeline.config import parse_config
from dts_pipeline.core.links import Link
from dts_pipeline.defs.build import build_definitions
from dts_pipeline.defs.entries import Entry, entries_of
from dts_pipeline.defs.resources import runtime_key
from dts_pipeline.stages.pair import PairRuntime

MESH = """
kafka: {bootstrap.servers: "127.0.0.1:1"}
sites:
  a: {host: 127.0.0.1, port: 1, user: dts, password: "${P}", topic_prefix: a}
  b: {host: 127.0.0.1, port: 2, user: dts, password: "${P}", topic_prefix: b}
  c: {host: 127.0.0.1, port: 3, user: dts, password: "${P}", topic_prefix: c}
  d: {host: 127.0.0.1, port: 4, user: dts, password: "${P}", topic_prefix: d}
mark: origin
pairs:
  ab: {sites: [a, b], mesh: trio, tables: ["shop.*"], conflicts: {policy: {site: a}}}
  ac: {sites: [a, c], mesh: trio, tables: ["shop.*"], conflicts: {policy: {site: a}}}
  bc: {sites: [b, c], mesh: trio, tables: ["shop.*"], conflicts: {policy: {site: b}}}
  crm: {sites: [a, d], tables: ["crm.*"], conflicts: {policy: fail}}
links:
  copy: {source: c, target: d, tables: ["wiki.*"], detect: false}
"""
LINKS: list[Link] = list(parse_config(MESH).resolved_links().values())
ALL = {runtime_key(f"{one}_to_{two}") for one, two in ("ab", "ba", "ac", "ca", "bc", "cb")}


class Resources:
    """Gives what stands for each link's runtime, of the links that an op has asked for."""

    def __init__(self, entry: Entry) -> None:
        for link in LINKS:
            if runtime_key(link.name) in entry.resources:
                setattr(self, runtime_key(link.name), SimpleNamespace(link=link))


def context(entry: Entry) -> Any:
    return SimpleNamespace(resources=Resources(entry))


def names(pair: PairRuntime) -> list[str]:
    return [runtime.link.name for runtime in pair.links]


def test_a_pair_of_a_mesh_has_the_others_beside_it() -> None:
    entry = entries_of(LINKS)["ac"]
    pair = entry.pair(context(entry))
    compared = entry.comparison(context(entry))

    assert names(pair) == ["a_to_c", "c_to_a", "a_to_b", "b_to_a", "b_to_c", "c_to_b"]
    assert names(compared.pair) == names(pair)
    assert compared.name == "ac"
    assert entry.resources == ALL


@pytest.mark.parametrize(("name", "links"), [("crm", ["a_to_d", "d_to_a"]), ("copy", ["copy"])])
def test_outside_of_a_mesh_there_is_nothing_beside(name: str, links: list[str]) -> None:
    entry = entries_of(LINKS)[name]

    assert entry.beside == ()
    assert entry.resources == {runtime_key(link) for link in links}
    assert [r.link.name for r in entry.comparison(context(entry)).all_links] == links


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_definitions(parse_config(MESH))


def asked(definitions: dg.Definitions, job: str, op: str = "") -> set[str]:
    """The runtimes that a job's ops ask for, or one of them."""
    ops = definitions.resolve_job_def(job).all_node_defs
    found = [each for each in ops if isinstance(each, dg.OpDefinition) and op in each.name]
    keys = set().union(*(each.required_resource_keys for each in found))
    return {key for key in keys if key.startswith("runtime_")}


@pytest.mark.parametrize("job", ["load_ab", "replay_c_to_b", "check_b_to_a"])
def test_the_jobs_of_a_mesh_ask_for_all_its_runtimes(job: str, definitions: dg.Definitions) -> None:
    assert asked(definitions, job) == ALL


@pytest.mark.parametrize("pair", ["ab", "ac", "bc"])
def test_a_meshs_pair_is_settled_with_all_its_runtimes(
    pair: str, definitions: dg.Definitions
) -> None:
    assert asked(definitions, "settle", f"settle_{pair}") == ALL


def test_a_pair_outside_of_the_mesh_asks_for_its_own(definitions: dg.Definitions) -> None:
    own = {runtime_key("a_to_d"), runtime_key("d_to_a")}

    assert asked(definitions, "load_crm") == asked(definitions, "replay_a_to_d") == own
    assert asked(definitions, "settle", "settle_crm") == own
    assert asked(definitions, "verify") == ALL | own | {runtime_key("copy")}
