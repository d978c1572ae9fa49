"""deploy/kubernetes/values.yaml against deploy/dagster.yaml: equal settings, spelled for Helm."""

from __future__ import annotations

import re
from typing import Any

import yaml

from dts_pipeline_tests.deploy.composition import DEPLOY

VALUES: dict[str, Any] = yaml.safe_load((DEPLOY / "kubernetes" / "values.yaml").read_text())
PLAIN: dict[str, Any] = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
LAUNCHER = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
CODE = VALUES["dagster-user-deployments"]["deployments"][0]


def spelled(value: Any) -> Any:
    """A part of values.yaml with dagster.yaml's names: maxRetries is max_retries."""
    if isinstance(value, dict):
        return {_snake(key): spelled(own) for key, own in value.items()}
    return [spelled(own) for own in value] if isinstance(value, list) else value


def _snake(name: str) -> str:
    if name == "applyLimitPerUniqueValue":  # dagster.yaml itself spells it so
        return name
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name)


def test_queue_and_pools_are_limited_alike() -> None:
    found = spelled(VALUES["concurrency"])

    assert found.pop("enabled") is True
    assert found == PLAIN["concurrency"]


def test_the_queue_is_read_alike() -> None:
    queued = VALUES["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]

    assert spelled(queued) == PLAIN["run_coordinator"]["config"]


def test_runs_are_monitored_and_kept_alike() -> None:
    daemon = VALUES["dagsterDaemon"]
    retention = spelled(VALUES["retention"])

    assert spelled(daemon["runMonitoring"]) == PLAIN["run_monitoring"]
    assert daemon["runRetries"] == PLAIN["run_retries"]
    assert retention.pop("enabled") is True
    assert retention == PLAIN["retention"]
    assert VALUES["computeLogManager"]["type"] == PLAIN["compute_logs"]["class"]


def test_runs_and_code_server_are_closed_alike() -> None:
    run = LAUNCHER["runK8sConfig"]

    assert run["containerConfig"]["securityContext"] == CODE["securityContext"]
    assert run["podSpecConfig"]["securityContext"] == CODE["podSecurityContext"]
    assert CODE["securityContext"]["readOnlyRootFilesystem"] is True
    assert CODE["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert CODE["podSecurityContext"]["runAsUser"] == 10001
    assert CODE["includeConfigInLaunchedRuns"] == {"enabled": True}


def test_no_secret_stands_in_the_values() -> None:
    text = (DEPLOY / "kubernetes" / "values.yaml").read_text()

    assert not re.search(r"[Pp]assword: *\S", text)
    assert CODE["envSecrets"] == [{"name": "dts-secrets"}]
