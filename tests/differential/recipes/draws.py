# SPDX-License-Identifier: Apache-2.0
"""Random numbers, with a seed: then the first run of a session is the same each time."""
import numpy as np
from onnx import TensorProto

from differential.draft import FLOATS, NUMBERS, F
from differential.recipes import recipe

KINDS = (TensorProto.FLOAT, TensorProto.DOUBLE)


def seed(d):
    return float(d.choice([d.integer(0, 9), d.integer(0, 2**32), -d.integer(0, 2**32), d.rng.uniform(0, 1e6)]))


def spread(d, op):
    """Of a distribution: ONNX Runtime stops for good at one that is empty."""
    if 'Normal' in op:
        return {'mean': float(d.rng.uniform(-2, 2)), 'scale': float(d.rng.uniform(0.01, 2))} if d.chance(0.7) else {}
    low = float(d.rng.uniform(-2, 2))
    return {'low': low, 'high': low + float(d.rng.uniform(0.01, 3))} if d.chance(0.7) else {}


@recipe('RandomNormal', 'RandomUniform')
def numbers(d, op):
    if d.opset >= 22:
        return None
    kind = {'dtype': d.choice(KINDS)} if d.chance(0.7) else {}
    return d.emit(op, [], seed=seed(d), shape=d.shape(low=1), **kind, **spread(d, op))


@recipe('RandomNormalLike', 'RandomUniformLike')
def like(d, op):
    if d.opset >= 22:
        return None
    x = d.pick(NUMBERS)
    kind = {'dtype': d.choice(KINDS)} if d.of(x).dtype not in (F, np.float64) or d.chance(0.4) else {}
    return d.emit(op, [x], seed=seed(d), **kind, **spread(d, op))


@recipe('Bernoulli')
def bernoulli(d, op):
    if not 15 <= d.opset < 22:
        return None
    x = d.pick(FLOATS)
    kind = {'dtype': d.choice([*KINDS, TensorProto.INT32, TensorProto.UINT8, TensorProto.BOOL])} if d.chance(0.5) else {}
    return d.emit(op, [x], seed=seed(d), **kind)


@recipe('Multinomial')
def multinomial(d, op):
    if d.opset >= 22:
        return None
    x = d.pick([F, np.float16], 2, 2, lambda a: a.size > 0)
    kind = {'dtype': d.choice([TensorProto.INT32, TensorProto.INT64])} if d.chance(0.6) else {}
    return x and d.emit(op, [x], seed=seed(d), sample_size=d.integer(1, 20), **kind)
