# SPDX-License-Identifier: Apache-2.0
"""com.microsoft operators with weights in few bits."""
import ml_dtypes
import numpy as np

from oracle_cases import MS, F


def lstms(w):
    steps, batch, width, hidden = 6, 3, 10, 9
    lens = ('lens', np.array([6, 0, 4], np.int32))

    def floats(*shape):
        return (w.rng.standard_normal(shape) * 0.5).astype(F)

    for dtype in (np.uint8, np.int8):
        for label, direction, columns, extras, more in (
                ('plain', 'forward', False, False, {}), ('columns', 'reverse', True, False, {'clip': 0.6}),
                ('both', 'bidirectional', False, True, {}), ('whole', 'bidirectional', True, True, {'input_forget': 1})):
            d = 2 if direction == 'bidirectional' else 1
            shape = (d, 4 * hidden) if columns else (d,)
            zero = np.full(shape, 0 if dtype == np.int8 else 117, dtype)
            values = [('x', floats(steps, batch, width)), ('w', w.weights(dtype, d, width, 4 * hidden)),
                      ('r', w.weights(dtype, d, hidden, 4 * hidden)), ('b', floats(d, 8 * hidden)) if extras else None,
                      lens if extras else None, ('h', floats(d, batch, hidden)) if extras else None,
                      ('c', floats(d, batch, hidden)) if extras else None, ('p', floats(d, 3 * hidden)) if extras else None,
                      ('ws', w.rng.uniform(0.002, 0.01, shape).astype(F)), ('wz', zero),
                      ('rs', w.rng.uniform(0.002, 0.01, shape).astype(F)), ('rz', zero)]
            for given in (True, False):
                w.case(f'dynamicquantizelstm_{np.dtype(dtype)}_{label}_{"given" if given else "constant"}', 'DynamicQuantizeLSTM',
                       values, () if given else ('w', 'r', 'ws', 'wz', 'rs', 'rz', 'b'), outputs=3, domain=MS,
                       direction=direction, hidden_size=hidden, **more)


def embeddings(w):
    batch, rows, words, width = 2, 5, 9, 12
    for dtype in (np.uint8, np.int8):
        for segments in (True, False):
            for mask in (True, False):
                one = lambda given, name, value: (name, value) if given else None  # noqa: E731
                table = lambda n: w.integers(dtype, n, width)  # noqa: E731
                values = [('ids', w.rng.integers(0, words, (batch, rows)).astype(np.int32)),
                          one(segments, 'segs', w.rng.integers(0, 2, (batch, rows)).astype(np.int32)),
                          ('words', table(words)), ('places', table(rows + 1)), one(segments, 'kinds', table(2)),
                          ('gamma', table(1)[0]), ('beta', table(1)[0]),
                          one(mask, 'mask', w.rng.integers(0, 2, (batch, rows)).astype(np.int32))]
                for kind, draw in (('s', w.scale), ('z', lambda: w.zero(dtype))):
                    values += [one(segments or i != 2, f'{kind}{i}', draw()) for i in range(5)]
                w.case(f'qembedlayernorm_{np.dtype(dtype)}_{segments}_{mask}'.lower(), 'QEmbedLayerNormalization', values,
                       ('words', 'places', 'kinds', 'gamma', 'beta'), outputs=2, domain=MS, epsilon=1e-5)


def products(w):
    for bits, block, k, n in ((4, 16, 40, 5), (4, 32, 70, 6), (8, 16, 40, 4), (2, 32, 64, 3)):
        blocks = -(-k // block)
        for real in (F, np.float16):
            if bits == 2 and real != F:
                continue
            for label, z in (('middle', None), ('packed', w.integers(np.uint8, n, -(-blocks * bits // 8))),
                             ('real', w.rng.uniform(0, 15, (n, blocks)).astype(real))):
                for groups in (None, w.rng.integers(0, blocks, k).astype(np.int32)):
                    if bits != 4 and (label == 'real' or groups is not None):
                        continue
                    values = [('a', w.rng.standard_normal((2, 3, k)).astype(real)), ('b', w.integers(np.uint8, n, blocks, block * bits // 8)),
                              ('s', w.rng.uniform(0.01, 0.1, (n, blocks)).astype(real)), None if z is None else ('z', z),
                              None if groups is None else ('g', groups), ('bias', w.rng.standard_normal(n).astype(real))]
                    for given in (True, False):
                        w.case(f'matmulnbits_{bits}_{block}_{np.dtype(real)}_{label}_{groups is not None}_{given}'.lower(), 'MatMulNBits',
                               values, () if given else ('b', 's', 'z', 'g', 'bias'), domain=MS, K=k, N=n, bits=bits,
                               block_size=block)
    for kind in (0, 1):
        for k, n, block in ((32, 4, 16), (35, 5, 32), (3, 3, 64)):
            values = [('a', w.rng.standard_normal((2, 3, k)).astype(F)), ('b', w.integers(np.uint8, (n * k + 1) // 2)),
                      ('s', w.rng.uniform(0.1, 1, -(-n * k // block)).astype(F))]
            for given in (True, False):
                w.case(f'matmulbnb4_{kind}_{k}_{given}'.lower(), 'MatMulBnb4', values, () if given else ('b', 's'), domain=MS,
                       K=k, N=n, block_size=block, quant_type=kind)


def blocks_of_32(w):
    for kind in (0, 1, None):
        for k, n in ((32, 4), (70, 5), (3, 1)):
            count = n * -(-k // 32)
            b = np.concatenate([w.rng.uniform(0.1, 1, (count, 1)).astype(F).view(np.uint8), w.integers(np.uint8, count, 16 if kind == 0 else 17)],
                               axis=1)
            if kind == 1:
                b[:, 4] %= 16
            for shape in ((k,), (2, 3, k)):
                values = [('a', w.rng.standard_normal(shape).astype(F)), ('b', b.reshape(-1)), ('shape', np.array([k, n]))]
                for label, constant in (('given', ()), ('constant', ('b', 'shape')), ('half', ('b',))):
                    w.case(f'matmulfpq4_{kind}_{k}_{len(shape)}_{label}'.lower(), 'MatMulFpQ4', values, constant, domain=MS,
                           **({} if kind is None else {'blk_quant_type': kind}))


def gathers(w):
    at = np.array([[0, -1, 3], [2, 0, 4]])
    for bits in (2, 4, 8):
        for real in (F, np.float16):
            for zeros in (False, True):
                values = [('x', w.integers(np.uint8, 5, 2, 48 * bits // 8)), ('i', at),
                          ('s', w.rng.uniform(0.01, 0.1, (5, 2, 3)).astype(real)),
                          ('z', w.integers(np.uint8, 5, 2, -(-3 * bits // 8))) if zeros else None]
                w.case(f'gatherblockquantized_{bits}_{np.dtype(real)}_{zeros}'.lower(), 'GatherBlockQuantized',
                       values if zeros else values[:3], ('x', 's', 'z'), domain=MS, bits=bits, block_size=16, quantize_axis=-1)
    for small in ('uint4', 'int4', 'float8_e4m3fn', 'float8_e4m3fnuz', 'float8_e5m2', 'float8_e5m2fnuz', 'float4_e2m1fn'):
        dtype = np.dtype(getattr(ml_dtypes, small))
        table = lambda *shape: w.rng.integers(0, 7, shape).astype(F).astype(dtype)  # noqa: E731
        for gather, quantize in ((0, 1), (1, 0), (2, 1), (1, -1), (1, 1)):
            scales = [5, 40, 6]
            scales[quantize] = -(-scales[quantize] // 16)
            for zeros in (False, True):
                if zeros and 'float' in small:
                    continue
                values = [('x', table(5, 40, 6)), ('i', at.astype(np.int32)), ('s', w.rng.uniform(0.01, 0.1, scales).astype(F))]
                if zeros:
                    values.append(('z', table(*scales)))
                w.case(f'gatherblockquantized_{small}_{gather}_{quantize}_{zeros}'.lower().replace('-', 'm'), 'GatherBlockQuantized',
                       values, ('x', 's', 'z'), opset=23, domain=MS, block_size=16, gather_axis=gather, quantize_axis=quantize)
        if 'float' in small:
            for shape in ((1, 1, 1), (5, 1, 1), (1, 1, 6)):
                w.case(f'gatherblockquantized_{small}_whole_{shape[0]}{shape[2]}', 'GatherBlockQuantized',
                       [('x', table(5, 40, 6)), ('i', at), ('s', w.rng.uniform(0.01, 0.1, shape).astype(np.float16))], ('x', 's'),
                       opset=23, domain=MS, block_size=0, quantize_axis=1)


def sixteen_bits(w):
    for label, a, b in (('plain', (7, 5), (5, 9)), ('row', (5,), (3, 5, 4)), ('column', (2, 3, 5), (5,)), ('dot', (6,), (6,)),
                        ('batch', (2, 1, 3, 5), (4, 5, 6)), ('one', (1, 1), (1, 3))):
        w.case(f'matmulinteger16_{label}', 'MatMulInteger16', [('a', w.integers(np.int16, *a)), ('b', w.integers(np.int16, *b))],
               domain=MS)


EXACT = (sixteen_bits,)
NEAR = (lstms, embeddings, products, blocks_of_32, gathers)
