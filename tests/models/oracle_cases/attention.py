# SPDX-License-Identifier: Apache-2.0
"""Attention of the standard: layouts, shared heads, masks of every rank, caches, and what is traced."""
import numpy as np

from oracle_cases import F


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


NEAR = (plain, masks, traces, padded)
