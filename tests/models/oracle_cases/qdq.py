# SPDX-License-Identifier: Apache-2.0
"""Operators between DequantizeLinear and QuantizeLinear, as ONNX Runtime's own tools write quantised models and as it
runs them at its default level of optimisation: fused into operators on integers. The results are integers, to be met
exactly, or floats that were computed from integers."""
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from oracle_cases import F


class Chain:
    """A graph that grows: names of values, nodes, initialisers."""

    def __init__(self, w, dtype):
        self.w, self.dtype, self.nodes, self.given, self.constants = w, dtype, [], [], []

    def const(self, name, array):
        self.given.append((name, np.asarray(array)))
        self.constants.append(name)
        return name

    def add(self, op, inputs, **attributes):
        name = f'{op.lower()}{len(self.nodes)}'
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def quantiser(self, scale, zero=None):
        n = len(self.given)
        zero = self.w.zero(self.dtype) if zero is None else self.dtype(zero)
        return [self.const(f's{n}', F(scale)), self.const(f'z{n}', zero)]

    def activation(self, *shape, scale=None, zero=None):
        """An input of integers, as floats."""
        name = f'x{len(self.given)}'
        self.given.append((name, self.w.integers(self.dtype, *shape)))
        return self.add('DequantizeLinear', [name, *self.quantiser(scale or self.w.scale(), zero)])

    def weights(self, *shape, axis=None):
        """int8 of 7 bits; axis: a scale for each element of it. Returns (floats, scales)."""
        n = len(self.given)
        count = shape[axis] if axis is not None else None
        scale = self.w.scale() if axis is None else self.w.rng.uniform(0.01, 0.1, count).astype(F)
        zero = np.zeros(scale.shape, np.int8)
        names = [self.const(f'w{n}', self.w.weights(np.int8, *shape)), self.const(f'ws{n}', scale), self.const(f'wz{n}', zero)]
        return self.add('DequantizeLinear', names, **({'axis': axis} if axis is not None else {})), scale

    def bias(self, count, scale):
        n = len(self.given)
        names = [self.const(f'b{n}', self.w.rng.integers(-3000, 3000, count).astype(np.int32)), self.const(f'bs{n}', scale),
                 self.const(f'bz{n}', np.zeros(scale.shape, np.int32))]
        return self.add('DequantizeLinear', names, **({'axis': 0} if scale.shape else {}))

    def done(self, name, value, scale=None, zero=None, opset=15):
        """scale None: the floats are the result."""
        last = self.nodes[-1].output[0] if value is None else value
        if scale is not None:
            last = self.add('QuantizeLinear', [last, *self.quantiser(scale, zero)])
        self.w.model(f'qdq_{name}_{np.dtype(self.dtype).name}', self.nodes, self.given, self.constants, [last], opset, 'optimised')


def both(family):
    def run(w):
        for dtype in (np.uint8, np.int8):
            family(w, dtype)
    return run


@both
def convolutions(w, dtype):
    followed(w, dtype, ('', 'Relu'))


@both
def clipped(w, dtype):
    """ONNX Runtime leaves these in floats: where an element lies between two steps, rounding may go either way."""
    followed(w, dtype, ('Clip',))


def followed(w, dtype, followers):
    lowest = np.iinfo(dtype).min
    for label, weights, attributes in (('plain', (5, 4, 3, 3), {}), ('padded', (6, 4, 3, 3), {'pads': [1, 1, 1, 1], 'strides': [2, 2]}),
                                       ('depthwise', (4, 1, 3, 3), {'group': 4, 'pads': [1, 1, 1, 1]}), ('one', (8, 4, 1, 1), {})):
        for axis in (None, 0):
            for follower in followers:
                c = Chain(w, dtype)
                x = c.activation(2, 4, 9, 7, scale=F(0.05))
                k, scales = c.weights(*weights, axis=axis)
                y = c.add('Conv', [x, k, c.bias(weights[0], F(0.05) * scales)], **attributes)
                if follower == 'Relu':
                    y = c.add('Relu', [y])
                elif follower == 'Clip':
                    y = c.add('Clip', [y, c.const('lo', F(0)), c.const('hi', F(6))])
                # Behind Relu and Clip the range of the integers is the bound.
                c.done(f'conv_{label}_{"channels" if axis == 0 else "one"}_{follower.lower() or "alone"}', y,
                       F(6 / 255) if follower == 'Clip' else F(0.3), lowest if follower else None)


@both
def products(w, dtype):
    for axis in (None, 1):
        c = Chain(w, dtype)
        k, _ = c.weights(13, 5, axis=axis)
        c.done(f'matmul_{axis}', c.add('MatMul', [c.activation(3, 7, 13), k]), F(0.9))
        for trans in (0, 1):
            for quantised in (True, False):
                c = Chain(w, dtype)
                x = c.activation(6, 13, scale=F(0.05))
                k, scales = c.weights(*((5, 13) if trans else (13, 5)), axis=None if axis is None else 1 - trans)
                y = c.add('Gemm', [x, k, c.bias(5, F(0.05) * scales)], transB=trans)
                c.done(f'gemm_{axis}_{trans}_{quantised}', y, F(0.4) if quantised else None)
    c = Chain(w, dtype)
    c.done('matmul_activations', c.add('MatMul', [c.activation(2, 5, 9), c.activation(2, 9, 4)]), F(0.8))


@both
def elementwise(w, dtype):
    for op in ('Add', 'Mul'):
        c = Chain(w, dtype)
        c.done(op.lower(), c.add(op, [c.activation(2, 3, 11), c.activation(3, 11)]), F(0.2))
    for op, attributes in (('Sigmoid', {}), ('LeakyRelu', {'alpha': 0.25}), ('GlobalAveragePool', {}),
                           ('AveragePool', {'kernel_shape': [2, 3], 'pads': [0, 1, 0, 1]})):
        c = Chain(w, dtype)
        x = c.activation(2, 3, 8, 9, scale=F(0.06))
        c.done(op.lower(), c.add(op, [x], **attributes), F(1 / 256) if op == 'Sigmoid' else F(0.05))
    for opset, axis in ((15, -1), (15, 1), (12, 1)):
        c = Chain(w, dtype)
        x = c.activation(4, 6, scale=F(0.06))
        c.done(f'softmax_{opset}_{axis}'.replace('-', 'm'), c.add('Softmax', [x], axis=axis), F(1 / 256), np.iinfo(dtype).min, opset)


@both
def moving(w, dtype):
    """The integers move: with the same scale behind them nothing is computed at all."""
    for label, inputs, attributes in (
            ('Reshape', [np.array([2, -1])], {}), ('Transpose', [], {'perm': [0, 2, 3, 1]}), ('Squeeze', [np.array([1])], {}),
            ('Unsqueeze', [np.array([0])], {}), ('Flatten', [], {}), ('MaxPool', [], {'kernel_shape': [2, 2]}),
            ('Slice', [np.array([1]), np.array([3]), np.array([2])], {}), ('Gather', [np.array([2, 0])], {'axis': 2}),
            ('Resize', [np.array([], F), np.array([1, 1, 2, 2], F)], {'mode': 'nearest'})):
        for same in (True, False):
            c = Chain(w, dtype)
            x = c.activation(2, 1, 6, 8, scale=F(0.06), zero=7)
            y = c.add(label, [x, *(c.const(f'i{i}', a) for i, a in enumerate(inputs))], **attributes)
            c.done(f'{label.lower()}_{"same" if same else "other"}', y, F(0.06 if same else 0.11), 7 if same else -3 if dtype == np.int8 else 9)
    for label, scales in (('same', (0.06, 0.06)), ('other', (0.06, 0.09))):
        c = Chain(w, dtype)
        parts = [c.activation(2, n, 5, scale=F(s), zero=7) for n, s in zip((3, 4), scales, strict=True)]
        c.done(f'concat_{label}', c.add('Concat', parts, axis=1), F(0.06), 7)


@both
def chains(w, dtype):
    """Several operators, and what is between them."""
    c = Chain(w, dtype)
    x = c.activation(2, 3, 8, 8, scale=F(0.05))
    k, scales = c.weights(4, 3, 3, 3, axis=0)
    y = c.add('Relu', [c.add('Conv', [x, k, c.bias(4, F(0.05) * scales)], pads=[1, 1, 1, 1])])
    q = c.quantiser(0.2, np.iinfo(dtype).min)
    y = c.add('DequantizeLinear', [c.add('QuantizeLinear', [y, *q]), *q])
    y = c.add('Reshape', [c.add('Transpose', [y], perm=[0, 2, 3, 1]), c.const('shape', np.array([2, -1]))])
    y = c.add('DequantizeLinear', [c.add('QuantizeLinear', [y, *q]), *q])
    k, _ = c.weights(256, 6)
    c.done('conv_transpose_matmul', c.add('MatMul', [y, k]), F(3.0))
    # The result of one is read by two, once as a float.
    c = Chain(w, dtype)
    x = c.activation(2, 3, 8, 8, scale=F(0.05))
    q = c.quantiser(0.08, 5)
    y = c.add('DequantizeLinear', [c.add('QuantizeLinear', [c.add('Add', [x, c.activation(3, 8, 8)]), *q]), *q])
    c.done('shared', c.add('Mul', [c.add('Tanh', [y]), c.add('GlobalAveragePool', [y])]), F(0.02))


def static(w):
    """A small network through onnxruntime.quantization.quantize_static, both formats and types."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    rng = w.rng
    inits = {'w1': rng.normal(0, 0.3, (8, 3, 3, 3)), 'b1': rng.normal(0, 0.2, 8), 'w2': rng.normal(0, 0.2, (8, 1, 3, 3)),
             'w3': rng.normal(0, 0.3, (8, 8, 1, 1)), 'b3': rng.normal(0, 0.2, 8), 'w4': rng.normal(0, 0.2, (64, 10)), 'b4': rng.normal(0, 0.2, 10)}
    node = helper.make_node
    nodes = [node('Conv', ['x', 'w1', 'b1'], ['a'], pads=[1, 1, 1, 1]), node('Relu', ['a'], ['b']),
             node('Conv', ['b', 'w2'], ['c'], pads=[1, 1, 1, 1], group=8), node('Conv', ['c', 'w3', 'b3'], ['d']),
             node('Add', ['b', 'd'], ['e']), node('MaxPool', ['e'], ['f'], kernel_shape=[2, 2], strides=[2, 2]),
             node('AveragePool', ['f'], ['g'], kernel_shape=[2, 2], strides=[2, 2]), node('Sigmoid', ['f'], ['s']),
             node('MaxPool', ['s'], ['t'], kernel_shape=[2, 2], strides=[2, 2]), node('Concat', ['g', 't'], ['h'], axis=1),
             node('Flatten', ['h'], ['i']), node('Gemm', ['i', 'w4', 'b4'], ['y'])]
    shape = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, 'net', [shape('x', onnx.TensorProto.FLOAT, ['N', 3, 11, 11])],
                              [shape('y', onnx.TensorProto.FLOAT, ['N', 10])],
                              [numpy_helper.from_array(a.astype(F), n) for n, a in inits.items()])
    graph.input[0].type.tensor_type.shape.dim[2].dim_value = graph.input[0].type.tensor_type.shape.dim[3].dim_value = 11
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 15)], ir_version=8)
    data = [rng.uniform(-1, 1, (4, 3, 11, 11)).astype(F) for _ in range(4)]

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.left = list(data)

        def get_next(self):
            return {'x': self.left.pop()} if self.left else None

    for form in (QuantFormat.QDQ, QuantFormat.QOperator):
        for kind in (QuantType.QUInt8, QuantType.QInt8):
            for per_channel in (False, True):
                with tempfile.TemporaryDirectory() as folder:
                    paths = [Path(folder) / n for n in ('float.onnx', 'quantised.onnx')]
                    onnx.save(model, paths[0])
                    quantize_static(paths[0], paths[1], Reader(), quant_format=form, per_channel=per_channel, reduce_range=True,
                                    activation_type=kind, weight_type=QuantType.QInt8)
                    whole = onnx.load(paths[1])
                w.whole(f'static_{form.name.lower()}_{kind.name.lower()}_{"channels" if per_channel else "one"}', whole, {'x': data[0]})


@both
def float_products(w, dtype):
    """Nobody quantises the result: a sum of floats, or integers and one product."""
    for axis in (None, 1):
        c = Chain(w, dtype)
        k, _ = c.weights(13, 5, axis=axis)
        c.done(f'matmul_{axis}_floats', c.add('MatMul', [c.activation(3, 7, 13), k]))


EXACT = (convolutions, products, elementwise, moving, chains)
NEAR = (clipped, float_products, static)
