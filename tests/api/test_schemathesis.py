"""schemathesis over api/openapi.yaml: no 5xx and no answer that the contract does not document.

Its own checks, all of them (schemathesis.toml says what is left out and why), over examples, the borders
of every schema, wrong methods and headers, and made-up cases: the same ones every time. More of them:

    ACCELD_SCHEMATHESIS_SECONDS=600 .venv/bin/python -m pytest -s tests/api/test_schemathesis.py

makes up new ones until the time is over and prints the seed.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

from client import Api
from conftest import CONFIG
from daemon import ROOT, SANITIZED, Daemon

HERE = pathlib.Path(__file__).resolve().parent
SECONDS = int(os.environ.get("ACCELD_SCHEMATHESIS_SECONDS", 0))
CASES = 3 if SANITIZED else 8  # made up for each operation, beside those of the borders


def known(api):
    """What the paths of the contract may name."""
    model = (ROOT / "tests" / "fixtures" / "mnist-8" / "model.onnx").read_bytes()
    assert api.put("/v2/models/mnist", model).status == 201
    profile = api.post("/v2/device_profiles", [{"name": "known", "groups": [{"resources:FPGA": "1"}]}])
    arq = api.post("/v2/accelerator_requests", {"device_profile_name": "known"}).json()["arqs"][0]["uuid"]
    deployable = api.get("/v2/deployables").json()["deployables"][0]["uuid"]
    device = api.get("/v2/devices").json()["devices"][0]["uuid"]
    names = {"devices": {"uuid": device}, "deployables": {"uuid": deployable},
             "device_profiles": {"profile": profile.json()["uuid"]}, "accelerator_requests": {"uuid": arq},
             "inventory": {"device": "cpu:0"}, "models": {"model": "mnist"}}
    paths = {}
    for path in json.loads(api.get("/openapi.json").body)["paths"]:
        kind = (path + "//").split("/")[2]
        if "{" in path and kind in names:
            paths[path] = dict(names[kind], **({"version": 1} if "{version}" in path else {}))
    return paths


def run(daemon, *arguments):
    environment = dict(os.environ, ACCELD_KNOWN=json.dumps(known(Api(daemon))), NO_COLOR="1",
                       SCHEMATHESIS_HOOKS=str(HERE / "schemathesis_hooks.py"))
    command = [pathlib.Path(sys.executable).parent / "st", "--config-file", HERE / "schemathesis.toml",
               "run", ROOT / "api" / "openapi.yaml", "--url", daemon.url, "--checks", "all", *arguments]
    done = subprocess.run(command, cwd=daemon.folder, env=environment, capture_output=True, text=True,
                          timeout=SECONDS + 1800, check=False)
    return done.returncode, done.stdout + done.stderr


def test_no_case_finds_a_fault_or_an_undocumented_answer():
    if SECONDS:
        arguments = ["--max-time", str(SECONDS), "--phases", "examples,coverage,fuzzing,stateful"]
    else:
        arguments = ["--generation-deterministic", "--max-examples", str(CASES),
                     "--phases", "examples,coverage,fuzzing"]
    # Two workers: one may be calibrating for minutes, as a case has asked for.
    with Daemon({**CONFIG, "workers": {"count": 2, "threads": 1}}) as daemon:
        daemon.wait_ready()
        pids = {role: daemon.pid_of(role) for role in ("control", "worker", "hardware")}
        status, said = run(daemon, *arguments)
        print(said[-8000:])
        assert status == 0, said
        cases = int(re.search(r"(\d+) generated", said).group(1))
        assert cases > 500, "hardly any case was made"
        assert daemon.pid_of("control") == pids["control"], "the control process died on the way"
        assert " level=error " not in daemon.log(), daemon.log()[-4000:]
