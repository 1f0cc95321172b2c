# SPDX-License-Identifier: Apache-2.0
"""Sampling at places that are data, regions of interest, blocks of space, and the inverse of pooling."""
import numpy as np

from oracle_cases import MS, F


def floats(w, *shape, dtype=F):
    return w.rng.standard_normal(shape).astype(dtype)


def blocks(w):
    for dtype in (F, np.float64, np.uint8, np.int8):
        t = np.dtype(dtype).name
        x = (w.rng.standard_normal((2, 12, 4, 6)) * 50).astype(dtype)
        for mode in ('DCR', 'CRD'):
            w.case(f'depthtospace_{t}_{mode}', 'DepthToSpace', [('x', x)], opset=13, blocksize=2, mode=mode)
        w.case(f'spacetodepth_{t}', 'SpaceToDepth', [('x', x)], opset=13, blocksize=2)
    w.case('depthtospace_1', 'DepthToSpace', [('x', floats(w, 1, 18, 3, 2))], opset=10, blocksize=3)
    w.case('depthtospace_empty', 'DepthToSpace', [('x', floats(w, 0, 4, 3, 2))], opset=13, blocksize=2)


def unpool(w):
    for label, shape, attributes, out in (
            ('plane', (2, 3, 4, 5), {'kernel_shape': [2, 2], 'strides': [2, 2]}, (8, 10)),
            ('line', (2, 3, 6), {'kernel_shape': [3], 'strides': [3]}, (18,)),
            ('volume', (1, 2, 3, 2, 3), {'kernel_shape': [2, 2, 2], 'strides': [2, 1, 2]}, (6, 3, 6)),
            ('padded', (1, 2, 4, 4), {'kernel_shape': [3, 3], 'strides': [2, 2], 'pads': [1, 0, 1, 1]}, (7, 8))):
        x = floats(w, *shape)
        planes, size = shape[0] * shape[1], int(np.prod(out))
        index = np.concatenate([p * size + w.rng.permutation(size)[:x.size // planes] for p in range(planes)])
        index = index.reshape(shape)
        w.case(f'maxunpool_{label}', 'MaxUnpool', [('x', x), ('i', index)], **attributes)
        larger = np.array([*shape[:2], *(d + 1 for d in out)], np.int64)
        for constant in (('s',), ()):
            w.case(f'maxunpool_{label}_{"stated" if constant else "given"}', 'MaxUnpool',
                   [('x', x), ('i', index), ('s', larger)], constant, opset=22, **attributes)


def grids(w):
    for dtype in (F, np.float64):
        for shape, out in (((2, 3, 5, 7), (4, 6)), ((1, 2, 4, 3, 5), (3, 4, 2)), ((1, 2, 1, 6), (3, 5))):
            r = len(out)
            x = floats(w, *shape, dtype=dtype)
            grid = w.rng.uniform(-2.6, 2.6, (shape[0], *out, r)).astype(dtype)
            grid.reshape(-1)[:12] = [-1, 1, 0, 1, -1, 0, 0.2, -0.2, 30, -30, 1.5, -1.5]
            for mode in ('linear', 'nearest', 'cubic')[:2 if r == 3 else 3]:
                for padding in ('zeros', 'border', 'reflection'):
                    for align in (0, 1):
                        if align and padding == 'reflection' and 1 in shape[2:]:
                            continue  # nothing to reflect at
                        w.case(f'gridsample_{np.dtype(dtype).name}_{len(shape)}_{shape[2]}_{mode}_{padding}_{align}',
                               'GridSample', [('x', x), ('grid', grid)], opset=20, mode=mode, padding_mode=padding,
                               align_corners=align)
    x, grid = floats(w, 1, 2, 4, 5), w.rng.uniform(-1.5, 1.5, (1, 3, 3, 2)).astype(F)
    for mode in ('bilinear', 'nearest', 'bicubic'):
        w.case(f'gridsample_16_{mode}', 'GridSample', [('x', x), ('grid', grid)], opset=16, mode=mode)
        w.case(f'gridsample_ms_{mode}', 'GridSample', [('x', x), ('grid', grid)], domain=MS, mode=mode,
               padding_mode='border')
    w.case('gridsample_no_points', 'GridSample', [('x', x), ('grid', np.zeros((1, 0, 3, 2), F))], opset=20)
    for dtype in (F, np.float64):
        for label, size in (('plane', (2, 3, 4, 5)), ('volume', (2, 1, 3, 4, 5)), ('thin', (1, 1, 1, 4))):
            r = len(size) - 2
            theta = floats(w, size[0], r, r + 1, dtype=dtype)
            for align in (0, 1):
                for constant in (('size',), ()):
                    w.case(f'affinegrid_{np.dtype(dtype).name}_{label}_{align}_{"constant" if constant else "given"}',
                           'AffineGrid', [('theta', theta), ('size', np.array(size, np.int64))], constant, opset=20,
                           align_corners=align)


def regions(w):
    for dtype in (F, np.float64):
        t = np.dtype(dtype).name
        x = floats(w, 2, 3, 8, 10, dtype=dtype)
        corner = w.rng.uniform(-3, 8, (6, 2))
        boxes = np.concatenate([corner, corner + w.rng.uniform(0.2, 9, (6, 2))], 1).astype(dtype)
        boxes[5] = [20, 20, 25, 30]  # wholly outside
        image = w.rng.integers(0, 2, 6)
        for mode in ('avg', 'max'):
            for ratio in (0, 1, 3):
                more = {'output_height': 3, 'output_width': 2, 'sampling_ratio': ratio, 'spatial_scale': 0.8,
                        'mode': mode}
                values = [('x', x), ('rois', boxes), ('batch_indices', image)]
                w.case(f'roialign_{t}_{mode}_{ratio}_10', 'RoiAlign', values, opset=10, **more)
                for coordinates in ('half_pixel', 'output_half_pixel'):
                    w.case(f'roialign_{t}_{mode}_{ratio}_{coordinates}', 'RoiAlign', values, opset=16,
                           coordinate_transformation_mode=coordinates, **more)
        w.case(f'roialign_{t}_huge', 'RoiAlign',
               [('x', x), ('rois', np.array([[-500, -3, 900, 4]], dtype)), ('batch_indices', np.array([1]))], opset=16,
               output_height=2, output_width=2)
    x = floats(w, 2, 3, 8, 10)
    boxes = np.concatenate([w.rng.integers(0, 2, (7, 1)), np.sort(w.rng.uniform(-2, 14, (7, 2, 2)), 1).reshape(7, 4)], 1)
    for scale in (1.0, 0.5):
        w.case(f'maxroipool_{scale}', 'MaxRoiPool', [('x', x), ('rois', boxes.astype(F))], pooled_shape=[3, 2],
               spatial_scale=scale)


def deformed(w):
    for dtype in (F, np.float64):
        for label, channels, out, group, groups, kernel, bias, mask, attributes in (
                ('plain', 4, 5, 1, 1, (3, 2), False, False, {}),
                ('groups', 6, 4, 2, 3, (3, 3), True, True, {'pads': [1, 2, 0, 1], 'strides': [2, 1]}),
                ('dilated', 4, 2, 1, 2, (2, 2), False, True, {'dilations': [2, 3], 'pads': [1, 1, 1, 1]})):
            n, h, width = 2, 9, 8
            pads, strides = attributes.get('pads', [0] * 4), attributes.get('strides', [1, 1])
            dilations = attributes.get('dilations', [1, 1])
            oh, ow = ((s + pads[i] + pads[i + 2] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
                      for i, s in enumerate((h, width)))
            taps = kernel[0] * kernel[1]
            values = [('x', floats(w, n, channels, h, width, dtype=dtype)),
                      ('w', floats(w, out, channels // group, *kernel, dtype=dtype)),
                      ('offset', floats(w, n, groups * 2 * taps, oh, ow, dtype=dtype) * dtype(1.5)),
                      ('b', floats(w, out, dtype=dtype)) if bias else None,
                      ('mask', w.rng.uniform(0, 1, (n, groups * taps, oh, ow)).astype(dtype)) if mask else None]
            w.case(f'deformconv_{np.dtype(dtype).name}_{label}', 'DeformConv', values, opset=19, group=group,
                   offset_group=groups, kernel_shape=list(kernel), **attributes)


def lp(w):
    for label, shape, attributes in (
            ('line', (2, 3, 20), {'kernel_shape': [4], 'strides': [3], 'p': 1}),
            ('plane', (2, 3, 9, 11), {'kernel_shape': [3, 2], 'pads': [1, 0, 1, 1], 'p': 3}),
            ('same', (2, 3, 9, 11), {'kernel_shape': [3, 2], 'strides': [2, 2], 'auto_pad': 'SAME_LOWER'}),
            ('volume', (1, 2, 5, 6, 4), {'kernel_shape': [2, 3, 2], 'strides': [1, 2, 1]})):
        x = floats(w, *shape)
        for opset in (7, 11, 18):
            w.case(f'lppool_{label}_{opset}', 'LpPool', [('x', x)], opset=opset, **attributes)
        w.case(f'globallppool_{label}', 'GlobalLpPool', [('x', x)], p=attributes.get('p', 2))
    w.case('lppool_ceil', 'LpPool', [('x', floats(w, 1, 2, 8, 7))], opset=22, kernel_shape=[3, 3], strides=[2, 3],
           ceil_mode=1, dilations=[1, 2])

    for op in ('LpPool', 'MaxPool', 'AveragePool'):  # ONNX Runtime's SAME does not count the dilation
        for pad in ('SAME_UPPER', 'SAME_LOWER'):
            w.case(f'{op.lower()}_{pad}_dilated'.lower(), op, [('x', floats(w, 1, 2, 9, 8))], opset=19, kernel_shape=[3, 2],
                   dilations=[2, 3], auto_pad=pad)


EXACT = (blocks, unpool)
NEAR = (grids, regions, deformed, lp)
