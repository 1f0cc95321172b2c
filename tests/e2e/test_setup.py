"""tools/setup.sh with OFFLINE=1: it finds what is there, names what is not, and asks no network."""

import os
import shutil
import subprocess

import pytest

from daemon import ROOT

pytestmark = pytest.mark.plain_build  # it is the same for every build


def why_not():
    """Why there can be no network name space here, or None."""
    done = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else done.stderr.strip()


without_network = pytest.mark.skipif(why_not() is not None, reason=f"no network name space: {why_not()}")


@without_network
def test_nothing_of_it_needs_a_network_once_all_is_there():
    # `make check` has run the same with a network: what it installs is there.
    done = subprocess.run([ROOT / "tools/offline.sh", "make", "-s", "setup-test", "OFFLINE=1"],
                          cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@without_network
def test_offline_is_loopback_alone():
    script = ("import socket\n"
              "with socket.create_server(('127.0.0.1', 0)) as s:\n"
              "    socket.create_connection(s.getsockname()).close()\n"
              "try:\n"
              "    socket.create_connection(('192.0.2.1', 80), 1)\n"
              "except OSError as error:\n"
              "    print(error.errno)\n")
    done = subprocess.run([ROOT / "tools/offline.sh", "python3", "-c", script], capture_output=True,
                          text=True, check=True)
    assert done.stdout == "101\n"  # ENETUNREACH


@pytest.fixture
def bare(tmp_path):
    """A checkout, and a PATH on which nothing is installed; apt-get and pip tell on themselves."""
    for path in ("tools/setup.sh", "tests/requirements.txt"):
        (tmp_path / path).parent.mkdir()
        shutil.copy(ROOT / path, tmp_path / path)
    commands = tmp_path / "bin"
    commands.mkdir()

    def command(name, text):
        (commands / name).write_text(f"#!/bin/sh\n{text}\n")
        (commands / name).chmod(0o755)

    for name in ("apt-get", "sudo", "curl", "pip"):
        command(name, f"echo {name} >>'{tmp_path}/asked'")
    command("dpkg-query", "exit 1")

    def setup(tier):
        done = subprocess.run([tmp_path / "tools/setup.sh", tier], capture_output=True, text=True,
                              check=False, env=dict(os.environ, OFFLINE="1",
                                                    PATH=f"{commands}:{os.environ['PATH']}"))
        assert not (tmp_path / "asked").exists()
        return done
    setup.command = command
    setup.folder = tmp_path
    return setup


@pytest.mark.parametrize("tier, package", [("build", "libsqlite3-dev"), ("test", "umockdev")])
def test_missing_packages_are_named_and_not_fetched(bare, tier, package):
    done = bare(tier)
    assert done.returncode == 1
    assert "OFFLINE=1 and these packages are missing: gcc make " in done.stderr
    assert package in done.stderr


def test_a_venv_of_other_requirements_is_named_and_left_alone(bare):
    bare.command("dpkg-query", "echo install ok installed")
    assert bare("build").returncode == 0
    (bare.folder / ".venv").mkdir()
    (bare.folder / ".venv/requirements.txt").write_text("pytest==1\n")
    done = bare("test")
    assert done.returncode == 1
    assert "OFFLINE=1 and .venv does not hold what tests/requirements.txt names" in done.stderr
    assert (bare.folder / ".venv/requirements.txt").read_text() == "pytest==1\n"
    shutil.copy(bare.folder / "tests/requirements.txt", bare.folder / ".venv")
    assert bare("test").returncode == 0
