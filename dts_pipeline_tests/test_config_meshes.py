"""Full meshes in dts.yaml: what they give, and what of them is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from dts_pipeline.config import parse_config
from dts_pipeline.core.links import Link
from dts_pipeline.errors import ConfigError

SITE = {"host": "127.0.0.1", "port": 1, "user": "dts", "password": "${P}"}


def pair(one: str, two: str, domain: int, policy: object = None) -> dict[str, Any]:
    return {
        "sites": [one, two],
        "mesh": "trio",
        "tables": ["shop.*"],
        "mark_domain_id": domain,
        "conflicts": {"policy": policy or {"site": one}},
    }


TRIO: dict[str, Any] = {
    "kafka": {"bootstrap.servers": "127.0.0.1:1"},
    "sites": {name: {**SITE, "topic_prefix": name} for name in "abcd"},
    "mark": "origin",
    "pairs": {
        "ab": pair("a", "b", 1),
        "ac": pair("a", "c", 2),
        "bc": pair("b", "c", 3),
    },
}


def trio(**changes: Any) -> dict[str, Any]:
    """The mesh with keys of its pairs replaced or added; None takes a pair away."""
    data = copy.deepcopy(TRIO)
    for name, change in changes.items():
        pairs = data["pairs"]
        if change is None:
            del pairs[name]
        else:
            pairs[name] = {**pairs.get(name, {}), **change}
    return data


def policies(ab: object, ac: object, bc: object) -> dict[str, Any]:
    data = copy.deepcopy(TRIO)
    for name, policy in {"ab": ab, "ac": ac, "bc": bc}.items():
        data["pairs"][name]["conflicts"]["policy"] = policy
    return data


def table_policies(ab: object, ac: object, bc: object) -> dict[str, Any]:
    """What each pair says of shop.x; None for nothing."""
    data = copy.deepcopy(TRIO)
    for name, own in {"ab": ab, "ac": ac, "bc": bc}.items():
        if own is not None:
            data["pairs"][name]["conflicts"]["tables"] = {"shop.x": own}
    return data


def links(data: dict[str, Any]) -> dict[str, Link]:
    return parse_config(yaml.safe_dump(data, sort_keys=False)).resolved_links()


def problems(data: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        links(data)
    return caught.value.problems


def test_a_link_of_a_mesh_carries_what_users_wrote_at_its_source() -> None:
    found = links(TRIO)

    assert {link.carries_on for link in found.values()} == {frozenset()}
    assert {link.carried_domains for link in found.values()} == {frozenset()}
    assert {link.mesh for link in found.values()} == {("a", "b", "c")}
    assert found["a_to_b"].mesh_pairs == found["b_to_a"].mesh_pairs == ("ac", "bc")
    assert found["c_to_a"].mesh_pairs == ("ab", "bc")
    assert found["a_to_b"].writers == {"b_to_a", "c_to_a"}
    assert found["a_to_b"].others == {"c_to_a"}
    assert found["a_to_b"].other_domains == {2}


def test_what_comes_from_outside_of_a_mesh_is_carried_on_and_all_of_a_mesh_goes_outside() -> None:
    data = trio(ad={"sites": ["a", "d"], "tables": ["shop.*"], "mark_domain_id": 4,
                    "conflicts": {"policy": "fail"}})  # fmt: skip
    data["links"] = {"copy": {"source": "b", "target": "d", "tables": ["crm.*"], "detect": False}}
    found = links(data)

    assert found["a_to_b"].carries_on == found["a_to_c"].carries_on == {"d_to_a"}
    assert found["a_to_b"].carried_domains == {4}
    assert found["a_to_b"].others == {"c_to_a", "d_to_a"}
    assert found["a_to_d"].carries_on == {"b_to_a", "c_to_a"}
    assert found["copy"].carries_on == {"a_to_b", "c_to_b"}
    assert found["a_to_d"].mesh == found["a_to_d"].mesh_pairs == ()


@pytest.mark.parametrize(
    ("given", "first"),
    [
        (policies({"site": "b"}, {"site": "c"}, {"site": "c"}), ("c", "b", "a")),
        (policies({"newest": "t"}, {"newest": "t"}, {"newest": "t"}), ("a", "b", "c")),
        (
            policies({"newest": "t", "ties": "b"}, {"newest": "t"}, {"newest": "t"}),
            ("b", "a", "c"),
        ),
        (policies("fail", "fail", "fail"), ("a", "b", "c")),
    ],
    ids=["site", "newest", "ties", "fail"],
)
def test_the_site_that_decides_stands_first(given: dict[str, Any], first: tuple[str, ...]) -> None:
    assert {link.mesh for link in links(given).values()} == {first}


def test_where_the_pairs_fail_a_tables_own_policy_decides_who_stands_first() -> None:
    data = table_policies(
        {"policy": {"site": "b"}}, {"policy": {"site": "a"}}, {"policy": {"site": "b"}}
    )
    for own in data["pairs"].values():
        own["conflicts"]["policy"] = "fail"

    assert links(data)["a_to_b"].mesh == ("b", "a", "c")


OUTSIDE = {"sites": ["b", "d"], "tables": ["shop.*"], "conflicts": {"policy": "fail"}}
FROM_D = {"sites": ["d", "a"], "tables": ["shop.*"], "conflicts": {"policy": "fail"}}


@pytest.mark.parametrize(
    ("data", "path", "words"),
    [
        (trio(bc=None), "pairs.ac.mesh", "trio has no pair of b and c"),
        (trio(ac=None, bc=None), "pairs.ab.mesh", "trio has two sites only"),
        (trio(bc={"mesh": "other"}), "pairs.ac.mesh", "trio has no pair of b and c"),
        (trio(cd=pair("c", "d", 4)), "pairs.cd.mesh", "trio has 4 sites (a, b, c, d)"),
        (trio(bc={"sites": ["b", "d"]}), "pairs.bc.mesh", "trio has 4 sites"),
        (trio(ba=pair("b", "a", 4)), "pairs.ba.mesh", "between these sites already, pairs.ab"),
        (trio(bc={"tables": ["shop.*", "!shop.x"]}), "pairs.bc.tables", "alike in all pairs"),
        (trio(bc={"columns": {"shop.x": {"exclude": ["v"]}}}), "pairs.bc.columns", "alike"),
        (trio(bc={"lanes": {"by": "partition", "count": 2}}), "pairs.bc.lanes", "alike"),
        (trio(ac={"version": "v"}), "pairs.ac.version", "alike in all pairs"),
        (trio(ac={"truncate": "ignore"}), "pairs.ac.truncate", "alike in all pairs"),
        (trio(ac={"on_poison": "quarantine"}), "pairs.ac.on_poison", "alike in all pairs"),
        (trio(ac={"quarantine_limit": 7}), "pairs.ac.quarantine_limit", "alike in all pairs"),
        (trio(ac={"max_returns": 7}), "pairs.ac.max_returns", "alike in all pairs"),
        (trio(ab={"ddl": "additive"}), "pairs.ab.ddl", "not shown to be right in a mesh"),
        (
            trio(ac={"rename": {"c": {"shop.*": "store.*"}}}),
            "pairs.bc.rename",
            "under other names",
        ),
        (trio(bc={"mark_domain_id": 1}), "pairs.bc.tables", "the same mark_domain_id"),
        (trio(ab={"mesh": None}), "pairs.bc.mesh", "trio has no pair of a and b"),
        (trio(bd=OUTSIDE, da=FROM_D), "pairs.da.tables", "changes would go round"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_mesh_must_not_be(data: dict[str, Any], path: str, words: str) -> None:
    told = problems(data)

    assert any(where == path and words in message for where, message in told), told


def test_lanes_must_stand_in_the_same_order() -> None:
    one = {"lanes": {"one": ["shop.x"], "rest": ["*"]}}
    assert links(trio(ab=one, ac=one, bc=one))
    turned = {"lanes": {"rest": ["*"], "one": ["shop.x"]}}

    assert [path for path, _ in problems(trio(ab=one, ac=one, bc=turned))] == ["pairs.bc.lanes"]


def test_a_site_may_have_other_names_for_both_of_its_pairs() -> None:
    names = {"rename": {"c": {"shop.*": "store.*"}}}

    assert links(trio(ac=names, bc=names))["b_to_c"].target_names


def test_what_may_differ_from_pair_to_pair() -> None:
    own = {"owners": ["team:b"], "max_events_per_second": 9, "start": "latest"}

    assert links(trio(bc=own))["b_to_c"].max_events_per_second == 9


@pytest.mark.parametrize("order", [("ab", "bc", "bd", "da", "ac"), ("bd", "da", "bc", "ac", "ab")])
def test_a_ring_through_a_mesh_and_pairs_outside_is_refused(order: tuple[str, ...]) -> None:
    data = trio(bd=OUTSIDE, da=FROM_D)
    data["pairs"] = {name: data["pairs"][name] for name in order}

    assert any("changes would go round" in message for _, message in problems(data))


def test_a_ring_without_mesh_is_refused_and_told_of_it() -> None:
    data = copy.deepcopy(TRIO)
    for own in data["pairs"].values():
        del own["mesh"]

    [(path, message)] = problems(data)
    assert path == "pairs.bc.tables"
    assert "three pairs with the same `mesh:`" in message


NEWEST = {"newest": "t"}
OWN = {"policy": {"site": "b"}}


@pytest.mark.parametrize(
    ("data", "path", "words"),
    [
        (
            policies({"site": "a"}, {"site": "c"}, {"site": "b"}),
            "conflicts.policy",
            "in a circle: a before b, c before a, b before c",
        ),
        (
            policies(NEWEST, {**NEWEST, "ties": "c"}, NEWEST),
            "conflicts.policy",
            "in a circle: a before b, c before a, b before c",
        ),
        (policies({"site": "a"}, {"site": "a"}, "fail"), "conflicts.policy", "is fail, and {site"),
        (policies({"site": "a"}, {"site": "a"}, NEWEST), "conflicts.policy", "is {newest: t"),
        (policies(NEWEST, NEWEST, {"newest": "u"}), "conflicts.policy", "is {newest: u"),
        (
            policies(NEWEST, NEWEST, {**NEWEST, "deletes": "delete_wins"}),
            "conflicts.policy",
            "deletes: delete_wins",
        ),
        (
            table_policies({"policy": {"site": "a"}}, {"policy": {"site": "a"}}, None),
            "conflicts.tables.shop.x.policy",
            "is missing, and pairs.ab has one",
        ),
        (
            table_policies({"policy": "fail"}, {"policy": "fail"}, OWN),
            "conflicts.tables.shop.x.policy",
            "is {site: …}, and fail in pairs.ab",
        ),
        (
            table_policies(OWN, {"policy": {"site": "a"}}, OWN),
            "conflicts.tables.shop.x.policy",
            "the order here is b, a, c, and a, b, c for the pairs' own policy",
        ),
        (
            table_policies(OWN, {"policy": {"site": "a"}}, {"policy": {"site": "c"}}),
            "conflicts.tables.shop.x.policy",
            "go in a circle",
        ),
        (
            table_policies({"delta": ["n"]}, {"delta": ["n"]}, {"delta": ["m"]}),
            "conflicts.tables.shop.x.delta",
            "name the same counters",
        ),
        (
            table_policies({"delta": ["n"]}, {"delta": ["n"]}, None),
            "conflicts.tables.shop.x.delta",
            "name the same counters",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_policies_that_follow_no_order(data: dict[str, Any], path: str, words: str) -> None:
    [(where, message)] = problems(data)

    assert where == f"pairs.bc.{path}"
    assert words in message


def test_a_tables_own_policies_and_counters_in_the_same_order() -> None:
    newest = {"policy": NEWEST, "delta": ["m", "n"]}
    data = table_policies(newest, newest, {"policy": NEWEST, "delta": ["n", "m"]})

    assert links(data)["b_to_c"].table_policies["shop.x"].site == "b"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda pairs: pairs["ab"].update(sites="a"),
        lambda pairs: pairs["ab"].update(sites=["a", "a"]),
        lambda pairs: pairs["ab"].update(mesh=["trio"]),
        lambda pairs: pairs["ab"].update(conflicts=None),
        lambda pairs: pairs["ab"]["conflicts"].update(policy={"site": "d"}),
        lambda pairs: pairs["ab"]["conflicts"].update(tables=[1]),
        lambda pairs: pairs["ab"].update(lanes=[1], tables=None),
        lambda pairs: pairs.update(ab=None),
    ],
)
def test_mistakes_of_shape_are_told_and_break_nothing(
    spoil: Callable[[dict[str, Any]], None],
) -> None:
    data = copy.deepcopy(TRIO)
    spoil(data["pairs"])

    assert problems(data)
