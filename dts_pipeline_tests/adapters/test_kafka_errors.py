"""How long a broker may be silent."""

from __future__ import annotations

import time

import pytest

from dts_pipeline.adapters.kafka_admin import KafkaAdmin
from dts_pipeline.adapters.kafka_errors import patience
from dts_pipeline.errors import TransientError


@pytest.mark.parametrize(
    ("properties", "seconds"),
    [
        ({}, 8.0),
        ({"socket.timeout.ms": "3000"}, 3.0),
        ({"socket.timeout.ms": "60000"}, 8.0),
        ({"socket.timeout.ms": "soon"}, 8.0),  # librdkafka refuses it when a client is made
    ],
)
def test_socket_timeout_only_shortens(properties: dict[str, str], seconds: float) -> None:
    assert patience(properties, 8.0) == seconds


def test_a_broker_that_nobody_runs_is_not_waited_for_longer_than_said() -> None:
    nobody = {"bootstrap.servers": "127.0.0.1:9", "socket.timeout.ms": "1000"}
    began = time.monotonic()
    with pytest.raises(TransientError) as caught:
        KafkaAdmin(nobody).names()
    assert caught.value.code == "kafka_unreachable"
    assert time.monotonic() - began < 5
