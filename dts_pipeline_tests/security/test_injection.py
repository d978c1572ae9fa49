"""SQL in names, keys, values and in what a user types: taken as the text that it is, or refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dts_pipeline.commands import exits
from dts_pipeline_tests.case_files import CASES, Case
from dts_pipeline_tests.fidelity.bench import CaseBench
from dts_pipeline_tests.integration.bad_bench import Bench
from dts_pipeline_tests.security.secure_rig import SecureRig
from dts_pipeline_tests.security.secure_stack import SecureStack

pytestmark = pytest.mark.servers

ALWAYS = "' OR '1'='1"
DROP = "x'; DROP TABLE dts.checkpoint; -- "
HOSTILE = [
    ("sync", DROP),
    ("pause", "{forth}" + ALWAYS),
    ("resume", DROP),
    ("preview", "{forth}", "--table", DROP),
    ("preview", "{forth}", "--since", DROP),
    ("replay", "{forth}", "--topic", DROP, "--partition", "0", "--from", "0", "--until", "1"),
    ("replay", "{forth}", "--since", "1 OR 1=1", "--execute"),
    ("verify", "pair", "--table", "`x` WHERE 1=1; -- .y"),
    ("verify", DROP),
    ("repair", "pair", "--table", DROP, "--winner", "{a}", "--execute"),
    ("repair", "pair", "--winner", ALWAYS, "--execute"),
    ("trace", DROP, "1"),
    ("trace", "{name}.item`; DROP TABLE item; -- ", "1"),
    ("conflicts", "show", "{a}:1 OR 1=1"),
    ("quarantine", "discard", "{a}:0 OR 1=1"),
    ("quarantine", "retry", DROP),
]


@pytest.mark.parametrize(
    "stack", ["secure_mariadb", pytest.param("secure_mysql", marks=pytest.mark.mysql)]
)
def test_names_keys_and_values(stack: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Both ways, by every kind of statement; the case runs in `make test-fidelity` as well."""
    secure: SecureStack = request.getfixturevalue(stack)
    names = ("table_names_like_sql", "text_special_characters")
    bench = CaseBench(secure.stack, tmp_path, [Case(CASES / name) for name in names], label="sql")
    bench.run()
    assert bench.broken == ""
    assert {place: texts for place, texts in bench.problems.items() if texts} == {}
    assert bench.compared


@pytest.fixture(scope="module")
def bench(secure_mariadb: SecureStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A pair with one open record, which no filter may find by accident."""
    folder = tmp_path_factory.mktemp("typed")
    rig = SecureRig(secure_mariadb.stack, "typed", folder, secure=secure_mariadb)
    rig.create("CREATE TABLE item (id INT PRIMARY KEY, v INT)")
    rig.both("INSERT INTO item VALUES (1, 1)")
    rig.await_events("a")
    rig.run(rig.forth)
    made = Bench(rig)
    assert rig.records(rig.forth) == [("item", "same", "none")]
    yield made
    made.remove_connectors()


def test_what_a_user_types_is_never_sql(bench: Bench) -> None:
    before = bench.standing()
    places = {"forth": bench.rig.forth, "a": bench.rig.sites[0], "name": bench.rig.name}
    for words in HOSTILE:
        typed = [word.format(**places) for word in words]
        done = bench.dts(*typed, "--json")
        assert done.exit_code == exits.FAILED, (typed, done.output)
        error = json.loads(done.stdout)["error"]
        assert error["code"] not in ("internal_error", "database_error"), (typed, error)
    assert bench.standing() == before


@pytest.mark.parametrize("option", ["--table", "--link", "--kind"])
def test_a_filter_finds_nothing_by_a_condition(bench: Bench, option: str) -> None:
    everything = json.loads(bench.dts("conflicts", "--json").stdout)
    assert len(everything["conflicts"]) >= 1
    done = bench.dts("conflicts", option, ALWAYS, "--json")
    if done.exit_code == exits.DONE:
        assert json.loads(done.stdout)["conflicts"] == []
    else:
        assert json.loads(done.stdout)["error"]["code"] in ("unknown_link", "usage")


def test_a_key_finds_nothing_by_a_condition(bench: Bench) -> None:
    done = bench.dts("trace", f"{bench.rig.name}.item", ALWAYS, "--json")
    assert done.exit_code in (exits.DONE, exits.FAILED)
    answer = json.loads(done.stdout)
    assert answer.get("touches", []) == [] or answer["error"]["code"] == "key_invalid"
