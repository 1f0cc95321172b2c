# SPDX-License-Identifier: Apache-2.0
"""com.microsoft operators on images and windows: crops, masked pools, pads that are data; and UnfoldTensor, SampleOp."""
import numpy as np

from oracle_cases import MS, F


def floats(w, *shape):
    return w.rng.standard_normal(shape).astype(F)


def crops(w):
    boxes = np.array([[0, 0, 1, 1], [.1, .2, .7, .8], [-.2, .3, 1.3, .9], [.8, .9, .2, .1], [.5, .5, .5, .5], [2, 2, 3, 3]], F)
    image = np.array([0, 1, 1, 0, 1, 0], np.int32)
    for shape in ((2, 3, 5, 6), (2, 1, 1, 9), (2, 0, 3, 3), (2, 2, 0, 3)):
        x = floats(w, *shape)
        for size in ((3, 4), (1, 1), (1, 5), (7, 2)):
            for mode in ('bilinear', 'nearest'):
                label = f'{"x".join(map(str, shape))}_{size[0]}{size[1]}_{mode}'
                for constant in (('size',), ()) if shape[1] == 3 else ((),):
                    w.case(f'cropandresize_{label}_{len(constant)}', 'CropAndResize',
                           [('x', x), ('rois', boxes), ('image', image), ('size', np.array(size, np.int32))], constant, domain=MS,
                           mode=mode, extrapolation_value=-3.5)
    wild = np.array([[np.nan, 0, 1, 1], [0, np.inf, 1, 1], [-np.inf, 0, 1, np.nan], [1e30, 0, -1e30, 1]], F)
    for rois in (wild, wild[:0]):
        w.case(f'cropandresize_wild_{len(rois)}', 'CropAndResize',
               [('x', floats(w, 2, 3, 5, 6)), ('rois', rois), ('image', image[:len(rois)]), ('size', np.array([3, 3], np.int32))],
               domain=MS)


def masked(w):
    for label, shape, more in (('line', (2, 3, 9), {'kernel_shape': [3], 'strides': [2], 'pads': [1, 1]}),
                               ('plane', (2, 3, 5, 6), {'kernel_shape': [3, 2], 'strides': [2, 1], 'pads': [1, 0, 1, 1]}),
                               ('volume', (1, 2, 4, 3, 5), {'kernel_shape': [2, 2, 3]}),
                               ('upper', (1, 2, 5, 6), {'kernel_shape': [3, 2], 'strides': [2, 2], 'auto_pad': 'SAME_UPPER'}),
                               ('lower', (1, 2, 5, 6), {'kernel_shape': [3, 2], 'strides': [2, 2], 'auto_pad': 'SAME_LOWER'}),
                               ('valid', (1, 2, 5, 6), {'kernel_shape': [3, 2], 'auto_pad': 'VALID', 'storage_order': 1})):
        n, c = shape[:2]
        for planes in ((n, c), (1, 1), (n, 1), (1, c), (n, 2 * c)):
            mask = (w.rng.random((*planes, *shape[2:])) < 0.8).astype(np.int32) * w.integers(np.int32, *planes, *shape[2:])
            w.case(f'maxpoolwithmask_{label}_{planes[0]}{planes[1]}', 'MaxpoolWithMask', [('x', floats(w, *shape)), ('m', mask)],
                   domain=MS, **more)
    nothing = np.zeros((1, 1, 4, 4), np.int32)
    w.case('maxpoolwithmask_nothing', 'MaxpoolWithMask', [('x', floats(w, 1, 1, 4, 4)), ('m', nothing)], domain=MS,
           kernel_shape=[2, 2])


def unfold(w):
    for dtype in (F, np.float64, np.int32, np.int64):  # ONNX Runtime refuses the others when it runs
        x = (floats(w, 4, 5) * 9).astype(dtype)
        w.case(f'unfoldtensor_{np.dtype(dtype).name}', 'UnfoldTensor', [('x', x)], domain=MS, size=2)
    x = ('x', floats(w, 4, 5, 6))
    for dim, size, step in ((0, 2, 1), (1, 3, 2), (2, 6, 1), (-1, 1, 4), (-2, 5, 9), (-3, 2, 2**30)):
        w.case(f'unfoldtensor_{dim}_{size}_{step}', 'UnfoldTensor', [x], domain=MS, dim=dim, size=size, step=step)
    w.case('unfoldtensor_empty', 'UnfoldTensor', [('x', floats(w, 0, 4))], domain=MS, size=3)
    for shape in ((), (2, 3), (0,)):
        w.case(f'sampleop_{len(shape)}', 'SampleOp', [('x', floats(w, *shape) if shape else F(2.5))], domain=MS)


def transposed(w):
    for label, shape, weight, pads, more in (
            ('plain', (2, 2, 4, 5), (2, 3, 3, 3), [1, 1, 1, 1], {}),
            ('uneven', (1, 2, 4, 5), (2, 3, 3, 2), [1, 0, 2, 1], {'strides': [2, 3], 'output_padding': [1, 2]}),
            ('dilated', (1, 2, 4, 5), (2, 3, 3, 3), [0, 2, 1, 0], {'dilations': [2, 1], 'kernel_shape': [3, 3]}),
            ('groups', (1, 6, 3, 4), (6, 2, 2, 2), [0, 0, 1, 1], {'group': 3, 'strides': [2, 2]}),
            ('upper', (1, 2, 4, 5), (2, 3, 3, 3), [1, 0, 2, 1], {'strides': [2, 2], 'auto_pad': 'SAME_UPPER'}),
            ('lower', (1, 2, 4, 5), (2, 3, 3, 3), [1, 0, 2, 1], {'strides': [2, 2], 'auto_pad': 'SAME_LOWER'}),
            ('valid', (1, 2, 4, 5), (2, 3, 3, 3), [1, 0, 2, 1], {'strides': [2, 2], 'auto_pad': 'VALID'}),
            ('line', (2, 4, 7), (4, 3, 3), [1, 0], {'strides': [2]}),
            ('volume', (1, 2, 3, 2, 4), (2, 3, 2, 2, 3), [0, 1, 0, 1, 0, 1], {'strides': [2, 1, 1]})):
        out = weight[1] * more.get('group', 1)
        for constant in (('w', 'p', 'b'), ('w',), ('p',), ()):
            for bias in (None, ('b', floats(w, out))):
                values = [('x', floats(w, *shape)), ('w', floats(w, *weight)), ('p', np.array(pads))] + ([bias] if bias else [])
                w.case(f'convtransposedynamic_{label}_{"".join(constant) or "given"}_{bias is not None}',
                       'ConvTransposeWithDynamicPads', values, constant, domain=MS, **more)


EXACT = (crops, masked, unfold)
NEAR = (transposed,)
