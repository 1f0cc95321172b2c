"""The installed systemd units, sysusers, tmpfiles and udev rules, by systemd's own tools."""

import re
import subprocess

import pytest

from daemon import ROOT

pytestmark = pytest.mark.plain_build  # nobody installs a sanitized build
SERVICES = ["acceld.service", "acceld-hardware.service"]
UNITS = [*SERVICES, "acceld-hardware.socket"]
GUIDE = ROOT / "docs/operator-guide.md"


def run(*command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=60,
                          check=False)


def units(root):
    return root / "usr/lib/systemd/system"


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_good(root, tmp_path, unit):
    # verify looks whether the programs are there, as seen from this machine's root.
    for name in UNITS:
        text = (units(root) / name).read_text()
        (tmp_path / name).write_text(text.replace("/usr/sbin/acceld", f"{root}/usr/sbin/acceld"))
    done = run("systemd-analyze", "verify", "--man=no", tmp_path / unit)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def exposure(root, unit):
    done = run("systemd-analyze", "security", "--offline=yes", "--no-pager", units(root) / unit)
    return float(re.search(rf"exposure level for {re.escape(unit)}: ([0-9.]+)", done.stdout)[1])


@pytest.mark.parametrize("unit", SERVICES)
def test_its_exposure_is_what_the_guide_says(root, unit):
    told = re.search(rf"`{re.escape(unit)}` \| ([0-9.]+) ", GUIDE.read_text())
    assert told, f"{GUIDE} gives no figure for {unit}"
    assert exposure(root, unit) == float(told[1])


def test_the_user_is_made_as_sysusers_says(root, tmp_path):
    (tmp_path / "etc").mkdir()
    done = run("systemd-sysusers", f"--root={tmp_path}", root / "usr/lib/sysusers.d/acceld.conf")
    assert done.returncode == 0, done.stderr
    entry = next(line for line in (tmp_path / "etc/passwd").read_text().splitlines()
                 if line.startswith("acceld:"))
    assert entry.endswith(":/var/lib/acceld:/usr/sbin/nologin") and ":0:" not in entry
    assert "acceld:" in (tmp_path / "etc/group").read_text()


def test_the_folders_are_made_as_tmpfiles_says(root, tmp_path):
    (tmp_path / "etc").mkdir()
    assert run("systemd-sysusers", f"--root={tmp_path}",
               root / "usr/lib/sysusers.d/acceld.conf").returncode == 0
    done = run("systemd-tmpfiles", f"--root={tmp_path}", "--create",
               root / "usr/lib/tmpfiles.d/acceld.conf")
    assert done.returncode == 0, done.stderr
    for path, mode in (("run/acceld", 0o755), ("var/lib/acceld", 0o750)):
        found = (tmp_path / path).stat()
        assert found.st_mode & 0o777 == mode and found.st_uid != 0


def test_udev_rules_give_nodes_to_the_group(root):
    rules = [line for line in
             (root / "usr/lib/udev/rules.d/70-acceld.rules").read_text().splitlines()
             if line and not line.startswith("#")]
    assert len(rules) == 3
    word = re.compile(r'[A-Z]+(==|=)"[^"]*"')
    for rule in rules:
        assert all(word.fullmatch(part) for part in rule.split(", ")), rule
        assert rule.endswith('GROUP="acceld", MODE="0660"')
