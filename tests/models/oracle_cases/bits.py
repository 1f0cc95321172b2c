# SPDX-License-Identifier: Apache-2.0
"""Bits of numbers: shifts, bitwise logic, reinterpretation, classes of floats."""
import numpy as np
from onnx import helper

from oracle_cases import F

INTS = (np.uint8, np.uint16, np.uint32, np.uint64, np.int8, np.int16, np.int32, np.int64)
SHAPES = (('same', (3, 5), (3, 5)), ('row', (2, 1, 7), (5, 7)), ('outer', (6, 1), (1, 4)), ('scalar', (), (3, 2)),
          ('empty', (0, 3), (1, 3)))


def logic(w):
    for op in ('BitwiseAnd', 'BitwiseOr', 'BitwiseXor'):
        for dtype in INTS:
            for label, a, b in SHAPES if dtype == np.int16 else SHAPES[1:2]:
                w.case(f'{op.lower()}_{np.dtype(dtype).name}_{label}', op,
                       [('a', w.integers(dtype, *a)), ('b', w.integers(dtype, *b))], opset=18)
    for dtype in INTS:
        w.case(f'bitwisenot_{np.dtype(dtype).name}', 'BitwiseNot', [('x', w.integers(dtype, 3, 4))], opset=18)


def shifts(w):
    for dtype in (np.uint8, np.uint32, np.uint64):
        width = np.dtype(dtype).itemsize * 8
        for label, a, b in SHAPES:
            amounts = w.rng.integers(0, width, b).astype(dtype)
            for direction in ('LEFT', 'RIGHT'):
                w.case(f'bitshift_{np.dtype(dtype).name}_{label}_{direction.lower()}', 'BitShift',
                       [('a', w.integers(dtype, *a)), ('b', amounts)], direction=direction)


def casts(w):
    for source, target in ((np.float32, np.int32), (np.float32, np.uint32), (np.float64, np.uint64), (np.int16, np.float16), (np.float16, np.int16),
                           (np.uint64, np.float64), (np.int8, np.uint8)):
        for shape in ((), (3, 4), (0, 2)):
            x = np.frombuffer(w.rng.bytes(int(np.prod(shape)) * np.dtype(source).itemsize), source).reshape(shape)
            w.case(f'bitcast_{np.dtype(source).name}_{np.dtype(target).name}_{len(shape)}_{x.size}', 'BitCast',
                   [('x', np.nan_to_num(x))], opset=26, to=helper.np_dtype_to_tensor_dtype(np.dtype(target)))


def classes(w):
    special = [0.0, -0.0, 1.5, -2.0, np.inf, -np.inf, np.nan, 65504, 6e-8]
    for dtype in (np.float16, np.float32, np.float64):
        x = np.array(special, dtype).reshape(3, 3)
        w.case(f'isnan_{np.dtype(dtype).name}', 'IsNaN', [('x', x)], opset=20 if dtype != np.float64 else 13)
        for negative, positive in ((1, 0), (0, 1), (0, 0), (1, 1)):
            w.case(f'isinf_{np.dtype(dtype).name}_{negative}{positive}', 'IsInf', [('x', x)], opset=20,
                   detect_negative=negative, detect_positive=positive)
    w.case('isinf_old', 'IsInf', [('x', np.array(special, F))], opset=10)
    w.case('isnan_old', 'IsNaN', [('x', np.array(special, F))], opset=9)
    w.case('isnan_scalar', 'IsNaN', [('x', F(np.nan))])
    w.case('isnan_empty', 'IsNaN', [('x', np.zeros((2, 0), F))])


EXACT = (logic, shifts, casts, classes)
