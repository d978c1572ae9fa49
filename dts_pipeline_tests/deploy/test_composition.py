"""`docker compose up` brings a working pair, whose runs are containers that leave nothing."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dts_pipeline_tests.deploy.composition import (
    CONNECT_IMAGE,
    DEPLOY,
    IMAGE,
    Composition,
    Engine,
    base_images,
    build_images,
    running_engine,
    wait_for,
)

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(1800)]
TABLE = "CREATE TABLE shop.customer (id INT PRIMARY KEY, name VARCHAR(40) NOT NULL)"
MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running_engine() as found:
        yield found


@pytest.fixture(scope="module")
def images(engine: Engine, summary: list[str]) -> None:
    """Both images; what cannot be pulled is stood in for."""
    began = time.monotonic()
    subprocess.run(
        [DEPLOY / "standins" / "build", *base_images()],
        env=engine.environ,
        check=True,
        timeout=1500,
    )
    summary.append(f"base images there after {time.monotonic() - began:.0f} s")
    for name, seconds in build_images(engine).items():
        size = engine.inspect(name)["Size"]
        base = engine.inspect(base_images()[0])["Size"] if name == IMAGE else 0
        own = f", {(size - base) / MEBIBYTE:.0f} MiB of them ours" if base else ""
        summary.append(f"{name}: {size / MEBIBYTE:.0f} MiB{own}, built in {seconds:.0f} s")


@pytest.fixture(scope="module")
def composition(
    engine: Engine, images: None, tmp_path_factory: pytest.TempPathFactory, summary: list[str]
) -> Iterator[Composition]:
    found = Composition(engine, tmp_path_factory.mktemp("composition"))
    try:
        summary.append(f"docker compose up: all answered after {found.up():.0f} s")
        for site in "ab":
            found.sql(site, TABLE)
        yield found
    except BaseException:
        print(found.compose("ps", "--all", check=False))
        print(found.compose("logs", "--tail", "40", check=False))
        raise
    finally:
        if "DTS_ENGINE_KEEP" not in os.environ:
            found.down()


def test_the_composition_file_is_clean_and_holds_no_secret(engine: Engine, tmp_path: Path) -> None:
    done = Composition(engine, tmp_path).run("config", "--quiet")

    assert (done.returncode, done.stderr) == (0, "")


def test_without_its_secrets_the_composition_says_what_to_do(
    engine: Engine, tmp_path: Path
) -> None:
    empty = Composition(engine, tmp_path)
    empty.env_file.write_text("")
    done = empty.run("config", "--quiet")

    assert done.returncode != 0
    assert "make-env" in done.stderr


def test_preflight_finds_no_error_under_the_least_grants(composition: Composition) -> None:
    done = composition.run("run", "--rm", "--no-deps", "-T", "init", "dts", "preflight", "--json")

    findings = json.loads(done.stdout)
    assert done.returncode == 0, findings


def test_a_second_up_changes_nothing_and_ends_well(composition: Composition) -> None:
    composition.up()

    assert composition.sql("a", "SELECT COUNT(*) FROM shop.customer") == [["0"]]


def test_rows_of_both_sites_are_carried_by_runs_in_containers(
    composition: Composition, summary: list[str]
) -> None:
    composition.sql("a", "INSERT INTO shop.customer VALUES (1, 'from a'), (2, 'too')")
    composition.sql("b", "INSERT INTO shop.customer VALUES (3, 'from b')")
    began = time.monotonic()

    wait_for(lambda: len(composition.rows("b", "shop.customer")) == 3, "a's rows are at b")
    wait_for(lambda: len(composition.rows("a", "shop.customer")) == 3, "b's row is at a")
    assert composition.rows("a", "shop.customer") == composition.rows("b", "shop.customer")
    summary.append(
        f"rows of both sites carried by minute runs after {time.monotonic() - began:.0f} s"
    )


@contextlib.contextmanager
def row_held(composition: Composition) -> Iterator[None]:
    """A user of site b locks row 1, so that a run waits in the middle of its transaction."""
    lock = "BEGIN; SELECT * FROM shop.customer WHERE id = 1 FOR UPDATE; SELECT SLEEP(300)"
    user = composition.process("b", lock)
    sleeping = "FROM information_schema.processlist WHERE user = 'app' AND info LIKE '%SLEEP(300)%'"
    try:
        wait_for(lambda: composition.sql("b", f"SELECT id {sleeping}", user="root"), "a lock at b")
        yield
    finally:
        for (number,) in composition.sql("b", f"SELECT id {sleeping}", user="root"):
            composition.sql("b", f"KILL {number}", user="root")
        user.terminate()
        user.wait()


def applying(composition: Composition) -> bool:
    """Whether the pipeline waits for a lock at site b, in the middle of a transaction."""
    query = (
        "SELECT COUNT(*) FROM information_schema.innodb_trx t "
        "JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id "
        "WHERE p.user = 'dts' AND t.trx_state = 'LOCK WAIT'"
    )
    return composition.sql("b", query, user="root") != [["0"]]


def test_a_run_killed_in_its_transaction_leaves_nothing_and_the_next_one_everything(
    composition: Composition, summary: list[str]
) -> None:
    engine = composition.engine
    with row_held(composition):
        composition.sql("a", "UPDATE shop.customer SET name = 'changed' WHERE id = 1")
        composition.sql("a", "INSERT INTO shop.customer VALUES (10, 'ten'), (11, 'eleven')")
        wait_for(lambda: applying(composition), "a run waits inside its transaction")
        carrying = [c for c in composition.run_containers() if job_of(engine, c) == "sync_a_to_b"]
        assert len(carrying) == 1
        run = engine.inspect(carrying[0])["Config"]["Labels"]["dagster/run_id"]
        check_hardened(composition, carrying[0])

        engine("kill", carrying[0])
        began = time.monotonic()
        wait_for(lambda: composition.runs("sync_a_to_b").get(run) == "FAILURE", "the run failed")
        summary.append(f"a killed run counted as failed after {time.monotonic() - began:.0f} s")
        assert composition.sql("b", "SELECT COUNT(*) FROM shop.customer WHERE id > 9") == [["0"]]

    wait_for(
        lambda: composition.rows("a", "shop.customer") == composition.rows("b", "shop.customer"),
        "the next run has carried it",
        seconds=400,
    )
    assert composition.rows("b", "shop.customer")[0] == ["1", "changed"]
    assert composition.sql("b", "SELECT COUNT(*) FROM shop.customer") == [["5"]]


def job_of(engine: Engine, container: str) -> str:
    return str(engine.inspect(container)["Config"]["Labels"]["dagster/job_name"])


def check_hardened(composition: Composition, container: str) -> None:
    """A run's container has no more rights than it needs, and its command holds no secret."""
    found = composition.engine.inspect(container)
    host = found["HostConfig"]
    assert found["Config"]["User"] == "10001:10001"
    assert found["Config"]["Image"] == IMAGE
    assert host["ReadonlyRootfs"] is True
    assert host["AutoRemove"] is True
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Privileged"] is False
    assert host["Memory"] == 2 * 2**30
    assert host["PidsLimit"] == 256
    assert host["NetworkMode"] == f"{composition.project}_pipeline"
    assert not host["Binds"]
    assert not host["PortBindings"]
    assert set(host["Tmpfs"]) == {"/tmp", "/opt/dagster/storage"}
    command = json.dumps(found["Config"]["Cmd"])
    assert [name for name, value in composition.secrets.items() if value in command] == []
    given = {line.partition("=")[0] for line in found["Config"]["Env"]}
    assert {"DTS_A_PASSWORD", "DTS_B_PASSWORD"} <= given
    assert not {name for name in given if "ROOT" in name or "CONNECTOR" in name}


def test_containers_of_runs_are_gone(composition: Composition) -> None:
    composition.compose("stop", "daemon")
    try:
        wait_for(lambda: not composition.run_containers(), "no run's container is left")
    finally:
        composition.compose("start", "daemon")


def test_only_ui_and_metrics_listen_outside_and_only_on_loopback(composition: Composition) -> None:
    containers = composition.compose("ps", "--quiet").split()
    assert len(containers) == 10
    published = {}
    for container in containers:
        found = composition.engine.inspect(container)
        ports = {k: v for k, v in (found["HostConfig"]["PortBindings"] or {}).items() if v}
        if ports:
            published[found["Config"]["Labels"]["com.docker.compose.service"]] = ports

    def here(port: int) -> list[dict[str, str]]:
        return [{"HostIp": "127.0.0.1", "HostPort": str(port)}]

    assert published == {
        "webserver": {"3000/tcp": here(composition.port)},
        "exporter": {"9808/tcp": here(composition.metrics_port)},
    }


def test_the_exporter_reads_both_ledgers(composition: Composition) -> None:
    def links_up() -> list[float]:
        lines = composition.metrics().splitlines()
        return [float(x.rpartition(" ")[2]) for x in lines if x.startswith("dts_link_up{")]

    wait_for(lambda: links_up() == [1, 1], "both ledgers are read")


@pytest.mark.parametrize("service", ["code", "webserver", "daemon", "exporter"])
def test_dagster_s_containers_have_no_rights_to_spare(
    composition: Composition, service: str
) -> None:
    found = composition.engine.inspect(composition.compose("ps", "--quiet", service).strip())
    host = found["HostConfig"]

    assert found["Config"]["User"] == "10001:10001"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert not any("docker.sock" in bind for bind in host["Binds"] or ())


REQUESTS = {
    "list": ("GET", "/v1.41/containers/json", None),
    "images": ("GET", "/v1.41/images/json", None),
    "exec": ("POST", "/v1.41/containers/{id}/exec", {"Cmd": ["id"]}),
    "remove": ("DELETE", "/v1.41/containers/{id}", None),
    "path tricks": ("GET", "/v1.41/containers/%6a/../json", None),
    "another image": ("POST", "/v1.41/containers/create", {"Image": "mysql:9.7.4"}),
    "privileged": ("POST", "/v1.41/containers/create", {"HostConfig": {"privileged": True}}),
    "host folder": ("POST", "/v1.41/containers/create", {"HostConfig": {"binds": ["/:/host"]}}),
    "host network": (
        "POST",
        "/v1.41/containers/create",
        {"HostConfig": {"NetworkMode": "host"}},
    ),
}


@pytest.mark.parametrize("what", REQUESTS)
def test_the_way_to_docker_s_socket_lets_nothing_else_through(
    composition: Composition, what: str
) -> None:
    method, path, given = REQUESTS[what]
    container = composition.compose("ps", "--quiet", "--no-trunc", "postgres").strip()
    plain = {"Image": IMAGE, "HostConfig": {"NetworkMode": f"{composition.project}_pipeline"}}
    body = None if given is None else {**plain, **given}
    if body and "HostConfig" in (given or {}):
        body["HostConfig"] = {**plain["HostConfig"], **given["HostConfig"]}  # type: ignore[dict-item,index]

    assert status_of(composition, method, path.format(id=container), body) == 403


def test_what_the_launcher_asks_for_goes_through(composition: Composition) -> None:
    container = composition.compose("ps", "--quiet", "--no-trunc", "postgres").strip()

    assert status_of(composition, "GET", "/version", None) == 200
    assert status_of(composition, "GET", f"/v1.41/containers/{container}/json", None) == 200


def status_of(composition: Composition, method: str, path: str, body: object) -> int:
    """What the proxy answers to a request from the daemon's container."""
    code = (
        "import http.client, sys; "
        "c = http.client.HTTPConnection('docker-proxy', 2375, timeout=10); "
        "b = sys.argv[3] or None; "
        "c.request(sys.argv[1], sys.argv[2], b, {'Content-Type': 'application/json'}); "
        "print(c.getresponse().status)"
    )
    text = "" if body is None else json.dumps(body)
    return int(
        composition.compose("exec", "-T", "daemon", "python", "-c", code, method, path, text)
    )


def test_runs_cannot_reach_the_way_to_docker_s_socket(composition: Composition) -> None:
    code = "import socket; socket.create_connection(('docker-proxy', 2375), timeout=5)"
    done = composition.run("exec", "-T", "code", "python", "-c", code)

    assert done.returncode != 0


@pytest.mark.parametrize("image", [IMAGE, CONNECT_IMAGE])
def test_the_images_run_as_nobody_special_and_hold_no_secret(
    composition: Composition, image: str
) -> None:
    engine = composition.engine
    assert engine.inspect(image)["Config"]["User"] not in ("", "root", "0")
    told = engine("history", "--no-trunc", image) + json.dumps(engine.inspect(image))
    container = engine("create", image).strip()
    try:
        needles = [value.encode() for value in composition.secrets.values()]
        assert [v for v in composition.secrets.values() if v in told] == []
        assert not found_in_export(engine, container, needles)
    finally:
        engine("rm", container)


def found_in_export(engine: Engine, container: str, needles: list[bytes]) -> list[int]:
    """Which of the texts stand in a container's files."""
    found: set[int] = set()
    overlap = max(map(len, needles))
    with subprocess.Popen(
        [engine.docker, "export", container], env=engine.environ, stdout=subprocess.PIPE
    ) as export:
        assert export.stdout is not None
        tail = b""
        while chunk := export.stdout.read(4 * MEBIBYTE):
            text = tail + chunk
            found |= {n for n, needle in enumerate(needles) if needle in text}
            tail = text[-overlap:]
    assert export.returncode == 0
    return sorted(found)


def test_secrets_stand_in_no_log_of_a_container(composition: Composition) -> None:
    text = composition.compose("logs", "--no-color")

    assert len(text) > 1000
    assert [name for name, value in composition.secrets.items() if value in text] == []
