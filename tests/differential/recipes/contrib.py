# SPDX-License-Identifier: Apache-2.0
"""com.microsoft operators that ONNX Runtime's own tools write."""
import numpy as np

from differential.draft import MS, F
from differential.recipes import recipe
from differential.recipes.neural import windows
from differential.recipes.quantised import BYTES, full, scale, zero
from differential.recipes.reducing import image


@recipe('FusedGemm')
def fused_gemm(d, op):
    m, k, n, ta, tb = d.integer(1, 9), d.integer(1, 20), d.integer(1, 30), d.integer(0, 1), d.integer(0, 1)
    act, more = d.choice([('Relu', {}), ('Sigmoid', {}), ('Tanh', {}), ('LeakyRelu', {'activation_alpha': 0.2}), ('Softplus', {}),
                          ('Elu', {'activation_alpha': 0.8}), ('Softsign', {})])
    inputs = [d.tensor(F, (k, m) if ta else (m, k)), d.tensor(F, (n, k) if tb else (k, n))]
    if d.chance(0.7):
        inputs.append(d.tensor(F, d.choice([(n,), (m, n), (1, n), (m, 1)])))
    return d.emit(op, inputs, domain=MS, transA=ta, transB=tb, alpha=0.5, beta=2.0, activation=act, **more)


@recipe('TransposeMatMul')
def transpose_matmul(d, op):
    m, k, n, ta, tb = d.integer(1, 9), d.integer(1, 20), d.integer(1, 20), d.integer(0, 1), d.integer(0, 1)
    kind = d.choice([F, F, np.float64])
    return d.emit(op, [d.tensor(kind, (k, m) if ta else (m, k)), d.tensor(kind, (n, k) if tb else (k, n))], domain=MS, transA=ta,
                  transB=tb, alpha=0.7)


@recipe('ms-Gelu')
def gelu(d, _):
    return d.emit('Gelu', [d.pick([F])], domain=MS)


@recipe('SimplifiedLayerNormalization', 'SkipSimplifiedLayerNormalization')
def simplified(d, op):
    kind = d.choice([F, F, np.float64])
    x = d.tensor(kind, (d.integer(1, 3), d.integer(1, 6), d.integer(1, 40)))
    row = d.tensor(kind, d.of(x).shape[-1:])
    if op[1] == 'i':
        return d.emit(op, [x, row], d.choice([1, 1, 2]), axis=-1, epsilon=1e-4)
    more = [d.tensor(kind, d.of(row).shape)] if d.chance(0.4) else []
    return d.emit(op, [x, d.tensor(kind, d.of(x).shape), row, *more], d.choice([1, 1, (1, 0, 0, 1)]), domain=MS, epsilon=1e-4)


@recipe('QLinearAveragePool', 'QLinearGlobalAveragePool')
def pool(d, op):
    dtype = d.choice(BYTES)
    x = image(d, F, low=4, high=4)
    shape = d.of(x).shape
    d.forget(x)
    x, params = full(d, dtype, shape), [scale(d), zero(d, dtype), scale(d), zero(d, dtype)]
    if op == 'QLinearGlobalAveragePool':
        return d.emit(op, [x, *params], domain=MS, channels_last=0)
    kernel, drawn = windows(d, shape[2:])
    drawn.pop('dilations', None)
    if d.has_attribute(op, 'ceil_mode', MS) or d.chance(0.2):
        drawn['ceil_mode'] = 1
    return d.emit(op, [x, *params], domain=MS, kernel_shape=kernel, count_include_pad=d.integer(0, 1), **drawn)


@recipe('QLinearSoftmax')
def softmax(d, op):
    dtype, shape = d.choice(BYTES), d.shape(low=1, high=4)
    axis, version = d.integer(-len(shape), len(shape) - 1), d.choice([12, 13])
    # Over a single element ONNX Runtime's 32 bits overflow.
    if 0 in shape or int(np.prod(shape[axis:] if version == 12 else shape[axis])) == 1:
        return None
    return d.emit(op, [full(d, dtype, shape), scale(d), zero(d, dtype), d.constant(1 / 256, F),
                       d.constant(0 if dtype == np.uint8 else -128, dtype)], domain=MS, axis=axis, opset=version)


@recipe('ms-RotaryEmbedding')
def rotary(d, _):
    b, s, heads, half = d.integer(1, 3), d.integer(1, 6), d.integer(1, 3), d.integer(1, 5)
    length = s + d.integer(0, 4)
    places = d.array(np.int64, (b, s), 0, length - 1) if d.chance(0.5) else np.array([d.integer(0, length - s)], np.int64)
    return d.emit('RotaryEmbedding', [d.tensor(F, (b, heads, s, 2 * half)), d.give(places), d.tensor(F, (length, half)),
                                      d.tensor(F, (length, half))], domain=MS, interleaved=d.integer(0, 1))


@recipe('QLinearWhere')
def where(d, op):
    dtype, shape = d.choice(BYTES), d.shape(high=3)
    a, b = (tuple(1 if d.chance(0.3) else n for n in shape) for _ in range(2))
    return d.emit(op, [d.tensor(np.bool_, shape), full(d, dtype, a), scale(d), zero(d, dtype), full(d, dtype, b), scale(d),
                       zero(d, dtype), scale(d), zero(d, dtype)], domain=MS)


@recipe('NhwcMaxPool')
def nhwc(d, op):
    x = full(d, d.choice(BYTES), (d.integer(1, 2), *(d.integer(1, 9) for _ in range(2)), d.integer(1, 20)))
    kernel, drawn = windows(d, d.of(x).shape[1:3])
    return d.emit(op, [x], domain=MS, kernel_shape=kernel, **drawn)


@recipe('MultiHeadAttention', 'ms-Attention')
def heads(d, op):
    b, s, kv, n, e, v = (d.integer(1, m) for m in (2, 6, 7, 3, 6, 6))
    cut = d.choice(['none', 'keys', 'ends', 'add'])
    total = s if op == 'ms-Attention' else kv
    seen = d.array(np.int32, (b, total), 0, 1)
    seen[:, 0] = 1
    mask = {'none': '', 'add': ''}.get(cut)
    if mask is None:
        mask = d.give(seen if cut == 'keys' else d.array(np.int32, (b,), 1, total))
    add = d.tensor(F, (b, n, s, total)) if cut == 'add' else ''
    more = {'num_heads': n, 'unidirectional': d.integer(0, 1)}
    if op == 'ms-Attention':
        width = d.integer(1, 12)
        inputs = [d.tensor(F, (b, s, width)), d.constant(d.array(F, (width, n * (2 * e + v)), -0.5, 0.5)),
                  d.constant(d.array(F, (n * (2 * e + v),))), mask, '', add]
        return d.emit('Attention', trimmed(inputs), domain=MS, qkv_hidden_sizes=[n * e, n * e, n * v], **more)
    # ONNX Runtime's mask spares the last row, as it takes keys for those of the past and of the rows.
    if kv != s:
        more.pop('unidirectional')
    inputs = [d.tensor(F, (b, s, n * e)), d.tensor(F, (b, kv, n * e)), d.tensor(F, (b, kv, n * v)),
              d.tensor(F, (n * (2 * e + v),)) if d.chance(0.5) else '', mask, add]
    if cut == 'none' and d.chance(0.4):
        past = d.integer(0, 5)
        more.pop('unidirectional', None)
        inputs += [d.tensor(F, (b, n, past, e)), d.tensor(F, (b, n, past, v))]
        return d.emit(op, inputs, 3, domain=MS, **more)
    return d.emit(op, trimmed(inputs), domain=MS, **more)


def trimmed(inputs):
    while inputs[-1] == '':
        inputs.pop()
    return inputs


@recipe('QAttention')
def quantised_attention(d, op):
    b, s, n, e, width, dtype = d.integer(1, 2), d.integer(1, 6), d.integer(1, 3), d.integer(1, 6), d.integer(1, 12), d.choice(BYTES)
    seen = ''
    if d.chance(0.3):
        seen = d.array(np.int32, (b, s), 0, 1)
        seen[:, 0] = 1
        seen = d.give(seen)
    return d.emit(op, [full(d, np.uint8, (b, s, width), False), full(d, dtype, (width, 3 * n * e), True),
                       d.constant(d.array(F, (3 * n * e,))), d.constant(0.02, F), d.constant(0.006, F), seen,
                       d.constant(120, np.uint8), zero(d, dtype)], domain=MS, num_heads=n, unidirectional=0 if seen else d.integer(0, 1))


@recipe('CausalConvWithState')
def causal(d, op):
    c, s, taps = d.integer(1, 5), d.integer(1, 9), d.integer(1, 4)
    dilation = d.integer(1, 2)
    kind = d.choice([F, F, np.float16])
    inputs = [d.tensor(kind, (2, c, s)), d.tensor(kind, (c, 1, taps)), d.tensor(kind, (c,)) if d.chance(0.5) else '',
              d.tensor(kind, (2, c, (taps - 1) * dilation)) if d.chance(0.5) and taps > 1 else '']
    return d.emit(op, trimmed(inputs), 2, domain=MS, activation=d.choice(['none', 'silu', 'swish']), dilation=dilation)


@recipe('LinearAttention')
def linear_attention(d, op):
    b, t, kv, k, v = (d.integer(1, n) for n in (2, 6, 3, 6, 6))
    q = kv * d.integer(1, 2)
    rule = d.choice(['linear', 'gated', 'delta', 'gated_delta'])
    gated, delta = 'gated' in rule, 'delta' in rule
    inputs = [d.tensor(F, (b, t, q * k), -1, 1), d.tensor(F, (b, t, kv * k), -0.5, 0.5), d.tensor(F, (b, t, kv * v), -1, 1),
              d.tensor(F, (b, kv, k, v), -1, 1) if d.chance(0.5) else '',
              d.tensor(F, (b, t, kv * d.choice([1, k])), -1, 0) if gated else '',
              d.tensor(F, (b, t, d.choice([1, kv])), 0, 1) if delta else '']
    return d.emit(op, trimmed(inputs), 2, domain=MS, q_num_heads=q, kv_num_heads=kv, update_rule=rule)


@recipe('Inverse')
def inverse(d, op):
    n = d.integer(1, 5)
    kind = d.choice([F, F, np.float64])  # halves ONNX Runtime rounds at every step of the elimination
    a = d.array(kind, (*d.shape(d.integer(0, 2)), n, n)) + 4 * np.eye(n, dtype=kind)
    return d.emit(op, [d.give(a)], domain=MS)


@recipe('EmbedLayerNormalization')
def embed(d, op):
    b, s, words, width = d.integer(1, 3), d.integer(1, 6), d.integer(1, 9), d.integer(1, 12)
    table = lambda n: d.constant(d.array(F, (n, width)))  # noqa: E731
    segments, rows = d.chance(0.7), s + d.integer(0, 3)
    inputs = [d.give(d.array(np.int32, (b, s), 0, words - 1)), d.give(d.array(np.int32, (b, s), 0, 1)) if segments else '', table(words),
              table(rows), table(2) if segments else '', d.constant(d.array(F, (width,))), d.constant(d.array(F, (width,))),
              d.give(d.array(np.int32, (b, s), 0, 1)) if d.chance(0.5) else '',
              d.give(d.array(np.int32, (b, s), 0, rows - 1)) if d.chance(0.3) else '']
    return d.emit(op, trimmed(inputs), d.choice([2, 2, 3]), domain=MS, epsilon=1e-5)
