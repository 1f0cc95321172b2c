# SPDX-License-Identifier: Apache-2.0
"""TfIdfVectorizer: modes, lengths, skips, both kinds of pool."""
import itertools

import numpy as np


def vectors(w):
    letters = ['a', 'b', 'c', 'd']
    grams = [list(itertools.product(range(4), repeat=n)) for n in (1, 2, 3)]
    chosen = [[g[i] for i in sorted(w.rng.choice(len(g), min(3 * n + 1, len(g)), replace=False))]
              for n, g in enumerate(grams, 1)]
    pool = [item for group in chosen for gram in group for item in gram]
    starts = np.cumsum([0] + [len(group) * n for n, group in enumerate(chosen, 1)])[:3]
    count = sum(map(len, chosen))
    columns = w.rng.permutation(count + 2)[:count]
    weights = w.rng.uniform(0.5, 2, count).astype(np.float32)
    rows = w.rng.integers(0, 5, (3, 11))
    for mode in ('TF', 'IDF', 'TFIDF'):
        for low, high in ((1, 1), (1, 2), (2, 2), (1, 3), (2, 3), (3, 3)):
            for skips in (0, 1, 4, 20):
                more = {'mode': mode, 'min_gram_length': low, 'max_gram_length': high, 'max_skip_count': skips,
                        'ngram_counts': starts.tolist(), 'ngram_indexes': columns.tolist()}
                if skips > 0:
                    more['weights'] = weights.tolist()
                name = f'tfidf_{mode.lower()}_{low}{high}_{skips}'
                w.case(name, 'TfIdfVectorizer', [('x', rows)], pool_int64s=pool, **more)
                if skips < 2:
                    w.case(name + '_line', 'TfIdfVectorizer', [('x', rows[0].astype(np.int32))], pool_int64s=pool, **more)
                    texts = np.array([(*letters, 'zz')[i] for i in rows.flat], object).reshape(rows.shape)
                    w.case(name + '_texts', 'TfIdfVectorizer', [('x', texts)], pool_strings=[letters[i] for i in pool], **more)
    w.case('tfidf_empty', 'TfIdfVectorizer', [('x', rows[:, :0])], pool_int64s=pool, **more)
    w.case('tfidf_short', 'TfIdfVectorizer', [('x', rows[:, :2])], pool_int64s=pool, **more)


EXACT = (vectors,)
