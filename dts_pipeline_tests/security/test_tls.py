"""Every server over TLS; and each bad certificate and secret is refused, with nothing written.

`localhost` is the name in the certificates: 127.0.0.1 is the same server under a wrong name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pymysql
import pytest

from dts_pipeline_tests.integration.bad_bench import PLANTED, Bench
from dts_pipeline_tests.security.secure_rig import SecureRig
from dts_pipeline_tests.security.secure_stack import SecureStack

pytestmark = pytest.mark.servers

ITEM = "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(100)) CHARACTER SET utf8mb4"
WRONG = f"{PLANTED}-as-a-secret"


@pytest.fixture(
    scope="module", params=["secure_mariadb", pytest.param("secure_mysql", marks=pytest.mark.mysql)]
)
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """One pair for the module."""
    secure: SecureStack = request.getfixturevalue(request.param)
    rig = SecureRig(secure.stack, "tls", tmp_path_factory.mktemp("tls"), secure=secure)
    made = Bench(rig.create(ITEM), secrets=[WRONG])
    yield made
    made.remove_connectors()


@pytest.fixture
def secure(bench: Bench) -> SecureStack:
    assert isinstance(bench.rig, SecureRig)
    return bench.rig.secure


def test_rows_are_carried_both_ways_by_the_least_of_accounts(bench: Bench) -> None:
    bench.foreseen()
    bench.rig.sql("a", f"INSERT INTO item VALUES (1, '{PLANTED}')")
    bench.rig.sql("b", f"INSERT INTO item VALUES (2, '{PLANTED}')")
    bench.goes_on()
    assert len(bench.rig.rows("a", "SELECT id FROM item")) == 2
    settings = bench.rig.config.sites[bench.rig.sites[0]]
    for user in (settings.user, settings.connector.user if settings.connector else ""):
        rows = bench.rig.rows("a", f"SELECT ssl_type FROM mysql.user WHERE user = '{user}'")
        assert [tuple(row) for row in rows] == [("ANY",)]  # it cannot log in without TLS


@pytest.mark.parametrize(
    ("site", "code"),
    [
        ({"tls": {"ca": "other.pem"}}, "certificate_untrusted"),
        ({"tls": {"ca": "absent.pem"}}, "tls_file_unusable"),
        ({"tls": {"cert": "client.pem", "key": "server.key"}}, "tls_file_unusable"),
        ({"host": "127.0.0.1"}, "certificate_other_name"),
    ],
    ids=["wrong CA", "no CA", "another's key", "wrong host name"],
)
def test_a_database(bench: Bench, secure: SecureStack, site: dict[str, Any], code: str) -> None:
    name = bench.rig.sites[1]
    error = bench.refused(code, changes={"sites": {name: _placed(secure, site)}})
    assert error["where"]["site"] == name
    assert error["where"]["address"].endswith(str(bench.rig.config.sites[name].port))


def test_a_database_whose_certificate_has_expired(bench: Bench, secure: SecureStack) -> None:
    """MySQL itself takes no expired certificate; there it can only expire in use."""
    secure.certificate("database", "expired")
    if secure.stack.site("b")["kind"] == "mysql":
        with pytest.raises(pymysql.OperationalError, match="3888"):
            secure.reload_site("b")
        secure.certificate("database", "server")
        return
    secure.reload_site("b")
    try:
        error = bench.refused("certificate_expired")
    finally:
        secure.certificate("database", "server")
        secure.reload_site("b")
    assert error["where"]["site"] == bench.rig.sites[1]
    assert "expired" in error["where"]["reason"]


def test_a_database_and_a_wrong_password(bench: Bench) -> None:
    error = bench.refused("access_denied", environment={"DTS_B_PASSWORD": WRONG})
    assert error["where"]["site"] == bench.rig.sites[1]


@pytest.mark.parametrize(
    ("kafka", "code"),
    [
        ({"ssl.ca.location": "other.pem"}, "certificate_untrusted"),
        ({"ssl.ca.location": "absent.pem"}, "kafka_property_invalid"),
        ({"bootstrap.servers": "127.0.0.1"}, "certificate_other_name"),
        ({"bootstrap.servers": "expired"}, "certificate_expired"),
        ({"bootstrap.servers": "plain"}, "tls_unavailable"),
        ({"sasl.mechanism": "PLAIN"}, "kafka_access_denied"),
        ({"sasl.username": "nobody"}, "kafka_access_denied"),
    ],
    ids=["wrong CA", "no CA", "wrong host name", "expired", "no TLS", "mechanism", "wrong user"],
)
def test_kafka(bench: Bench, secure: SecureStack, kafka: dict[str, Any], code: str) -> None:
    servers = {
        "127.0.0.1": secure.kafka.replace("localhost", "127.0.0.1"),
        "plain": secure.stack.kafka.replace("127.0.0.1", "localhost"),
        "expired": secure.kafka_expired,
    }
    changes = _placed(secure, {key: servers.get(value, value) for key, value in kafka.items()})
    error = bench.refused(code, changes={"kafka": changes})
    if code != "kafka_property_invalid":
        asked = changes.get("bootstrap.servers", secure.kafka)
        assert error["where"]["kafka"] == asked


def test_kafka_and_a_wrong_password(bench: Bench, secure: SecureStack) -> None:
    error = bench.refused("kafka_access_denied", environment={"KAFKA_SECRET": WRONG})
    assert error["where"]["kafka"] == secure.kafka


@pytest.mark.parametrize(
    ("connect", "code"),
    [
        ({"tls": {"ca": "other.pem"}}, "certificate_untrusted"),
        ({"tls": {"cert": None, "key": None}}, "client_certificate_refused"),
        ({"url": "127.0.0.1"}, "certificate_other_name"),
    ],
    ids=["wrong CA", "no certificate of the client", "wrong host name"],
)
def test_connect(bench: Bench, secure: SecureStack, connect: dict[str, Any], code: str) -> None:
    changes = _placed(secure, connect)
    if "url" in changes:
        changes["url"] = secure.connect.replace("localhost", changes["url"])
    error = bench.refused(code, changes={"connect": changes})
    assert error["where"]["connect"] == changes.get("url", secure.connect)


def test_preflight_foresees_all_of_them_at_once(bench: Bench, secure: SecureStack) -> None:
    other = secure.path("other.pem")
    changes = {
        "kafka": {"ssl.ca.location": other},
        "connect": {"tls": {"ca": other}},
        "sites": {bench.rig.sites[1]: {"tls": {"ca": other}}},
    }
    bench.foreseen(*["certificate_untrusted"] * 3, changes=changes)


def test_connect_whose_certificate_has_expired(bench: Bench, secure: SecureStack) -> None:
    """Connect reads its certificate when it starts; so this comes last."""
    secure.stack.command("stop", "connect")
    secure.certificate("connect", "expired")
    secure.stack.command("start", "connect")
    try:
        error = bench.refused("certificate_expired")
    finally:
        secure.certificate("connect", "server")
    assert error["where"]["connect"] == secure.connect


def _placed(secure: SecureStack, changes: dict[str, Any]) -> dict[str, Any]:
    """File names as paths of the stack's certificates."""
    found: dict[str, Any] = {}
    for key, value in changes.items():
        if isinstance(value, dict):
            found[key] = _placed(secure, value)
        else:
            is_file = isinstance(value, str) and value.endswith((".pem", ".key"))
            found[key] = secure.path(value) if is_file else value
    return found
