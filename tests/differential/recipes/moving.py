# SPDX-License-Identifier: Apache-2.0
"""Operators that move elements, or tell of shapes and places."""
import numpy as np

from differential.draft import FIXED, FLOATS, NUMBERS, F
from differential.recipes import axis_of, recipe

ANY = FIXED + (np.object_,)


def numbers(d, values, dtype=np.int64):
    """A list of integers as an operand: mostly an initialiser."""
    array = np.asarray(values, dtype)
    return d.constant(array) if d.chance(0.8) else d.give(array, False)


def factored(d, count):
    """A shape of so many elements."""
    shape, left = [], count
    while left > 1 and len(shape) < 4 and d.chance(0.8):
        divisor = d.choice([n for n in range(1, left + 1) if left % n == 0])
        shape.append(divisor)
        left //= divisor
    return [*shape, left] if left != 1 or not shape else shape


@recipe('Reshape')
def reshape(d, op):
    x = d.pick(ANY)
    if x is None:
        return None
    if d.of(x).ndim and d.chance(0.2):  # some dimensions as they are, the others in one or several
        kept = d.integer(0, d.of(x).ndim)
        rest = int(np.prod(d.of(x).shape[kept:]))
        return d.emit(op, [x, numbers(d, [0] * kept + ([-1] if d.chance(0.5) and d.of(x).size else factored(d, rest) if rest else [0]))])
    shape = factored(d, d.of(x).size) if d.of(x).size else [0, 3]
    if d.of(x).size and d.chance(0.5):
        shape[d.integer(0, len(shape) - 1)] = -1
    elif d.of(x).size == 0:
        return d.emit(op, [x, numbers(d, [0, d.integer(1, 5)])], allowzero=1) if d.opset >= 14 else None
    return d.emit(op, [x, numbers(d, shape)])


@recipe('Flatten')
def flatten(d, op):
    x = d.pick(ANY)
    return x and d.emit(op, [x], axis=d.integer(0, d.of(x).ndim))


@recipe('Squeeze', 'Unsqueeze')
def squeeze(d, op):
    if op == 'Squeeze':
        shape = [1 if d.chance(0.4) else n for n in d.shape(low=1)]
        x, axes = d.tensor(d.choice(ANY), shape), [i for i, n in enumerate(shape) if n == 1]
        if not axes:
            return None
        if d.chance(0.15):
            return d.emit(op, [x])
        axes = [a for a in axes if d.chance(0.7)] or axes[:1]
        rank = len(shape)
    else:
        x = d.pick(ANY, high=3)
        if x is None:
            return None
        rank = d.of(x).ndim + d.integer(1, 2)
        axes = sorted(int(a) for a in d.rng.choice(rank, rank - d.of(x).ndim, replace=False))
    if d.opset >= 11 and d.chance(0.3):
        axes = [a - rank for a in axes]
    if d.opset < 13:
        return d.emit(op, [x], axes=axes)
    return d.emit(op, [x, numbers(d, axes)])


@recipe('Transpose')
def transpose(d, op):
    x = d.pick(ANY)
    return x and d.emit(op, [x], **({'perm': [int(p) for p in d.rng.permutation(d.of(x).ndim)]}
                                    if d.chance(0.8) and d.of(x).ndim else {}))


@recipe('Concat')
def concat(d, op):
    x = d.pick(ANY, low=1)
    if x is None:
        return None
    a, names = d.of(x), [x]
    axis = d.integer(0, a.ndim - 1)
    for _ in range(d.integer(0, 3)):
        shape = list(a.shape)
        shape[axis] = d.integer(0, 5)
        names.append(d.tensor(a.dtype, shape))
    return d.emit(op, names, axis=axis_of(d, a, axis) if d.opset >= 11 else axis)


@recipe('Split')
def split(d, op):
    x = d.pick(ANY, low=1, fits=lambda a: a.size > 0)
    if x is None:
        return None
    a = d.of(x)
    axis = d.integer(0, a.ndim - 1)
    n = a.shape[axis]
    count = d.integer(1, min(n, 4))
    cuts = sorted(int(c) for c in d.rng.integers(0, n + 1, count - 1))
    sizes = [b - c for b, c in zip([*cuts, n], [0, *cuts], strict=True)]
    where = axis_of(d, a, axis) if d.opset >= 11 else axis
    if d.opset < 18 and n % count == 0 and d.chance(0.3):
        return d.emit(op, [x], count, axis=where)
    if d.opset < 13:
        return d.emit(op, [x], count, axis=where, split=sizes)
    if d.opset >= 18 and d.chance(0.4):
        return d.emit(op, [x], count, axis=where, num_outputs=count)
    return d.emit(op, [x, numbers(d, sizes)], count, axis=where)


@recipe('Slice')
def cut(d, op):
    x = d.pick(ANY, low=1)
    if x is None:
        return None
    a = d.of(x)
    axes = [i for i in range(a.ndim) if d.chance(0.6)] or [0]
    starts = [d.integer(-a.shape[i] - 2, a.shape[i] + 2) for i in axes]
    steps = [d.choice([1, 1, 2, 3, -1, -2]) if d.opset >= 10 else 1 for _ in axes]
    # The largest integer with a negative step: ONNX Runtime takes it for "to the end", numpy for none.
    ends = [d.choice([d.integer(-a.shape[i] - 2, a.shape[i] + 2), 2**31 - 1 if s > 0 else -2**31])
            for i, s in zip(axes, steps, strict=True)]
    if d.opset < 10:
        return d.emit(op, [x], axes=axes, starts=starts, ends=ends)
    kind = d.choice([np.int32, np.int64])
    if d.chance(0.15) and axes == list(range(len(axes))):
        return d.emit(op, [x, numbers(d, starts, kind), numbers(d, ends, kind)] + ['', numbers(d, steps, kind)] * d.integer(0, 1))
    return d.emit(op, [x, numbers(d, starts, kind), numbers(d, ends, kind),
                       numbers(d, [axis_of(d, a, i) for i in axes], kind), numbers(d, steps, kind)])


@recipe('Pad')
def pad(d, op):
    x = d.pick(d.types(op), low=1, high=4, fits=lambda a: a.size > 0)
    if x is None:
        return None
    a = d.of(x)
    mode = d.choice(['constant', 'constant', 'reflect', 'edge'] + (['wrap'] if d.opset >= 19 else []))
    pads = [d.integer(0, 2 if mode == 'constant' else min(2, n - 1)) for n in a.shape * 2]
    if mode == 'constant' and d.chance(0.15):
        pads[0] = -1 if a.shape[0] > 1 else 0
    if d.opset < 11:
        return d.emit(op, [x], pads=pads, mode=mode, value=1.5)
    more = [d.constant(1, a.dtype)] if d.chance(0.6) else []
    if d.opset >= 18 and d.chance(0.3):
        axes = sorted(int(i) for i in d.rng.choice(a.ndim, d.integer(1, a.ndim), replace=False))
        pads = [pads[i] for i in axes] + [pads[i + a.ndim] for i in axes]
        more = (more or ['']) + [numbers(d, axes, d.choice([np.int32, np.int64]))]
    return d.emit(op, [x, numbers(d, pads), *more], mode=mode)


@recipe('Expand', 'Tile')
def repeat(d, op):
    x = d.pick(ANY, high=4)
    if x is None:
        return None
    a = d.of(x)
    if op == 'Tile':
        return d.emit(op, [x, numbers(d, [d.integer(0 if d.chance(0.1) else 1, 3) for _ in a.shape])])
    shape = [d.integer(1, 4) for _ in range(d.integer(0, 2))] + [d.integer(1, 5) if n == 1 else d.choice([n, 1]) for n in a.shape]
    return d.emit(op, [x, numbers(d, shape)])


@recipe('Gather')
def gather(d, op):
    # No strings: ONNX Runtime 1.31 copies the first of each row alone.
    x = d.pick(FIXED, low=1, high=4, fits=lambda a: a.size > 0)
    if x is None:
        return None
    a = d.of(x)
    axis = d.integer(0, a.ndim - 1)
    n = a.shape[axis]
    i = d.array(d.choice([np.int32, np.int64]), d.shape(high=2), -n if d.opset >= 11 else 0, n - 1)
    return d.emit(op, [x, d.give(i)], axis=axis_of(d, a, axis))


@recipe('GatherElements')
def gather_elements(d, op):
    x = d.pick(ANY, low=1, high=4, fits=lambda a: a.size > 0)
    if x is None:
        return None
    a = d.of(x)
    axis = d.integer(0, a.ndim - 1)
    shape = [d.integer(1, n) if i != axis else d.integer(1, 6) for i, n in enumerate(a.shape)]
    return d.emit(op, [x, d.give(d.array(d.choice([np.int32, np.int64]), shape, -a.shape[axis], a.shape[axis] - 1))],
                  axis=axis_of(d, a, axis))


@recipe('GatherND')
def gather_nd(d, op):
    x = d.pick(ANY, low=1, high=4, fits=lambda a: a.size > 0)
    if x is None:
        return None
    a = d.of(x)
    batch = d.integer(0, a.ndim - 1) if d.opset >= 12 and d.chance(0.4) else 0
    depth = d.integer(1, a.ndim - batch)
    lead = [*a.shape[:batch], *d.shape(d.integer(0 if batch else 1, 2))]
    i = np.stack([d.array(np.int64, lead, -n, n - 1) for n in a.shape[batch:batch + depth]], -1)
    return d.emit(op, [x, d.give(i)], **({'batch_dims': batch} if batch else {}))


@recipe('ScatterElements', 'Scatter')
def scatter_elements(d, op):
    x = d.pick(ANY, low=1, high=3, fits=lambda a: a.size > 0)
    if x is None or d.schema(op) is None or (op == 'Scatter' and d.opset > 10):
        return None
    a = d.of(x)
    axis = d.integer(0, a.ndim - 1)
    n = a.shape[axis]
    shape = [d.integer(1, m) for m in a.shape]
    how = d.choice(['none', 'add', 'mul'] + (['max', 'min'] if d.opset >= 18 else [])) if d.opset >= 16 and a.dtype.kind in 'fiu' else 'none'
    if how == 'none':  # twice the same place: the order would be undefined
        i = np.argsort(d.rng.random([n if k == axis else m for k, m in enumerate(shape)]), axis)
        i = np.take(i, range(shape[axis]), axis)
    else:
        i = d.array(np.int64, shape, -n, n - 1)
    return d.emit(op, [x, d.give(i.astype(d.choice([np.int32, np.int64]))), d.tensor(a.dtype, shape)], axis=axis_of(d, a, axis),
                  **({'reduction': how} if how != 'none' else {}))


@recipe('ScatterND')
def scatter_nd(d, op):
    x = d.pick(ANY, low=1, high=3, fits=lambda a: a.size > 0)
    if x is None or d.opset < 11:
        return None
    a = d.of(x)
    depth = d.integer(1, a.ndim)
    places = list(np.ndindex(*a.shape[:depth]))
    count = d.integer(1, min(len(places), 5))
    i = np.array([places[k] for k in d.rng.choice(len(places), count, replace=False)], np.int64)
    how = d.choice(['none', 'add', 'mul']) if d.opset >= 16 and a.dtype.kind in 'fiu' else 'none'
    return d.emit(op, [x, d.give(i), d.tensor(a.dtype, (count, *a.shape[depth:]))],
                  **({'reduction': how} if how != 'none' else {}))


@recipe('OneHot')
def one_hot(d, op):
    depth = d.integer(1, 6)
    i = d.pick([np.int64, np.int32, np.float32], high=3, fits=lambda a: np.array_equal(a, np.round(a)))
    if i is None or d.opset < 9:
        return None
    values = d.choice([np.array([0, 1], F), np.array([2, 5], np.int64), np.array([-1, 1], np.int32), np.array(['off', 'on'], object)])
    return d.emit(op, [i, d.constant(depth if d.chance(0.8) else [depth], d.choice([np.int64, np.int32, F])), d.give(values)],
                  axis=d.integer(-d.of(i).ndim - 1, d.of(i).ndim))


@recipe('Trilu')
def trilu(d, op):
    x = d.pick(FIXED, low=2, high=4)
    if x is None or d.opset < 14:
        return None
    return d.emit(op, [x, *([d.constant(d.integer(-4, 4), np.int64)] if d.chance(0.7) else [])], upper=d.integer(0, 1))


@recipe('Range')
def arange(d, op):
    kind = d.choice([np.float32, np.float64, np.int16, np.int32, np.int64])
    start, count, step = d.integer(-9, 9), d.integer(0, 12), d.choice([1, 2, -1, 3, -2])
    return d.opset >= 11 and d.emit(op, [d.give(np.asarray(v, kind)) for v in (start, start + count * step, step)])


@recipe('Shape', 'Size')
def shape_of(d, op):
    x = d.pick(ANY)
    if x is None:
        return None
    more = {'start': d.integer(-3, 3), 'end': d.integer(-3, 5)} if op == 'Shape' and d.opset >= 15 and d.chance(0.5) else {}
    return d.emit(op, [x], **more)


@recipe('ConstantOfShape')
def constant_of_shape(d, op):
    from onnx import numpy_helper
    value = {'value': numpy_helper.from_array(d.array(d.choice(FIXED), (1,)))} if d.chance(0.8) else {}
    return d.opset >= 9 and d.emit(op, [numbers(d, d.shape(high=3))], **value)


@recipe('NonZero')
def non_zero(d, op):
    x = d.pick([np.float32, np.int32, np.int64, np.uint8, np.bool_], low=1)
    return x and d.opset >= 9 and d.emit(op, [x])


@recipe('Compress')
def compress(d, op):
    x = d.pick(ANY, low=1, fits=lambda a: a.size > 0)
    if x is None or d.opset < 9:
        return None
    a = d.of(x)
    if d.chance(0.3):
        return d.emit(op, [x, d.tensor(np.bool_, (d.integer(1, a.size),))])
    axis = d.integer(0, a.ndim - 1)
    return d.emit(op, [x, d.tensor(np.bool_, (d.integer(1, a.shape[axis]),))],
                  axis=axis_of(d, a, axis) if d.opset >= 11 else axis)


@recipe('Unique')
def unique(d, op):
    x = d.pick([np.float32, np.float64, np.int64, np.int8, np.object_], low=1, high=3, fits=lambda a: a.size > 0)
    if x is None or d.opset < 11:
        return None
    return d.emit(op, [x], d.choice([4, 4, 1, (1, 0, 1), (1, 0, 0, 1)]), sorted=d.integer(0, 1), **({'axis': axis_of(d, d.of(x))} if d.chance(0.5) else {}))


@recipe('TopK')
def top_k(d, op):
    x = d.pick(d.types(op), low=1, high=4, fits=lambda a: a.size > 0)
    if x is None:
        return None
    a = d.of(x)
    axis = d.integer(0, a.ndim - 1)
    k = d.integer(1, a.shape[axis])
    if d.opset < 10:
        return d.emit(op, [x], 2, axis=axis, k=k)
    more = {'largest': d.integer(0, 1), 'sorted': 1} if d.opset >= 11 else {}
    return d.emit(op, [x, numbers(d, [k])], 2, axis=axis_of(d, a, axis), **more)


@recipe('CumSum', 'CumProd')
def running(d, op):
    types = d.types(op)
    x = d.pick(types, low=1, high=4) if types else None
    if x is None:
        return None
    axis = d.constant(axis_of(d, d.of(x)), d.choice([np.int32, np.int64]))
    return d.emit(op, [x, axis], exclusive=d.integer(0, 1), reverse=d.integer(0, 1))


@recipe('ReverseSequence')
def reverse_sequence(d, op):
    x = d.pick(FIXED, low=2, high=4, fits=lambda a: a.size > 0)
    if x is None or d.opset < 10:
        return None
    a, batch = d.of(x), d.integer(0, 1)
    return d.emit(op, [x, d.give(d.array(np.int64, (a.shape[batch],), 1, a.shape[1 - batch]))], batch_axis=batch,
                  time_axis=1 - batch)


@recipe('DepthToSpace', 'SpaceToDepth')
def depth(d, op):
    b = d.integer(1, 3)
    n, c, h, w = (d.integer(1, 4) for _ in range(4))
    kind = d.choice(d.types(op) or [np.float32])
    if op == 'SpaceToDepth':
        return d.emit(op, [d.tensor(kind, (n, c, h * b, w * b))], blocksize=b)
    return d.emit(op, [d.tensor(kind, (n, c * b * b, h, w))], blocksize=b,
                  **({'mode': d.choice(['DCR', 'CRD'])} if d.opset >= 11 else {}))


@recipe('EyeLike')
def eye(d, op):
    x = d.tensor(d.choice(NUMBERS), d.shape(2))
    to = {'dtype': d.choice([1, 10, 11, 6, 7, 13])} if d.chance(0.4) else {}
    return d.opset >= 9 and d.emit(op, [x], k=d.integer(-3, 3), **to)


@recipe('CenterCropPad')
def center(d, op):
    x = d.pick(FIXED, low=1, high=4, fits=lambda a: a.size > 0)
    if x is None or d.opset < 18:
        return None
    axes = [i for i in range(d.of(x).ndim) if d.chance(0.6)] or [0]
    kind = d.choice([np.int32, np.int64])
    if d.chance(0.2):
        return d.emit(op, [x, numbers(d, [d.integer(1, 9) for _ in d.of(x).shape], kind)])
    return d.emit(op, [x, numbers(d, [d.integer(1, 9) for _ in axes], kind)], axes=axes)


@recipe('Dropout')
def dropout(d, op):
    x = d.pick(d.types(op, among=FLOATS))
    if x is None or d.opset < 12:
        return x and d.emit(op, [x], d.integer(1, 2), **({'ratio': 0.25} if d.chance(0.4) else {}))
    if d.parent is not None or d.chance(0.3):  # at rest
        more = [d.constant(0.25, d.choice(FLOATS)), *([d.constant(False)] if d.chance(0.5) else [])] if d.chance(0.4) else []
        return d.emit(op, [x, *more], d.integer(1, 2))
    ratio = d.give(np.asarray(d.rng.uniform(0, 0.95), d.choice([np.float32, np.float64]))) if d.chance(0.8) else ''
    return d.emit(op, [x, ratio, d.give(np.array(d.chance(0.8)))], d.integer(1, 2), seed=d.integer(-2**40, 2**40))
