"""The opencl module on an OpenCL library of our own that lies."""

import os
import pathlib
import subprocess

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
