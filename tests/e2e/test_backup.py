"""A backup of a running daemon, and its way back."""

import contextlib
import os
import sqlite3
import subprocess

import pytest

from daemon import BUILD, Daemon, wait_until

FAKE = {"drivers": {"enabled": ["fake"]}}


def ctl(daemon, *arguments):
    return subprocess.run([BUILD / "accelctl", "--socket", daemon.socket_path, *arguments],
                          capture_output=True, text=True, timeout=60, check=False)


def restore(daemon, path):
    return subprocess.run([BUILD / "acceld", "--config", daemon.config_path, "--restore", path],
                          env=daemon.env, capture_output=True, text=True, timeout=60, check=False)


def make_profile(daemon, name):
    done = ctl(daemon, "profiles", "create", name, "resources:FPGA=1")
    assert done.returncode == 0, done.stderr


def profiles(daemon):
    return {p["name"] for p in daemon.get("/v2/device_profiles").json()["device_profiles"]}


@pytest.fixture
def world(tmp_path):
    """A daemon that was backed up with one profile, went on to two, and was stopped."""
    with Daemon(FAKE) as daemon:
        daemon.wait_ready()
        make_profile(daemon, "first")
        backup = tmp_path / "backup"
        done = ctl(daemon, "backup", backup)
        assert done.returncode == 0, done.stderr
        make_profile(daemon, "second")
        daemon.stop()
        yield daemon, backup
        daemon.start()  # whatever happened, it starts again


def test_it_is_whole_and_for_its_owner_alone(world):
    _, backup = world
    assert backup.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(backup) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT name FROM device_profiles").fetchall() == [("first",)]


def test_it_comes_back_and_the_old_database_stays(world):
    daemon, backup = world
    done = restore(daemon, backup)
    assert (done.returncode, done.stderr) == (0, "")
    kept = done.stdout.strip().rsplit(" ", 1)[1]
    assert os.path.dirname(kept) == str(daemon.state_dir)
    daemon.start()
    daemon.wait_ready()
    assert profiles(daemon) == {"first"}
    daemon.stop()
    done = restore(daemon, kept)  # and back again
    assert (done.returncode, done.stderr) == (0, "")
    daemon.start()
    assert profiles(daemon) == {"first", "second"}
    daemon.stop()


def test_what_a_killed_daemon_had_committed_is_kept(world):
    daemon, backup = world
    daemon.start()
    make_profile(daemon, "third")
    control = daemon.pid_of("control")
    os.kill(control, 19)  # SIGSTOP: it must not close its database in order
    daemon.kill()
    wait_until(lambda: not os.path.exists(f"/proc/{control}"), "control is gone")
    assert (daemon.state_dir / "acceld.db-wal").stat().st_size > 0
    done = restore(daemon, backup)
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(done.stdout.strip().rsplit(" ", 1)[1]) as database:
        found = {name for name, in database.execute("SELECT name FROM device_profiles")}
    assert found == {"first", "second", "third"}


def test_a_running_daemon_is_left_alone(world):
    daemon, backup = world
    daemon.start()
    done = restore(daemon, backup)
    assert done.returncode == 1 and f"another acceld (process {daemon.process.pid})" in done.stderr
    assert profiles(daemon) == {"first", "second"}
    daemon.stop()


def make_bad(kind, backup, path):
    content = bytearray(backup.read_bytes())
    if kind == "empty":
        content = b""
    elif kind == "text":
        content = b"this is no database, however long it may be " * 100
    elif kind == "half":
        content = content[:len(content) // 2]
    elif kind == "garbage":
        content[5000:9000] = os.urandom(4000)
    path.write_bytes(content)
    if kind in ("foreign", "newer"):
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("PRAGMA application_id = 7" if kind == "foreign"
                             else "PRAGMA user_version = 9999")


@pytest.mark.parametrize("kind, said", [
    ("empty", "the backup is empty"), ("text", "no backup of acceld"), ("half", "damaged"),
    ("garbage", "damaged"), ("foreign", "no backup of acceld"),
    ("newer", "the backup has schema 9999"), ("missing", "No such file")])
def test_what_is_no_good_backup_changes_nothing(world, tmp_path, kind, said):
    daemon, backup = world
    bad = tmp_path / "bad"
    if kind != "missing":
        make_bad(kind, backup, bad)
    before = sorted(os.listdir(daemon.state_dir))
    done = restore(daemon, bad)
    assert done.returncode == 1 and said in done.stderr, done.stderr
    assert sorted(os.listdir(daemon.state_dir)) == before
    daemon.start()
    assert profiles(daemon) == {"first", "second"}
    daemon.stop()


def test_a_file_that_is_there_is_not_replaced_unasked(world):
    daemon, backup = world
    daemon.start()
    before = backup.read_bytes()
    done = ctl(daemon, "backup", backup)
    assert done.returncode == 1 and "--force" in done.stderr
    assert backup.read_bytes() == before
    assert ctl(daemon, "backup", "--force", backup).returncode == 0
    assert [n for n in os.listdir(daemon.state_dir) if n.startswith("backup-")] == []
    daemon.stop()
