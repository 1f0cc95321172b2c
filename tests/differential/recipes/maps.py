# SPDX-License-Identifier: Apache-2.0
"""Maps: as inputs of the graph, which tensors are made of, and as its outputs."""
import numpy as np

from differential.draft import ML, F, Map
from differential.recipes import recipe

WORDS = ['', 'a', 'b', 'ab', 'Straße', 'żółć', '日本', '𝒳', 'two words', ' ']


def keys_of(d, kind, count, low=-9, high=60):
    """No key twice, in any order."""
    if kind == np.object_:
        return np.array(d.rng.permutation(WORDS)[:count], np.object_)
    return d.rng.permutation(np.arange(low, high))[:count].astype(np.int64)


def values_of(d, dtype, count, texts=WORDS):
    if dtype == np.object_:
        return np.array([d.choice(texts) for _ in range(count)], np.object_)
    return d.array(dtype, (count,))


@recipe('CastMap')
def cast(d, op):
    to = d.choice(['TO_FLOAT', 'TO_INT64', 'TO_STRING'])
    texts = WORDS if to == 'TO_STRING' else ['1', '-20.5', ' 7', '3e2', '+4', '0x1f', '12 apples', '-0']
    sparse = d.chance(0.5)
    # A negative key is no column; ONNX Runtime refuses it. Rarely: what is refused is no case.
    keys = keys_of(d, np.int64, d.integer(0, 12), -1 if sparse and d.chance(0.1) else 0 if sparse else -30, 30)
    x = d.give_whole(Map(keys, values_of(d, d.choice([F, np.object_]), len(keys), texts)))
    form = {'map_form': 'SPARSE', 'max_map': d.integer(1, 40)} if sparse else d.choice([{}, {'map_form': 'DENSE'}])
    if to != 'TO_FLOAT' or d.chance(0.5):
        form['cast_to'] = to
    return d.emit(op, [x], domain=ML, **form) or d.forget(x)


@recipe('DictVectorizer')
def vectorise(d, op):
    kind = d.choice([np.int64, np.object_])
    dtype = d.choice([np.int64 if kind == np.object_ else np.object_, F, np.float64])
    count = d.integer(0, 9)
    x = d.give_whole(Map(keys_of(d, kind, count), values_of(d, dtype, count)))
    words = {'string_vocabulary': [d.choice(WORDS) for _ in range(d.integer(1, 12))]} if kind == np.object_ else {}
    if kind == np.int64 or d.chance(0.2):
        words['int64_vocabulary'] = [d.integer(-9, 60) for _ in range(d.integer(1, 80))]
    return d.emit(op, [x], domain=ML, **words) or d.forget(x)


@recipe('ZipMap')
def zipped(d, op):
    count = d.integer(1, 6)
    x = d.tensor(F, d.choice([(count,), (d.integer(1, 9), count)]))
    kind = d.choice([np.int64, np.object_])
    labels = list(keys_of(d, kind, count))
    if d.chance(0.2):
        labels[0] = labels[-1]
    return d.emit(op, [x], domain=ML, **{'classlabels_strings' if kind == np.object_ else 'classlabels_int64s': labels})
