# SPDX-License-Identifier: Apache-2.0
"""com.microsoft GroupQueryAttention: what decoders run. Caches that grow, of fixed length, with a window, of integers."""
import numpy as np

from oracle_cases import MS, F


def floats(w, *shape, dtype=F):
    return w.rng.standard_normal(shape).astype(dtype)


def cache_of(w, quantised, bits, *shape, dtype=F):
    if quantised is None:
        return floats(w, *shape, dtype=dtype)
    return w.integers(np.int8, *shape) if bits == 8 else w.integers(np.uint8, *shape[:-1], shape[-1] // 2)


def group(w, name, batch=2, heads=4, kv_heads=2, rows=5, fresh=None, size=16, past=None, total=None, lengths=None, packed=False,
          rotary=None, positions=None, bias=None, sink=False, quantised=None, bits=8, dtype=F, outputs=3, constants=('total',),
          **attributes):
    """total: tokens so far of the longest of the batch; lengths: of each."""
    fresh = rows if fresh is None else fresh
    total = rows if total is None else total
    columns = (heads + 2 * kv_heads if packed else heads) * size
    values = [('q', floats(w, batch, rows, columns, dtype=dtype))]
    values += [None, None] if packed else [(n, floats(w, batch, fresh, kv_heads * size, dtype=dtype)) for n in ('k', 'v')]
    values += [(n, cache_of(w, quantised, bits, batch, kv_heads, past, size, dtype=dtype)) if past is not None else None
               for n in ('pk', 'pv')]
    values += [('lengths', np.array(lengths or [total] * batch, np.int32) - np.int32(1)), ('total', np.array(total, np.int32))]
    values += [(n, floats(w, *rotary, dtype=dtype)) for n in ('cos', 'sin')] if rotary else [None, None]
    values += [('positions', np.array(positions, np.int64)) if positions else None,
               ('bias', floats(w, *bias, dtype=dtype)) if bias else None,
               ('sink', floats(w, heads, dtype=dtype)) if sink else None]
    if quantised:
        count = 1 if quantised == 'PER_TENSOR' else kv_heads * size
        values += [(n, w.rng.uniform(0.01, 0.03, count).astype(F) * (1 if bits == 8 else 12)) for n in ('ks', 'vs')]
        attributes |= {'k_quant_type': quantised, 'v_quant_type': quantised, 'kv_cache_bit_width': bits}
    while values[-1] is None:
        values.pop()
    if rotary:
        attributes['do_rotary'] = 1
    w.case(f'group_query_{np.dtype(dtype).name}_{name}', 'GroupQueryAttention', values, constants, domain=MS, outputs=outputs,
           num_heads=heads, kv_num_heads=kv_heads, **attributes)


STEP = {'rows': 1, 'past': 6, 'total': 7}


def steps(w):
    for dtype in (F, np.float16):
        for label, more in (('prompt', {}), ('prompt_ragged', {'lengths': [5, 3]}), ('step', STEP),
                            ('step_ragged', STEP | {'lengths': [7, 4]}), ('fixed', {'rows': 1, 'past': 9, 'total': 4}),
                            ('fixed_prompt', {'past': 9, 'lengths': [5, 2]}),
                            ('several', {'rows': 3, 'past': 6, 'total': 9, 'batch': 1}),
                            ('several_fixed', {'rows': 3, 'past': 9, 'total': 8, 'batch': 1}),
                            ('shared', {'rows': 2, 'fresh': 0, 'past': 6, 'total': 6, 'batch': 1}),
                            ('shared_prompt', {'rows': 6, 'fresh': 0, 'past': 6, 'total': 6})):
            group(w, label, dtype=dtype, **more)
            group(w, f'{label}_one_head', dtype=dtype, kv_heads=1, **more)
            if more.get('fresh') is None:
                group(w, f'{label}_packed', dtype=dtype, packed=True, **more)
    group(w, 'no_cache', outputs=1)
    group(w, 'total_at_run', constants=(), **STEP)
    group(w, 'long', batch=1, heads=2, kv_heads=1, rows=300, size=32, rotary=(300, 16))


def scores(w):
    for label, more in (('scale', {'scale': 0.3}), ('window', {'local_window_size': 2}), ('softcap', {'softcap': 1.5}),
                        ('smooth', {'smooth_softmax': 1}), ('sink', {'sink': True}),
                        ('sink_window', {'sink': True, 'local_window_size': 3, 'softcap': 2.0}), ('both_ways', {'causal': 0}),
                        ('both_ways_sink', {'causal': 0, 'sink': True}), ('no_window', {'local_window_size': 0})):
        group(w, label, **more)
        group(w, f'{label}_step', **STEP, **more)
    for dtype in (F, np.float16):
        for heads in (1, 4):
            for batch in (1, 2):
                group(w, f'bias_{batch}_{heads}', dtype=dtype, bias=(batch, heads, 5, 5), softcap=2.0)
                group(w, f'bias_step_{batch}_{heads}', dtype=dtype, bias=(batch, heads, 1, 7), local_window_size=3, **STEP)
        for kind in (1, 2):
            for label, more in (('plain', {}), ('window', {'local_window_size': 2}), ('both_ways', {'causal': 0}),
                                ('all', {'softcap': 1.0, 'bias': (1, 4, 5, 5), 'sink': True})):
                group(w, f'trace_{kind}_{label}', dtype=dtype, outputs=4, qk_output=kind, **more)
            group(w, f'trace_{kind}_step', dtype=dtype, outputs=4, qk_output=kind, **STEP)


def rotated(w):
    for dtype in (F, np.float16):
        for interleaved in (0, 1):
            for label, more in (('prompt', {}), ('packed', {'packed': True}), ('step', STEP | {'lengths': [7, 4]}),
                                ('step_packed', STEP | {'packed': True}), ('part', {'size': 32}),
                                ('several', {'rows': 3, 'past': 6, 'total': 9, 'batch': 1}),
                                ('prompt_at', {'positions': [[3, 0, 0, 0, 0], [1, 2, 3, 4, 5]]}),
                                ('step_at', STEP | {'positions': [[2], [8]]}),
                                ('shared', {'rows': 2, 'fresh': 0, 'past': 6, 'total': 6, 'batch': 1})):
                group(w, f'rotary_{label}_{interleaved}', dtype=dtype, rotary=(9, 8), rotary_interleaved=interleaved, **more)


def quantised(w):
    for dtype in (F, np.float16):
        for kind in ('PER_TENSOR', 'PER_CHANNEL'):
            for bits in (8, 4):
                for label, more in (('step', STEP), ('ragged', STEP | {'lengths': [7, 4]}), ('prompt', {'past': 0}),
                                    ('fixed_packed', {'past': 8, 'packed': True, 'lengths': [5, 3]}),
                                    ('rotary', STEP | {'rotary': (9, 8)}), ('sink', STEP | {'sink': True, 'softcap': 2.0}),
                                    ('bias', STEP | {'bias': (1, 4, 1, 7)}), ('trace', STEP | {'outputs': 4, 'qk_output': 1})):
                    group(w, f'{kind.lower()}_{bits}_{label}', dtype=dtype, quantised=kind, bits=bits, **more)


def evicting(w):
    """Lengths after which the cache is full: what lies behind its last row is not defined."""
    window = {'sliding_window_cache': 1, 'local_window_size': 4}
    for label, more in (('step', {'rows': 1, 'past': 4, 'total': 9}), ('ragged', {'rows': 1, 'past': 4, 'total': 9, 'lengths': [9, 5]}),
                        ('slack', {'rows': 1, 'past': 6, 'total': 9}), ('slack_compacts', {'rows': 1, 'past': 6, 'total': 12}),
                        ('several', {'rows': 3, 'past': 4, 'total': 9, 'batch': 1}),
                        ('more_than_fit', {'rows': 7, 'past': 4, 'total': 9, 'batch': 1}), ('prompt', {'rows': 6, 'past': 4})):
        for kind, form in (('float', {}), ('int8', {'quantised': 'PER_CHANNEL'}), ('int4', {'quantised': 'PER_TENSOR', 'bits': 4, 'size': 32})):
            group(w, f'evicting_{label}_{kind}', **more, **form, **window)
            group(w, f'evicting_{label}_{kind}_rotary', rotary=(12, 8), sink=True, **more, **form, **window)
    group(w, 'evicting_bias', rows=1, past=4, total=9, bias=(2, 4, 1, 9), **window)


NEAR = (steps, scores, rotated, quantised, evicting)
