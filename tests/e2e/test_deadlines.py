# SPDX-License-Identifier: Apache-2.0
"""One operator that would work for minutes, hours or days: a run ends at its deadline all the same, and loading a model of
constants does not compute what takes that long."""
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from test_accel_run import run

F = np.float32
WIDE = {'kernel_shape': [1001, 1001], 'pads': [500] * 4}
ONE, ZERO = np.array(1, F), np.array(0, np.uint8)
MS = 'com.microsoft'


def zeros(*shape, dtype=F):
    return np.zeros(shape, dtype)


def pixels(dtype=F):
    return zeros(1, 1, 1000, 1000, dtype=dtype)


# name: (operator, inputs, attributes and how many outputs, domain, opset where they are not 1, '', 21)
LONG = {
    'MatMul': ('MatMul', [zeros(6000, 6000)] * 2, {}),
    'MatMul of doubles': ('MatMul', [zeros(4000, 4000, dtype=np.float64)] * 2, {}),
    'MatMul of integers': ('MatMul', [zeros(5000, 5000, dtype=np.int32)] * 2, {}),
    'Gemm of doubles': ('Gemm', [zeros(4000, 4000, dtype=np.float64)] * 2, {'transB': 1}),
    'MatMulInteger': ('MatMulInteger', [zeros(12000, 12000, dtype=np.uint8)] * 2, {}),
    'Einsum': ('Einsum', [zeros(6000, 6000)] * 2, {'equation': 'ij,kj->ik'}),
    'Conv': ('Conv', [pixels(), zeros(1, 1, 999, 999)], {'pads': [499] * 4}),
    'Conv of channels': ('Conv', [zeros(1, 256, 256, 256), zeros(512, 256, 9, 9)], {'pads': [4] * 4}),
    'ConvInteger': ('ConvInteger', [pixels(np.uint8), zeros(1, 1, 999, 999, dtype=np.uint8)], {'pads': [499] * 4}),
    'QLinearConv': ('QLinearConv', [pixels(np.uint8), ONE, ZERO, zeros(1, 1, 999, 999, dtype=np.uint8), ONE, ZERO, ONE, ZERO],
                    {'pads': [499] * 4}),
    'DeformConv': ('DeformConv', [zeros(1, 64, 128, 128), zeros(64, 64, 17, 17), zeros(1, 578, 128, 128)], {'pads': [8] * 4}),
    'MaxPool': ('MaxPool', [pixels()], WIDE),
    'MaxPool of bytes': ('MaxPool', [pixels(np.uint8)], WIDE),
    'MaxPool with indices': ('MaxPool', [pixels()], WIDE | {'outputs': 2}),
    'AveragePool': ('AveragePool', [pixels()], WIDE),
    'LpPool': ('LpPool', [pixels()], WIDE),
    'QLinearAveragePool': ('QLinearAveragePool', [pixels(np.uint8), ONE, ZERO, ONE, ZERO], WIDE | {'domain': MS}),
    'LRN': ('LRN', [zeros(1, 100000, 10, 10)], {'size': 100001}),
    'Attention': ('Attention', [zeros(1, 8, 20000, 64)] * 3, {'opset': 23}),
    'MultiHeadAttention': ('MultiHeadAttention', [zeros(1, 20000, 512)] * 3, {'num_heads': 8, 'domain': MS}),
    'LSTM': ('LSTM', [zeros(300000, 1, 8), zeros(1, 2048, 8), zeros(1, 2048, 512)], {'hidden_size': 512}),
    'Det': ('Det', [np.random.default_rng(1).random((6000, 6000), F)], {}),
    'Inverse': ('Inverse', [np.random.default_rng(1).random((4000, 4000), F)], {'domain': MS}),
    'NonMaxSuppression': ('NonMaxSuppression', [np.random.default_rng(1).random((1, 300000, 4), F) + np.array([0, 0, 1, 1], F),
                                                zeros(1, 1, 300000), np.array([300000]), ONE.reshape(1)], {}),
    'RoiAlign': ('RoiAlign', [zeros(1, 64, 500, 500), np.tile(np.array([[0, 0, 500, 500]], F), (100, 1)), zeros(100, dtype=np.int64)],
                 {'output_height': 100, 'output_width': 100, 'sampling_ratio': 50}),
    'CDist': ('CDist', [zeros(4000, 8000)] * 2, {'metric': 'euclidean', 'domain': MS}),
}


def one_node(path, op, inputs, outputs=1, domain='', opset=21, **attributes):
    """A model of this node alone, and the command's words for its inputs."""
    names, words = [f'x{i}' for i in range(len(inputs))], []
    node = helper.make_node(op, names, [f'y{i}' for i in range(outputs)], domain=domain, **attributes)
    infos = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in zip(names, inputs, strict=True)]
    graph = helper.make_graph([node], 'g', infos, [onnx.ValueInfoProto(name='y0')])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset), helper.make_opsetid(MS, 1)], ir_version=10),
              path / 'm.onnx')
    for n, v in zip(names, inputs, strict=True):
        np.save(path / f'{n}.npy', v)
        words += ['--input', f'{n}={path}/{n}.npy']
    return words


@pytest.mark.parametrize('name', LONG)
@pytest.mark.parametrize('threads', [1, 2])
def test_an_operator_ends_at_the_deadline(tmp_path, name, threads):
    op, inputs, attributes = LONG[name]
    words = one_node(tmp_path, op, inputs, **attributes)
    said = run('run', tmp_path / 'm.onnx', *words, '--threads', threads, '--deadline', '0.1', '--output', tmp_path / 'out', status=1)[1]
    assert 'deadline of 100 ms' in said and op in said
    assert not (tmp_path / 'out').exists()


def test_loading_computes_no_more_than_takes_seconds(tmp_path):
    """Convolutions of constants, each of 1.4e11 operations: a run does them, should one be wanted."""
    nodes = [helper.make_node('ConstantOfShape', ['size'], ['x0']),
             helper.make_node('ConstantOfShape', ['size'], ['w'], value=numpy_helper.from_array(np.ones(1, F)))]
    nodes += [helper.make_node('Conv', [f'x{i}', 'w'], [f'x{i + 1}'], pads=[255, 255, 256, 256]) for i in range(1000)]
    nodes += [helper.make_node('Add', ['x1000', 'a'], ['y'])]
    graph = helper.make_graph(nodes, 'g', [helper.make_tensor_value_info('a', onnx.TensorProto.FLOAT, [])],
                              [onnx.ValueInfoProto(name='y')], [numpy_helper.from_array(np.array([1, 1, 512, 512]), 'size')])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 21)], ir_version=10), tmp_path / 'm.onnx')
    assert '1x1x512x512' in run('analyse', tmp_path / 'm.onnx')[0]
