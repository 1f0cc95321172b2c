# SPDX-License-Identifier: Apache-2.0
"""com.microsoft gates, and what mixes the streams of hyper-connections."""
import ml_dtypes
import numpy as np

from oracle_cases import MS, F

HALF, BRAIN = np.float16, ml_dtypes.bfloat16
TYPES = (F, HALF, BRAIN)


def floats(w, dtype, *shape, times=1):
    return np.asarray(w.rng.standard_normal(shape) * times).astype(dtype)


def silu(w):
    for dtype in TYPES:
        t = np.dtype(dtype).name
        for shape in ((), (2, 3, 5), (0, 4), (300,)):
            w.case(f'scaledsilu_{t}_{len(shape)}_{sum(shape)}', 'ScaledSiLU', [('x', floats(w, dtype, *shape, times=4))], domain=MS,
                   alpha=1.3)
        for other in TYPES:
            w.case(f'scaledsilu_{t}_by_{np.dtype(other).name}', 'ScaledSiLU',
                   [('x', floats(w, dtype, 3, 7, times=4)), ('s', np.asarray(0.7, other))], domain=MS, alpha=9.0)
        far = np.array([0, -0.0, 60000, -60000, np.inf, 100, -100, 1e-7], F).astype(dtype)
        w.case(f'scaledsilu_{t}_far', 'ScaledSiLU', [('x', far)], domain=MS)


def add(w):
    for dtype in (F, HALF):
        for shape in ((9,), (3, 7), (2, 3, 40), (0, 4)):
            gate = (*shape[:-1], 1)
            w.case(f'gatedadd_{np.dtype(dtype).name}_{"x".join(map(str, shape))}', 'GatedAdd',
                   [('x', floats(w, dtype, *shape)), ('y', floats(w, dtype, *shape)), ('g', floats(w, dtype, *gate))], domain=MS)


def gated_norm(w):
    for dtype in (F, HALF):
        for shape, scale in (((2, 3, 8), (8,)), ((2, 3, 40), (5,)), ((7,), (7,)), ((3, 6), (1, 3)), ((0, 4), (4,)), ((2, 3), ())):
            for activation in ('silu', 'swish', 'sigmoid'):
                w.case(f'gatedrmsnorm_{np.dtype(dtype).name}_{"x".join(map(str, shape))}_{activation}', 'GatedRMSNorm',
                       [('x', floats(w, dtype, *shape)), ('s', floats(w, dtype, *scale)), ('g', floats(w, dtype, *shape, times=3))],
                       domain=MS, activation=activation)
        x = ('x', floats(w, dtype, 3, 8, times=1e-2))
        w.case(f'gatedrmsnorm_{np.dtype(dtype).name}_epsilon', 'GatedRMSNorm',
               [x, ('s', floats(w, dtype, 4)), ('g', floats(w, dtype, 3, 8))], domain=MS, epsilon=1e-2)


def engram(w):
    for dtype in (F, HALF):
        for b, s, c, h in ((2, 3, 2, 16), (1, 1, 1, 5), (3, 2, 4, 1), (0, 2, 2, 4)):
            values = [('k', floats(w, dtype, b, s, c, h)), ('q', floats(w, dtype, b, s, c, h)), ('v', floats(w, dtype, b, s, h)),
                      ('ks', floats(w, dtype, c, h)), ('qs', floats(w, dtype, c, h))]
            label = f'engramgate_{np.dtype(dtype).name}_{b}{s}{c}{h}'
            w.case(label, 'EngramGate', values, domain=MS)
            values.append(('cs', floats(w, dtype, c, h)))
            w.case(f'{label}_scaled', 'EngramGate', values, domain=MS, epsilon=1e-3)
            w.case(f'{label}_normed', 'EngramGate', values, outputs=2, domain=MS)
    zero = np.zeros((1, 1, 2, 4), F)
    one = np.ones((2, 4), F)
    w.case('engramgate_zero', 'EngramGate', [('k', zero), ('q', zero), ('v', zero[:, :, 0] + 1), ('ks', one), ('qs', one)],
           domain=MS)


STREAMS = (((2, 3, 4), 0), ((2, 5, 3, 8), 0), ((3, 4), 0), ((2, 12), 3), ((12,), 4), ((2, 3, 6), 1), ((0, 3, 4), 0))


def grouped(shape, branches):
    """[...], C, H of streams."""
    return (shape[:-1], branches, shape[-1] // branches) if branches else (shape[:-2], *shape[-2:])


def branch_norm(w):
    for dtype in TYPES:
        for other in TYPES:
            for shape, branches in STREAMS if dtype == other else STREAMS[:1]:
                _, c, h = grouped(shape, branches)
                for scale in (None, (h,), (c, h), (c * h,)):
                    given = [('x', floats(w, dtype, *shape))] + ([('s', floats(w, other, *scale))] if scale else [])
                    sizes = '_'.join('x'.join(map(str, s)) for s in (shape, scale or ()))
                    w.case(f'branchwisermsnorm_{np.dtype(dtype).name}_{np.dtype(other).name}_{sizes}', 'BranchwiseRMSNorm', given,
                           domain=MS, num_branches=branches, epsilon=1e-3)
    w.case('branchwisermsnorm_plain', 'BranchwiseRMSNorm', [('x', floats(w, F, 3, 4, times=1e-3))], domain=MS)


def mixes(w):
    for dtype in TYPES:
        for other in TYPES:
            for shape, branches in STREAMS if dtype == other or dtype == F else STREAMS[:1]:
                lead, c, h = grouped(shape, branches)
                label = f'{np.dtype(dtype).name}_{np.dtype(other).name}_{"x".join(map(str, shape))}'
                x, more = ('x', floats(w, dtype, *shape)), {'num_branches': branches} if branches else {}
                flat = [(*lead, c * h)] if branches else []
                for i, gate in enumerate([(*lead, c), (*lead, c, 1), (*lead, c, h), *flat]):
                    w.case(f'hyperconnectionpremix_{label}_{i}', 'HyperConnectionPreMix', [x, ('g', floats(w, other, *gate))],
                           domain=MS, reduction_scale=0.37, **more)
                    if i == 3:
                        continue
                    values = [x, ('block', floats(w, dtype, *lead, h)), ('post', floats(w, other, *gate))]
                    w.case(f'hyperconnectionpostmix_{label}_{i}', 'HyperConnectionPostMix', values, domain=MS, **more)
                    values.append(('mix', floats(w, other, *lead, c, c)))
                    w.case(f'hyperconnectionpostmix_{label}_{i}_mixed', 'HyperConnectionPostMix', values, domain=MS, **more)


EXACT = (add, mixes)
NEAR = (silu, gated_norm, engram, branch_norm)
