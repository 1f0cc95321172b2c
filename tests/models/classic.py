#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Small models of one ai.onnx.ml operator each, with what ONNX Runtime makes of them.

    classic.py OUT      writes OUT/NAME/model.onnx and OUT/NAME/test_data_set_0

Random, but always the same. Left out is what ONNX Runtime leaves undefined: PROBIT where one score stands
for two classes (the second is what its memory held) or near 1/2, where its formula has few digits left, and
labels other than 0 and 1 where two classes have scores of their own (it answers 0 and 1 whatever they are
called). What it refuses is left out as well; then
the tests of the onnx package for these operators are added, which have expected outputs of their own.
"""
import contextlib
import io
import itertools
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from quiet import onnxruntime

POSTS = ['NONE', 'LOGISTIC', 'SOFTMAX', 'SOFTMAX_ZERO', 'PROBIT']
MODES = ['BRANCH_LEQ', 'BRANCH_LT', 'BRANCH_GTE', 'BRANCH_GT', 'BRANCH_EQ', 'BRANCH_NEQ']
TEXT = np.array([['a', 'b', 'c'], ['d', '', 'zz']], dtype=object)


def type_of(array):
    return TensorProto.STRING if array.dtype == object else helper.np_dtype_to_tensor_dtype(array.dtype)


class Writer:
    def __init__(self, out):
        self.out, self.rng, self.folders, self.refused = Path(out), np.random.default_rng(3), [], 0

    def floats(self, n, low=-1.0, high=1.0):
        return [float(v) for v in self.rng.uniform(low, high, n).astype(np.float32)]

    def rows(self, n, features, dtype=np.float32, gaps=False):
        x = (self.rng.integers(-4, 5, (n, features)) / 2).astype(dtype)
        if gaps:
            x[self.rng.random((n, features)) < 0.2] = np.nan
        return x

    def save(self, name, model, inputs, outputs):
        folder = self.out / name
        (folder / 'test_data_set_0').mkdir(parents=True)
        (folder / 'model.onnx').write_bytes(model.SerializeToString())
        for kind, tensors in ('input', inputs), ('output', outputs):
            for i, (tensor, value) in enumerate(tensors):
                value = np.asarray(value)
                value = value.astype(object) if value.dtype.kind in 'UO' else value
                (folder / 'test_data_set_0' / f'{kind}_{i}.pb').write_bytes(
                    numpy_helper.from_array(value, tensor).SerializeToString())
        self.folders.append(folder)

    def add(self, name, op, inputs, outputs, version=1, **attributes):
        """inputs: arrays; outputs: element types."""
        xs, ys = [f'x{i}' for i in range(len(inputs))], [f'y{i}' for i in range(len(outputs))]
        graph = helper.make_graph(
            [helper.make_node(op, xs, ys, domain='ai.onnx.ml', **attributes)], name,
            [helper.make_tensor_value_info(n, type_of(v), v.shape) for n, v in zip(xs, inputs)],
            [helper.make_tensor_value_info(n, t, None) for n, t in zip(ys, outputs)])
        model = helper.make_model(graph, ir_version=8, opset_imports=[
            helper.make_opsetid('', 17), helper.make_opsetid('ai.onnx.ml', version)])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            results = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=['CPUExecutionProvider']).run(ys, dict(zip(xs, inputs)))
        except Exception:  # noqa: BLE001: its exceptions have no common class; the number is printed
            self.refused += 1
            return
        self.save(name, model, zip(xs, inputs), zip(ys, results))

    # ------------------------------------------------------------ trees
    def forest(self, trees, depth, features, prefix, ids, low):
        """Full trees; each leaf has a weight for each of `ids` or, of many, for some."""
        inner, count = 2 ** depth - 1, 2 ** (depth + 1) - 1
        nodes = {k: [] for k in ('treeids', 'nodeids', 'featureids', 'modes', 'values', 'truenodeids', 'falsenodeids',
                                 'missing_value_tracks_true')}
        leaves = {k: [] for k in ('ids', 'nodeids', 'treeids', 'weights')}
        for tree, i in itertools.product(range(trees), range(count)):
            leaf = i >= inner
            for key, value in (('treeids', tree), ('nodeids', i),
                               ('featureids', 0 if leaf else int(self.rng.integers(features))),
                               ('modes', 'LEAF' if leaf else MODES[self.rng.integers(6)]),
                               ('values', 0.0 if leaf else float(self.rng.integers(-3, 4)) / 2),
                               ('truenodeids', 0 if leaf else 2 * i + 1), ('falsenodeids', 0 if leaf else 2 * i + 2),
                               ('missing_value_tracks_true', 0 if leaf else int(self.rng.integers(2)))):
                nodes[key].append(value)
            for target in ids if leaf else ():
                if len(ids) > 2 and self.rng.random() < 0.3:
                    continue
                for key, value in (('ids', target), ('nodeids', i), ('treeids', tree),
                                   ('weights', self.floats(1, low)[0] / (1 if low < 0 else trees))):
                    leaves[key].append(value)
        return {**{f'nodes_{k}': v for k, v in nodes.items()}, **{f'{prefix}_{k}': v for k, v in leaves.items()}}

    def trees(self):
        label = {'i': TensorProto.INT64, 's': TensorProto.STRING}
        for post, (classes, ids), low, kind in itertools.product(
                POSTS, [(2, (0,)), (2, (1,)), (2, (0, 1)), (3, range(3)), (5, range(5))], (0.0, -1.0), 'is'):
            for base in sorted({0, 1, classes}):
                if post == 'PROBIT' and classes == 2:
                    continue
                names = {'classlabels_int64s': list(range(classes))} if kind == 'i' else {
                    'classlabels_strings': [f'c{k}' for k in range(classes)]}
                if base:
                    names['base_values'] = self.floats(base, -0.5, 0.5)
                self.add(f'classifier_{post}_{classes}_{len(ids)}{ids[0]}_{low:g}_{base}_{kind}', 'TreeEnsembleClassifier',
                         [self.rows(20, 4, gaps=True)], [label[kind], TensorProto.FLOAT], post_transform=post,
                         **self.forest(3, 2, 4, 'class', ids, low), **names)
        for post, targets, how, dtype in itertools.product(POSTS[:4], (1, 2, 3), ('SUM', 'AVERAGE', 'MIN', 'MAX'),
                                                           (np.float32, np.float64)):
            for base in (0, targets):
                self.add(f'regressor_{post}_{targets}_{how}_{base}_{dtype.__name__}', 'TreeEnsembleRegressor',
                         [self.rows(20, 4, dtype)], [TensorProto.FLOAT], post_transform=post, aggregate_function=how,
                         n_targets=targets, **self.forest(4, 2, 4, 'target', range(targets), -1.0),
                         **({'base_values': self.floats(base)} if base else {}))
        # Enough trees that the tensors in attributes are larger than what is copied when it is read.
        many = self.forest(200, 3, 4, 'class', range(3), -1.0)
        for name in 'nodes_values', 'class_weights':
            many[f'{name}_as_tensor'] = numpy_helper.from_array(np.array(many.pop(name)), name)
        self.add('classifier_tensors', 'TreeEnsembleClassifier', [self.rows(20, 4, np.float64)],
                 [TensorProto.INT64, TensorProto.FLOAT], version=3, classlabels_int64s=[5, 6, 7], **many)

    # ------------------------------------------------------------ linear, support vectors
    def linear(self):
        for post, (targets, labels), dtype in itertools.product(POSTS, ((1, 2), (2, 2), (3, 3), (6, 6)),
                                                                (np.float32, np.float64, np.int64)):
            if post == 'PROBIT' and targets == 1:
                continue
            self.add(f'linear_{post}_{targets}_{dtype.__name__}', 'LinearClassifier', [self.rows(20, 5, dtype)],
                     [TensorProto.STRING, TensorProto.FLOAT], post_transform=post,
                     coefficients=self.floats(targets * 5, -0.2, 0.2), intercepts=self.floats(targets, 0.1, 0.4),
                     classlabels_strings=[f'k{k}' for k in range(labels)])
        for post, targets in itertools.product(POSTS[:4], (1, 2, 3)):
            self.add(f'linear_regressor_{post}_{targets}', 'LinearRegressor', [self.rows(20, 5)], [TensorProto.FLOAT],
                     post_transform=post, targets=targets, coefficients=self.floats(targets * 5))
        kernels = ('LINEAR', 2.0), ('POLY', 2.0), ('POLY', 3.0), ('POLY', 4.0), ('RBF', 2.0), ('SIGMOID', 2.0)
        for post, (kernel, degree), classes, chances in itertools.product(POSTS[:4], kernels, (2, 3, 4), (0, 1)):
            each = [int(v) for v in self.rng.integers(1, 5, classes)]
            pairs, vectors = classes * (classes - 1) // 2, sum(each)
            more = {'prob_a': self.floats(pairs, -2, -0.5), 'prob_b': self.floats(pairs, -0.2, 0.2)} if chances else {}
            self.add(f'svm_{post}_{kernel}{degree:g}_{classes}_{chances}', 'SVMClassifier',
                     [np.array(self.floats(16 * 21), np.float32).reshape(16, 21)], [TensorProto.INT64, TensorProto.FLOAT],
                     post_transform=post, kernel_type=kernel, kernel_params=[0.3, 0.4, degree], vectors_per_class=each,
                     support_vectors=self.floats(vectors * 21), coefficients=self.floats((classes - 1) * vectors),
                     rho=self.floats(pairs, -0.2, 0.2), classlabels_ints=[10 + k for k in range(classes)], **more)
        for post, classes, low in itertools.product(POSTS[:4], (2, 3), (0.0, -1.0)):
            self.add(f'svm_linear_{post}_{classes}_{low:g}', 'SVMClassifier', [self.rows(20, 4)],
                     [TensorProto.INT64, TensorProto.FLOAT], post_transform=post, kernel_params=[0.3, 0.4, 3.0],
                     coefficients=self.floats(classes * 4, low), rho=[0.1], classlabels_ints=[4 + k for k in range(classes)])
        for (kernel, degree), one, count in itertools.product(kernels, (0, 1), (0, 7)):
            self.add(f'svm_regressor_{kernel}{degree:g}_{one}_{count}', 'SVMRegressor', [self.rows(20, 5)],
                     [TensorProto.FLOAT], kernel_type=kernel, kernel_params=[0.3, 0.4, degree], rho=[0.1],
                     n_supports=count, one_class=one, coefficients=self.floats(count or 5),
                     **({'support_vectors': self.floats(count * 5)} if count else {}))

    # ------------------------------------------------------------ features, labels
    def features(self):
        for dtype in np.float32, np.float64, np.int64, np.int32:
            kind, own = dtype.__name__, helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
            x = self.rows(6, 5, dtype)
            x[0] = 0
            for norm in 'MAX', 'L1', 'L2':
                self.add(f'normalizer_{norm}_{kind}', 'Normalizer', [x], [TensorProto.FLOAT], norm=norm)
            for n in 1, 5:
                self.add(f'scaler_{n}_{kind}', 'Scaler', [x], [TensorProto.FLOAT], offset=self.floats(n), scale=self.floats(n))
            self.add(f'imputer_{kind}', 'Imputer', [x], [own], **(
                {'imputed_value_floats': [1.0, 2.0, 3.0, 4.0, 5.0]} if x.dtype.kind == 'f' else
                {'imputed_value_int64s': [7]}))
            self.add(f'binarizer_{kind}', 'Binarizer', [x], [own], threshold=0.5)
            self.add(f'extractor_{kind}', 'ArrayFeatureExtractor', [x, np.array([2, 0, 4, 2])], [own])
            self.add(f'onehot_{kind}', 'OneHotEncoder', [np.array([[1, 2], [3, 7]], dtype)], [TensorProto.FLOAT],
                     cats_int64s=[1, 3, 2])
        self.add('imputer_nan', 'Imputer', [self.rows(6, 5, gaps=True)], [TensorProto.FLOAT],
                 imputed_value_floats=[9.0], replaced_value_float=float('nan'))
        self.add('extractor_strings', 'ArrayFeatureExtractor', [TEXT, np.array([2, 0])], [TensorProto.STRING])
        self.add('onehot_strings', 'OneHotEncoder', [TEXT], [TensorProto.FLOAT], cats_strings=['a', 'zz'])
        for wide in [3, 2], [4, 1]:
            self.add(f'vectorizer_{wide[0]}', 'FeatureVectorizer', [self.rows(4, 3), self.rows(4, 2)], [TensorProto.FLOAT],
                     inputdimensions=wide)

    def labels(self):
        lists = {'int64s': ([3, 1, 2, 1], np.array([1, 2, 3, 4])), 'strings': (['a', 'c', 'zz', 'a'], TEXT),
                 'floats': ([1.0, 0.5, 3.0, 1.0], np.array([1, 0.5, np.nan, 3], np.float32))}
        for version, (keys, (key, x)), (values, (value, like)) in itertools.product((2, 4), lists.items(), lists.items()):
            self.add(f'encoder{version}_{keys}_{values}', 'LabelEncoder', [x], [type_of(like)], version=version,
                     **{f'keys_{keys}': key, f'values_{values}': value})
        for name, op, attributes in (
                ('encoder1', 'LabelEncoder', {'classes_strings': ['a', 'c', 'zz']}),
                ('mapper', 'CategoryMapper', {'cats_strings': ['a', 'zz'], 'cats_int64s': [1, 2]})):
            self.add(f'{name}_strings', op, [TEXT], [TensorProto.INT64], **attributes)
            self.add(f'{name}_ints', op, [np.array([0, 1, 2, 3, -1])], [TensorProto.STRING], **attributes)

    def standard(self):
        """The onnx package's own cases; collecting them prints warnings of other operators."""
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter('ignore')
            from onnx.backend.test.case.node import collect_testcases
            cases = [c for c in collect_testcases(None) if 'ai_onnx_ml' in c.name]
        for case in cases:
            inputs, outputs = case.data_sets[0]
            self.save(case.name, case.model, zip([v.name for v in case.model.graph.input], inputs),
                      zip([v.name for v in case.model.graph.output], outputs))


def write(out):
    """Writes all; returns their folders."""
    w = Writer(out)
    for part in w.trees, w.linear, w.features, w.labels, w.standard:
        part()
    return w.folders, w.refused


if __name__ == '__main__':
    made, left_out = write(sys.argv[1])
    print(f'{len(made)} models; ONNX Runtime {onnxruntime.__version__} and onnx {onnx.__version__}; {left_out} it refuses')
