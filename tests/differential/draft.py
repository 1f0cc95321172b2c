# SPDX-License-Identifier: Apache-2.0
"""A graph in the making. Every value in it is known: ONNX Runtime runs each node as it is added."""
import re
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'models'))
import ort_maps  # noqa: E402
from ort_maps import Map  # noqa: E402
from quiet import onnxruntime  # noqa: E402

MS = 'com.microsoft'
ML = 'ai.onnx.ml'
ML_OPSETS = (1, 2, 3, 3, 4, 5)
F = np.float32
FLOATS = (np.float32, np.float64, np.float16)
SIGNED = (np.int8, np.int16, np.int32, np.int64)
UNSIGNED = (np.uint8, np.uint16, np.uint32, np.uint64)
INTS = SIGNED + UNSIGNED
NUMBERS = FLOATS + INTS
FIXED = NUMBERS + (np.bool_,)
ELEMENTS_MAX = 20000
NAMES = {'float': np.float32, 'double': np.float64, 'float16': np.float16, 'int8': np.int8, 'int16': np.int16,
         'int32': np.int32, 'int64': np.int64, 'uint8': np.uint8, 'uint16': np.uint16, 'uint32': np.uint32,
         'uint64': np.uint64, 'bool': np.bool_, 'string': np.object_}


def onnx_type(array):
    return TensorProto.STRING if array.dtype == np.object_ else helper.np_dtype_to_tensor_dtype(array.dtype)


def value_info(name, value, shape=None):
    if isinstance(value, Map):
        return onnx.ValueInfoProto(name=name, type=ort_maps.map_type(*value))
    if isinstance(value, list) and value and isinstance(value[0], Map):
        return onnx.ValueInfoProto(name=name, type=helper.make_sequence_type_proto(ort_maps.map_type(*value[0])))
    if isinstance(value, list):
        kind = onnx_type(value[0]) if value else TensorProto.FLOAT  # recipes make no empty ones of other types
        return helper.make_tensor_sequence_value_info(name, kind, None)
    return helper.make_tensor_value_info(name, onnx_type(value), value.shape if shape is None else shape)


def options(optimised):
    """What ONNX Runtime is to do: each operator as it stands, or its default; on one thread."""
    o = onnxruntime.SessionOptions()
    if not optimised:
        o.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    o.intra_op_num_threads = o.inter_op_num_threads = 1
    return o


def given(value):
    """What ONNX Runtime handed out: numpy gives scalars for tensors of rank 0."""
    if isinstance(value, list):
        return [ort_maps.as_map(v) if isinstance(v, dict) else v for v in value]
    return np.asarray(value)


def infer(model, feeds, optimised=False):
    """What ONNX Runtime makes of it, in the order of the graph's outputs."""
    if any(isinstance(v, Map) for v in feeds.values()):
        names = {i.name for i in model.graph.input}
        return ort_maps.run(model, {n: v for n, v in feeds.items() if n in names}, optimised)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options(optimised), providers=['CPUExecutionProvider'])
    names = {i.name for i in session.get_inputs()}
    return [given(v) for v in session.run(None, {n: v for n, v in feeds.items() if n in names})]


def strange_outputs(model):
    """Has the model an output that cannot be handed on: of a type that numpy lacks (it comes as the integers that hold its
    bits) or an optional?"""
    session = onnxruntime.InferenceSession(model.SerializeToString(), options(False), providers=['CPUExecutionProvider'])
    return any(o.type.startswith('optional') or re.search(r'tensor\((bfloat16|float8|float4|u?int[24]\b)', o.type)
               for o in session.get_outputs())


class Draft:
    def __init__(self, rng, opset, parent=None):
        self.rng, self.opset, self.parent = rng, opset, parent
        self.ml_opset = parent.ml_opset if parent else self.choice(ML_OPSETS)
        self.values, self.inputs, self.constants = {}, {}, {}
        self.nodes, self.outputs, self.refused = [], [], []
        self.count = 0

    # ------------------------------------------------------------ chance

    def chance(self, p):
        return self.rng.random() < p

    def choice(self, of):
        return of[int(self.rng.integers(len(of)))]

    def integer(self, low, high):
        """Both ends may come."""
        return int(self.rng.integers(low, high + 1))

    def size(self):
        """Of a dimension: mostly small; sometimes past a vector or two, where kernels have their tails; seldom none."""
        p = self.rng.random()
        return 0 if p < 0.015 else 1 if p < 0.15 else self.integer(2, 7) if p < 0.85 else self.integer(8, 70)

    def shape(self, rank=None, low=0, high=5):
        rank = self.integer(low, high) if rank is None else rank
        shape = [self.size() for _ in range(rank)]
        while int(np.prod(shape)) > ELEMENTS_MAX:
            shape[int(np.argmax(shape))] //= 4
        return tuple(shape)

    # ------------------------------------------------------------ values

    def array(self, dtype, shape, low=None, high=None):
        """Random elements; floats in -2..2 and integers over -9..9 unless it is said otherwise."""
        dtype = np.dtype(dtype)
        if dtype == np.object_:
            words = ['', 'a', 'Bc', 'the cat', '1.5', '-7', 'x,y', 'Ünder', 'zz']
            return np.array([self.choice(words) for _ in range(int(np.prod(shape)))], object).reshape(shape)
        if dtype == np.bool_:
            return self.rng.random(shape) < 0.5
        if dtype.kind == 'f':
            a, b = (-2 if low is None else low), (2 if high is None else high)
            return np.asarray(self.rng.uniform(a, b, shape)).astype(dtype)
        limits = np.iinfo(dtype)
        a = max(limits.min, -9) if low is None else max(limits.min, low)
        b = min(limits.max, 9) if high is None else min(limits.max, high)
        return np.asarray(self.rng.integers(a, b, shape, endpoint=True)).astype(dtype)

    def name(self, stem):
        self.count += 1
        return f'{stem}{self.count}' if self.parent is None else f'{self.parent.name(stem)}_{stem}{self.count}'

    def give(self, array, constant=None):
        """A new input of the graph, or an initialiser."""
        array = np.asarray(array)
        name = self.name('c' if constant else 'x')
        if constant is None:
            constant = self.chance(0.3)
        if self.parent is not None:
            constant = True  # a subgraph has no inputs but its operator's own
        (self.constants if constant else self.inputs)[name] = array
        self.values[name] = array
        return name

    def give_whole(self, value):
        """A new input that is a sequence (a list of arrays) or a Map."""
        name = self.name('s')
        self.inputs[name] = self.values[name] = value
        return name

    def forget(self, name):
        """Takes back what give() just gave."""
        for held in (self.inputs, self.constants, self.values):
            held.pop(name, None)

    def constant(self, array, dtype=None):
        return self.give(np.asarray(array, dtype), True)

    def tensor(self, dtype, shape, low=None, high=None):
        return self.give(self.array(dtype, shape, low, high))

    def visible(self):
        seen = dict(self.parent.visible()) if self.parent is not None else {}
        seen.update(self.values)
        return seen

    def pick(self, dtypes, low=0, high=5, fits=lambda a: True):
        """A value of one of the types with low..high dimensions: one that is there, or a new one."""
        dtypes = [np.dtype(t) for t in dtypes]
        there = [n for n, v in self.visible().items() if isinstance(v, np.ndarray) and v.dtype in dtypes
                 and low <= v.ndim <= high and fits(v) and np.all(np.isfinite(v) if v.dtype.kind == 'f' else True)]
        if there and self.chance(0.6):
            return self.choice(there)
        for _ in range(20):
            new = self.array(self.choice(dtypes), self.shape(low=low, high=high))
            if fits(new):
                return self.give(new)
        return None

    def of(self, name):
        return self.visible()[name]

    # ------------------------------------------------------------ nodes

    def schema(self, op, domain=''):
        try:
            return onnx.defs.get_schema(op, {'': self.opset, ML: self.ml_opset}.get(domain, 1), domain)
        except onnx.defs.SchemaError:
            return None

    def types(self, op, i=0, domain='', among=FIXED):
        """numpy types that the standard allows for input i at this version."""
        schema = self.schema(op, domain)
        if schema is None or i >= len(schema.inputs):
            return []
        allowed = {NAMES.get(t[len('tensor('):-1]) for t in schema.inputs[i].types if t.startswith('tensor(')}
        return [t for t in among if t in allowed]

    def has_attribute(self, op, attribute, domain=''):
        schema = self.schema(op, domain)
        return schema is not None and attribute in schema.attributes

    def model(self, nodes, outputs, feeds, constants, shapes=None):
        opsets = [helper.make_opsetid('', self.opset), helper.make_opsetid(ML, self.ml_opset), helper.make_opsetid(MS, 1)]
        graph = helper.make_graph(
            nodes, 'graph', [value_info(n, v, (shapes or {}).get(n)) for n, v in feeds.items()],
            [onnx.ValueInfoProto(name=n) if v is None else value_info(n, v) for n, v in outputs.items()],
            [numpy_helper.from_array(v, n) for n, v in constants.items()])
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def emit(self, op, inputs, outputs=1, domain='', subgraphs=(), **attributes):
        """Adds a node; the names of its outputs, or None when ONNX Runtime does not run it. outputs: how many, or of each
        whether it is wanted."""
        if any(i is None for i in inputs):
            return None
        wanted = [1] * outputs if isinstance(outputs, int) else outputs
        try:
            node = helper.make_node(op, inputs, [self.name('v') if w else '' for w in wanted], domain=domain, name=self.name(op),
                                    **attributes)
        except ValueError as why:  # an empty list, of a forest without a leaf, does not tell its type
            self.refused.append((domain, op, str(why)))
            return None
        made = [o for o in node.output if o]
        seen = self.visible()
        needed = [i for i in inputs if i] + [c for s in subgraphs for c in s.captured()]
        fixed = {n: self.all_constants()[n] for n in needed if n in self.all_constants()}
        feeds = {n: seen[n] for n in needed if n not in fixed}
        try:
            results = infer(self.model([node], dict.fromkeys(made), feeds, fixed), feeds)
        except Exception as why:  # whatever it raises: this node is not for it
            self.refused.append((domain, op, str(why)))
            return None
        if any(isinstance(r, np.ndarray) and r.size > 4 * ELEMENTS_MAX for r in results):
            return None
        self.nodes.append(node)
        self.values.update(zip(made, results, strict=True))
        self.outputs = [n for n in self.outputs if n not in inputs or self.chance(0.2)] + made
        return made

    def all_constants(self):
        return {**(self.parent.all_constants() if self.parent is not None else {}), **self.constants}

    def captured(self):
        """Names of enclosing graphs that this one reads, those of its own subgraphs included."""
        own, used = set(self.values), []
        for node in self.nodes:
            used += [i for i in node.input if i]
            for a in node.attribute:
                if a.type == onnx.AttributeProto.GRAPH:
                    inner = {i.name for i in a.g.input} | {i.name for i in a.g.initializer}
                    inner |= {o for n in a.g.node for o in n.output}
                    used += [i for n in a.g.node for i in n.input if i and i not in inner]
        used += self.outputs
        return [n for n in dict.fromkeys(used) if n not in own]

    def finished(self):
        """The model, what it is given and what ONNX Runtime makes of it; None when nothing was emitted."""
        if not self.nodes or not self.outputs:
            return None
        wanted = dict.fromkeys(dict.fromkeys(self.outputs))
        shapes = None
        if self.chance(0.25):
            shapes = {n: [f'{n}_{i}' for i in range(v.ndim)] for n, v in self.inputs.items() if isinstance(v, np.ndarray)}
        model = self.model(self.nodes, {n: self.values[n] for n in wanted}, self.inputs, self.constants, shapes)
        if self.chance(0.08):
            self.move_into_function(model)
        for o in model.graph.output:  # shapes are the core's to find
            if o.type.HasField('tensor_type'):
                o.type.tensor_type.ClearField('shape')
        return model, dict(self.inputs), list(wanted)

    def move_into_function(self, model):
        """All that the graph does becomes a function of the model, called once."""
        graph = model.graph
        if any(a.type == onnx.AttributeProto.GRAPH for n in graph.node for a in n.attribute):
            return
        # ONNX Runtime reads memory that is not its own when its own internal operators are inlined.
        if any(n.op_type == 'SimplifiedLayerNormalization' for n in graph.node):
            return
        own = {o for n in graph.node for o in n.output}
        given = list(dict.fromkeys(i for n in graph.node for i in n.input if i and i not in own))
        results = [o.name for o in graph.output]
        model.functions.append(helper.make_function('differential', 'Whole', given, results, graph.node, model.opset_import))
        call = helper.make_node('Whole', given, results, domain='differential', name='call')
        del graph.node[:]
        graph.node.append(call)
        model.opset_import.append(helper.make_opsetid('differential', 1))

    def chain(self, steps, domain=''):
        """Adds nodes in a row of which only the last's output is known: (operator, inputs, attributes) with None in the
        inputs for the output before it."""
        nodes, last = [], None
        for op, inputs, attributes in steps:
            names = [last if i is None else i for i in inputs]
            last = self.name('v')
            nodes.append(helper.make_node(op, names, [last], domain=domain, name=self.name(op), **attributes))
        needed = [i for _, inputs, _ in steps for i in inputs if i]
        fixed = {n: self.all_constants()[n] for n in needed if n in self.all_constants()}
        feeds = {n: self.visible()[n] for n in needed if n not in fixed}
        try:
            results = infer(self.model(nodes, {last: None}, feeds, fixed), feeds)
        except Exception as why:  # whatever it raises: this is not for it
            self.refused.append((domain, steps[0][0], str(why)))
            return None
        self.nodes += nodes
        self.values[last] = results[0]
        self.outputs.append(last)
        return [last]
