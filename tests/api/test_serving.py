"""Every real model at hand, served: uploaded, described, run over REST with its own input by a client
nobody here wrote (tritonclient), and compared with what ONNX Runtime gave."""

import os
import pathlib
import uuid

import numpy
import onnx
import pytest
import tritonclient.http as triton
from onnx import numpy_helper

from daemon import ROOT, Daemon

FIXTURES = pathlib.Path(os.environ.get("ACCELD_TEST_DATA") or ROOT / "tests" / "fixtures")
MODELS = sorted(path.parent for path in FIXTURES.glob("*/model.onnx"))
TYPES = {numpy.dtype("bool"): "BOOL", numpy.dtype("float16"): "FP16", numpy.dtype("float32"): "FP32",
         numpy.dtype("float64"): "FP64", **{numpy.dtype(f"{u}int{b}"): f"{u.upper()}INT{b}"
                                            for u in ("", "u") for b in (8, 16, 32, 64)}}


@pytest.fixture(scope="module")
def server():
    with Daemon({"drivers": {"enabled": ["cpu"]}, "workers": {"count": 1, "threads": 2}}) as daemon:
        daemon.wait_ready()
        with triton.InferenceServerClient(f"127.0.0.1:{daemon.port}", network_timeout=600) as client:
            yield daemon, client


def tensors(folder, kind):
    found = {}
    for path in sorted(folder.glob(f"{kind}_*.pb")):
        tensor = onnx.TensorProto()
        tensor.ParseFromString(path.read_bytes())
        found[tensor.name] = numpy_helper.to_array(tensor)
    return found


def is_quantised(model):
    return any(node.op_type in ("QuantizeLinear", "QLinearConv", "MatMulInteger", "DynamicQuantizeLinear")
               for node in onnx.load(model / "model.onnx").graph.node)


def assert_close(got, want, what, quantised):
    assert got.shape == want.shape, what
    if want.dtype.kind not in "f":
        assert (got == want).all(), what
        return
    got, want = got.astype(numpy.float64), want.astype(numpy.float64)
    if quantised:
        cosine = (got * want).sum() / max(numpy.linalg.norm(got) * numpy.linalg.norm(want), 1e-30)
        assert cosine >= 0.9999, f"{what}: cosine {cosine}"
        return
    close = numpy.abs(got - want) <= 1e-4 + 1e-3 * numpy.abs(want)
    distance = numpy.linalg.norm(got - want) / max(numpy.linalg.norm(want), 1e-30)
    assert close.all() or distance <= 1e-5, f"{what}: {(~close).sum()} off, L2 {distance:.2g}"


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.name)
def test_served_as_onnx_runtime_runs_it(server, model):
    daemon, client = server
    name = f"{model.name}-{uuid.uuid4().hex[:6]}"
    answer = daemon.request("PUT", f"/v2/models/{name}", data=(model / "model.onnx").read_bytes())
    assert answer.status_code == 201, answer.text
    about = client.get_model_metadata(name)
    folder = model / "test_data_set_0"
    given, wanted = tensors(folder, "input"), tensors(folder, "output")
    inputs = []
    for tensor_name, array in given.items():
        tensor = triton.InferInput(tensor_name, array.shape, TYPES[array.dtype])
        tensor.set_data_from_numpy(array, binary_data=True)
        inputs.append(tensor)
    assert client.is_model_ready(name)
    served = {output["name"] for output in about["outputs"]}
    names = [n for n in wanted if n in served and wanted[n].dtype in TYPES]
    result = client.infer(name, inputs, outputs=[triton.InferRequestedOutput(n, binary_data=True)
                                                 for n in names])
    for output in names:
        assert_close(result.as_numpy(output), wanted[output], f"{model.name}: {output}",
                     is_quantised(model))
    assert daemon.request("DELETE", f"/v2/models/{name}").status_code == 204


def test_the_server_says_what_it_is(server):
    _, client = server
    assert client.is_server_live() and client.is_server_ready()
    about = client.get_server_metadata()
    assert about["name"] == "acceld" and "binary_tensor_data" in about["extensions"]


def test_an_unknown_model_is_an_error_to_the_client(server):
    _, client = server
    with pytest.raises(triton.InferenceServerException, match="no-such-model"):
        client.get_model_metadata("no-such-model")
