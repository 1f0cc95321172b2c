"""Probes, metrics, drivers, log level, the contract itself, the inventory."""

import re

import pytest
import yaml

import contract


def test_healthz_and_readyz(api, unix):
    for client in (api, unix):
        assert client.get("/healthz").json() == {"status": "ok"}
        body = client.get("/readyz").json()
        assert body["ready"] is True
        names = [part["name"] for part in body["parts"]]
        assert {"store", "service", "driver cpu", "driver fake"} <= set(names)
    assert api.request("HEAD", "/healthz").status == 200


def test_inference_health(api):
    assert api.get("/v2/health/live").json() == {"live": True}
    assert api.get("/v2/health/ready").json() == {"live": True, "ready": True}


def test_openapi_is_the_file_in_the_tree(api):
    served = api.get("/openapi.json").json()
    assert served == yaml.safe_load((contract.ROOT / "api" / "openapi.yaml").read_text())


def samples(api):
    """{name: [(labels, value)]}; checks the format on the way."""
    answer = api.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found, typed, ended = {}, {}, set()
    family = None
    for line in answer.body.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in typed, f"{name} has two types"
            typed[name] = kind
            if family:
                ended.add(family)
            family = name
        elif not line.startswith("# HELP "):
            match = re.match(r'^([a-z_:]+)(\{(?:[a-z_]+="(?:[^"\\]|\\.)*",?)*\})? (-?[0-9.e+-]+)$', line)
            assert match, line
            name = match[1]
            base = re.sub("_(sum|count)$", "", name) if typed.get(family) == "summary" else name
            assert base == family and base not in ended, f"{name} stands outside its family"
            assert typed[family] != "counter" or name.endswith("_total"), name
            labels = dict(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
            found.setdefault(name, []).append((labels, float(match[3])))
    return found


def test_metrics(api):
    found = samples(api)
    kinds = sorted(labels["kind"] for labels, value in found["accel_device_info"] if value == 1)
    assert kinds == ["CPU", "FPGA", "FPGA", "GPU"]
    health = {(l["device"], l["state"]): v for l, v in found["accel_health"]}
    assert health[("pci:0000:3b:00.0", "ok")] == 1
    memory = {l["device"]: v for l, v in found["accel_memory_total_bytes"]}
    assert memory["pci:0000:3b:00.0"] == 16e9
    assert found["acceld_up"] == [({}, 1.0)]
    before = sum(v for _, v in found["acceld_http_requests_total"])
    api.get("/v2/devices")
    assert sum(v for _, v in samples(api)["acceld_http_requests_total"]) > before


def test_drivers(api):
    body = api.get("/v2/drivers").json()
    drivers = {d["name"]: d for d in body["drivers"]}
    assert body["hostname"] == "test-node"
    assert {n: d["state"] for n, d in drivers.items()} == {"cpu": "active", "fake": "active"}
    assert drivers["fake"]["devices"] == 3 and drivers["cpu"]["devices"] == 1


def test_rescan_that_finds_nothing_new(api):
    for query in ("", "?driver=fake"):
        body = api.post(f"/v2/drivers/rescan{query}").json()
        assert body["added"] == body["changed"] == body["gone"] == 0 and body["unchanged"] >= 3
    assert api.post("/v2/drivers/rescan?driver=nobody").status == 404


def test_log_level(api):
    before = api.get("/v2/log-level").json()
    assert api.put("/v2/log-level", json={"level": "debug"}).json() == {"level": "debug"}
    assert api.get("/v2/log-level").json() == {"level": "debug"}
    assert api.put("/v2/log-level", json=before).json() == before
    for body in ({}, {"level": "loud"}, {"level": 7}, [], {"level": "info", "more": 1}):
        assert api.put("/v2/log-level", json=body).status == 400


def test_inventory(api):
    devices = {d["identity"]: d for d in api.get("/v2/inventory").json()["devices"]}
    assert {"cpu:0", "pci:0000:0c:00.0", "pci:0000:3b:00.0"} <= set(devices)
    assert devices["cpu:0"]["runnable"] == "core" and devices["cpu:0"]["type"] == "CPU"
    assert "facts" not in devices["cpu:0"]
    for which in (devices["pci:0000:3b:00.0"]["uuid"], "pci:0000:3b:00.0", "0000:3b:00.0"):
        one = api.get(f"/v2/inventory/{which}").json()
        facts = {f["name"]: f for f in one["facts"]}
        assert facts["memory_bytes"]["value"] == 16e9
        assert facts["memory_bytes"]["basis"] == "reported"
        (dep,) = one["deployables"]
        assert (dep["num_accelerators"], len(dep["attach_handles"])) == (1, 1)
    assert api.get("/v2/inventory/nobody").status == 404
    assert api.get("/v2/inventory?detail=maybe").status == 400
    detailed = api.get("/v2/inventory?detail=true&type=CPU").json()["devices"]
    assert [d["identity"] for d in detailed] == ["cpu:0"] and detailed[0]["facts"]


@pytest.mark.parametrize("query, status", [("", 200), ("?state=running", 200), ("?state=x", 400)])
def test_jobs_listed(api, query, status):
    assert api.get(f"/v2/jobs{query}").status == status


def test_no_such_job(api):
    nobody = "0ac0ac0a-0000-4000-8000-000000000000"
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/cancel")):
        assert api.request(method, f"/v2/jobs/{nobody}{path}").status == 404
        assert api.request(method, f"/v2/jobs/x{path}").status == 400


@pytest.mark.parametrize("body", [{}, [], {"kind": "dance"}, {"kind": "calibrate", "device": 7},
                                  {"kind": "calibrate", "budget_seconds": 0},
                                  {"kind": "calibrate", "budget_seconds": "1"},
                                  {"kind": "calibrate", "more": 1}])
def test_bad_jobs(api, body):
    assert api.post("/v2/jobs", body).status == 400


def test_calibration_of_nobody(api):
    assert api.post("/v2/jobs", {"kind": "calibrate", "device": "nobody"}).status == 404


def test_backup(api, unix):
    answer = unix.get("/v2/backup")
    assert answer.status == 200 and answer.body.startswith(b"SQLite format 3\0")
    assert answer.headers["content-type"] == "application/vnd.sqlite3"
