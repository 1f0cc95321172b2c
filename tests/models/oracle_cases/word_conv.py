# SPDX-License-Identifier: Apache-2.0
"""com.microsoft WordConvEmbedding."""
import numpy as np

from oracle_cases import MS, F


def words(w):
    for label, count, length, window, depth, filters, more in (
            ('plain', 4, 8, 3, 5, 6, {}), ('whole', 3, 4, 4, 3, 2, {}), ('single', 5, 6, 1, 4, 9, {}), ('large', 17, 12, 5, 20, 33, {}),
            ('stated', 2, 5, 2, 3, 4, {'embedding_size': 4, 'conv_window_size': 2, 'char_embedding_size': 3}), ('one', 1, 1, 1, 1, 1, {})):
        ids = w.rng.integers(1, 30, (count, length)).astype(np.int32)
        for i, row in enumerate(ids[1:]):
            row[1 + i % length:] = 0
        if label == 'large':
            ids[3, 2] = 0  # a hole: characters are counted, not found
        w.case(f'wordconvembedding_{label}', 'WordConvEmbedding',
               [('ids', ids), ('weight', w.rng.normal(0, 0.3, (filters, 1, window, depth)).astype(F)),
                ('bias', w.rng.normal(0, 0.5, filters).astype(F)), ('table', w.rng.normal(0, 1, (30, depth)).astype(F))],
               ('weight', 'bias', 'table'), domain=MS, **more)


NEAR = (words,)
