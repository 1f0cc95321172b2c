# SPDX-License-Identifier: Apache-2.0
"""Operators that ai.onnx had on trial until version 10."""
import numpy as np

from oracle_cases import F

SHAPES = ((), (7,), (2, 3, 5), (0, 4), (300,))


def floats(w, *shape):
    return w.rng.standard_normal(shape).astype(F)


def affine(w):
    for shape in SHAPES:
        label = 'x'.join(map(str, shape)) or 'scalar'
        x = np.asarray(floats(w, *shape) * 9, F)
        w.case(f'affine_{label}', 'Affine', [('x', x)], opset=9, alpha=1.7, beta=-0.3)
        w.case(f'scale_{label}', 'Scale', [('x', x)], opset=9, scale=-2.3)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 3e38], F)
    w.case('affine_special', 'Affine', [('x', special)], opset=9, alpha=2.0, beta=0.0)
    w.case('affine_alpha', 'Affine', [('x', special)], opset=1, alpha=-2.0)
    w.case('affine_beta', 'Affine', [('x', special)], opset=7, beta=-2.0)
    w.case('affine_plain', 'Affine', [('x', special)], opset=8)
    w.case('scale_plain', 'Scale', [('x', special)], opset=8)


def images(w):
    for shape in ((2, 3, 4, 5), (1, 1, 7, 2), (2, 2, 0, 3), (0, 2, 2, 2)):
        label = 'x'.join(map(str, shape))
        bias = [float(b) for b in floats(w, shape[1])]
        w.case(f'imagescaler_{label}', 'ImageScaler', [('x', floats(w, *shape))], opset=9, scale=1.3, bias=bias)
        w.case(f'imagescaler_{label}_plain', 'ImageScaler', [('x', floats(w, *shape))], opset=7, bias=bias)
    x = ('x', floats(w, 2, 3, 7, 6))
    for border, scale in (([1, 2, 2, 3], None), ([0, 0, 0, 0], None), ([1, 2, 5, 0], None), ([1, 2, 9, 9], [3, 4]),
                          ([0, 0, 0, 0], [7, 6]), ([2, 1, 0, 0], [0, 3])):
        more = {} if scale is None else {'scale': scale}
        w.case(f'crop_{"".join(map(str, border))}_{scale is not None}', 'Crop', [x], opset=9, border=border, **more)


def slices(w):
    for dtype in (F, np.float64, np.float16, np.int8, np.uint64, np.bool_, np.object_):
        x = (floats(w, 4, 5, 6) * 9).astype(np.str_ if dtype == np.object_ else dtype).astype(dtype)
        for kind in (np.int32, np.int64):
            ends = [3, 5]
            for label, starts, axes, constant in (('axes', [1, -2], [2, 1], ('s', 'e', 'a')), ('first', [-3, 2], None, ()),
                                                  ('late', [0, 1], [-1, 0], ())):
                values = [('x', x), ('s', np.array(starts, kind)), ('e', np.array(ends, kind))]
                values += [('a', np.array(axes, kind))] if axes else []
                w.case(f'dynamicslice_{np.dtype(dtype).name}_{np.dtype(kind).name}_{label}', 'DynamicSlice', values, constant,
                       opset=9)
    values = [('x', floats(w, 4, 5)), ('s', np.array([-9, 2])), ('e', np.array([2**62, -3]))]
    w.case('dynamicslice_beyond', 'DynamicSlice', values, opset=7)


def curves(w):
    for shape in SHAPES:
        label = 'x'.join(map(str, shape)) or 'scalar'
        x = np.asarray(floats(w, *shape) * 9, F)
        w.case(f'scaledtanh_{label}', 'ScaledTanh', [('x', x)], opset=9, alpha=1.7, beta=0.4)
        w.case(f'parametricsoftplus_{label}', 'ParametricSoftplus', [('x', x)], opset=9, alpha=0.7, beta=-1.4)
    far = np.array([0.0, -0.0, np.inf, -np.inf, 1e30, -1e30, 88, -88, 120, -120], F)
    w.case('scaledtanh_far', 'ScaledTanh', [('x', far)], opset=7, alpha=-1.0, beta=2.0)
    w.case('parametricsoftplus_far', 'ParametricSoftplus', [('x', far)], opset=7, alpha=-1.0, beta=1.0)


EXACT = (affine, images, slices)
NEAR = (curves,)
