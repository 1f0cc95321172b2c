# SPDX-License-Identifier: Apache-2.0
"""Normalisations: every type, axes, scales that are broadcast, and training."""
import numpy as np

from oracle_cases import MS, F

HALF, DOUBLE = np.float16, np.float64


def floats(w, *shape, dtype=F):
    return (w.rng.standard_normal(shape) * 2 + 0.3).astype(dtype)


def batch(w):
    for dtype in (F, DOUBLE):
        t = np.dtype(dtype).name
        for label, shape in (('plane', (2, 5, 4, 3)), ('line', (3, 5, 7)), ('rows', (6, 5)), ('volume', (2, 4, 3, 2, 3)),
                             ('empty', (0, 5, 4))):
            c = shape[1]
            values = [('x', floats(w, *shape, dtype=dtype)), ('s', floats(w, c, dtype=dtype)),
                      ('b', floats(w, c, dtype=dtype)), ('m', floats(w, c, dtype=dtype)),
                      ('v', w.rng.uniform(0.1, 3, c).astype(dtype))]
            for opset in (7, 9, 15):
                for constant in (('s', 'b', 'm', 'v'), ()):
                    w.case(f'batchnorm_{t}_{label}_{opset}_{"constant" if constant else "given"}', 'BatchNormalization',
                           values, constant, opset=opset, epsilon=1e-3)
            if label != 'empty':
                w.case(f'batchnorm_{t}_{label}_training', 'BatchNormalization', values, outputs=3, opset=15,
                       training_mode=1, momentum=0.7)
        own = (5, 4, 3)
        w.case(f'batchnorm_{t}_not_spatial', 'BatchNormalization',
               [('x', floats(w, 2, *own, dtype=dtype)), ('s', floats(w, *own, dtype=dtype)),
                ('b', floats(w, *own, dtype=dtype)), ('m', floats(w, *own, dtype=dtype)),
                ('v', w.rng.uniform(0.1, 3, own).astype(dtype))], opset=7, spatial=0)


def layer(w):
    for dtype in (F, DOUBLE, HALF):
        t = np.dtype(dtype).name
        x = ('x', floats(w, 3, 4, 5, 6, dtype=dtype))
        for axis, scales in ((-1, (6,)), (2, (5, 6)), (0, (3, 4, 5, 6)), (-3, (4, 1, 6)), (2, (4, 5, 6)), (-1, (1,))):
            s, b = ('s', floats(w, *scales, dtype=dtype)), ('b', floats(w, *scales, dtype=dtype))
            label = f'{t}_{axis}_{"x".join(map(str, scales))}'.replace('-', 'm')
            w.case(f'layernorm_{label}', 'LayerNormalization', [x, s, b], opset=17, axis=axis, outputs=3)
            w.case(f'rmsnorm_{label}', 'RMSNormalization', [x, s], opset=23, axis=axis, epsilon=1e-3)
        s = ('s', floats(w, 6, dtype=dtype))
        w.case(f'layernorm_{t}_no_bias', 'LayerNormalization', [x, s], opset=17)
        w.case(f'simplifiedlayernorm_{t}', 'SimplifiedLayerNormalization', [x, s], opset=13, outputs=2, epsilon=1e-4)
    empty = ('x', np.zeros((2, 0, 6), F))
    w.case('layernorm_empty', 'LayerNormalization', [empty, ('s', floats(w, 6)), ('b', floats(w, 6))], opset=17)


def skip(w):
    n = 8
    for dtype in (F, HALF):
        t = np.dtype(dtype).name
        vector = {k: (k, floats(w, n, dtype=dtype)) for k in ('g', 'b', 'bias')}
        for label, shape, other in (('same', (2, 3, n), (2, 3, n)), ('one', (2, 3, n), (1, 3, n)),
                                    ('flat', (2, 3, n), (3, n)), ('rows', (4, n), (4, n))):
            x, s = ('x', floats(w, *shape, dtype=dtype)), ('skip', floats(w, *other, dtype=dtype))
            w.case(f'skiplayernorm_{t}_{label}', 'SkipLayerNormalization', [x, s, vector['g'], vector['b']], domain=MS,
                   epsilon=1e-5)
            w.case(f'skiplayernorm_{t}_{label}_bias', 'SkipLayerNormalization',
                   [x, s, vector['g'], vector['b'], vector['bias']], domain=MS, epsilon=1e-5)
            w.case(f'skipsimplified_{t}_{label}', 'SkipSimplifiedLayerNormalization',
                   [x, s, vector['g'], vector['bias']], domain=MS, epsilon=1e-5)


def groups(w):
    for dtype in (F, HALF, DOUBLE):
        t = np.dtype(dtype).name
        for label, shape in (('plane', (2, 6, 4, 3)), ('line', (2, 6, 5)), ('volume', (1, 6, 2, 3, 4)), ('empty', (2, 6, 0))):
            x = ('x', floats(w, *shape, dtype=dtype))
            if not (dtype is DOUBLE and label == 'empty'):
                for g in (1, 3, 6):
                    s, b = ('s', floats(w, 6, dtype=dtype)), ('b', floats(w, 6, dtype=dtype))
                    if label != 'empty':
                        w.case(f'groupnorm_{t}_{label}_{g}', 'GroupNormalization', [x, s, b], opset=21, num_groups=g)
                        own = [('s', floats(w, g, dtype=dtype)), ('b', floats(w, g, dtype=dtype))]
                        w.case(f'groupnorm18_{t}_{label}_{g}', 'GroupNormalization', [x, *own], opset=18, num_groups=g)
            if dtype is not DOUBLE and label != 'empty':
                w.case(f'instancenorm_{t}_{label}', 'InstanceNormalization', [x, s, b], opset=15, epsilon=1e-2)


def axes(w):
    for dtype in (F, DOUBLE):
        x = ('x', floats(w, 2, 3, 4, 5, dtype=dtype))
        x[1][0, :, 1, 2] = 0
        for axis in (0, 1, -1, -2):
            for p in (1, 2):
                w.case(f'lpnorm_{np.dtype(dtype).name}_{axis}_{p}'.replace('-', 'm'), 'LpNormalization', [x], opset=22,
                       axis=axis, p=p)
    x = ('x', floats(w, 2, 3, 4, 5))
    w.case('mvn_default', 'MeanVarianceNormalization', [x], opset=13)
    for label, which in (('channels', [0, 1, 2, 3]), ('space', [2, 3]), ('all_negative', [-4, -2, -1])):
        w.case(f'mvn_{label}', 'MeanVarianceNormalization', [x], opset=9, axes=which)
    for across in (0, 1):
        for variance in (0, 1):
            w.case(f'mvn1_{across}_{variance}', 'MeanVarianceNormalization', [x], opset=8, across_channels=across,
                   normalize_variance=variance)


def constant_channels(w):
    """Nothing varies in one of them: 0 / 0."""
    x = ('x', floats(w, 2, 3, 4, 5))
    x[1][:, 1] = 3
    for opset in (8, 9, 12, 13, 20):
        more = {'across_channels': 0, 'normalize_variance': 1} if opset < 9 else {}
        w.case(f'mvn_constant_{opset}', 'MeanVarianceNormalization', [x], opset=opset, **more)
    w.case('mvn_constant_everywhere', 'MeanVarianceNormalization', [('x', np.full((1, 2, 2, 3), 5, F))], opset=13, axes=[0, 1, 2, 3])


def embedded(w):
    batch, rows, hidden = 2, 5, 8
    ids = ('ids', w.rng.integers(0, 20, (batch, rows)).astype(np.int32))
    segments = ('segments', w.rng.integers(0, 2, (batch, rows)).astype(np.int32))
    mask = ('mask', np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32))
    words, positions, table = (('words', floats(w, 20, hidden)), ('positions', floats(w, 12, hidden)),
                               ('table', floats(w, 2, hidden)))
    norm = [('g', floats(w, hidden)), ('b', floats(w, hidden))]
    places = ('places', w.rng.integers(0, 12, (1, rows)).astype(np.int32))
    all_places = ('places', w.rng.integers(0, 12, (batch, rows)).astype(np.int32))
    for label, s, m, p in (('all', True, mask, None), ('plain', False, None, None), ('places', True, None, places),
                           ('own_places', True, mask, all_places)):
        w.case(f'embedlayernorm_{label}', 'EmbedLayerNormalization',
               [ids, segments if s else None, words, positions, table if s else None, *norm, m, p][:9 if p else 8 if m else 7],
               domain=MS, outputs=3, epsilon=1e-6)


NEAR = (batch, layer, skip, groups, axes, constant_channels, embedded)
