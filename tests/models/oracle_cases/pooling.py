# SPDX-License-Identifier: Apache-2.0
"""Pools whose windows begin and end within the input: SAME_* with a stride beyond the kernel."""
import numpy as np

from oracle_cases import F, MS


def pools(w, dtype, cases):
    """Without indices and dilations ONNX Runtime refuses MaxPool of floats there: it is asked for both."""
    for size, kernel, stride in ((5, 1, 3), (6, 1, 3), (9, 2, 5), (40, 2, 6), (41, 3, 7)):
        x = (w.rng.standard_normal((1, 2, size, 11)) * 9).astype(dtype)
        for mode in ('SAME_UPPER', 'SAME_LOWER'):
            for label, op, outputs, more in cases:
                w.case(f'{label}_{np.dtype(dtype)}_{mode.lower()}_{size}_{stride}', op, [('x', x)], outputs=outputs, opset=22,
                       auto_pad=mode, kernel_shape=[kernel, 1], strides=[stride, 4], **more)


def largest(w):
    cases = (('maxpool', 'MaxPool', 1, {'dilations': [2, 1]}), ('maxpool_indices', 'MaxPool', 2, {}),
             ('maxpool_columns', 'MaxPool', 2, {'storage_order': 1, 'ceil_mode': 1, 'dilations': [2, 1]}))
    for dtype in (F, np.float64, np.uint8, np.int8):
        pools(w, dtype, cases)


def averages(w):
    pools(w, F, (('avgpool', 'AveragePool', 1, {}), ('avgpool_all', 'AveragePool', 1, {'count_include_pad': 1}),
                 ('avgpool_gaps', 'AveragePool', 1, {'dilations': [2, 1], 'ceil_mode': 1}), ('lppool', 'LpPool', 1, {'p': 1})))


def hanging(w):
    """A kernel that reaches beyond its axis by less than a stride is cut there."""
    x = w.rng.standard_normal((1, 2, 3, 7)).astype(F)
    for label, more in (('gaps', {'dilations': [3, 1]}), ('gaps_up', {'dilations': [3, 1], 'ceil_mode': 1}),
                        ('same', {'dilations': [2, 1], 'auto_pad': 'SAME_UPPER'}), ('low', {'kernel_shape': [5, 8], 'strides': [3, 2]})):
        given = {'kernel_shape': [2, 1], 'strides': [3, 1], **more}
        for op in ('MaxPool', 'AveragePool', 'LpPool'):
            w.case(f'{op.lower()}_hanging_{label}', op, [('x', x)], opset=22, **given)


def nowhere(w):
    """A kernel that reaches beyond its axis by a stride, and by less than two, is nowhere."""
    for dtype in (F, np.uint8):
        x = ('x', (w.rng.standard_normal((2, 3, 4, 5)) * 9).astype(dtype))
        for op in ('MaxPool', 'AveragePool', 'LpPool') if dtype == F else ('MaxPool',):
            for label, more in (('one', {'kernel_shape': [5, 2]}), ('far', {'kernel_shape': [9, 2], 'strides': [3, 3]}),
                                ('up', {'kernel_shape': [6, 2], 'strides': [2, 2], 'ceil_mode': 1}),
                                ('gaps', {'kernel_shape': [2, 3], 'dilations': [1, 3], 'strides': [1, 2], 'ceil_mode': 1})):
                for outputs in (1, 2) if op == 'MaxPool' else (1,):
                    w.case(f'{op.lower()}_{np.dtype(dtype)}_nowhere_{label}_{outputs}', op, [x], outputs=outputs, opset=22, **more)


def quantised(w):
    scales = [('xs', F(0.1)), ('xz', np.uint8(7)), ('ys', F(0.09)), ('yz', np.uint8(3))]
    x = w.integers(np.uint8, 1, 3, 9, 11)
    for mode in ('SAME_UPPER', 'SAME_LOWER'):
        w.case(f'qavgpool_{mode.lower()}', 'QLinearAveragePool', [('x', x), *scales], constants=[n for n, _ in scales], domain=MS,
               auto_pad=mode, kernel_shape=[2, 1], strides=[5, 3])


EXACT = (largest, nowhere)
NEAR = (averages, hanging, quantised)
