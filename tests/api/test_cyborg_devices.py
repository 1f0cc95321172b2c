"""Devices, deployables and attributes: contract 6, 7, 10."""

import json
import urllib.parse
import uuid

import pytest

NOBODY = "0ac0ac0a-0000-4000-8000-000000000000"


def types(answer):
    return [d["type"] for d in answer.json()["devices"]]


def test_lists_devices_without_the_cpu(api):
    assert sorted(types(api.get("/v2/devices"))) == ["FPGA", "FPGA", "GPU"]


def test_status_from_2_3_on(api):
    assert all("status" not in d for d in api.get("/v2/devices").json()["devices"])
    devices = api.at("2.3").get("/v2/devices").json()["devices"]
    assert [d["status"] for d in devices] == ["enabled"] * 3
    one = api.at("2.3").get(f"/v2/devices/{devices[0]['uuid']}").json()
    assert one == devices[0]


@pytest.mark.parametrize("query, count", [
    ("type=FPGA", 2), ("type=fpga", 0), ("vendor=10de", 1), ("hostname=test-node", 3),
    ("hostname=other", 0), ("type=GPU&vendor=10de", 1), ("type=FPGA&vendor=10de", 0),
    ("type=FPGA&type=FPGA", 0), ("filters.field=board&filters.value=x", 3),
    ("filters.field=limit&filters.value=1", 1)])
def test_filters(api, query, count):
    assert len(types(api.get(f"/v2/devices?{query}"))) == count


def test_filters_that_are_none(api):
    assert api.get("/v2/devices?filters.field=colour&filters.value=red").status == 400


def test_no_filter_is_in_row_order_and_a_filter_newest_first(api):
    rows = [d["uuid"] for d in api.get("/v2/devices").json()["devices"]]
    newest = [d["uuid"] for d in api.get("/v2/devices?hostname=test-node").json()["devices"]]
    assert newest == rows[::-1]


@pytest.mark.parametrize("path", ["/v2/devices", "/v2/deployables", "/v2/inventory"])
def test_pages_hold_every_row_once(api, path):
    key = path.split("/")[-1].replace("inventory", "devices")
    whole = api.get(path).json()[key]
    pages, target = [], f"{path}?limit=1"
    while target:
        body = api.get(target).json()
        assert list(body)[0] == key
        pages += body[key]
        links = body.get("links", [])
        assert all(link["rel"] == "next" for link in links)
        target = links and "/" + links[0]["href"].split("/", 3)[3]
    assert pages == whole


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=x", "limit=1e3", "limit=10001",
                                   "marker=x", f"marker={NOBODY}"])
def test_bad_pages(api, query):
    for path in ("/v2/devices", "/v2/deployables", "/v2/inventory", "/v2/attributes", "/v2/models",
                 "/v2/device_profiles", "/v2/accelerator_requests", "/v2/jobs"):
        assert api.get(f"{path}?{query}").status == 400, path


def test_the_next_page_keeps_the_filter(api):
    body = api.get("/v2/devices?type=FPGA&limit=1").json()
    query = urllib.parse.urlsplit(body["links"][0]["href"]).query
    assert urllib.parse.parse_qs(query)["type"] == ["FPGA"]


@pytest.mark.parametrize("which", [NOBODY, "no-uuid", "..", "a%2Fb"])
def test_no_such_device(api, which):
    assert api.get(f"/v2/devices/{which}").status == 404
    assert api.post(f"/v2/devices/{which}/enable").status == 404


def test_enable_and_disable(api, unix):
    device = api.get("/v2/devices?type=GPU").json()["devices"][0]["uuid"]

    def status():
        return api.at("2.3").get(f"/v2/devices/{device}").json()["status"]

    for verb, expected in (("disable", "maintaining"), ("disable", "maintaining"),
                           ("enable", "enabled")):
        assert unix.post(f"/v2/devices/{device}/{verb}", {"a body": "is ignored"}).status == 204
        assert status() == expected
    assert api.get(f"/v2/devices/{device}/enable").status == 404


def test_deployables(api):
    deployables = api.get("/v2/deployables").json()["deployables"]
    assert len(deployables) == 3
    for dep in deployables:
        attributes = json.loads(dep["attributes_list"])
        assert {"rc"} <= {key for entry in attributes for key in entry}
        assert dep["rp_uuid"] == str(uuid.uuid3(uuid.NAMESPACE_DNS, dep["name"]))
        assert api.get(f"/v2/deployables/{dep['uuid']}").json() == dep
        name = urllib.parse.quote(dep["name"])
        for query in (f"name={name}", f"filters.field=name&filters.value={name}"):
            found = api.get(f"/v2/deployables?{query}").json()["deployables"]
            assert found == [dep]


def test_bad_deployables(api):
    assert api.get("/v2/deployables/no-uuid").status == 400
    assert api.get(f"/v2/deployables/{NOBODY}").status == 404


@pytest.fixture
def deployable_id(api):
    return api.get("/v2/attributes").json()["attributes"][0]["deployable_id"]


@pytest.mark.parametrize("envelope", [False, True])
def test_attributes(api, name, deployable_id, envelope):
    body = {"deployable_id": str(deployable_id) if envelope else deployable_id, "key": name,
            "value": 7, "id": 12}
    made = api.post("/v2/attributes", {"attribute": body} if envelope else body)
    assert made.status == 201
    made = made.json()
    assert (made["key"], made["value"], made["deployable_id"]) == (name, "7", deployable_id)
    assert api.get(f"/v2/attributes/{made['uuid']}").json() == made
    listed = api.get(f"/v2/attributes?deployable_id={deployable_id}&key={name}").json()
    assert listed["attributes"] == [made]
    assert api.delete(f"/v2/attributes/{made['uuid']}").status == 204
    assert api.delete(f"/v2/attributes/{made['uuid']}").status == 404
    assert api.get(f"/v2/attributes/{made['uuid']}").status == 404


@pytest.mark.parametrize("body", [
    {}, [], 7, {"key": "k", "value": "v"}, {"deployable_id": "x", "key": "k", "value": "v"},
    {"deployable_id": 1, "value": "v"}, {"deployable_id": 1, "key": "k"},
    {"deployable_id": 1, "key": "", "value": "v"}, {"deployable_id": 1, "key": 3, "value": "v"},
    {"deployable_id": 1, "key": "k", "value": None}, {"deployable_id": 1, "key": "k", "value": {}}])
def test_bad_attributes(api, body):
    assert api.post("/v2/attributes", body).status == 400


def test_attributes_of_nothing(api):
    assert api.post("/v2/attributes", {"deployable_id": 987654, "key": "k",
                                       "value": "v"}).status == 404
    assert api.get("/v2/attributes?deployable_id=0").json()["attributes"] == []
    assert api.get("/v2/attributes?deployable_id=x").status == 400
    assert api.get("/v2/attributes/no-uuid").status == 400
    assert api.delete("/v2/attributes/no-uuid").status == 404
    assert api.delete("/v2/attributes/").status == 400
