# SPDX-License-Identifier: Apache-2.0
"""com.microsoft operators that decoders of language are made of."""
import numpy as np

from differential.draft import MS, F
from differential.recipes import recipe


def trimmed(inputs):
    while inputs[-1] == '':
        inputs.pop()
    return inputs


def cache(d, form, dtype, shape):
    if form == 'int8':
        return d.give(d.array(np.int8, shape, -128, 127))
    if form == 'int4':
        return d.give(d.array(np.uint8, (*shape[:-1], shape[-1] // 2), 0, 255))
    return d.tensor(dtype, shape)


@recipe('GroupQueryAttention')
def group_query(d, op):
    """A prompt, a step or several steps at once, with a cache that grows, has a fixed length or moves on."""
    dtype, form = d.choice([F, F, np.float16]), d.choice(['float', 'float', 'int8', 'int4'])
    kv, size, b = d.integer(1, 3), d.choice([16, 32, 48]), d.integer(1, 3)
    n, kind = kv * d.integer(1, 3), d.choice(['prompt', 'step', 'step', 'several', 'evicting'])
    if kind == 'evicting':
        form, size = d.choice(['float', 'int8']), 32
    window = d.integer(0, 5) if d.chance(0.3) else -1
    before, rows = d.integer(0, 7), 1 if kind == 'step' else d.integer(1, 6)
    b, before = (1 if kind == 'several' else b), 0 if kind == 'prompt' else before
    total = before + rows
    past = before + (d.integer(rows, 4 + rows) if d.chance(0.4) else 0)
    lengths = [d.integer(max(rows, total - 4), total) if kind == 'step' else total for _ in range(b)]
    if kind == 'prompt' and window < 0:
        lengths = [d.integer(1, total) for _ in range(b)]
    if kind == 'evicting':  # what lies behind the last row is not defined: so long that there is nothing
        b, past, window = 1, d.integer(1, 6), 0
        window = d.integer(1, past)
        rows = d.integer(1, 5)
        total = past + (past - window + 1) * d.integer(0, 2) + (rows if rows > past else 0)
        total -= (total - past) % (past - window + 1)
        if total < rows:
            return None
        lengths = [total] * b
    has_cache = kind != 'prompt' or form != 'float' or d.chance(0.3)
    trace = d.choice([0, 0, 0, 1, 2]) if kind != 'evicting' and min(lengths) == total and has_cache else 0
    rotary, packed, causal = d.chance(0.4), d.chance(0.3), window >= 0 or d.chance(0.8)
    inputs = [d.tensor(dtype, (b, rows, (n + 2 * kv if packed else n) * size))]
    inputs += ['', ''] if packed else [d.tensor(dtype, (b, rows, kv * size)) for _ in 'kv']
    inputs += [cache(d, form, dtype, (b, kv, past, size)) if has_cache else '' for _ in 'kv']
    inputs += [d.give(np.array(lengths, np.int32) - np.int32(1)), d.give(np.array(total, np.int32))]
    inputs += [d.tensor(dtype, (total + 2, 8 * (size // 16))) if rotary else '' for _ in 'cs']
    at = np.array([[d.integer(0, 1)] * rows] * b) + np.arange(rows) if rotary and d.chance(0.3) else None
    inputs += [d.give(at.astype(np.int64)) if at is not None else '',
               d.tensor(dtype, (d.choice([1, b]), d.choice([1, n]), rows, total)) if d.chance(0.3) else '',
               d.tensor(dtype, (n,)) if d.chance(0.2) else '']
    more = {}
    if form != 'float':
        count, quant = d.choice([(1, 'PER_TENSOR'), (kv * size, 'PER_CHANNEL')])
        inputs += [d.give(d.array(F, (count,), 0.01, 0.03) * F(1 if form == 'int8' else 10)) for _ in 'kv']
        more = {'k_quant_type': quant, 'v_quant_type': quant, 'kv_cache_bit_width': 8 if form == 'int8' else 4}
    if d.chance(0.3):
        more['scale'] = 0.4
    return d.emit(op, trimmed(inputs), 4 if trace else 3 if has_cache else d.choice([1, 3]), domain=MS, num_heads=n,
                  kv_num_heads=kv, do_rotary=int(rotary), rotary_interleaved=d.integer(0, 1), local_window_size=window,
                  softcap=d.choice([0.0, 0.0, 2.0]), smooth_softmax=int(d.chance(0.2)), causal=int(causal), qk_output=trace,
                  sliding_window_cache=int(kind == 'evicting'), **more)


@recipe('MRotaryEmbedding')
def three_positions(d, op):
    dtype, b, s, n, half = d.choice([F, np.float16]), d.integer(1, 3), d.integer(1, 6), d.integer(1, 3), d.integer(1, 9)
    length, rest = d.integer(s, s + 5), d.integer(0, 3) if d.chance(0.3) else 0
    first, second = sorted((d.integer(0, half), d.integer(0, half)))
    size, more = 2 * half + rest, {'rotary_embedding_dim': 2 * half} if rest else {}
    shape = (b, n, s, size) if d.chance(0.5) else (b, s, n * size)
    return d.emit(op, [d.tensor(dtype, shape), d.give(d.array(np.int64, (3, b, s), 0, length - 1)),
                       d.tensor(dtype, (length, half)), d.tensor(dtype, (length, half))], domain=MS, num_heads=n,
                  mrope_section=[first, second - first, half - second], mrope_layout=d.integer(0, 1),
                  interleaved=d.integer(0, 1), scale=d.choice([1.0, 0.7]), **more)


@recipe('LinearAttentionGate')
def gate(d, op):
    dtype, shape = d.choice([F, np.float16]), (d.integer(1, 3), d.integer(1, 6), d.integer(1, 40))
    inputs = [d.tensor(dtype, shape, -6, 6), d.tensor(F, shape[-1:]), d.tensor(F, shape[-1:])]
    beta = d.chance(0.7)
    return d.emit(op, inputs + [d.tensor(dtype, shape, -6, 6)] * beta, 1 + int(beta), domain=MS)


@recipe('DecoderMaskedMultiHeadAttention')
def one_row(d, op):
    cross, beams = d.chance(0.3), d.integer(1, 3)
    b, n, size, room = beams * d.integer(1, 2), d.integer(1, 3), d.integer(1, 20), d.integer(1, 12)
    past = d.integer(0, room - 1)
    keys = room if cross else past + 1
    inputs = [d.tensor(F, (b, 1, n * size))]
    inputs += [d.tensor(F, (b, n, room, size) if cross else (b, 1, n * size)) for _ in 'kv']
    seen = d.array(np.int32, (b, keys), 0, 1)
    seen[:, 0] = 1  # where all are hidden, what tells them apart is lost beside -10000
    add = not cross and d.chance(0.4)
    inputs += [d.give(seen) if d.chance(0.4) else '', d.tensor(F, d.choice([(b, n, 1, keys), (1, 1, 1, keys)])) if add else '']
    inputs += ['', '', ''] if cross else [d.tensor(F, (b, n, room, size)), d.tensor(F, (b, n, room, size)),
                                          d.give(np.array([past], np.int32))]
    grouped = not cross and (beams > 1 or d.chance(0.2))
    inputs += [d.give(np.array([beams], np.int32)), d.give(d.array(np.int32, (b // beams, beams, room), 0, beams - 1))
               ] if grouped and d.chance(0.8) else ['', '']
    inputs.append(d.tensor(F, (3 * n * size,)) if d.chance(0.4) else '')
    more = {} if cross else {'past_present_share_buffer': 1}
    return d.emit(op, trimmed(inputs), 1 if cross else 3, domain=MS, num_heads=n, scale=d.choice([0.0, 0.4]), **more)
