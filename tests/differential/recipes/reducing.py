# SPDX-License-Identifier: Apache-2.0
"""Many elements to few, and normalisation."""
import numpy as np

from differential.draft import FLOATS
from differential.recipes import axis_of, recipe
from differential.recipes.moving import numbers


@recipe('ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceProd', 'ReduceL1', 'ReduceL2', 'ReduceLogSum',
        'ReduceLogSumExp', 'ReduceSumSquare')
def reduce(d, op):
    types = d.types(op)
    x = d.tensor(d.choice(types), d.shape(high=4), 0.2, 3) if op == 'ReduceLogSum' else d.pick(types, high=4)
    if x is None:
        return None
    a = d.of(x)
    # Nothing to reduce: ONNX Runtime leaves the shape as it was for some of them. Products that overflow are undefined.
    if (a.size == 0 and op != 'ReduceSum') or (op == 'ReduceProd' and np.abs(np.prod(a[a != 0].astype(np.float64))) > 1e8):
        return None
    # Of an empty one it also leaves axes that are counted from the end.
    axes = [axis_of(d, a, i) if d.opset >= 11 and a.size else i for i in range(a.ndim) if d.chance(0.5)]
    keep = {'keepdims': d.integer(0, 1)} if d.chance(0.7) else {}
    if op == 'ReduceLogSumExp' and a.dtype.kind == 'u':
        # log(exp(2.)) may be 1.9999999999999998, of which ONNX Runtime makes 1.
        exact = np.log(np.exp(a.astype(np.float64)).sum(axis=tuple(axes) or None))
        if np.any(np.abs(exact - np.round(exact)) < 1e-9):
            return None
    if not axes:
        return d.emit(op, [x], **keep)
    if d.has_attribute(op, 'axes'):
        return d.emit(op, [x], axes=axes, **keep)
    return d.emit(op, [x, numbers(d, axes)], **keep, **({'noop_with_empty_axes': 1} if d.chance(0.2) else {}))


@recipe('ArgMax', 'ArgMin')
def place(d, op):
    x = d.pick(d.types(op), low=1, high=4, fits=lambda a: a.size > 0)
    if x is None:
        return None
    a = d.of(x)
    axis = d.integer(0, a.ndim - 1)
    last = {'select_last_index': d.integer(0, 1)} if d.opset >= 12 and d.chance(0.5) else {}
    return d.emit(op, [x], **({'axis': axis_of(d, a, axis) if d.opset >= 11 else axis} if d.chance(0.9) else {}),
                  **({'keepdims': d.integer(0, 1)} if d.chance(0.8) else {}), **last)


@recipe('Softmax', 'LogSoftmax', 'Hardmax')
def softmax(d, op):
    x = d.pick(d.types(op), low=1, high=4, fits=lambda a: a.size > 0)
    if x is None:
        return None
    a = d.of(x)
    axis = d.integer(0, a.ndim - 1)
    return d.emit(op, [x], **({'axis': axis_of(d, a, axis) if d.opset >= 11 else axis} if d.chance(0.9) else {}))


@recipe('LpNormalization')
def lp(d, op):
    x = d.pick(d.types(op), low=1, high=4, fits=lambda a: a.size > 0)
    return x and d.emit(op, [x], axis=axis_of(d, d.of(x)), p=d.integer(1, 2))


@recipe('MeanVarianceNormalization')
def mvn(d, op):
    a = d.array(d.choice(d.types(op) or FLOATS), tuple(d.integer(1, 6) for _ in range(4)))
    if d.chance(0.2):  # NaN, where nothing varies; an integer, of which every mean is exact
        a[:, d.integer(0, a.shape[1] - 1)] = 3
    x = d.give(a)
    if d.opset < 9:
        return d.emit(op, [x], **{k: d.integer(0, 1) for k in ('across_channels', 'normalize_variance') if d.chance(0.7)})
    return d.emit(op, [x], **({'axes': [0, 2, 3]} if d.chance(0.5) else {'axes': [d.integer(0, 3)]}))


def image(d, dtype, channels=None, low=3, high=5):
    rank = d.integer(low, high)
    return d.tensor(dtype, (d.integer(1, 3), channels or d.integer(1, 9), *(d.integer(1, 12 if rank < 5 else 5) for _ in range(rank - 2))))


@recipe('BatchNormalization')
def batch_norm(d, op):
    dtype = d.choice(d.types(op))
    x = image(d, dtype, low=2)
    c = d.of(x).shape[1]
    rest = [d.constant(d.array(dtype, (c,), *r)) for r in ((-2, 2), (-2, 2), (-1, 1), (0.1, 2))]
    if d.opset >= 14 and d.chance(0.2):
        return d.emit(op, [x, *rest], 3, training_mode=1, momentum=d.choice([0.9, 0.5]))
    return d.emit(op, [x, *rest], epsilon=d.choice([1e-5, 1e-3]))


@recipe('InstanceNormalization')
def instance_norm(d, op):
    x = image(d, np.float32)
    c = d.of(x).shape[1]
    return d.emit(op, [x, d.tensor(np.float32, (c,)), d.tensor(np.float32, (c,))], **({'epsilon': 1e-2} if d.chance(0.3) else {}))


@recipe('GroupNormalization')
def group_norm(d, op):
    groups = d.integer(1, 3)
    x = image(d, d.choice(d.types(op) or FLOATS), groups * d.integer(1, 3))
    a = d.of(x)
    count = groups if d.opset < 21 else a.shape[1]
    return d.opset >= 18 and d.emit(op, [x, d.tensor(a.dtype, (count,)), d.tensor(a.dtype, (count,))], num_groups=groups,
                                     **({'epsilon': 1e-2} if d.chance(0.3) else {}))


@recipe('LayerNormalization', 'RMSNormalization')
def layer_norm(d, op):
    types = d.types(op, among=FLOATS)
    x = d.pick(types, low=1, high=4, fits=lambda a: a.size > 0) if types else None
    if x is None:
        return None
    a = d.of(x)
    axis = d.integer(0, a.ndim - 1)
    more = [d.tensor(a.dtype, a.shape[axis:])] + ([d.tensor(a.dtype, a.shape[axis:])]
                                                  if op == 'LayerNormalization' and d.chance(0.6) else [])
    outputs = d.choice([1, 1, 3, 2, (1, 0, 1)]) if op == 'LayerNormalization' else 1
    return d.emit(op, [x, *more], outputs, axis=axis_of(d, a, axis), epsilon=1e-3)


@recipe('LRN')
def lrn(d, op):
    return d.emit(op, [image(d, np.float32)], size=d.choice([1, 3, 5]), alpha=0.02, beta=0.7, bias=1.5)


@recipe('Det')
def det(d, op):
    n = d.integer(1, 5)
    return d.opset >= 11 and d.emit(op, [d.tensor(d.choice([np.float32, np.float64]), (*d.shape(high=2), n, n))])


@recipe('Einsum')
def einsum(d, op):
    if d.opset < 12:
        return None
    sizes = {c: d.integer(1, 6) for c in 'ijkl'}
    terms = [''.join(d.rng.permutation(list('ijkl'))[:d.integer(1, 3)]) for _ in range(d.integer(1, 3))]
    used = sorted(set(''.join(terms)))
    out = ''.join(str(c) for c in d.rng.permutation(used)[:d.integer(0, len(used))])
    equation = ','.join(terms) + ('->' + out if d.chance(0.8) else '')
    if d.chance(0.2):  # the diagonal of one of them
        sizes['j'], equation = sizes['i'], equation.replace('j', 'i')
    kind = d.choice([np.float32, np.float32, np.float64, np.int32, np.int64])
    return d.emit(op, [d.tensor(kind, [sizes[c] for c in t]) for t in terms], equation=equation)
