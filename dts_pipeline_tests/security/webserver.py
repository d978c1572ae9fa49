"""Dagster's webserver over a home: what its pages show, as the UI asks for it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from dts_pipeline_tests.integration.dagster_home import DagsterHome
from dts_pipeline_tests.integration.rig import wait_for

_LOCATION = {
    "repositoryName": "__repository__",
    "repositoryLocationName": "dts_pipeline.definitions",
}
_METADATA = """
metadataEntries {
  __typename label description
  ... on TextMetadataEntry { text }
  ... on JsonMetadataEntry { jsonString }
  ... on MarkdownMetadataEntry { mdStr }
  ... on FloatMetadataEntry { floatRepr }
  ... on IntMetadataEntry { intRepr }
  ... on PathMetadataEntry { path }
  ... on UrlMetadataEntry { url }
  ... on TableMetadataEntry { table { records } }
}
"""
_ERROR = "error { message stack errorChain { error { message stack } } causes { message stack } }"
PAGES = {
    "runs": f"""
query Runs {{ runsOrError(limit: 100) {{ ... on Runs {{ results {{
  runId jobName status runConfigYaml tags {{ key value }}
  stepStats {{ stepKey materializations {{ label description {_METADATA} }} }}
  eventConnection {{ events {{
    __typename
    ... on MessageEvent {{ message }}
    ... on DisplayableEvent {{ label description {_METADATA} }}
    ... on ErrorEvent {{ {_ERROR} }}
    ... on ExecutionStepFailureEvent {{
      {_ERROR} failureMetadata {{ label description {_METADATA} }} }}
  }} }}
}} }} }} }}""",
    "assets": f"""
query Assets {{ assetNodes {{
  assetKey {{ path }} description kinds {_METADATA}
  assetMaterializations(limit: 50) {{ message label description {_METADATA} }}
}} }}""",
    "resources": """
query Resources($at: RepositorySelector!) {
  allTopLevelResourceDetailsOrError(repositorySelector: $at) { ... on ResourceDetailsList {
    results { name description resourceType configuredValues { key value type } }
  } }
  utilizedEnvVarsOrError(repositorySelector: $at) { ... on EnvVarWithConsumersList {
    results { envVarName }
  } }
}""",
    "jobs": """
query Jobs($at: RepositorySelector!) { repositoryOrError(repositorySelector: $at) {
  ... on Repository {
    pipelines { name description metadataEntries { label description }
      presets { name runConfigYaml } }
    schedules { name description scheduleState { ticks(limit: 20) {
      status skipReason error { message stack } } } }
    sensors { name description sensorState { ticks(limit: 20) {
      status skipReason error { message stack } } } }
  } } }""",
    "instance": "query Instance { instance { info daemonHealth { allDaemonStatuses {"
    " daemonType healthy lastHeartbeatErrors { message stack } } } } }",
    "locations": "query Locations { workspaceOrError { ... on Workspace { locationEntries {"
    " name displayMetadata { key value } locationOrLoadError {"
    " ... on PythonError { message stack } } } } } }",
}
LAUNCH = """
mutation Launch($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on PythonError { message }
} }"""


@dataclass(frozen=True)
class Webserver:
    """A running webserver."""

    url: str
    process: subprocess.Popen[bytes]

    def ask(self, query: str) -> str:
        """An answer of its GraphQL, as text; it must have no errors."""
        variables = {"at": _LOCATION} if "$at" in query else {}
        return str(self._post(query, variables).text)

    def launch(self, job: str) -> str:
        """Starts a job as the Launchpad does; its run id."""
        selector = {**_LOCATION, "jobName": job}
        answer = self._post(LAUNCH, {"params": {"selector": selector, "runConfigData": "{}"}})
        launched = answer.json()["data"]["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def _post(self, query: str, variables: dict[str, Any]) -> httpx.Response:
        answer = httpx.post(
            f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=60
        )
        assert "errors" not in answer.json(), answer.text[:2000]
        return answer


@contextlib.contextmanager
def webserver(home: DagsterHome) -> Iterator[Webserver]:
    """As the README starts it, but for the port: its address is Dagster's own choice."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(sys.executable).parent / "dagster-webserver"
    with (home.folder / "webserver.log").open("ab") as log:
        process = subprocess.Popen(
            [str(program), "-w", str(home.folder / "workspace.yaml"), "-p", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=home.variables,
            start_new_session=True,
        )
    made = Webserver(f"http://127.0.0.1:{port}", process)
    try:
        wait_for(lambda: _answers(made), 120)
        yield made
    finally:
        process.terminate()
        process.wait(20)


def _answers(server: Webserver) -> bool:
    assert server.process.poll() is None, "the webserver has ended"
    try:
        return httpx.get(f"{server.url}/server_info", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
