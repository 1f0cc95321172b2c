"""Answers that are kept until the store changes: never an old one, and no other than one made anew."""

import concurrent.futures
import signal

import pytest

from client import Api
from daemon import Daemon, wait_until

CONFIG = {"drivers": {"enabled": ["cpu", "fake"],
                      "fake": {"devices": [{"type": "FPGA", "count": 3, "num_accelerators": 2}]}},
          "cyborg": {"tempest_500": False}}


@pytest.fixture(scope="module")
def node():
    with Daemon(CONFIG) as daemon:
        daemon.wait_ready()
        yield daemon


@pytest.fixture
def api(node):
    return Api(node, version="2.3")  # which shows a device's status


def shown(api, path):
    first, second = api.get(path), api.get(path)
    assert first.body == second.body and first.headers["etag"] == second.headers["etag"]
    assert first.headers["x-openstack-request-id"] != second.headers["x-openstack-request-id"]
    assert {k: v for k, v in first.headers.items() if k not in ("x-openstack-request-id", "date")} == \
        {k: v for k, v in second.headers.items() if k not in ("x-openstack-request-id", "date")}
    return second


def test_a_change_shows_in_the_next_answer(api):
    for _ in range(5):
        device = shown(api, "/v2/devices").json()["devices"][0]
        one = f"/v2/devices/{device['uuid']}"
        for verb, status in (("disable", "maintaining"), ("enable", "enabled")):
            assert api.post(f"{one}/{verb}").status in (200, 204)
            assert shown(api, one).json()["status"] == status
            assert shown(api, "/v2/devices").json()["devices"][0]["status"] == status


def test_what_was_made_and_deleted_is_listed_and_not(api):
    def names():
        return [p["name"] for p in shown(api, "/v2/device_profiles").json()["device_profiles"]]
    before = names()
    for _ in range(5):
        made = api.post("/v2/device_profiles", [{"name": "kept", "groups": [{"resources:FPGA": "1"}]}])
        assert made.status == 201 and names() == [*before, "kept"]
        uuid = made.json()["uuid"]
        assert shown(api, f"/v2/device_profiles/{uuid}").status == 200
        assert api.delete("/v2/device_profiles/kept").status == 204
        assert names() == before and api.get(f"/v2/device_profiles/{uuid}").status == 404


def test_what_the_client_has_is_304(api):
    tag = shown(api, "/v2/deployables").headers["etag"]
    for _ in range(2):
        answer = api.get("/v2/deployables", headers={"If-None-Match": tag})
        assert answer.status == 304 and answer.body == b"" and answer.headers["etag"] == tag
    assert api.get("/v2/deployables", headers={"If-None-Match": 'W/"x"'}).status == 200


def test_requests_that_differ_get_their_own_answers(api):
    whole = shown(api, "/v2/devices").json()["devices"]
    assert shown(api, "/v2/devices?limit=1").json()["devices"] == whole[:1]
    assert len(shown(api, "/v2/devices?type=FPGA").json()["devices"]) == 3
    assert shown(api, "/v2/devices?type=GPU").json()["devices"] == []
    assert api.get("/v2/devices?typ=FPGA").status == 400
    named = {h: api.get("/v2/devices", headers={"Host": h}).json()["devices"][0]["links"][0]["href"]
             for h in ("localhost:1", "127.0.0.1:2")}
    assert named["localhost:1"].startswith("http://localhost:1/")
    assert named["127.0.0.1:2"].startswith("http://127.0.0.1:2/")
    name = f"p{whole[0]['uuid'][:8]}"
    assert api.post("/v2/device_profiles", [{"name": name, "groups": [{"resources:FPGA": "1"}]}]).status == 201
    for _ in range(2):
        for version, status in (("2.2", 200), ("2.1", 406), ("2.3", 200), ("2.0", 406)):
            answer = api.at(version).get(f"/v2/device_profiles/{name}")
            assert answer.status == status
            assert answer.headers["openstack-api-version"] == f"accelerator {version}"
    assert api.delete(f"/v2/device_profiles/{name}").status == 204


def test_who_may_not_is_refused_whatever_is_kept(api):
    assert shown(api, "/v2/devices").status == 200
    assert api.get("/v2/devices", headers={"Host": "evil.example"}).status == 403
    assert api.get("/v2/devices", headers={"Accept": "text/html"}).status == 406


def test_another_configuration_is_another_answer(node, api):
    def types():
        return {d["type"] for d in api.get("/v2/devices").json()["devices"]}
    assert types() == {"FPGA"}
    for listed, expected in ((True, {"FPGA", "CPU"}), (False, {"FPGA"})):
        node.write_config({**CONFIG, "cyborg": {"tempest_500": False, "list_cpu": listed}})
        node.send_signal(signal.SIGHUP)
        wait_until(lambda: types() == expected, "the reload shows")


def test_readers_and_writers_at_once(api):
    """Who has changed something reads the change, while others ask all the time."""
    devices = [d["uuid"] for d in api.get("/v2/devices").json()["devices"]]

    def write(uuid):
        for i in range(20):
            verb, status = (("disable", "maintaining"), ("enable", "enabled"))[i % 2]
            assert api.post(f"/v2/devices/{uuid}/{verb}").status in (200, 204)
            assert api.get(f"/v2/devices/{uuid}").json()["status"] == status
            assert {d["uuid"]: d["status"] for d in api.get("/v2/devices").json()["devices"]}[uuid] == status

    def read(_):
        for _ in range(60):
            assert api.get("/v2/devices").status == 200
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda job: job[0](job[1]), [(write, u) for u in devices] + [(read, None)] * 3))
