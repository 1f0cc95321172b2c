"""accelctl against a running daemon, as an operator types it."""

import json
import os
import re
import signal
import subprocess

import pytest

from daemon import BUILD, ROOT, Daemon

FIXTURES = ROOT / "tests" / "fixtures"


@pytest.fixture(scope="module")
def daemon():
    with Daemon({"drivers": {"enabled": ["cpu", "fake"]}}) as running:
        yield running.wait_ready()


@pytest.fixture
def ctl(daemon):
    def run(*arguments, status=0):
        done = subprocess.run([str(BUILD / "accelctl"), "--socket", str(daemon.socket_path), *arguments],
                              capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout if status == 0 else done.stderr
    return run


def test_devices_are_listed_and_shown_by_any_name(ctl):
    listed = json.loads(ctl("--json", "devices"))["devices"]
    assert {d["module"] for d in listed} == {"cpu", "fake"}
    table = ctl("devices")
    assert "IDENTITY" in table and "cpu:0" in table
    cpu = next(d for d in listed if d["identity"] == "cpu:0")
    for name in ("cpu:0", cpu["uuid"], cpu["uuid"][:8]):
        assert json.loads(ctl("devices", "show", name))["uuid"] == cpu["uuid"]
    assert "no device is called nothing:9" in ctl("devices", "show", "nothing:9", status=1)


def test_a_device_goes_to_maintenance_and_back(ctl):
    fake = next(d for d in json.loads(ctl("--json", "devices"))["devices"]
                if d["module"] == "fake")

    def status():
        return json.loads(ctl("devices", "show", fake["uuid"]))["status"]
    ctl("devices", "disable", fake["uuid"])
    assert status() == "maintaining"
    ctl("devices", "enable", fake["uuid"])
    assert status() == "enabled"


def test_what_was_placed_is_reserved_and_given_back():
    gpu = {"type": "GPU", "model": "Fake GPU", "resource_class": "PGPU", "pci_address": "0000:3b:00.0",
           "facts": {"memory_bytes": 16e9, "peak_fp32_flops": 1e13, "memory_bandwidth_bytes_per_s": 5e11}}
    with Daemon({"drivers": {"enabled": ["fake"], "fake": {"devices": [gpu]}}}) as own:
        own.wait_ready()

        def ctl(*arguments, status=0):
            done = subprocess.run([str(BUILD / "accelctl"), "--socket", str(own.socket_path), *arguments],
                                  capture_output=True, text=True, timeout=300, check=False)
            assert done.returncode == status, done.stdout + done.stderr
            return done.stdout if status == 0 else done.stderr
        ctl("models", "put", "mnist", str(FIXTURES / "mnist-8" / "model.onnx"))
        instance = "5d2e9e4e-8b0d-4b6e-9d0a-0d6b5a3f7c11"
        assert "--instance goes with --reserve" in ctl("place", "mnist", "--instance", instance, status=1)
        said = ctl("place", "mnist", "--reserve", "--instance", instance)
        [arq] = json.loads(ctl("--json", "arqs", "list", "--instance", instance))["arqs"]
        line = next(line for line in said.splitlines() if arq["uuid"] in line)
        assert line.split() == ["pci:0000:3b:00.0", arq["uuid"], arq["device_profile_name"], "TEST_PCI",
                                "0000:3b:00.0"]
        assert f"for instance {instance}" in said
        assert "is held by ARQ" in ctl("place", "mnist", "--reserve", status=1)
        assert "no free attach handle" in ctl("place", "mnist", "--reserve", "--include-held", status=1)
        assert "predicted only" in ctl("place", "mnist", "--include-held", "--runnable")
        assert "expected fp32" in ctl("place", "mnist", "--precision", "fp7", status=1)
        ctl("arqs", "delete", arq["uuid"])
        assert json.loads(ctl("--json", "profiles"))["device_profiles"] == []
        assert "RESERVED" in ctl("place", "mnist", "--reserve")


def test_an_accelerator_is_asked_for_given_and_taken_back(ctl):
    deployable = next(d for d in json.loads(ctl("--json", "deployables"))["deployables"]
                      if d["driver_name"] == "fake" and d["num_accelerators"] > 0)
    attributes = json.loads(deployable["attributes_list"])
    resource = next(a["rc"] for a in attributes if "rc" in a)
    instance = "5d2e9e4e-8b0d-4b6e-9d0a-0d6b5a3f7c11"
    ctl("profiles", "create", "one", f"resources:{resource}=1", "--description", "one of them")
    created = json.loads(ctl("--json", "arqs", "create", "one"))["arqs"]
    assert len(created) == 1 and created[0]["state"] == "Initial"
    uuid = created[0]["uuid"]
    ctl("arqs", "bind", uuid, deployable["name"], instance)
    bound = json.loads(ctl("arqs", "show", uuid))
    assert bound["state"] == "Bound" and bound["attach_handle_info"]
    assert uuid in ctl("arqs", "list", "--instance", instance)
    assert "is used by" in ctl("profiles", "delete", "one", status=1)
    ctl("arqs", "unbind", uuid)
    assert json.loads(ctl("arqs", "show", uuid))["state"] == "Unbound"
    ctl("arqs", "delete", uuid)
    ctl("profiles", "delete", "one")
    assert json.loads(ctl("--json", "profiles"))["device_profiles"] == []


def test_a_model_is_uploaded_placed_run_and_deleted(ctl):
    said = ctl("models", "put", "squeezenet", str(FIXTURES / "squeezenet1.0-fp16" / "model.onnx"))
    assert "squeezenet version 1" in said and "the core runs it" in said
    assert "squeezenet" in ctl("models")
    assert "GFLOP" in ctl("models", "analysis", "squeezenet")
    ctl("calibrate", "--seconds", "2")
    table = ctl("place", "squeezenet", "--explain")
    first = table.splitlines()[1].split()
    assert first[0] == "1" and first[1] == "cpu:0", table
    assert "refused" in table and "conv" in table
    seen = ctl("infer", "squeezenet", "--image", str(FIXTURES / "photos" / "chelsea.png"), "--labels",
               str(FIXTURES / "photos" / "Labels.txt"), "--bgr", "--mean", "104,117,123")
    best = seen.splitlines()[2].split(maxsplit=2)
    # The model's own test input is this picture prepared elsewhere: ONNX Runtime gives 0.578.
    assert best[1] == "285" and "cat" in best[2] and abs(float(best[0]) - 0.578) < 0.03, seen
    ctl("models", "delete", "squeezenet")
    assert "there is no model squeezenet" in ctl("models", "show", "squeezenet", status=1)


def test_tensors_go_in_and_out_as_files(ctl, tmp_path):
    folder = FIXTURES / "mnist-8"
    ctl("models", "put", "mnist", str(folder / "model.onnx"))
    said = ctl("infer", "mnist", "--input", str(folder / "test_data_set_0" / "input_0.pb"),
               "--output", str(tmp_path))
    written = [line for line in said.splitlines() if line.endswith(".npy")]
    assert len(written) == 1 and os.path.getsize(written[0]) > 40
    ctl("models", "delete", "mnist")


def test_a_refused_model_says_why(ctl, tmp_path):
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"this is no model")
    assert "bad" not in ctl("models")
    assert ctl("models", "put", "bad", str(bad), status=1).startswith("accelctl: ")
    assert "bad" not in ctl("models")
    assert "No such file" in ctl("models", "put", "bad", str(tmp_path / "absent"), status=1)


def test_the_daemon_says_how_it_is(ctl):
    health = ctl("health")
    assert re.search(r"^store\s+yes", health, re.M), health
    drivers = ctl("drivers")
    assert re.search(r"^cpu\s.*active", drivers, re.M) and re.search(r"^fake\s.*active", drivers, re.M)
    assert ctl("log-level").strip() == "info"
    assert ctl("log-level", "debug").strip() == "debug"
    ctl("log-level", "info")
    assert "as they were" in ctl("devices", "rescan")


def test_wrong_usage_is_explained(ctl):
    assert "did you mean devices?" in ctl("devcies", status=2)
    assert "did you mean show?" in ctl("arqs", "shwo", status=1)
    assert "usage: accelctl place MODEL" in ctl("place", "--help")
    assert "usage: accelctl arqs show UUID" in ctl("arqs", "show", status=1)


def test_without_a_daemon_it_says_so(tmp_path):
    done = subprocess.run([str(BUILD / "accelctl"), "--socket", str(tmp_path / "none.sock"), "devices"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3 and "no acceld answers at" in done.stderr


def ctl_json(ctl, *arguments):
    return [json.loads(line) for line in ctl("--json", *arguments).splitlines()]


def test_events_are_listed(ctl):
    ctl("profiles", "create", "told", "resources:FPGA=1")
    ctl("profiles", "delete", "told")
    created, deleted = ctl_json(ctl, "events", "--kind", "profile.")[-2:]
    assert (created["kind"], deleted["kind"]) == ("profile.created", "profile.deleted")
    lines = ctl("events", "--after", str(created["sequence"]), "--kind", "profile.").splitlines()
    assert len(lines) == 1 and re.search(r"^ *\d+  \d{4}-.*profile.deleted +\S+ name=told$", lines[0])
    assert "expected the sequence of an event" in ctl("events", "--after", "x", status=1)
    assert "another database" in ctl("events", "--after", "900000000", status=1)
    assert "how a kind begins" in ctl("events", "--kind", "a b", status=1)


def test_events_are_followed_over_a_restart():
    with Daemon({"drivers": {"enabled": ["fake"]}}) as daemon:
        daemon.wait_ready()
        command = [str(BUILD / "accelctl"), "--json", "--socket", str(daemon.socket_path)]
        with subprocess.Popen([*command, "events", "--follow", "--after", "0", "--kind", "profile."],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as follower:
            try:
                def make(name):
                    subprocess.run([*command, "profiles", "create", name, "resources:FPGA=1"],
                                   check=True, capture_output=True, timeout=60)
                    return json.loads(follower.stdout.readline())
                first = make("first")
                assert first["kind"] == "profile.created" and first["data"] == {"name": "first"}
                daemon.restart().wait_ready()
                second = make("second")
                assert second["data"] == {"name": "second"}
                assert second["sequence"] > first["sequence"]
                follower.send_signal(signal.SIGINT)
                assert follower.wait(60) == 0
                assert follower.stdout.read() == follower.stderr.read() == ""
            finally:
                follower.kill()


def test_placing_for_a_batch_and_for_several_devices(ctl):
    ctl("models", "put", "free", str(FIXTURES / "cnn-mnist-pytorch" / "model.onnx"))
    one = json.loads(ctl("--json", "place", "free", "--batch", "1"))["analysis"]["flops"]
    four = json.loads(ctl("--json", "place", "free", "--shape", "input_image:4x1x28x28"))["analysis"]["flops"]
    assert four == pytest.approx(4 * one)
    assert "no such input" in ctl("place", "free", "--shape", "x:1x2", status=1)
    assert "NAME:DIMS" in ctl("place", "free", "--shape", "x:1x", status=1)
    assert "100 devices are wanted" in ctl("place", "free", "--count", "100")
    data = FIXTURES / "cnn-mnist-pytorch" / "test_data_set_0" / "input_0.pb"
    assert "cpu:0" in ctl("infer", "free", "--device", "cpu:0", "--input", str(data))
    other = next(d["identity"] for d in json.loads(ctl("--json", "devices"))["devices"] if d["module"] == "fake")
    assert "predicted-only" in ctl("infer", "free", "--device", other, "--input", str(data), status=1)
    ctl("models", "delete", "free")
