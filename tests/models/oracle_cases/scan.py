# SPDX-License-Identifier: Apache-2.0
"""CumSum, CumProd, Hardmax, Det, Gelu, Swish."""
import numpy as np

from oracle_cases import F

TYPES = (np.float32, np.float64, np.int32, np.int64)


def numbers(w, dtype, *shape):
    if np.issubdtype(dtype, np.integer):
        return w.rng.integers(-9, 10, shape).astype(dtype)
    return w.rng.standard_normal(shape).astype(dtype)


def sums(w):
    for dtype in TYPES:
        for label, shape, axis in (('middle', (3, 7, 4), 1), ('negative', (2, 5), -2), ('line', (9,), 0),
                                   ('empty', (3, 0, 2), 0)):
            for exclusive, reverse in ((0, 0), (1, 0), (0, 1), (1, 1)):
                w.case(f'cumsum_{np.dtype(dtype).name}_{label}_{exclusive}{reverse}', 'CumSum',
                       [('x', numbers(w, dtype, *shape)), ('axis', np.array(axis, np.int64))], ('axis',) if exclusive else (),
                       opset=14, exclusive=exclusive, reverse=reverse)
    w.case('cumsum_axis_vector', 'CumSum', [('x', numbers(w, F, 3, 4)), ('axis', np.array([1], np.int32))], opset=11)


def products(w):
    for dtype in TYPES:
        for label, shape, axis in (('middle', (3, 7, 4), 1), ('negative', (2, 5), -1), ('empty', (2, 0), 1)):
            for exclusive, reverse in ((0, 0), (1, 0), (0, 1), (1, 1)):
                w.case(f'cumprod_{np.dtype(dtype).name}_{label}_{exclusive}{reverse}', 'CumProd',
                       [('x', numbers(w, dtype, *shape)), ('axis', np.array(axis, np.int64))], opset=26,
                       exclusive=exclusive, reverse=reverse)


def hardmax(w):
    ties = np.array([[1, 3, 3, 2], [0, 0, 0, 0], [-1, -5, -1, -1]], F)
    for opset in (7, 11, 13):
        for axis in (0, 1, 2, None):
            w.case(f'hardmax_{opset}_{axis}', 'Hardmax', [('x', numbers(w, F, 3, 4, 5))], opset=opset,
                   **({} if axis is None else {'axis': axis}))
        w.case(f'hardmax_{opset}_ties', 'Hardmax', [('x', ties)], opset=opset)
        w.case(f'hardmax_{opset}_empty', 'Hardmax', [('x', numbers(w, F, 0, 3))], opset=opset)
    for axis in (-1, -3):
        w.case(f'hardmax_13_m{-axis}', 'Hardmax', [('x', numbers(w, F, 2, 3, 4))], opset=13, axis=axis)


def determinants(w):
    for shape in ((1, 1), (2, 2), (5, 5), (2, 3, 4, 4), (3, 17, 17), (0, 3, 3)):
        w.case(f'det_{"x".join(map(str, shape))}', 'Det', [('x', numbers(w, F, *shape))], opset=11)
    singular = numbers(w, F, 4, 4)
    singular[2] = singular[0]
    singular[:, 1] = 0
    w.case('det_singular', 'Det', [('x', singular)], opset=22)


def activations(w):
    x = np.concatenate([numbers(w, F, 40) * 3, np.array([0, -0.0, 30, -30, np.inf, 88, -104], F)])
    for approximate in ('none', 'tanh'):
        w.case(f'gelu_{approximate}', 'Gelu', [('x', x)], opset=20, approximate=approximate)
    for alpha in (1.0, 0.25, 1.702):
        w.case(f'swish_{alpha}', 'Swish', [('x', x)], opset=24, alpha=alpha)
    w.case('gelu_empty', 'Gelu', [('x', np.zeros((0, 4), F))], opset=20)
    w.case('gelu_scalar', 'Gelu', [('x', F(0.7))], opset=20)
    w.case('swish_double', 'Swish', [('x', x.astype(np.float64))], opset=24)


EXACT = (hardmax,)
NEAR = (sums, products, determinants, activations)
