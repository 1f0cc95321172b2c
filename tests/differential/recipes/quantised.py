# SPDX-License-Identifier: Apache-2.0
"""Integers that stand for reals."""
import numpy as np

from differential.draft import MS, F
from differential.recipes import recipe
from differential.recipes.neural import windows
from differential.recipes.reducing import image

BYTES = (np.uint8, np.int8)


def scale(d, n=None, low=0.01, high=0.1):
    return d.constant(d.rng.uniform(low, high, () if n is None else (n,)), F)


def zero(d, dtype, n=None):
    return d.constant(d.array(dtype, () if n is None else (n,), -5, 9))


def full(d, dtype, shape, constant=None):
    """Over the type's whole range; weights of int8 of 7 bits, as without VNNI ONNX Runtime's sums saturate."""
    limits = np.iinfo(dtype)
    low, high = (-64, 63) if constant and dtype == np.int8 else (limits.min, limits.max)
    return d.give(d.array(dtype, shape, low, high), constant)


@recipe('QuantizeLinear', 'DequantizeLinear')
def linear(d, op):
    if d.opset < 10:
        return None
    dtype = d.choice(BYTES if d.opset < 21 else (*BYTES, np.int16, np.uint16))
    shape = d.shape(low=1, high=4)
    if 0 in shape:
        return None
    axis = d.integer(0, len(shape) - 1) if d.opset >= 13 and d.chance(0.5) else None
    n = None if axis is None else shape[axis]
    if op == 'DequantizeLinear' and d.chance(0.15):  # a bias: it has no zero point
        return d.emit(op, [d.give(d.array(np.int32, shape, -1000, 1000)), scale(d, n)], **({'axis': axis} if axis is not None else {}))
    x = d.tensor(F, shape, -4, 4) if op == 'QuantizeLinear' else full(d, dtype, shape)
    if d.chance(0.15):
        return d.emit(op, [x, scale(d, n)], **({'axis': axis} if axis is not None else {}))
    return d.emit(op, [x, scale(d, n), zero(d, dtype, n)], **({'axis': axis} if axis is not None else {}))


@recipe('blocked')
def blocked(d, _):
    """A scale for each block along an axis, of integers down to four bits: there and back, as numpy lacks the small ones."""
    if d.opset < 21:
        return None
    size, blocks, rows = d.integer(1, 5), d.integer(1, 4), d.integer(1, 6)
    axis = d.integer(0, 1)
    shape = [rows, rows]
    shape[axis] = size * blocks - d.integer(0, size - 1)
    scales = list(shape)
    scales[axis] = blocks
    s = d.constant(d.array(F, scales, 0.05, 0.5))
    kind = d.choice([2, 3, 4, 5, 21, 22])  # uint8, int8, uint16, int16, uint4, int4
    more = {'axis': axis, 'block_size': size}
    return d.chain([('QuantizeLinear', [d.tensor(F, shape), s], {**more, 'output_dtype': kind}),
                    ('DequantizeLinear', [None, s], more)])


@recipe('qdq')
def qdq(d, _):
    """An operator between DequantizeLinear and QuantizeLinear, which a pass makes an operator on integers. Its results
    end as reals, in which a step more or less may be told from a wrong one."""
    if d.opset < 13:
        return None
    dtype = d.choice(BYTES)
    point = lambda: [scale(d, None, 0.02, 0.05), zero(d, dtype)]  # noqa: E731
    op = d.choice(['Conv', 'MatMul', 'Add', 'Mul', 'AveragePool', 'GlobalAveragePool', 'Sigmoid', 'LeakyRelu', 'MaxPool',
                   'Transpose', 'Reshape', 'Softmax', 'Gemm', 'Relu'])
    picture = op in ('Conv', 'AveragePool', 'GlobalAveragePool', 'MaxPool')
    x = d.tensor(F, (1, d.integer(1, 6), d.integer(3, 9), d.integer(3, 9)) if picture else (d.integer(1, 6), d.integer(1, 12)),
                 -2, 2)
    shape, first = d.of(x).shape, point()
    more, attributes = [], {}
    if op in ('Conv', 'MatMul', 'Gemm'):
        m = d.integer(1, 8)
        columns = d.integer(0, 1)
        wanted = (m, shape[1], 3, 3) if op == 'Conv' else (shape[1], m)
        w = d.emit('DequantizeLinear', [full(d, np.int8, wanted, True), scale(d, m if columns else None, 0.005, 0.02),
                                        d.constant(np.zeros((m,) if columns else (), np.int8))],
                   axis=0 if op == 'Conv' else 1)
        if not w:
            return None
        more, attributes = [w[0]], {'pads': [1, 1, 1, 1]} if op == 'Conv' else {}
    elif op in ('Add', 'Mul'):
        other = d.tensor(F, shape, -2, 2)
        p = point()
        q = d.emit('QuantizeLinear', [other, *p])
        r = q and d.emit('DequantizeLinear', [q[0], *p])
        if not r:
            return None
        more = [r[0]]
    elif op in ('AveragePool', 'MaxPool'):
        attributes = {'kernel_shape': [2, 2], 'strides': [d.integer(1, 2)] * 2}
    elif op == 'Reshape':
        more = [d.constant([-1], np.int64)]
    elif op == 'LeakyRelu':
        attributes = {'alpha': 0.2}
    last = first if op in ('MaxPool', 'Transpose', 'Reshape', 'Relu') else [scale(d, None, 0.03, 0.1), zero(d, dtype)]
    return d.chain([('QuantizeLinear', [x, *first], {}), ('DequantizeLinear', [None, *first], {}),
                    (op, [None, *more], attributes), ('QuantizeLinear', [None, *last], {}),
                    ('DequantizeLinear', [None, *last], {})])


@recipe('DynamicQuantizeLinear')
def dynamic(d, op):
    x = d.pick([np.float32], fits=lambda a: a.size > 0)
    return x and d.opset >= 11 and d.emit(op, [x], 3)


@recipe('MatMulInteger', 'QLinearMatMul')
def product(d, op):
    if d.opset < 10:
        return None
    at, bt = d.choice([(np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8)])
    m, k, n = d.integer(1, 9), d.integer(1, 70), d.integer(1, 40)
    a, b = full(d, at, (*d.shape(high=1), m, k), False), full(d, bt, (k, n), True)
    if op == 'MatMulInteger':
        return d.emit(op, [a, b, *[zero(d, at), zero(d, bt)][:d.choice([2, 2, 1, 0])]])
    columns = n if d.chance(0.4) else None
    return d.emit(op, [a, scale(d), zero(d, at), b, scale(d, columns), zero(d, bt, columns), scale(d, None, 0.2, 3), zero(d, at)])


@recipe('ConvInteger', 'QLinearConv')
def conv(d, op):
    if d.opset < 10:
        return None
    xt, wt = (np.uint8, np.uint8) if op == 'ConvInteger' else d.choice([(np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8)])
    group = d.choice([1, 1, 2])
    c, m = group * d.integer(1, 5), group * d.integer(1, 6)
    if d.chance(0.15):  # depthwise
        m = group = c
    x = image(d, xt, c)
    kernel, drawn = windows(d, d.of(x).shape[2:])
    if d.chance(0.4):
        drawn['kernel_shape'] = kernel
    if group > 1:
        drawn['group'] = group
    w = full(d, wt, (m, c // group, *kernel), True)
    if op == 'ConvInteger':
        return d.emit(op, [x, w, *[zero(d, xt), zero(d, wt)][:d.choice([2, 2, 1, 0])]], **drawn)
    bias = [d.constant(d.array(np.int32, (m,), -500, 500))] if d.chance(0.5) else []
    return d.emit(op, [x, scale(d), zero(d, xt), w, scale(d), zero(d, wt), scale(d, None, 0.05, 1), zero(d, xt), *bias], **drawn)


@recipe('QLinearAdd', 'QLinearMul')
def pairwise(d, op):
    dtype, shape = d.choice(BYTES), d.shape(high=4)
    other = tuple(1 if d.chance(0.3) else n for n in shape)
    def point():
        return zero(d, dtype) if d.chance(0.9) else ''
    inputs = [full(d, dtype, shape), scale(d), point(), full(d, dtype, other), scale(d), point(), scale(d), point()]
    return d.emit(op, inputs if inputs[-1] else inputs[:-1], domain=MS)


@recipe('QLinearSigmoid', 'QLinearLeakyRelu')
def table(d, op):
    dtype = d.choice(BYTES)
    return d.emit(op, [full(d, dtype, d.shape(high=4)), scale(d), zero(d, dtype), scale(d), zero(d, dtype)], domain=MS,
                  **({'alpha': 0.2} if op == 'QLinearLeakyRelu' else {}))


@recipe('QLinearConcat')
def concat(d, op):
    dtype, shape = d.choice(BYTES), list(d.shape(low=1, high=4))
    axis, parts = d.integer(0, len(shape) - 1), []
    for _ in range(d.integer(1, 3)):
        shape[axis] = d.integer(1, 5)
        parts += [full(d, dtype, shape), scale(d), zero(d, dtype)]
    return d.emit(op, [scale(d), zero(d, dtype), *parts], domain=MS, axis=axis)


@recipe('QGemm')
def qgemm(d, op):
    dtype, m, k, n, tb = d.choice(BYTES), d.integer(1, 9), d.integer(1, 40), d.integer(1, 20), d.integer(0, 1)
    a, b = full(d, dtype, (m, k), False), full(d, dtype, (n, k) if tb else (k, n), True)
    return d.emit(op, [a, scale(d), zero(d, dtype), b, scale(d), zero(d, dtype), d.constant(d.array(np.int32, (n,), -900, 900)),
                       scale(d, None, 0.1, 2), zero(d, dtype)], domain=MS, transB=tb, alpha=0.7)


@recipe('DynamicQuantizeMatMul', 'MatMulIntegerToFloat')
def float_product(d, op):
    dtype, k, n = d.choice(BYTES), d.integer(1, 40), d.integer(1, 20)
    b = full(d, dtype, (k, n), True)
    bias = [d.tensor(F, (n,))] if d.chance(0.4) else []
    columns = n if d.chance(0.3) else None
    if op == 'DynamicQuantizeMatMul':
        return d.emit(op, [d.tensor(F, (d.integer(1, 5), k)), b, scale(d, columns), zero(d, dtype, columns), *bias], domain=MS)
    at = d.choice(BYTES) if dtype == np.int8 else np.uint8
    return d.emit(op, [full(d, at, (d.integer(1, 5), k), False), b, scale(d), scale(d, columns), zero(d, at), zero(d, dtype, columns),
                       *bias], domain=MS)
