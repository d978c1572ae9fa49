"""The secure stacks, started once a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dts_pipeline_tests.security.secure_stack import SecureStack, secure_stack


@pytest.fixture(scope="session")
def secure_mariadb() -> Iterator[SecureStack]:
    """Two MariaDB servers, Kafka and Connect, all with TLS."""
    with secure_stack("mariadb") as secure:
        yield secure


@pytest.fixture(scope="session")
def secure_mysql() -> Iterator[SecureStack]:
    """The same with two MySQL servers."""
    with secure_stack("mysql") as secure:
        yield secure
