# SPDX-License-Identifier: Apache-2.0
"""Models that learned: trees, support vectors, linear ones, with classic.py's makers of their attributes."""
import sys
from pathlib import Path

import numpy as np

from differential.draft import ML, F
from differential.recipes import recipe

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / 'models'))
import classic  # noqa: E402

POSTS = classic.POSTS[:4]  # PROBIT: near 1/2 ONNX Runtime's formula has few digits left
KERNELS = (('LINEAR', 2.0), ('POLY', 2.0), ('POLY', 3.0), ('RBF', 2.0), ('SIGMOID', 2.0))


def maker(d):
    made = classic.Writer('')
    made.rng = d.rng
    return made


def rows(d, features, types=(F, np.float64, np.int64, np.int32)):
    """Values that trees compare exactly: halves."""
    dtype = d.choice(types)
    return d.give(maker(d).rows(d.choice([1, d.integer(2, 9), 70]), features, dtype, dtype == F and d.chance(0.3)), False)


@recipe('TreeEnsembleClassifier', 'TreeEnsembleRegressor')
def trees(d, op):
    m, features = maker(d), d.integer(1, 6)
    # Without a base the regressor's minimum and maximum start at 0 in some paths of ONNX Runtime only.
    if op == 'TreeEnsembleRegressor':
        targets = d.integer(1, 3)
        how = d.choice(['SUM', 'AVERAGE', 'MIN', 'MAX'])
        more = {'base_values': m.floats(targets)} if d.chance(0.4) else {}
        x = d.give(m.rows(d.integer(1, 60), features, d.choice([F, np.float64, np.int64, np.int32])), False)
        return d.emit(op, [x], domain=ML, post_transform=d.choice(POSTS), aggregate_function=how, n_targets=targets,
                      **m.forest(d.integer(1, 30), d.integer(1, 3), features, 'target', range(targets), -1.0), **more)
    classes, ids = d.choice([(2, (0,)), (2, (1,)), (2, (0, 1)), (3, range(3)), (5, range(5))])
    labels = ({'classlabels_int64s': list(range(classes))} if d.chance(0.5) else
              {'classlabels_strings': [f'c{k}' for k in range(classes)]})
    base = {'base_values': m.floats(d.choice([1, classes]), -0.5, 0.5)} if d.chance(0.4) else {}
    return d.emit(op, [rows(d, features)], 2, domain=ML, post_transform=d.choice(POSTS), **labels, **base,
                  **m.forest(d.integer(1, 20), d.integer(1, 3), features, 'class', ids, d.choice([0.0, -1.0])))


@recipe('LinearClassifier', 'LinearRegressor')
def linear(d, op):
    m, n = maker(d), d.integer(1, 6)
    if op == 'LinearRegressor':
        targets = d.integer(1, 3)
        more = {'intercepts': m.floats(targets)} if d.chance(0.5) else {}
        x = m.rows(d.integer(1, 30), n, d.choice([F, F, np.float64, np.int64, np.int32]))
        return d.emit(op, [d.give(x, False)], domain=ML, post_transform=d.choice(POSTS), targets=targets,
                      coefficients=m.floats(targets * n), **more)
    targets, labels = d.choice([(1, 2), (2, 2), (3, 3), (6, 6)])
    names = ({'classlabels_strings': [f'k{k}' for k in range(labels)]} if d.chance(0.5) else
             {'classlabels_ints': list(range(labels))})
    x = d.give(m.rows(d.integer(1, 30), n, d.choice([F, np.float64, np.int64, np.int32])), False)
    return d.emit(op, [x], 2, domain=ML, post_transform=d.choice(POSTS), coefficients=m.floats(targets * n, -0.2, 0.2),
                  intercepts=m.floats(targets, 0.1, 0.4), **names)


@recipe('SVMClassifier', 'SVMRegressor')
def support_vectors(d, op):
    m, n, (kernel, degree) = maker(d), d.integer(1, 24), d.choice(KERNELS)
    x = d.give(d.array(F, (d.integer(1, 20), n), -1, 1), False)
    params = {'kernel_type': kernel, 'kernel_params': [0.3, 0.4, degree]}
    if op == 'SVMRegressor':
        count = d.integer(1, 9)
        return d.emit(op, [x], domain=ML, rho=[0.1], n_supports=count, one_class=d.integer(0, 1), coefficients=m.floats(count),
                      support_vectors=m.floats(count * n), **params)
    classes = d.integer(2, 4)
    each, pairs = [d.integer(1, 4) for _ in range(classes)], classes * (classes - 1) // 2
    labels = ({'classlabels_ints': [10 + k for k in range(classes)]} if d.chance(0.7) else
              {'classlabels_strings': [f'c{k}' for k in range(classes)]})
    if d.chance(0.5):
        params.update(prob_a=m.floats(pairs, -2, -0.5), prob_b=m.floats(pairs, -0.2, 0.2))
    return d.emit(op, [x], 2, domain=ML, post_transform=d.choice(POSTS), vectors_per_class=each,
                  support_vectors=m.floats(sum(each) * n), coefficients=m.floats((classes - 1) * sum(each)),
                  rho=m.floats(pairs, -0.2, 0.2), **labels, **params)


@recipe('TreeEnsemble')
def tree_ensemble(d, op):
    """One form for all since ai.onnx.ml 5: nodes in a list, leaves in another."""
    if d.ml_opset < 5:
        return None
    from onnx import numpy_helper
    dtype, features, targets = d.choice([F, np.float64]), d.integer(1, 5), d.integer(1, 3)
    nodes = {k: [] for k in ('splits', 'modes', 'features', 'true', 'true_leaf', 'false', 'false_leaf')}
    leaves, roots = [], []
    for _ in range(d.integer(1, 8)):
        roots.append(len(nodes['splits']))
        for i, deeper in ((0, True), (1, False), (2, False)):
            nodes['splits'].append(d.integer(-3, 3) / 2)
            nodes['modes'].append(d.integer(0, 5))
            nodes['features'].append(d.integer(0, features - 1))
            for side, to in (('true', 1), ('false', 2)):
                nodes[side].append(roots[-1] + to if deeper else len(leaves))
                nodes[f'{side}_leaf'].append(0 if deeper else 1)
                if not deeper:
                    leaves.append(d.integer(0, targets - 1))
    # Not 1 and 2: ONNX Runtime takes the number of SOFTMAX for LOGISTIC and the reverse.
    post = d.choice([0, 3])
    tensor = lambda values, kind, name: numpy_helper.from_array(np.asarray(values, kind), name)  # noqa: E731
    x = d.give(maker(d).rows(d.integer(1, 40), features, dtype), False)
    return d.emit(op, [x], domain=ML, n_targets=targets, aggregate_function=d.integer(0, 3), post_transform=post,
                  tree_roots=roots, nodes_splits=tensor(nodes['splits'], dtype, 'splits'),
                  nodes_modes=tensor(nodes['modes'], np.uint8, 'modes'), nodes_featureids=nodes['features'],
                  nodes_truenodeids=nodes['true'], nodes_trueleafs=nodes['true_leaf'], nodes_falsenodeids=nodes['false'],
                  nodes_falseleafs=nodes['false_leaf'], leaf_targetids=leaves,
                  leaf_weights=tensor(d.rng.uniform(-1, 1, len(leaves)), dtype, 'weights'))


@recipe('OneHotEncoder')
def one_hot(d, op):
    if d.chance(0.4):
        return d.emit(op, [d.tensor(np.object_, d.shape(high=2))], domain=ML, cats_strings=['a', 'zz', ''], zeros=1)
    kind = d.choice([F, np.float64, np.int64, np.int32])
    return d.emit(op, [d.give(d.array(np.int64, d.shape(high=2), 0, 5).astype(kind))], domain=ML, cats_int64s=[1, 3, 2], zeros=1)


@recipe('FeatureVectorizer')
def vectorizer(d, op):
    n, widths = d.integer(1, 4), [d.integer(1, 5) for _ in range(d.integer(1, 3))]
    kind = d.choice([F, np.float64, np.int64, np.int32])
    return d.emit(op, [d.tensor(kind, (n, w)) for w in widths], domain=ML,
                  inputdimensions=[max(1, w + d.choice([0, 0, 1, -1])) for w in widths])


@recipe('CategoryMapper')
def mapper(d, op):
    cats = {'cats_strings': ['a', 'zz'], 'cats_int64s': [1, 2]}
    x = d.tensor(np.object_, d.shape(high=2)) if d.chance(0.5) else d.tensor(np.int64, d.shape(high=2))
    more = {'default_int64': 77, 'default_string': 'none'} if d.chance(0.5) else {}
    return d.emit(op, [x], domain=ML, **cats, **more)
