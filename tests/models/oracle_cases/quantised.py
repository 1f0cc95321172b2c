# SPDX-License-Identifier: Apache-2.0
"""Operators on quantised tensors."""
import numpy as np

from oracle_cases import MS, F


def elementwise(w):
    for dtype in (np.uint8, np.int8):
        t = np.dtype(dtype).name
        for op in ('QLinearAdd', 'QLinearMul'):
            for label, a_shape, b_shape, tie in (('same', (7, 33), (7, 33), True), ('row', (5, 1, 19), (4, 19), False),
                                                 ('scalar', (3, 50), (1,), True), ('outer', (17, 1), (1, 23), False)):
                # Scales in powers of two make many ties, which show how rounding goes.
                scales = [F(0.5), F(0.25), F(0.5)] if tie else [w.scale(), w.scale(), w.scale(0.05, 0.3)]
                w.case(f'{op.lower()}_{t}_{label}', op,
                       [('a', w.integers(dtype, *a_shape)), ('sa', scales[0]), ('za', w.zero(dtype)),
                        ('b', w.integers(dtype, *b_shape)), ('sb', scales[1]), ('zb', w.zero(dtype)),
                        ('sc', scales[2]), ('zc', w.zero(dtype))],
                       constants=('sa', 'za', 'sb', 'zb', 'sc', 'zc'), domain=MS)
        unary = [('sx', F(0.06)), ('zx', dtype(3)), ('sy', F(1 / 256)), ('zy', dtype(np.iinfo(dtype).min))]
        small = ('sx', 'zx', 'sy', 'zy')
        every = np.arange(np.iinfo(dtype).min, np.iinfo(dtype).max + 1).astype(dtype)
        w.case(f'qlinearsigmoid_{t}', 'QLinearSigmoid', [('x', every), *unary], small, domain=MS)
        w.case(f'qlinearleakyrelu_{t}', 'QLinearLeakyRelu',
               [('x', every), ('sx', F(0.06)), ('zx', dtype(3)), ('sy', F(0.05)), ('zy', dtype(-9 if t == 'int8' else 9))],
               small, domain=MS, alpha=0.3)
        concat = [('sy', F(0.07)), ('zy', w.zero(dtype))]
        for i, width in enumerate((3, 1, 8)):
            concat += [(f'x{i}', w.integers(dtype, 2, width, 5)), (f's{i}', w.scale()), (f'z{i}', w.zero(dtype))]
        w.case(f'qlinearconcat_{t}', 'QLinearConcat', concat, [n for n, _ in concat if n[0] in 'sz'], domain=MS, axis=1)
        # One element per row above the rest: 1.0 exactly would be 256 steps, on which ONNX Runtime wraps for int8.
        spread = w.integers(dtype, 6, 40)
        spread[:, :4] = np.iinfo(dtype).max
        softmax(w, f'qlinearsoftmax_{t}', spread, unary, small)


def softmax(w, name, x, unary, small):
    for version, shape, axis in ((13, (6, 40), -1), (13, (40, 6), 0), (12, (6, 5, 8), 1)):
        value = x.T.copy() if axis == 0 else x.reshape(shape)
        w.case(f'{name}_{version}_{axis}'.replace('-', 'm'), 'QLinearSoftmax', [('x', value), *unary], small,
               domain=MS, attributes={'axis': axis, 'opset': version})


def pools(w):
    for dtype in (np.uint8, np.int8):
        t = np.dtype(dtype).name
        for label, shape, attributes in (
                ('plain', (2, 3, 9, 11), {'kernel_shape': [3, 2]}),
                ('padded', (1, 4, 8, 7), {'kernel_shape': [3, 3], 'pads': [1, 1, 1, 1], 'strides': [2, 2]}),
                ('included', (1, 4, 8, 7), {'kernel_shape': [3, 3], 'pads': [1, 1, 1, 1], 'count_include_pad': 1}),
                ('line', (2, 3, 20), {'kernel_shape': [4], 'strides': [3]}),
                ('volume', (1, 2, 5, 6, 4), {'kernel_shape': [2, 3, 2]})):
            for scale in (F(0.25), F(0.31)):
                w.case(f'qlinearaveragepool_{t}_{label}_{"tie" if scale == F(0.25) else "odd"}', 'QLinearAveragePool',
                       [('x', w.integers(dtype, *shape)), ('sx', F(0.25)), ('zx', w.zero(dtype)), ('sy', scale),
                        ('zy', w.zero(dtype))], ('sx', 'zx', 'sy', 'zy'), domain=MS, **attributes)
        w.case(f'qlinearglobalaveragepool_{t}', 'QLinearGlobalAveragePool',
               [('x', w.integers(dtype, 2, 5, 6, 7)), ('sx', F(0.25)), ('zx', w.zero(dtype)), ('sy', F(0.03)),
                ('zy', w.zero(dtype))], ('sx', 'zx', 'sy', 'zy'), domain=MS, channels_last=0)


def channels_last(w):
    for dtype in (np.uint8, np.int8):
        t = np.dtype(dtype).name
        scales = [('sx', F(0.25)), ('zx', w.zero(dtype)), ('sy', F(0.31)), ('zy', w.zero(dtype))]
        for label, shape, more in (('plain', (2, 9, 11, 3), {'kernel_shape': [3, 2]}),
                                   ('padded', (1, 8, 7, 4), {'kernel_shape': [3, 3], 'pads': [1, 1, 1, 1], 'strides': [2, 2]}),
                                   ('line', (2, 20, 3), {'kernel_shape': [4], 'strides': [3]})):
            w.case(f'qlinearaveragepool_{t}_{label}_last', 'QLinearAveragePool', [('x', w.integers(dtype, *shape)), *scales],
                   ('sx', 'zx', 'sy', 'zy'), domain=MS, channels_last=1, **more)
        w.case(f'qlinearglobalaveragepool_{t}_last', 'QLinearGlobalAveragePool', [('x', w.integers(dtype, 2, 6, 7, 5)), *scales],
               ('sx', 'zx', 'sy', 'zy'), domain=MS, channels_last=1)
        for last in (0, 1):
            x = w.integers(dtype, 2, 9, 8, 4) if last else w.integers(dtype, 2, 4, 9, 8)
            for label, weights, more in (('plain', (6, 4, 3, 2), {'pads': [1, 0, 2, 1], 'strides': [2, 1]}),
                                         ('depth', (4, 1, 3, 3), {'group': 4, 'pads': [1, 1, 1, 1]})):
                values = [('x', x), *scales[:2], ('w', w.weights(dtype, *weights)), ('sw', F(0.01)), ('zw', dtype(0)),
                          ('sy', F(0.4)), ('zy', w.zero(dtype)), ('b', w.rng.integers(-900, 900, weights[0]).astype(np.int32))]
                w.case(f'ms_qlinearconv_{t}_{label}_{last}', 'QLinearConv', values, [n for n, _ in values if n != 'x'],
                       domain=MS, channels_last=last, **more)


def nhwc(w):
    for dtype in (np.uint8, np.int8):
        for label, shape, attributes in (
                ('plain', (2, 9, 11, 3), {'kernel_shape': [3, 2]}),
                ('padded', (1, 8, 7, 5), {'kernel_shape': [3, 3], 'pads': [1, 1, 1, 1], 'strides': [2, 2]}),
                ('dilated', (1, 9, 9, 4), {'kernel_shape': [2, 3], 'dilations': [3, 2], 'ceil_mode': 1, 'strides': [2, 2]}),
                ('line', (2, 20, 3), {'kernel_shape': [4], 'strides': [3]}),
                ('volume', (1, 5, 6, 4, 2), {'kernel_shape': [2, 3, 2], 'auto_pad': 'SAME_UPPER'})):
            w.case(f'nhwcmaxpool_{np.dtype(dtype).name}_{label}', 'NhwcMaxPool', [('x', w.integers(dtype, *shape))], domain=MS,
                   **attributes)


def convolutions(w):
    for xt, wt in ((np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8)):
        t = f'{np.dtype(xt).name}_{np.dtype(wt).name}'
        for label, shape, weights, bias, channels, attributes in (
                ('plain', (2, 3, 9, 10), (5, 3, 3, 3), True, False, {}),
                ('channels', (1, 4, 9, 10), (6, 4, 3, 2), True, True, {'pads': [1, 0, 2, 1], 'strides': [2, 1]}),
                ('groups', (1, 4, 8, 8), (8, 2, 3, 3), False, True, {'group': 2, 'dilations': [2, 2], 'pads': [2, 2, 2, 2]}),
                ('depthwise', (1, 6, 7, 9), (6, 1, 3, 3), True, True, {'group': 6, 'pads': [1, 1, 1, 1], 'strides': [2, 2]}),
                ('line', (2, 3, 17), (4, 3, 5), True, False, {'auto_pad': 'SAME_UPPER'}),
                ('volume', (1, 2, 5, 6, 4), (3, 2, 2, 3, 2), False, False, {'pads': [1, 1, 0, 0, 0, 1]})):
            count = weights[0] if channels else 1
            wz = w.integers(wt, count) if wt == np.uint8 and not channels else np.zeros(count, wt)
            ws = w.rng.uniform(0.002, 0.02, count).astype(F)
            if not channels:
                wz, ws = wz[0], ws[0]
            values = [('x', w.integers(xt, *shape)), ('sx', w.scale()), ('zx', w.zero(xt)),
                      ('w', w.weights(wt, *weights)), ('sw', ws), ('zw', wz), ('sy', F(0.4)), ('zy', w.zero(xt))]
            if bias:
                values.append(('b', w.rng.integers(-5000, 5000, weights[0]).astype(np.int32)))
            w.case(f'qlinearconv_{t}_{label}', 'QLinearConv', values, [n for n, _ in values if n != 'x'], **attributes)
            if xt == np.uint8 and not channels:
                w.case(f'convinteger_{t}_{label}', 'ConvInteger',
                       [values[0], values[3], ('zx', values[2][1]), ('zw', wz)], ('w', 'zx', 'zw'), **attributes)


def products(w):
    for at, bt in ((np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8)):
        t = f'{np.dtype(at).name}_{np.dtype(bt).name}'
        for label, a_shape, b_shape, columns in (('plain', (9, 70), (70, 21), False), ('columns', (3, 33), (33, 18), True),
                                                 ('batch', (2, 3, 5, 16), (3, 16, 7), False),
                                                 ('stack', (4, 5, 16), (16, 7), True)):
            n = b_shape[-1]
            bs = w.rng.uniform(0.001, 0.01, n).astype(F) if columns else w.scale(0.001, 0.01)
            bz = w.integers(bt, n) if columns else w.zero(bt)
            a, b, az = ('a', w.integers(at, *a_shape)), ('b', w.weights(bt, *b_shape)), ('za', w.zero(at))
            w.case(f'matmulinteger_{t}_{label}', 'MatMulInteger', [a, b, az, ('zb', bz)], ('b', 'za', 'zb'))
            w.case(f'qlinearmatmul_{t}_{label}', 'QLinearMatMul',
                   [a, ('sa', w.scale()), az, b, ('sb', bs), ('zb', bz), ('sy', F(0.2)), ('zy', w.zero(at))],
                   ('b', 'sa', 'za', 'sb', 'zb', 'sy', 'zy'))
        for ta, tb in ((0, 0), (1, 0), (0, 1), (1, 1)):
            a = ('a', w.integers(at, *((12, 5) if ta else (5, 12))))
            b = ('b', w.weights(bt, *((8, 12) if tb else (12, 8))))
            values = [a, ('sa', w.scale()), ('za', w.zero(at)), b, ('sb', w.scale()), ('zb', w.zero(bt)),
                      ('c', w.rng.integers(-9000, 9000, 8).astype(np.int32))]
            for label, more in (('float', []), ('integer', [('sy', F(0.9)), ('zy', w.zero(at))])):
                w.case(f'qgemm_{t}_{ta}{tb}_{label}', 'QGemm', values + more, [n for n, _ in values + more if n != 'a'],
                       domain=MS, alpha=0.7, transA=ta, transB=tb)


def to_float(w):
    """Products of integers that end as floats."""
    for at, bt in ((np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8)):
        for label, a_shape, b_shape, columns in (('plain', (9, 70), (70, 21), False), ('columns', (3, 33), (33, 18), True),
                                                 ('batch', (2, 3, 5, 16), (3, 16, 7), False),
                                                 ('stack', (4, 5, 16), (16, 7), True)):
            n = b_shape[-1]
            bs = w.rng.uniform(0.001, 0.01, n).astype(F) if columns else w.scale(0.001, 0.01)
            bz = w.integers(bt, n) if columns else w.zero(bt)
            b = ('b', w.weights(bt, *b_shape))
            for bias in (None, ('bias', w.rng.standard_normal(n).astype(F))):
                name = f'{np.dtype(at).name}_{np.dtype(bt).name}_{label}_{bias is not None}'.lower()
                values = [('a', w.integers(at, *a_shape)), b, ('sa', w.scale()), ('sb', bs), ('za', w.zero(at)), ('zb', bz)]
                w.case(f'matmulintegertofloat_{name}', 'MatMulIntegerToFloat', values + ([bias] if bias else []),
                       ('b', 'sa', 'sb', 'za', 'zb', 'bias'), domain=MS)
                if at == np.uint8:
                    values = [('a', w.rng.standard_normal(a_shape).astype(F)), b, ('sb', bs), ('zb', bz)]
                    w.case(f'dynamicquantizematmul_{name}', 'DynamicQuantizeMatMul', values + ([bias] if bias else []),
                           ('b', 'sb', 'zb', 'bias'), domain=MS)


def choices(w):
    for dtype in (np.uint8, np.int8):
        for label, shapes in (('same', ((4, 9), (4, 9), (4, 9))), ('broadcast', ((4, 1), (9,), (3, 1, 9))),
                              ('scalar', ((5, 1), (), (1, 6)))):
            cond, x, y = shapes
            values = [('c', w.rng.uniform(size=cond) < 0.5), ('x', w.integers(dtype, *x)), ('sx', w.scale()), ('zx', w.zero(dtype)),
                      ('y', w.integers(dtype, *y)), ('sy', w.scale()), ('zy', w.zero(dtype)), ('sz', F(0.07)), ('zz', w.zero(dtype))]
            w.case(f'qlinearwhere_{np.dtype(dtype).name}_{label}', 'QLinearWhere', values,
                   [n for n, _ in values if n[0] in 'sz'], domain=MS)


def scalings(w):
    for dtype in (np.uint8, np.int8, np.uint16, np.int16):
        t, x = np.dtype(dtype).name, (w.rng.standard_normal((4, 5, 6)) * 30).astype(F)
        s, z = w.rng.uniform(0.1, 1, 5).astype(F), w.integers(dtype, 5)
        w.case(f'ms_quantizelinear_{t}', 'QuantizeLinear', [('x', x), ('s', F(0.3)), ('z', w.zero(dtype))], ('s', 'z'), domain=MS)
        w.case(f'ms_quantizelinear_{t}_axis', 'QuantizeLinear', [('x', x), ('s', s), ('z', z)], ('s', 'z'), domain=MS, axis=1)
        w.case(f'ms_dequantizelinear_{t}', 'DequantizeLinear',
               [('x', w.integers(dtype, 7, 3)), ('s', F(0.3)), ('z', w.zero(dtype))], ('s', 'z'), domain=MS)
        w.case(f'ms_dequantizelinear_{t}_axis', 'DequantizeLinear', [('x', w.integers(dtype, 4, 5, 6)), ('s', s), ('z', z)],
               ('s', 'z'), domain=MS, axis=1)
    x = (w.rng.standard_normal((4, 5, 6)) * 30).astype(F)
    x[0, 0] = [0.5, 1.5, -0.5, -1.5, 1e30, -1e30]
    for dtype in (np.uint8, np.int8):
        t = np.dtype(dtype).name
        w.case(f'quantizelinear_{t}', 'QuantizeLinear', [('x', x), ('s', F(1)), ('z', w.zero(dtype))], ('s', 'z'))
        s, z = w.rng.uniform(0.1, 1, 5).astype(F), w.integers(dtype, 5)
        w.case(f'quantizelinear_{t}_axis', 'QuantizeLinear', [('x', x), ('s', s), ('z', z)], ('s', 'z'), axis=1)
        w.case(f'dequantizelinear_{t}_axis', 'DequantizeLinear', [('x', w.integers(dtype, 4, 5, 6)), ('s', s), ('z', z)],
               ('s', 'z'), axis=-2)
    w.case('dequantizelinear_int32', 'DequantizeLinear',
           [('x', w.rng.integers(-2**31, 2**31, (7, 3)).astype(np.int32)), ('s', F(0.03))], ('s',))
    for i, low in enumerate((-3, 0.5, -9)):
        w.case(f'dynamicquantizelinear_{i}', 'DynamicQuantizeLinear',
               [('x', w.rng.uniform(low, low + 6, (9, 13)).astype(F))], outputs=3)


EXACT = (elementwise, pools, channels_last, nhwc, convolutions, products, to_float, choices, scalings)
