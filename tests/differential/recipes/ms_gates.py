# SPDX-License-Identifier: Apache-2.0
"""com.microsoft gates, and what mixes the streams of hyper-connections."""
import numpy as np

from differential.draft import MS, F
from differential.recipes import recipe

TWO = (F, np.float16)


@recipe('ScaledSiLU')
def silu(d, op):
    more = [d.give(d.array(d.choice(TWO), ()))] if d.chance(0.5) else []
    return d.emit(op, [d.pick(TWO), *more], domain=MS, **({'alpha': 1.25} if d.chance(0.6) else {}))


def filled(d, **more):
    """A value of either type with at least one dimension, the last of which is not empty."""
    return d.pick(TWO, low=1, fits=lambda a: a.shape[-1] > 0, **more)


@recipe('GatedAdd')
def gated_add(d, op):
    x = filled(d)
    if x is None:
        return None
    a = d.of(x)
    inputs = [x, d.tensor(a.dtype, a.shape), d.tensor(a.dtype, (*a.shape[:-1], 1))]
    if d.chance(0.3):
        inputs[:2] = inputs[1::-1]
    return d.emit(op, inputs, domain=MS)


@recipe('GatedRMSNorm')
def gated_norm(d, op):
    x = filled(d)
    if x is None:
        return None
    a = d.of(x)
    n = a.shape[-1]
    length = d.choice([k for k in range(1, n + 1) if n % k == 0])
    return d.emit(op, [x, d.tensor(a.dtype, (length,)), d.tensor(a.dtype, a.shape)], domain=MS, epsilon=d.choice([1e-5, 1e-2]),
                  **({'activation': d.choice(['silu', 'swish', 'sigmoid'])} if d.chance(0.8) else {}))


@recipe('EngramGate')
def engram(d, op):
    dtype, b, s, c, h = d.choice(TWO), *(d.integer(1, n) for n in (2, 4, 3, 20))
    inputs = [d.tensor(dtype, shape) for shape in ((b, s, c, h), (b, s, c, h), (b, s, h), (c, h), (c, h), (c, h))]
    scaled = d.chance(0.7)
    return d.emit(op, inputs if scaled else inputs[:5], d.integer(1, 2) if scaled else 1, domain=MS,
                  **({'epsilon': 1e-3} if d.chance(0.5) else {}))


def streams(d):
    """Streams, their attributes and their sizes as [...], C, H."""
    lead, c, h = d.shape(high=2), d.integer(1, 5), d.integer(1, 12)
    flat = d.chance(0.4)
    x = d.tensor(d.choice(TWO), (*lead, c * h) if flat else (*lead, c, h))
    return x, {'num_branches': c} if flat else {}, lead, c, h


@recipe('BranchwiseRMSNorm')
def branch_norm(d, op):
    x, more, _, c, h = streams(d)
    scale = [d.tensor(d.choice(TWO), d.choice([(h,), (c, h), (c * h,)]))] if d.chance(0.8) else []
    return d.emit(op, [x, *scale], domain=MS, epsilon=1e-2, **more)


@recipe('HyperConnectionPreMix', 'HyperConnectionPostMix')
def mix(d, op):
    x, more, lead, c, h = streams(d)
    other, gates = d.choice(TWO), [(*lead, c), (*lead, c, 1), (*lead, c, h)]
    if op == 'HyperConnectionPreMix':
        gates += [(*lead, c * h)] if more else []
        return d.emit(op, [x, d.tensor(other, d.choice(gates))], domain=MS,
                      **more, **({'reduction_scale': 0.5} if d.chance(0.6) else {}))
    inputs = [x, d.tensor(d.of(x).dtype, (*lead, h)), d.tensor(other, d.choice(gates))]
    return d.emit(op, inputs + ([d.tensor(other, (*lead, c, c))] if d.chance(0.6) else []), domain=MS, **more)
