# SPDX-License-Identifier: Apache-2.0
"""com.microsoft operators that move elements as their kin of ai.onnx do."""
import numpy as np

from differential.draft import FIXED, MS, F
from differential.recipes import recipe
from differential.recipes.moving import numbers

ANY = (*FIXED, np.object_)


@recipe('ExpandDims')
def expand_dims(d, op):
    x = d.pick(ANY, high=4)
    if x is None:
        return None
    rank = d.of(x).ndim
    axis = d.integer(-rank, rank)
    return d.emit(op, [x, numbers(d, [axis] if d.chance(0.3) else axis, np.int32)], domain=MS)


@recipe('ms-GatherND')
def gather_nd(d, _):
    x = d.pick(ANY, low=1, high=4, fits=lambda a: a.size > 0)
    if x is None:
        return None
    a = d.of(x)
    lead, kind = d.shape(low=0, high=2), d.choice([np.int32, np.int64])
    i = np.stack([d.array(kind, lead, -n, n - 1) for n in a.shape[:d.integer(1, a.ndim)]], -1)
    return d.emit('GatherND', [x, d.give(i)], domain=MS)


@recipe('ms-Pad')
def pad(d, _):
    x = d.pick([F], low=1, high=4, fits=lambda a: a.size > 0)
    if x is None:
        return None
    mode = d.choice(['constant', 'constant', 'reflect', 'edge'])
    pads = [d.integer(0, 2 if mode == 'constant' else min(2, n - 1)) for n in d.of(x).shape * 2]
    more = [d.give(d.array(F, d.choice([(), (1,)])))] if d.chance(0.6) else []
    return d.emit('Pad', [x, numbers(d, [pads] if d.chance(0.3) else pads), *more], domain=MS, mode=mode)


@recipe('ms-Range')
def ranges(d, _):
    dtype = d.choice([F, np.float64, np.int16, np.int32, np.int64])
    step = d.choice([1, 2, 3, -1, -2])
    more = [numbers(d, step, dtype)] if d.chance(0.7) else d.choice([[], ['']])
    return d.emit('Range', [numbers(d, d.choice([d.integer(-20, 20), [d.integer(-20, 20)]]), dtype),
                            numbers(d, d.integer(-20, 20), dtype), *more], domain=MS)


@recipe('ms-Unique')
def unique(d, _):
    x = d.give(np.round(d.array(F, (d.size(),)) * 3))
    return d.emit('Unique', [x], 3, domain=MS)
