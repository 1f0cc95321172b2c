"""make install, and a module and a program built against what it installed."""

import json
import os
import re
import shutil
import subprocess

import pytest

from daemon import ROOT, Daemon, wait_until

pytestmark = pytest.mark.plain_build  # nobody installs a sanitized build


def test_everything_lies_where_it_belongs(root):
    for path in ("usr/sbin/acceld", "usr/bin/accelctl", "usr/bin/accel-run",
                 "usr/libexec/acceld/acceld-control", "usr/libexec/acceld/acceld-hardware",
                 "usr/libexec/acceld/acceld-worker", "usr/lib/acceld/drivers/cpu.so",
                 "usr/lib/acceld/drivers/pci.so", "usr/lib/acceld/drivers/fake.so",
                 "usr/include/acceld/driver.h", "usr/include/acceld/infer.h",
                 "usr/lib/libaccelinfer.a", "usr/lib/libaccelinfer.so.0",
                 "usr/lib/pkgconfig/libaccelinfer.pc", "usr/lib/systemd/system/acceld.service",
                 "usr/lib/systemd/system/acceld-hardware.service",
                 "usr/lib/systemd/system/acceld-hardware.socket",
                 "usr/lib/sysusers.d/acceld.conf", "usr/share/man/man8/acceld.8",
                 "usr/share/man/man1/accelctl.1", "usr/share/man/man1/accel-run.1",
                 "usr/share/man/man5/acceld.yaml.5", "usr/share/man/man7/acceld-driver.7",
                 "usr/share/bash-completion/completions/accelctl",
                 "usr/share/bash-completion/completions/acceld",
                 "usr/share/bash-completion/completions/accel-run", "etc/acceld/acceld.yaml",
                 "usr/share/doc/acceld/operators.md"):
        assert (root / path).exists(), path
    assert "/usr/sbin/acceld" in (root / "usr/lib/systemd/system/acceld.service").read_text()
    done = subprocess.run([root / "usr/sbin/acceld", "--check-config",
                           root / "etc/acceld/acceld.yaml"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr


def test_the_installed_daemon_finds_its_parts_by_where_it_lies(root):
    """`make` and then `make install PREFIX=/usr` builds for one prefix and installs to another."""
    with Daemon({"drivers": {"enabled": ["fake"]}}, program=root / "usr/sbin/acceld") as daemon:
        wait_until(lambda: len(daemon.get("/v2/devices").json()["devices"]) == 1, "its modules too")
        control = os.readlink(f"/proc/{daemon.pid_of('control')}/exe")
        assert control == str(root / "usr/libexec/acceld/acceld-control")


def test_the_example_program_builds_and_runs_with_the_installed_library(root, tmp_path):
    source = root / "usr/share/doc/acceld/examples/infer/profile.c"
    env = dict(os.environ, PKG_CONFIG_PATH=str(root / "usr/lib/pkgconfig"),
               PKG_CONFIG_SYSROOT_DIR=str(root))
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libaccelinfer"], env=env, check=True,
                           capture_output=True, text=True).stdout.split()
    subprocess.run(["gcc", "-std=c17", "-Wall", "-Wextra", "-Werror", str(source), "-o",
                    str(tmp_path / "profile"), *flags, f"-I{root}/usr/include", f"-L{root}/usr/lib"],
                   check=True)
    env = dict(os.environ, LD_LIBRARY_PATH=str(root / "usr/lib"))
    done = subprocess.run([tmp_path / "profile", ROOT / "tests/fixtures/mnist-8/model.onnx"], env=env,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "input Input3: float 1x1x28x28" in done.stdout
    assert re.search(r"^Plus214_Output_0: 10 elements of float:( -?[\d.e-]+){8}$", done.stdout, re.M)
    assert re.search(r" us +\d+ flop +\d+ B  Conv ", done.stdout)
    used, foretold = re.search(r"^(\d+) bytes of tensors at the peak, (\d+) foretold$", done.stdout,
                               re.M).groups()
    assert used == foretold
    done = subprocess.run([tmp_path / "profile", ROOT / "README.md"], env=env, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 1 and done.stderr.count("README.md") == 1 # the message names it itself


@pytest.fixture(scope="module")
def example(root, tmp_path_factory):
    """The driver guide's module, built by its own Makefile against what is installed."""
    folder = tmp_path_factory.mktemp("example") / "driver"
    shutil.copytree(root / "usr/share/doc/acceld/examples/driver", folder)
    folder.parent.chmod(0o755)
    # What the build under test says of compilers and flags is not this Makefile's business.
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "CC", "CFLAGS", "LDFLAGS"))}
    env.update(PKG_CONFIG_PATH=str(root / "usr/lib/pkgconfig"), PKG_CONFIG_SYSROOT_DIR=str(root))
    done = subprocess.run(["make", "check", f"HARDWARE={root}/usr/libexec/acceld/acceld-hardware"],
                          cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout, env


def test_the_guide_s_module_is_built_and_tried_outside_the_tree(example):
    _, shown, _ = example
    assert re.search(r"^AICHIP +pci:0000:00:0b.0 +0x8086 intel_vpu 0x7d1d, node 0, ok$", shown, re.M)
    assert "pci:0000:00:0c.0" in shown
    assert "problem  accel2: its device link names no PCI function" in shown


def test_it_is_installed_beside_the_others(example, root):
    folder, _, env = example
    done = subprocess.run(["make", "install", f"DESTDIR={root}"], cwd=folder, capture_output=True,
                          text=True, check=False, env={k: v for k, v in env.items()
                                                       if k != "PKG_CONFIG_SYSROOT_DIR"})
    assert done.returncode == 0, done.stderr
    assert (root / "usr/lib/acceld/drivers/kaccel.so").exists()


def test_the_daemon_lists_what_it_finds(example):
    folder, _, _ = example
    with Daemon({"node": {"sysroot": str(folder / "testdata/tree")},
                 "drivers": {"enabled": ["pci", "kaccel"], "module_dir": str(folder),
                             "telemetry_period": "1s",
                             "kaccel": {"resource_class": "CUSTOM_VPU"}}}) as daemon:
        # pci is not in that folder: one module that cannot be loaded is no other's trouble.
        wait_until(lambda: len(daemon.get("/v2/devices").json()["devices"]) == 2, "both are found")
        devices = daemon.get("/v2/inventory").json()["devices"]
        assert {(d["identity"], d["module"]) for d in devices} == {
            ("pci:0000:00:0b.0", "kaccel"), ("pci:0000:00:0c.0", "kaccel")}
        deployables = daemon.get("/v2/deployables").json()["deployables"]
        attributes = [a for d in deployables for a in json.loads(d["attributes_list"])]
        assert {"rc": "CUSTOM_VPU"} in attributes and {"trait0": "CUSTOM_ACCEL_QAIC"} in attributes
        module = next(d for d in daemon.get("/v2/drivers").json()["drivers"]
                      if d["name"] == "kaccel")
        assert [p["where"] for p in module["problems"]] == ["accel2"]
        device = daemon.get("/v2/inventory/pci:0000:00:0b.0").json()
        fact = next(f for f in device["facts"] if f["name"] == "kernel_driver")
        assert "intel_vpu" in fact.values()
        wait_until(lambda: "41.5" in daemon.get("/metrics").text, "its temperature is read")


def test_a_key_it_does_not_know_is_refused(example):
    folder, _, _ = example
    with Daemon({"drivers": {"enabled": ["kaccel"], "module_dir": str(folder),
                             "kaccel": {"resource_klass": "X"}}}) as daemon:
        wait_until(lambda: "resource_klass" in daemon.log(), "the log names the key")
