"""POST /v2/placements with "reserve": the best devices become bound ARQs, all or none."""

import concurrent.futures
import contextlib
import pathlib
import sqlite3
import uuid

import pytest

from client import Api
from daemon import Daemon

MODEL = (pathlib.Path(__file__).resolve().parents[1] / "fixtures" / "mnist-8" / "model.onnx").read_bytes()


def card(address, flops, **more):
    """A made-up GPU: the more flop/s, the better its rank."""
    return {"type": "GPU", "vendor": "10de", "model": "Fake GPU", "resource_class": "PGPU",
            "pci_address": address, "name": f"gpu-{address[5:7]}", "traits": ["CUSTOM_FAKE_GPU"],
            "facts": {"memory_bytes": 16e9, "peak_fp32_flops": flops,
                      "memory_bandwidth_bytes_per_s": flops / 20}, **more}


FIRST, SECOND, THIRD = "pci:0000:3b:00.0", "pci:0000:3c:00.0", "pci:0000:3d:00.0"
CONFIG = {
    "drivers": {"enabled": ["cpu", "fake"], "fake": {"devices": [
        card("0000:3b:00.0", 3e13), card("0000:3c:00.0", 2e13), card("0000:3d:00.0", 1e13)]}},
    "auth": {"project": "5d2e9e4e8b0d4b6e9d0a0d6b5a3f7c11"},
}
GPUS = {"types": ["GPU"]}


@contextlib.contextmanager
def running(config, **kw):
    with Daemon(config, **kw) as own:
        own.wait_ready()
        api = Api(own, unix=True)
        assert api.put("/v2/models/mnist", MODEL).status == 201
        yield own, api


@pytest.fixture(scope="module")
def node():
    with running(CONFIG) as (daemon, api):
        yield daemon, api


@pytest.fixture
def api(node):
    api = node[1]
    yield api
    arqs = [a["uuid"] for a in api.get("/v2/accelerator_requests").json()["arqs"]]
    if arqs:
        assert api.delete(f"/v2/accelerator_requests?arqs={','.join(arqs)}").status == 204
    assert leftovers(api) == ([], []), "a reservation leaves nothing when its ARQs are deleted"


def leftovers(api):
    """Names of profiles, and ARQs."""
    return ([p["name"] for p in api.get("/v2/device_profiles").json()["device_profiles"]],
            [a["uuid"] for a in api.get("/v2/accelerator_requests").json()["arqs"]])


def reserve(api, constraints=None, **more):
    return api.post("/v2/placements", {"model": "mnist", "reserve": True,
                                       "constraints": constraints or GPUS, **more})


def identities(answer):
    by_uuid = {c["device"]["uuid"]: c["device"]["identity"] for c in answer["candidates"]}
    return [by_uuid[uuid] for uuid in answer["chosen"]]


def held(api):
    devices = api.get("/v2/inventory?detail=true").json()["devices"]
    return sorted(d["identity"] for d in devices if any(p["in_use"] for p in d["deployables"]))


# ---------------------------------------------------------------- what is had

def test_the_best_device_becomes_a_bound_arq(api):
    answer = reserve(api)
    assert answer.status == 201, answer
    made = answer.json()
    assert identities(made) == [FIRST]
    [arq] = made["reservation"]["arqs"]
    assert arq["state"] == "Bound" and arq["attach_handle_type"] == "TEST_PCI"
    assert arq["attach_handle_info"] == {"domain": "0000", "bus": "3b", "device": "00", "function": "0"}
    assert arq["instance_uuid"] == made["reservation"]["instance_uuid"]
    assert arq["project_id"] == CONFIG["auth"]["project"]
    assert made["reservation"]["passed_over"] == []
    assert api.get(f"/v2/accelerator_requests/{arq['uuid']}").json() == arq
    assert held(api) == [FIRST]
    # The profile says where it came from.
    profiles = api.get("/v2/device_profiles").json()["device_profiles"]
    assert [p["name"] for p in profiles] == [arq["device_profile_name"]]
    assert arq["device_profile_name"].startswith("placement-mnist-")
    assert "model mnist version 1" in profiles[0]["description"] and FIRST in profiles[0]["description"]
    assert profiles[0]["groups"] == [{"resources:PGPU": "1"}]
    # Who asks now is told of the holder.
    refused = {c["device"]["identity"]: c for c in api.post(
        "/v2/placements", {"model": "mnist"}).json()["candidates"]}[FIRST]
    assert refused["code"] == "in-use" and arq["uuid"] in refused["reason"]


def test_without_reserve_nothing_is_made(api):
    for body in ({}, {"reserve": False}, {"reserve": None}):
        answer = api.post("/v2/placements", {"model": "mnist", "constraints": GPUS, **body})
        assert answer.status == 200 and answer.json()["reservation"] is None
    assert leftovers(api) == ([], [])


def test_count_devices_for_one_instance(api):
    instance = str(uuid.uuid4())
    made = reserve(api, count=2, instance_uuid=instance.upper())
    assert made.status == 201, made
    assert identities(made.json()) == [FIRST, SECOND]
    arqs = made.json()["reservation"]["arqs"]
    assert [a["attach_handle_info"]["bus"] for a in arqs] == ["3b", "3c"]
    assert len({a["device_profile_name"] for a in arqs}) == 2
    resolved = api.get(f"/v2/accelerator_requests?instance={instance}&bind_state=resolved")
    assert {a["uuid"] for a in resolved.json()["arqs"]} == {a["uuid"] for a in arqs}
    assert api.delete(f"/v2/accelerator_requests?instance={instance}").status == 204
    assert held(api) == [] and leftovers(api) == ([], [])


def test_what_cannot_be_had_is_passed_over(api):
    """The CPU has no attach handle; the best GPU's only one is held."""
    assert reserve(api).status == 201
    # Predictions of the CPU need a calibration; a GPU that is held is accepted with include_held.
    made = reserve(api, {"types": ["GPU"], "include_held": True})
    assert made.status == 201 and identities(made.json()) == [SECOND]
    [over] = made.json()["reservation"]["passed_over"]
    assert over["identity"] == FIRST and "no free attach handle" in over["reason"]
    # What ranks behind the chosen one was not passed over.
    assert identities(reserve(api).json()) == [THIRD]


def test_the_events_tell_of_it(api):
    after = api.get("/v2/events", headers={"Accept": "application/json"}).json()["newest"]
    [arq] = reserve(api).json()["reservation"]["arqs"]
    assert api.delete(f"/v2/accelerator_requests/{arq['uuid']}").status == 204
    events = api.get(f"/v2/events?after={after}", headers={"Accept": "application/json"}).json()["events"]
    kinds = [e["kind"] for e in events if not e["kind"].startswith("job.")]
    assert kinds == ["profile.created", "arq.created", "arq.bind_started", "arq.bound", "arq.deleted",
                     "profile.deleted"]


# ---------------------------------------------------------------- what is refused

def test_who_may_not_gets_403_before_anything_is_looked_at():
    with Daemon(CONFIG, tcp_admin=False) as own:
        own.wait_ready()
        reader, admin = Api(own), Api(own, unix=True)
        refused = reader.post("/v2/placements", {"model": "there is none", "reserve": True})
        assert refused.status == 403 and "acceld:placement:reserve" in refused.fault()
        assert reader.post("/v2/placements", {"model": "there is none"}).status == 404
        assert leftovers(admin) == ([], [])


def test_fewer_than_asked_for_are_none(api):
    refused = reserve(api, count=4)
    assert refused.status == 409, refused
    assert "4 devices are wanted, 3 can be reserved" in refused.fault()
    assert held(api) == [] and leftovers(api) == ([], [])
    assert reserve(api, {"devices": [SECOND]}).status == 201
    refused = reserve(api, {"devices": [FIRST, SECOND], "include_held": True}, count=2)
    assert refused.status == 409 and "no free attach handle" in refused.fault() and SECOND in refused.fault()
    assert held(api) == [SECOND], "the other one was not taken"
    refused = reserve(api, {"devices": [SECOND]})
    assert refused.status == 409 and "is held by ARQ" in refused.fault()


def test_a_cpu_is_never_reserved(node, api):
    # A run makes it predictable without waiting for a calibration's end.
    body = {"inputs": [{"name": "Input3", "shape": [1, 1, 28, 28], "datatype": "FP32",
                        "data": [0.5] * 784}]}
    for _ in range(3):
        assert api.post("/v2/models/mnist/infer", body).status == 200
    refused = reserve(api, {"devices": ["cpu:0"]})
    assert refused.status == 409, refused
    assert "cpu:0" in refused.fault() and "infer on it without, or ask for other types" in refused.fault()
    made = reserve(api, {"devices": ["cpu:0", THIRD]})
    assert made.status == 201 and identities(made.json()) == [THIRD]


def test_an_instance_that_has_arqs_gets_no_more(api):
    instance = str(uuid.uuid4())
    assert reserve(api, instance_uuid=instance).status == 201
    refused = reserve(api, instance_uuid=instance)
    assert refused.status == 409 and "has accelerator requests already" in refused.fault()
    assert held(api) == [FIRST]


@pytest.mark.parametrize("change", [
    {"reserve": 1}, {"reserve": "yes"}, {"instance_uuid": "x"}, {"instance_uuid": 7},
    {"reserve": False, "instance_uuid": "5d2e9e4e-8b0d-4b6e-9d0a-0d6b5a3f7c11"}, {"count": 0}])
def test_bad_requests(api, change):
    assert reserve(api, **change).status == 400


def test_no_such_model(api):
    assert reserve(api, model="nobody").status == 404


# ---------------------------------------------------------------- several at once

def test_of_many_at_once_each_device_goes_to_one(api):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: reserve(api), range(8)))
    statuses = sorted(a.status for a in answers)
    assert statuses == [201] * 3 + [409] * 5, [a.fault() for a in answers if a.status >= 400]
    taken = [identities(a.json())[0] for a in answers if a.status == 201]
    assert sorted(taken) == [FIRST, SECOND, THIRD]


def test_pairs_at_once_never_hold_each_other_up(api):
    """Two of three devices each: one is served, the others get nothing, not half."""
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: reserve(api, count=2), range(6)))
    assert sorted(a.status for a in answers) == [201] + [409] * 5
    assert len(held(api)) == 2


# ---------------------------------------------------------------- failing steps

def sabotage(daemon, *statements):
    with contextlib.closing(sqlite3.connect(daemon.state_dir / "acceld.db", timeout=30)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


NO_BOUND = ("CREATE TRIGGER no_bound BEFORE UPDATE OF state ON arqs WHEN NEW.state = 'Bound'"
            " BEGIN SELECT RAISE(ABORT, 'told to fail'); END")
NO_DELETE = ("CREATE TRIGGER no_delete BEFORE DELETE ON arqs"
             " BEGIN SELECT RAISE(ABORT, 'told to fail'); END")


def test_a_step_that_fails_undoes_those_before(node, api):
    """The second transaction is refused by the database: nothing is held, nothing is left."""
    daemon = node[0]
    sabotage(daemon, NO_BOUND)
    try:
        failed = reserve(api, count=3)
        assert failed.status == 409 and "told to fail" in failed.fault(), failed
    finally:
        sabotage(daemon, "DROP TRIGGER no_bound")
    assert held(api) == [] and leftovers(api) == ([], [])
    assert reserve(api, count=3).status == 201


def test_what_could_not_be_undone_is_at_the_next_start():
    with running(CONFIG) as (daemon, api):
        sabotage(daemon, NO_BOUND, NO_DELETE)
        assert reserve(api, count=2).status == 409
        assert len(held(api)) == 2, "the undo failed too"
        sabotage(daemon, "DROP TRIGGER no_bound", "DROP TRIGGER no_delete")
        daemon.restart()
        daemon.wait_ready()
        assert held(api) == [] and leftovers(api) == ([], [])
        assert reserve(api, count=3).status == 201
