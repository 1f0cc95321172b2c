# SPDX-License-Identifier: Apache-2.0
"""Smaller com.microsoft operators of decoders: rotary positions of three streams, the gates of linear attention."""
import numpy as np

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


NEAR = (streams, gates)
