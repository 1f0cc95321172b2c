"""Driver modules on recorded machines: what they find against what the tree itself says."""

import json
import os
import pathlib
import re
import subprocess
import tarfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("ACCELD_BUILD", ROOT / "build"))
DATA = os.environ.get("ACCELD_TEST_DATA")
ARCHIVES = sorted((pathlib.Path(DATA) if DATA else ROOT / "tests" / "fixtures")
                  .joinpath("inventory-hwloc").glob("*.tar.bz2"))
UNREAD = re.compile(r"/(cpuidle|power|msi_irqs|thermal_throttle|hugepages|microcode|crash_notes\w*|"
                    r"block|net|infiniband\w*|usb\w*|ata\w*|host\d+|tty|memory\d+|irq)(/|$)|/proc/\d+")


def hardware(module, *options, check=True):
    done = subprocess.run([BUILD / "libexec" / "acceld-hardware", "--module", module,
                           "--module-dir", BUILD / "drivers", "--hostname", "node1", "--once",
                           "--json", *options],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False)
    if check:
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)
    return done


def discover(module, *options):
    found = hardware(module, *options)
    return {device["identity"]: device for device in found["devices"]}, found["problems"]


def fact(device, name):
    entry = device["facts"].get(name)
    return entry and entry["value"]


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda path: path.name.split(".")[0])
def recorded(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tree")
    with tarfile.open(request.param) as archive:
        # Thousands of files that no module reads would take most of the test's time.
        # Debian 12's own Python has no filters yet, and warns of none.
        trust = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}
        archive.extractall(folder, members=[
            member for member in archive if not UNREAD.search(member.name)], **trust)
    (root,) = folder.iterdir()
    return root


def text_of(path):
    try:
        return path.read_text(errors="replace").rstrip("\n")
    except OSError:
        return None


def accelerators(root):
    """address -> folder of every function of the classes the pci module is for."""
    found = {}
    for folder in (root / "sys/bus/pci/devices").iterdir():
        code = text_of(folder / "class")
        if code and re.match(r"0x(03|12)....$|0x0b40..$", code):
            found[folder.name] = folder
    return found


def cpus_of(text):
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def test_there_are_recorded_machines():
    assert len(ARCHIVES) >= 6


def test_pci_finds_what_the_tree_holds(recorded):
    devices, problems = discover("pci", "--sysroot", recorded)
    expected = accelerators(recorded)
    assert set(devices) == {f"pci:{address}" for address in expected}
    for address, folder in expected.items():
        device = devices[f"pci:{address}"]
        assert device["pci_address"] == address
        vendor = text_of(folder / "vendor")
        if vendor is None:
            assert device["health"] == "degraded" and device["deployables"] == []
            assert any(problem["where"] == address for problem in problems)
            continue
        assert device["vendor"] == vendor
        assert json.loads(device["std_board_info"])["product_id"] == text_of(folder / "device")[2:]
        node = text_of(folder / "numa_node")
        if node is not None and int(node) >= 0:
            assert device["numa_node"] == int(node)
        driver = folder / "driver"
        if driver.is_symlink():
            assert fact(device, "kernel_driver") == os.path.basename(os.readlink(driver))
        for deployable in device["deployables"]:
            assert deployable["name"] == f"node1_{address}"
            domain, bus, slot = address.split(":")
            assert json.loads(deployable["handles"][0]["attach_info"]) == {
                "domain": domain, "bus": bus, "device": slot[:2], "function": slot[3]}


def test_pci_link_bandwidth_follows_from_speed_and_width(recorded):
    devices, _ = discover("pci", "--sysroot", recorded)
    for address, folder in accelerators(recorded).items():
        speed, width = text_of(folder / "max_link_speed"), text_of(folder / "current_link_width")
        if not speed or not width or not speed[0].isdigit():
            assert fact(devices[f"pci:{address}"], "link_bandwidth_bytes_per_s") is None
            continue
        rate = float(speed.split()[0])
        coding = 8 / 10 if rate < 8 else 128 / 130
        got = fact(devices[f"pci:{address}"], "link_bandwidth_bytes_per_s")
        assert 0 < got <= rate * 1e9 * int(width) * coding / 8 * 1.0001


def test_cpu_counts_what_the_tree_holds(recorded):
    devices, problems = discover("cpu", "--sysroot", recorded)
    assert problems == [] and set(devices) == {"cpu:0"}
    device = devices["cpu:0"]
    folder = recorded / "sys/devices/system/cpu"
    online = list(cpus_of(text_of(folder / "online")))
    assert fact(device, "threads") == len(online) == fact(device, "usable_cpus")
    topology = [folder / f"cpu{cpu}" / "topology" for cpu in online]
    assert fact(device, "cores") == len({(text_of(t / "physical_package_id"),
                                          text_of(t / "die_id"), text_of(t / "core_id"))
                                         for t in topology})
    assert fact(device, "sockets") == len({text_of(t / "physical_package_id") for t in topology})
    memory = nodes = 0
    for node in (recorded / "sys/devices/system/node").glob("node[0-9]*"):
        if text_of(node / "cpulist") or (text_of(node / "cpumap") or "0").strip("0,"):
            nodes += 1
            memory += int(re.search(r"MemTotal:\s+(\d+) kB", text_of(node / "meminfo"))[1]) * 1024
    assert (fact(device, "numa_nodes"), fact(device, "memory_bytes")) == (nodes, memory)
    name = re.search(r"^(?:model name|cpu)\s*: *(.*)$", text_of(recorded / "proc/cpuinfo"), re.M)
    assert device["model"] == name[1]
    assert device["runnable"] and device["type"] == "CPU"
    assert [(d["resource_class"], d["handles"]) for d in device["deployables"]] == [(None, [])]
    # Without the tree's CPUID the instruction sets are unknown, never this machine's.
    assert fact(device, "isa") is None or "aarch64" in device["model"]


def test_cpu_reads_memory_and_energy(tmp_path):
    for path, text in {
            "proc/meminfo": "MemTotal: 1000 kB\nMemFree: 10 kB\nMemAvailable: 400 kB\n",
            "proc/stat": "cpu  10 0 10 80 0 0 0 0 0 0\n",
            "sys/class/powercap/intel-rapl:0/name": "package-0\n",
            "sys/class/powercap/intel-rapl:0/energy_uj": "2500000\n",
            "sys/class/powercap/intel-rapl:0/constraint_0_power_limit_uw": "150000000\n",
            "sys/class/powercap/intel-rapl:1/name": "package-1\n",
            "sys/class/powercap/intel-rapl:1/energy_uj": "500000\n",
            "sys/class/powercap/intel-rapl:1/constraint_0_power_limit_uw": "150000000\n",
            "sys/class/powercap/intel-rapl:1:0/name": "dram\n",
            "sys/class/powercap/intel-rapl:1:0/energy_uj": "900000\n"}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    found = hardware("cpu", "--sysroot", tmp_path)
    assert {r["name"]: r["value"] for r in found["readings"]} == {
        "memory_used_bytes": 600 * 1024, "energy_joules": 3.0}
    assert fact(found["devices"][0], "power_limit_w") == 300


def test_a_recorded_cpuid_gives_instruction_sets(recorded):
    folder = recorded / "acceld"
    folder.mkdir(exist_ok=True)
    brand = b"Test CPU".ljust(48, b"\0")
    words = [int.from_bytes(brand[i:i + 4], "little") for i in range(0, 48, 4)]
    lines = ["0 0 16 756e6547 6c65746e 49656e69",  # GenuineIntel
             "1 0 806f8 0 38981000 0",             # avx fma f16c popcnt sse4_2 osxsave
             "7 0 0 d0030020 800 2800000",         # avx2, avx512 f dq bw vl, vnni; fp16, amx_int8
             "16 0 0 bb8 0 0"]                     # 3000 MHz
    lines += [f"{0x80000002 + i:x} 0 " + " ".join(f"{w:x}" for w in words[4 * i:4 * i + 4])
              for i in range(3)]

    def isa(xcr0):
        (folder / "cpuid").write_text("\n".join(lines + [f"xcr0 {xcr0:x}"]) + "\n")
        device = discover("cpu", "--sysroot", recorded)[0]["cpu:0"]
        assert device["model"] == "Test CPU" and device["vendor"] == "GenuineIntel"
        return fact(device, "isa").split(), device

    try:
        full, device = isa(0x602e7)
        assert {"avx2", "avx512f", "avx512bw", "avx512_vnni", "avx512_fp16", "amx_int8"} <= set(full)
        assert fact(device, "peak_fp32_flops") > 0 and fact(device, "peak_int8_ops") > 0
        assert device["facts"]["peak_fp32_flops"]["basis"] == "catalogue"
        assert "amx_int8" not in isa(0x2e7)[0], "the system saves no tiles"
        some = isa(0x7)[0]
        assert "avx2" in some and not any(name.startswith("avx512") for name in some)
        none = isa(0x3)[0]
        assert "avx2" not in none and "avx" not in none and "popcnt" in none
    finally:
        (folder / "cpuid").unlink()


def test_a_tape_replays_the_discovery(recorded, tmp_path):
    for module in ("cpu", "pci"):
        tape = tmp_path / module
        live = hardware(module, "--sysroot", recorded, "--record", tape)
        assert hardware(module, "--replay", tape) == live
    done = hardware("pci", "--replay", tmp_path / "cpu", check=False)
    assert done.returncode == 1 and b"the tape holds no" in done.stderr


# ---------------------------------------------------------------- a made-up machine


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    root = tmp_path_factory.mktemp("zoo")
    for line in (ROOT / "drivers/pci/testdata/zoo.tree").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        path, sign, rest = re.match(r"(.*?)(->|=)(.*)$", line).groups()
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if sign == "->":
            target.symlink_to(rest)
        else:
            target.write_text(rest.replace("\\n", "\n"))
    return root


@pytest.fixture(scope="module")
def zoo_found(zoo):
    return discover("pci", "--sysroot", zoo)


def test_zoo_types_and_classes(zoo_found):
    devices, _ = zoo_found
    got = {address: (device["type"], [d["resource_class"] for d in device["deployables"]])
           for address, device in devices.items()}
    assert got == {
        "pci:0000:3b:00.0": ("GPU", ["PGPU"]),
        "pci:0000:41:00.0": ("GPU", []),        # its virtual functions are in service
        "pci:0000:41:02.0": ("GPU", ["PGPU"]),
        "pci:0000:41:02.1": ("GPU", ["PGPU"]),
        "pci:10000:e1:00.0": ("FPGA", ["FPGA"]),
        "pci:0000:50:00.0": ("QAT", ["CUSTOM_QAT"]),
        "pci:0000:51:00.0": ("AICHIP", ["CUSTOM_PCI"]),
        "pci:0000:52:00.0": ("GPU", ["PGPU"]),
        "pci:0000:53:00.0": ("GPU", []),        # does not answer
        "pci:0000:54:00.0": ("GPU", []),        # a BMC's console
        "pci:0000:63:00.0": ("GPU", []),        # cannot be identified
        "pci:0000:64:00.0": ("GPU", ["PGPU"]),
    }


def test_zoo_gpu_facts(zoo_found):
    device = zoo_found[0]["pci:0000:3b:00.0"]
    assert device["numa_node"] == 1, "the bridge knows the node"
    assert device["iommu_group"] == 17
    assert device["vendor"] == "0x10de" and "T4" in device["model"]
    assert json.loads(device["std_board_info"]) == {"product_id": "1eb8",
                                                    "controller": "3D controller"}
    assert fact(device, "kernel_driver") == "nvidia"
    assert fact(device, "driver_version") == "550.54.14"
    assert fact(device, "link") == "8 GT/s x8", "the slot is slower than the card"
    assert fact(device, "link_bandwidth_bytes_per_s") == pytest.approx(8e9 * 8 * 128 / 130 / 8)
    assert fact(device, "memory_window_bytes") == 256 * 1024 * 1024
    assert device["deployables"][0]["traits"] == ["OWNER_CYBORG", "CUSTOM_NVIDIA_1EB8"]


def test_zoo_virtual_functions_and_domains(zoo_found):
    devices, _ = zoo_found
    assert devices["pci:0000:41:02.0"]["parent"] == "pci:0000:41:00.0"
    assert devices["pci:0000:41:00.0"]["parent"] is None
    assert fact(devices["pci:0000:41:00.0"], "sriov_totalvfs") == 8
    assert fact(devices["pci:0000:41:02.0"], "driver_version") == "kernel 6.1.0-test"
    fpga = devices["pci:10000:e1:00.0"]
    assert fpga["numa_node"] == 1, "by its CPUs"
    assert json.loads(fpga["deployables"][0]["handles"][0]["attach_info"]) == {
        "domain": "10000", "bus": "e1", "device": "00", "function": "0"}
    assert fpga["deployables"][0]["traits"] == ["CUSTOM_FPGA_XILINX", "CUSTOM_FPGA_PRODUCT_ID_5000"]


def test_zoo_health_and_damage(zoo_found):
    devices, problems = zoo_found
    health = {address: device["health"] for address, device in devices.items()
              if device["health"] != "ok"}
    assert health == {"pci:0000:51:00.0": "degraded", "pci:0000:53:00.0": "failed",
                      "pci:0000:63:00.0": "degraded"}
    assert devices["pci:0000:51:00.0"]["health_reason"] == (
        "PCIe errors since boot: 2 fatal, 5 non-fatal")
    assert fact(devices["pci:0000:52:00.0"], "link") is None, "a sleeping device is not woken"
    broken = devices["pci:0000:64:00.0"]
    assert broken["numa_node"] == -1 and broken["iommu_group"] == -1
    assert fact(broken, "link") is None and fact(broken, "memory_window_bytes") is None
    assert {problem["where"] for problem in problems} == {"0000:60:00.0", "0000:61:00.0",
                                                          "0000:62:00.0", "0000:63:00.0"}


def test_zoo_sensors(zoo):
    readings = {(r["identity"], r["name"]): r["value"]
                for r in hardware("pci", "--sysroot", zoo)["readings"]}
    gpu, npu = "pci:0000:3b:00.0", "pci:0000:51:00.0"
    assert readings == {(gpu, "temperature_celsius"): 41.5, (gpu, "power_watts"): 70.25,
                        (gpu, "pcie_errors:fatal"): 0,
                        (npu, "pcie_errors:fatal"): 2, (npu, "pcie_errors:nonfatal"): 5}


def test_no_pci_is_no_error(tmp_path):
    assert discover("pci", "--sysroot", tmp_path) == ({}, [])


# ---------------------------------------------------------------- fake


def fake(config, *options, check=True):
    return hardware("fake", "--config", json.dumps(config), *options, check=check)


def test_fake_is_cyborgs_fake_by_default():
    (device,) = hardware("fake")["devices"]
    assert (device["vendor"], device["model"]) == ("0xABCD", "miss model info")
    assert device["std_board_info"] == '{"device_id": "0xabcd", "class": "Fake class"}'
    (deployable,) = device["deployables"]
    assert deployable["name"] == "node1_FakeDevice"
    assert deployable["resource_class"] == "FPGA"
    assert deployable["traits"] == ["CUSTOM_FAKE_DEVICE"]
    assert [handle["attach_type"] for handle in deployable["handles"]] == ["TEST_PCI"]


def test_fake_makes_a_thousand_devices():
    found = fake({"devices": [{"count": 1000, "type": "GPU", "resource_class": "PGPU",
                               "facts": {"memory_bytes": 8e9, "runtime.cuda": "12.4"}}]})
    assert len({device["identity"] for device in found["devices"]}) == 1000
    names = {d["name"] for device in found["devices"] for d in device["deployables"]}
    handles = {h["attach_info"] for device in found["devices"] for d in device["deployables"]
               for h in d["handles"]}
    assert len(names) == len(handles) == 1000
    assert found["devices"][999]["facts"]["runtime.cuda"]["value"] == "12.4"
    assert found["problems"] == []


def test_fake_partitions_and_wrong_entries():
    found = fake({"devices": [{"serial": "x", "type": "AICHIP", "partitions": 2,
                               "num_accelerators": 3, "traits": []},
                              {"type": "TOASTER"}, 7]})
    assert [device["identity"] for device in found["devices"]] == ["fake:x/p0", "fake:x/p1"]
    assert found["devices"][0]["parent"] == "fake:x"
    handles = [h["attach_info"] for device in found["devices"] for d in device["deployables"]
               for h in d["handles"]]
    assert len(handles) == len(set(handles)) == 6
    assert len(found["problems"]) == 2


def test_fake_world_file_decides(tmp_path):
    world = tmp_path / "world.json"
    config = {"world": str(world), "devices": [{"serial": "a"}, {"serial": "b"}]}
    assert len(fake(config)["devices"]) == 2, "no file: an ordinary world"
    world.write_text(json.dumps({"gone": ["fake:a"], "fail_devices": ["fake:b"]}))
    (device,) = fake(config)["devices"]
    assert (device["identity"], device["health"]) == ("fake:b", "failed")
    world.write_text(json.dumps({"devices": [{"serial": "c"}]}))
    assert [d["identity"] for d in fake(config)["devices"]] == ["fake:c"]
    world.write_text("{")
    found = fake(config)
    assert len(found["devices"]) == 2 and found["problems"][0]["where"] == str(world)


def test_fake_crashes_when_told():
    done = fake({"crash_on_discover": True}, check=False)
    assert done.returncode == -6 and done.stdout == b""


@pytest.mark.parametrize("config, reason", [
    ({"devces": []}, b"drivers.fake.devces: unknown key"),
    ({"program_seconds": -1}, b"drivers.fake.program_seconds: expected a number from 0 to 3600"),
    ({"devices": {}}, b"drivers.fake.devices: expected a list"),
])
def test_fake_refuses_a_wrong_config(config, reason):
    done = fake(config, check=False)
    assert done.returncode == 1 and reason in done.stderr


# ---------------------------------------------------------------- the program


@pytest.mark.parametrize("arguments, status, reason", [
    (["--module", "nonsuch", "--once"], 1, b"nonsuch.so"),
    (["--module", "../pci", "--once"], 1, b"no module's name"),
    (["--once"], 2, b"--module is needed"),
    (["--module", "pci"], 2, b"--once, --channel-fd or --supervisor-fd"),
    (["--module", "pci", "--once", "--record", "a", "--replay", "b"], 2, b"exclude each other"),
    (["--module", "pci", "--channel-fd", "99"], 2, b"no open descriptor"),
    (["--module", "pci", "--once", "--sysroot", "/no/such"], 1, b"sysroot /no/such"),
])
def test_wrong_calls_are_refused(arguments, status, reason):
    done = subprocess.run([BUILD / "libexec" / "acceld-hardware", "--module-dir",
                           BUILD / "drivers", *arguments],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == status and reason in done.stderr


def test_print_cpuid_is_what_a_tree_takes(tmp_path):
    done = subprocess.run([BUILD / "libexec" / "acceld-hardware", "--print-cpuid"],
                          stdout=subprocess.PIPE, timeout=60, check=False)
    if done.returncode != 0:
        pytest.skip("this machine has no CPUID")
    (tmp_path / "acceld").mkdir()
    (tmp_path / "acceld" / "cpuid").write_bytes(done.stdout)
    here, there = discover("cpu")[0]["cpu:0"], discover("cpu", "--sysroot", tmp_path)[0]["cpu:0"]
    assert (here["model"], fact(here, "isa")) == (there["model"], fact(there, "isa"))
