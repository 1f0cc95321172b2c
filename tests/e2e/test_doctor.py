"""accelctl doctor: what is wrong is named, with its cure, also when nobody is there to ask."""

import json
import os
import signal
import subprocess

import pytest

from daemon import BUILD, Daemon, wait_until


def doctor(socket, *arguments, status, as_json=False):
    done = subprocess.run([str(BUILD / "accelctl"), *(["--json"] if as_json else []), "--socket", str(socket),
                           "doctor", *map(str, arguments)],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return json.loads(done.stdout) if as_json else done.stdout


def card(root, address="0000:3b:00.0", code="0x030200", driver=None):
    """One PCI function in a tree of its own."""
    folder = root / "sys/bus/pci/devices" / address
    folder.mkdir(parents=True)
    for name, value in (("class", code), ("vendor", "0x10de"), ("device", "0x1eb8"),
                        ("subsystem_vendor", "0x10de"), ("subsystem_device", "0x12a2"), ("revision", "0xa1")):
        (folder / name).write_text(value + "\n")
    if driver:
        target = root / "sys/bus/pci/drivers" / driver
        target.mkdir(parents=True)
        (folder / "driver").symlink_to(os.path.relpath(target, folder))
    return root


@pytest.fixture(scope="module")
def daemon():
    with Daemon({"drivers": {"enabled": ["cpu", "fake"]}}) as running:
        yield running.wait_ready()


def test_a_healthy_node_has_no_problem(daemon, tmp_path):
    (tmp_path / "sys/bus/pci/devices").mkdir(parents=True)
    said = doctor(daemon.socket_path, "--sysroot", tmp_path, "--state-dir", daemon.state_dir, status=0)
    assert "ok       daemon" in said and "ok       module cpu" in said and "problem" not in said
    assert "cpu:0: is listed" in said


def test_a_daemon_that_is_not_there_is_said_with_the_cure(tmp_path):
    root = card(tmp_path / "root")
    said = doctor(tmp_path / "none.sock", "--sysroot", root, "--state-dir", tmp_path, status=1)
    assert "problem  socket: there is no" in said and "systemctl start acceld" in said
    assert "warning  0000:3b:00.0: no kernel driver" in said and "modprobe nvidia" in said


def test_a_card_without_its_module_is_said_to_lack_it(daemon, tmp_path):
    root = card(tmp_path, driver="nvidia")
    for name in ("3b:00.0", "0000:3b:00.0", "pci:0000:3b:00.0"):
        found = doctor(daemon.socket_path, name, "--sysroot", root, "--state-dir", tmp_path, status=1, as_json=True)
        mine = {f["level"]: f for f in found if f["subject"] == "0000:3b:00.0"}
        assert "nvidia" in mine["ok"]["finding"]
        assert "pci is not enabled" in mine["problem"]["finding"] and "drivers.enabled" in mine["problem"]["cure"]
    other = card(tmp_path / "nic", "0000:01:00.0", "0x020000")
    assert "no accelerator's" in doctor(daemon.socket_path, "01:00.0", "--sysroot", other, status=1)
    assert "class cannot be read" in doctor(daemon.socket_path, "77:00.0", "--sysroot", other, status=1)
    assert "no device is called that" in doctor(daemon.socket_path, "nothing:9", status=1)


def test_a_quarantined_module_is_a_problem(tmp_path):
    (tmp_path / "sys/bus/pci/devices").mkdir(parents=True)
    with Daemon({"drivers": {"enabled": ["cpu", "fake"]}}) as running:
        running.wait_ready()
        running.kill_role("hardware", "fake")
        running.kill_role("hardware", "fake")
        os.kill(running.pid_of("hardware", "fake"), signal.SIGKILL)

        def state():
            drivers = running.get("/v2/drivers").json()["drivers"]
            return next(d["state"] for d in drivers if d["name"] == "fake")
        wait_until(lambda: state() == "quarantined", "the module is quarantined")
        said = doctor(running.socket_path, "--sysroot", tmp_path, "--state-dir", running.state_dir, status=1)
        assert "problem  module fake: quarantined" in said and "systemctl reload acceld" in said
        assert "ok       module cpu" in said


def test_a_taken_out_device_is_a_warning(daemon, tmp_path):
    (tmp_path / "sys/bus/pci/devices").mkdir(parents=True)
    devices = daemon.get("/v2/inventory").json()["devices"]
    fake = next(d for d in devices if d["module"] == "fake")
    ctl = [str(BUILD / "accelctl"), "--socket", str(daemon.socket_path), "devices"]
    subprocess.run([*ctl, "disable", fake["uuid"]], check=True, stdout=subprocess.DEVNULL)
    try:
        said = doctor(daemon.socket_path, fake["uuid"], "--sysroot", tmp_path, "--state-dir", tmp_path, status=0) \
            if not fake["pci_address"] else doctor(daemon.socket_path, "--sysroot", tmp_path, "--state-dir", tmp_path,
                                                   status=0)
        assert f"warning  {fake['identity']}: is listed, and taken out of service" in said
    finally:
        subprocess.run([*ctl, "enable", fake["uuid"]], check=True, stdout=subprocess.DEVNULL)
