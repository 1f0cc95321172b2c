# SPDX-License-Identifier: Apache-2.0
"""Smaller com.microsoft operators of decoders: rotary positions of three streams, the gates of linear attention,
attention of one row."""
import numpy as np
from onnx import TensorProto, helper

from oracle_cases import MS, F


def floats(w, *shape, dtype=F):
    return w.rng.standard_normal(shape).astype(dtype)


def turned(w, name, shape=(2, 3, 16), half=4, length=7, section=(2, 1, 1), dtype=F, **attributes):
    batch, rows = shape[0], shape[-2] if len(shape) == 4 else shape[1]
    w.case(f'mrotary_{np.dtype(dtype).name}_{name}', 'MRotaryEmbedding',
           [('x', floats(w, *shape, dtype=dtype)), ('ids', w.rng.integers(0, length, (3, batch, rows))),
            ('cos', floats(w, length, half, dtype=dtype)), ('sin', floats(w, length, half, dtype=dtype))], ('cos', 'sin'),
           domain=MS, mrope_section=list(section), **({'num_heads': 2} | attributes))


def streams(w):
    for dtype in (F, np.float16):
        for interleaved in (0, 1):
            for layout in (0, 1):
                for section in ((2, 1, 1), (0, 2, 2), (1, 2, 1), (4, 0, 0), (0, 4, 0)):
                    turned(w, f'{layout}_{interleaved}_{"".join(map(str, section))}', dtype=dtype, section=section,
                           mrope_layout=layout, interleaved=interleaved)
        turned(w, 'heads', shape=(2, 3, 4, 8), dtype=dtype, mrope_layout=1)
        turned(w, 'part', half=2, section=(1, 1, 0), dtype=dtype, rotary_embedding_dim=4)
        turned(w, 'scale', scale=0.37, dtype=dtype)
        turned(w, 'few_places', length=2, is_packed_batching=1, dtype=dtype)
    turned(w, 'wide', shape=(1, 9, 256), half=64, length=50, section=(24, 20, 20), mrope_layout=1)


def gates(w):
    for dtype in (F, np.float16):
        for label, shape in (('plain', (2, 3, 5)), ('two', (3, 17)), ('four', (2, 1, 3, 4)), ('one', (1, 1, 1))):
            given = [('a', 4 * floats(w, *shape, dtype=dtype)), ('dt', floats(w, shape[-1])), ('scale', -floats(w, shape[-1]) ** 2)]
            w.case(f'gate_{np.dtype(dtype).name}_{label}', 'LinearAttentionGate', given, ('dt', 'scale'), domain=MS)
            w.case(f'gate_{np.dtype(dtype).name}_{label}_beta', 'LinearAttentionGate',
                   [*given, ('b', 4 * floats(w, *shape, dtype=dtype))], ('dt', 'scale'), domain=MS, outputs=2)
    ends = np.array([[100, -100, 30, -30, 20.5, -20.5, 1e4, -1e4]], F)
    w.case('gate_far', 'LinearAttentionGate', [('a', ends), ('dt', np.zeros(8, F)), ('scale', np.ones(8, F)), ('b', ends)],
           domain=MS, outputs=2)


def one_row(w, name, batch=2, heads=2, size=4, room=6, past=3, keys=None, mask=False, add=None, biased=False, beams=None,
            length_at_run=False, trace=False, **attributes):
    """keys: so many of them are given (cross attention); else there is a cache."""
    width, cross = heads * size, keys is not None
    keys = keys if cross else past + 1
    values = [('q', floats(w, batch, 1, width))]
    values += [(n, floats(w, batch, heads, keys, size) if cross else floats(w, batch, 1, width)) for n in 'kv']
    values += [('mask', w.rng.integers(0, 2, (batch, keys)).astype(np.int32)) if mask else None,
               ('add', floats(w, *add, 1, keys)) if add else None]
    values += [None] * 3 if cross else [('pk', floats(w, batch, heads, room, size)), ('pv', floats(w, batch, heads, room, size)),
                                        ('past', np.array([past], np.int32))]
    values += [('beams', np.array([beams], np.int32)),
               ('from', w.rng.integers(0, beams, (batch // beams, beams, room)).astype(np.int32))] if beams else [None, None]
    values += [('bias', floats(w, 3 * width))] if biased else []
    while values[-1] is None:
        values.pop()
    attributes |= {'num_heads': heads} if cross else {'num_heads': heads, 'past_present_share_buffer': 1}
    op, name = 'DecoderMaskedMultiHeadAttention', f'one_row_{name}'
    if not trace:
        w.case(name, op, values, () if length_at_run else ('past',), domain=MS, outputs=1 if cross else 3, **attributes)
        return
    # The type of the last output does not follow from the inputs: it has to be declared.
    results = ['y0', '', '', 'y3'] if cross else ['y0', 'y1', 'y2', 'y3']
    node = helper.make_node(op, [v[0] if v else '' for v in values], results, domain=MS, output_qk=1, **attributes)
    given = [v for v in values if v]
    graph = helper.make_graph([node], name, [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
                                             for n, a in given],
                              [helper.make_tensor_value_info(r, TensorProto.FLOAT, None) for r in results if r])
    opsets = [helper.make_opsetid('', 15), helper.make_opsetid(MS, 1)]
    w.whole(name, helper.make_model(graph, opset_imports=opsets, ir_version=8), dict(given))


def rows(w):
    for label, more in (('plain', {}), ('mask', {'mask': True}), ('add', {'add': (2, 2)}), ('add_one', {'add': (1, 1)}),
                        ('both', {'mask': True, 'add': (2, 2)}), ('bias', {'biased': True}), ('scale', {'scale': 0.3}),
                        ('fill', {'mask': True, 'mask_filter_value': -5.0}), ('first', {'past': 0}), ('full', {'past': 5}),
                        ('at_run', {'length_at_run': True}), ('beam', {'beams': 1}), ('beams', {'batch': 4, 'beams': 2}),
                        ('beams_mask', {'batch': 4, 'beams': 2, 'mask': True, 'add': (1, 1)}),
                        ('beams_add', {'batch': 4, 'beams': 2, 'add': (4, 2), 'biased': True}),
                        ('wide', {'batch': 3, 'heads': 3, 'size': 40, 'room': 90, 'past': 77}),
                        ('trace', {'trace': True}), ('trace_mask', {'trace': True, 'mask': True, 'add': (1, 2)}),
                        ('trace_beams', {'trace': True, 'batch': 4, 'beams': 2})):
        one_row(w, label, **more)
    for label, more in (('plain', {}), ('mask', {'mask': True}), ('bias', {'biased': True}), ('trace', {'trace': True}),
                        ('beams', {'batch': 4, 'beams': 2})):
        one_row(w, f'cross_{label}', keys=5, **more)


NEAR = (streams, gates, rows)
