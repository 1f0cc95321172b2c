# SPDX-License-Identifier: Apache-2.0
"""Convolution, pooling, matrix products, recurrent layers, sampling, attention."""
import numpy as np

from differential.draft import FLOATS, MS, F
from differential.recipes import recipe
from differential.recipes.reducing import image


def windows(d, spatial, transposed=False):
    """Attributes of a sliding window that fits, with the kernel's shape."""
    rank = len(spatial)
    kernel = [d.integer(1, min(3, n)) for n in spatial]
    dilations = [d.integer(1, 2) if (k - 1) * 2 < n else 1 for k, n in zip(kernel, spatial, strict=True)]
    drawn = {}
    if d.chance(0.6):
        drawn['strides'] = [d.integer(1, 3) for _ in spatial]
    if d.chance(0.4) and not transposed:
        drawn['dilations'] = dilations
    if d.chance(0.6):
        drawn['pads'] = [d.integer(0, k - 1) for k in kernel * 2]
    elif d.chance(0.4):
        drawn['auto_pad'] = d.choice(['SAME_UPPER', 'SAME_LOWER', 'VALID'])
    assert len(kernel) == rank
    return kernel, drawn


def chosen_channels(d):
    """Channels in and out and the number of groups; depthwise among them."""
    if d.chance(0.25):
        c = d.integer(1, 20)
        return c, c * d.choice([1, 1, 2]), c
    group = d.choice([1, 1, 1, 2, 3])
    return group * d.integer(1, 8), group * d.integer(1, 9), group


@recipe('Conv')
def conv(d, op):
    dtype = d.choice([np.float32, np.float32, np.float32, np.float16, np.float64])
    c, m, group = chosen_channels(d)
    x = image(d, dtype, c)
    kernel, drawn = windows(d, d.of(x).shape[2:])
    inputs = [x, d.give(d.array(dtype, (m, c // group, *kernel)), d.chance(0.8) or None)]
    if d.chance(0.6):
        inputs.append(d.give(d.array(dtype, (m,)), d.chance(0.8) or None))
    if d.chance(0.5):
        drawn['kernel_shape'] = kernel
    return d.emit(op, inputs, **drawn, **({'group': group} if group > 1 else {}))


@recipe('ConvTranspose')
def conv_transpose(d, op):
    group = d.choice([1, 1, 2])
    c, m = group * d.integer(1, 6), d.integer(1, 6)
    x = image(d, np.float32, c, high=4)
    kernel, drawn = windows(d, d.of(x).shape[2:], True)
    if 'strides' in drawn and d.chance(0.4):
        drawn['output_padding'] = [d.integer(0, s - 1) for s in drawn['strides']]
    if d.chance(0.4):
        drawn['kernel_shape'] = kernel
    if d.chance(0.2):
        drawn['dilations'] = [d.integer(1, 2) for _ in kernel]
    inputs = [x, d.give(d.array(np.float32, (c, m, *kernel)), True)]
    if d.chance(0.5):
        inputs.append(d.give(d.array(np.float32, (m * group,)), True))
    return d.emit(op, inputs, **drawn, **({'group': group} if group > 1 else {}))


@recipe('MaxPool', 'AveragePool', 'LpPool')
def pool(d, op):
    x = image(d, d.choice(d.types(op, among=FLOATS) or [np.float32]) if op != 'MaxPool' or d.chance(0.8) else d.choice([np.uint8, np.int8]))
    kernel, drawn = windows(d, d.of(x).shape[2:])
    if d.chance(0.1) and 'auto_pad' not in drawn:  # beyond the axis: a window that is cut there, or none
        begin, end = [drawn.get('pads', [0] * 9)[i * len(kernel)] for i in (0, 1)]
        drawn.setdefault('strides', [1] * len(kernel))
        # Of a window that is cut ONNX Runtime's blocked layout counts what hangs over into the average: none then.
        least = drawn['strides'][0] if op == 'AveragePool' else 1
        kernel[0] = d.of(x).shape[2] + begin + end + d.integer(least, 2 * drawn['strides'][0] - 1)
        drawn.pop('dilations', None)
    if not d.has_attribute(op, 'dilations'):
        drawn.pop('dilations', None)
    if d.has_attribute(op, 'ceil_mode') and d.chance(0.3):
        drawn['ceil_mode'] = 1
    if op == 'AveragePool' and d.chance(0.4):
        drawn['count_include_pad'] = 1
    if op == 'LpPool':
        drawn['p'] = d.integer(1, 3)
    outputs = 2 if op == 'MaxPool' and d.chance(0.3) and d.opset >= 8 else 1
    if outputs == 2 and d.chance(0.3):
        drawn['storage_order'] = 1
    return d.emit(op, [x], outputs, kernel_shape=kernel, **drawn)


@recipe('GlobalAveragePool', 'GlobalMaxPool', 'GlobalLpPool')
def global_pool(d, op):
    return d.emit(op, [image(d, d.choice(d.types(op)))], **({'p': d.integer(1, 3)} if op == 'GlobalLpPool' and d.chance(0.6) else {}))


@recipe('MatMul')
def matmul(d, op):
    dtype = d.choice(d.types(op) if d.chance(0.4) else [np.float32])
    a = d.pick([dtype], low=1, high=4, fits=lambda v: v.size > 0)
    if a is None:
        return None
    shape = d.of(a).shape
    if d.chance(0.2):
        return d.emit(op, [a, d.tensor(dtype, shape[-1:])])
    n = d.choice([1, d.integer(1, 9), d.integer(10, 70)])
    lead = tuple(1 if d.chance(0.3) else k for k in shape[:-2]) if d.chance(0.4) else ()
    return d.emit(op, [a, d.tensor(dtype, (*lead, shape[-1], n))])


@recipe('Gemm')
def gemm(d, op):
    dtype = d.choice([np.float32, np.float32, np.float64, np.float16])
    m, k, n = (d.choice([1, d.integer(1, 9), d.integer(10, 50)]) for _ in range(3))
    ta, tb = d.integer(0, 1), d.integer(0, 1)
    inputs = [d.tensor(dtype, (k, m) if ta else (m, k)), d.tensor(dtype, (n, k) if tb else (k, n))]
    if d.opset < 11 or d.chance(0.7):
        inputs.append(d.tensor(dtype, d.choice([(n,), (1, n), (m, 1), (m, n), (1,), ()])))
    return d.emit(op, inputs, transA=ta, transB=tb, **({'alpha': 0.5, 'beta': 1.5} if d.chance(0.4) else {}))


@recipe('RNN', 'GRU', 'LSTM')
def recurrent(d, op):
    gates = {'RNN': 1, 'GRU': 3, 'LSTM': 4}[op]
    t, b, i, h = d.integer(1, 6), d.integer(1, 4), d.integer(1, 7), d.integer(1, 9)
    direction = d.choice(['forward', 'reverse', 'bidirectional'])
    n = 2 if direction == 'bidirectional' else 1
    inputs = [d.tensor(F, (t, b, i)), d.give(d.array(F, (n, gates * h, i), -1, 1), True),
              d.give(d.array(F, (n, gates * h, h), -1, 1), True),
              d.give(d.array(F, (n, 2 * gates * h), -1, 1), True) if d.chance(0.7) else '',
              d.give(d.array(np.int32, (b,), 0, t)) if d.chance(0.4) else '', d.tensor(F, (n, b, h)) if d.chance(0.4) else '']
    if op == 'LSTM':
        inputs += [d.tensor(F, (n, b, h)) if d.chance(0.4) else '',
                   d.give(d.array(F, (n, 3 * h), -1, 1), True) if d.chance(0.3) else '']
    while inputs[-1] == '':
        inputs.pop()
    more = {'linear_before_reset': d.integer(0, 1)} if op == 'GRU' else {}
    if d.chance(0.2):
        more['clip'] = 0.7
    if d.chance(0.3):
        count = {'RNN': 1, 'GRU': 2, 'LSTM': 3}[op] * n
        # A gate of GRU beyond 1 takes away nearly what it adds, of ever larger states: rounding decides.
        more['activations'] = [d.choice(['Tanh', 'Sigmoid', 'Softsign', *(['Relu', 'Softplus'] if op != 'GRU' or i % 2 else [])])
                               for i in range(count)]
        if d.chance(0.4) and op != 'GRU':
            more['activations'], more['activation_alpha'] = ['LeakyRelu'] * count, [0.1 * (i + 1) for i in range(count)]
        elif d.chance(0.3) and op != 'GRU':
            more['activations'] = ['HardSigmoid'] * count
            more['activation_alpha'], more['activation_beta'] = [0.2 + 0.1 * (i % 3) for i in range(count)], [0.5] * count
    if op == 'LSTM' and d.chance(0.2):
        more['input_forget'] = 1
    outputs = 3 if op == 'LSTM' else 2
    if d.chance(0.2):
        outputs = d.choice([1, (0, 1), *([(0, 0, 1), (1, 0, 1)] if op == 'LSTM' else [])])
    return d.emit(op, inputs, outputs, direction=direction, hidden_size=h, **more)


@recipe('Resize')
def resize(d, op):
    if d.opset < 10:
        return None
    x = image(d, d.choice([F, F, np.uint8, np.int8, np.int32]), low=3 if d.opset >= 11 else 4, high=4)
    a = d.of(x)
    mode = d.choice(['nearest', 'linear'] + (['cubic'] if a.ndim == 4 and d.opset >= 11 else []))
    scales = np.array([1, 1, *(d.choice([0.5, 0.6, 1, 1.5, 2, 3]) for _ in a.shape[2:])], F)
    if d.opset == 10:
        return d.emit(op, [x, d.constant(scales)], mode=mode)
    more = {'coordinate_transformation_mode': d.choice(['half_pixel', 'asymmetric', 'align_corners', 'pytorch_half_pixel'] + (
        ['half_pixel_symmetric'] if d.opset >= 19 else ['tf_half_pixel_for_nn'] if d.opset < 13 and mode == 'nearest' else []))}
    if mode == 'nearest':
        more['nearest_mode'] = d.choice(['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'])
    if mode == 'cubic':
        more['cubic_coeff_a'] = d.choice([-0.75, -0.5])
        more['exclude_outside'] = d.integer(0, 1)
    if d.opset >= 18 and mode != 'nearest' and d.chance(0.4):
        more['antialias'] = 1
    roi = d.constant(np.zeros(0, F)) if d.opset < 13 else ''
    if d.opset >= 18 and d.chance(0.3):  # of these axes alone
        axes, policy = list(range(2, a.ndim)), d.choice(['stretch', 'not_larger', 'not_smaller'])
        sizes = np.array([d.integer(1, 12) for _ in axes], np.int64)
        if policy == 'stretch':  # else ONNX Runtime leaves axes alone that are counted from the end
            axes = [i - a.ndim if d.chance(0.3) else i for i in axes]
        return d.emit(op, [x, '', '', d.constant(sizes)], mode=mode, axes=axes, keep_aspect_ratio_policy=policy, **more)
    if d.chance(0.4):
        sizes = np.array([*a.shape[:2], *(d.integer(1, 12) for _ in a.shape[2:])], np.int64)
        return d.emit(op, [x, roi, d.constant(np.zeros(0, F)) if d.opset < 13 else '', d.constant(sizes)], mode=mode, **more)
    return d.emit(op, [x, roi, d.constant(scales)], mode=mode, **more)


@recipe('Upsample')
def upsample(d, op):
    if d.opset > 9:
        return None
    x = image(d, np.float32, low=4, high=4)
    scales = [1.0, 1.0, float(d.choice([1, 2, 3])), float(d.choice([1, 2, 3]))]
    mode = d.choice(['nearest', 'linear'])
    return d.emit(op, [x], mode=mode, scales=scales) if d.opset < 9 else d.emit(op, [x, d.constant(np.array(scales, F))], mode=mode)


@recipe('GridSample')
def grid_sample(d, op):
    if d.opset < 16:
        return None
    x = image(d, d.choice([np.float32, np.float64]), low=4, high=4 if d.opset < 20 else 5)
    a = d.of(x)
    rank = a.ndim - 2
    names = ['nearest', 'bilinear', 'bicubic'] if d.opset < 20 else ['nearest', 'linear'] + (['cubic'] if rank == 2 else [])
    grid = d.tensor(a.dtype, (a.shape[0], *(d.integer(1, 6) for _ in range(rank)), rank), -1.2, 1.2)
    return d.emit(op, [x, grid], mode=d.choice(names), padding_mode=d.choice(['zeros', 'border', 'reflection']),
                  align_corners=d.integer(0, 1))


@recipe('AffineGrid')
def affine_grid(d, op):
    n, rank = d.integer(1, 3), d.integer(2, 3)
    size = [n, 2, *(d.integer(1, 6) for _ in range(rank))]
    return d.opset >= 20 and d.emit(op, [d.tensor(d.choice([F, np.float64]), (n, rank, rank + 1)), d.constant(size, np.int64)],
                                    align_corners=d.integer(0, 1))


@recipe('RoiAlign')
def roi_align(d, op):
    if d.opset < 10:
        return None
    kind = d.choice([F, F, np.float64])
    x = image(d, kind, low=4, high=4)
    a, count = d.of(x), d.integer(0 if d.chance(0.1) else 1, 4)
    corners = np.sort(d.rng.uniform(0, 10, (count, 2, 2)), 1).reshape(count, 4).astype(kind)
    more = {'coordinate_transformation_mode': d.choice(['half_pixel', 'output_half_pixel'])} if d.opset >= 16 else {}
    return d.emit(op, [x, d.give(corners), d.give(d.array(np.int64, (count,), 0, a.shape[0] - 1))],
                  mode=d.choice(['avg', 'max']), output_height=d.integer(1, 4), output_width=d.integer(1, 4),
                  sampling_ratio=d.integer(0, 3), spatial_scale=d.choice([1.0, 0.5]), **more)


@recipe('Col2Im')
def col2im(d, op):
    if d.opset < 18:
        return None
    image_shape, block = [d.integer(3, 7) for _ in range(2)], [d.integer(1, 3) for _ in range(2)]
    steps = int(np.prod([n - k + 1 for n, k in zip(image_shape, block, strict=True)]))
    more = {}
    if d.chance(0.5):
        more = {'strides': [d.integer(1, 2) for _ in block], 'dilations': [d.integer(1, 2) for _ in block],
                'pads': [d.integer(0, 2) for _ in block * 2]}
        spans = [n + sum(more['pads'][i::2]) - more['dilations'][i] * (block[i] - 1) - 1 for i, n in enumerate(image_shape)]
        if min(spans) < 0:
            return None
        steps = int(np.prod([s // more['strides'][i] + 1 for i, s in enumerate(spans)]))
    return d.emit(op, [d.tensor(F, (d.integer(1, 2), d.integer(1, 3) * int(np.prod(block)), steps)),
                       d.constant(image_shape, np.int64), d.constant(block, np.int64)], **more)


@recipe('Attention')
def attention(d, op):
    if d.opset < 23:
        return None
    b, kv, t, s, e, v = (d.integer(1, n) for n in (2, 3, 5, 6, 8, 8))
    heads = kv * d.integer(1, 3)
    q, k, w = d.tensor(F, (b, heads, t, e)), d.tensor(F, (b, kv, s, e)), d.tensor(F, (b, kv, s, v))
    mask = [d.tensor(d.choice([F, np.bool_]), d.choice([(t, s), (b, 1, t, s), (b, heads, t, s)]))] if d.chance(0.4) else []
    more = {'softcap': 2.0} if d.chance(0.3) else {}
    if d.chance(0.3):
        more['scale'] = 0.4
    causal = int(d.chance(0.3))
    if d.chance(0.3):  # the heads in one dimension
        flat = [d.tensor(F, (b, n, c * h)) for n, c, h in ((t, heads, e), (s, kv, e), (s, kv, v))]
        return d.emit(op, [*flat, *mask], is_causal=causal, q_num_heads=heads, kv_num_heads=kv, **more)
    if d.chance(0.3) and not mask:
        past = d.integer(0, 4)
        # A single row ONNX Runtime takes for the last of all: it sees keys behind its own too, against the definition.
        causal = causal if t > 1 or s == 1 else 0
        return d.emit(op, [q, k, w, '', d.tensor(F, (b, kv, past, e)), d.tensor(F, (b, kv, past, v))], 3, is_causal=causal, **more)
    if d.chance(0.2):
        return d.emit(op, [q, k, w, *mask], (1, 0, 0, 1), is_causal=causal, qk_matmul_output_mode=d.integer(0, 3), **more)
    return d.emit(op, [q, k, w, *mask], is_causal=causal, **more)


@recipe('RotaryEmbedding')
def rotary(d, op):
    if d.opset < 23:
        return None
    b, h, s, e = d.integer(1, 3), d.integer(1, 3), d.integer(1, 6), 2 * d.integer(1, 5)
    kind, flat, more = d.choice([F, F, np.float16]), d.chance(0.3), {}
    if e > 2 and d.chance(0.2):
        more['rotary_embedding_dim'] = 2 * d.integer(1, e // 2)
    width = more.get('rotary_embedding_dim', e) // 2
    x, half, places = d.tensor(kind, (b, s, h * e) if flat else (b, h, s, e)), (b, s, width), []
    if d.chance(0.4):
        half = (s + d.integer(0, 4), width)
        places = [d.give(d.array(np.int64, (b, s), 0, half[0] - 1))]
    if flat or more:
        more['num_heads'] = h
    return d.emit(op, [x, d.tensor(kind, half), d.tensor(kind, half), *places], interleaved=d.integer(0, 1), **more)


@recipe('FusedMatMul')
def fused_matmul(d, op):
    m, k, n, ta, tb = d.integer(1, 9), d.integer(1, 20), d.integer(1, 20), d.integer(0, 1), d.integer(0, 1)
    lead = d.shape(high=2)
    kind = d.choice([F, F, np.float64])
    a, b = d.tensor(kind, (*lead, k, m) if ta else (*lead, m, k)), d.tensor(kind, (*lead, n, k) if tb else (*lead, k, n))
    return d.emit(op, [a, b], domain=MS, transA=ta, transB=tb, **({'alpha': 0.7} if d.chance(0.8) else {}))


@recipe('FastGelu', 'BiasGelu', 'SkipLayerNormalization', 'QuickGelu')
def transformer(d, op):
    kind = d.choice([F, F, np.float64]) if op != 'BiasGelu' else F
    x = d.tensor(kind, (d.integer(1, 3), d.integer(1, 6), d.integer(1, 40)))
    row = d.of(x).shape[-1:]
    inputs = {'FastGelu': [x] + ([d.tensor(kind, row)] if d.chance(0.5) else []), 'BiasGelu': [x, d.tensor(F, row)],
              'QuickGelu': [x], 'SkipLayerNormalization': [x, d.tensor(kind, d.of(x).shape), d.tensor(kind, row), d.tensor(kind, row)]}[op]
    if op[0] != 'S':
        return d.emit(op, inputs, domain=MS)
    if d.chance(0.4):
        inputs.append(d.tensor(kind, row))
    return d.emit(op, inputs, d.choice([1, 1, (1, 0, 0, 1)]), domain=MS, epsilon=1e-4)
