# SPDX-License-Identifier: Apache-2.0
"""What random graphs found (tests/differential): corners of attributes and shapes where this core answered otherwise."""
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from oracle_cases import MS, F


def log_sum_exp_of_integers(w):
    """Exponentials in the integer type: only the largest elements count; the sum with the logarithm is cut off at the end."""
    for dtype in (np.int32, np.int64):
        x = w.rng.integers(-9, 9, (3, 4, 5)).astype(dtype)
        x[:, 1], x[0] = x[:, 0], -7
        for axes in ([0], [1], [-1], [0, 2]):
            w.case(f'log_sum_exp_{np.dtype(dtype)}_{"_".join(map(str, axes))}', 'ReduceLogSumExp', [('x', x)], axes=axes)


def log_sum_exp_of_unsigned_integers(w):
    """In double, by the operator's expansion: each counts."""
    for dtype in (np.uint32, np.uint64):
        x = w.rng.integers(0, 9, (3, 4, 5)).astype(dtype)
        for axes in ([0], [1], [-1], [0, 2]):
            w.case(f'log_sum_exp_{np.dtype(dtype)}_{"_".join(map(str, axes))}', 'ReduceLogSumExp',
                   [('x', x), ('axes', np.array(axes))], constants=['axes'], opset=18)


def affine_grid_of_one(w):
    """An axis of one point has it at its end when corners are aligned."""
    theta = w.rng.standard_normal((2, 2, 3)).astype(F)
    for size in ([2, 2, 6, 1], [2, 2, 1, 5], [2, 2, 1, 1]):
        w.case(f'affine_grid_{"x".join(map(str, size))}', 'AffineGrid', [('theta', theta), ('size', np.array(size, np.int64))],
               constants=['size'], opset=20, align_corners=1)


def transposed_stride_beyond_kernel(w):
    """SAME_* with gaps between the windows: no more comes out than is added."""
    x, weights = w.rng.standard_normal((1, 2, 3, 4)).astype(F), w.rng.standard_normal((2, 3, 1, 2)).astype(F)
    for auto_pad in ('SAME_UPPER', 'SAME_LOWER'):
        w.case(f'conv_transpose_{auto_pad.lower()}_gaps', 'ConvTranspose', [('x', x), ('w', weights)], constants=['w'],
               auto_pad=auto_pad, strides=[3, 3])


def symbolic(w, name, op, values, fixed=(), domain='', **attributes):
    """A node of which every input but the fixed ones has named dimensions only."""
    names = list(values)
    graph = helper.make_graph(
        [helper.make_node(op, names, ['y'], domain=domain, **attributes)], name,
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype),
                                       a.shape if n in fixed else [f'{n}{i}' for i in range(a.ndim)])
         for n, a in values.items()], [helper.make_tensor_value_info('y', TensorProto.FLOAT, None)])
    opsets = [helper.make_opsetid('', 17), helper.make_opsetid(MS, 1)]
    w.whole(name, helper.make_model(graph, opset_imports=opsets, ir_version=8), values)


def weights_of_symbolic_shape(w):
    """Weights that are inputs: their shape is the run's to tell."""
    x = w.rng.standard_normal((2, 4, 5, 6)).astype(F)
    symbolic(w, 'conv_symbolic_weights', 'Conv',
             {'x': x, 'w': w.rng.standard_normal((6, 2, 3, 2)).astype(F), 'b': w.rng.standard_normal(6).astype(F)},
             group=2, pads=[1, 0, 1, 1])
    symbolic(w, 'fusedconv_symbolic_sum', 'FusedConv',
             {'x': x, 'w': w.rng.standard_normal((3, 4, 2, 2)).astype(F), 'b': w.rng.standard_normal(3).astype(F),
              'z': w.rng.standard_normal((2, 3, 4, 5)).astype(F)}, 'xwb', MS, activation='Relu')
    symbolic(w, 'conv_transpose_symbolic_weights', 'ConvTranspose', {'x': x, 'w': w.rng.standard_normal((4, 3, 3, 2)).astype(F)},
             group=2, strides=[2, 1])
    symbolic(w, 'prelu_symbolic_slope', 'PRelu', {'x': x, 'slope': w.rng.standard_normal((4, 1, 1)).astype(F)})
    symbolic(w, 'prelu_symbolic_row', 'PRelu', {'x': x[0, 0, 0], 'slope': w.rng.standard_normal(6).astype(F)})


def kernel_beyond_one(w):
    """Of an axis of unknown length nothing can be said at load: not that a large kernel is too large for it."""
    symbolic(w, 'maxpool_symbolic_large', 'MaxPool', {'x': w.rng.standard_normal((1, 2, 90)).astype(F)}, kernel_shape=[80])


def resize_of_one_axis(w):
    """Integers, linear: an axis that keeps its size has two halves at its end, of which the sum is cut off."""
    for dtype in (np.uint8, np.int8):
        x = w.rng.integers(0, 10, (1, 200, 2, 2)).astype(dtype)
        w.case(f'resize_linear_{np.dtype(dtype)}_columns', 'Resize', [('x', x), None, None, ('sizes', np.array([1, 200, 2, 10]))],
               constants=['sizes'], opset=21, mode='linear')
        w.case(f'resize_linear_{np.dtype(dtype)}_rows', 'Resize', [('x', x), None, None, ('sizes', np.array([1, 200, 10, 2]))],
               constants=['sizes'], opset=21, mode='linear')


def resize_of_one_ratio(w):
    """A policy's scale stays when the size that follows from it is rounded."""
    x = w.rng.standard_normal((1, 2, 10, 9)).astype(F)
    for policy, sizes in (('not_smaller', [8, 2]), ('not_larger', [8, 30]), ('not_smaller', [11, 28])):
        for mode in ('nearest', 'linear', 'cubic'):
            w.case(f'resize_{policy}_{sizes[0]}x{sizes[1]}_{mode}', 'Resize', [('x', x), None, None, ('sizes', np.array(sizes))],
                   constants=['sizes'], opset=19, mode=mode, axes=[2, 3], keep_aspect_ratio_policy=policy,
                   coordinate_transformation_mode='asymmetric')


def resize_near_the_middle(w):
    """9 / 1.2f is 7.4999995 and counts as the middle between two elements; a symmetric coordinate is a double's."""
    for coordinate in ('asymmetric', 'half_pixel', 'half_pixel_symmetric', 'tf_half_pixel_for_nn'):
        for rounding in ('round_prefer_ceil', 'round_prefer_floor'):
            for size, to in ((10, 12), (7, 2), (7, 16), (57, 49), (59, 41), (4, 4)):
                w.case(f'resize_middle_{coordinate}_{rounding}_{size}_{to}', 'Resize',
                       [('x', np.arange(size, dtype=F).reshape(1, 1, size)), None, None, ('sizes', np.array([1, 1, to]))],
                       constants=['sizes'], opset=20, mode='nearest', coordinate_transformation_mode=coordinate,
                       nearest_mode=rounding)


def mask_of_symbolic_length(w):
    """com.microsoft Attention of a constant batch, whose mask's length is the run's to tell."""
    constants = {'x': w.rng.standard_normal((2, 3, 6)).astype(F), 'w': w.rng.standard_normal((6, 12)).astype(F),
                 'b': w.rng.standard_normal(12).astype(F)}
    graph = helper.make_graph(
        [helper.make_node('Attention', [*constants, 'mask'], ['y'], domain=MS, num_heads=2)], 'mask',
        [helper.make_tensor_value_info('mask', TensorProto.INT32, ['n'])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, None)],
        [numpy_helper.from_array(a, n) for n, a in constants.items()])
    opsets = [helper.make_opsetid('', 17), helper.make_opsetid(MS, 1)]
    w.whole('attention_symbolic_mask', helper.make_model(graph, opset_imports=opsets, ir_version=8),
            {'mask': np.array([2, 3], np.int32)})


def rows_that_a_mask_hides(w):
    """Attention of primitives: a row without keys is 0 / 0, and -1e30 for all keys makes them equal."""
    q, k, v = (('q', w.rng.standard_normal((1, 2, 5, 4)).astype(F)), ('k', w.rng.standard_normal((1, 2, 3, 4)).astype(F)),
               ('v', w.rng.standard_normal((1, 2, 3, 6)).astype(F)))
    for label, hidden in (('inf', -np.inf), ('much', F(-1e30))):
        for columns in (1, 3):
            mask = np.zeros((1, 1, 5, columns), F)
            mask[:, :, 1:3] = hidden
            nodes = [helper.make_node('Transpose', ['k'], ['t'], perm=[0, 1, 3, 2]), helper.make_node('MatMul', ['q', 't'], ['s']),
                     helper.make_node('Add', ['s', 'm'], ['a']), helper.make_node('Softmax', ['a'], ['p'], axis=-1),
                     helper.make_node('MatMul', ['p', 'v'], ['y'])]
            w.model(f'attention_hidden_{label}_{columns}', nodes, [q, k, v, ('m', mask)], [], ['y'], opset=13)


def halves_into_containers(w):
    """What was computed in float becomes an element of a sequence, or an optional, in halves."""
    x = ('x', w.rng.standard_normal((4, 3)).astype(np.float16))
    ways = {'optional': [('Optional', ['h'], {}), ('OptionalGetElement', ['c'], {})],
            'asked': [('Optional', ['h'], {}), ('OptionalHasElement', ['c'], {})],
            'split': [('SplitToSequence', ['h'], {}), ('ConcatFromSequence', ['c'], {'axis': 0})],
            'construct': [('SequenceConstruct', ['h', 'x'], {}), ('ConcatFromSequence', ['c'], {'axis': 1})]}
    for name, ((first, inputs, more), (second, made, rest)) in ways.items():
        w.model(f'halves_into_{name}', [helper.make_node('HardSwish', ['x'], ['h']), helper.make_node(first, inputs, ['c'], **more),
                                        helper.make_node(second, made, ['y'], **rest)], [x], [], ['y'], opset=18)


def trees_of_one_target(w):
    """Three stumps by each way to bring them together, in both types."""
    leaves = [0.75, -0.5, 0.25, 1.5, -1, 0.125]
    for dtype in (F, np.float64):
        x = w.rng.standard_normal((20, 2)).astype(dtype)
        for how in range(4):
            tensors = {'nodes_splits': np.array([0, 0.5, -0.5], dtype), 'nodes_modes': np.array([0, 3, 4], np.uint8),
                       'leaf_weights': np.array(leaves, dtype)}
            node = helper.make_node('TreeEnsemble', ['x'], ['y'], domain='ai.onnx.ml', aggregate_function=how, n_targets=1,
                                    tree_roots=[0, 1, 2], nodes_featureids=[0, 1, 0], leaf_targetids=[0] * 6,
                                    nodes_trueleafs=[1] * 3, nodes_truenodeids=[0, 2, 4], nodes_falseleafs=[1] * 3,
                                    nodes_falsenodeids=[1, 3, 5], **{k: numpy_helper.from_array(v, k) for k, v in tensors.items()})
            kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
            graph = helper.make_graph([node], 'trees', [helper.make_tensor_value_info('x', kind, x.shape)],
                                      [helper.make_tensor_value_info('y', kind, (20, 1))])
            opsets = [helper.make_opsetid('', 21), helper.make_opsetid('ai.onnx.ml', 5)]
            w.whole(f'trees_{np.dtype(dtype)}_{how}', helper.make_model(graph, opset_imports=opsets, ir_version=10), {'x': x})


EXACT = (trees_of_one_target, kernel_beyond_one, log_sum_exp_of_integers, log_sum_exp_of_unsigned_integers, resize_of_one_axis,
         resize_near_the_middle)
NEAR = (halves_into_containers, rows_that_a_mask_hides, mask_of_symbolic_length, resize_of_one_ratio,
        affine_grid_of_one, transposed_stride_beyond_kernel, weights_of_symbolic_shape)
