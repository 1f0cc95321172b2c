"""A whole acceld for a test: its own folders, its own sockets, real processes.

    with Daemon(config={"drivers": {"enabled": ["fake"], "fake": {...}}}) as daemon:
        daemon.get("/v2/devices")

It is ready when it says READY=1 to the socket that systemd would listen on; nothing sleeps for a
fixed time. What it logged is printed when the test fails (pytest shows a fixture's output).
"""

import contextlib
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import requests
import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("ACCELD_BUILD", ROOT / "build")).resolve()
SANITIZED = any(name in BUILD.name for name in ("asan", "tsan", "address", "thread"))
PATIENCE = 120 if SANITIZED else 30  # seconds, for what should take well under one


def wait_until(condition, what, patience=PATIENCE):
    """Looks again until it is true. Returns what the condition returned."""
    end = time.monotonic() + patience
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {patience} s: {what}")
        time.sleep(0.01)


class Daemon:
    """config: what acceld.yaml holds, merged over folders and sockets of a temporary folder. TCP is
    on a free port of 127.0.0.1; with tcp_admin its callers are admin (the default here)."""

    def __init__(self, config=None, args=(), tcp_admin=True, env=None, folder=None, program=None,
                 popen=None):
        self._own_folder = folder is None
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="acceld-test-"))
        self.folder.chmod(0o755)
        self.config_path = self.folder / "acceld.yaml"
        self.state_dir = self.folder / "state"
        self.runtime_dir = self.folder / "run"
        self.socket_path = self.runtime_dir / "acceld.sock"
        self.log_path = self.folder / "log"
        self.args = list(args)
        self.program = program or BUILD / "acceld"
        self.env = dict(os.environ, **(env or {}))
        if SANITIZED:
            # LeakSanitizer stops its process by ptrace, which the sandboxes forbid; leaks are looked
            # for where nothing is sandboxed, in the unit tests.
            self.env["ASAN_OPTIONS"] = self.env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        self.popen = popen or {}  # further arguments of subprocess.Popen
        self.process = None
        self.port = None
        self.states = []  # what it told systemd, in order
        self.base_config = {
            "node": {"state_dir": str(self.state_dir), "runtime_dir": str(self.runtime_dir),
                     "hostname": "test-node", "user": "nobody"},
            "api": {"listen": "127.0.0.1:0"},
            "auth": {"local_tcp": "admin" if tcp_admin else "reader"},
            "drivers": {"enabled": []},
            "workers": {"count": 1, "threads": 1},
        }
        self.write_config(config or {})

    # ------------------------------------------------------------ configuration
    def write_config(self, config):
        merged = json.loads(json.dumps(self.base_config))
        for section, keys in config.items():
            if isinstance(keys, dict):
                merged.setdefault(section, {}).update(keys)
            else:
                merged[section] = keys
        self.config_path.write_text(yaml.safe_dump(merged))

    # ------------------------------------------------------------ life
    def start(self, wait=True):
        notify_path = self.folder / "notify"
        with contextlib.suppress(FileNotFoundError):
            notify_path.unlink()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(notify_path))
        env = dict(self.env, NOTIFY_SOCKET=str(notify_path))
        for name in ("JOURNAL_STREAM", "STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
            env.pop(name, None)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [str(self.program), "--config", str(self.config_path), *self.args],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd=ROOT,
                **self.popen)
        if wait:
            try:
                self.wait_state("READY=1")
            except AssertionError:
                self.kill()
                raise AssertionError(f"acceld did not become ready:\n{self.log()}") from None
            self.port = self._find_port()
        return self

    def wait_state(self, wanted, patience=PATIENCE):
        """Waits until the daemon has told systemd a line `wanted` since the last call."""
        end = time.monotonic() + patience
        while True:
            left = end - time.monotonic()
            if self.process.poll() is not None:
                raise AssertionError(
                    f"acceld ended with {self.process.returncode}, not {wanted}:\n{self.log()}")
            if left <= 0:
                raise AssertionError(f"no {wanted} within {patience} s:\n{self.log()}")
            if select.select([self.notify], [], [], min(left, 0.1))[0]:
                lines = self.notify.recv(4096).decode().splitlines()
                self.states += lines
                if wanted in lines:
                    return lines

    def _find_port(self):
        found = re.findall(r"tcp=\S+:(\d+)", self.log())
        return int(found[-1]) if found else None

    def send_signal(self, number):
        self.process.send_signal(number)

    def stop(self, patience=PATIENCE):
        """SIGTERM; returns the exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"acceld did not stop:\n{self.log()}") from None
        self.notify.close()
        return status

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def restart(self):
        self.stop()
        return self.start()

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        try:
            if kind is not None:
                sys.stdout.write(f"---- acceld's log\n{self.log()}\n")
            status = self.stop()
            if kind is None and status != 0:
                raise AssertionError(f"acceld ended with {status}:\n{self.log()}")
            if kind is None and SANITIZED:
                assert "Sanitizer" not in self.log(), self.log()
        finally:
            self.kill()
            if self._own_folder:
                shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    # ------------------------------------------------------------ processes
    def children(self):
        """[(pid, arguments)] of the processes that the supervisor has started."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text()
                state, parent = stat.rsplit(")", 1)[1].split()[:2]
                if int(parent) != self.process.pid or state == "Z":
                    continue
                arguments = (entry / "cmdline").read_bytes().split(b"\0")[:-1]
                found.append((int(entry.name), [a.decode() for a in arguments]))
        return found

    def pid_of(self, role, name=None):
        """PID of acceld-ROLE (with --module or --name NAME); None when there is none."""
        for pid, arguments in self.children():
            # Between fork and exec, and after its end, a process has no arguments.
            if arguments and pathlib.Path(arguments[0]).name == f"acceld-{role}" and (
                    name is None or name in arguments):
                return pid
        return None

    def kill_role(self, role, name=None, number=signal.SIGKILL):
        """Kills one process and waits for another in its place. Returns the old and the new pid."""
        old = wait_until(lambda: self.pid_of(role, name), f"{role} {name or ''} runs")
        os.kill(old, number)
        new = wait_until(lambda: self.pid_of(role, name) not in (None, old)
                         and self.pid_of(role, name), f"{role} {name or ''} is started again")
        return old, new

    # ------------------------------------------------------------ REST over TCP
    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def request(self, method, path, **kwargs):
        kwargs.setdefault("timeout", PATIENCE)
        return requests.request(method, self.url + path, **kwargs)

    def get(self, path, **kwargs):
        return self.request("GET", path, **kwargs)

    def wait_ready(self):
        """Until /readyz is 200: the first scan of every module is in the store."""
        wait_until(lambda: self.get("/readyz").status_code == 200, "/readyz is 200")
        return self
