"""Fixtures of the end-to-end tests."""

import pytest

from daemon import Daemon


@pytest.fixture
def daemon():
    """A daemon with the modules that need no hardware, ready to serve."""
    with Daemon({"drivers": {"enabled": ["cpu", "fake"]}}) as running:
        yield running
