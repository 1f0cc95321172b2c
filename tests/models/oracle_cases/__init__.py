# SPDX-License-Identifier: Apache-2.0
"""Single operators on seeded random values, with what ONNX Runtime makes of them, as test folders.

    python -m oracle_cases OUT     in tests/models: OUT/{exact,near}/<case>/{model.onnx,test_data_set_0/*.pb}

One module of this package per family of operators; each lists its functions of a Writer in EXACT (to be met in every
bit) or NEAR (within the bound for floating point). A new module is found by itself.
"""
import ctypes
import importlib
import pkgutil
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import node_cases
from quiet import onnxruntime

MS = 'com.microsoft'
F = np.float32
# Types whose tensors ONNX Runtime's Python does not hand out as arrays of them.
SMALL = {'FLOAT8E4M3FN', 'FLOAT8E4M3FNUZ', 'FLOAT8E5M2', 'FLOAT8E5M2FNUZ', 'FLOAT8E8M0', 'UINT4', 'INT4', 'UINT2', 'INT2',
         'BFLOAT16'}


def small_array(value, dtype):
    """The bytes of an OrtValue of a type that numpy lacks, as ml_dtypes has it."""
    count = int(np.prod(value.shape()))
    bits = {'int4': 4, 'uint4': 4, 'int2': 2, 'uint2': 2}.get(dtype.name, 8 * dtype.itemsize)
    raw = np.frombuffer(ctypes.string_at(value.data_ptr(), (count * bits + 7) // 8), np.uint8)
    if bits < 8:
        raw = (numpy_helper._unpack_4bit if bits == 4 else numpy_helper._unpack_2bit)(raw, [count])
    codes = raw.view(dtype) if bits >= 8 else raw.astype(np.int8).astype(dtype)
    return codes.reshape(value.shape())


def lacked(value):
    """Is it of a half that numpy lacks?"""
    return getattr(value, 'dtype', None) == ml_dtypes.bfloat16


def answers(model, inputs, optimised=False):
    """What ONNX Runtime gives for every output; optimised: at its default level, which fuses quantised operators."""
    options = onnxruntime.SessionOptions()
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=['CPUExecutionProvider'])
    types = [o.type[len('tensor('):-1].upper() for o in session.get_outputs()]
    small = [helper.tensor_dtype_to_np_dtype(onnx.TensorProto.DataType.Value(t)) if t in SMALL else None for t in types]
    if not any(small) and not any(lacked(v) for v in inputs.values()):
        return session.run(None, inputs)
    binding = session.io_binding()
    for name, value in inputs.items():
        if lacked(value):
            code = helper.np_dtype_to_tensor_dtype(value.dtype)
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(value.view(np.uint16), code))
        else:
            binding.bind_cpu_input(name, value)
    for output in session.get_outputs():
        binding.bind_output(output.name)
    session.run_with_iobinding(binding)
    return [value.numpy() if dtype is None else small_array(value, dtype)
            for value, dtype in zip(binding.get_outputs(), small, strict=True)]


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
        self.model(name, [node], given, constants, results, opset)

    def model(self, name, nodes, given, constants, results, opset=15, oracle='runtime', domain=''):
        """Several nodes. given: (name, array); oracle: 'runtime', 'optimised' for its default level, or 'reference' for
        what ONNX Runtime has not."""
        graph = helper.make_graph(
            nodes, name,
            [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
             for n, a in given if n not in constants],
            [onnx.ValueInfoProto(name=r) for r in results],
            [numpy_helper.from_array(a, n) for n, a in given if n in constants])
        imports = {'': opset, MS: 1, domain: opset}
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid(d, v) for d, v in imports.items()],
                                  ir_version=8 if opset < 19 else 13)
        inputs = [(n, a) for n, a in given if n not in constants]
        if oracle == 'reference':
            wanted = [np.asarray(a) for a in ReferenceEvaluator(model).run(None, dict(inputs))]
        else:
            wanted = answers(model, dict(inputs), oracle == 'optimised')
        for result, value in zip(graph.output, wanted, strict=True):
            result.CopyFrom(helper.make_tensor_value_info(
                result.name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape))
        model.graph.CopyFrom(graph)
        self.store(name, model, inputs, list(zip(results, wanted, strict=True)))

    def whole(self, name, model, inputs):
        """A model made elsewhere, with what ONNX Runtime gives at its default level."""
        wanted = answers(model, inputs, optimised=True)
        self.store(name, model, list(inputs.items()), [(o.name, a) for o, a in zip(model.graph.output, wanted, strict=True)])

    def store(self, name, model, inputs, outputs):
        data = self.out / name / 'test_data_set_0'
        data.mkdir(parents=True, exist_ok=True)
        (self.out / name / 'model.onnx').write_bytes(model.SerializeToString())
        infos = {i.name: i for i in (*model.graph.input, *model.graph.output)}
        for kind, pairs in (('input', inputs), ('output', outputs)):
            for i, (n, a) in enumerate(pairs):
                plain = n not in infos or infos[n].type.WhichOneof('value') in (None, 'tensor_type')
                proto = numpy_helper.from_array(np.asarray(a), n) if plain else node_cases.proto(a, infos[n])
                (data / f'{kind}_{i}.pb').write_bytes(proto.SerializeToString())
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
