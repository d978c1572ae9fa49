"""Dagster's own daemon tells a webhook of links whose servers are away."""

from __future__ import annotations

from pathlib import Path

from dts_pipeline_tests.defs.settings import ENVIRONMENT, SETTINGS
from dts_pipeline_tests.integration.dagster_home import DagsterHome, running
from dts_pipeline_tests.integration.rig import wait_for
from dts_pipeline_tests.sampling import full_only
from dts_pipeline_tests.webhook import receiving


@full_only
def test_the_daemon_s_sensors_post_each_alert_once(tmp_path: Path) -> None:
    path = tmp_path / "dts.yaml"
    every_minute = SETTINGS.replace('"*/2 * * * *", lag_sensor_seconds: 10', '"* * * * *"')
    path.write_text(every_minute + 'alerts: {webhook: "${DTS_ALERT_URL}"}\n')
    with receiving() as receiver:
        own = {**ENVIRONMENT, "DTS_CONFIG": str(path), "DTS_ALERT_URL": receiver.url}
        home = DagsterHome(tmp_path / "home", "dts_pipeline.definitions", own)
        wanted = {
            ("run_failed", "sync_a_to_b", "server_unreachable"),
            ("run_failed", "sync_b_to_a", "server_unreachable"),
            ("unreadable", "a_to_b", "server_unreachable"),
            ("unreadable", "b_to_a", "server_unreachable"),
        }

        def posted() -> list[tuple[str, str, str]]:
            return [
                (alert["alert"], str(alert.get("job") or alert.get("link")), str(alert.get("code")))
                for alert in receiver.posted
            ]

        with running(home):
            wait_for(lambda: wanted <= set(posted()), 480)
            with home.instance() as instance:
                assert instance.get_runs_count() >= 2
        assert all(posted().count(alert) == 1 for alert in wanted)
