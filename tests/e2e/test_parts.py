"""Hardware as a service of its own: two supervisors with a socket between them."""

import os
import shutil
import signal
import socket
import subprocess

import pytest

from daemon import BUILD, Daemon, wait_until

MODULES = {"drivers": {"enabled": ["cpu", "fake"]}}


@pytest.fixture
def parts(tmp_path):
    """(main, hardware), not started; they share the runtime folder alone."""
    main = Daemon(MODULES, args=["--part", "main"])
    hardware = Daemon({**MODULES, "node": {"runtime_dir": str(main.runtime_dir)}},
                      args=["--part", "hardware"])
    yield main, hardware
    for part in (main, hardware):
        if part.process is not None and part.process.poll() is None:
            print(part.log())
            assert part.stop() == 0, part.log()
        assert "Sanitizer" not in part.log()
        shutil.rmtree(part.folder, ignore_errors=True)


def module(main, name="fake"):
    return next(d for d in main.get("/v2/drivers").json()["drivers"] if d["name"] == name)


def wait_active(main):
    wait_until(lambda: all(module(main, n)["state"] == "active" for n in ("cpu", "fake"))
               and len(main.get("/v2/inventory").json()["devices"]) == 2, "both modules are active")


def roles(part):
    return sorted(os.path.basename(arguments[0]) for _, arguments in part.children())


def test_each_part_runs_what_is_its_own(parts):
    main, hardware = parts
    hardware.start()
    main.start()
    wait_active(main)
    assert roles(main) == ["acceld-control", "acceld-worker"]
    assert roles(hardware) == ["acceld-hardware", "acceld-hardware"]


def test_main_waits_for_hardware_and_says_so(parts):
    main, hardware = parts
    main.start()

    def reason():
        body = main.get("/readyz").json()
        return next(p["reason"] or "" for p in body["parts"] if p["name"] == "driver fake")
    wait_until(lambda: "acceld-hardware.service" in reason(), "/readyz says what is missing")
    hardware.start()
    wait_active(main)


def test_hardware_goes_on_when_main_is_restarted(parts):
    main, hardware = parts
    hardware.start()
    main.start()
    wait_active(main)
    before = {hardware.pid_of("hardware", m) for m in ("cpu", "fake")}
    for end in (main.stop, main.kill):
        end()
        wait_until(lambda: "the main part is gone" in hardware.log(), "it noticed")
        assert {hardware.pid_of("hardware", m) for m in ("cpu", "fake")} == before
        main.start()
        wait_active(main)
        assert main.request("POST", "/v2/drivers/rescan").json()["unchanged"] == 2
    assert {hardware.pid_of("hardware", m) for m in ("cpu", "fake")} == before


def test_main_goes_on_when_hardware_is_restarted(parts):
    main, hardware = parts
    hardware.start()
    main.start()
    wait_active(main)
    control = main.pid_of("control")
    for end in (hardware.stop, hardware.kill):
        end()
        wait_until(lambda: "hardware part" in (module(main)["reason"] or ""), "the reason is told")
        assert main.get("/healthz").status_code == 200
        hardware.start()
        wait_active(main)
        assert main.request("POST", "/v2/drivers/rescan").json()["unchanged"] == 2
    assert main.pid_of("control") == control


def test_a_new_control_process_gets_new_channels(parts):
    main, hardware = parts
    hardware.start()
    main.start()
    wait_active(main)
    before = hardware.pid_of("hardware", "fake")
    main.kill_role("control")
    main.wait_state("READY=1")
    wait_active(main)
    assert main.request("POST", "/v2/drivers/rescan").json()["unchanged"] == 2
    assert hardware.pid_of("hardware", "fake") == before


def test_a_killed_module_is_started_again_and_quarantine_is_told(parts):
    main, hardware = parts
    hardware.start()
    main.start()
    wait_active(main)
    hardware.kill_role("hardware", "fake")
    wait_active(main)
    hardware.kill_role("hardware", "fake")
    os.kill(hardware.pid_of("hardware", "fake"), 9)
    wait_until(lambda: module(main)["state"] == "quarantined", "main knows")
    main.kill_role("control")
    main.wait_state("READY=1")
    wait_until(lambda: module(main)["state"] == "quarantined", "and a new control process")
    main.restart()
    wait_active(main)  # a start is another chance, as a reload is


def test_a_reload_of_main_reaches_both(parts):
    main, hardware = parts
    hardware.start()
    main.start()
    wait_active(main)
    cpu = hardware.pid_of("hardware", "cpu")

    def write(enabled, *which):
        for part in which:
            part.write_config({"drivers": {"enabled": enabled},
                               "node": {"runtime_dir": str(main.runtime_dir)}})
    write(["cpu", "pci"], main, hardware)
    main.send_signal(signal.SIGHUP)
    wait_until(lambda: hardware.pid_of("hardware", "pci"), "the other part starts what is new")
    wait_until(lambda: hardware.pid_of("hardware", "fake") is None, "and ends what is not enabled")
    wait_until(lambda: module(main, "pci")["state"] == "active", "main has its channel")
    assert hardware.pid_of("hardware", "cpu") == cpu

    # Changed while main was away: its start tells the other.
    main.stop()
    write(["cpu"], main, hardware)
    main.start()
    wait_until(lambda: hardware.pid_of("hardware", "pci") is None, "the other part follows")


def test_a_module_that_one_part_knows_first_is_joined_by_a_reload(parts):
    main, hardware = parts
    hardware.start()
    main.start()
    wait_active(main)
    config = {"drivers": {"enabled": ["cpu", "fake", "pci"]},
              "node": {"runtime_dir": str(main.runtime_dir)}}
    hardware.write_config(config)
    hardware.send_signal(signal.SIGHUP)
    wait_until(lambda: "a module that is not enabled here" in main.log(), "main passes it over")
    main.write_config(config)
    main.send_signal(signal.SIGHUP)
    wait_until(lambda: "pci" in [d["name"] for d in main.get("/v2/drivers").json()["drivers"]]
               and module(main, "pci")["state"] == "active", "its channel is there")
    wait_until(lambda: module(main)["state"] == "active", "and that of the others")


def test_hardware_feeds_the_watchdog_without_a_main_part(tmp_path):
    hardware = Daemon(MODULES, args=["--part", "hardware"], env={"WATCHDOG_USEC": "600000"})
    with hardware:
        for _ in range(3):
            hardware.wait_state("WATCHDOG=1")


def test_the_main_part_can_ask_for_two_things_only(parts):
    """What a main part that was taken over says: nothing of it reaches systemd, nothing ends."""
    main_part, hardware = parts
    hardware.start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as main:
        main.connect(str(main_part.runtime_dir / "hardware.sock"))
        wait_until(lambda: hardware.pid_of("hardware", "fake"), "modules start")
        for packet in (b"\xb2\x01\x00", b"\xda\x01\x08\x0a\x06READY=", b"\xd2\x01\x00", b"\xc2\x01\x00",
                       b"\xca\x01\x09\x08\x01\x12\x05\x63\x6f\x6e\x74\x72"):
            main.send(packet)
        main.send(b"\xff" * 100)  # no message at all: that connection ends, not the part
        hardware.wait_state("STATUS=Waiting for the main part")
    assert hardware.states.count("READY=1") == 1 and "STATUS=READY=" not in hardware.states
    assert "the main part is gone" in hardware.log()
    assert hardware.pid_of("hardware", "fake")


def test_the_socket_is_its_owner_s_and_a_stranger_is_refused(parts):
    main, hardware = parts
    hardware.start()
    path = main.runtime_dir / "hardware.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    if os.geteuid() == 0:
        # By the descriptor's credentials, whatever the file's mode says.
        path.chmod(0o666)
        script = ("import os, socket\nos.setgid(12345)\nos.setuid(12345)\n"
                  "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
                  f"s.connect('{path}')\nassert s.recv(100) == b''\n")
        subprocess.run(["python3", "-c", script], check=True, timeout=30)
        wait_until(lambda: "user 12345 is no part of this daemon" in hardware.log(), "logged")


def test_systemds_socket_is_taken(parts, tmp_path):
    main, hardware = parts
    main.runtime_dir.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(main.runtime_dir / "hardware.sock"))
        os.chmod(main.runtime_dir / "hardware.sock", 0o666)
        listener.listen()
        script = tmp_path / "start"
        script.write_text(f'#!/bin/sh\nexport LISTEN_PID=$$ LISTEN_FDS=1\nexec "{BUILD}/acceld" "$@"\n')
        script.chmod(0o755)
        hardware.program = script
        hardware.popen = {"pass_fds": (3,), "preexec_fn": lambda: os.dup2(listener.fileno(), 3)}
        hardware.start()
        main.start()
        wait_active(main)


def test_a_second_hardware_part_is_refused(parts):
    _, hardware = parts
    hardware.start()
    done = subprocess.run([BUILD / "acceld", "--config", hardware.config_path, "--part", "hardware"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "another acceld" in done.stderr


def test_an_unknown_part_is_refused():
    done = subprocess.run([BUILD / "acceld", "--part", "both"], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 2 and "expected all, main or hardware" in done.stderr
