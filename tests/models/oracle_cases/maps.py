# SPDX-License-Identifier: Apache-2.0
"""Maps into tensors and rows of scores into maps."""
import numpy as np
import onnx
import ort_maps
from onnx import helper
from oracle_cases import F
from ort_maps import Map

ML = 'ai.onnx.ml'
WORDS = ['b', 'straße', '', 'żółć', 'a', 'ab']


def model(op, value, attributes):
    info = onnx.ValueInfoProto(name='x', type=ort_maps.map_type(*value) if isinstance(value, Map) else
                               helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(value.dtype), value.shape))
    graph = helper.make_graph([helper.make_node(op, ['x'], ['y'], domain=ML, **attributes)], op, [info],
                              [onnx.ValueInfoProto(name='y')])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', 15), helper.make_opsetid(ML, 1)], ir_version=8)


def case(w, name, op, value, **attributes):
    made = model(op, value, attributes)
    (wanted,) = ort_maps.run(made, {'x': value})
    keys = np.array(attributes.get('classlabels_strings', attributes.get('classlabels_int64s')))
    kind = (helper.make_sequence_type_proto(ort_maps.map_type(keys.astype(np.object_ if keys.dtype.kind == 'U' else np.int64),
                                                              value)) if op == 'ZipMap'
            else helper.make_tensor_type_proto(ort_maps.onnx_type(wanted), wanted.shape))
    made.graph.output[0].type.CopyFrom(kind)
    w.store(name, made, [('x', value)], [('y', wanted)])


def numbers(*values):
    return np.array(values, np.int64)


def casts(w):
    keys = numbers(9, -4, 0, 2**40, 3)
    some = numbers(4, 0, 7, 2)
    floats = np.array([2.5, -3.99, 1e10, 0.1, 123456.789], F)
    odd = np.array([np.nan, -np.inf, -0.0, 1e30, 3.4028234663852886e38], F)
    texts = {'TO_FLOAT': ['1.5', ' 12x', '0x10', '-inf', '7'], 'TO_INT64': ['15', ' -7', '+4', '12x', '1e3'],
             'TO_STRING': WORDS[:5]}
    for to, words in texts.items():
        for label, values in (('floats', floats), ('odd', odd), ('texts', np.array(words, object))):
            lower = to.lower()
            case(w, f'castmap_{lower}_{label}', 'CastMap', Map(keys, values), cast_to=to)
            for most in (1, 3, 8, 20):
                case(w, f'castmap_{lower}_{label}_{most}', 'CastMap', Map(some, values[:4]), cast_to=to, map_form='SPARSE',
                     max_map=most)
    case(w, 'castmap_defaults', 'CastMap', Map(keys, floats))
    case(w, 'castmap_one_column', 'CastMap', Map(some, floats[:4]), map_form='SPARSE')
    # What is not asked for is not read.
    case(w, 'castmap_left_out', 'CastMap', Map(numbers(5, 1), np.array(['none', '3'], object)), cast_to='TO_INT64',
         map_form='SPARSE', max_map=4)
    for form in ('DENSE', 'SPARSE'):
        case(w, f'castmap_empty_{form.lower()}', 'CastMap', Map(numbers(), np.zeros(0, F)), map_form=form, max_map=3)


def vectors(w):
    known = numbers(5, -2, 7, 5, 0)
    for label, keys, words in (('ints', numbers(7, 5, 1, -2), {'int64_vocabulary': known}),
                               ('strings', np.array(['b', 'żółć', '', 'q'], object), {'string_vocabulary': [*WORDS, 'b']})):
        for values in (np.array([4, -8, 2**40, 1]), np.array([1.5, np.nan, -0.0, 3], F), np.array([0.1, 1e300, -1, 3]),
                       np.array(['x', '', 'é', 'y'], object)):
            if values.dtype == (np.int64 if label == 'ints' else np.object_):  # ONNX Runtime has no such kernels
                continue
            kind = ort_maps.onnx_type(values)
            case(w, f'dictvectorizer_{label}_{kind}', 'DictVectorizer', Map(keys, values), **words)
            case(w, f'dictvectorizer_{label}_{kind}_empty', 'DictVectorizer', Map(keys[:0], values[:0]), **words)
    case(w, 'dictvectorizer_both', 'DictVectorizer', Map(numbers(7, 5), np.array([1, 2], F)), int64_vocabulary=known,
         string_vocabulary=['7'])


def zips(w):
    for label, shape in (('rows', (4, 3)), ('row', (3,)), ('none', (0, 3))):
        x = w.rng.standard_normal(shape).astype(F)
        case(w, f'zipmap_ints_{label}', 'ZipMap', x, classlabels_int64s=[7, -2, 2**40])
        case(w, f'zipmap_strings_{label}', 'ZipMap', x, classlabels_strings=['żółć', '', 'a'])
        case(w, f'zipmap_twice_{label}', 'ZipMap', x, classlabels_strings=['b', 'a', 'b'])


EXACT = (casts, vectors, zips)
