# SPDX-License-Identifier: Apache-2.0
"""Windows, spectra and the losses of training."""
import numpy as np

from differential.draft import FIXED, F
from differential.recipes import recipe
from differential.recipes.moving import numbers


def scalar(d, value, dtype=np.int64):
    array = np.asarray(value, dtype)
    return d.constant(array) if d.chance(0.6) else d.give(array, False)


@recipe('BlackmanWindow', 'HammingWindow', 'HannWindow')
def window(d, op):
    """Not of two elements: both ends are 0 but for rounding, and nothing stands beside them."""
    return d.opset >= 17 and d.emit(op, [scalar(d, d.integer(3, 40), d.choice([np.int32, np.int64]))], periodic=d.integer(0, 1),
                                    output_datatype=d.choice([1, 1, 11]))


@recipe('MelWeightMatrix')
def mel(d, op):
    length, rate = d.choice([16, 32, 33, 64]), d.choice([8000, 16000])
    return d.opset >= 17 and d.emit(op, [scalar(d, d.integer(2, 9)), scalar(d, length), scalar(d, rate),
                                         scalar(d, d.choice([0.0, 100.0]), F), scalar(d, d.choice([1, 0.5]) * rate / 2, F)],
                                    **({'output_datatype': d.choice([1, 11])} if d.chance(0.4) else {}))


@recipe('DFT')
def dft(d, op):
    if d.opset < 17:
        return None
    parts = d.integer(1, 2)
    shape = [d.integer(1, 3), *(d.integer(2, 20) for _ in range(d.integer(1, 2))), parts]
    axis = d.integer(1, len(shape) - 2)
    x = d.tensor(d.choice([F, np.float64]), shape)
    length = scalar(d, d.integer(1, 24), d.choice([np.int32, np.int64])) if d.chance(0.3) else ''
    drawn = {'onesided': 1} if parts == 1 and d.chance(0.4) else {'inverse': d.integer(0, 1)}
    if d.opset < 20:
        return d.emit(op, [x, length] if length else [x], axis=axis, **drawn)
    return d.emit(op, [x, length, scalar(d, axis - (len(shape) if d.chance(0.3) else 0))], **drawn)


@recipe('STFT')
def stft(d, op):
    if d.opset < 17:
        return None
    length, frame = d.integer(20, 60), d.integer(3, 20)
    dtype = d.choice([F, np.float64])
    x = d.tensor(dtype, (d.integer(1, 3), length, 1))
    kind = d.choice([np.int32, np.int64])
    inputs = [x, scalar(d, d.integer(1, 9), kind), d.tensor(dtype, (frame,), 0, 1) if d.chance(0.7) else '']
    if inputs[2] == '' or d.chance(0.5):
        inputs.append(scalar(d, frame, kind))
    return d.emit(op, inputs, onesided=d.integer(0, 1))


@recipe('NegativeLogLikelihoodLoss', 'SoftmaxCrossEntropyLoss')
def loss(d, op):
    if d.opset < 12:
        return None
    n, c, rest = d.integer(1, 4), d.integer(1, 6), [d.integer(1, 4) for _ in range(d.integer(0, 2))]
    labels = d.array(d.choice([np.int32, np.int64]), (n, *rest), 0, c - 1)
    labels.flat[0] = 0  # one that counts: a mean over none is undefined
    inputs = [d.tensor(F, (n, c, *rest)), d.give(labels)]
    if d.chance(0.5):
        inputs.append(d.tensor(F, (c,), 0.2, 2))
    ignored = {'ignore_index': d.choice([c, -1, c - 1 if c > 1 else c])} if d.chance(0.4) else {}
    outputs = d.integer(1, 2) if op[0] == 'S' else 1
    return d.emit(op, inputs, outputs, reduction=d.choice(['none', 'sum', 'mean']), **ignored)


@recipe('Constant')
def constant(d, op):
    from onnx import numpy_helper
    forms = [lambda: {'value': numpy_helper.from_array(d.array(d.choice([F, np.float16, np.int64, np.bool_]), d.shape(high=3)))}]
    if d.opset >= 12:
        forms += [lambda: {'value_float': 1.5}, lambda: {'value_floats': [0.5, -2.0]}, lambda: {'value_int': -3},
                  lambda: {'value_ints': [4, 5, 6]}, lambda: {'value_string': 'one'}, lambda: {'value_strings': ['a', '', 'b']}]
    return d.emit(op, [], **d.choice(forms)())


@recipe('TensorScatter')
def tensor_scatter(d, op):
    if d.opset < 24:
        return None
    b, length, t, e = d.integer(1, 3), d.integer(3, 9), d.integer(1, 3), d.integer(1, 6)
    mode = d.choice(['linear', 'circular'])
    places = d.array(np.int64, (b,), 0, length - t if mode == 'linear' else length - 1)
    dtype = d.choice(FIXED)
    return d.emit(op, [d.tensor(dtype, (b, 2, length, e)), d.tensor(dtype, (b, 2, t, e)), d.give(places)], axis=-2, mode=mode)


@recipe('NonMaxSuppression')
def nms(d, op):
    if d.opset < 10:
        return None
    n, boxes, classes = d.integer(1, 2), d.integer(1, 12), d.integer(1, 3)
    center = d.integer(0, 1)
    corners = np.sort(d.rng.uniform(0, 4, (n, boxes, 2, 2)), 2).reshape(n, boxes, 4).astype(F)
    if center:
        corners = np.concatenate([corners[..., :2] + 1, corners[..., 2:] / 2], -1)
    inputs = [d.give(corners), d.tensor(F, (n, classes, boxes), 0, 1), scalar(d, d.integer(0, 5)),
              scalar(d, [0.3], F) if d.chance(0.9) else '', scalar(d, [0.2], F)]
    return d.emit(op, inputs[:d.integer(3, 5)], **({'center_point_box': center} if center or d.chance(0.5) else {}))


@recipe('numbers-of-shape')
def shape_arithmetic(d, _):
    """What exporters write for Reshape: dimensions taken from Shape, computed with and put together again."""
    if d.opset < 13:
        return None
    x = d.pick([F], low=2, high=4, fits=lambda a: a.size > 0)
    shape = x and d.emit('Shape', [x])
    if not shape:
        return None
    axis = d.integer(0, d.of(x).ndim - 1)
    one = d.emit('Gather', [shape[0], d.constant([axis], np.int64)], axis=0)
    rest = d.emit('Slice', [shape[0], numbers(d, [axis + 1]), numbers(d, [2**31])])
    head = d.emit('Slice', [shape[0], numbers(d, [0]), numbers(d, [axis])])
    if not one or not rest or not head:
        return None
    half = d.emit('Div', [one[0], d.constant([1], np.int64)])
    whole = half and d.emit('Concat', [head[0], half[0], d.constant([1], np.int64), rest[0]], axis=0)
    return whole and d.emit('Reshape', [x, whole[0]])
