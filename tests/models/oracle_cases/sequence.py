# SPDX-License-Identifier: Apache-2.0
"""Rotary positions, attention as a recurrence, causal convolutions with a carried state."""
import numpy as np

from oracle_cases import MS, F


def floats(w, *shape, dtype=F):
    return w.rng.standard_normal(shape).astype(dtype)


def rotary(w):
    batch, heads, rows, size, longest = 2, 3, 4, 8, 16
    for dtype in (F, np.float16):
        for flat in (False, True):
            x = floats(w, batch, rows, heads * size, dtype=dtype) if flat else floats(w, batch, heads, rows, size, dtype=dtype)
            for rotated in (0, 4):
                half = (rotated or size) // 2
                caches = [(k, floats(w, longest, half, dtype=dtype)) for k in ('cos', 'sin')]
                own = [(k, floats(w, batch, rows, half, dtype=dtype)) for k in ('cos', 'sin')]
                ids = ('ids', w.rng.integers(0, longest, (batch, rows)))
                for interleaved in (0, 1):
                    label = f'{np.dtype(dtype).name}_{"flat" if flat else "heads"}_{rotated}_{interleaved}'
                    more = {'interleaved': interleaved, 'rotary_embedding_dim': rotated}
                    if flat or rotated:
                        more['num_heads'] = heads
                    w.case(f'rotary_{label}_ids', 'RotaryEmbedding', [('x', x), *caches, ids], opset=23, **more)
                    w.case(f'rotary_{label}', 'RotaryEmbedding', [('x', x), *own], opset=23, **more)
                    w.case(f'rotary_ms_{label}_ids', 'RotaryEmbedding', [('x', x), ids, *caches], domain=MS, **more)
                    w.case(f'rotary_ms_{label}_one', 'RotaryEmbedding', [('x', x), ('ids', np.array([5])), *caches],
                           domain=MS, **more)
    w.case('rotary_ms_no_heads', 'RotaryEmbedding',
           [('x', floats(w, 2, 4, 24)), ('ids', np.array([0])), ('cos', floats(w, 9, 4)), ('sin', floats(w, 9, 4))],
           domain=MS)


def linear(w):
    batch, rows, size, v_size = 2, 5, 4, 3
    for q_heads, kv_heads in ((4, 4), (4, 2), (2, 4)):
        q, k = floats(w, batch, rows, q_heads * size), floats(w, batch, rows, kv_heads * size) / 2
        v, past = floats(w, batch, rows, kv_heads * v_size), floats(w, batch, kv_heads, size, v_size)
        decays = {'head': -w.rng.uniform(0, 1, (batch, rows, kv_heads)).astype(F),
                  'key': -w.rng.uniform(0, 1, (batch, rows, kv_heads * size)).astype(F)}
        betas = {'head': w.rng.uniform(0, 1, (batch, rows, kv_heads)).astype(F),
                 'one': w.rng.uniform(0, 1, (batch, rows, 1)).astype(F)}
        for rule, decay, beta in (('linear', None, None), ('gated', 'key', None), ('gated', 'head', None),
                                  ('delta', None, 'head'), ('gated_delta', 'key', 'one'), ('gated_delta', 'head', 'head')):
            for carried in (False, True):
                values = [('q', q), ('k', k), ('v', v), ('past', past) if carried else None,
                          ('decay', decays[decay]) if decay else None, ('beta', betas[beta]) if beta else None]
                while values[-1] is None:
                    values.pop()
                w.case(f'linearattention_{q_heads}_{kv_heads}_{rule}_{decay}_{beta}_{carried}'.lower(), 'LinearAttention',
                       values, domain=MS, outputs=2, q_num_heads=q_heads, kv_num_heads=kv_heads, update_rule=rule)


def causal(w):
    for channels, rows, taps in ((3, 7, 4), (2, 2, 4), (4, 5, 1)):
        x, weight = floats(w, 2, channels, rows), floats(w, channels, 1, taps)
        for dilation in (1, 2):
            past = floats(w, 2, channels, (taps - 1) * dilation)
            for label, more, act in (('plain', [], 'none'), ('bias', [('b', floats(w, channels))], 'silu'),
                                     ('past', [None, ('past', past)], 'swish')):
                w.case(f'causalconv_{channels}_{rows}_{taps}_{dilation}_{label}', 'CausalConvWithState',
                       [('x', x), ('w', weight), *more], domain=MS, outputs=2, activation=act, dilation=dilation)


NEAR = (rotary, linear, causal)
