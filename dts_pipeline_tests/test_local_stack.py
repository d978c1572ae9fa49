"""deploy/local/stack without its servers: settings, accounts, processes, sums."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from dts_pipeline.cli import main

_LOCAL = Path(__file__).resolve().parents[1] / "deploy" / "local"
sys.path.insert(0, str(_LOCAL))

from localstack.account import current_account  # noqa: E402
from localstack.accounts import account_statements  # noqa: E402
from localstack.cache import made_whole  # noqa: E402
from localstack.clocks import clock_environment, set_clock  # noqa: E402
from localstack.commands import Command, run_all  # noqa: E402
from localstack.database import server_settings  # noqa: E402
from localstack.errors import StackError  # noqa: E402
from localstack.interrupts import Interrupts  # noqa: E402
from localstack.jars import check_sums, read_sums, sums_of  # noqa: E402
from localstack.kafka import (  # noqa: E402
    broker_settings,
    connect_service,
    kafka_service,
    worker_settings,
)
from localstack.kafka_probe import ask_broker, parse_metadata  # noqa: E402
from localstack.processes import ProcessId, identify, is_running, send_signal  # noqa: E402
from localstack.report import describe, environment, write_config  # noqa: E402
from localstack.service import Service  # noqa: E402
from localstack.stackfile import Settings, Stack, load, new_cluster_id, new_stack, save  # noqa: E402
from localstack.supervisor import Supervisor  # noqa: E402

_SETTINGS = Settings("mariadb", "origin", fast=False, server_options=(), kafka_options=())


def _stack(directory: Path, **changes: object) -> Stack:
    return new_stack(directory, replace(_SETTINGS, **changes))  # type: ignore[arg-type]


def _sleeper(folder: Path, argv: tuple[str, ...] = ("sleep", "60"), **changes: object) -> Service:
    log = folder / "logs" / "site_a.log"
    service = Service("site_a", argv, folder, log, current_account(), lambda: None, (), lambda: "")
    return replace(service, **changes)  # type: ignore[arg-type]


def test_a_stack_file_comes_back_as_it_was_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    stack = _stack(tmp_path, server_options=("a:x=1", "b:y=2"), kafka_options=("num.partitions=3",))
    save(stack)
    assert load(tmp_path) == stack
    assert (tmp_path / "stack.json").stat().st_mode & 0o777 == 0o600
    assert load(tmp_path / "elsewhere") is None


def test_ports_and_passwords_differ(tmp_path: Path) -> None:
    stack = _stack(tmp_path)
    passwords = [text for site in stack.passwords.values() for text in site.values()]
    assert len(set(stack.ports.values())) == 6
    assert len(set(passwords)) == 12


def test_no_cluster_id_looks_like_an_option() -> None:
    assert not any(new_cluster_id().startswith("-") for _ in range(500))


def test_the_sites_are_told_apart_and_user_options_win(tmp_path: Path) -> None:
    stack = _stack(
        tmp_path, fast=True, server_options=("b:sync-binlog=1", "b:binlog-row-image=MINIMAL")
    )
    a, b = (server_settings(stack, site, tmp_path) for site in "ab")
    assert a["gtid-domain-id"] != b["gtid-domain-id"]
    assert a["server-id"] != b["server-id"]
    assert a["bind-address"] == b["bind-address"] == "127.0.0.1"
    assert (a["sync-binlog"], b["sync-binlog"]) == ("0", "1")
    assert (a["binlog-row-image"], b["binlog-row-image"]) == ("FULL", "MINIMAL")


@pytest.mark.parametrize("fast", [False, True])
def test_only_a_fast_stack_does_without_the_optimising_compiler(tmp_path: Path, fast: bool) -> None:
    stack = _stack(tmp_path, fast=fast)
    for make in (kafka_service, connect_service):
        argv = make(stack, tmp_path, current_account()).argv
        assert ("-XX:TieredStopAtLevel=1" in argv) == fast


def test_only_a_stack_that_was_made_so_has_clocks_to_set(tmp_path: Path) -> None:
    plain, other = _stack(tmp_path), _stack(tmp_path, clocks=True)
    assert clock_environment(plain, "kafka") == {}
    with pytest.raises(StackError, match="--clocks"):
        set_clock(plain, "kafka", -3600)
    for seconds, text in ((0, "+0\n"), (-3600, "-3600\n")):
        set_clock(other, "kafka", seconds)
        assert (tmp_path / "clocks" / "kafka").read_text() == text


def test_durability_is_left_alone_without_fast(tmp_path: Path) -> None:
    assert "sync-binlog" not in server_settings(_stack(tmp_path), "a", tmp_path)


def test_kafka_and_connect_take_messages_of_one_size(tmp_path: Path) -> None:
    stack = _stack(tmp_path, kafka_options=("num.partitions=3",))
    broker, worker = broker_settings(stack, tmp_path), worker_settings(stack, [tmp_path])
    assert broker["message.max.bytes"] == worker["producer.max.request.size"]
    assert broker["num.partitions"] == "3"
    assert broker["log.cleanup.policy"] == "delete"
    for side in ("key", "value"):
        assert worker[f"{side}.converter.schemas.enable"] == "false"
        assert worker[f"{side}.converter.replace.null.with.default"] == "false"


@pytest.mark.parametrize(
    ("kind", "mark", "granted"),
    [
        ("mariadb", "origin", "GRANT BINLOG REPLAY ON"),
        ("mysql", "origin", "GRANT REPLICATION_APPLIER ON"),
        ("mariadb", "comment", None),
        ("mysql", "comment", None),
    ],
)
def test_the_origin_stamp_is_granted_only_where_it_is_used(
    kind: str, mark: str, granted: str | None
) -> None:
    passwords = dict.fromkeys(("root", "app", "dts", "debezium"), "00")
    statements = account_statements(kind, mark, passwords)
    stamps = [text for text in statements if "REPLAY" in text or "APPLIER" in text]
    assert stamps == ([f"{granted} *.* TO 'dts'@'%'"] if granted else [])
    assert statements[0] == "SET sql_log_bin=0"  # accounts stay out of the binlog
    assert any("User=''" in text for text in statements) == (kind == "mariadb")


@pytest.mark.parametrize("mark", ["origin", "comment"])
def test_the_accounts_may_do_what_init_prints_and_nothing_else(tmp_path: Path, mark: str) -> None:
    stack = _stack(tmp_path, mark=mark)
    config = write_config(stack)
    done = CliRunner().invoke(
        main, ["init", "--print", "--json", "--config", str(config)], env=environment(stack)
    )
    printed = json.loads(done.stdout)["grants"]["a"]
    for kind in ("mariadb", "mysql"):
        made = account_statements(
            kind, mark, dict.fromkeys(("root", "app", "dts", "debezium"), "0")
        )
        grants = [text for text in made if text.startswith("GRANT ") and "'app'@" not in text]
        assert grants == [
            line.rstrip(";") for line in printed[kind].splitlines() if line.startswith("GRANT ")
        ]


@pytest.mark.parametrize(
    ("flavour", "mark", "domain"),
    [("mariadb", "origin", 4711), ("mixed", "origin", 4711), ("mysql", "origin", None)],
)
def test_the_configuration_names_its_variables_and_holds_no_secret(
    tmp_path: Path, flavour: str, mark: str, domain: int | None
) -> None:
    stack = _stack(tmp_path, flavour=flavour, mark=mark)
    text = write_config(stack).read_text()
    config = yaml.safe_load(text)
    assert config["pairs"]["shop"].get("mark_domain_id") == domain
    assert config["sites"]["b"]["connector"]["password"] == "${DTS_B_CONNECTOR_PASSWORD}"
    assert all(f"${{{name}}}" in text for name in environment(stack))
    assert not any(value in text for value in environment(stack).values())
    assert (tmp_path / "env.sh").stat().st_mode & 0o777 == 0o600


def test_the_description_has_what_tests_need(tmp_path: Path) -> None:
    found = json.loads(json.dumps(describe(_stack(tmp_path, flavour="mixed"))))
    assert {"config", "env", "sites", "kafka", "connect", "flavour", "mark", "dir"} <= found.keys()
    assert [found["sites"][site]["kind"] for site in "ab"] == ["mariadb", "mysql"]


def test_a_reused_pid_is_neither_running_nor_signalled() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        real = identify(child.pid)
        assert real is not None
        for other in (replace(real, started=real.started - 1), replace(real, boot="another")):
            assert not is_running(other)
            send_signal(other, signal.SIGKILL)
        assert child.poll() is None
        send_signal(real, signal.SIGKILL)
        assert child.wait(10) == -signal.SIGKILL
        assert not is_running(real)


def test_a_zombie_does_not_count_as_running() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert identify(child.pid) is None
    child.wait()


def test_a_service_is_started_once_stopped_and_killed(tmp_path: Path) -> None:
    supervisor, service = Supervisor(tmp_path), _sleeper(tmp_path)
    supervisor.start([service])
    first = supervisor.process("site_a")
    supervisor.start([service])
    assert first is not None
    assert supervisor.process("site_a") == first
    supervisor.stop({"site_a": 10})
    assert supervisor.process("site_a") is None
    supervisor.start([service])
    assert supervisor.process("site_a") not in (None, first)
    supervisor.kill(["site_a"])
    assert supervisor.process("site_a") is None


def _await_state(pid: int, *, stopped: bool) -> None:
    until = time.monotonic() + 10
    while (Path(f"/proc/{pid}/stat").read_text().split()[2] == "T") != stopped:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_paused_service_stands_still_until_it_is_started(tmp_path: Path) -> None:
    supervisor, service = Supervisor(tmp_path), _sleeper(tmp_path)
    with pytest.raises(StackError, match="does not run"):
        supervisor.pause("site_a")
    supervisor.start([service])
    process = supervisor.process("site_a")
    assert process is not None
    supervisor.pause("site_a")
    _await_state(process.pid, stopped=True)
    supervisor.start([service])
    _await_state(process.pid, stopped=False)
    assert supervisor.process("site_a") == process
    supervisor.kill(["site_a"])


def test_a_service_that_dies_shows_the_end_of_its_log(tmp_path: Path) -> None:
    service = _sleeper(
        tmp_path, ("sh", "-c", "sleep 0.2; echo the cause; exit 1"), ask=lambda: "no"
    )
    with pytest.raises(StackError, match="the cause"):
        Supervisor(tmp_path).start([service])


def test_a_stubborn_service_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    argv = ("sh", "-c", f"trap '' TERM; touch {ready}; while :; do sleep 0.1; done")
    supervisor = Supervisor(tmp_path)
    supervisor.start([_sleeper(tmp_path, argv, ask=lambda: "" if ready.exists() else "not yet")])
    supervisor.stop({"site_a": 0.3})
    assert supervisor.process("site_a") is None


def test_a_service_is_prepared_once(tmp_path: Path) -> None:
    log = tmp_path / "prepare.log"
    command = Command("prepare", ("echo", "prepared"), log, current_account(), tmp_path)
    service = _sleeper(tmp_path, prepare=(command,))
    for _ in range(2):
        Supervisor(tmp_path).prepare([service])
    assert log.read_text() == "prepared\n"


def test_a_failing_command_ends_the_others(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"echo $$ > {pid_file}; exec sleep 60"
    commands = [
        Command(what, ("sh", "-c", text), tmp_path / what, current_account(), tmp_path)
        for what, text in (
            ("long", script),
            ("bad", f"until [ -s {pid_file} ]; do :; done; exit 3"),
        )
    ]
    with pytest.raises(StackError, match="could not bad: exit status 3"):
        run_all(commands)
    assert identify(int(pid_file.read_text())) is None


def test_the_children_of_a_broken_off_command_end_too(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    child = f"trap '' TERM; echo $$ > {pid_file}; while :; do sleep 0.1; done"
    script = f'sh -c "{child}" & until [ -s {pid_file} ]; do :; done; exit 3'.replace(
        "$$", "\\$\\$"
    )
    command = Command("parent", ("sh", "-c", script), tmp_path / "log", current_account(), tmp_path)
    with pytest.raises(StackError, match="exit status 3"):
        run_all([command], patience=0.3)
    assert identify(int(pid_file.read_text())) is None


def test_an_interrupt_waits_for_the_end_of_a_deferred_block() -> None:
    interrupts = Interrupts()
    reached: list[str] = []

    def interrupted() -> None:
        with interrupts.deferred():
            signal.raise_signal(signal.SIGTERM)
            reached.append("end of the block")

    before = {number: signal.getsignal(number) for number in (2, 15, 1)}
    try:
        interrupts.install()
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        with interrupts.deferred(forget=True):
            signal.raise_signal(signal.SIGINT)
        reached.append("after the cleanup")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert reached == ["end of the block", "after the cleanup"]


def test_the_committed_sums_name_the_connectors_and_are_complete() -> None:
    sums = read_sums(_LOCAL / "jars.sha256")
    assert all(len(digest) == 64 for digest in sums.values())
    for name in ("kafka/kafka_2.13-", "plugins/debezium/debezium-connector-mariadb-"):
        assert any(path.startswith(name) for path in sums)


def test_the_sink_is_a_plugin_of_its_own_without_what_the_worker_brings() -> None:
    names = {Path(name).name.rpartition("-")[0] for name in read_sums(_LOCAL / "sink/jars.sha256")}
    assert {"debezium-connector-jdbc", "mysql-connector-j", "mariadb-java-client"} <= names
    assert not names & {"kafka-clients", "connect-api", "slf4j-api", "jackson-core"}


def test_a_worker_has_the_sink_only_where_it_was_asked_for(tmp_path: Path) -> None:
    found = [
        worker_settings(_stack(tmp_path), plugins)["plugin.path"]
        for plugins in ([tmp_path / "plugins"], [tmp_path / "plugins", tmp_path / "sink"])
    ]
    assert found == [f"{tmp_path}/plugins", f"{tmp_path}/plugins,{tmp_path}/sink"]


@pytest.mark.parametrize("change", ["other content", "missing", "unknown"])
def test_jars_that_differ_from_the_list_are_refused(tmp_path: Path, change: str) -> None:
    folder, sums = tmp_path / "jars", tmp_path / "sums"
    folder.mkdir()
    (folder / "one.jar").write_bytes(b"1")
    sums.write_text("".join(f"{digest}  {name}\n" for name, digest in sums_of(folder).items()))
    check_sums(folder, sums)
    if change == "missing":
        (folder / "one.jar").unlink()
    else:
        name = "one.jar" if change == "other content" else "two.jar"
        (folder / name).write_bytes(b"2")
    with pytest.raises(StackError, match="jars differ"):
        check_sums(folder, sums)


def test_a_download_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def download() -> None:
        with made_whole(tmp_path / "cache") as folder:
            (folder / "half").touch()
            raise StackError("broken off")

    with pytest.raises(StackError):
        download()
    assert list(tmp_path.iterdir()) == []


def _metadata(port: int, controller: int) -> bytes:
    broker = struct.pack(">ih", 1, 9) + b"127.0.0.1" + struct.pack(">ih", port, -1)
    return struct.pack(">ii", 1, 1) + broker + struct.pack(">ii", controller, 0)


def test_the_metadata_answer_is_read() -> None:
    assert parse_metadata(_metadata(19092, 1)) == ([19092], 1)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda port: _metadata(port, 1), ""),
        (lambda port: _metadata(port, -1), "no controller"),
        (lambda port: _metadata(port + 1, 1), "does not list itself"),
        (lambda _: b"nonsense", "does not speak Kafka"),
    ],
)
def test_only_a_broker_that_knows_itself_answers(
    answer: Callable[[int], bytes], expected: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1024)
                body = answer(port)
                connection.sendall(struct.pack(">i", len(body)) + body)

        thread = threading.Thread(target=serve)
        thread.start()
        reason = ask_broker(port)
        thread.join()
    assert expected in reason
    assert bool(reason) == bool(expected)
    assert "no answer" in ask_broker(port)


def test_a_process_record_is_plain_json() -> None:
    assert json.loads(json.dumps(asdict(ProcessId(1, 2, "boot")))) == {
        "pid": 1,
        "started": 2,
        "boot": "boot",
    }


def test_the_program_needs_nothing_installed() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(_LOCAL / "stack"), "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "{setup,sums,up,down,status,logs,start,stop,kill,pause,clock,sql}" in done.stdout


def test_a_folder_without_a_stack_is_said(tmp_path: Path) -> None:
    argv = [sys.executable, str(_LOCAL / "stack"), "status", "--dir", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no stack in" in done.stderr
