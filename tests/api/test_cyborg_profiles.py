"""Device profiles: contract 8."""

import uuid

import pytest

from client import Api
from daemon import Daemon

GROUPS = [{"resources:FPGA": "1", "trait:CUSTOM_FAKE_DEVICE": "required"}]


def test_makes_lists_shows_and_deletes(api, name):
    made = api.post("/v2/device_profiles", [
        {"name": name, "description": None, "id": 7, "created_at": "1970",
         "groups": [{"resources: CUSTOM_Q ": 2, "accel:function_id": "3AFB"}]}])
    assert made.status == 201
    made = made.json()
    assert made["groups"] == [{"resources:CUSTOM_Q": "2", "accel:function_id": "3AFB"}]
    assert made["description"] is None and not made["created_at"].startswith("1970")
    listed = api.get(f"/v2/device_profiles?name={name},nobody").json()["device_profiles"]
    assert listed == [made]
    for which in (made["uuid"], name):
        assert api.at("2.2").get(f"/v2/device_profiles/{which}").json() == {"device_profile": made}
    assert api.get(f"/v2/device_profiles/{made['uuid']}").status == 200
    assert api.at("2.1").get(f"/v2/device_profiles/{name}").status == 406
    assert api.delete(f"/v2/device_profiles/{name}").status == 204
    assert api.delete(f"/v2/device_profiles/{name}").status == 404
    assert api.at("2.2").get(f"/v2/device_profiles/{name}").status == 404


def test_no_match_is_an_empty_list(api):
    for query in ("name=nobody", "name=", "name=,"):
        answer = api.get(f"/v2/device_profiles?{query}")
        assert (answer.status, answer.json()) == (200, {"device_profiles": []})


def test_takes_the_uuid_it_is_given(api, name):
    given = str(uuid.uuid4())
    made = api.post("/v2/device_profiles", [{"name": name, "uuid": given, "groups": GROUPS}])
    assert made.json()["uuid"] == given
    again = api.post("/v2/device_profiles", [{"name": name + "2", "uuid": given, "groups": GROUPS}])
    assert again.status == 409
    assert api.delete(f"/v2/device_profiles/{given}").status == 204


@pytest.mark.parametrize("body", [
    {}, [], [1], [[]], {"name": "n", "groups": GROUPS},
    [{"name": "a", "groups": GROUPS}, {"name": "b", "groups": GROUPS}],
    [{"groups": GROUPS}], [{"name": "", "groups": GROUPS}], [{"name": 7, "groups": GROUPS}],
    [{"name": "a b", "groups": GROUPS}], [{"name": "a\n", "groups": GROUPS}],
    [{"name": "x" * 256, "groups": GROUPS}],
    [{"name": "n"}], [{"name": "n", "groups": []}], [{"name": "n", "groups": [7]}],
    [{"name": "n", "groups": {}}], [{"name": "n", "groups": GROUPS, "description": 7}],
    [{"name": "n", "groups": GROUPS, "uuid": "x"}],
    [{"name": "n", "groups": [{"resources:XPU": "1"}]}],
    [{"name": "n", "groups": [{"resources:FPGA": "one"}]}],
    [{"name": "n", "groups": [{"resources:FPGA": "-1"}]}],
    [{"name": "n", "groups": [{"resources:FPGA": None}]}],
    [{"name": "n", "groups": [{"trait:OWNER_CYBORG": "required"}]}],
    [{"name": "n", "groups": [{"trait:CUSTOM_X": "maybe"}]}],
    [{"name": "n", "groups": [{"foo:bar": "1"}]}],
    [{"name": "n", "groups": [{"resources1:FPGA": "1"}]}]])
def test_bad_profiles(api, body):
    answer = api.post("/v2/device_profiles", body)
    assert answer.status == 400, answer
    assert api.at("2.2").get("/v2/device_profiles/n").status == 404


def test_a_name_is_taken_once(api, profile):
    answer = api.post("/v2/device_profiles", [{"name": profile["name"], "groups": GROUPS}])
    assert answer.status == 409
    assert profile["name"] in answer.fault()


def test_deletes_in_order_until_one_is_missing(api, name):
    for letter in "ab":
        api.post("/v2/device_profiles", [{"name": name + letter, "groups": GROUPS}])
    answer = api.delete(f"/v2/device_profiles?value={name}a,{name}x,{name}b")
    assert answer.status == 404
    left = api.get(f"/v2/device_profiles?name={name}a,{name}b").json()["device_profiles"]
    assert [p["name"] for p in left] == [name + "b"]
    assert api.delete(f"/v2/device_profiles?value={name}b").status == 204
    assert api.delete("/v2/device_profiles/").status == 400
    assert api.delete("/v2/device_profiles?value=").status == 400


def test_one_that_is_used_stays(api, profile):
    arq = api.post("/v2/accelerator_requests",
                   {"device_profile_name": profile["name"]}).json()["arqs"][0]
    assert api.delete(f"/v2/device_profiles/{profile['uuid']}").status == 409
    assert api.get("/v2/accelerator_requests").status == 200
    assert api.delete(f"/v2/accelerator_requests/{arq['uuid']}").status == 204


def test_the_500s_that_tempest_wants():
    with Daemon() as daemon:
        api, given = Api(daemon), str(uuid.uuid4())
        assert api.post("/v2/device_profiles",
                        [{"name": "a", "uuid": given, "groups": GROUPS}]).status == 201
        for body in ([{"groups": GROUPS}], [{"name": "", "groups": GROUPS}],
                     [{"name": "x" * 256, "groups": GROUPS}],
                     [{"name": "b", "uuid": given, "groups": GROUPS}]):
            assert api.post("/v2/device_profiles", body).status == 500, body
