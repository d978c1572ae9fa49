"""Kafka Connect's REST interface, as far as connectors are registered, watched and compared."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from dts_pipeline.adapters.connector_status import ConnectorStatus, failure, status_of
from dts_pipeline.adapters.tls import TlsFiles, client_context, tls_problem
from dts_pipeline.errors import DtsError, TerminalError, TransientError

_SECRET_SETTING = re.compile(r"password|secret|jaas|token|credential", re.IGNORECASE)
_POLL_SECONDS = 0.25
# A connector that is registered anew can still show how its last life ended.
_STALE_FAILURE_SECONDS = 5.0


@dataclass(frozen=True)
class RegisteredConnector:
    """A connector as Connect knows it; settings that look like secrets are left out."""

    name: str
    settings: Mapping[str, str] = field(repr=False)
    status: ConnectorStatus


class ConnectApi:
    """A client of one Connect cluster. Use it as a context manager.

    Every method raises TransientError `connect_unreachable`, or TerminalError `connect_refused`
    where Connect understood the request and does not accept it, or what adapters.tls says of its
    certificate.
    """

    def __init__(
        self,
        url: str,
        *,
        tls: TlsFiles | None = None,
        patience: float = 15.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`patience`: seconds for which a rebalance or a broken connection is waited out.

        `tls` is for https only; without it the system's authorities count. Raises TerminalError
        `tls_file_unusable`.
        """
        self._url = url.rstrip("/")
        # no certificates to load for http: 30 ms a client
        secure = client_context(tls or TlsFiles(), {"connect": self._url}) if self._tls else False
        self._patience = patience
        self._client = httpx.Client(
            base_url=self._url,
            timeout=httpx.Timeout(30.0, connect=5.0),
            transport=transport,
            verify=secure,
        )

    @property
    def _tls(self) -> bool:
        return self._url.startswith("https:")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def plugins(self) -> dict[str, str]:
        """The installed connector classes and their versions."""
        answer = self._ask("GET", "/connector-plugins")
        return {str(plugin["class"]): str(plugin.get("version", "")) for plugin in answer}

    def connectors(self) -> dict[str, RegisteredConnector]:
        """Every connector with settings and status, in one request."""
        answer = self._ask("GET", "/connectors", params=[("expand", "info"), ("expand", "status")])
        return {
            name: RegisteredConnector(
                name, _without_secrets(entry["info"]["config"]), status_of(entry["status"])
            )
            for name, entry in sorted(answer.items())
        }

    def running_of(self, topic_prefix: str) -> RegisteredConnector:
        """The connector that writes under a topic prefix; raises what `require_running` does."""
        return require_running(self.connectors(), topic_prefix, self._url)

    def put(self, name: str, settings: Mapping[str, str]) -> None:
        """Registers a connector, or changes one; the same settings again restart no task."""
        self._ask("PUT", f"/connectors/{_path(name)}/config", json=dict(settings), connector=name)

    def status(self, name: str) -> ConnectorStatus:
        """Raises TerminalError `connector_missing` as well."""
        return status_of(self._ask("GET", f"/connectors/{_path(name)}/status", connector=name))

    def offsets(self, name: str) -> list[dict[str, Any]]:
        """How far the connector has read its source, as last committed; empty at first."""
        answer = self._ask("GET", f"/connectors/{_path(name)}/offsets", connector=name)
        return list(answer["offsets"])

    def resume(self, name: str) -> None:
        """Lets a paused or stopped connector run; nothing for one that does."""
        self._ask("PUT", f"/connectors/{_path(name)}/resume", connector=name)

    def restart(self, name: str) -> None:
        """Restarts the connector and its tasks."""
        path = f"/connectors/{_path(name)}/restart?includeTasks=true"
        self._ask("POST", path, connector=name)

    def delete(self, name: str) -> None:
        """Removes a connector; its offsets stay, for a later one of the same name."""
        self._ask("DELETE", f"/connectors/{_path(name)}", connector=name)

    def wait_until_running(self, name: str, seconds: float = 60.0) -> None:
        """Returns once the connector and its tasks run.

        Raises TerminalError `connector_failed` when it gives up or does not start in time.
        """
        began = time.monotonic()
        status = None
        while time.monotonic() - began < seconds:
            status = self._status_or_none(name)
            if status and status.is_running:
                return
            if status and status.is_failed and time.monotonic() - began > _STALE_FAILURE_SECONDS:
                break
            time.sleep(_POLL_SECONDS)
        raise failure(name, status, self._url)

    def raise_if_failed(self, name: str) -> None:
        """Raises TerminalError `connector_failed` if the connector or a task has given up."""
        status = self.status(name)
        if status.is_failed:
            raise failure(name, status, self._url)

    def raise_unless_running(self, name: str) -> None:
        """Raises TerminalError `connector_failed` unless the connector and all its tasks run."""
        status = self.status(name)
        if not status.is_running:
            raise failure(name, status, self._url)

    def _status_or_none(self, name: str) -> ConnectorStatus | None:
        try:
            return self.status(name)
        except TerminalError as error:
            if error.code == "connector_missing":  # not yet: a new one has no status for a moment
                return None
            raise

    def _ask(self, method: str, path: str, *, connector: str | None = None, **request: Any) -> Any:
        where = {"connect": self._url} | ({"connector": connector} if connector else {})
        attempts = Retrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_delay(self._patience),
            wait=wait_exponential(multiplier=0.2, max=2),
            reraise=True,
        )
        return attempts(self._once, method, path, where, request)

    def _once(
        self, method: str, path: str, where: Mapping[str, object], request: Mapping[str, Any]
    ) -> Any:
        try:
            response = self._client.request(method, path, **request)
        except httpx.HTTPError as error:
            raise tls_problem(error, where) or _unreachable(where, type(error).__name__) from None
        if response.status_code < 400:
            return response.json() if response.content else None
        raise _refusal(response, where)


def require_running(
    connectors: Mapping[str, RegisteredConnector], topic_prefix: str, url: str
) -> RegisteredConnector:
    """The connector that writes under a topic prefix, which must run.

    Raises TerminalError `connector_missing`, `connector_failed`, `connector_position_lost`,
    `message_too_large` or `connector_stopped`, TransientError `connector_starting`.
    """
    found = [c for c in connectors.values() if c.settings.get("topic.prefix") == topic_prefix]
    if not found:
        raise TerminalError(
            "connector_missing",
            "no connector writes under the site's topic prefix",
            where={"connect": url, "topic_prefix": topic_prefix},
            remedy="Register it: `dts connectors --register`.",
        )
    connector = found[0]
    if connector.status.is_failed:
        raise failure(connector.name, connector.status, url)
    place = {"connect": url, "connector": connector.name}
    if connector.status.state in ("PAUSED", "STOPPED"):
        raise TerminalError(
            "connector_stopped",
            "somebody has paused or stopped the connector",
            where={**place, "state": connector.status.state},
            remedy=f"PUT {url}/connectors/{_path(connector.name)}/resume starts it again.",
        )
    if not connector.status.is_running:
        raise TransientError(
            "connector_starting",
            "the connector does not run yet",
            where=place,
            remedy="It is tried again by itself.",
        )
    return connector


def _unreachable(where: Mapping[str, object], cause: str) -> TransientError:
    return TransientError(
        "connect_unreachable",
        "Kafka Connect does not answer",
        where={**where, "cause": cause},
        remedy="Start it, or mend `connect.url` in dts.yaml.",
    )


def _refusal(response: httpx.Response, where: Mapping[str, object]) -> DtsError:
    status = response.status_code
    place = {**where, "status": status}
    if status == 404 and _is_connects_own(response):
        return TerminalError(
            "connector_missing",
            "there is no such connector",
            where=place,
            remedy="Register it: `dts connectors --register`.",
        )
    if status in (404, 409) or status >= 500:
        # 404: a worker that is just starting knows no paths yet. 409: the workers are rebalancing.
        # 500: also a worker that has just lost its broker.
        return _unreachable(place, f"HTTP {status}")
    settings = _refused_settings(response)
    return TerminalError(
        "connect_refused",
        "Kafka Connect does not accept the request"
        + (f"; it complains of {', '.join(settings)}" if settings else ""),
        where=place,
        remedy="`dts connectors` shows the settings; Connect's log has its words, which are "
        "withheld here because they can quote secrets.",
    )


def _is_connects_own(response: httpx.Response) -> bool:
    """Whether Connect answered, and not the web server around it."""
    try:
        return "error_code" in response.json()
    except ValueError:
        return False


def _refused_settings(response: httpx.Response) -> list[str]:
    """The names of the settings that an answer speaks of."""
    try:
        text = str(response.json().get("message", ""))
    except ValueError:
        return []
    names = re.findall(r"'([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+)'", text)
    return sorted(set(names))


def _without_secrets(settings: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in settings.items() if not _SECRET_SETTING.search(k)}


def _path(name: str) -> str:
    return quote(name, safe="")
