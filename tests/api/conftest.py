"""Fixtures of the API tests: one daemon for all that only read or clean up behind themselves."""

import pathlib
import sys
import uuid

import pytest

HERE = pathlib.Path(__file__).resolve().parent
for folder in (HERE, HERE.parent, HERE.parent / "models"):
    sys.path.insert(0, str(folder))

from client import Api  # noqa: E402
from daemon import Daemon  # noqa: E402

CONFIG = {
    "drivers": {
        "enabled": ["cpu", "fake"],
        "fake": {"devices": [
            {"type": "FPGA", "count": 2, "num_accelerators": 2},
            {"type": "GPU", "vendor": "10de", "model": "Fake GPU", "resource_class": "PGPU",
             "pci_address": "0000:3b:00.0", "traits": ["CUSTOM_FAKE_GPU"],
             "facts": {"memory_bytes": 16e9, "peak_fp32_flops": 1e13,
                       "memory_bandwidth_bytes_per_s": 5e11}},
        ]},
    },
    "cyborg": {"tempest_500": False},  # the honest answers; the others have a test of their own
    "limits": {"json_bytes": "256KiB", "infer_bytes": "8MiB", "model_bytes": "64MiB"},
}


@pytest.fixture(scope="session")
def daemon():
    with Daemon(CONFIG) as running:
        running.wait_ready()
        yield running


@pytest.fixture
def api(daemon):
    """An admin over TCP."""
    return Api(daemon)


@pytest.fixture
def unix(daemon):
    """An admin over the unix socket."""
    return Api(daemon, unix=True)


@pytest.fixture
def name():
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def profile(api, name):
    """A device profile of one FPGA, gone afterwards."""
    made = api.post("/v2/device_profiles", [
        {"name": name, "groups": [{"resources:FPGA": "1",
                                   "trait:CUSTOM_FAKE_DEVICE": "required"}]}])
    assert made.status == 201, made
    yield made.json()
    api.delete(f"/v2/device_profiles/{name}")


@pytest.fixture
def fpga(api):
    """A deployable with free attach handles."""
    devices = {d["type"]: d for d in api.get("/v2/inventory?type=FPGA&detail=true").json()["devices"]}
    return devices["FPGA"]["deployables"][0]
