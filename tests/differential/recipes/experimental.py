# SPDX-License-Identifier: Apache-2.0
"""Operators that ai.onnx had on trial until version 10."""
import numpy as np

from differential.draft import FIXED, F
from differential.recipes import axis_of, recipe
from differential.recipes.moving import numbers


def number(d):
    return float(F(d.rng.uniform(-2, 2)))


@recipe('Affine', 'Scale')
def affine(d, op):
    names = ['scale'] if op == 'Scale' else ['alpha', 'beta']
    return d.opset < 10 and d.emit(op, [d.pick([F])], **{n: number(d) for n in names if d.chance(0.8)})


@recipe('ScaledTanh', 'ParametricSoftplus')
def curve(d, op):
    return d.opset < 10 and d.emit(op, [d.pick([F])], alpha=number(d), beta=number(d))


@recipe('ImageScaler')
def image_scaler(d, op):
    x = d.pick([F], low=4, high=4)
    return d.opset < 10 and x and d.of(x).shape[1] > 0 and d.emit(
        op, [x], bias=[number(d) for _ in range(d.of(x).shape[1])], **({'scale': number(d)} if d.chance(0.7) else {}))


@recipe('Crop')
def crop(d, op):
    x = d.pick([F], low=4, high=4)
    if x is None or d.opset >= 10:
        return None
    height, width = d.of(x).shape[2:]
    top, left = d.integer(0, height), d.integer(0, width)
    bottom, right = d.integer(0, height - top), d.integer(0, width - left)
    if d.chance(0.5):
        return d.emit(op, [x], border=[left, top, right, bottom])
    return d.emit(op, [x], border=[left, top, d.integer(0, 9), d.integer(0, 9)], scale=[bottom, right])


@recipe('DynamicSlice')
def dynamic_slice(d, op):
    x = d.pick([*FIXED, np.object_], low=1)
    if x is None or d.opset >= 10:
        return None
    a, kind = d.of(x), d.choice([np.int32, np.int64])
    axes = [i for i in range(a.ndim) if d.chance(0.6)] or [0]
    named = d.chance(0.6)
    if not named:
        axes = list(range(len(axes)))
    starts = [d.integer(-a.shape[i] - 2, a.shape[i] + 2) for i in axes]
    ends = [d.choice([d.integer(-a.shape[i] - 2, a.shape[i] + 2), 2**31 - 1]) for i in axes]
    more = [numbers(d, [axis_of(d, a, i) for i in axes], kind)] if named else []
    return d.emit(op, [x, numbers(d, starts, kind), numbers(d, ends, kind), *more])
