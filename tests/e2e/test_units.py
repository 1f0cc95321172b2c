"""The installed units under a systemd: both parts, with every restriction that the units name."""

import json
import shutil
import subprocess

import pytest

from daemon import ROOT, wait_until
from private_systemd import PrivateSystemd, why_not

pytestmark = [
    pytest.mark.plain_build,  # nobody installs a sanitized build
    pytest.mark.skipif(why_not() is not None, reason=f"no private systemd: {why_not()}"),
]
CONFIG = {"drivers": {"enabled": ["cpu", "fake"]}, "workers": {"count": 1, "threads": 2}}
# A watchdog that bites within the test, and a log that a test can read.
DROP_IN = "[Service]\nWatchdogSec=4\nStandardOutput=append:/mnt/log/{0}\nStandardError=append:/mnt/log/{0}\n"
SERVICES = ("acceld.service", "acceld-hardware.service")


@pytest.fixture(scope="module")
def systemd(root, tmp_path_factory):
    """The private systemd with acceld's units, not started; `configure` writes acceld.yaml."""
    folder = tmp_path_factory.mktemp("machine")
    etc = folder / "etc"
    etc.mkdir()
    for name in ("passwd", "group"):
        shutil.copy(f"/etc/{name}", etc)
    done = subprocess.run(["systemd-sysusers", f"--root={folder}",
                           str(root / "usr/lib/sysusers.d/acceld.conf")], check=False,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    units = {}
    for path in (root / "usr/lib/systemd/system").iterdir():
        units[path.name] = (path.read_text().replace("/usr/sbin/acceld", "/mnt/root/usr/sbin/acceld")
                            .replace("/etc/acceld/", "/mnt/etc/"))
    for name in SERVICES:
        units[f"{name}.d/test.conf"] = DROP_IN.format(name)
    configure(etc, CONFIG)
    for folder in (root, etc):
        folder.chmod(0o755)  # the daemon's user reads there
    with PrivateSystemd(units, root, etc) as running:
        running.etc = etc
        yield running


def configure(etc, config):
    (etc / "acceld.yaml").write_text(json.dumps({"api": {"listen": "127.0.0.1:6666"}, **config}) + "\n")
    (etc / "acceld.yaml").chmod(0o644)


def accelctl(systemd, *words, user=None):
    become = ["setpriv", *user] if user else []
    done = systemd.run(*become, "/mnt/root/usr/bin/accelctl", "--json", *words)
    return json.loads(done.stdout)


def states(systemd):
    drivers = accelctl(systemd, "drivers")
    return {d["name"]: d["state"] for d in drivers.get("drivers", drivers)}


def wait_active(systemd, *names):
    wait_until(lambda: all(states(systemd).get(n) == "active" for n in names), "modules are active")


@pytest.fixture
def acceld(systemd):
    configure(systemd.etc, CONFIG)
    systemd.systemctl("reset-failed")
    systemd.systemctl("start", "acceld.service")
    wait_active(systemd, "cpu", "fake")
    yield systemd
    print(systemd.logs())
    systemd.systemctl("stop", "acceld.service", "acceld-hardware.service", "acceld-hardware.socket")
    assert [systemd.show(unit, "Result") for unit in SERVICES] == ["success", "success"]
    for log in systemd.log.iterdir():
        log.unlink()


def pids(systemd, unit):
    """{MainPID: program} and those of its children."""
    group = systemd.cgroup / systemd.show(unit, "ControlGroup").strip("/")
    found = {}
    for pid in (group / "cgroup.procs").read_text().split():
        with open(f"/proc/{pid}/cmdline", "rb") as command:
            found[int(pid)] = command.read().split(b"\0")[0].decode().rsplit("/", 1)[-1]
    return found


def test_start_brings_up_both_parts(acceld):
    assert sorted(pids(acceld, "acceld.service").values()) == ["acceld", "acceld-control",
                                                               "acceld-worker"]
    assert sorted(pids(acceld, "acceld-hardware.service").values()) == [
        "acceld", "acceld-hardware", "acceld-hardware"]
    assert acceld.show("acceld-hardware.socket", "ActiveState") == "active"


def test_the_main_part_has_no_privilege_and_the_other_its_named_ones(acceld):
    def status(pid):
        with open(f"/proc/{pid}/status", encoding="ascii") as lines:
            return dict(line.rstrip("\n").split(":\t", 1) for line in lines)

    hardware = {pid: status(pid) for pid in pids(acceld, "acceld-hardware.service")}
    for found in (status(pid) for pid in pids(acceld, "acceld.service")):
        assert found["Uid"].split()[0] != "0"
        assert {found[f"Cap{kind}"] for kind in ("Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
        assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")
    supervisor = int(acceld.show("acceld-hardware.service", "MainPID"))
    # CAP_DAC_OVERRIDE, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SYS_RAWIO, CAP_SYS_ADMIN
    named = sum(1 << bit for bit in (1, 5, 6, 7, 17, 21))
    inside = next(f for p, f in hardware.items() if f["NSpid"].split()[-1] == str(supervisor))
    assert int(inside["CapBnd"], 16) == int(inside["CapEff"], 16) == named
    for found in hardware.values():
        if found is not inside:  # cpu and fake need no root
            assert found["Uid"].split()[0] != "0" and int(found["CapEff"], 16) == 0


def test_a_model_is_uploaded_packed_and_run_under_the_filters(acceld):
    acceld.run("cp", "-r", ROOT / "tests/fixtures/mnist-8", "/tmp/mnist")
    accelctl(acceld, "models", "put", "mnist", "/tmp/mnist/model.onnx")
    assert "cpu" in json.dumps(accelctl(acceld, "place", "mnist"))
    done = acceld.run("curl", "-sS", "--fail-with-body", "--unix-socket", "/run/acceld/acceld.sock",
                      "-H", "Content-Type: application/json", "-d", json.dumps({"inputs": [
                          {"name": "Input3", "datatype": "FP32", "shape": [1, 1, 28, 28],
                           "data": [0.0] * 784}]}), "http://localhost/v2/models/mnist/infer")
    assert len(json.loads(done.stdout)["outputs"][0]["data"]) == 10
    acceld.run("/mnt/root/usr/bin/accelctl", "backup", "/var/lib/acceld/copy.db")


def test_callers_keep_their_identity(acceld):
    """As PrivateUsers= would not let them."""
    profile = acceld.etc / "profile.json"
    profile.write_text(json.dumps([{"name": "one", "groups": [{"resources:FPGA": "1"}]}]))
    profile.chmod(0o644)
    member = ["--reuid=65534", "--regid=65534", "--groups=acceld"]

    def post(*become):
        return acceld.run("setpriv", *become, "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}",
                          "--unix-socket", "/run/acceld/acceld.sock", "-H",
                          "Content-Type: application/json", "-d", "@/mnt/etc/profile.json",
                          "http://localhost/v2/device_profiles", check=False).stdout

    assert post("--reuid=65534", "--regid=65534", "--clear-groups") == "000"  # mode 0660
    assert post(*member) == "201"
    acceld.run("chmod", "666", "/run/acceld/acceld.sock")
    assert post("--reuid=65534", "--regid=65534", "--clear-groups") == "403"
    assert acceld.run("stat", "-c", "%U:%G", "/run/acceld/acceld.sock").stdout == "acceld:acceld\n"


def test_hardware_goes_on_over_a_restart_and_a_crash_of_the_main_part(acceld):
    before = pids(acceld, "acceld-hardware.service")
    control = next(p for p, name in pids(acceld, "acceld.service").items() if name == "acceld-control")
    acceld.run("sh", "-c", "kill -9 $(pidof acceld-control)")
    wait_until(lambda: "acceld-control" in pids(acceld, "acceld.service").values()
               and control not in pids(acceld, "acceld.service"), "another control process")
    wait_active(acceld, "cpu", "fake")
    acceld.systemctl("kill", "--kill-whom=main", "--signal=KILL", "acceld.service")
    wait_until(lambda: acceld.show("acceld.service", "NRestarts") == "1", "systemd starts it again")
    wait_until(lambda: acceld.show("acceld.service", "ActiveState") == "active", "it is ready")
    wait_active(acceld, "cpu", "fake")
    acceld.systemctl("restart", "acceld.service")
    wait_active(acceld, "cpu", "fake")
    assert pids(acceld, "acceld-hardware.service") == before


def test_the_main_part_goes_on_over_a_restart_and_a_crash_of_the_hardware_part(acceld):
    before = pids(acceld, "acceld.service")
    hardware = pids(acceld, "acceld-hardware.service")
    acceld.systemctl("kill", "--kill-whom=main", "--signal=KILL", "acceld-hardware.service")
    wait_until(lambda: acceld.show("acceld-hardware.service", "NRestarts") == "1", "it is restarted")
    wait_active(acceld, "cpu", "fake")
    acceld.systemctl("restart", "acceld-hardware.service")
    wait_active(acceld, "cpu", "fake")
    assert not hardware.keys() & pids(acceld, "acceld-hardware.service").keys()
    assert pids(acceld, "acceld.service") == before


def test_it_ends_with_the_main_part_and_comes_back_with_it(acceld):
    acceld.systemctl("stop", "acceld.service")
    wait_until(lambda: acceld.show("acceld-hardware.service", "ActiveState") == "inactive",
               "nobody needs it")
    assert acceld.show("acceld-hardware.socket", "ActiveState") == "active"
    acceld.systemctl("start", "acceld.service")
    wait_active(acceld, "cpu", "fake")


def test_one_reload_reaches_both_parts(acceld):
    before = pids(acceld, "acceld-hardware.service")
    configure(acceld.etc, {**CONFIG, "drivers": {"enabled": ["cpu", "fake", "pci"]}})
    acceld.systemctl("reload", "acceld.service")
    wait_until(lambda: "pci" in states(acceld) and states(acceld)["pci"] != "starting", "it is there")
    assert before.items() <= pids(acceld, "acceld-hardware.service").items()
    configure(acceld.etc, {**CONFIG, "drivers": {"enabled": ["cpu"]}})
    acceld.systemctl("reload", "acceld.service")
    wait_until(lambda: list(pids(acceld, "acceld-hardware.service").values()) == ["acceld",
                                                                                "acceld-hardware"],
               "what is not enabled ends")
    wait_active(acceld, "cpu")


def test_both_feed_the_watchdog(acceld):
    for unit in SERVICES:
        def fed(unit=unit):
            return int(acceld.show(unit, "WatchdogTimestampMonotonic"))
        for _ in range(3):
            last = fed()
            wait_until(lambda last=last, fed=fed: fed() > last, f"{unit} is fed")
        assert acceld.show(unit, "NRestarts") == "0"
