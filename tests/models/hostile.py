#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Models that nobody should be able to hurt us with: broken, contradictory or greedy.

    hostile.py OUT      writes OUT/NAME.onnx for each

    from hostile import cases
    for case in cases(): ...     case.data is the file, case.says what its refusal must say

Made without onnx.checker and partly at the wire level, as the onnx package would refuse to.
"""
import argparse
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


@dataclass(frozen=True)
class Case:
    name: str
    data: bytes
    # Regular expressions, each to be found in the refusal, whatever the case of its letters.
    says: tuple = ()
    # False: an engine may also run it (integer division by zero, say); it must only survive.
    refused: bool = True

    def missing(self, message):
        """Those of `says` that the message does not say."""
        return [s for s in self.says if not re.search(s, message, re.IGNORECASE)]


# ---------------------------------------------------------------- making them
def tensor(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def claims(name, dims, raw=b'', dtype=FLOAT):
    """An initialiser that says it has these dims and has these bytes."""
    return TensorProto(name=name, dims=dims, data_type=dtype, raw_data=raw)


def node(op, inputs, outputs=('y',), name='culprit', domain='', **attributes):
    return helper.make_node(op, inputs, list(outputs), name=name, domain=domain, **attributes)


def graph(nodes, weights=(), shape=(1, 4), name='hostile', outputs=('y',), dtype=FLOAT):
    """Input x of `shape`; outputs of free shape."""
    return GraphProto(
        name=name, node=nodes, initializer=weights,
        input=[helper.make_tensor_value_info('x', dtype, list(shape))],
        output=[helper.make_tensor_value_info(o, dtype, None) for o in outputs])


def model(*args, opset=13, domains=(), **kwargs):
    made = ModelProto(ir_version=8, producer_name='hostile', graph=graph(*args, **kwargs))
    made.opset_import.add(domain='', version=opset)
    for domain in domains:
        made.opset_import.add(domain=domain, version=1)
    return made.SerializeToString()


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def field(number, content, claimed=None):
    """A length-delimited field; `claimed` is the length it lies about."""
    return varint(number << 3 | 2) + varint(len(content) if claimed is None else claimed) + content


def wire_model(graph_bytes):
    """ir_version = 1, graph = 7, opset_import = 8 { version = 2 }."""
    return b'\x08\x08' + field(7, graph_bytes) + field(8, b'\x10\x0d')


def nested(depth):
    """If within If within If. By hand: protobuf's own encoder stops at a hundred."""
    output = helper.make_tensor_value_info('y', FLOAT, [1]).SerializeToString()
    body = field(1, NodeProto(op_type='Identity', input=['x'], output=['y'], name='innermost').SerializeToString())
    for level in range(depth, 0, -1):
        inner = field(2, b'g') + body + field(12, output)
        # AttributeProto: name = 1, g = 6, type = 20.
        branches = [field(5, field(1, n) + field(6, inner) + b'\xa0\x01' + varint(AttributeProto.GRAPH))
                    for n in (b'then_branch',)]
        body = field(1, field(1, b'c') + field(2, b'y') + field(3, b'if_%d' % level) + field(4, b'If') + b''.join(branches))
    inputs = [helper.make_tensor_value_info('x', FLOAT, [1]), helper.make_tensor_value_info('c', TensorProto.BOOL, [])]
    return wire_model(body + field(2, b'nested') + b''.join(field(11, i.SerializeToString()) for i in inputs) + field(12, output))


def branch(*nodes, output='r', inputs=(), outputs=None):
    """A graph for an attribute: of free shapes."""
    return GraphProto(name='inner', node=nodes, input=[helper.make_tensor_value_info(n, t, s) for n, t, s in inputs],
                      output=[helper.make_tensor_value_info(o, FLOAT, None) for o in outputs or (output,)])


def choice(then, otherwise, outputs=('y',), name='culprit'):
    """If the constant c, which is true."""
    return node('If', ['c'], outputs, name, then_branch=then, else_branch=otherwise)


def body(*nodes, outputs=('more', 'r'), inputs=('i', 'go', 's')):
    """Of a Loop that carries one tensor of float."""
    types = {'i': (INT64, []), 'go': (TensorProto.BOOL, [])}
    return branch(*nodes, inputs=[(n, *types.get(n, (FLOAT, None))) for n in inputs], outputs=outputs)


def functions(*made, call='f', opset=17):
    """y = own.f (x); made: (name, nodes) or (name, nodes, attributes), each from a to b."""
    result = ModelProto(ir_version=8, producer_name='hostile', graph=graph([node(call, ['x'], domain='own')]))
    for domain, version in (('', opset), ('own', 1)):
        result.opset_import.add(domain=domain, version=version)
    for name, nodes, *attributes in made:
        result.functions.append(helper.make_function('own', name, ['a'], ['b'], nodes, result.opset_import, *attributes))
    return result.SerializeToString()


def chain(length):
    names = ['x', *(f't{i}' for i in range(length - 1)), 'y']
    return [node('Relu', [a], [b], f'relu_{i}') for i, (a, b) in enumerate(zip(names, names[1:]))]


def valid():
    """A sound small model, to be damaged: Conv, Relu, Gemm."""
    rng = np.random.RandomState(1)
    return model(
        [node('Conv', ['x', 'w'], ['a'], 'first', pads=[1, 1, 1, 1]), node('Relu', ['a'], ['b'], 'second'),
         node('Flatten', ['b'], ['c'], 'third'), node('Gemm', ['c', 'm'], ['y'], 'fourth')],
        [tensor('w', rng.rand(8, 3, 3, 3).astype(np.float32)), tensor('m', rng.rand(512, 10).astype(np.float32))],
        shape=(1, 3, 8, 8))


def conv(weight=(8, 3, 3, 3), shape=(1, 3, 8, 8), **attributes):
    return model([node('Conv', ['x', 'w'], **attributes)], [tensor('w', np.ones(weight, np.float32))], shape=shape)


def computed(op, *constants, dtype=FLOAT, shape=(1, 4), opset=13, **attributes):
    """One node over x and constants."""
    names = [f'c{i}' for i in range(len(constants))]
    return model([node(op, ['x', *names], **attributes)], [tensor(n, c) for n, c in zip(names, constants)], dtype=dtype,
                 shape=shape, opset=opset)


# ---------------------------------------------------------------- the collection
def sparse(dims, at, count=2, dtype=np.int64):
    """x + w with a sparse w of `count` values."""
    made = ModelProto.FromString(model([node('Add', ['x', 'w'])]))
    made.graph.sparse_initializer.add(values=tensor('w', np.ones(count, np.float32)),
                                      indices=tensor('at', np.asarray(at, dtype)), dims=dims)
    return made.SerializeToString()


def cases():
    sound, big = valid(), 1 << 40
    i64, f32 = np.int64, np.float32

    # Damaged files.
    yield Case('empty', b'', ('empty|truncated|no graph|not an? onnx',))
    yield Case('noise', np.random.RandomState(7).bytes(4096))
    yield Case('text', b'<!DOCTYPE html><html><body>404 Not Found</body></html>\n')
    for part in (1, 2, 3):
        yield Case(f'truncated-{part}', sound[:len(sound) * part // 4], ('truncat|ends|beyond|past',))
    yield Case('truncated-last-byte', sound[:-1], ('truncat|ends|beyond|past',))
    yield Case('no-graph', ModelProto(ir_version=8).SerializeToString(), ('graph',))
    yield Case('no-opset', ModelProto(ir_version=8, graph=graph([node('Relu', ['x'])])).SerializeToString(), ('opset',))
    yield Case('opset-of-the-future', model([node('Relu', ['x'])], opset=9999), ('opset',))
    yield Case('opset-negative', model([node('Relu', ['x'])], opset=-3), ('opset',))
    yield Case('endless-varint', b'\x08' + b'\xff' * 64)
    yield Case('length-beyond-file', wire_model(field(1, b'\x0a\x01x', claimed=1 << 31)), ('truncat|beyond|past|length|ends',))
    yield Case('length-2-to-the-63', b'\x08\x08' + varint(7 << 3 | 2) + varint((1 << 63) - 1) + b'xx')

    # Graphs that are none.
    yield Case('cycle', model([node('Add', ['x', 'b'], ['a'], 'first'), node('Relu', ['a'], ['b'], 'second'),
                               node('Relu', ['a'], ['y'], 'third')]), ('cycle', 'first|second'))
    yield Case('self-loop', model([node('Add', ['x', 'y'], ['y'])]), ('cycle', 'culprit'))
    yield Case('undefined-input', model([node('Relu', ['nowhere'])]), ('culprit', 'nowhere'))
    yield Case('output-without-producer', model([node('Relu', ['x'], ['z'])]), (r'\by\b',))
    yield Case('two-producers', model([node('Relu', ['x'], name='first'), node('Neg', ['x'], name='second')]), ('second', 'y'))
    yield Case('no-outputs', model([node('Relu', ['x'])], outputs=()), ('output',))
    yield Case('first-output-unnamed', model([node('LayerNormalization', ['x', 'x'], ['', 'y'])], opset=17), ('culprit', 'output 0'))
    yield Case('too-many-nodes', model(chain(60_000)), ('50,?000', 'node'))
    yield Case('nested-3000', nested(3000), ('nest|deep', '32'))
    yield Case('nested-100', nested(100), ('nest|deep', '32'))

    # Numbers that do not fit.
    yield Case('negative-dim-weight', model([node('Add', ['x', 'w'])], [claims('w', [-1, 4], bytes(16))]), (r'\bw\b', '-1'))
    yield Case('negative-dim-input', model([node('Relu', ['x'])], shape=(1, -7)), (r'\bx\b', '-7'))
    yield Case('overflowing-dims-weight', model([node('Add', ['x', 'w'])], [claims('w', [big, big], bytes(16))]), (r'\bw\b',))
    yield Case('overflowing-dims-to-zero', model([node('Add', ['x', 'w'])], [claims('w', [1 << 32, 1 << 32], b'')]), (r'\bw\b',))
    yield Case('overflowing-dims-input', model([node('Relu', ['x'])], shape=(1 << 62, 1 << 62)), ('x|culprit',))
    yield Case('huge-input', model([node('Relu', ['x'])], shape=(1 << 20, 1 << 20)), ('x|culprit',))
    yield Case('sparse-outside', sparse([1, 4], [0, 4]), (r'\bw\b', 'index 4'))
    yield Case('sparse-negative', sparse([1, 4], [-1, 2]), (r'\bw\b', 'index -1'))
    yield Case('sparse-outside-axis', sparse([2, 4], [[0, 1], [2, 0]]), (r'\bw\b', 'axis 0'))
    yield Case('sparse-descending', sparse([1, 4], [3, 1]), (r'\bw\b', 'ascend'))
    yield Case('sparse-twice', sparse([1, 4], [1, 1]), (r'\bw\b', 'ascend'))
    yield Case('sparse-fewer-indices', sparse([1, 4], [1]), (r'\bw\b', 'indices'))
    yield Case('sparse-more-axes', sparse([1, 4], [[0, 0, 1], [0, 0, 2]]), (r'\bw\b', 'indices'))
    yield Case('sparse-indices-of-floats', sparse([1, 4], [1, 2], dtype=np.float32), (r'\bw\b', 'indices'))
    yield Case('sparse-huge', sparse([1 << 20, 1 << 20], [1, 2]), (r'\bw\b', 'limit'))
    yield Case('sparse-overflowing', sparse([big, big], [1, 2]), (r'\bw\b', 'size|overflow'))
    yield Case('sparse-negative-dim', sparse([1, -4], [1, 2]), (r'\bw\b', 'size'))
    yield Case('2-gb-claim-in-1-kb', model([node('Add', ['x', 'w'])], [claims('w', [1 << 29], bytes(700))]), (r'\bw\b',))
    yield Case('short-by-one-byte', model([node('Add', ['x', 'w'])], [claims('w', [1, 4], bytes(15))]), (r'\bw\b',))
    yield Case('long-by-one-byte', model([node('Add', ['x', 'w'])], [claims('w', [1, 4], bytes(17))]), (r'\bw\b',))
    yield Case('rank-1000', model([node('Add', ['x', 'w'])], [claims('w', [1] * 1000, bytes(4))]), ('tensor', '16'))
    yield Case('no-such-type', model([node('Add', ['x', 'w'])], [claims('w', [1, 4], bytes(16), 77)]), (r'\bw\b', '77'))
    yield Case('external-data-escapes', model([node('Add', ['x', 'w'])], [TensorProto(
        name='w', dims=[1, 4], data_type=FLOAT, data_location=TensorProto.EXTERNAL,
        external_data=[{'key': 'location', 'value': '../../../../etc/passwd'}])]), (r'\bw\b',))
    yield Case('arena-of-petabytes', computed('Expand', np.array([1 << 25, 1 << 25], i64)), ('culprit',))

    # Operators that are none, and attributes no operator can mean.
    yield Case('unknown-operator', model([node('Frobnicate', ['x'])]), ('culprit', 'Frobnicate'))
    yield Case('unknown-domain', model([node('Relu', ['x'], domain='org.example')], domains=['org.example']), ('culprit', 'org.example'))
    yield Case('domain-not-imported', model([node('Relu', ['x'], domain='org.example')]), ('culprit', 'org.example'))
    yield Case('too-few-inputs', model([node('Conv', ['x'])], shape=(1, 3, 8, 8)), ('culprit',))
    yield Case('too-many-outputs', model([node('Relu', ['x'], ['y', 'z', 'u'])]), ('culprit',))
    yield Case('attribute-of-wrong-type', conv(strides='two'), ('culprit', 'strides'))
    yield Case('conv-stride-zero', conv(strides=[0, 0]), ('culprit', 'stride'))
    yield Case('conv-stride-negative', conv(strides=[-1, -1]), ('culprit', 'stride'))
    yield Case('conv-dilation-zero', conv(dilations=[0, 0]), ('culprit', 'dilation'))
    yield Case('conv-group-zero', conv(group=0), ('culprit', 'group'))
    yield Case('conv-group-does-not-divide', conv(group=2), ('culprit', 'group|channel'))
    yield Case('conv-pads-short', conv(pads=[1]), ('culprit', 'pad'))
    yield Case('conv-pads-negative', conv(pads=[-100] * 4), ('culprit', 'pad|output|size'))
    yield Case('conv-pads-huge', conv(pads=[1 << 40] * 4), ('culprit',))
    yield Case('conv-wrong-channels', conv(weight=(8, 5, 3, 3)), ('culprit', 'channel'))
    yield Case('conv-kernel-beyond-image', conv(weight=(8, 3, 20, 20)), ('culprit',))
    yield Case('conv-scalar-input', conv(shape=()), ('culprit',))
    yield Case('pool-kernel-zero', model([node('MaxPool', ['x'], kernel_shape=[0, 0])], shape=(1, 3, 8, 8)), ('culprit', 'kernel'))
    yield Case('pool-kernel-huge', model([node('MaxPool', ['x'], kernel_shape=[1 << 40] * 2)], shape=(1, 3, 8, 8)), ('culprit', 'kernel|output|size'))
    yield Case('pool-pads-beyond-kernel', model([node('AveragePool', ['x'], kernel_shape=[2, 2], pads=[9] * 4)], shape=(1, 3, 8, 8)),
               ('culprit',), refused=False)
    yield Case('gemm-shapes-disagree', computed('Gemm', np.ones((7, 3), f32)), ('culprit',))
    yield Case('matmul-shapes-disagree', computed('MatMul', np.ones((7, 3), f32)), ('culprit',))
    yield Case('add-shapes-disagree', computed('Add', np.ones((3, 5), f32)), ('culprit',))
    yield Case('add-types-disagree', computed('Add', np.ones((1, 4), i64)), ('culprit',))
    yield Case('concat-axis-beyond-rank', computed('Concat', np.ones((1, 4), f32), axis=9), ('culprit', 'axis'))
    yield Case('concat-shapes-disagree', computed('Concat', np.ones((2, 9), f32), axis=0), ('culprit',))
    yield Case('transpose-perm-repeats', model([node('Transpose', ['x'], perm=[0, 0])]), ('culprit', 'perm'))
    yield Case('transpose-perm-beyond-rank', model([node('Transpose', ['x'], perm=[0, 7])]), ('culprit', 'perm'))
    yield Case('reshape-to-other-size', computed('Reshape', np.array([3, 3], i64)), ('culprit',))
    yield Case('reshape-two-unknowns', computed('Reshape', np.array([-1, -1], i64)), ('culprit',))
    yield Case('reshape-negative', computed('Reshape', np.array([-2, 4], i64)), ('culprit',))
    yield Case('reshape-overflows', computed('Reshape', np.array([1 << 62, 4], i64)), ('culprit',))
    yield Case('gather-beyond-end', computed('Gather', np.array([99], i64), axis=1), ('culprit',))
    yield Case('gather-before-start', computed('Gather', np.array([-(1 << 62)], i64), axis=1), ('culprit',))
    yield Case('slice-step-zero', computed('Slice', *(np.array([v], i64) for v in (0, 4, 1, 0))), ('culprit', 'step'))
    yield Case('slice-extremes', computed('Slice', *(np.array([v], i64) for v in (-(1 << 63), (1 << 63) - 1, 1, (1 << 63) - 1))), refused=False)
    yield Case('slice-extremes-backwards', computed('Slice', *(np.array([v], i64) for v in ((1 << 63) - 1, -(1 << 63), 1, -(1 << 63)))), refused=False)
    yield Case('squeeze-not-one', computed('Squeeze', np.array([1], i64)), ('culprit',))
    yield Case('unsqueeze-axis-beyond', computed('Unsqueeze', np.array([1 << 40], i64)), ('culprit',))
    yield Case('split-does-not-add-up', model([node('Split', ['x', 's'], ['y', 'z'], axis=1)], [tensor('s', np.array([3, 3], i64))]), ('culprit',))
    yield Case('split-negative', model([node('Split', ['x', 's'], ['y', 'z'], axis=1)], [tensor('s', np.array([-4, 8], i64))]), ('culprit',))
    yield Case('pad-huge', computed('Pad', np.array([1 << 40] * 4, i64)), ('culprit',))
    yield Case('pad-negative-beyond', computed('Pad', np.array([0, -3, 0, -3], i64)), ('culprit',))
    yield Case('tile-huge', computed('Tile', np.array([1 << 40, 1 << 40], i64)), ('culprit',))
    yield Case('resize-scale-huge', computed('Resize', np.array([], f32), np.array([1, 1e30], f32), mode='nearest'), ('culprit',))
    yield Case('resize-scale-not-a-number', computed('Resize', np.array([], f32), np.array([1, np.nan], f32), mode='nearest'), ('culprit',))
    yield Case('scatter-nd-beyond-end', computed('ScatterND', np.array([[0, 4]], i64), np.ones(1, f32)), ('culprit', 'index 4'))
    yield Case('scatter-nd-too-deep', computed('ScatterND', np.zeros((1, 9), i64), np.ones(1, f32)), ('culprit',))
    yield Case('scatter-elements-before-start', computed('ScatterElements', np.array([[-5]], i64), np.ones((1, 1), f32), axis=1),
               ('culprit', 'index -5'))
    yield Case('gather-nd-beyond-end', computed('GatherND', np.array([[0, 1 << 62]], i64)), ('culprit', 'index'))
    yield Case('gather-elements-larger', computed('GatherElements', np.zeros((9, 4), i64), axis=1), ('culprit',))
    yield Case('topk-more-than-there-are', computed('TopK', np.array([9], i64)), ('culprit',))
    yield Case('topk-negative', computed('TopK', np.array([-1], i64)), ('culprit',))
    yield Case('cumsum-axis-beyond', computed('CumSum', np.array(7, i64)), ('culprit', 'axis'))
    yield Case('trilu-extreme', computed('Trilu', np.array((1 << 63) - 1, i64), opset=14), refused=False)
    yield Case('eyelike-extreme', model([node('EyeLike', ['x'], k=-(1 << 63))]), refused=False)
    yield Case('onehot-huge', model([node('OneHot', ['x', 'd', 'v'])], [tensor('d', np.array(1 << 50, i64)), tensor('v', np.ones(2, f32))]),
               ('culprit',))
    yield Case('range-without-end', model([node('Range', ['a', 'b', 'c'], ['r'], 'culprit'), node('Add', ['x', 'r'], name='after')], [
        tensor('a', np.array(0, i64)), tensor('b', np.array((1 << 63) - 1, i64)), tensor('c', np.array(1, i64))]), ('culprit',))
    yield Case('range-of-step-zero', model([node('Range', ['a', 'b', 'c'], ['r'], 'culprit'), node('Add', ['x', 'r'], name='after')], [
        tensor('a', np.array(0, f32)), tensor('b', np.array(9, f32)), tensor('c', np.array(0, f32))]), ('culprit',))
    yield Case('quantize-scales-short', computed('QuantizeLinear', np.ones(3, f32), np.zeros(3, np.uint8), axis=1), ('culprit', 'scale'))
    yield Case('quantize-block-extreme', computed('QuantizeLinear', np.ones((1, 1), f32), axis=1, block_size=(1 << 63) - 1, opset=21),
               refused=False)
    yield Case('quantize-scale-zero', computed('QuantizeLinear', np.array(0, f32), np.array(3, np.int8)), refused=False)
    yield Case('quantize-scale-not-a-number', computed('QuantizeLinear', np.array(np.nan, f32)), refused=False)
    yield Case('qlinearconcat-short', model([node('QLinearConcat', ['s', 'z', 'z', 's'], domain='com.microsoft', axis=0), ], [
        tensor('s', np.array(1, f32)), tensor('z', np.array(1, np.uint8))], domains=['com.microsoft']), ('culprit', 'inputs'))
    yield Case('lstm-weights-disagree', computed('LSTM', np.ones((1, 16, 5), f32), np.ones((1, 16, 4), f32), shape=(2, 1, 4), hidden_size=4),
               ('culprit',))
    yield Case('lstm-hidden-zero', computed('LSTM', np.ones((1, 0, 4), f32), np.ones((1, 0, 0), f32), shape=(2, 1, 4)), ('culprit',))
    yield Case('gru-lengths-beyond-end', model([node('GRU', ['x', 'w', 'r', '', 'l'], hidden_size=2)], [
        tensor('w', np.ones((1, 6, 4), f32)), tensor('r', np.ones((1, 6, 2), f32)), tensor('l', np.array([99], np.int32))], shape=(2, 1, 4)),
        ('culprit', 'sequence_lens'))
    yield Case('rnn-activations-short', computed('RNN', np.ones((2, 2, 4), f32), np.ones((2, 2, 2), f32), shape=(2, 1, 4), hidden_size=2,
                                                 direction='bidirectional', activations=['Tanh']), ('culprit', 'activations'))
    # Graphs in nodes.
    yes, copy = tensor('c', np.array(True)), node('Identity', ['x'], ['r'])
    yield Case('branch-reads-undefined', model([choice(branch(node('Relu', ['nowhere'], ['r'], 'inside')), branch(copy))], [yes]),
               ('inside', 'nowhere'))
    yield Case('branch-reads-what-it-makes', model([choice(branch(node('Add', ['x', 'y'], ['r'])), branch(copy))], [yes]), ('cycle', 'culprit'))
    yield Case('branches-read-each-other', model([choice(branch(node('Neg', ['v'], ['r'])), branch(copy), ['u'], 'first'),
                                                  choice(branch(node('Neg', ['u'], ['r'])), branch(copy), ['v'], 'second'),
                                                  node('Add', ['u', 'v'])], [yes]), ('cycle', 'first|second'))
    yield Case('branch-reads-the-other-branch', model([choice(branch(node('Relu', ['x'], ['t']), node('Neg', ['t'], ['r'])),
                                                              branch(node('Abs', ['t'], ['r'], 'inside')))], [yes]), ('inside', "'t'"))
    yield Case('branch-shadows', model([node('Relu', ['x'], ['t'], 'first'), choice(branch(node('Neg', ['x'], ['t']), output='t'), branch(copy))], [yes]),
               refused=False)
    yield Case('branch-without-outputs', model([choice(branch(copy, outputs=('r',)), GraphProto(name='inner'))], [yes]), ('culprit', 'else_branch'))
    yield Case('branch-missing', model([node('If', ['c'], then_branch=branch(copy))], [yes]), ('culprit', 'else_branch'))
    yield Case('branches-of-two-types', model([choice(branch(node('Cast', ['x'], ['r'], to=INT64)), branch(copy))], [yes]), ('culprit',),
               refused=False)
    yield Case('condition-of-three', model([node('If', ['three'], name='culprit', then_branch=branch(copy), else_branch=branch(copy))],
                                           [tensor('three', np.ones(3, bool))]), ('culprit', 'one element'))
    more = node('Identity', ['go'], ['more'])
    yield Case('loop-body-takes-too-few', model([node('Loop', ['', '', 'x'], body=body(more, copy, inputs=('i', 'go')))]), ('culprit', 'inputs'))
    yield Case('loop-body-gives-too-few', model([node('Loop', ['', '', 'x'], body=body(more, outputs=('more',)))]), ('culprit', 'outputs'))
    yield Case('loop-changes-type', model([node('Loop', ['n', '', 'x'], body=body(more, node('Cast', ['s'], ['r'], to=INT64)))],
                                          [tensor('n', np.array(2))]), ('culprit',))
    yield Case('loop-grows', model([node('Loop', ['n', '', 'x'], body=body(more, node('Tile', ['s', 'many'], ['r'], 'inside')))],
                                   [tensor('n', np.array((1 << 63) - 1)), tensor('many', np.array([1, 1 << 20]))]), ('culprit', 'limit'))
    yield Case('scan-of-nothing', model([node('Scan', ['x'], num_scan_inputs=2, body=branch(copy))]), ('culprit', 'num_scan_inputs'))
    yield Case('scan-axis-beyond', model([node('Scan', ['x'], num_scan_inputs=1, scan_input_axes=[7], body=branch(
        node('Neg', ['v'], ['r']), inputs=[('v', FLOAT, None)]))]), ('culprit', 'axis'))
    yield Case('scan-lengths-disagree', model([node('Scan', ['x', 'w'], num_scan_inputs=2, scan_input_axes=[1, 0], body=branch(
        node('Add', ['u', 'v'], ['r']), inputs=[('u', FLOAT, None), ('v', FLOAT, None)]))], [tensor('w', np.ones(5, f32))]), ('culprit', 'length'))
    yield Case('sequence-position-beyond', model([node('SequenceConstruct', ['x'], ['q']), node('SequenceAt', ['q', 'p'])],
                                                 [tensor('p', np.array((1 << 63) - 1))]), ('culprit', 'position'))
    yield Case('sequence-where-a-tensor-is', model([node('SequenceConstruct', ['x'], ['q']), node('Relu', ['q'])]), ('culprit', 'tensor'))
    yield Case('sequence-split-endless', model([node('SplitToSequence', ['x', 'p'], ['q']), node('SequenceAt', ['q', 'z'], name='after')],
                                               [tensor('p', np.array([-1, 1 << 40])), tensor('z', np.array(0))]), ('culprit', 'piece'))
    yield Case('optional-of-nothing', model([node('Optional', [], ['o'], type=helper.make_tensor_type_proto(FLOAT, None)),
                                             node('OptionalGetElement', ['o'])], opset=18), ('culprit', 'nothing'))

    # What only accel_session_run_values takes and gives: bench and REST know tensors.
    takes = ModelProto.FromString(model([node('SequenceAt', ['s', 'z'])], [tensor('z', np.array(0))]))
    takes.graph.input.append(helper.make_tensor_sequence_value_info('s', FLOAT, None))
    yield Case('input-is-a-sequence', takes.SerializeToString(), (r"'s'", 'sequence|no tensor'))
    gives = ModelProto.FromString(model([node('SequenceConstruct', ['x', 'x'])]))
    gives.graph.output[0].CopyFrom(helper.make_tensor_sequence_value_info('y', FLOAT, None))
    yield Case('output-is-a-sequence', gives.SerializeToString(), refused=False)

    # Functions of the model.
    relu = node('Relu', ['a'], ['b'])
    yield Case('function-calls-itself', functions(('f', [node('f', ['a'], ['b'], domain='own')])), ('culprit', 'itself'))
    yield Case('functions-call-each-other', functions(('f', [node('g', ['a'], ['b'], 'inside', domain='own')]),
                                                      ('g', [node('f', ['a'], ['b'], domain='own')])), ('inside', 'itself'))
    yield Case('functions-nest-deep', functions(*((f'f{i}' if i else 'f', [node(f'f{i + 1}', ['a'], ['b'], domain='own')]) for i in range(99)),
                                                ('f99', [relu])), ('deep', '32'))
    yield Case('functions-double', functions(*((f'f{i}' if i else 'f', [node(f'f{i + 1}', ['a'], ['t'], domain='own'),
                                                                       node(f'f{i + 1}', ['t'], ['b'], domain='own')]) for i in range(30)),
                                             ('f30', [relu])), ('50,?000', 'node'))
    yield Case('function-is-not-there', functions(('g', [relu])), ('culprit', 'own'))
    yield Case('function-twice', functions(('f', [relu]), ('f', [relu])), ('twice', "'f'"))
    yield Case('function-gives-nothing', functions(('f', [node('Relu', ['a'], ['t'])])), ('culprit', "'b'"))
    yield Case('function-hands-on', functions(('f', [node('Relu', ['a'], ['b'])], ['unused'])), refused=False)
    yield Case('function-reads-outside', functions(('f', [node('Add', ['a', 'x'], ['b'], 'inside')])), ('inside', "'x'"))
    refers = node('LeakyRelu', ['a'], ['b'], 'inside')
    refers.attribute.add(name='alpha', ref_attr_name='slope', type=AttributeProto.INT)
    slope = functions(('f', [refers], ['slope']))
    given = ModelProto.FromString(slope)
    given.graph.node[0].attribute.add(name='slope', f=0.5, type=AttributeProto.FLOAT)
    yield Case('function-attribute-of-another-type', given.SerializeToString(), ('inside', 'slope'))
    yield Case('function-attribute-left-out', slope, refused=False)
    outside = model([node('LeakyRelu', ['x'])])
    yield Case('attribute-refers-to-no-function', (lambda m: (m.graph.node[0].attribute.add(name='alpha', ref_attr_name='slope', type=1),
                                                              m.SerializeToString())[1])(ModelProto.FromString(outside)), ('culprit', 'alpha'))
    yield Case('integer-divided-by-zero', model([node('Div', ['x', 'c'])], [tensor('c', np.zeros((1, 4), i64))], dtype=INT64), refused=False)
    yield Case('folded-division-by-zero', model([node('Div', ['a', 'b'], ['q'], 'folded'), node('Reshape', ['x', 'q'])],
                                                [tensor('a', np.array([-(1 << 63), 4], i64)), tensor('b', np.array([-1, 0], i64))]), refused=False)
    yield Case('name-of-a-megabyte', model([node('Frobnicate', ['x'], name='n' * (1 << 20))]), ('Frobnicate|bytes',))
    yield Case('name-not-utf-8', wire_model(
        field(1, field(1, b'x') + field(2, b'y') + field(3, b'\xff\xfe\n\x1b[2J') + field(4, b'Frobnicate')) +
        field(11, helper.make_tensor_value_info('x', FLOAT, [1]).SerializeToString()) +
        field(12, helper.make_tensor_value_info('y', FLOAT, [1]).SerializeToString())))

    # Places that are data.
    box = np.array([[0, 0, 3, 3]], f32)
    yield Case('roi-of-no-image', computed('RoiAlign', box, np.array([7], i64), shape=(1, 2, 4, 4), opset=16), ('culprit', 'batch_indices', '7'))
    yield Case('roi-not-a-number', computed('RoiAlign', box * np.nan, np.array([0], i64), shape=(1, 2, 4, 4), opset=16), refused=False)
    yield Case('roi-beyond-everything', computed('RoiAlign', np.array([[-3e38, -3e38, 3e38, 3e38]], f32), np.array([0], i64),
                                                 shape=(1, 2, 4, 4), opset=16), refused=False)
    yield Case('roi-samples-huge', computed('RoiAlign', box, np.array([0], i64), shape=(1, 2, 4, 4), opset=16, sampling_ratio=1 << 40),
               ('culprit', 'sampling_ratio'))
    yield Case('max-roi-of-no-image', computed('MaxRoiPool', np.array([[-1, 0, 0, 3, 3]], f32), shape=(1, 2, 4, 4), pooled_shape=[2, 2]),
               ('culprit', 'region'))
    yield Case('grid-not-a-number', computed('GridSample', np.full((1, 2, 2, 2), np.nan, f32), shape=(1, 1, 4, 4), opset=20,
                                             mode='cubic', padding_mode='reflection'), refused=False)
    yield Case('grid-beyond-everything', computed('GridSample', np.full((1, 2, 2, 2), 3e38, f32), shape=(1, 1, 4, 4), opset=20,
                                                  padding_mode='reflection', align_corners=1), refused=False)
    yield Case('unpool-beyond-output', computed('MaxUnpool', np.full((1, 1, 2, 2), 99, i64), shape=(1, 1, 2, 2), kernel_shape=[2, 2],
                                                strides=[2, 2]), ('culprit', '99'))
    yield Case('depth-not-divisible', model([node('DepthToSpace', ['x'], blocksize=3)], shape=(1, 4, 2, 2)), ('culprit', 'depth'))
    yield Case('rotary-position-beyond-cache', computed('RotaryEmbedding', np.ones((5, 2), f32), np.ones((5, 2), f32), np.array([[5]], i64),
                                                        shape=(1, 1, 1, 4), opset=23), ('culprit', 'position 5'))
    yield Case('attention-heads-do-not-share', computed('Attention', np.ones((1, 3, 2, 4), f32), np.ones((1, 3, 2, 4), f32),
                                                        shape=(1, 4, 2, 4), opset=23), ('culprit', 'heads'))
    yield Case('attention-lengths-beyond-keys', model(
        [node('Attention', ['x', 'k', 'v', '', '', '', 'n'], is_causal=1)],
        [tensor('k', np.ones((1, 1, 3, 4), f32)), tensor('v', np.ones((1, 1, 3, 4), f32)), tensor('n', np.array([(1 << 63) - 1], i64))],
        shape=(1, 1, 2, 4), opset=24), refused=False)
    for name, length, total, word in (('length', 9, 2, 'seqlens_k'), ('total', 1, 1 << 30, 'total_sequence_length'),
                                      ('negative-length', -(1 << 31), 2, 'seqlens_k')):
        yield Case(f'group-query-{name}', model(
            [node('GroupQueryAttention', ['x', 'x', 'x', '', '', 'l', 't'], domain='com.microsoft', num_heads=1, kv_num_heads=1)],
            [tensor('l', np.array([length], np.int32)), tensor('t', np.array(total, np.int32))], shape=(1, 2, 8),
            domains=('com.microsoft',)), ('culprit', word))
    yield Case('three-positions-beyond-cache', model(
        [node('MRotaryEmbedding', ['x', 'p', 'c', 'c'], domain='com.microsoft', num_heads=1, mrope_section=[1, 1, 0])],
        [tensor('p', np.array([[[0]], [[5]], [[0]]], i64)), tensor('c', np.ones((5, 2), f32))], shape=(1, 1, 4),
        domains=('com.microsoft',)), ('culprit', 'position 5'))
    yield Case('word-not-in-table', model(
        [node('EmbedLayerNormalization', ['i', '', 'w', 'w', '', 'g', 'g'], domain='com.microsoft')],
        [tensor('i', np.array([[0, 9]], np.int32)), tensor('w', np.ones((3, 4), f32)), tensor('g', np.ones(4, f32))],
        domains=('com.microsoft',)), ('culprit', 'word 9'))
    yield Case('weights-of-too-few-bits', model(
        [node('MatMulNBits', ['x', 'b', 's'], domain='com.microsoft', K=1 << 20, N=1 << 20, bits=4, block_size=32)],
        [tensor('b', np.ones((2, 1, 8), np.uint8)), tensor('s', np.ones(2, f32))], domains=('com.microsoft',)), ('culprit', 'elements'))
    # Nobody knows the rank of x at load: the weights alone must not be believed.
    for name, op, second, more in (('few-bits', 'MatMulNBits', np.ones(2, f32), {'K': 1 << 12, 'N': 1 << 12, 'bits': 4, 'block_size': 32}),
                                   ('bnb', 'MatMulBnb4', np.ones(2, f32), {'K': 1 << 12, 'N': 1 << 12, 'quant_type': 0, 'block_size': 32}),
                                   ('blob', 'MatMulFpQ4', np.array([1 << 12, 1 << 12], i64), {}),
                                   ('shape', 'MatMulFpQ4', np.array([1 << 12], i64), {})):
        free = ModelProto.FromString(model([node(op, ['x', 'b', 's'], domain='com.microsoft', **more)],
                                           [tensor('b', np.ones(21, np.uint8)), tensor('s', second)], domains=('com.microsoft',)))
        free.graph.input[0].type.tensor_type.ClearField('shape')
        yield Case(f'weights-of-too-little-{name}', free.SerializeToString(), refused=False)
    search = ModelProto.FromString(model([node(
        'BeamSearch', ['i', 'n', '', 'n', 'n'], domain='com.microsoft', eos_token_id=1, pad_token_id=0, model_type=1,
        decoder=branch(copy, inputs=[('x', FLOAT, None)]))], [tensor('i', np.ones((1, 2), np.int32)), tensor('n', np.array(2, np.int32))],
        domains=('com.microsoft',)))
    search.graph.node[0].attribute.add(name='decoder_start_token_id', s=b'one', type=AttributeProto.STRING)
    yield Case('search-starts-with-a-word', search.SerializeToString(), ('culprit', 'decoder_start_token_id', 'type'))

    # Tensors of nothing, by dimensions of which somebody might walk every one.
    def of_nothing(op, inputs, **attributes):
        made = ModelProto.FromString(model([node(op, [n for n, *_ in inputs], domain='com.microsoft', **attributes)],
                                           domains=('com.microsoft',)))
        del made.graph.input[:]
        made.graph.initializer.extend(tensor(n, a[0]) for n, *a in inputs if n and len(a) == 1)
        made.graph.input.extend(helper.make_tensor_value_info(n, *a) for n, *a in {n: (n, *a) for n, *a in inputs if len(a) == 2}.values())
        return made.SerializeToString()

    heads = {'q_num_heads': big, 'kv_num_heads': big, 'update_rule': 'linear'}
    few = ('x', FLOAT, [1, 1, 0])
    yield Case('linear-attention-of-heads-of-nothing', of_nothing('LinearAttention', [few] * 3, **heads), refused=False)
    yield Case('attention-of-heads-of-nothing', of_nothing('MultiHeadAttention', [few] * 3, num_heads=big), refused=False)
    yield Case('group-query-of-heads-of-nothing', of_nothing(
        'GroupQueryAttention', [*[few] * 3, ('', None), ('', None), ('l', np.zeros(1, np.int32)), ('t', np.ones(1, np.int32))],
        num_heads=(1 << 31) - 1, kv_num_heads=(1 << 31) - 1), refused=False)
    for op, inputs, attributes in (
            ('LinearAttention', [('x', FLOAT, [1, big, 0])] * 3, {**heads, 'q_num_heads': 1, 'kv_num_heads': 1}),
            ('NGramRepeatBlock', [('i', INT64, [big, 0]), ('x', FLOAT, [big, 0])], {'ngram_size': 2}),
            ('CausalConvWithState', [('x', FLOAT, [big, 4, 0]), ('w', np.ones((4, 1, 1), f32))], {}),
            ('CausalConvWithState', [('x', FLOAT, ['n', 0, 4]), ('w', FLOAT, [0, 1, 1 << 62])], {'dilation': 1 << 20}),
            ('MultiHeadAttention', [('x', FLOAT, ['n', 1, 1 << 62])] * 3 + [('b', np.ones(5, f32))], {'num_heads': 1}),
            ('NGramHashMapping', [('i', INT64, [big, 0]), ('m', np.ones(2, i64)), ('s', np.ones(1, i64))],
             {'max_ngram_size': 2, 'n_head_per_ngram': 1, 'pad_id': 0}),
            ('MRotaryEmbedding', [('x', FLOAT, [0, 1, 1, 6 << 30]), ('p', INT64, [3, 0, 1]), *[('c', FLOAT, [0, 3 << 30])] * 2],
             {'mrope_section': [1 << 30] * 3})):
        yield Case(f'{op}-of-nothing-{len(str(inputs))}', of_nothing(op, inputs, **attributes), ('culprit', 'limit'))
    yield Case('linear-attention-of-heads-beyond-all', of_nothing(
        'LinearAttention', [('x', FLOAT, [1, 1, 8]), *[('k', FLOAT, [1, 1, 'n'])] * 2, ('', None), ('d', FLOAT, [1, 1, 'm'])],
        q_num_heads=1, kv_num_heads=1 << 62, update_rule='gated'), ('culprit', 'heads'))
    yield Case('time-warp-of-nothing', of_nothing('DynamicTimeWarping', [('x', FLOAT, [(1 << 31) - 1, 0])]), refused=False)


def main():
    cli = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cli.add_argument('out', type=Path, help='the folder to write OUT/NAME.onnx into, made if need be')
    args = cli.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for case in cases():
        (args.out / f'{case.name}.onnx').write_bytes(case.data)
        print(f'{case.name:28} {len(case.data):9d} bytes')


if __name__ == '__main__':
    main()
