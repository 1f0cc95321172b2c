"""Upload, list, show, analyse, delete; models that nobody should be able to hurt us with."""

import concurrent.futures
import hashlib
import io
import pathlib
import socket
import tarfile

import pytest

import math

import hostile
from daemon import wait_until

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures"
MNIST = (FIXTURES / "mnist-8" / "model.onnx").read_bytes()


@pytest.fixture
def model(api, name):
    answer = api.put(f"/v2/models/{name}", MNIST)
    assert answer.status == 201, answer
    yield answer.json()
    api.delete(f"/v2/models/{name}")


def stored(daemon):
    return sorted(p.name for p in (daemon.state_dir / "models").iterdir())


def test_upload(api, daemon, model):
    assert model["sha256"] == hashlib.sha256(MNIST).hexdigest()
    assert (model["version"], model["size_bytes"], model["runnable"]) == (1, len(MNIST), True)
    listed = api.get("/v2/models").json()["models"]
    assert model in listed
    assert api.get(f"/v2/models/{model['name']}/versions").json()["models"] == [model]


def test_versions(api, daemon, model):
    name, before = model["name"], stored(daemon)
    second = api.put(f"/v2/models/{name}", MNIST).json()
    assert second["version"] == 2
    tenth = api.put(f"/v2/models/{name}/versions/10", MNIST)
    assert tenth.status == 201 and tenth.json()["version"] == 10
    assert tenth.headers["location"].endswith(f"/v2/models/{name}/versions/10")
    assert api.put(f"/v2/models/{name}/versions/2", MNIST).status == 409
    versions = api.get(f"/v2/models/{name}/versions").json()["models"]
    assert [m["version"] for m in versions] == [10, 2, 1]
    assert api.get(f"/v2/models/{name}").json()["versions"] == ["1", "2", "10"]
    assert api.delete(f"/v2/models/{name}/versions/10").status == 204
    assert api.delete(f"/v2/models/{name}/versions/10").status == 404
    assert api.get(f"/v2/models/{name}/versions/10").status == 404
    assert api.get(f"/v2/models/{name}/versions/2/analysis").status == 200
    assert api.delete(f"/v2/models/{name}").status == 204
    assert api.get(f"/v2/models/{name}").status == 404
    wait_until(lambda: not set(before) & set(stored(daemon)), "the files are gone")


def test_metadata(api, model):
    body = api.get(f"/v2/models/{model['name']}").json()
    assert body["platform"] == "onnx_onnxv1"
    assert body["inputs"] == [{"name": "Input3", "datatype": "FP32", "shape": [1, 1, 28, 28]}]
    assert [o["name"] for o in body["outputs"]] == ["Plus214_Output_0"]
    assert api.get(f"/v2/models/{model['name']}/ready").json() == {"name": model["name"],
                                                                   "ready": True}
    index = api.post("/v2/repository/index").json()
    assert {"name": model["name"], "version": "1", "state": "READY", "reason": ""} in index


def test_analysis(api, model):
    body = api.get(f"/v2/models/{model['name']}/analysis").json()
    assert body["runnable"] and body["flops"] > 1e6
    assert "Conv" in {op["op"] for op in body["ops"]}
    assert abs(sum(op["flops"] for op in body["ops"]) - body["flops"]) < 1


def test_a_tar_with_a_model(api, name):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        info = tarfile.TarInfo("model.onnx")
        info.size = len(MNIST)
        tar.addfile(info, io.BytesIO(MNIST))
    answer = api.put(f"/v2/models/{name}", packed.getvalue())
    assert answer.status == 201, answer
    assert api.delete(f"/v2/models/{name}").status == 204


@pytest.mark.parametrize("path, status", [
    ("/v2/models/.hidden", 400), ("/v2/models/a%20b", 400), ("/v2/models/" + "x" * 129, 400),
    ("/v2/models/a%2F..%2Fb", 400), ("/v2/models/m/versions/0", 400),
    ("/v2/models/m/versions/x", 400), ("/v2/models/m?predict_only=maybe", 400)])
def test_bad_names(api, daemon, path, status):
    before = stored(daemon)
    assert api.put(path, MNIST).status == status
    assert stored(daemon) == before


def test_no_such_model(api):
    for path in ("", "/versions", "/analysis", "/ready", "/versions/1", "/versions/1/ready",
                 "/versions/1/analysis"):
        assert api.get(f"/v2/models/nobody{path}").status == 404
    assert api.delete("/v2/models/nobody").status == 404
    assert api.request("POST", "/v2/models/nobody/infer", body=b'{"inputs":[]}').status == 404


def run_on_zeros(api, name):
    """Inference with zeros of the declared shapes, free dimensions 1."""
    inputs = []
    for tensor in api.get(f"/v2/models/{name}").json()["inputs"]:
        shape = [max(d, 1) for d in tensor["shape"]]
        inputs.append({"name": tensor["name"], "shape": shape, "datatype": tensor["datatype"],
                       "data": [0] * math.prod(shape)})
    return api.post(f"/v2/models/{name}/infer", {"inputs": inputs})


@pytest.mark.parametrize("case", list(hostile.cases()), ids=lambda case: case.name)
def test_hostile_models(api, daemon, name, case):
    before = stored(daemon)
    answer = api.put(f"/v2/models/{name}", case.data)
    if answer.status == 201:
        # What depends on the input's values shows when it runs.
        if case.refused:
            ran = run_on_zeros(api, name)
            assert 400 <= ran.status < 500 and case.missing(ran.body.decode()) == [], ran
        api.delete(f"/v2/models/{name}")
        return
    assert 400 <= answer.status < 500, answer
    assert case.missing(answer.fault()) == [], answer.fault()
    assert stored(daemon) == before
    assert api.get(f"/v2/models/{name}").status == 404
    assert api.get("/healthz").status == 200


def test_predict_only(api, name):
    data = next(c.data for c in hostile.cases() if c.name == "unknown-operator")
    answer = api.put(f"/v2/models/{name}", data)
    assert answer.status == 422 and "Frobnicate" in answer.fault()
    answer = api.put(f"/v2/models/{name}?predict_only=true", data)
    assert answer.status == 201 and answer.json()["runnable"] is False
    assert api.get(f"/v2/models/{name}/ready").status == 503
    analysis = api.get(f"/v2/models/{name}/analysis").json()
    assert [op["op"] for op in analysis["ops"] if op["unsupported"]] == ["Frobnicate"]
    assert api.delete(f"/v2/models/{name}").status == 204


def test_a_body_beyond_the_limit(api, daemon, name):
    before = stored(daemon)

    def zeros():
        for _ in range(65):
            yield bytes(1 << 20)

    try:
        assert api.request("PUT", f"/v2/models/{name}", body=zeros()).status == 413
    except ConnectionError:
        pass  # cut off while it was still sending
    wait_until(lambda: stored(daemon) == before, "nothing is left")
    assert api.get("/healthz").status == 200


def test_eight_uploads_at_once(api, name):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: api.put(f"/v2/models/{name}-{i}", MNIST), range(8)))
    assert [a.status for a in answers] == [201] * 8
    for i in range(8):
        assert api.delete(f"/v2/models/{name}-{i}").status == 204


def test_healthz_while_a_large_upload_runs(api, daemon, name):
    with socket.create_connection(("127.0.0.1", daemon.port)) as s:
        s.sendall(f"PUT /v2/models/{name} HTTP/1.1\r\nHost: localhost\r\n"
                  f"Content-Length: {40 << 20}\r\n\r\n".encode())
        for _ in range(20):
            s.sendall(bytes(1 << 20))
            assert api.get("/healthz").status == 200
