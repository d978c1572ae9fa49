"""Every command block of a document is run by somebody, or says here why not."""

from __future__ import annotations

import re
import subprocess

import pytest

from benchmarks.__main__ import parse
from dts_pipeline_tests.documents import DOCUMENTS, ROOT, blocks, commands

FOLLOWED = "dts_pipeline_tests/operation/test_followed_documents.py"
LOADED = "dts_pipeline_tests/change/test_load.py"
COMPOSE = "docker compose -f deploy/docker-compose.yaml"
COMPOSITION = "dts_pipeline_tests/deploy/composition.py"
CI = ".ci/run"
# Who runs it. Where the file holds another spelling of it: that, behind a colon.
RUN_BY = {
    "make demo": f"{CI}: make demo CHECK=1",
    "make lint types": f"{CI}: make lint",
    "dts verify": f"{FOLLOWED}: docs/verify.md",
    "dts verify shop --table shop.orders": f"{FOLLOWED}: docs/verify.md",
    "dts verify shop --resume": f"{FOLLOWED}: docs/verify.md",
    "dts repair shop --winner a": f"{FOLLOWED}: docs/verify.md",
    "dts repair shop --winner a --execute": f"{FOLLOWED}: docs/verify.md",
    "dts load shop": f'{LOADED}: dts.error("load", "pair")',
    "dts load shop --execute": f'{LOADED}: .error("load", "pair", "--execute")',
    "dts load shop --table shop.orders --execute": f'{LOADED}: "load", "pair", "--table"',
    "dts load shop --status": f'{LOADED}: dts.json("load", "pair", "--status"',
    "dts exporter --listen 127.0.0.1:9808": f"{FOLLOWED}: docs/metrics.md",
    "deploy/local/stack up": f"{FOLLOWED}: deploy/local/README.md",
    ". .local/stack/env.sh": f"{FOLLOWED}: deploy/local/README.md",
    "deploy/local/stack status": f"{FOLLOWED}: deploy/local/README.md",
    "deploy/local/stack sql a -- -e 'SHOW TABLES FROM shop'": f"{FOLLOWED}: deploy/local/README.md",
    "deploy/local/stack down --purge": f"{FOLLOWED}: deploy/local/README.md",
    "deploy/local/stack up --fast > /tmp/stack.json": "dts_pipeline_tests/stacks.py: --fast",
    "DTS_TEST_STACK=/tmp/stack.json .venv/bin/pytest "
    "dts_pipeline_tests/integration -k key_change": "dts_pipeline_tests/stacks.py: DTS_TEST_STACK",
    "deploy/docker/make-env": f"{COMPOSITION}: make-env",
    f"{COMPOSE} up --build -d": f'{COMPOSITION}: compose("up", "--detach"',
    f"{COMPOSE} ps": f'{COMPOSITION}: compose("ps"',
    "pip install -c constraints.txt dist/dts_pipeline-*.whl": (
        "dts_pipeline_tests/deploy/test_wheel.py: constraints.txt"
    ),
    "dts --help": "dts_pipeline_tests/deploy/test_wheel.py: --help",
}
# Suites that take too long for CI, each run by hand before a release.
LONG = {"setup", "test-guards", "test-matrix", "test-deploy", "test-ui", "wheel", "audit", "format"}
LONG |= {"clean", "test-change"}
NOT_RUN = {
    "alias dc='docker compose -f deploy/docker-compose.yaml'": "only a name",
    "dc exec mysql-a sh -c 'mysql -uroot -p\"$MYSQL_ROOT_PASSWORD\" shop'": "waits for input",
    "dc run --rm --no-deps init dts status": "the test runs other commands of dts there",
    "dc down": "the test ends its composition by its project's name",
    "docker build -f deploy/Dockerfile --build-arg EXTRA=kubernetes "
    "-t REGISTRY/dts-pipeline:0.1.0-kubernetes .": "needs a registry",
    "docker push REGISTRY/dts-pipeline:0.1.0-kubernetes": "needs a registry",
    "kubectl create configmap dts-config --from-file=dts.yaml": "needs a cluster",
    "kubectl create secret generic dts-secrets --from-env-file=FILE": "needs a cluster",
    "kubectl create secret generic dagster-postgresql-secret "
    "--from-literal=postgresql-password=…": "needs a cluster",
    "helm upgrade --install dts dagster/dagster --version 1.13.27 "
    "-f deploy/kubernetes/values.yaml": "needs a cluster",
    "docker images --filter label=dts.standin": "lists what is there",
}
ALL = sorted({line for path in DOCUMENTS for line in commands(path)})


def test_there_are_blocks() -> None:
    assert len(ALL) > 40
    assert "make demo" in ALL


@pytest.mark.parametrize("line", [line for line in ALL if not line.startswith("make bench")])
def test_a_documented_command_is_run_by_somebody(line: str) -> None:
    if line in NOT_RUN:
        return
    target = re.fullmatch(r"make ([a-z-]+)", line)
    if target and target[1] in LONG:
        assert f"\n{target[1]}:" in (ROOT / "Makefile").read_text()
        return
    where, _, spelled = RUN_BY.get(line, f"{CI}: {line}" if target else "").partition(": ")
    assert where, f"nobody runs `{line}`: name who does in RUN_BY, or why not in NOT_RUN"
    assert spelled in (ROOT / where).read_text()


@pytest.mark.parametrize("line", [line for line in ALL if line.startswith("make bench")])
def test_a_documented_bench_is_one_that_the_bench_understands(line: str) -> None:
    made = subprocess.run(["bash", "-c", f"{line} -n"], cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    called = made.stdout.replace("\\\n", " ").partition(" -m benchmarks")[2]
    words = called.partition("\n")[0].split()  # a make within a make says more behind it
    words = [word.strip("'") for word in words]
    if "--help" in words:
        with pytest.raises(SystemExit) as ended:
            parse(words)
        assert ended.value.code == 0
    else:
        assert parse(words).repeat >= 1


def test_nothing_is_named_here_that_no_document_has() -> None:
    assert (RUN_BY.keys() | NOT_RUN.keys()) - set(ALL) == set()


def test_blocks_of_yaml_are_found_too() -> None:
    assert "pairs:" in blocks(ROOT / "README.md", "yaml")[0]
