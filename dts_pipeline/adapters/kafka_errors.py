"""librdkafka's errors as DtsErrors; only their names are carried over."""

from __future__ import annotations

import re
from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException

from dts_pipeline.errors import DtsError, TerminalError, TransientError

_DENIED = {
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
}
_REFUSED = {
    KafkaError.INVALID_CONFIG,
    KafkaError.INVALID_REQUEST,
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.POLICY_VIOLATION,
    KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError.UNSUPPORTED_VERSION,
}


def translated(error: KafkaError, servers: str) -> DtsError:
    """TerminalError `kafka_access_denied` or `kafka_refused`, else TransientError.

    `servers` are the bootstrap servers, for the place.
    """
    where = {"kafka": servers, "cause": error.name()}
    if error.code() in _DENIED:
        return denied(servers, error.name())
    if error.code() in _REFUSED:
        return TerminalError(
            "kafka_refused",
            "the broker refused a request",
            where=where,
            remedy="Look the cause up in Kafka's list of errors.",
        )
    return unreachable(servers, error.name())


def denied(servers: str, cause: str) -> TerminalError:
    """The error for an account that the broker does not let in."""
    return TerminalError(
        "kafka_access_denied",
        "the broker does not let this account in",
        where={"kafka": servers, "cause": cause},
        remedy="Check `sasl.username`, the variable of the password and `sasl.mechanism` under "
        "`kafka:`, and the account's ACLs.",
    )


def unreachable(servers: str, cause: str) -> TransientError:
    """The error for a broker that does not answer."""
    return TransientError(
        "kafka_unreachable",
        "no broker answers",
        where={"kafka": servers, "cause": cause},
        remedy="Start Kafka, or mend bootstrap.servers or security.protocol in dts.yaml.",
    )


def invalid_property(error: KafkaException) -> TerminalError:
    """The error for a property that librdkafka does not know or accept; values stay behind."""
    text = error.args[0].str() if error.args else ""
    names = re.findall(r'"([^"]*)"|\b((?:ssl|sasl)(?:\.[a-z]+)+)', text)
    name = "".join(names[0]) if names else "?"
    return TerminalError(
        "kafka_property_invalid",
        "librdkafka does not accept a property",
        where={"property": name},
        remedy="Mend the kafka section of dts.yaml; a path must name a file that can be read.",
    )


def patience(properties: Mapping[str, str], seconds: float) -> float:
    """How many seconds a broker may be silent: `seconds`, or `socket.timeout.ms` if that is less.

    librdkafka itself goes on asking for ever.
    """
    given = properties.get("socket.timeout.ms", "")
    return min(seconds, int(given) / 1000) if given.isdigit() else seconds
