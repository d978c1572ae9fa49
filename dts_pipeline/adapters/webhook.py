"""Alerts to an address of the operator's: one POST of JSON."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from dts_pipeline.errors import TransientError

_SECONDS = 10.0


def post(url: str, alert: Mapping[str, object]) -> None:
    """Sends it. Raises TransientError `alert_not_sent`, which does not name the address."""
    try:
        answer = httpx.post(url, json=dict(alert), timeout=_SECONDS)
        refused = answer.status_code if answer.is_error else None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _not_sent(type(error).__name__) from None
    if refused is not None:
        raise _not_sent(str(refused))


def _not_sent(why: str) -> TransientError:
    return TransientError(
        "alert_not_sent",
        f"the webhook did not take an alert ({why})",
        remedy="Check the variable that `alerts.webhook` names, and the server behind it.",
    )
