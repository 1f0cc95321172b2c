# SPDX-License-Identifier: Apache-2.0
"""What ONNX Runtime's optimiser makes of several operators: products and convolutions with what follows them."""
import numpy as np

from oracle_cases import MS, F


def floats(w, *shape, dtype=F):
    return w.rng.standard_normal(shape).astype(dtype)


def gelus(w):
    x, bias = ('x', floats(w, 3, 5, 8) * 3), ('b', floats(w, 8))
    w.case('ms_gelu', 'Gelu', [x], domain=MS)
    w.case('biasgelu', 'BiasGelu', [x, bias], domain=MS)
    w.case('fastgelu', 'FastGelu', [x], domain=MS)
    w.case('fastgelu_bias', 'FastGelu', [x, bias], domain=MS)
    w.case('quickgelu', 'QuickGelu', [x], domain=MS)
    w.case('quickgelu_alpha', 'QuickGelu', [x], domain=MS, alpha=0.7)
    x, bias = ('x', floats(w, 3, 5, 8, dtype=np.float64) * 3), ('b', floats(w, 8, dtype=np.float64))
    w.case('fastgelu_double', 'FastGelu', [x, bias], domain=MS)
    w.case('quickgelu_double', 'QuickGelu', [x], domain=MS, alpha=0.7)


def matmuls(w):
    shapes = (('plane', (5, 7), (7, 3)), ('batch', (2, 3, 5, 7), (2, 3, 7, 4)), ('broadcast', (2, 1, 5, 7), (3, 7, 4)),
              ('stack', (4, 5, 7), (7, 3)), ('row', (7,), (2, 7, 3)), ('column', (2, 5, 7), (7,)))
    for dtype in (F, np.float64):
        t = np.dtype(dtype).name
        for label, a, b in shapes:
            for ta, tb in ((0, 0), (1, 0), (0, 1), (1, 1)):
                if (ta or tb) and 1 in (len(a), len(b)):
                    continue
                left = floats(w, *(a[:-2] + (a[-1], a[-2]) if ta else a), dtype=dtype)
                right = floats(w, *(b[:-2] + (b[-1], b[-2]) if tb else b), dtype=dtype)
                w.case(f'fusedmatmul_{t}_{label}_{ta}{tb}', 'FusedMatMul', [('a', left), ('b', right)], domain=MS,
                       transA=ta, transB=tb, alpha=0.7)
    for label, a, b, more in (('left', (5, 2, 7), (2, 7, 4), {'transBatchA': 1}),
                              ('right', (2, 5, 7), (7, 2, 4), {'transBatchB': 1}),
                              ('both', (5, 2, 3, 7), (7, 2, 3, 4), {'transBatchA': 1, 'transBatchB': 1}),
                              ('turned', (7, 2, 5), (4, 2, 7), {'transBatchA': 1, 'transA': 1, 'transBatchB': 1, 'transB': 1})):
        w.case(f'fusedmatmul_transbatch_{label}', 'FusedMatMul', [('a', floats(w, *a)), ('b', floats(w, *b))], domain=MS, **more)
    w.case('transposematmul', 'TransposeMatMul', [('a', floats(w, 7, 5)), ('b', floats(w, 7, 3))], domain=MS, transA=1)


def gemms(w):
    for activation, more in (('Relu', {}), ('Sigmoid', {}), ('Tanh', {}), ('LeakyRelu', {'activation_alpha': 0.2}),
                             ('HardSigmoid', {'activation_alpha': 0.3, 'activation_beta': 0.4}),
                             ('Elu', {'activation_alpha': 0.8}), ('Softplus', {}), ('Softsign', {}),
                             ('ThresholdedRelu', {'activation_alpha': 0.5}),
                             ('Selu', {'activation_alpha': 1.2, 'activation_gamma': 0.9})):
        more = more | {'activation': activation}
        for constant in (('b',), ()):
            w.case(f'fusedgemm_{activation}_{"constant" if constant else "given"}'.lower(), 'FusedGemm',
                   [('a', floats(w, 6, 5)), ('b', floats(w, 9, 6)), ('c', floats(w, 9))], constant, domain=MS, alpha=0.5,
                   beta=2.0, transA=1, transB=1, **more)


def convolutions(w):
    for activation, params in ((None, None), ('Relu', None), ('Sigmoid', None), ('Tanh', None), ('LeakyRelu', [0.2]),
                               ('Clip', [-0.5, 0.8]), ('HardSigmoid', [0.3, 0.4])):
        more = {'activation': activation} if activation else {}
        if params:
            more['activation_params'] = params
        for label, x, weight, extra in (('plane', (2, 4, 7, 9), (6, 4, 3, 3), {'pads': [1, 1, 1, 1]}),
                                        ('point', (1, 8, 5, 5), (4, 8, 1, 1), {}),
                                        ('depth', (1, 6, 8, 8), (6, 1, 3, 3), {'group': 6, 'strides': [2, 2]})):
            values = [('x', floats(w, *x)), ('w', floats(w, *weight) / 2), ('b', floats(w, weight[0]))]
            w.case(f'fusedconv_{activation}_{label}'.lower(), 'FusedConv', values, ('w', 'b'), domain=MS, **more, **extra)
        out = floats(w, 2, 6, 7, 9)
        values = [('x', floats(w, 2, 4, 7, 9)), ('w', floats(w, 6, 4, 3, 3) / 2)]
        for bias in (None, ('b', floats(w, 6))):
            w.case(f'fusedconv_{activation}_sum_{bias is not None}'.lower(), 'FusedConv', [*values, bias, ('z', out)],
                   ('w',), domain=MS, pads=[1, 1, 1, 1], **more)


def matrices(w):
    """Operators that an exporter of PyTorch models wrote before the standard had them."""
    for dtype in (F, np.float64):
        for label, shape in (('one', (4, 4)), ('batch', (2, 3, 5, 5)), ('number', (3, 1, 1)), ('empty', (0, 3, 3))):
            w.case(f'inverse_{np.dtype(dtype).name}_{label}', 'Inverse', [('x', floats(w, *shape, dtype=dtype))], domain=MS)
    turned = np.array([[0, 2, 1], [1, 0, 3], [4, 1, 0]], F)  # no pivot where it is looked for first
    w.case('inverse_pivot', 'Inverse', [('x', turned)], domain=MS)
    for upper in (0, 1):
        w.case(f'ms_trilu_{upper}', 'Trilu', [('x', floats(w, 2, 4, 5)), ('k', np.array(1))], domain=MS, upper=upper)


def few_bits(w):
    for bits, block, k, n in ((4, 16, 48, 5), (4, 32, 70, 9), (8, 16, 40, 6), (4, 128, 128, 3)):
        blocks = -(-k // block)
        weights = ('b', w.integers(np.uint8, n, blocks, block * bits // 8))
        scales = ('s', w.rng.uniform(0.01, 0.1, n * blocks).astype(F))
        zeros = ('z', w.integers(np.uint8, n * (-(-blocks * bits // 8))))
        for label, z in (('middle', None), ('packed', zeros), ('float', ('z', w.rng.uniform(0, 15, n * blocks).astype(F)))):
            for bias in (None, ('bias', floats(w, n))):
                if bits == 8 and label == 'float':
                    continue
                values = [('a', floats(w, 2, 3, k)), weights, scales, z, None, bias]
                while values[-1] is None:
                    values.pop()
                w.case(f'matmulnbits_{bits}_{block}_{k}_{label}_{bias is not None}'.lower(), 'MatMulNBits', values,
                       ('b', 's', 'z', 'bias'), domain=MS, K=k, N=n, bits=bits, block_size=block)


NEAR = (gelus, matmuls, gemms, convolutions, matrices, few_bits)
