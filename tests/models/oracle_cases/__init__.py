# SPDX-License-Identifier: Apache-2.0
"""Single operators on seeded random values, with what ONNX Runtime makes of them, as test folders.

    python -m oracle_cases OUT     in tests/models: OUT/{exact,near}/<case>/{model.onnx,test_data_set_0/*.pb}

One module of this package per family of operators; each lists its functions of a Writer in EXACT (to be met in every
bit) or NEAR (within the bound for floating point). A new module is found by itself.
"""
import importlib
import pkgutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

MS = 'com.microsoft'
F = np.float32


class Writer:
    def __init__(self, out):
        self.out = out
        self.written = 0
        self.reseed()

    def reseed(self):
        self.rng = np.random.default_rng(20240607)

    def case(self, name, op, values, constants=(), outputs=1, opset=15, domain='', attributes=None, **more):
        """values: (name, array) in the operator's order, None for one left out; constants: names of initialisers."""
        names = [v[0] if v is not None else '' for v in values]
        given = [(n, np.asarray(a)) for n, a in (v for v in values if v is not None)]
        results = [f'y{i}' for i in range(outputs)]
        node = helper.make_node(op, names, results, domain=domain, **(attributes or {}), **more)
        graph = helper.make_graph(
            [node], name,
            [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
             for n, a in given if n not in constants],
            [onnx.ValueInfoProto(name=r) for r in results],
            [numpy_helper.from_array(a, n) for n, a in given if n in constants])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset), helper.make_opsetid(MS, 1)],
                                  ir_version=8)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=['CPUExecutionProvider'])
        wanted = session.run(None, {n: a for n, a in given if n not in constants})
        for result, value in zip(graph.output, wanted, strict=True):
            result.CopyFrom(helper.make_tensor_value_info(
                result.name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape))
        model.graph.CopyFrom(graph)
        data = self.out / name / 'test_data_set_0'
        data.mkdir(parents=True, exist_ok=True)
        (self.out / name / 'model.onnx').write_bytes(model.SerializeToString())
        inputs = [(n, a) for n, a in given if n not in constants]
        for kind, pairs in (('input', inputs), ('output', list(zip(results, wanted, strict=True)))):
            for i, (n, a) in enumerate(pairs):
                (data / f'{kind}_{i}.pb').write_bytes(numpy_helper.from_array(a, n).SerializeToString())
        self.written += 1

    def integers(self, dtype, *shape):
        limits = np.iinfo(dtype)
        if limits.bits == 64:
            return self.rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        return self.rng.integers(limits.min, limits.max + 1, shape).astype(dtype)

    def weights(self, dtype, *shape):
        """int8 only of 7 bits: without VNNI ONNX Runtime's own sums of uint8 by int8 saturate at 16 bits."""
        full = self.integers(dtype, *shape)
        return full >> 1 if dtype == np.int8 else full

    def scale(self, low=0.01, high=0.1):
        return F(self.rng.uniform(low, high))

    def zero(self, dtype):
        return self.integers(dtype)[()]


def write(out):
    """How many cases were written to OUT/exact and to OUT/near."""
    writers = {'EXACT': Writer(Path(out) / 'exact'), 'NEAR': Writer(Path(out) / 'near')}
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith('_')):
        families = importlib.import_module(f'{__name__}.{module}')
        for kind, writer in writers.items():
            for family in getattr(families, kind, ()):
                writer.reseed()  # no family's values hang on those before it
                family(writer)
    return writers['EXACT'].written, writers['NEAR'].written
