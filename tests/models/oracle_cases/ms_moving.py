# SPDX-License-Identifier: Apache-2.0
"""com.microsoft operators that move elements as their kin of ai.onnx do."""
import numpy as np

from oracle_cases import MS, F

TYPES = (F, np.float64, np.float16, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64, np.bool_,
         np.object_)


def values(w, dtype, *shape):
    x = w.rng.integers(0, 9, shape)
    return x.astype(np.str_).astype(object) if dtype == np.object_ else x.astype(dtype)


def expand_dims(w):
    for dtype in TYPES:
        w.case(f'expanddims_{np.dtype(dtype).name}', 'ExpandDims', [('x', values(w, dtype, 2, 3)), ('axis', np.array(1, np.int32))],
               ('axis',), domain=MS)
    for axis in (0, 2, 3, -1, -2, -4):
        for constant in (('axis',), ()):
            w.case(f'expanddims_at{axis}_{len(constant)}', 'ExpandDims',
                   [('x', values(w, F, 2, 3, 4)), ('axis', np.array(axis, np.int32))], constant, domain=MS)
    w.case('expanddims_listed', 'ExpandDims', [('x', values(w, F, 0, 3)), ('axis', np.array([1], np.int32))], domain=MS)


def gather_nd(w):
    for dtype in TYPES:
        for kind in (np.int32, np.int64):
            w.case(f'ms_gathernd_{np.dtype(dtype).name}_{np.dtype(kind).name}', 'GatherND',
                   [('x', values(w, dtype, 3, 4, 5)), ('i', np.array([[0, 1], [-1, -4], [2, 3]], kind))], domain=MS)
    for depth in (1, 3):
        i = np.stack([w.rng.integers(-n, n, (2, 3)) for n in (3, 4, 5)[:depth]], -1).astype(np.int32)
        w.case(f'ms_gathernd_depth{depth}', 'GatherND', [('x', values(w, F, 3, 4, 5)), ('i', i)], domain=MS)


def pad(w):
    x = ('x', values(w, F, 3, 4))
    for mode in ('constant', 'reflect', 'edge'):
        for label, pads in (('list', [1, 0, 2, 3]), ('row', [[0, 2, 1, 1]]), ('cut', [-1, 1, 0, -2] if mode == 'constant' else [0] * 4)):
            for constant in (('p',), ()):
                w.case(f'ms_pad_{mode}_{label}_{len(constant)}', 'Pad', [x, ('p', np.array(pads))], constant, domain=MS, mode=mode)
    for label, value in (('scalar', F(2.5)), ('list', np.array([-1.5], F))):
        w.case(f'ms_pad_value_{label}', 'Pad', [x, ('p', np.array([1, 1, 1, 1])), ('v', value)], domain=MS)


def ranges(w):
    for dtype in (F, np.float64, np.int16, np.int32, np.int64):
        for label, (start, limit, delta) in (('up', (1, 9, 2)), ('down', (9, 1, -3)), ('none', (5, 5, 1)), ('away', (5, 1, 2)),
                                             ('plain', (-3, 4, None))):
            given = [('s', np.array(start, dtype)), ('l', np.array([limit], dtype))]
            given += [('d', np.array(delta, dtype))] if delta is not None else []
            for constant in (('s', 'l', 'd'), ()):
                w.case(f'ms_range_{np.dtype(dtype).name}_{label}_{len(constant)}', 'Range', given, constant, domain=MS)
    w.case('ms_range_named_none', 'Range', [('s', F(0.5)), ('l', F(3)), None], domain=MS)
    for dtype in (F, np.float64):
        parts = [('s', dtype(0.1)), ('l', dtype(90)), ('d', dtype(0.3))]
        w.case(f'ms_range_parts_{np.dtype(dtype).name}', 'Range', parts, domain=MS)
        w.case(f'range_parts_{np.dtype(dtype).name}', 'Range', parts)


def unique(w):
    for label, x in (('plain', [2, 1, 1, 3, 4, 3]), ('nans', [2, np.nan, -0.0, 0, np.nan, 3, np.inf, 2]), ('zeros', [0, -0.0, 0]),
                     ('empty', []), ('one', [7])):
        w.case(f'ms_unique_{label}', 'Unique', [('x', np.array(x, F))], outputs=3, domain=MS)
    w.case('ms_unique_many', 'Unique', [('x', w.rng.integers(0, 40, 300).astype(F))], outputs=3, domain=MS)


EXACT = (expand_dims, gather_nd, pad, ranges, unique)
