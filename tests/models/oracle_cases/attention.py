# SPDX-License-Identifier: Apache-2.0
"""Attention of the standard and of com.microsoft: layouts, shared heads, masks of every form, caches, traces."""
import numpy as np

from oracle_cases import MS, F


def floats(w, *shape, dtype=F):
    return w.rng.standard_normal(shape).astype(dtype)


def packed(x):
    """[batch][heads][rows][size] as [batch][rows][heads * size]."""
    return x.transpose(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], -1)


def attend(w, name, dtype=F, batch=2, heads=4, kv_heads=4, rows=5, kv_rows=7, size=8, v_size=6, flat=False, mask=None,
           past=None, opset=23, outputs=1, valid=None, **attributes):
    q, k, v = (floats(w, batch, h, r, s, dtype=dtype) for h, r, s in
               ((heads, rows, size), (kv_heads, kv_rows, size), (kv_heads, kv_rows, v_size)))
    if flat:
        q, k, v = packed(q), packed(k), packed(v)
        attributes |= {'q_num_heads': heads, 'kv_num_heads': kv_heads}
    values = [('q', q), ('k', k), ('v', v), ('mask', mask) if mask is not None else None]
    if past:
        values += [('past_key', floats(w, batch, kv_heads, past, size, dtype=dtype)),
                   ('past_value', floats(w, batch, kv_heads, past, v_size, dtype=dtype))]
    if valid is not None:
        values += [None, None, ('valid', np.asarray(valid, np.int64))]
    while values[-1] is None:
        values.pop()
    w.case(f'attention_{opset}_{np.dtype(dtype).name}_{name}', 'Attention', values, opset=opset, outputs=outputs,
           **attributes)


def plain(w):
    for dtype in (F, np.float16):
        for flat in (False, True):
            at = 'flat' if flat else 'heads'
            for label, more in (('plain', {}), ('scaled', {'scale': 0.3}), ('softcap', {'softcap': 1.5}),
                                ('causal', {'is_causal': 1}), ('shared', {'kv_heads': 2}), ('single', {'kv_heads': 1}),
                                ('one_row', {'rows': 1}), ('two_rows', {'rows': 2, 'kv_heads': 2}),
                                ('past', {'past': 3, 'outputs': 3}), ('past_causal', {'past': 3, 'is_causal': 1, 'outputs': 3}),
                                ('past_shared', {'past': 4, 'kv_heads': 2, 'rows': 1, 'kv_rows': 1, 'outputs': 3})):
                attend(w, f'{at}_{label}', dtype=dtype, flat=flat, **more)
    attend(w, 'long', batch=1, heads=2, kv_heads=1, rows=300, kv_rows=300, size=16, v_size=16, is_causal=1)
    attend(w, 'longer_keys', batch=1, heads=2, kv_heads=2, rows=9, kv_rows=700, size=32, v_size=33)


def masks(w):
    for dtype in (F, np.float16):
        for shape in ((5, 7), (4, 5, 7), (1, 5, 7), (2, 4, 5, 7), (2, 1, 5, 7)):
            label = 'x'.join(map(str, shape))
            allowed = w.rng.uniform(size=shape) < 0.6
            allowed[..., 0] = True  # something for every row to see
            attend(w, f'bool_{label}', dtype=dtype, mask=allowed)
            attend(w, f'float_{label}', dtype=dtype, mask=floats(w, *shape, dtype=dtype), softcap=2.0)
            attend(w, f'both_{label}', dtype=dtype, mask=allowed, is_causal=1, flat=True, kv_heads=2)
        attend(w, 'mask_past', dtype=dtype, past=3, mask=floats(w, 5, 10, dtype=dtype), outputs=3)
    blind = np.ones((5, 7), bool)
    blind[2] = False
    attend(w, 'blind_row', mask=blind)


def traces(w):
    mask = floats(w, 5, 7)
    for mode in range(4):
        for label, more in (('plain', {}), ('mask', {'mask': mask}), ('softcap', {'mask': mask, 'softcap': 1.0})):
            attend(w, f'trace_{mode}_{label}', outputs=4, qk_matmul_output_mode=mode, **more)


def padded(w):
    for label, more in (('plain', {}), ('shared', {'kv_heads': 2}), ('mask', {'mask': floats(w, 5, 7)}),
                        ('flat', {'flat': True})):
        attend(w, f'valid_{label}', opset=24, valid=[6, 3], **more)


def masks_of(w, batch, rows, total):
    """Every form of ONNX Runtime's masks; each row sees something."""
    seen = (w.rng.uniform(size=(batch, total)) < 0.6).astype(np.int32)
    seen[:, 0] = 1
    each = (w.rng.uniform(size=(batch, rows, total)) < 0.6).astype(np.int32)
    each[:, :, 0] = 1
    return {'none': None, 'ends': np.array([total, 3][:batch], np.int32),
            'span': np.array([total, 4, 1, 0], np.int32), 'keys': seen, 'rows': each}


def projected(w):
    batch, rows, heads, width = 2, 5, 2, 12
    for label, hidden, v_hidden in (('same', 8, 8), ('wide', 8, 12)):
        x, bias = floats(w, batch, rows, width), floats(w, 2 * hidden + v_hidden)
        weights = floats(w, width, 2 * hidden + v_hidden) / 3
        more = {} if hidden == v_hidden else {'qkv_hidden_sizes': [hidden, hidden, v_hidden]}
        for form, mask in masks_of(w, batch, rows, rows).items():
            for one_way in (0, 1):
                w.case(f'ms_attention_{label}_{form}_{one_way}', 'Attention',
                       [('x', x), ('w', weights), ('b', bias), ('mask', mask) if mask is not None else None], ('w', 'b'),
                       domain=MS, num_heads=heads, unidirectional=one_way, **more)
        w.case(f'ms_attention_{label}_bias', 'Attention',
               [('x', x), ('w', weights), ('b', bias), None, None, ('add', floats(w, batch, heads, rows, rows))], domain=MS,
               num_heads=heads, scale=0.4, **more)
    past = floats(w, 2, batch, heads, 3, 4)
    weights, bias = floats(w, width, 24) / 3, floats(w, 24)
    for form, mask in masks_of(w, batch, rows, rows + 3).items():
        for one_way in (0, 1):
            w.case(f'ms_attention_past_{form}_{one_way}', 'Attention',
                   [('x', floats(w, batch, rows, width)), ('w', weights), ('b', bias),
                    ('mask', mask) if mask is not None else None, ('past', past)], ('w', 'b'), domain=MS, outputs=2,
                   num_heads=heads, unidirectional=one_way)
    w.case('ms_attention_present', 'Attention', [('x', floats(w, batch, rows, width)), ('w', weights), ('b', bias)],
           domain=MS, outputs=2, num_heads=heads)


def quantised(w):
    batch, rows, heads, width = 2, 5, 2, 12
    for dtype in (np.uint8, np.int8):
        for columns in (False, True):
            t = f'{np.dtype(dtype).name}_{columns}'.lower()
            weights = w.weights(dtype, width, 24)
            scale = w.rng.uniform(0.002, 0.01, 24).astype(F) if columns else F(0.006)
            zero = np.zeros(24, dtype) if columns else w.zero(dtype)
            values = [('x', w.integers(np.uint8, batch, rows, width)), ('w', weights), ('b', floats(w, 24)),
                      ('sx', F(0.02)), ('sw', scale), ('mask', np.array([5, 3], np.int32)), ('zx', np.uint8(120)), ('zw', zero)]
            w.case(f'qattention_{t}', 'QAttention', values, ('w', 'b', 'sx', 'sw', 'zx', 'zw'), domain=MS, num_heads=heads)
            w.case(f'qattention_{t}_past', 'QAttention',
                   [*values[:5], None, *values[6:], ('past', floats(w, 2, batch, heads, 3, 4))],
                   ('w', 'b', 'sx', 'sw', 'zx', 'zw'), domain=MS, outputs=2, num_heads=heads, unidirectional=1)


def several_heads(w):
    batch, rows, kv_rows, heads = 2, 5, 7, 2
    for label, hidden, v_hidden in (('same', 8, 8), ('wide', 8, 12)):
        q, k, v = floats(w, batch, rows, hidden), floats(w, batch, kv_rows, hidden), floats(w, batch, kv_rows, v_hidden)
        for bias in (None, ('bias', floats(w, 2 * hidden + v_hidden))):
            for form, mask in masks_of(w, batch, rows, kv_rows).items():
                if form == 'span':
                    continue
                w.case(f'multihead_{label}_{form}_{bias is not None}'.lower(), 'MultiHeadAttention',
                       [('q', q), ('k', k), ('v', v), bias, ('mask', mask) if mask is not None else None], domain=MS,
                       num_heads=heads)
            w.case(f'multihead_{label}_add_{bias is not None}'.lower(), 'MultiHeadAttention',
                   [('q', q), ('k', k), ('v', v), bias, None, ('add', floats(w, 1, heads, rows, kv_rows))], domain=MS,
                   num_heads=heads, scale=0.3)
    q, k, v = (floats(w, batch, rows, 8) for _ in range(3))
    past = [('pk', floats(w, batch, heads, 3, 4)), ('pv', floats(w, batch, heads, 3, 4))]
    for one_way in (0, 1):
        w.case(f'multihead_past_{one_way}', 'MultiHeadAttention',
               [('q', q), ('k', k), ('v', v), ('bias', floats(w, 24)), None, None, *past], domain=MS, outputs=3,
               num_heads=heads, unidirectional=one_way)
    w.case('multihead_present', 'MultiHeadAttention', [('q', q), ('k', k), ('v', v)], domain=MS, outputs=3, num_heads=heads)
    w.case('multihead_cross', 'MultiHeadAttention',
           [('q', q), ('k', floats(w, batch, heads, 6, 4)), ('v', floats(w, batch, heads, 6, 4))], domain=MS, num_heads=heads)


NEAR = (plain, masks, traces, padded, projected, quantised, several_heads)
