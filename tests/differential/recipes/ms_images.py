# SPDX-License-Identifier: Apache-2.0
"""com.microsoft operators on images and windows: crops, masked pools, pads that are data; and UnfoldTensor, SampleOp."""
import numpy as np

from differential.draft import MS, F
from differential.recipes import axis_of, recipe
from differential.recipes.moving import numbers
from differential.recipes.neural import windows
from differential.recipes.reducing import image


@recipe('CropAndResize')
def crop(d, op):
    x = image(d, F, low=4, high=4)
    if x is None:
        return None
    n = d.integer(0, 5)
    inside = d.tensor(F, (n, 4), -0.3, 1.3)
    return d.emit(op, [x, inside, d.give(d.array(np.int32, (n,), 0, d.of(x).shape[0] - 1)),
                       numbers(d, [d.integer(1, 6), d.integer(1, 6)], np.int32)], domain=MS, mode=d.choice(['bilinear', 'nearest']),
                  **({'extrapolation_value': 1.5} if d.chance(0.5) else {}))


@recipe('MaxpoolWithMask')
def masked(d, op):
    x = image(d, F)
    if x is None:
        return None
    n, c, *size = d.of(x).shape
    kernel, more = windows(d, size)
    for unknown in ('dilations', 'ceil_mode'):
        more.pop(unknown, None)
    # Where the mask leaves nothing of a window is the lowest float, and such graphs are not compared.
    mask = d.rng.random((d.choice([1, n]), d.choice([1, c, 2 * c]), *size)) < d.choice([0.9, 0.97, 0.995])
    return d.emit(op, [x, d.give(mask.astype(np.int32))], domain=MS, kernel_shape=kernel, **more)


@recipe('UnfoldTensor')
def unfold(d, op):
    # ONNX Runtime's kernel is registered for all types and refuses all but those of four and eight bytes.
    x = d.pick([F, np.float64, np.int32, np.int64], low=1, high=4)
    if x is None:
        return None
    a = d.of(x)
    axis = d.integer(0, a.ndim - 1)
    if a.shape[axis] == 0:
        return None
    more = {'dim': axis_of(d, a, axis)} if axis < a.ndim - 1 or d.chance(0.5) else {}
    return d.emit(op, [x], domain=MS, size=d.integer(1, a.shape[axis]), **more, **({'step': d.integer(1, 5)} if d.chance(0.6) else {}))


@recipe('SampleOp')
def sample(d, op):
    return d.emit(op, [d.pick([F])], domain=MS)


@recipe('ConvTransposeWithDynamicPads')
def transposed(d, op):
    spatial, group, per = d.integer(1, 3), d.integer(1, 2), d.integer(1, 3)
    cin, kernel = group * d.integer(1, 4), [d.integer(1, 3) for _ in range(spatial)]
    strides = [d.integer(1, 3) for _ in range(spatial)]
    inputs = [d.tensor(F, (d.integer(1, 2), cin, *(d.integer(2, 6) for _ in range(spatial)))), d.tensor(F, (cin, per, *kernel)),
              numbers(d, [d.integer(0, k - 1) if k > 1 else 0 for k in kernel * 2])]
    if d.chance(0.5):
        inputs.append(d.tensor(F, (per * group,)))
    more = {'auto_pad': d.choice(['NOTSET', 'VALID', 'SAME_UPPER', 'SAME_LOWER'])} if d.chance(0.3) else {}
    if d.chance(0.3):
        more['output_padding'] = [d.integer(0, s - 1) for s in strides]
    if d.chance(0.4):
        more['kernel_shape'] = kernel
    return d.emit(op, inputs, domain=MS, strides=strides, group=group, **more)
