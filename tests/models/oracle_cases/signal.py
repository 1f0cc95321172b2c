# SPDX-License-Identifier: Apache-2.0
"""Fourier transforms, windows, mel filters."""
import numpy as np
from onnx import TensorProto

from oracle_cases import F

I64 = np.int64


def transforms(w):
    """Lengths: powers of two, products of small primes, primes. Long ones in double: in float ONNX Runtime's own error is
    in the third digit. Its inverse one-sided transform is right only for as many bins as the length has."""
    for n in (1, 2, 3, 8, 12, 31, 64, 100, 257, 1021):
        dtype = F if n < 99 else np.float64
        real, both = w.rng.standard_normal((2, n, 1)).astype(dtype), w.rng.standard_normal((2, n, 2)).astype(dtype)
        for label, x, attributes in (('real', real, {}), ('complex', both, {}), ('onesided', real, {'onesided': 1}),
                                     ('inverse', both, {'inverse': 1}), ('inverse_real', real, {'inverse': 1})):
            w.case(f'dft_{label}_{n}', 'DFT', [('x', x)], opset=17, axis=1, **attributes)
        if n > 1:
            w.case(f'dft_irfft_{n}', 'DFT', [('x', both)], opset=20, inverse=1, onesided=1)
    x, z = w.rng.standard_normal((3, 10, 4, 1)).astype(F), w.rng.standard_normal((3, 10, 4, 2)).astype(F)
    for length in (1, 7, 10, 16, 19):
        for constant in ((), ('n', 'axis')):
            for label, value, attributes in (('rfft', x, {'onesided': 1}), ('fft', z, {}), ('ifft', z, {'inverse': 1}),
                                             ('irfft', z, {'inverse': 1, 'onesided': 1})):
                half = value[:, :length // 2 + 1] if label == 'irfft' else value
                w.case(f'dft_{label}_length_{length}_{len(constant)}', 'DFT',
                       [('x', half), ('n', I64(length)), ('axis', I64(1))], constant, opset=20, **attributes)
    for axis in (0, 1, 2, -2, -4):
        w.case(f'dft_axis_{axis}'.replace('-', 'm'), 'DFT', [('x', z)], opset=17, axis=axis)
        w.case(f'dft20_axis_{axis}'.replace('-', 'm'), 'DFT', [('x', z), None, ('axis', I64(axis))], opset=20)
    w.case('dft_double', 'DFT', [('x', z.astype(np.float64))], opset=20)
    w.case('dft_half', 'DFT', [('x', z.astype(np.float16))], opset=20)
    w.case('dft_no_lines', 'DFT', [('x', z[:0])], opset=20)


def frames(w):
    x, z = w.rng.standard_normal((2, 50, 1)).astype(F), w.rng.standard_normal((2, 50, 2)).astype(F)
    for label, value, step, length, window, onesided in (
            ('plain', x, 5, 16, False, 1), ('window', x, 7, 12, True, 1), ('both', x, 3, 11, True, 0), ('complex', z, 4, 16, True, 0),
            ('rank2', x[..., 0], 9, 20, True, 1), ('whole', x, 1, 50, False, 1)):
        for constant in ((), ('step', 'length')):
            given = [('x', value), ('step', I64(step)), ('w', np.hanning(length).astype(F)) if window else None, ('length', I64(length))]
            w.case(f'stft_{label}_{len(constant)}', 'STFT', given, constant, opset=17, onesided=onesided)
    w.case('stft_window_alone', 'STFT', [('x', x), ('step', I64(6)), ('w', np.hamming(10).astype(F))], opset=17)
    w.case('stft_double', 'STFT', [('x', x.astype(np.float64)), ('step', np.int32(6)), None, ('n', np.int32(13))], opset=17)


def windows(w):
    for op in ('HannWindow', 'HammingWindow', 'BlackmanWindow'):
        for size in (0, 1, 2, 5, 64):
            for periodic in (0, 1):
                for constant in ((), ('n',)) if size > 0 else ((),):
                    w.case(f'{op.lower()}_{size}_{periodic}_{len(constant)}', op, [('n', I64(size))], constant, opset=17,
                           periodic=periodic)
        for kind in (TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.INT32, TensorProto.UINT8):
            w.case(f'{op.lower()}_type_{kind}', op, [('n', np.int32(9))], opset=17, output_datatype=kind)


def mels(w):
    for bins, length, rate, low, high in ((8, 16, 8192, 0.0, 4096.0), (20, 512, 16000, 80.0, 7600.0), (40, 400, 16000, 0.0, 8000.0),
                                          (3, 7, 100, 1.0, 40.0), (64, 128, 22050, 20.0, 9000.0)):
        for constant in ((), ('bins', 'length', 'rate')):
            w.case(f'mel_{bins}_{length}_{len(constant)}', 'MelWeightMatrix',
                   [('bins', I64(bins)), ('length', I64(length)), ('rate', I64(rate)), ('low', F(low)), ('high', F(high))], constant,
                   opset=17)


NEAR = (transforms, frames, windows, mels)
