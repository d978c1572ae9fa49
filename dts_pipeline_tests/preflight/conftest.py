"""The marker that keeps a run on MariaDB from starting MySQL servers."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "mysql: needs MySQL servers (make test-mysql)")
