# SPDX-License-Identifier: Apache-2.0
"""Operators with weights in few bits that ONNX Runtime alone has."""
import numpy as np

from differential.draft import MS, F
from differential.recipes import recipe
from differential.recipes.quantised import full


@recipe('DynamicQuantizeLSTM')
def lstm(d, op):
    t, b, i, h = d.integer(1, 6), d.integer(1, 4), d.integer(1, 20), d.integer(1, 20)
    direction = d.choice(['forward', 'reverse', 'bidirectional'])
    n, dtype = 2 if direction == 'bidirectional' else 1, d.choice((np.uint8, np.int8))
    columns = d.chance(0.5)  # a scale for each; zero points are then all the same

    def scales():
        shape = (n, 4 * h) if columns else (n,)
        zeros = np.full(shape, 0 if dtype == np.int8 else d.integer(90, 160), dtype) if columns else d.array(dtype, shape, 0, 20)
        return [d.give(d.array(F, shape, 0.001, 0.01)), d.give(zeros)]

    maybe = lambda p, make: make() if d.chance(p) else ''  # noqa: E731
    inputs = [d.tensor(F, (t, b, i)), full(d, dtype, (n, i, 4 * h), True if d.chance(0.7) or dtype == np.int8 else None),
              full(d, dtype, (n, h, 4 * h), True if d.chance(0.7) or dtype == np.int8 else None),
              maybe(0.7, lambda: d.give(d.array(F, (n, 8 * h), -1, 1))), maybe(0.4, lambda: d.give(d.array(np.int32, (b,), 0, t))),
              maybe(0.4, lambda: d.tensor(F, (n, b, h))), maybe(0.4, lambda: d.tensor(F, (n, b, h))),
              maybe(0.3, lambda: d.give(d.array(F, (n, 3 * h), -1, 1))), *scales(), *scales()]
    more = {'clip': 0.7} if d.chance(0.2) else {}
    if d.chance(0.3):
        more['activations'] = [d.choice(['Relu', 'Tanh', 'Sigmoid', 'Softsign', 'Softplus']) for _ in range(3 * n)]
    if d.chance(0.2):
        more['input_forget'] = 1
    return d.emit(op, inputs, 3, domain=MS, direction=direction, hidden_size=h, **more)


@recipe('QEmbedLayerNormalization')
def embed(d, op):
    b, s, words, width, dtype = d.integer(1, 3), d.integer(1, 6), d.integer(1, 9), d.integer(1, 40), d.choice((np.uint8, np.int8))
    segments = d.chance(0.6)
    table = lambda *shape: full(d, dtype, shape)  # noqa: E731
    inputs = [d.give(d.array(np.int32, (b, s), 0, words - 1)), d.give(d.array(np.int32, (b, s), 0, 1)) if segments else '',
              table(words, width), table(s + d.integer(0, 3), width), table(2, width) if segments else '', table(width), table(width),
              d.give(d.array(np.int32, (b, s), 0, 1)) if d.chance(0.5) else '']
    single = d.choice([(), (1,)])
    inputs += [d.give(d.array(F, single, 0.01, 0.1)) if segments or i != 2 else '' for i in range(5)]
    inputs += [full(d, dtype, single) if segments or i != 2 else '' for i in range(5)]
    return d.emit(op, inputs, 2, domain=MS, epsilon=1e-5)


@recipe('MatMulNBits')
def n_bits(d, op):
    k, n, block = d.choice([16, 20, 32, 48, 64, 130]), d.integer(1, 9), d.choice([16, 32, 64])
    blocks, real, bits = -(-k // block), d.choice((F, F, np.float16)), d.choice([4, 4, 8, 2])
    fixed = True if d.chance(0.5) else None
    held = lambda a: d.give(a, fixed)  # noqa: E731
    flat = d.chance(0.3)
    inputs = [d.tensor(real, (*d.shape(high=1), d.integer(1, 4), k)),
              held(d.array(np.uint8, (n, blocks, block * bits // 8), 0, 255)),
              held(d.array(real, (n * blocks,) if flat else (n, blocks), 0.01, 0.1)), '', '', '']
    # ONNX Runtime reads other than 4 bits wrongly where it has g_idx or zero points that are no integers.
    zeros = d.choice(['', 'packed', 'real' if bits == 4 else ''])
    if zeros == 'packed':
        width = -(-blocks * bits // 8)
        inputs[3] = held(d.array(np.uint8, (n * width,) if flat else (n, width), 0, 255))
    elif zeros:
        inputs[3] = held(d.array(real, (n * blocks,) if flat else (n, blocks), 0, 15))
    if bits == 4 and d.chance(0.3):
        inputs[4] = held(d.array(np.int32, (d.choice([k, blocks * block]),), 0, blocks - 1))
    if d.chance(0.4):
        inputs[5] = d.tensor(real, (n,))
    while inputs[-1] == '':
        inputs.pop()
    return d.emit(op, inputs, domain=MS, K=k, N=n, bits=bits, block_size=block)


@recipe('MatMulBnb4')
def bnb4(d, op):
    k, n, block = d.integer(1, 70), d.integer(1, 9), d.choice([16, 32, 64, 128, 256])
    return d.emit(op, [d.tensor(F, (*d.shape(high=2), d.integer(1, 4), k)), full(d, np.uint8, ((n * k + 1) // 2,)),
                       d.tensor(F, (-(-n * k // block),))], domain=MS, K=k, N=n, block_size=block, quant_type=d.integer(0, 1),
                  training_mode=d.integer(0, 1))


@recipe('MatMulFpQ4')
def fp_q4(d, op):
    """Blocks are bytes, of which the first four are a scale."""
    k, n, kind = d.integer(1, 100), d.integer(1, 9), d.choice([0, 1, None])
    blocks = -(-k // 32)
    scales = d.array(F, (n * blocks, 1), 0.01, 0.1).view(np.uint8)
    b = np.concatenate([scales, d.array(np.uint8, (n * blocks, 16 if kind == 0 else 17), 0, 255)], axis=1)
    if kind != 0 and d.chance(0.8):
        b[:, 4] %= 16
    return d.emit(op, [d.tensor(F, (*d.shape(high=2), k)), d.give(b.reshape(-1), True if d.chance(0.5) else None),
                       d.give(np.array([k, n], np.int64), True if d.chance(0.7) else None)], domain=MS,
                  **({} if kind is None else {'blk_quant_type': kind}))


@recipe('GatherBlockQuantized')
def gather(d, op):
    """Of bytes; numpy lacks the other types, which have cases of their own."""
    bits, block = d.choice([2, 4, 8]), d.choice([16, 32])
    shape = [d.integer(1, 6) for _ in range(d.integer(1, 2))] + [d.choice([16, 24, 32, 40, 64])]
    rows, each = shape[:-1], 8 // bits
    blocks, real = -(-shape[-1] // block), d.choice((F, np.float16))
    at = d.array(d.choice((np.int32, np.int64)), d.shape(high=2), -shape[0], shape[0] - 1)
    inputs = [full(d, np.uint8, (*rows, shape[-1] // each)), d.give(at), d.tensor(real, (*rows, blocks), 0.01, 0.1)]
    if d.chance(0.5):
        inputs.append(full(d, np.uint8, (*rows, -(-blocks // each))))
    return d.emit(op, inputs, domain=MS, bits=bits, block_size=block, gather_axis=d.choice([0, -len(shape)]),
                  quantize_axis=d.choice([-1, len(shape) - 1]))


@recipe('MatMulInteger16')
def sixteen_bits(d, op):
    m, k, n = d.integer(1, 9), d.integer(1, 40), d.integer(1, 20)
    lead = d.shape(high=2)
    a = full(d, np.int16, (k,) if d.chance(0.1) else (*lead, m, k))
    b = full(d, np.int16, (k,) if d.chance(0.1) else (*(1 if d.chance(0.4) else s for s in lead if d.chance(0.9)), k, n))
    return d.emit(op, [a, b], domain=MS)
