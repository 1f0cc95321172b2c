"""Fixtures of the end-to-end tests."""

import os
import subprocess

import pytest

from daemon import BUILD, ROOT, SANITIZED, Daemon


@pytest.fixture
def daemon():
    """A daemon with the modules that need no hardware, ready to serve."""
    with Daemon({"drivers": {"enabled": ["cpu", "fake"]}}) as running:
        yield running


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """What `make install PREFIX=/usr` puts below DESTDIR."""
    folder = tmp_path_factory.mktemp("root")
    # Named as `make` itself names it: another name of the folder hides what objects depend on.
    build = os.path.relpath(BUILD, ROOT)
    subprocess.run(["make", "-s", "install", f"BUILD={build}", f"DESTDIR={folder}", "PREFIX=/usr"],
                   cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
                   env={k: v for k, v in os.environ.items() if not k.startswith("MAKE")})
    return folder


def pytest_configure(config):
    config.addinivalue_line("markers", "plain_build: of a build without sanitizers alone")


def pytest_collection_modifyitems(config, items):
    """A test marked plain_build is no test of a sanitized build: left out, not skipped."""
    if SANITIZED:
        items[:] = [item for item in items if item.get_closest_marker("plain_build") is None]
