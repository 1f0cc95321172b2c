"""Devices come and go: how modules hear of it, and how soon the API says so."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tarfile
import tempfile
import threading
import time

import pytest

from daemon import SANITIZED, Daemon, wait_until
from test_discover import ARCHIVES, UNREAD, accelerators

GONE = ("device.gone", "device.deleted")  # what nobody held is forgotten
BACK = ("device.added", "device.back")
SOON = 10 if SANITIZED else 1  # seconds
PRELOAD = "libumockdev-preload.so.0"
# No scan but those that an event, or somebody, asks for.
PCI = {"drivers": {"enabled": ["pci"], "scan_period": "86400s"}}


class Listener:
    """GET /v2/events?kind=device. on a thread of its own: (when, event) of each."""

    def __init__(self, daemon):
        self.heard = []
        self.response = daemon.get("/v2/events?kind=device.&after=0", stream=True, timeout=600)
        assert self.response.status_code == 200
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        with contextlib.suppress(Exception):  # it is closed while it reads
            for line in self.response.iter_lines(chunk_size=1):
                if line.startswith(b"data: "):
                    self.heard.append((time.monotonic(), json.loads(line[6:])))

    def wait(self, kind, identity, since):
        """The event; it came soon after `since`."""
        def find():
            return next((found for found in self.heard if found[0] >= since
                         and found[1]["kind"] in kind and found[1]["data"]["identity"] == identity), None)
        when, event = wait_until(find, f"{kind} {identity}")
        assert when - since < SOON, f"{kind} {identity} after {when - since:.2f} s"
        return event


@contextlib.contextmanager
def running(config, env=None):
    with Daemon(config, env=env) as daemon:
        daemon.wait_ready()
        listener = Listener(daemon)
        yield daemon, listener


def identities(daemon):
    return {d["identity"] for d in daemon.get("/v2/inventory").json()["devices"]}


def scans(daemon):
    return int(re.search(r"^acceld_scans_total (\d+)", daemon.get("/metrics").text, re.M)[1])


# ---------------------------------------------------------------- a recorded tree that changes

@pytest.fixture
def open_folder():
    """A folder that the modules' user may read: pytest's own are its user's alone."""
    with tempfile.TemporaryDirectory(prefix="acceld-test-") as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)


def let_read(root):
    for folder, _, files in os.walk(root):
        os.chmod(folder, 0o755)
        for name in files:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                os.chmod(path, 0o644)


@pytest.fixture
def tree(open_folder):
    """A recorded machine with two accelerators or more."""
    for archive in sorted(ARCHIVES, key=lambda path: path.stat().st_size):
        folder = open_folder / archive.name.split(".")[0]
        with tarfile.open(archive) as recorded:
            recorded.extractall(folder, members=[
                member for member in recorded if not UNREAD.search(member.name)])
        let_read(folder)
        (root,) = folder.iterdir()
        if len(accelerators(root)) >= 2:
            return root
    raise AssertionError("no recorded machine has two accelerators")


def test_a_recorded_tree_that_changes_is_seen_at_a_rescan(tree):
    """No kernel speaks in a recorded tree: POST /v2/drivers/rescan tells the module to look."""
    address = sorted(accelerators(tree))[0]
    place, away = tree / "sys/bus/pci/devices" / address, tree / "away"
    with running(dict(PCI, node={"sysroot": str(tree)})) as (daemon, listener):
        before = identities(daemon)
        assert before == {f"pci:{a}" for a in accelerators(tree)}
        place.rename(away)
        begun = time.monotonic()
        assert daemon.request("POST", "/v2/drivers/rescan").json()["gone"] == 1
        gone = listener.wait(GONE, f"pci:{address}", begun)
        away.rename(place)
        begun = time.monotonic()
        assert daemon.request("POST", "/v2/drivers/rescan").json()
        back = listener.wait(BACK, f"pci:{address}", begun)
        assert gone["sequence"] < back["sequence"]
        assert identities(daemon) == before


def test_a_module_that_watches_a_file_tells_at_once(open_folder):
    """The same without anybody asking: the fake module hears of its world file by inotify."""
    world = open_folder / "world.json"
    config = {"drivers": {"enabled": ["fake"], "scan_period": "86400s",
                          "fake": {"world": str(world), "devices": [{"serial": "a"}, {"serial": "b"}]}}}
    with running(config) as (daemon, listener):
        def change(what):
            (open_folder / "new").write_text(json.dumps(what))
            begun = time.monotonic()
            (open_folder / "new").rename(world)
            return begun
        listener.wait(GONE, "fake:a", change({"gone": ["fake:a"]}))
        listener.wait(BACK, "fake:a", change({}))


# ---------------------------------------------------------------- uevents

class Testbed:
    """umockdev: /sys and the kernel's event socket of everything started with `env`."""

    __test__ = False  # no test class, whatever its name

    def __init__(self):
        self.process = subprocess.Popen(
            ["umockdev-wrapper", "/usr/bin/python3", pathlib.Path(__file__).parent / "testbed.py"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.root = pathlib.Path(self.process.stdout.readline().strip())
        self.env = {"LD_PRELOAD": PRELOAD, "UMOCKDEV_DIR": str(self.root)}

    def do(self, *words):
        """add or remove ADDRESS, with an event in the words of udev, not the kernel's."""
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def say(self, action, address, times=1):
        """As the kernel does; umockdev's own events are udev's, which are not for us."""
        path = f"/devices/pci0000:00/{address}"
        words = [f"{action}@{path}", f"ACTION={action}", f"DEVPATH={path}", "SUBSYSTEM=pci",
                 f"PCI_SLOT_NAME={address}", "SEQNUM=1"]
        (name,) = self.root.glob("event*")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            for _ in range(times):
                out.sendto("\0".join(words + [""]).encode(), str(name))

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


@pytest.fixture
def testbed():
    assert shutil.which("umockdev-wrapper"), "umockdev is not installed: tools/setup.sh test"
    bed = Testbed()
    yield bed
    bed.close()


@pytest.mark.plain_build  # umockdev preloads, and so does a sanitizer
def test_a_uevent_brings_and_takes_a_device(testbed):
    first, second = "0000:3b:00.0", "0000:5e:00.0"
    testbed.do("add", first)
    with running(PCI, testbed.env) as (daemon, listener):
        assert identities(daemon) == {f"pci:{first}"}
        asked = scans(daemon)
        testbed.do("add", second)
        begun = time.monotonic()
        testbed.say("add", second)
        listener.wait(BACK, f"pci:{second}", begun)
        # udev's event of the same came before the kernel's and was not taken for one.
        assert scans(daemon) == asked + 1
        testbed.do("remove", second)
        begun = time.monotonic()
        testbed.say("remove", second)
        listener.wait(GONE, f"pci:{second}", begun)
        assert scans(daemon) == asked + 2
        assert identities(daemon) == {f"pci:{first}"}


@pytest.mark.plain_build  # umockdev preloads, and so does a sanitizer
def test_a_burst_of_uevents_is_one_look(testbed):
    """Forty virtual functions appear with an event each; all are seen, with few looks."""
    addresses = [f"0000:3b:{i // 8:02x}.{i % 8}" for i in range(40)]
    testbed.do("add", "0000:5e:00.0")
    with running(PCI, testbed.env) as (daemon, listener):
        asked = scans(daemon)
        for address in addresses:
            testbed.do("add", address)
        begun = time.monotonic()
        for address in addresses:
            testbed.say("add", address)
        for address in addresses:
            listener.wait(BACK, f"pci:{address}", begun)
        assert 1 <= scans(daemon) - asked <= 3
        # The end of a burst that changed nothing is a look and no news.
        heard = len(listener.heard)
        asked = scans(daemon)
        testbed.say("change", addresses[0], times=100)
        wait_until(lambda: scans(daemon) > asked, "it looks again")
        assert len(listener.heard) == heard


def deaf(files):
    """Why a plain socket here hears nothing of what the kernel can be made to say, or None."""
    if not files:
        return "no PCI bus"
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 15) as kernel:
            kernel.bind((0, 1))
            kernel.settimeout(2)
            files[0].write_text("change")
            kernel.recv(8192)
    except TimeoutError:
        return "the kernel's events do not reach this network namespace"
    except OSError as refused:
        return f"the kernel cannot be made to speak: {refused}"
    return None


def test_the_kernels_own_uevents_are_heard():
    """A "change" written to a PCI function's uevent file is harmless and goes the whole way."""
    files = sorted(pathlib.Path("/sys/bus/pci/devices").glob("*/uevent"))
    why = deaf(files)
    if why is not None:
        pytest.skip(why)
    with running(PCI) as (daemon, _):
        assert "by scanning only" not in daemon.log()
        asked = scans(daemon)
        begun = time.monotonic()
        files[0].write_text("change")
        wait_until(lambda: scans(daemon) > asked, "the kernel's event is heard", 5)
        assert time.monotonic() - begun < SOON
