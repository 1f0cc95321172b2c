# SPDX-License-Identifier: Apache-2.0
"""Operators whose output depends on what the data are, and that put data elsewhere."""
import numpy as np

from oracle_cases import F
from oracle_cases.strings import texts

I64 = np.int64


def compress(w):
    for dtype in (np.float32, np.int8, np.uint16, np.float64, np.bool_, object):
        x = texts(3, 4, 5) if dtype is object else (w.rng.integers(0, 9, (3, 4, 5)) > 3).astype(dtype) \
            if dtype is np.bool_ else w.rng.integers(0, 99, (3, 4, 5)).astype(dtype)
        name = 'string' if dtype is object else np.dtype(dtype).name
        for axis, count in ((None, 60), (None, 7), (0, 3), (1, 2), (-1, 5), (2, 4)):
            condition = w.rng.integers(0, 2, count).astype(bool)
            w.case(f'compress_{name}_{axis}_{count}'.replace('-', 'm'), 'Compress', [('x', x), ('c', condition)], opset=11,
                   **({} if axis is None else {'axis': axis}))
    w.case('compress_none', 'Compress', [('x', np.zeros((2, 3), F)), ('c', np.zeros(2, bool))], opset=9, axis=0)
    w.case('compress_empty', 'Compress', [('x', np.zeros((2, 0), F)), ('c', np.ones(2, bool))], axis=0)


def unique(w):
    numbers = w.rng.integers(-3, 4, (4, 5, 3))
    numbers[2] = numbers[0]
    numbers[:, 3] = numbers[:, 1]
    for dtype in (np.float32, np.float64, np.int64, np.int8):
        for keep in (0, 1):
            for axis in (None, 0, 1, -1):
                w.case(f'unique_{np.dtype(dtype).name}_{keep}_{axis}'.replace('-', 'm'), 'Unique',
                       [('x', numbers.astype(dtype))], outputs=4, sorted=keep, **({} if axis is None else {'axis': axis}))
    for keep in (0, 1):
        w.case(f'unique_string_{keep}', 'Unique', [('x', texts(3, 5))], outputs=4, sorted=keep)
        w.case(f'unique_many_{keep}', 'Unique', [('x', w.rng.integers(-500, 500, 3000))], outputs=4, sorted=keep)
    w.case('unique_one_output', 'Unique', [('x', numbers.astype(F))])
    w.case('unique_scalar', 'Unique', [('x', F(3))], outputs=4)
    w.case('unique_empty', 'Unique', [('x', np.zeros((0,), F))], outputs=4)
    w.case('unique_empty_rows', 'Unique', [('x', np.zeros((0, 3), F))], outputs=4, axis=0)


def boxes(w):
    for center in (0, 1):
        corner = w.rng.uniform(0, 40, (2, 60, 2))
        size = w.rng.uniform(3, 15, (2, 60, 2))
        values = np.concatenate([corner, size if center else corner + size], -1).astype(F)
        values[:, ::7] = values[:, ::7][..., [0, 1, 2, 3] if center else [2, 3, 0, 1]]
        scores = np.round(w.rng.uniform(0, 1, (2, 3, 60)), 1).astype(F)  # many ties
        for label, most, iou, least in (('all', 60, 0.3, None), ('few', 4, 0.5, 0.35), ('none', None, None, None),
                                        ('zero', 0, 0.5, 0.1), ('strict', 20, 0.0, 0.0), ('loose', 60, 1.0, 0.5),
                                        ('no_iou', 9, None, 0.5)):
            given = [('boxes', values), ('scores', scores)]
            given += [None if v is None else (n, np.array([v], t))
                      for n, v, t in (('most', most, I64), ('iou', iou, F), ('least', least, F))]
            while given[-1] is None:
                given.pop()
            w.case(f'nms_{label}_{center}', 'NonMaxSuppression', given, opset=11 - center, center_point_box=center)
    w.case('nms_no_boxes', 'NonMaxSuppression', [('boxes', np.zeros((1, 0, 4), F)), ('scores', np.zeros((1, 2, 0), F)),
                                                 ('most', np.array([3], I64))])


def reversal(w):
    for dtype in (np.float32, np.int64, np.uint8, object):
        x = texts(4, 5, 3) if dtype is object else w.rng.integers(0, 99, (4, 5, 3)).astype(dtype)
        name = 'string' if dtype is object else np.dtype(dtype).name
        for batch, lens in ((0, [5, 1, 0, 3]), (1, [4, 2, 1, 3, 0])):
            w.case(f'reversesequence_{name}_{batch}', 'ReverseSequence', [('x', x), ('lens', np.array(lens, I64))],
                   batch_axis=batch, time_axis=1 - batch)
    w.case('reversesequence_default', 'ReverseSequence', [('x', np.arange(12, dtype=F).reshape(4, 3)),
                                                          ('lens', np.array([4, 3, 2], I64))])


def crops(w):
    x = w.rng.standard_normal((5, 4, 7)).astype(F)
    for label, shape, axes in (('odd', [2, 7, 4], None), ('same', [5, 4, 7], None), ('grow', [8, 9, 10], None),
                               ('axes', [4, 9], [2, 0]), ('negative', [3, 8], [-1, -3]), ('one', [6], [1])):
        for constant in ((), ('shape',)):
            w.case(f'centercroppad_{label}_{len(constant)}', 'CenterCropPad', [('x', x), ('shape', np.array(shape, I64))],
                   constant, opset=18, **({} if axes is None else {'axes': axes}))
    w.case('centercroppad_ints', 'CenterCropPad', [('x', np.arange(6, dtype=np.int32)), ('shape', np.array([9], I64))],
           opset=18)


def caches(w):
    for mode, at in (('linear', [0, 3, 5]), ('circular', [6, 7, 0])):
        for label, shape, axis in (('heads', (3, 2, 8, 4), -2), ('rows', (3, 8, 5), 1), ('last', (3, 2, 8), -1)):
            part = [*shape]
            part[axis] = 3
            w.case(f'tensorscatter_{mode}_{label}', 'TensorScatter',
                   [('x', w.rng.standard_normal(shape).astype(F)), ('u', w.rng.standard_normal(part).astype(F)),
                    ('at', np.array(at, I64))], opset=24, mode=mode, axis=axis)
    w.case('tensorscatter_start', 'TensorScatter', [('x', np.zeros((2, 4, 3), np.float16)), ('u', np.ones((2, 4, 3), np.float16))],
           opset=24)


def columns(w):
    for label, channels, image, block, attributes in (
            ('plain', 3, [5, 6], [2, 3], {}), ('strides', 2, [7, 9], [3, 3], {'strides': [2, 3]}),
            ('pads', 1, [5, 5], [3, 2], {'pads': [1, 0, 2, 1]}), ('dilations', 2, [8, 7], [2, 3], {'dilations': [3, 2]}),
            ('line', 2, [9], [4], {'strides': [2], 'pads': [1, 0]}),
            ('volume', 1, [4, 3, 5], [2, 2, 2], {'pads': [0, 1, 0, 1, 0, 1], 'dilations': [2, 1, 1]})):
        n = len(image)
        strides, dilations = attributes.get('strides', [1] * n), attributes.get('dilations', [1] * n)
        pads = attributes.get('pads', [0] * 2 * n)
        steps = [(image[i] + pads[i] + pads[n + i] - dilations[i] * (block[i] - 1) - 1) // strides[i] + 1 for i in range(n)]
        x = w.rng.integers(-9, 9, (2, channels * int(np.prod(block)), int(np.prod(steps)))).astype(F)
        w.case(f'col2im_{label}', 'Col2Im', [('x', x), ('image', np.array(image, I64)), ('block', np.array(block, I64))],
               ('image', 'block') if label != 'strides' else (), opset=18, **attributes)


EXACT = (compress, unique, boxes, reversal, crops, caches, columns)
