"""The daemon as a tree of processes: who is there, what each may do, and what happens when one ends."""

import contextlib
import os
import pathlib
import pwd
import signal
import socket
import stat
import subprocess

import pytest

from daemon import BUILD, Daemon, wait_until

FAKE = {"drivers": {"enabled": ["cpu", "fake"]}, "workers": {"count": 2, "threads": 1}}


def status_of(pid):
    """/proc/PID/status as a dictionary."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, value in (line.split(":", 1) for line in lines)}


def descriptors(pid):
    """{number: what it is} of a process."""
    found = {}
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found[int(entry.name)] = os.readlink(entry)
    return found


def alive(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def devices(daemon):
    response = daemon.get("/v2/devices")
    assert response.status_code == 200, response.text
    return sorted((d["uuid"], d["type"]) for d in response.json()["devices"])


@pytest.fixture
def running():
    with Daemon(FAKE) as daemon:
        yield daemon.wait_ready()


# ---------------------------------------------------------------- who is there

def test_one_process_per_role_module_and_worker(running):
    names = sorted(status_of(pid)["Name"] for pid, _ in running.children())
    assert names == ["acceld-control", "acceld-hardware", "acceld-hardware", "acceld-worker",
                     "acceld-worker"]
    for module in ("cpu", "fake"):
        assert running.pid_of("hardware", module)


@pytest.mark.plain_build  # a sanitizer's runtime opens files of its own
def test_a_worker_holds_its_channel_and_nothing_else(running):
    for name in ("1", "2"):
        pid = running.pid_of("worker", name)
        wait_until(lambda: len(descriptors(pid)) == 5, f"worker {name} has closed its configuration")
        found = descriptors(pid)
        assert found[0] == "/dev/null"
        assert sorted(n for n in found if n > 2) == [3, 4], found
        assert found[3] == "anon_inode:[eventfd]"
        assert found[4].startswith("socket:")


def test_no_process_holds_anothers_channel(running):
    """A socket that two processes hold would hide the death of one from whoever waits for it."""
    holders = {}
    for pid, arguments in running.children():
        for number, target in descriptors(pid).items():
            if target.startswith("socket:") and number > 2:
                holders.setdefault(target, set()).add(pid)
    assert holders
    shared = {target: pids for target, pids in holders.items() if len(pids) > 1}
    assert shared == {}


def test_control_and_workers_are_sandboxed(running):
    for role in ("control", "worker"):
        status = status_of(running.pid_of(role))
        assert status["Seccomp"] == "2", role
        assert status["NoNewPrivs"] == "1", role
        if os.geteuid() == 0:
            assert int(status["Uid"].split()[0]) != 0, role
            assert int(status["CapPrm"], 16) == 0 and int(status["CapBnd"], 16) == 0, role
    for module in ("cpu", "fake"):  # neither needs root
        status = status_of(running.pid_of("hardware", module))
        assert int(status["CapEff"], 16) == 0, module
        if os.geteuid() == 0:
            user = pwd.getpwnam("nobody")
            assert set(status["Uid"].split()) == {str(user.pw_uid)}, module
            assert int(status["CapPrm"], 16) == 0 and int(status["CapBnd"], 16) == 0, module
            # Its groups open device nodes, such as those of group render.
            assert set(map(int, status["Groups"].split())) == set(
                os.getgrouplist("nobody", user.pw_gid)), module


def test_unix_socket_is_for_owner_and_group(running):
    mode = os.stat(running.socket_path).st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660


# ---------------------------------------------------------------- kill -9 of each

def test_killed_worker_is_started_again_alone(running):
    before = {pid for pid, _ in running.children()}
    old, new = running.kill_role("worker", "1")
    after = {pid for pid, _ in running.children()}
    assert before - after == {old} and after - before == {new}
    wait_until(lambda: "killed by signal 9 (Killed)" in running.log(), "the log says what happened")
    running.wait_ready()


def test_killed_hardware_is_started_again_alone(running):
    recorded = devices(running)
    before = {pid for pid, _ in running.children()}
    old, new = running.kill_role("hardware", "fake")
    after = {pid for pid, _ in running.children()}
    assert before - after == {old} and after - before == {new}
    running.wait_ready()
    assert devices(running) == recorded


def test_killed_control_takes_workers_along_and_leaves_hardware(running):
    recorded = devices(running)
    hardware = {running.pid_of("hardware", m) for m in ("cpu", "fake")}
    workers = {running.pid_of("worker", n) for n in ("1", "2")}
    running.kill_role("control")
    running.wait_state("READY=1")
    wait_until(lambda: all(running.pid_of("worker", n) not in {None, *workers} for n in ("1", "2")),
               "both workers are new")
    assert {running.pid_of("hardware", m) for m in ("cpu", "fake")} == hardware
    running.wait_ready()
    assert devices(running) == recorded


def test_nothing_survives_a_killed_supervisor():
    daemon = Daemon(FAKE)
    daemon.start()
    pids = [pid for pid, _ in daemon.children()]
    assert len(pids) == 5
    # One that hangs, and would not see its channel end, goes as well.
    os.kill(daemon.pid_of("hardware", "fake"), signal.SIGSTOP)
    os.kill(daemon.pid_of("worker", "1"), signal.SIGSTOP)
    daemon.kill()
    wait_until(lambda: not any(alive(pid) for pid in pids), "all children are gone")
    # What it left behind (a socket file, a lock file) is in nobody's way.
    daemon.start()
    daemon.wait_ready()
    assert daemon.stop() == 0


def test_module_that_fails_three_times_is_quarantined_until_a_reload(running):
    running.kill_role("hardware", "fake")
    running.kill_role("hardware", "fake")
    os.kill(running.pid_of("hardware", "fake"), signal.SIGKILL)
    wait_until(lambda: "module quarantined" in running.log(), "the log says so")

    def state():
        drivers = running.get("/v2/drivers").json()["drivers"]
        return next(d["state"] for d in drivers if d["name"] == "fake")

    wait_until(lambda: state() == "quarantined", "/v2/drivers shows it")
    assert running.pid_of("hardware", "fake") is None
    assert running.pid_of("hardware", "cpu"), "the others are untouched"
    running.send_signal(signal.SIGHUP)
    wait_until(lambda: running.pid_of("hardware", "fake"), "a reload is another chance")
    wait_until(lambda: state() == "active", "and it is active again")


# ---------------------------------------------------------------- stop

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_in_order_and_leaves_nothing(number):
    daemon = Daemon(FAKE)
    daemon.start()
    pids = [pid for pid, _ in daemon.children()]
    daemon.send_signal(number)
    assert daemon.process.wait(30) == 0, daemon.log()
    assert not any(alive(pid) for pid in pids)
    assert not daemon.socket_path.exists()
    told = []
    daemon.notify.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            told += daemon.notify.recv(4096).decode().splitlines()
    assert "STOPPING=1" in told
    assert "failed" not in daemon.log() and "badly" not in daemon.log(), daemon.log()


# ---------------------------------------------------------------- reload

def test_reload_of_a_bad_file_keeps_the_old(running):
    before = sorted(pid for pid, _ in running.children())
    running.config_path.write_text("workers:\n  count: 1\n  cuont: 2\n")
    running.send_signal(signal.SIGHUP)
    running.wait_state("RELOADING=1")
    running.wait_state("READY=1")
    assert f"{running.config_path}:3: workers.cuont: unknown key" in running.log()
    assert sorted(pid for pid, _ in running.children()) == before
    running.wait_ready()


def test_reload_starts_stops_and_restarts_what_changed(running):
    cpu = running.pid_of("hardware", "cpu")
    fake = running.pid_of("hardware", "fake")
    worker = running.pid_of("worker", "1")
    running.write_config({"drivers": {"enabled": ["fake", "pci"], "fake": {"devices": []}},
                          "workers": {"count": 1}, "log": {"level": "debug"}})
    running.send_signal(signal.SIGHUP)
    running.wait_state("READY=1")
    wait_until(lambda: running.pid_of("hardware", "pci"), "a module that was added is started")
    wait_until(lambda: running.pid_of("hardware", "cpu") is None, "one that was removed ends")
    wait_until(lambda: running.pid_of("hardware", "fake") not in (None, fake),
               "one whose section changed is started again")
    wait_until(lambda: running.pid_of("worker", "2") is None, "a worker too many ends")
    assert running.pid_of("worker", "1") == worker, "what did not change goes on"
    assert not alive(cpu)
    wait_until(lambda: "level=debug role=control" in running.log(), "control logs at debug")
    running.wait_ready()


def test_reload_says_which_keys_need_a_restart(running):
    running.write_config({**FAKE, "api": {"listen": "127.0.0.1:1"}})
    running.send_signal(signal.SIGHUP)
    wait_until(lambda: "key=api.listen" in running.log(), "it names the key")
    running.wait_ready()


# ---------------------------------------------------------------- systemd

def test_feeds_the_watchdog():
    with Daemon(FAKE, env={"WATCHDOG_USEC": "600000"}) as daemon:
        daemon.wait_state("WATCHDOG=1")
        daemon.wait_state("WATCHDOG=1")


def test_takes_systemds_sockets(tmp_path):
    tcp = socket.create_server(("127.0.0.1", 0))
    port = tcp.getsockname()[1]
    script = tmp_path / "start"
    # As systemd does it: the first socket is descriptor 3, and LISTEN_PID is the daemon's own.
    script.write_text(f'#!/bin/sh\nexport LISTEN_PID=$$ LISTEN_FDS=1\nexec "{BUILD}/acceld" "$@"\n')
    script.chmod(0o755)
    daemon = Daemon(FAKE, program=script, popen={
        "pass_fds": (3,), "preexec_fn": lambda: os.dup2(tcp.fileno(), 3)})
    daemon.start()
    try:
        daemon.port = port
        daemon.wait_ready()
    finally:
        tcp.close()
        assert daemon.stop() == 0, daemon.log()


# ---------------------------------------------------------------- what is refused at the start

def run(*args, **kwargs):
    return subprocess.run([BUILD / "acceld", *args], capture_output=True, text=True, timeout=60,
                          **kwargs)


def test_bad_configuration_is_refused_with_file_and_line(tmp_path):
    path = tmp_path / "acceld.yaml"
    path.write_text("# one\ndrivers:\n  scan_period: soon\n")
    for result in (run("--config", path), run("--check-config", path)):
        assert result.returncode != 0
        assert f'{path}:3: drivers.scan_period: expected a duration such as 60s, got "soon"' \
            in result.stderr
    path.write_text("drivers:\n  scan_period: 5m\n")
    result = run("--check-config", path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_the_example_configuration_is_good():
    assert run("--check-config", "etc/acceld.yaml").returncode == 0


def test_help_names_every_option():
    result = run("--help")
    assert result.returncode == 0
    for option in ("--config", "--check-config", "--version", "--sysroot", "--state-dir",
                   "--runtime-dir", "--listen", "--socket", "--cpu-mask", "--log-level",
                   "--module-dir", "--set"):
        assert option in result.stdout
    assert run("--version").stdout.startswith("acceld ")


def test_second_daemon_on_the_same_state_is_refused(running):
    result = run("--config", running.config_path, "--runtime-dir", running.folder / "other")
    assert result.returncode == 1
    assert f"another acceld (process {running.process.pid}) uses {running.state_dir}" \
        in result.stderr


def test_port_in_use_is_refused(running, tmp_path):
    tmp_path.chmod(0o755)
    result = run("--config", running.config_path, "--state-dir", tmp_path / "s", "--runtime-dir",
                 tmp_path / "r", "--listen", f"127.0.0.1:{running.port}")
    assert result.returncode == 1
    assert f"api.listen 127.0.0.1:{running.port}: another process listens there" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_missing_user_is_refused_with_the_cure(tmp_path):
    result = run("--user", "no-such-user", "--state-dir", tmp_path, "--runtime-dir", tmp_path,
                 "--listen", "none")
    assert result.returncode == 1
    assert "useradd --system no-such-user" in result.stderr
    assert "node.user: nobody" in result.stderr


def test_control_that_cannot_start_ends_the_daemon(tmp_path):
    daemon = Daemon(FAKE)
    daemon.state_dir.mkdir()
    (daemon.state_dir / "acceld.db").write_text("this is no database, and long enough to be seen so")
    daemon.start(wait=False)
    assert daemon.process.wait(30) == 78, daemon.log()
    assert "acceld.db" in daemon.log()
