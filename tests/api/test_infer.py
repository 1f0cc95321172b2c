"""Open Inference Protocol: JSON and binary tensors, compared with stored ONNX Runtime outputs."""

import concurrent.futures
import json
import pathlib
import socket

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures"
CASE = FIXTURES / "mnist-8"


def tensor(path):
    return numpy_helper.to_array(onnx.load_tensor(path))


def close(got, want):
    """The rule of all acceld: elementwise, or relative L2."""
    got, want = np.asarray(got, np.float64).ravel(), np.asarray(want, np.float64).ravel()
    assert got.shape == want.shape
    return (np.abs(got - want) <= 1e-4 + 1e-3 * np.abs(want)).all() or \
        np.linalg.norm(got - want) <= 1e-5 * np.linalg.norm(want)


@pytest.fixture(scope="module")
def put(daemon):
    """Uploads models for this module, deletes them afterwards."""
    from client import Api
    api, names = Api(daemon), []

    def upload(name, data):
        answer = api.put(f"/v2/models/{name}", data)
        assert answer.status == 201, answer
        names.append(name)
        return name

    yield upload
    for name in names:
        api.delete(f"/v2/models/{name}")


@pytest.fixture(scope="module")
def mnist(put):
    return put("infer-mnist", (CASE / "model.onnx").read_bytes())


@pytest.fixture(scope="module")
def image():
    folder = sorted(CASE.glob("test_data_set_*"))[0]
    return tensor(folder / "input_0.pb"), tensor(folder / "output_0.pb")


def binary(header, *arrays):
    text = json.dumps(header).encode()
    return (text + b"".join(a.tobytes() for a in arrays),
            {"Inference-Header-Content-Length": str(len(text)),
             "Content-Type": "application/octet-stream"})


def split(answer):
    """JSON part and {output: array} of a binary answer."""
    size = int(answer.headers["inference-header-content-length"])
    head, at, found = json.loads(answer.body[:size]), size, {}
    types = {"FP32": "<f4", "FP64": "<f8", "FP16": "<f2", "INT64": "<i8", "INT32": "<i4",
             "INT8": "i1", "UINT8": "u1", "BOOL": "?"}
    for output in head["outputs"]:
        n = output["parameters"]["binary_data_size"]
        found[output["name"]] = np.frombuffer(answer.body[at:at + n], types[output["datatype"]]) \
            .reshape(output["shape"])
        at += n
    assert at == len(answer.body)
    return head, found


def json_input(array, name="Input3", nested=True):
    return {"name": name, "shape": list(array.shape), "datatype": "FP32",
            "data": (array if nested else array.ravel()).tolist()}


@pytest.mark.parametrize("nested", [True, False])
def test_json(api, mnist, image, nested):
    x, y = image
    answer = api.post(f"/v2/models/{mnist}/infer", {"id": "42", "inputs": [json_input(x, nested=nested)]})
    assert answer.status == 200, answer
    body = answer.json()
    (output,) = body["outputs"]
    assert (body["id"], body["model_name"], body["model_version"]) == ("42", mnist, "1")
    assert output["shape"] == list(y.shape) and close(output["data"], y)
    assert body["parameters"]["acceld_device"] == "cpu:0"
    assert body["parameters"]["acceld_run_s"] > 0


@pytest.mark.parametrize("case", sorted(p.name for p in CASE.glob("test_data_set_*")))
def test_binary_equals_onnx_runtime(api, unix, mnist, case):
    x, y = tensor(CASE / case / "input_0.pb"), tensor(CASE / case / "output_0.pb")
    body, headers = binary({"inputs": [{"name": "Input3", "shape": list(x.shape), "datatype": "FP32",
                                        "parameters": {"binary_data_size": x.nbytes}}],
                            "parameters": {"binary_data_output": True}}, x)
    for client in (api, unix):
        answer = client.request("POST", f"/v2/models/{mnist}/infer", body=body, headers=headers)
        assert answer.status == 200, answer
        _, found = split(answer)
        assert close(found["Plus214_Output_0"], y)


def test_a_network_of_size_in_json_and_binary(api, put):
    folder = FIXTURES / "mobilenetv2-035-128"
    name = put("infer-mobilenet", (folder / "model.onnx").read_bytes())
    case = sorted(folder.glob("test_data_set_*"))[0]
    x, y = tensor(case / "input_0.pb"), tensor(case / "output_0.pb")
    meta = api.get(f"/v2/models/{name}").json()["inputs"][0]["name"]
    text = json.dumps({"inputs": [json_input(x, meta, nested=False)]})
    assert len(text) > 256 << 10  # tensor data is not held against limits.json_bytes
    answer = api.request("POST", f"/v2/models/{name}/infer", body=text.encode())
    assert answer.status == 200, answer
    assert close(answer.json()["outputs"][0]["data"], y)


def test_versions_and_outputs(api, mnist, image):
    x, y = image
    for path in (f"/v2/models/{mnist}/versions/1/infer", f"/v2/models/{mnist}/infer"):
        answer = api.post(path, {"inputs": [json_input(x)],
                                 "outputs": [{"name": "Plus214_Output_0",
                                              "parameters": {"binary_data": True}}]})
        _, found = split(answer)
        assert close(found["Plus214_Output_0"], y)
    answer = api.post(f"/v2/models/{mnist}/infer", {"inputs": [json_input(x)],
                                                    "outputs": [{"name": "nobody"}]})
    assert answer.status == 400 and "nobody" in answer.fault()
    assert api.post(f"/v2/models/{mnist}/versions/9/infer", {"inputs": []}).status == 404


def test_device_by_name(api, mnist, image):
    cpu = api.get("/v2/inventory/cpu:0").json()["uuid"]
    for device, status in (("cpu:0", 200), (cpu, 200), ("nobody", 404), ("pci:0000:3b:00.0", 422)):
        answer = api.post(f"/v2/models/{mnist}/infer", {"inputs": [json_input(image[0])],
                                                        "parameters": {"acceld_device": device}})
        assert answer.status == status, answer


IDENTITY_TYPES = {"INT64": (TensorProto.INT64, [2**53 + 1, -2**63, 2**63 - 1]),
                  "INT32": (TensorProto.INT32, [-2**31, 0, 2**31 - 1]),
                  "UINT8": (TensorProto.UINT8, [0, 7, 255]),
                  "BOOL": (TensorProto.BOOL, [True, False, True]),
                  "FP64": (TensorProto.DOUBLE, [1e300, -0.1, 3.0]),
                  "FP32": (TensorProto.FLOAT, [1.5, -2.25, 0.0])}


def identity_model(kind):
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity",
                              [helper.make_tensor_value_info("x", kind, [3])],
                              [helper.make_tensor_value_info("y", kind, [3])])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)],
                             ir_version=8).SerializeToString()


@pytest.mark.parametrize("datatype", sorted(IDENTITY_TYPES))
def test_every_digit_of_a_type_comes_back(api, put, datatype):
    kind, values = IDENTITY_TYPES[datatype]
    name = put(f"infer-identity-{datatype}", identity_model(kind))
    answer = api.post(f"/v2/models/{name}/infer", {"inputs": [
        {"name": "x", "shape": [3], "datatype": datatype, "data": values}]})
    assert answer.status == 200, answer
    assert answer.json()["outputs"][0]["data"] == values


def test_half_precision_is_binary_only(api, put):
    name = put("infer-identity-FP16", identity_model(TensorProto.FLOAT16))
    x = np.array([1.5, -2, 65504], "<f2")
    inputs = [{"name": "x", "shape": [3], "datatype": "FP16",
               "parameters": {"binary_data_size": x.nbytes}}]
    body, headers = binary({"inputs": inputs, "parameters": {"binary_data_output": True}}, x)
    answer = api.request("POST", f"/v2/models/{name}/infer", body=body, headers=headers)
    assert answer.status == 200, answer
    assert (split(answer)[1]["y"] == x).all()
    body, headers = binary({"inputs": inputs}, x)
    answer = api.request("POST", f"/v2/models/{name}/infer", body=body, headers=headers)
    assert answer.status == 422 and "binary" in answer.fault()
    answer = api.post(f"/v2/models/{name}/infer", {"inputs": [
        {"name": "x", "shape": [3], "datatype": "FP16", "data": [1, 2, 3]}]})
    assert answer.status == 400 and "binary_data_size" in answer.fault()


def test_infinity_has_no_json(api, put):
    name = put("infer-identity-inf", identity_model(TensorProto.FLOAT))
    x = np.array([1, np.inf, np.nan], "<f4")
    inputs = [{"name": "x", "shape": [3], "datatype": "FP32",
               "parameters": {"binary_data_size": x.nbytes}}]
    body, headers = binary({"inputs": inputs}, x)
    answer = api.request("POST", f"/v2/models/{name}/infer", body=body, headers=headers)
    assert answer.status == 422 and "binary" in answer.fault()
    body, headers = binary({"inputs": inputs, "parameters": {"binary_data_output": True}}, x)
    answer = api.request("POST", f"/v2/models/{name}/infer", body=body, headers=headers)
    np.testing.assert_array_equal(split(answer)[1]["y"], x)


def test_tensors_that_do_not_lie_aligned(api, put):
    graph = helper.make_graph(
        [helper.make_node("Identity", ["a"], ["p"]), helper.make_node("Identity", ["b"], ["q"])], "g",
        [helper.make_tensor_value_info("a", TensorProto.INT8, [3]),
         helper.make_tensor_value_info("b", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("p", TensorProto.INT8, [3]),
         helper.make_tensor_value_info("q", TensorProto.FLOAT, [2])])
    name = put("infer-unaligned", helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString())
    a, b = np.array([-1, 2, 3], "i1"), np.array([0.5, 7], "<f4")
    header = {"inputs": [
        {"name": "a", "shape": [3], "datatype": "INT8", "parameters": {"binary_data_size": 3}},
        {"name": "b", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}],
        "parameters": {"binary_data_output": True}}
    body, headers = binary(header, a, b)
    answer = api.request("POST", f"/v2/models/{name}/infer", body=body, headers=headers)
    assert answer.status == 200, answer
    found = split(answer)[1]
    assert (found["p"] == a).all() and (found["q"] == b).all()
    # One as JSON, one as bytes.
    header["inputs"][0] = {"name": "a", "shape": [3], "datatype": "INT8", "data": [-1, 2, 3]}
    body, headers = binary(header, b)
    found = split(api.request("POST", f"/v2/models/{name}/infer", body=body, headers=headers))[1]
    assert (found["p"] == a).all() and (found["q"] == b).all()


GOOD = {"name": "Input3", "shape": [1, 1, 28, 28], "datatype": "FP32", "data": [0] * 784}


@pytest.mark.parametrize("change, says", [
    ({"name": "other"}, "other"), ({"name": None}, "name"), ({"shape": [1, 784]}, "Input3"),
    ({"shape": [1, 1, 28, 27]}, "Input3"), ({"shape": [2, 1, 28, 28]}, "1568"),
    ({"shape": [-1, 1, 28, 28]}, "shape"), ({"shape": "x"}, "shape"),
    ({"datatype": "INT32"}, "Input3"), ({"datatype": "FP12"}, "FP12"), ({"datatype": "BYTES"}, "BYTES"),
    ({"data": [0] * 783}, "783"), ({"data": [0] * 785}, "784"), ({"data": ["a"] * 784}, "data"),
    ({"data": [True] * 784}, "true"), ({"data": [1e40] * 784}, "data"), ({"data": None}, "data"),
    ({"data": 7}, "data"), ({"parameters": {"binary_data_size": 3136}}, "binary_data_size")])
def test_bad_inputs(api, mnist, change, says):
    answer = api.post(f"/v2/models/{mnist}/infer", {"inputs": [dict(GOOD, **change)]})
    assert 400 <= answer.status < 500, answer
    assert says in answer.fault()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"inputs":7}', b'{"inputs":[7]}',
                                  b'{"inputs":[]}', b"[" * 10_000, b'{"inputs":[' + b'{"data":' * 5000])
def test_bad_documents(api, mnist, body):
    answer = api.request("POST", f"/v2/models/{mnist}/infer", body=body)
    assert answer.status == 400, answer


@pytest.mark.parametrize("length, extra, says", [
    ("999999", b"", "Inference-Header"), ("x", b"", "Inference-Header"), ("0", b"", "Inference-Header"),
    ("-5", b"", "Inference-Header"), (None, b"x", "3137"), (None, None, "3135")])
def test_bad_binary(api, mnist, length, extra, says):
    x = np.zeros((1, 1, 28, 28), "<f4")
    body, headers = binary({"inputs": [dict(GOOD, data=None, parameters={"binary_data_size": x.nbytes})
                                       | {}]}, x)
    text = json.dumps({"inputs": [{"name": "Input3", "shape": [1, 1, 28, 28], "datatype": "FP32",
                                   "parameters": {"binary_data_size": x.nbytes}}]}).encode()
    body = text + x.tobytes()
    headers["Inference-Header-Content-Length"] = length or str(len(text))
    body = body[:-1] if extra is None else body + extra
    answer = api.request("POST", f"/v2/models/{mnist}/infer", body=body, headers=headers)
    assert answer.status == 400, answer
    assert says in answer.fault()


def test_a_body_beyond_the_limit(api, mnist):
    answer = api.request("POST", f"/v2/models/{mnist}/infer", body=bytes(9 << 20))
    assert answer.status == 413 and "limits.infer_bytes" in answer.fault()


def test_compressed_bodies_are_refused(api, mnist):
    answer = api.request("POST", f"/v2/models/{mnist}/infer", body=b"x",
                         headers={"Content-Encoding": "gzip"})
    assert answer.status == 415


def test_20_clients_get_their_own_answers(api, put):
    name = put("infer-many", identity_model(TensorProto.FLOAT))

    def one(i):
        answer = api.post(f"/v2/models/{name}/infer", {"id": str(i), "inputs": [
            {"name": "x", "shape": [3], "datatype": "FP32", "data": [i, i + 0.5, -i]}]})
        return answer.status == 200 and answer.json()["id"] == str(i) and \
            answer.json()["outputs"][0]["data"] == [i, i + 0.5, -i]

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        assert all(pool.map(one, range(100)))


def test_who_hangs_up_does_not_hurt_the_others(api, daemon, mnist, image):
    body = json.dumps({"inputs": [json_input(image[0])]}).encode()
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", daemon.port)) as s:
            s.sendall(f"POST /v2/models/{mnist}/infer HTTP/1.1\r\nHost: localhost\r\n"
                      f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert api.request("POST", f"/v2/models/{mnist}/infer", body=body).status == 200
