# SPDX-License-Identifier: Apache-2.0
"""com.microsoft's distances, and products with a sparse matrix."""
import numpy as np
import onnxruntime
from onnx import helper, numpy_helper

from oracle_cases import MS, F


def cdist(w):
    for dtype in (np.float32, np.float64):
        for metric in ('euclidean', 'sqeuclidean'):
            for m, n, k in ((1, 1, 1), (3, 5, 4), (7, 1, 9), (17, 33, 20), (2, 40, 70), (0, 3, 2), (3, 0, 2)):
                a, b = w.rng.uniform(-3, 3, (m, k)).astype(dtype), w.rng.uniform(-3, 3, (n, k)).astype(dtype)
                w.case(f'cdist_{np.dtype(dtype).name}_{metric}_{m}x{n}x{k}', 'CDist', [('a', a), ('b', b)], ('b',) if m % 2 else (),
                       domain=MS, metric=metric)


def warping(w):
    for label, x in (('wide', w.rng.uniform(0, 1, (5, 9))), ('tall', w.rng.uniform(0, 1, (12, 4))), ('batch', w.rng.uniform(0, 1, (1, 6, 6))),
                     ('negative', w.rng.normal(0, 1, (8, 11))), ('ties', np.zeros((6, 7))), ('steps', w.rng.integers(0, 3, (20, 31))),
                     ('row', w.rng.uniform(0, 1, (1, 5))), ('column', w.rng.uniform(0, 1, (5, 1))), ('one', np.ones((1, 1))),
                     ('empty', np.zeros((0, 4))), ('nan', np.where(w.rng.uniform(0, 1, (6, 6)) < 0.2, np.nan, 1.0)),
                     ('infinite', np.where(w.rng.uniform(0, 1, (6, 6)) < 0.4, np.inf, 1.0))):
        w.case(f'dynamictimewarping_{label}', 'DynamicTimeWarping', [('x', x.astype(F))], domain=MS)


def sparse_answer(dense, b, attributes):
    """ONNX Runtime runs the operator for sparse inputs alone: what a model holds it has made dense."""
    element = helper.np_dtype_to_tensor_dtype(dense.dtype)
    node = helper.make_node('SparseToDenseMatMul', ['a', 'b'], ['y'], domain=MS, **attributes)
    graph = helper.make_graph([node], 'sparse', [helper.make_sparse_tensor_value_info('a', element, ['m', 'k']),
                                                 helper.make_tensor_value_info('b', element, ['k', 'n'])],
                              [helper.make_tensor_value_info('y', element, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 15), helper.make_opsetid(MS, 1)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=['CPUExecutionProvider'])
    values = onnxruntime.SparseTensor.sparse_coo_from_numpy(
        np.array(dense.shape, np.int64), dense[dense != 0], np.ascontiguousarray(np.argwhere(dense != 0)),
        onnxruntime.OrtDevice.make('cpu', 0))
    given = {'a': onnxruntime.OrtValue.ort_value_from_sparse_tensor(values), 'b': onnxruntime.OrtValue.ortvalue_from_numpy(b)}
    return session.run_with_ort_values(None, given)[0].numpy()


def sparse_model(dense, b, wanted, constant, attributes):
    places = np.flatnonzero(dense)
    sparse = helper.make_sparse_tensor(numpy_helper.from_array(dense.flat[places], 'a'), numpy_helper.from_array(places, 'a_at'),
                                       dense.shape)
    nodes = [helper.make_node('SparseToDenseMatMul', ['a', 'b'], ['y'], domain=MS, **attributes)]
    if constant:
        nodes.insert(0, helper.make_node('Constant', [], ['a'], sparse_value=sparse))
    infos = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in (('b', b), ('y', wanted))]
    graph = helper.make_graph(nodes, 'sparse', infos[:1], infos[1:], sparse_initializer=[] if constant else [sparse])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', 15), helper.make_opsetid(MS, 1)], ir_version=8)


def sparse(w):
    for dtype in (np.float32, np.float64, np.int32, np.int64, np.uint32, np.uint64):
        for ta in (0, 1):
            for tb in (0, 1):
                dense = np.where(w.rng.uniform(0, 1, (5, 7)) < 0.3, w.rng.integers(1, 90, (5, 7)), 0).astype(dtype)
                b = w.rng.integers(0, 2 ** 31 if np.dtype(dtype).itemsize == 8 else 2 ** 15, (7 - 2 * ta, 4)).astype(dtype)
                b = np.ascontiguousarray(b.T if tb else b)
                attributes = {'transA': ta, 'transB': tb, **({'alpha': 0.5} if tb else {})}
                wanted = sparse_answer(dense, b, attributes)
                name = f'sparsetodensematmul_{np.dtype(dtype).name}_{ta}{tb}'
                w.store(name, sparse_model(dense, b, wanted, ta, attributes), [('b', b)], [('y', wanted)])
    beside = np.array([[np.inf, 1], [np.nan, 2], [3, -np.inf]], F)
    dense = np.array([[0, 0, 2], [1, 0, 0], [0, 0, 0]], F)
    wanted = sparse_answer(dense, beside, {})
    w.store('sparsetodensematmul_infinite', sparse_model(dense, beside, wanted, False, {}), [('b', beside)], [('y', wanted)])


EXACT = (warping, sparse)
NEAR = (cdist,)
