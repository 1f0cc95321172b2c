"""Which device should run a model, and why not the others; calibration as a job."""

import pathlib

import pytest

from daemon import wait_until

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures"


@pytest.fixture(scope="module")
def model(daemon):
    from client import Api
    api = Api(daemon)
    answer = api.put("/v2/models/place-mnist", (FIXTURES / "mnist-8" / "model.onnx").read_bytes())
    assert answer.status == 201, answer
    yield "place-mnist"
    api.delete("/v2/models/place-mnist")


def place(api, model, **kw):
    return api.post("/v2/placements", {"model": model, **kw})


def by_identity(answer):
    assert answer.status == 200, answer
    return {c["device"]["identity"]: c for c in answer.json()["candidates"]}


def test_every_device_is_answered_for(api, model):
    answer = place(api, model)
    candidates = by_identity(answer)
    devices = {d["identity"] for d in api.get("/v2/inventory").json()["devices"]}
    assert set(candidates) == devices
    accepted = [c["accepted"] for c in answer.json()["candidates"]]
    assert accepted == sorted(accepted, reverse=True), "the accepted ones come first"
    ranks = [c["rank"] for c in answer.json()["candidates"] if c["accepted"]]
    assert ranks == list(range(1, len(ranks) + 1))
    gpu = candidates["pci:0000:3b:00.0"]
    assert gpu["accepted"] and gpu["runnable"] == "predicted-only"
    p = gpu["prediction"]
    assert 0 < p["latency_low_s"] <= p["latency_s"] <= p["latency_high_s"]
    assert sum(k["ops"] for k in p["kinds"]) > 0
    for c in candidates.values():
        assert c["accepted"] or c["reason"]


def test_constraints(api, model):
    assert by_identity(place(api, model, constraints={"types": ["CPU"]}))["pci:0000:3b:00.0"]["code"] \
        == "type"
    only = by_identity(place(api, model, constraints={"devices": ["0000:3b:00.0"]}))
    assert only["pci:0000:3b:00.0"]["accepted"] and only["cpu:0"]["code"] == "excluded"
    core = by_identity(place(api, model, constraints={"runnable_only": True}))
    assert core["pci:0000:3b:00.0"]["code"] == "not-runnable"
    traits = by_identity(place(api, model, constraints={"required_traits": ["CUSTOM_FAKE_GPU"]}))
    assert traits["pci:0000:3b:00.0"]["accepted"] and traits["pci:0000:0c:00.0"]["code"] == "traits"
    slow = by_identity(place(api, model, constraints={"max_latency_s": 1e-12}))
    assert slow["pci:0000:3b:00.0"]["code"] == "latency"
    small = by_identity(place(api, model, constraints={"max_memory_bytes": 1}))
    assert small["pci:0000:3b:00.0"]["code"] == "memory"


@pytest.mark.parametrize("objective", ["latency", "throughput", "energy", "cost"])
def test_objectives(api, model, objective):
    assert place(api, model, objective=objective).json()["objective"] == objective


@pytest.mark.parametrize("change", [
    {"model": None}, {"model": 7}, {"model": ["m"]}, {"version": 0}, {"version": "1"},
    {"objective": "beauty"}, {"objective": 7}, {"constraints": []}, {"more": 1},
    {"constraints": {"more": 1}}, {"constraints": {"max_latency_s": -1}},
    {"constraints": {"max_latency_s": "1"}}, {"constraints": {"precision": "fp7"}},
    {"constraints": {"runnable_only": 1}}, {"constraints": {"devices": "cpu:0"}},
    {"constraints": {"devices": [7]}}])
def test_bad_placements(api, model, change):
    answer = api.post("/v2/placements", {"model": model, **change})
    assert answer.status == 400, answer


def test_no_such_model(api, model):
    assert place(api, "nobody").status == 404
    assert place(api, model, version=9).status == 404
    assert place(api, model, version=1).status == 200


def test_calibration_changes_the_basis(api, model):
    # A placement may have started one by itself: then the conflict names it.
    answer = api.post("/v2/jobs", {"kind": "calibrate", "device": "cpu:0", "budget_seconds": 0.5})
    assert answer.status in (202, 409), answer
    if answer.status == 202:
        assert answer.headers["location"].endswith(answer.json()["uuid"])
    open_jobs = [j["uuid"] for j in api.get("/v2/jobs").json()["jobs"]
                 if j["state"] in ("queued", "running")]
    for uuid in open_jobs:
        wait_until(lambda: api.get(f"/v2/jobs/{uuid}").json()["state"] not in ("queued", "running"),
                   "calibration ends", 120)
        job = api.get(f"/v2/jobs/{uuid}").json()
        assert job["state"] == "succeeded", job
        assert job["lines"] and [line["number"] for line in job["lines"]] == \
            list(range(1, len(job["lines"]) + 1))
        last = job["lines"][-1]["number"]
        assert api.get(f"/v2/jobs/{uuid}?after={last}").json()["lines"] == []
        assert api.delete(f"/v2/jobs/{uuid}").status == 409
    cpu = by_identity(place(api, model))["cpu:0"]
    assert cpu["accepted"] and cpu["runnable"] == "core"
    assert cpu["prediction"]["basis"] in ("calibrated", "measured-runs")


def test_a_job_is_cancelled(api):
    answer = api.post("/v2/jobs", {"kind": "calibrate", "device": "cpu:0", "budget_seconds": 600})
    assert answer.status == 202, answer
    uuid = answer.json()["uuid"]
    cancelled = api.post(f"/v2/jobs/{uuid}/cancel")
    assert cancelled.status == 202 and cancelled.json()["cancel_requested"]
    wait_until(lambda: api.get(f"/v2/jobs/{uuid}").json()["state"] == "cancelled", "it ends", 60)


# ---------------------------------------------------------------- shapes, count, queue

@pytest.fixture(scope="module")
def free(daemon):
    """A model that leaves its batch free: float input_image[batch, 1, 28, 28]."""
    from client import Api
    api = Api(daemon)
    answer = api.put("/v2/models/place-free", (FIXTURES / "cnn-mnist-pytorch" / "model.onnx").read_bytes())
    assert answer.status == 201, answer
    yield "place-free"
    api.delete("/v2/models/place-free")


def infer(api, model, batch):
    data = [0.5] * (batch * 784)
    return api.post(f"/v2/models/{model}/infer", {"inputs": [
        {"name": "input_image", "shape": [batch, 1, 28, 28], "datatype": "FP32", "data": data}]})


@pytest.mark.parametrize("batch", [1, 4, 7])
def test_predicted_memory_is_what_the_run_uses(api, free, batch):
    placed = place(api, free, batch=batch)
    predicted = by_identity(placed)["cpu:0"]["prediction"]["memory_bytes"]
    answer = infer(api, free, batch)
    assert answer.status == 200, answer
    output = answer.json()["outputs"][0]
    io = batch * 784 * 4 + len(output["data"]) * 4
    weights = placed.json()["analysis"]["weights_bytes"]
    assert predicted == answer.json()["parameters"]["acceld_arena_bytes"] + weights + io


def test_a_batch_costs_what_it_costs(api, free):
    one, many = (place(api, free, batch=n).json()["analysis"] for n in (1, 8))
    assert many["flops"] == pytest.approx(8 * one["flops"]) and many["arena_bytes"] > 4 * one["arena_bytes"]
    assert many["weights_bytes"] == one["weights_bytes"]
    again = place(api, free, input_shapes={"input_image": [8, 1, 28, 28]}).json()["analysis"]
    assert again == many


def test_runs_of_a_shape_are_its_prediction(api, free):
    def forecast(batch):
        return by_identity(place(api, free, batch=batch))["cpu:0"]["prediction"]

    for _ in range(3):
        assert infer(api, free, 5).status == 200
    measured = forecast(5)
    assert measured["basis"] == "measured-runs"
    assert measured["latency_low_s"] <= measured["latency_s"] <= measured["latency_high_s"]
    # Runs of another shape are no measurement of this one.
    assert forecast(9)["basis"] != "measured-runs"


def test_shapes_that_the_model_does_not_take(api, free, model):
    def refused(name, **kw):
        answer = place(api, name, **kw)
        assert answer.status == 400, answer
        return answer.fault()
    assert "Input3 to 1" in refused(model, batch=2)
    assert "no such input" in refused(free, input_shapes={"x": [1]})
    assert "fixes dimension 1 to 1" in refused(free, input_shapes={"input_image": [1, 3, 28, 28]})
    assert "dimensions" in refused(free, input_shapes={"input_image": [1, 28]})
    assert "input_shapes has 2" in refused(free, batch=3, input_shapes={"input_image": [2, 1, 28, 28]})
    for bad in ({"batch": 0}, {"batch": "1"}, {"count": 0}, {"count": 1.5}, {"input_shapes": []},
                {"input_shapes": {"input_image": 1}}, {"input_shapes": {"input_image": [0]}}):
        refused(free, **bad)
    assert place(api, model, batch=1).status == 200, "the batch it has"


def test_count_chooses_the_best(api, model):
    answer = place(api, model, count=2).json()
    best = [c["device"]["uuid"] for c in answer["candidates"] if c["accepted"]]
    assert answer["chosen"] == best[:2]
    assert place(api, model).json()["chosen"] == best[:1]
    assert place(api, model, count=1000).json()["chosen"] == best


def test_a_full_queue_is_429():
    """One worker and one place to wait: of many at once some are told to come back, none is lost."""
    import concurrent.futures

    from client import Api
    from daemon import Daemon
    config = {"drivers": {"enabled": ["cpu"]}, "limits": {"infer_queue": 1}}
    with Daemon(config) as own:
        own.wait_ready()
        api = Api(own)
        folder = FIXTURES / "tbefn-180x320"
        assert api.put("/v2/models/slow", (folder / "model.onnx").read_bytes()).status == 201
        body = {"inputs": [{"name": "Placeholder", "shape": [1, 3, 180, 320], "datatype": "FP32",
                            "data": [0.5] * (3 * 180 * 320)}]}
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: api.post("/v2/models/slow/infer", body), range(16)))
        statuses = [a.status for a in answers]
        assert set(statuses) == {200, 429}, statuses
        refused = next(a for a in answers if a.status == 429)
        assert int(refused.headers["retry-after"]) >= 1 and "queue" in refused.fault()
        assert api.post("/v2/models/slow/infer", body).status == 200, "and later it runs"
