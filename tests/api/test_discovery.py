"""Version discovery, forms of a path, microversions, content negotiation: contract 1 to 3, 5."""

import json

import pytest

MIN, MAX = "openstack-api-minimum-version", "openstack-api-maximum-version"
VERSION = "openstack-api-version"


@pytest.mark.parametrize("path", ["/", "/accelerator", "/accelerator/"])
def test_root_ignores_the_version_header(api, path):
    answer = api.get(path, headers={"OpenStack-API-Version": "nonsense"})
    assert answer.status == 200
    assert answer.json()["default_version"]["id"] == "v2"
    assert VERSION not in answer.headers


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/v2.json", "/accelerator/v2", "/accelerator/v2/"])
def test_v2_is_cyborgs_version_and_the_inference_servers_metadata(api, path):
    body = api.get(path).json()
    assert (body["id"], body["status"], body["max_version"]) == ("v2.0", "CURRENT", "2.3")
    assert body["name"] == "acceld" and "binary_tensor_data" in body["extensions"]


def test_the_self_link_answers(api, unix):
    for client in (api, unix):
        link = client.get("/v2").json()["links"][0]["href"]
        path = "/" + link.split("/", 3)[3]
        assert path == "/accelerator/v2/"
        assert client.get(path).status == 200


@pytest.mark.parametrize("path", ["/v2/devices", "/devices", "/v2/devices/", "/v2/devices.json",
                                  "/accelerator/v2/devices", "/accelerator/devices"])
def test_every_form_of_a_path(api, path):
    assert list(api.get(path).json())[0] == "devices"


@pytest.mark.parametrize("sent, status, negotiated", [
    (None, 200, "2.0"), ("accelerator 2.0", 200, "2.0"), ("accelerator 2.3", 200, "2.3"),
    ("accelerator latest", 200, "2.3"), ("latest", 200, "2.3"), ("2.1", 200, "2.1"),
    ("compute 2.60,accelerator 2.2", 200, "2.2"),
    ("accelerator 2.4", 406, None), ("accelerator 1.0", 406, None), ("accelerator 3.0", 406, None),
    ("accelerator foo", 406, None), ("accelerator 2", 406, None), ("accelerator v2.3", 406, None),
    ("compute 2.60", 406, None)])
def test_microversions(api, sent, status, negotiated):
    answer = api.get("/v2/devices", headers={"OpenStack-API-Version": sent} if sent else {})
    assert answer.status == status
    if negotiated:
        assert answer.headers[VERSION] == f"accelerator {negotiated}"
    else:
        assert VERSION not in answer.headers
    # Out of range tells the range; what cannot be read does not.
    readable = status == 200 or sent in ("accelerator 2.4", "accelerator 1.0", "accelerator 3.0")
    assert (answer.headers.get(MIN) == "2.0") is readable
    assert (answer.headers.get(MAX) == "2.3") is readable
    assert (answer.headers.get("vary") == "OpenStack-API-Version") is readable


@pytest.mark.parametrize("path, method, allow", [
    ("/", "PUT", "GET"), ("/v2", "HEAD", "GET"), ("/", "HEAD", "GET"), ("/v2/devices", "HEAD", "GET"),
    ("/v2/devices", "OPTIONS", "GET"), ("/v2/device_profiles", "PUT", "GET, POST, DELETE"),
    ("/v2/device_profiles/x", "PATCH", "GET, DELETE"), ("/v2/deployables/x", "POST", "GET"),
    ("/v2/attributes/x", "PUT", "GET, DELETE"), ("/healthz", "POST", "GET, HEAD")])
def test_wrong_method(api, path, method, allow):
    answer = api.request(method, path)
    assert answer.status == 405
    assert answer.headers["allow"] == allow
    assert MIN not in answer.headers


def test_no_route_names_the_way_out(api):
    for path in ("/v2/nothing", "/v2/devices/x/y/z", "/v2/models/m/nothing", "/nothing"):
        answer = api.get(path)
        assert answer.status == 404
        assert "/openapi.json" in answer.fault()
        assert MIN not in answer.headers


@pytest.mark.parametrize("accept, status", [
    (None, 200), ("*/*", 200), ("application/json", 200), ("text/html, application/*;q=0.1", 200),
    ("application/xml", 406), ("text/html", 406), ("application/json;q=0", 406)])
def test_accept(api, accept, status):
    for path in ("/v2/devices", "/v2/inventory"):
        assert api.get(path, headers={"Accept": accept} if accept else {}).status == status


@pytest.mark.parametrize("content_type, status", [
    ("application/json", 201), ("application/json; charset=utf-8", 201), (None, 415),
    ("text/plain", 415), ("application/x-www-form-urlencoded", 400)])
def test_content_type(api, name, content_type, status):
    body = json.dumps([{"name": name, "groups": [{"resources:FPGA": "1"}]}]).encode()
    headers = {"Content-Type": content_type} if content_type else {}
    assert api.request("POST", "/v2/device_profiles", body=body, headers=headers).status == status
    if status == 201:
        assert api.delete(f"/v2/device_profiles/{name}").status == 204


@pytest.mark.parametrize("body", [b"", b"{", b"[1,]", b"{\"a\":1,\"a\":2}", b"nul", b"\xff",
                                  b"[" * 100_000, b"[[[[" * 20 + b"]]]]" * 20, b"{\"a\":\"\\u0000\"}"])
def test_malformed_json(api, body):
    answer = api.request("POST", "/v2/device_profiles", body=body,
                         headers={"Content-Type": "application/json"})
    assert answer.status == 400


@pytest.mark.parametrize("path", ["/v2/devices?foo=1", "/v2/deployables?foo=1",
                                  "/v2/attributes?foo=1", "/v2/device_profiles?foo=1",
                                  "/v2/accelerator_requests?foo=1", "/v2/inventory?foo=1",
                                  "/v2/jobs?foo=1"])
def test_unknown_query_parameter(api, path):
    answer = api.get(path)
    assert answer.status == 400
    assert answer.fault() == 'Unknown argument: "foo"'


@pytest.mark.parametrize("target", ["/v2/devices?type=%", "/v2/devices?type=%00", "/v2/%ff",
                                    "/v2/devices?type=%c3%28", "/" + "a/" * 40])
def test_broken_urls(api, target):
    assert api.get(target).status in (400, 413)


def test_request_id_is_taken_over_only_when_well_formed(api):
    good = "req-7c1e2f00-0000-4000-8000-0123456789ab"
    answer = api.get("/healthz", headers={"X-Openstack-Request-Id": good})
    assert answer.headers["x-openstack-request-id"] == good
    answer = api.get("/healthz", headers={"X-Openstack-Request-Id": "req-evil msg=forged"})
    assert "forged" not in answer.headers["x-openstack-request-id"]


def test_etag(api):
    for path in ("/", "/v2/devices", "/v2/inventory", "/v2/device_profiles"):
        etag = api.get(path).headers["etag"]
        assert etag.startswith('W/"')
        again = api.get(path, headers={"If-None-Match": f'"x", {etag}'})
        assert (again.status, again.body) == (304, b"")
        assert api.get(path, headers={"If-None-Match": 'W/"x"'}).status == 200
