"""The opencl module: pocl, and an OpenCL library of our own that crashes, hangs and lies."""

import os
import pathlib
import subprocess
import tempfile

import pytest

from daemon import BUILD, Daemon, wait_until
from test_discover import accelerators, discover, fact, hardware, recorded  # noqa: F401

HERE = pathlib.Path(__file__).resolve().parent


def make_icd(folder, behaviour, path=None, pci="0, 0, 0, 0"):
    """An OpenCL library that reads how to behave from folder/mode at every question."""
    folder.chmod(0o755)
    mode = folder / "mode"
    mode.write_text(behaviour)
    library = path or folder / "libOpenCL.so.1"
    subprocess.run([*os.environ.get("CC", "cc").split(), "-shared", "-fPIC", "-o", library,
                    f'-DFAKE_ICD="{mode}"', f"-DFAKE_PCI={pci}", HERE / "fake_icd.c", "-lpthread"],
                   check=True)
    return library, mode


@pytest.fixture
def tmp_path():
    """A folder that the user nobody reaches, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="acceld-icd-") as folder:
        os.chmod(folder, 0o755)
        yield pathlib.Path(folder)


def config(**keys):
    return {"drivers": {"enabled": ["cpu", "opencl"], "opencl": keys}}


def driver(daemon, name="opencl"):
    return {d["name"]: d for d in daemon.get("/v2/drivers").json()["drivers"]}[name]


def facts_of(daemon, identity):
    devices = {d["identity"]: d for d in daemon.get("/v2/inventory").json()["devices"]}
    if identity not in devices:
        return {}
    one = daemon.get(f"/v2/inventory/{devices[identity]['uuid']}").json()
    return {fact["name"]: fact for fact in one["facts"]}


def rescan(daemon):
    answer = daemon.request("POST", "/v2/drivers/rescan?driver=opencl")
    assert answer.status_code == 200, answer.text


def assert_idle_process_is_clean(daemon):
    pid = daemon.pid_of("hardware", "opencl")
    maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
    assert "OpenCL" not in maps and "pocl" not in maps and "LLVM" not in maps
    targets = [os.readlink(fd) for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
    assert not [t for t in targets if t.startswith("/dev/") and t != "/dev/null"]
    # Killed with the question; the kernel may take a moment to hand their ends over.
    wait_until(lambda: pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text() == "",
               "no child is left")
    return pid


def test_pocl_is_told_of_the_host_cpu(tmp_path):
    # pocl gives no device when its cache folder cannot be written: not one that others have made.
    os.chmod(tmp_path, 0o777)
    with Daemon(config=config(deadline=25), env={"POCL_CACHE_DIR": str(tmp_path)}) as daemon:
        wait_until(lambda: "runtime.opencl" in facts_of(daemon, "cpu:0"), "cpu:0 has OpenCL")
        facts = facts_of(daemon, "cpu:0")
        assert "Portable Computing Language" in facts["runtime.opencl"]["value"]
        assert "fp64" in facts["opencl.precisions"]["value"]
        assert_idle_process_is_clean(daemon)


@pytest.mark.parametrize("behaviour, reason", [("crash", "signal 6"), ("hang", "within 1.0 s"),
                                                ("exit", "status 3")])
def test_vendor_code_that_fails_costs_the_question_only(tmp_path, behaviour, reason):
    library, mode = make_icd(tmp_path, "alone")
    with Daemon(config=config(library=str(library), deadline=1)) as daemon:
        wait_until(lambda: facts_of(daemon, "opencl:0-0"), "the device")
        pid = daemon.pid_of("hardware", "opencl")
        mode.write_text(behaviour)
        rescan(daemon)
        assert reason in str(driver(daemon)["problems"]), driver(daemon)
        # Known devices stay, the process too, and so does every other module.
        assert facts_of(daemon, "opencl:0-0") and facts_of(daemon, "cpu:0")
        assert assert_idle_process_is_clean(daemon) == pid
        assert driver(daemon, "cpu")["state"] == driver(daemon)["state"] == "active"
        mode.write_text("alone")
        rescan(daemon)
        assert driver(daemon)["problems"] == []


def test_strays_of_vendor_code_end_with_the_question(tmp_path):
    library, _ = make_icd(tmp_path, "stray")
    with Daemon(config=config(library=str(library), deadline=5)) as daemon:
        wait_until(lambda: driver(daemon).get("problems") is not None, "an answer")
        rescan(daemon)
        assert_idle_process_is_clean(daemon)
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                assert b"fake-icd-stray" not in path.read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                pass


def test_a_lie_is_a_problem(tmp_path):
    library, _ = make_icd(tmp_path, "lie")
    found, problems = discover("opencl", "--config", f'{{"library": "{library}"}}')
    said = str(problems)
    assert "4000000000 platforms" in said and "4000000000 devices" in said and "memory" in said
    for device in found.values():
        assert fact(device, "memory_bytes") is None


def test_stand_alone_device(tmp_path):
    library, _ = make_icd(tmp_path, "alone")
    found, problems = discover("opencl", "--config", f'{{"library": "{library}"}}')
    device = found["opencl:0-0"]
    assert problems == [] and (device["type"], device["model"]) == ("OPENCL", "Fake GPU")
    assert fact(device, "memory_bytes") == 16e9 and fact(device, "clock_hz") == 1.5e9
    assert fact(device, "peak_fp32_flops") == 80 * 1.5e9 * 64 * 2
    assert fact(device, "runtime.opencl") == "3.0 Fake 12.5"
    assert device["runnable"] is False or device["runnable"] in ("", "no", "none")
    assert [d["handles"] for d in device["deployables"]] == [[]]


def test_gpu_is_matched_to_its_pci_function(recorded, tmp_path):  # noqa: F811
    addresses = sorted(accelerators(recorded))
    if not addresses:
        return
    domain, bus, rest = addresses[0].split(":")
    make_icd(tmp_path, "good", recorded / "libOpenCL.so.1",
             f"0x{domain}, 0x{bus}, 0x{rest[:2]}, {rest[3]}")
    found = hardware("opencl", "--sysroot", recorded, "--config", '{"library": "/libOpenCL.so.1"}')
    assert found["devices"] == [] and found["problems"] == []
    said = {a["name"]: a["value"] for a in found["annotations"]
            if a["identity"] == f"pci:{addresses[0]}"}
    assert said["runtime.opencl"] == "3.0 Fake 12.5" and said["memory_bytes"] == 16e9
    assert said["opencl.precisions"] == "fp32 fp64 fp16"


def test_no_library_is_quietly_not_mine():
    with Daemon(config=config(library="libOpenCL-absent.so.9")) as daemon:
        state = wait_until(lambda: driver(daemon)["state"] == "not-mine" and driver(daemon), "an answer")
        assert "not installed" in str(state) and not state.get("problems")
