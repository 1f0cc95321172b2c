# SPDX-License-Identifier: Apache-2.0
"""com.microsoft's operators on token ids: hashes of n-grams, generation of text."""
import itertools

import numpy as np
from onnx import helper

from oracle_cases import MS, F

I32, I64 = np.int32, np.int64


def tables(w, dtype, longest, heads, wide=False):
    columns = (longest - 1) * heads
    factors = w.integers(dtype, longest) if wide else w.rng.integers(-9, 99, longest).astype(dtype)
    sizes = w.rng.integers(1, np.iinfo(dtype).max if wide else 1000, columns, dtype)
    offsets = (np.arange(columns) * 1000).astype(dtype)
    return factors, sizes, offsets


def rows(w):
    for dtype, wide in itertools.product((I32, I64), (False, True)):
        for longest, heads, batch, length in ((2, 1, 1, 1), (3, 2, 3, 7), (5, 3, 2, 2), (4, 1, 2, 40), (3, 2, 2, 0), (3, 2, 0, 4)):
            factors, sizes, offsets = tables(w, dtype, longest, heads, wide)
            ids = w.integers(dtype, batch, length) if wide else w.rng.integers(0, 6, (batch, length)).astype(dtype)
            past = w.rng.integers(0, 6, (batch, longest - 1)).astype(dtype)
            segments = np.sort(w.rng.integers(0, 3, (batch, length)).astype(I32), axis=1)
            base = [('ids', ids), ('factors', factors), ('sizes', sizes)]
            for label, more, reset in (('plain', [], 0), ('past', [('past', past)], 0), ('eos', [None, ('offsets', offsets), ('eos', dtype(2))], 0),
                                       ('reset', [None, None, ('eos', dtype(2))], 1), ('segments', [None, None, None, ('segments', segments)], 0),
                                       ('all', [('past', past), ('offsets', offsets), ('eos', dtype(2)), ('segments', segments)], 1)):
                name = f'ngramhashmapping_{np.dtype(dtype).name}_{int(wide)}_{longest}_{batch}x{length}_{label}'
                w.case(name, 'NGramHashMapping', base + more, outputs=2, domain=MS, max_ngram_size=longest, n_head_per_ngram=heads,
                       pad_id=-3, reset_on_eos=reset)


def packed(w):
    for dtype, wide in itertools.product((I32, I64), (False, True)):
        for longest, heads, lengths in ((2, 1, (1,)), (3, 2, (4, 1, 6)), (5, 3, (2, 1)), (4, 1, (30, 2, 9, 1))):
            factors, sizes, offsets = tables(w, dtype, longest, heads, wide)
            batch, total, state = len(lengths), sum(lengths), longest - 1
            ids = w.integers(dtype, total) if wide else w.rng.integers(0, 6, total).astype(dtype)
            past = ('past', w.rng.integers(0, 6, (batch, state)).astype(dtype))
            segments = ('segments', w.rng.integers(0, 2, total).astype(I32))
            past_segments = ('past_segments', w.rng.integers(0, 2, (batch, state)).astype(I32))
            captures = ('captures', w.rng.integers(-1, 9, batch).astype(I32))
            base = [('ids', ids), ('factors', factors), ('sizes', sizes), ('ends', np.cumsum((0, *lengths)).astype(I32))]
            eos = ('eos', np.array(2, dtype))
            for label, more, reset, capacity, names in (
                    ('plain', [], 0, 0, 'hp'), ('past', [past], 0, 0, 'hp'), ('eos', [None, ('offsets', offsets), eos], 1, 0, 'h'),
                    ('segments', [None, None, None, segments], 0, 0, 'hps'), ('joined', [past, None, None, segments, past_segments], 0, 0, 'hps'),
                    ('captures', [past, None, None, None, None, captures], 0, 4, 'hp_u'),
                    ('fresh', [None, None, eos, None, None, captures], 0, 8, 'h__u'),
                    ('all', [past, ('offsets', w.integers(dtype, len(offsets)) if wide else offsets), eos, segments, past_segments, captures], 1, 3, 'hpsu')):
                given = base + more
                outputs = ['' if n == '_' else n for n in names]
                node = helper.make_node('VarlenNGramHashMapping', [v[0] if v else '' for v in given], outputs, domain=MS, max_ngram_size=longest,
                                        n_head_per_ngram=heads, pad_id=-3, reset_on_eos=reset, state_update_capacity=capacity)
                w.model(f'varlenngramhashmapping_{np.dtype(dtype).name}_{int(wide)}_{longest}_{batch}_{label}', [node],
                        [v for v in given if v], ('factors', 'sizes'), [n for n in outputs if n])


def repeats(w):
    for batch, length, words, size in ((1, 4, 4, 2), (3, 30, 5, 2), (3, 30, 5, 3), (2, 9, 6, 1), (2, 3, 6, 4), (2, 3, 6, 9), (2, 0, 6, 1), (0, 5, 6, 2),
                                       (4, 60, 3, 4)):
        w.case(f'ngramrepeatblock_{batch}x{length}_{size}', 'NGramRepeatBlock',
               [('ids', w.rng.integers(0, words, (batch, length))), ('scores', w.rng.normal(0, 1, (batch, words)).astype(F))],
               domain=MS, ngram_size=size)


def bifurcations(w):
    def case(label, source, current, match, predicted=None, **sizes):
        given = [('source', np.array(source, I64)), ('current', np.array(current, I64)), ('match', np.array(match, I64))]
        if predicted is not None:
            given.append(('predicted', np.array(predicted, I64)))
        w.case(f'bifurcationdetector_{label}', 'BifurcationDetector', given, outputs=2, domain=MS, **sizes)

    case('agrees', [1, 5, 3, 4], [2, 4], [1], [5, 3, 4, 2])
    case('differs', [1, 5, 3, 4, 6], [2, 4], 1, [5, 3, 9, 2, 8])
    case('at_once', [1, 5, 3, 4, 6], [2, 4], [[0]], [7, 3, 9, 2, 8, 1])
    case('no_prediction', [1, 5, 3, 4, 6], [2, 5, 3], [-4])
    case('behind', [1, 2], [1], [2], [7])
    case('no_source', [], [2, 4], [0], [7])
    case('no_tokens', [1, 2], [], [0])
    for i in range(60):
        source, current = w.rng.integers(0, 4, w.rng.integers(1, 14)), w.rng.integers(0, 4, w.rng.integers(0, 8))
        match = int(w.rng.integers(0, len(source) + 1))
        predicted = np.append(source[match:], 2)
        predicted = np.where(w.rng.uniform(0, 1, predicted.shape) < 0.2, 3, predicted)
        low = int(w.rng.integers(1, 3))
        case(f'random_{i}', source, current, match, predicted if i % 4 else None, min_ngram_size=low,
             max_ngram_size=low + int(w.rng.integers(0, 4)))


EXACT = (rows, packed, repeats, bifurcations)
