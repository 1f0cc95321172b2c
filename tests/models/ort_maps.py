# SPDX-License-Identifier: Apache-2.0
"""Maps as Python has them here, as ONNX's messages and as inputs of ONNX Runtime, whose Python takes dicts for maps to float
alone: its C interface takes all."""
import contextlib
import ctypes
import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

# Places in struct OrtApi (onnxruntime_c_api.h), to which versions only append.
(MESSAGE, ENV, SESSION, RUN, OPTIONS, SEVERITY, OPTIMISE, THREADS, TENSOR, DATA, FILL, LENGTH, CONTENT, TYPE, RANK, DIMS,
 ELEMENTS, SHAPE, KIND, ALLOCATOR, ITEM, ITEMS, VALUE, RELEASE_SESSION, RELEASE_VALUE, RELEASE_SHAPE, RELEASE_OPTIONS) = (
    2, 3, 8, 9, 10, 22, 23, 24, 48, 51, 52, 53, 54, 60, 61, 62, 64, 65, 67, 78, 80, 81, 82, 95, 96, 99, 100)
SEQUENCE, MAP = 2, 3  # of enum ONNXType


class Map(NamedTuple):
    keys: np.ndarray  # of int64 or object
    values: np.ndarray


def as_map(made):
    """Of a dict as ONNX Runtime hands it out: its values are floats."""
    text = isinstance(next(iter(made), 0), str)
    return Map(np.array(list(made), np.object_ if text else np.int64), np.array(list(made.values()), np.float32))


def onnx_type(array):
    return TensorProto.STRING if array.dtype == np.object_ else helper.np_dtype_to_tensor_dtype(array.dtype)


def map_type(keys, values):
    """Of arrays of these types."""
    return helper.make_map_type_proto(onnx_type(keys), helper.make_tensor_type_proto(onnx_type(values), []))


def proto(value, name=''):
    """MapProto of a Map, SequenceProto of a list of them."""
    if isinstance(value, list):
        return onnx.SequenceProto(name=name, elem_type=onnx.SequenceProto.MAP, map_values=[proto(m) for m in value])
    values = onnx.SequenceProto(elem_type=onnx.SequenceProto.TENSOR,
                                tensor_values=[numpy_helper.from_array(np.asarray(v, value.values.dtype)) for v in value.values])
    made = onnx.MapProto(name=name, key_type=onnx_type(value.keys), values=values)
    if value.keys.dtype == np.object_:
        made.string_keys.extend(k.encode() for k in value.keys)
    else:
        made.keys.extend(int(k) for k in value.keys)
    return made


def read(made):
    """The Map of a MapProto."""
    values = numpy_helper.to_list(made.values)
    text = made.key_type == TensorProto.STRING
    keys = np.array([k.decode() for k in made.string_keys], np.object_) if text else np.array(made.keys, np.int64)
    return Map(keys, np.array([v.item() for v in values], values[0].dtype if values else np.float32))


class Api:
    def __init__(self):
        path = next((Path(onnxruntime.__file__).parent / 'capi').glob('libonnxruntime.so*'))
        base = ctypes.CDLL(str(path)).OrtGetApiBase
        base.restype = ctypes.POINTER(ctypes.c_void_p * 2)
        self.table = ctypes.cast(ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)(base().contents[0])(1),
                                 ctypes.POINTER(ctypes.c_void_p))
        self.env = self.made(ENV, 4, b'maps')
        self.allocator = self.made(ALLOCATOR)

    def call(self, place, *arguments):
        status = ctypes.CFUNCTYPE(ctypes.c_void_p)(self.table[place])(*arguments)
        if status:
            raise RuntimeError(ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)(self.table[MESSAGE])(status).decode())

    def made(self, place, *arguments):
        """What a call puts into its last argument."""
        out = ctypes.c_void_p()
        self.call(place, *arguments, ctypes.byref(out))
        return out

    def number(self, place, value):
        out = ctypes.c_size_t()
        self.call(place, value, ctypes.byref(out))
        return out.value

    def release(self, place, thing):
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.table[place])(thing)

    def tensor(self, array, owned):
        array = np.asarray(array, order='C')
        dims = (ctypes.c_int64 * array.ndim)(*array.shape)
        value = self.made(TENSOR, self.allocator, dims, ctypes.c_size_t(array.ndim), onnx_type(array))
        owned.callback(self.release, RELEASE_VALUE, value)
        if array.dtype == np.object_:
            texts = (ctypes.c_char_p * array.size)(*[t.encode() for t in array.ravel()])
            self.call(FILL, value, texts, ctypes.c_size_t(array.size))
        else:
            ctypes.memmove(self.made(DATA, value), array.ctypes.data, array.nbytes)
        return value

    def given(self, value, owned):
        if not isinstance(value, (Map, list)):
            return self.tensor(value, owned)
        parts = (ctypes.c_void_p * len(value))(*[self.given(v, owned).value for v in value])
        made = self.made(VALUE, parts, ctypes.c_size_t(len(value)), MAP if isinstance(value, Map) else SEQUENCE)
        owned.callback(self.release, RELEASE_VALUE, made)
        return made

    def array(self, value):
        info = self.made(SHAPE, value)
        dims = (ctypes.c_int64 * self.number(RANK, info))()
        self.call(DIMS, info, dims, ctypes.c_size_t(len(dims)))
        count = self.number(ELEMENTS, info)
        kind = ctypes.c_int()
        self.call(TYPE, info, ctypes.byref(kind))
        self.release(RELEASE_SHAPE, info)
        if kind.value != TensorProto.STRING:
            dtype = helper.tensor_dtype_to_np_dtype(kind.value)
            data = ctypes.string_at(self.made(DATA, value), count * dtype.itemsize) if count else b''
            return np.frombuffer(data, dtype).reshape(dims).copy()
        text = ctypes.create_string_buffer(self.number(LENGTH, value) + 1)
        offsets = (ctypes.c_size_t * count)()
        self.call(CONTENT, value, text, ctypes.c_size_t(len(text) - 1), offsets, ctypes.c_size_t(count))
        ends = [*offsets[1:], len(text) - 1][:count]
        return np.array([text.raw[a:b].decode() for a, b in zip(offsets, ends, strict=True)], np.object_).reshape(dims)

    def taken(self, value, owned):
        owned.callback(self.release, RELEASE_VALUE, value)
        kind = ctypes.c_int()
        self.call(KIND, value, ctypes.byref(kind))
        if kind.value not in (SEQUENCE, MAP):
            return self.array(value)
        items = [self.taken(self.made(ITEM, value, i, self.allocator), owned) for i in range(self.number(ITEMS, value))]
        return Map(*items) if kind.value == MAP else items


@functools.cache
def api():
    return Api()


def run(model, feeds, optimised=False):
    """As onnxruntime.InferenceSession.run() of every output, with Maps."""
    rt = api()
    with contextlib.ExitStack() as owned:
        options = rt.made(OPTIONS)
        owned.callback(rt.release, RELEASE_OPTIONS, options)
        rt.call(SEVERITY, options, 4)
        rt.call(THREADS, options, 1)
        rt.call(OPTIMISE, options, 99 if optimised else 0)
        text = model.SerializeToString()
        session = rt.made(SESSION, rt.env, text, ctypes.c_size_t(len(text)), options)
        owned.callback(rt.release, RELEASE_SESSION, session)
        inputs = [rt.given(v, owned).value for v in feeds.values()]
        wanted = [o.name for o in model.graph.output]
        names = [(ctypes.c_char_p * len(n))(*[x.encode() for x in n]) for n in (feeds, wanted)]
        results = (ctypes.c_void_p * len(wanted))()
        rt.call(RUN, session, None, names[0], (ctypes.c_void_p * len(inputs))(*inputs), ctypes.c_size_t(len(inputs)), names[1],
                ctypes.c_size_t(len(wanted)), results)
        return [rt.taken(ctypes.c_void_p(r), owned) for r in results]
