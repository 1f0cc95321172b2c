# SPDX-License-Identifier: Apache-2.0
"""Data types: Cast between all of them, QuantizeLinear and DequantizeLinear to and from the small ones, strings."""
import ml_dtypes
import numpy as np
from onnx import TensorProto as T
from onnx import helper, numpy_helper

from oracle_cases import F

OPSET = 25
FLOAT8 = ('FLOAT8E4M3FN', 'FLOAT8E4M3FNUZ', 'FLOAT8E5M2', 'FLOAT8E5M2FNUZ')
SMALL_INTS = ('UINT4', 'INT4', 'UINT2', 'INT2')
PLAIN = ('FLOAT', 'DOUBLE', 'FLOAT16', 'BFLOAT16', 'BOOL', 'INT8', 'UINT8', 'INT16', 'UINT16', 'INT32', 'UINT32', 'INT64',
         'UINT64')


def dtype_of(name):
    return helper.tensor_dtype_to_np_dtype(T.DataType.Value(name))


def cast(source, to, result, **attributes):
    return helper.make_node('Cast', [source], [result], to=T.DataType.Value(to), **attributes)


def every_float():
    """All values of bfloat16, what lies half way to the next and a float beside that: all ties of smaller types."""
    high = np.arange(65536, dtype=np.uint32) << 16
    near = high[(np.abs((high >> 23 & 255).astype(int) - 127) < 20)]
    return np.concatenate([high, near + 0x7fff, near + 0x8000, near + 0x8001, near + 1]).view(F)


def ways_to_small():
    for name in FLOAT8:
        yield name, {'saturate': 1}
        yield name, {'saturate': 0}
    for mode in ('up', 'down', 'nearest'):
        yield 'FLOAT8E8M0', {'saturate': 1, 'round_mode': mode}
        yield 'FLOAT8E8M0', {'saturate': 0, 'round_mode': mode}
    for name in SMALL_INTS:
        yield name, {}


def from_floats(w):
    for i, (name, attributes) in enumerate(ways_to_small()):
        w.model(f'cast_float_{name.lower()}_{i}', [cast('x', name, 'y', **attributes)], [('x', every_float())], (), ['y'],
                OPSET)
    for name in ('FLOAT4E2M1', 'FLOAT6E2M3', 'FLOAT6E3M2'):
        w.model(f'cast_float_{name.lower()}', [cast('x', name, 'y')], [('x', every_float())], (), ['y'], 28, 'reference')


def to_others(w):
    """Every code of every small type, as a constant, to every other type; the values that all can hold."""
    for name in (*FLOAT8, 'FLOAT8E8M0', *SMALL_INTS):
        bits = 4 if '4' in name[-2:] and 'INT' in name else 2 if 'INT' in name else 8
        codes = np.arange(1 << bits, dtype=np.uint8)
        values = codes.view(dtype_of(name)) if bits == 8 else codes.astype(np.int8).astype(dtype_of(name))
        wide = values.astype(F)
        with np.errstate(invalid='ignore'):
            tame = values[(np.abs(wide) < 100) & (wide >= 0)] if bits == 8 else values
        for label, x, targets in (('all', values, ('FLOAT', 'DOUBLE', 'FLOAT16', 'BFLOAT16', 'BOOL', 'STRING')),
                                  ('tame', tame, (*PLAIN, *FLOAT8, *SMALL_INTS))):
            targets = [t for t in targets if t != name]
            w.model(f'cast_{name.lower()}_{label}', [cast('x', t, f'y_{t}') for t in targets], [('x', x)], ('x',),
                    [f'y_{t}' for t in targets], OPSET)
    for name in ('FLOAT4E2M1', 'FLOAT6E2M3', 'FLOAT6E3M2'):
        x = np.arange(16 if '4' in name else 64, dtype=np.uint8).view(dtype_of(name))
        w.model(f'cast_{name.lower()}', [cast('x', t, f'y_{t}') for t in PLAIN[:4]], [('x', x)], ('x',),
                [f'y_{t}' for t in PLAIN[:4]], 28, 'reference')


def between(w):
    """Every pair of types by way of a third: numbers that fit the wider ones."""
    x = np.concatenate([np.arange(0, 120, 0.75), 2.0 ** np.arange(-12, 7)]).astype(F)
    names = (*PLAIN, *FLOAT8, 'FLOAT8E8M0', *SMALL_INTS)
    for name in names:
        w.model(f'cast_through_{name.lower()}', [cast('x', name, 'm')] + [cast('m', t, f'y_{t}') for t in names if t != name],
                [('x', x)], (), [f'y_{t}' for t in names if t != name], OPSET)


def text(w):
    numbers = np.array([0, -0.0, 1, 0.1, 1 / 3, 1e10, 123456789, 1e-5, 1e20, 3.4e38, 1e-45, np.inf, -np.inf, np.nan, 100,
                        16777216, 99999999, 2.5e-10, -7.25])
    for dtype in (F, np.float64, np.float16):
        with np.errstate(over='ignore'):
            x = numbers.astype(dtype)
        w.model(f'cast_{x.dtype}_string', [cast('x', 'STRING', 'y')], [('x', x)], (), ['y'], OPSET)
    for dtype in (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64):
        x = np.array([np.iinfo(dtype).min, 0, 7, np.iinfo(dtype).max], dtype)
        w.model(f'cast_{x.dtype}_string', [cast('x', 'STRING', 'y')], [('x', x)], (), ['y'], OPSET)
    w.model('cast_bool_string', [cast('x', 'STRING', 'y')], [('x', np.array([True, False]))], (), ['y'], OPSET)
    whole = np.array(['1', '-1', ' 1', '1 ', '+1', '1.5', '1e3', '0x10', '1abc', '300', '-300', '99999999999', '-0',
                      '1,5', '5.', '2147483648', '9223372036854775807'], object)
    real = np.array(['1', ' -1.5', '1e3', '0x10', 'inf', '-INF', 'NaN', '+inf', '1abc', '3e9', '.5', '5.', '1e', '1e-30',
                     '0.1', '16777217', '3.4028235e38'], object)
    ints = [t for t in PLAIN if 'INT' in t or t == 'BOOL']
    w.model('cast_string_integers', [cast('x', t, f'y_{t}') for t in ints], [('x', whole)], (), [f'y_{t}' for t in ints],
            OPSET)
    reals = ('FLOAT', 'DOUBLE', 'FLOAT16')
    w.model('cast_string_reals', [cast('x', t, f'y_{t}') for t in reals], [('x', real)], (), [f'y_{t}' for t in reals], OPSET)


def words(w, *shape):
    return np.array([f'w{i}' * (i % 3) for i in w.rng.integers(0, 9, int(np.prod(shape)))], object).reshape(shape)


def strings(w):
    """Operators that move elements, on strings: as input and as initialiser."""
    x, other = words(w, 2, 3, 4), words(w, 2, 3, 4)
    index = np.array([1, 0, 1], np.int64)
    flags = w.rng.integers(0, 2, (2, 3, 4)).astype(bool)

    def many(name, op, values, constants=(), outputs=1, **attributes):
        w.case(f'string_{name}', op, values, constants, outputs, 18, attributes=attributes)
        w.case(f'string_{name}_constant', op, values, (*constants, values[0][0]), outputs, 18, attributes=attributes)

    many('identity', 'Identity', [('x', x)])
    many('reshape', 'Reshape', [('x', x), ('s', np.array([4, -1], np.int64))])
    many('transpose', 'Transpose', [('x', x)], perm=[2, 0, 1])
    many('concat', 'Concat', [('x', x), ('o', other)], axis=1)
    many('gather', 'Gather', [('x', x), ('i', index)], axis=2)
    many('gathernd', 'GatherND', [('x', x), ('i', np.array([[0, 1], [1, 2]], np.int64))])
    many('gatherelements', 'GatherElements', [('x', x), ('i', w.rng.integers(0, 4, (2, 3, 2)))], axis=2)
    many('slice', 'Slice', [('x', x), ('s', np.array([-1], np.int64)), ('e', np.array([-9], np.int64)),
                            ('a', np.array([2], np.int64)), ('t', np.array([-2], np.int64))], ('s', 'e', 'a', 't'))
    many('split', 'Split', [('x', x), ('s', np.array([1, 3], np.int64))], ('s',), outputs=2, axis=2)
    many('expand', 'Expand', [('x', words(w, 3, 1)), ('s', np.array([2, 3, 2], np.int64))], ('s',))
    many('tile', 'Tile', [('x', words(w, 2, 3)), ('r', np.array([2, 2], np.int64))], ('r',))
    many('scatternd', 'ScatterND', [('x', x), ('i', np.array([[1, 2]], np.int64)), ('u', words(w, 1, 4))])
    many('scatterelements', 'ScatterElements', [('x', words(w, 3, 3)), ('i', np.array([[2, 0, 1]], np.int64)),
                                                ('u', words(w, 1, 3))])
    many('squeeze', 'Squeeze', [('x', words(w, 1, 3)), ('a', np.array([0], np.int64))], ('a',))
    many('unsqueeze', 'Unsqueeze', [('x', x), ('a', np.array([0], np.int64))], ('a',))
    many('flatten', 'Flatten', [('x', x)], axis=1)
    many('shape', 'Shape', [('x', x)])
    many('size', 'Size', [('x', x)])
    many('onehot', 'OneHot', [('i', index), ('d', np.int64(3)), ('v', np.array(['off', 'on'], object))], ('d',))
    w.case('string_equal', 'Equal', [('x', x), ('o', words(w, 3, 1))], opset=19)
    w.case('string_where', 'Where', [('c', flags), ('x', x), ('o', words(w, 4))], opset=18)
    w.case('string_constant', 'Constant', [], opset=18, attributes={'value_strings': ['one', '', 'three']})
    w.model('string_chain', [helper.make_node('Cast', ['x'], ['t'], to=T.STRING),
                             helper.make_node('Concat', ['t', 'o'], ['c'], axis=0),
                             helper.make_node('Gather', ['c', 'i'], ['y'])],
            [('x', np.arange(5, dtype=F) / 3), ('o', words(w, 4)), ('i', np.array([8, 0, 3], np.int64))], ('o',), ['y'], 18)


def quantised(w):
    x = (w.rng.standard_normal((4, 6, 10)) * 30).astype(F)
    x[0, 0, :6] = [0.5, 1.5, -0.5, -1.5, 6e4, -6e4]
    for name in ('UINT16', 'INT16', *SMALL_INTS, *FLOAT8):
        dtype = dtype_of(name)
        zero = 0 if name in FLOAT8 else 1
        for label, shape, attributes in (('all', (), {}), ('axis', (6,), {'axis': 1}),
                                         ('blocks', (4, 6, 5), {'axis': 2, 'block_size': 2})):
            for real in (F, np.float16):
                scale = np.asarray(w.rng.uniform(0.5, 4, shape), real)
                zeros = np.full(shape, zero).astype(dtype)
                with np.errstate(over='ignore'):
                    values = x.astype(real)
                tag = f'{name.lower()}_{label}_{scale.dtype}'
                w.case(f'quantizelinear_{tag}', 'QuantizeLinear', [('x', values), ('s', scale), ('z', zeros)], ('s', 'z'),
                       opset=OPSET, attributes=attributes)
                codes = np.clip(values.astype(F), -2, 1).astype(dtype)
                w.case(f'dequantizelinear_{tag}', 'DequantizeLinear', [('q', codes), ('s', scale), ('z', zeros)],
                       ('q', 's', 'z'), opset=OPSET, attributes=attributes)
    for name in ('FLOAT4E2M1', 'FLOAT6E2M3', 'FLOAT6E3M2', *FLOAT8, 'INT8'):
        for real in (F, ml_dtypes.bfloat16):
            node = helper.make_node('QuantizeLinear', ['x', 's'], ['y'], output_dtype=T.DataType.Value(name))
            w.model(f'quantizelinear_{name.lower()}_{np.dtype(real)}_reference', [node],
                    [('x', (x / 20).clip(-300, 300).astype(real)), ('s', np.asarray(0.7, real))], ('s',), ['y'], 28,
                    'reference')


def sparse_tensor(dims, places, values, name=''):
    return helper.make_sparse_tensor(numpy_helper.from_array(values, name),
                                     numpy_helper.from_array(np.asarray(places, np.int64), f'{name}_at'), dims)


def sparse(w):
    """Sparse initialisers and constants, by linear index and by coordinates, in every type that has them."""
    linear, coordinates = [1, 4, 11], [[0, 1], [1, 0], [2, 3]]
    for dtype in (F, np.float64, np.float16, np.int8, np.uint8, np.int32, np.int64):
        for label, places in (('linear', linear), ('coordinates', coordinates)):
            tensor = sparse_tensor([3, 4], places, np.array([1, 2, 3], dtype), 's')
            graph = helper.make_graph([helper.make_node('Identity', ['s'], ['y'])], 'sparse', [],
                                      [helper.make_tensor_value_info('y', tensor.values.data_type, [3, 4])],
                                      sparse_initializer=[tensor])
            w.whole(f'sparse_initialiser_{np.dtype(dtype)}_{label}',
                    helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=8), {})
    for label, places in (('linear', linear), ('coordinates', coordinates)):
        value = sparse_tensor([3, 4], places, np.array([1, 2, 3], F))
        w.model(f'sparse_constant_{label}', [helper.make_node('Constant', [], ['c'], sparse_value=value),
                                             helper.make_node('Relu', ['c'], ['y'])], [], (), ['y'], 18)


EXACT = (from_floats, to_others, between, text, strings, quantised, sparse)
