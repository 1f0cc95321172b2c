# SPDX-License-Identifier: Apache-2.0
"""Strings, and the features of ai.onnx.ml."""
import numpy as np

from differential.draft import ML, F
from differential.recipes import recipe


@recipe('StringConcat')
def concat(d, op):
    shape = d.shape(high=3)
    return d.opset >= 20 and d.emit(op, [d.tensor(np.object_, shape), d.tensor(np.object_, shape)])


@recipe('StringSplit')
def split(d, op):
    if d.opset < 20:
        return None
    more = {'delimiter': d.choice([' ', ',', 'a', ''])} if d.chance(0.7) else {}
    return d.emit(op, [d.tensor(np.object_, d.shape(high=2))], 2, **more, **({'maxsplit': d.integer(0, 2)} if d.chance(0.3) else {}))


@recipe('RegexFullMatch')
def regex(d, op):
    patterns = ['[a-z]+', '.*', r'-?\d+(\.\d+)?', 'the (cat|dog)', '[^a]*', 'a{1,3}', '(?i)BC', 'x.y|', r'\w+\s\w+']
    return d.opset >= 20 and d.emit(op, [d.tensor(np.object_, d.shape(high=2))], pattern=d.choice(patterns))


@recipe('StringNormalizer')
def normalise(d, op):
    more = {'stopwords': ['a', 'zz']} if d.chance(0.5) else {}
    return d.opset >= 10 and d.emit(op, [d.tensor(np.object_, (d.integer(1, 6),) if d.chance(0.7) else (1, d.integer(1, 6)))], is_case_sensitive=d.integer(0, 1),
                                    case_change_action=d.choice(['NONE', 'LOWER', 'UPPER']), **more)


@recipe('TfIdfVectorizer')
def tf_idf(d, op):
    pool = [2, 3, 5, 4, 5, 6, 7, 8, 6, 7]
    weights = {'weights': [float(F(w)) for w in d.rng.uniform(0.1, 2, 7)]} if d.chance(0.5) else {}
    if d.opset >= 9 and d.chance(0.3):
        words = ['a', 'zz', 'Bc', 'a', 'zz', 'Bc', 'a']
        return d.emit(op, [d.tensor(np.object_, (d.integer(0, 3), d.integer(1, 9)))], mode=d.choice(['TF', 'IDF', 'TFIDF']), min_gram_length=1,
                      max_gram_length=2, max_skip_count=d.integer(0, 3), ngram_counts=[0, 3], ngram_indexes=list(range(5)),
                      pool_strings=words, **({'weights': weights['weights'][:5]} if weights else {}))
    return d.opset >= 9 and d.emit(op, [d.give(d.array(d.choice([np.int32, np.int64]), (d.integer(1, 3), d.integer(1, 9)), 2, 8), False)],
                                   mode=d.choice(['TF', 'IDF', 'TFIDF']), min_gram_length=1, max_gram_length=2,
                                   max_skip_count=d.integer(0, 3), ngram_counts=[0, 4], ngram_indexes=list(range(7)),
                                   pool_int64s=pool, **weights)


@recipe('Scaler', 'Normalizer', 'Binarizer', 'Imputer')
def features(d, op):
    kind = d.choice([F, F, np.float64, np.int64, np.int32])
    x = d.tensor(kind, (d.integer(1, 5), d.integer(1, 9)))
    n = d.of(x).shape[1]
    if op == 'Imputer' and np.dtype(kind).kind == 'i':
        return d.emit(op, [x], domain=ML, imputed_value_int64s=[7 + i for i in range(d.choice([1, n]))], replaced_value_int64=d.integer(-9, 9))
    attributes = {'Scaler': {'offset': [0.5] * n, 'scale': [float(i + 1) for i in range(n)]},
                  'Normalizer': {'norm': d.choice(['MAX', 'L1', 'L2'])}, 'Binarizer': {'threshold': 0.25},
                  'Imputer': {'imputed_value_floats': [1.5] * n, 'replaced_value_float': 0.0}}[op]
    return d.emit(op, [x], domain=ML, **attributes)


@recipe('LabelEncoder')
def labels(d, op):
    kinds = d.choice([('int64s', 'floats', np.int64), ('strings', 'int64s', np.object_), ('int64s', 'strings', np.int64),
                      ('floats', 'strings', F), ('strings', 'floats', np.object_), ('strings', 'strings', np.object_),
                      ('floats', 'floats', F), ('int64s', 'int64s', np.int64)])
    more = d.choice([{}, {'default_float': -1.5, 'default_int64': 99, 'default_string': 'none'}])
    keys = {'int64s': [1, 2, 3], 'strings': ['a', 'Bc', 'zz'], 'floats': [0.5, 1.5, 2.5]}
    values = {'int64s': [7, 8, 9], 'strings': ['x', 'y', 'z'], 'floats': [0.5, 1.5, 2.5]}
    x = d.tensor(kinds[2], d.shape(high=2)) if kinds[2] != F else d.give(np.round(d.array(F, d.shape(high=2)) * 2) / F(2))
    return d.emit(op, [x], domain=ML, **more, **{f'keys_{kinds[0]}': keys[kinds[0]],
                                                                          f'values_{kinds[1]}': values[kinds[1]]})


@recipe('ArrayFeatureExtractor')
def extract(d, op):
    x = d.tensor(d.choice([F, np.int64, np.float64, np.int32, np.object_]), (d.integer(1, 4), d.integer(1, 7)))
    return d.emit(op, [x, d.give(d.array(np.int64, (d.integer(1, 4),), 0, d.of(x).shape[1] - 1))], domain=ML)
