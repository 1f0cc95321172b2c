"""Accelerator requests: contract 9 and 11."""

import uuid

import pytest

NOBODY = "0ac0ac0a-0000-4000-8000-000000000000"


def ops(op="add", **values):
    return [{"path": f"/{key}", "op": op, **({"value": value} if op == "add" else {})}
            for key, value in values.items()]


def bind_ops(fpga, instance, host="test-node"):
    return ops(hostname=host, device_rp_uuid=fpga["rp_uuid"], instance_uuid=instance)


UNBIND = ops("remove", hostname=None, device_rp_uuid=None, instance_uuid=None)


@pytest.fixture
def arq(api, profile):
    made = api.post("/v2/accelerator_requests", {"device_profile_name": profile["name"],
                                                 "device_profile_group_id": None, "image_uuid": "x"})
    assert made.status == 201
    (one,) = made.json()["arqs"]
    yield one
    api.delete(f"/v2/accelerator_requests/{one['uuid']}")


def show(api, arq):
    return api.get(f"/v2/accelerator_requests/{arq['uuid']}").json()


def test_one_arq_per_accelerator_in_group_order(api, name):
    api.post("/v2/device_profiles", [{"name": name, "groups": [
        {"resources:FPGA": "2"}, {}, {"resources:CUSTOM_Q": "1", "resources:PGPU": 1},
        {"resources:FPGA": "1", "trait:CUSTOM_FPGA_XILINX": "required"}]}])
    arqs = api.post("/v2/accelerator_requests", {"device_profile_name": name}).json()["arqs"]
    assert [a["device_profile_group_id"] for a in arqs] == [0, 0, 2, 2, 3, 3]
    assert all(a["state"] == "Initial" and a["attach_handle_info"] == {} for a in arqs)
    uuids = ",".join(a["uuid"] for a in arqs)
    assert api.delete(f"/v2/accelerator_requests?arqs={uuids.replace(',', '%2C')}").status == 204
    assert api.delete(f"/v2/device_profiles/{name}").status == 204


@pytest.mark.parametrize("body, status", [
    ({"device_profile_name": "nobody"}, 404), ({"device_profile_name": ""}, 404), ({}, 400),
    ({"device_profile_name": None}, 400), ([], 400), ("x", 400)])
def test_bad_creates(api, body, status):
    assert api.post("/v2/accelerator_requests", body).status == status


def test_binds_and_unbinds(api, arq, fpga):
    instance = str(uuid.uuid4())
    body = {arq["uuid"]: bind_ops(fpga, instance)}
    answer = api.patch("/v2/accelerator_requests", body)
    assert (answer.status, answer.body) == (202, b""), answer
    bound = show(api, arq)
    assert (bound["state"], bound["hostname"]) == ("Bound", "test-node")
    assert bound["attach_handle_type"] == "TEST_PCI" and bound["attach_handle_uuid"]
    assert set(bound["attach_handle_info"]) == {"domain", "bus", "device", "function"}
    for query in (f"instance={instance}", f"instance={instance}&bind_state=resolved",
                  "bind_state=resolved"):
        listed = api.get(f"/v2/accelerator_requests?{query}").json()["arqs"]
        assert arq["uuid"] in [a["uuid"] for a in listed]
    # The state does not allow another bind, and the instance has accelerators.
    assert api.patch("/v2/accelerator_requests", body).status == 400
    again = {arq["uuid"]: bind_ops(fpga, str(uuid.uuid4()))}
    assert api.patch("/v2/accelerator_requests", again).status == 409
    # The id in the path is ignored, the body rules.
    answer = api.patch(f"/v2/accelerator_requests/{NOBODY}", {arq["uuid"]: UNBIND})
    assert (answer.status, answer.body) == (202, b"")
    free = show(api, arq)
    assert (free["state"], free["hostname"], free["instance_uuid"]) == ("Unbound", None, None)
    assert free["attach_handle_info"] == {} and free["attach_handle_uuid"] is None
    assert api.patch("/v2/accelerator_requests", {arq["uuid"]: UNBIND}).status == 202


def test_all_or_nothing(api, profile, fpga):
    # More than the deployable has handles.
    arqs = [api.post("/v2/accelerator_requests",
                     {"device_profile_name": profile["name"]}).json()["arqs"][0]["uuid"]
            for _ in range(fpga["num_accelerators"] + 1)]
    instance = str(uuid.uuid4())
    answer = api.patch("/v2/accelerator_requests",
                       {a: bind_ops(fpga, instance) for a in arqs})
    assert answer.status in (404, 409)
    found = api.get(f"/v2/inventory?type=FPGA&detail=true").json()["devices"]
    held = [h for d in found for dep in d["deployables"] for h in dep["attach_handles"]
            if h["arq_uuid"] in arqs]
    assert held == []
    states = {api.get(f"/v2/accelerator_requests/{a}").json()["state"] for a in arqs}
    assert states <= {"Initial", "BindFailed"}
    assert api.delete(f"/v2/accelerator_requests?arqs={','.join(arqs)}").status == 204


def test_423_until_all_are_resolved(api, profile, arq, fpga):
    # An ARQ that is not bound belongs to no instance, so an instance is resolved or unknown here.
    answer = api.get(f"/v2/accelerator_requests?instance={uuid.uuid4()}&bind_state=resolved")
    assert (answer.status, answer.json()) == (200, {"arqs": []})
    assert api.get("/v2/accelerator_requests?bind_state=open").status == 400
    assert api.get("/v2/accelerator_requests?instance=x").status == 400


@pytest.mark.parametrize("make, status", [
    (lambda f: {}, 400), (lambda f: [], 400), (lambda f: {"x": bind_ops(f, "i")}, 400),
    (lambda f: {"ARQ": []}, 400), (lambda f: {"ARQ": {}}, 400), (lambda f: {"ARQ": [7]}, 400),
    (lambda f: {"ARQ": ops("replace", hostname="h")}, 400),
    (lambda f: {"ARQ": bind_ops(f, "i") + ops("remove", hostname="h")}, 400),
    (lambda f: {"ARQ": ops(hostname="h")}, 400),
    (lambda f: {"ARQ": ops(hostname="h", device_rp_uuid="r")}, 400),
    (lambda f: {"ARQ": bind_ops(f, "i") + ops(colour="red")}, 400),
    (lambda f: {"ARQ": [{"path": "/hostname", "op": "add"}]}, 400),
    (lambda f: {"ARQ": [{"path": "/hostname", "value": "h"}]}, 400),
    (lambda f: {"ARQ": [{"op": "add", "value": "h"}]}, 400),
    (lambda f: {"ARQ": bind_ops(f, 7)}, 400),
    (lambda f: {"ARQ": bind_ops(f, "i") + ops(project_id="p")}, 406),
    (lambda f: {NOBODY: bind_ops(f, "i")}, 404),
    (lambda f: {"ARQ": bind_ops(f, "i"), NOBODY: UNBIND}, 400),
    (lambda f: {"ARQ": ops(hostname="test-node", device_rp_uuid=NOBODY, instance_uuid="i")}, 404),
    (lambda f: {"ARQ": bind_ops(f, "i", host="elsewhere")}, 409)])
def test_bad_binds_change_nothing(api, arq, fpga, make, status):
    body = make(fpga)
    if isinstance(body, dict):
        body = {arq["uuid"] if key == "ARQ" else key: value for key, value in body.items()}
    answer = api.patch("/v2/accelerator_requests", body)
    assert answer.status == status, answer
    assert show(api, arq)["attach_handle_uuid"] is None


def test_project_id_from_2_1_on(api, arq, fpga):
    body = {arq["uuid"]: bind_ops(fpga, str(uuid.uuid4())) + ops(project_id="p1")}
    assert api.at("2.1").patch("/v2/accelerator_requests", body).status == 202
    assert show(api, arq)["project_id"] == "p1"


def test_deletes(api, profile):
    uuids = [api.post("/v2/accelerator_requests",
                      {"device_profile_name": profile["name"]}).json()["arqs"][0]["uuid"]
             for _ in range(3)]
    assert api.delete(f"/v2/accelerator_requests/{uuids[0]}").status == 204
    assert api.delete(f"/v2/accelerator_requests/{uuids[0]}").status == 404
    # The existing ones go, and the answer still tells that one was missing.
    assert api.delete(f"/v2/accelerator_requests?arqs={uuids[1]},{NOBODY}").status == 404
    assert api.get(f"/v2/accelerator_requests/{uuids[1]}").status == 404
    assert api.delete(f"/v2/accelerator_requests?arqs={uuids[2]}").status == 204


def test_deletes_by_instance_as_often_as_asked(api, arq, fpga):
    instance = str(uuid.uuid4())
    assert api.patch("/v2/accelerator_requests",
                     {arq["uuid"]: bind_ops(fpga, instance)}).status == 202
    for _ in range(2):
        assert api.delete(f"/v2/accelerator_requests?instance={instance}").status == 204
    assert api.get(f"/v2/accelerator_requests/{arq['uuid']}").status == 404


@pytest.mark.parametrize("query", ["", f"?arqs={NOBODY}&instance={NOBODY}", "?arqs=", "?arqs=x",
                                   "?instance=x", "?instance="])
def test_bad_deletes(api, query):
    assert api.delete(f"/v2/accelerator_requests{query}").status == 400


def test_no_such_arq(api):
    assert api.get(f"/v2/accelerator_requests/{NOBODY}").status == 404
    assert api.get("/v2/accelerator_requests/no-uuid").status == 400
