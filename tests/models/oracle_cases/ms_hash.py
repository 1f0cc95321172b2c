# SPDX-License-Identifier: Apache-2.0
"""com.microsoft's hashes."""
import numpy as np

from oracle_cases import MS
from oracle_cases.strings import texts


def murmur(w):
    words = np.array(['', 'a', 'ab', 'abc', 'abcd', 'żółć', 'x' * 17, '日本語のテキスト', 'ÿ' * 5], object)
    inputs = {t.__name__: w.integers(t, 3, 5) for t in (np.int32, np.uint32, np.int64, np.uint64)}
    inputs |= {t.__name__: w.rng.normal(0, 9, (2, 7)).astype(t) for t in (np.float32, np.float64)}
    inputs |= {'words': words, 'texts': texts(2, 4), 'scalar': np.array('scalar', object), 'empty': np.zeros((2, 0), np.int64)}
    for label, x in inputs.items():
        for attributes in ({}, {'seed': 42}, {'seed': -1, 'positive': 0}, {'seed': 2 ** 32 + 7, 'positive': 2}):
            name = '_'.join([f'murmurhash3_{label}', *(f'{k}{v}' for k, v in attributes.items())]).replace('-', 'm')
            w.case(name, 'MurmurHash3', [('x', x)], domain=MS, **attributes)
    many = w.rng.integers(0, 9, 5000)
    w.case('murmurhash3_many', 'MurmurHash3', [('x', many)], domain=MS)


EXACT = (murmur,)
