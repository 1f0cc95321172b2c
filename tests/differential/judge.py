# SPDX-License-Identifier: Apache-2.0
"""Runs finished graphs in every way this core can, and looks into what differs."""
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper

from differential.draft import Map, infer, ort_maps, strange_outputs, value_info
from differential.exact import decided_outputs, exact_outputs

WAYS = {'optimised': [], 'no passes': ['--passes-off', 'all'], 'plain C': ['--cpu-mask', 'plain'], 'packed': ['--via-pack'],
        'two threads': ['--threads', '2']}
OUTPUT = re.compile(r'\s+(.+): (\S+) of the bound, largest \|a-b\| ([^,]+),')
NAMED = re.compile(r'output (.+?): ')
SEARCHES = {'BeamSearch', 'GreedySearch', 'WhisperBeamSearch'}
REPORT = re.compile(r'(Address|Leak|Thread|UndefinedBehavior)Sanitizer|runtime error:')


def is_mapped(value):
    """A Map, or a sequence of them?"""
    return isinstance(value, Map) or (isinstance(value, list) and bool(value) and isinstance(value[0], Map))


def write_value(path, name, value):
    proto = (ort_maps.proto(value, name) if is_mapped(value) else numpy_helper.from_list(value, name) if isinstance(value, list)
             else numpy_helper.from_array(np.asarray(value), name))
    path.write_bytes(proto.SerializeToString())


def write(folder, model, feeds, wanted):
    data = folder / 'test_data_set_0'
    data.mkdir(parents=True)
    (folder / 'model.onnx').write_bytes(model.SerializeToString())
    for i, info in enumerate(model.graph.input):
        write_value(data / f'input_{i}.pb', info.name, feeds[info.name])
    for i, (info, value) in enumerate(zip(model.graph.output, wanted, strict=True)):
        write_value(data / f'output_{i}.pb', info.name, value)


class Outcome(NamedTuple):
    why: str     # what is wrong, '' for nothing
    apart: dict  # {output: its largest difference, if any}
    beyond: set  # the outputs beyond their bound


def run(program, root, way, timeout=900):
    """{case: Outcome} and, when the program itself fell, what it said."""
    done = subprocess.run([program, 'test', '--verbose', *WAYS[way], str(root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, timeout=timeout, check=False)
    out, err = done.stdout.decode(errors='replace'), done.stderr.decode(errors='replace')
    outcomes, apart, beyond, last = {}, {}, set(), None
    for line in out.splitlines():
        if line.startswith(('ok ', 'FAIL ')):
            verdict, case, *why = line.split(maxsplit=2)
            last = case.rstrip(':').split('/')[0]
            why = (why or [''])[0] if verdict == 'FAIL' else ''
            if named := NAMED.match(why):  # of another shape or type, say
                beyond.add(named[1])
            outcomes[last] = Outcome(why, apart, beyond)
            apart, beyond = {}, set()
        elif output := OUTPUT.match(line):
            if output[3] != '0':
                apart[output[1]] = output[3]
            if not float(output[2]) <= 1:
                beyond.add(output[1])
    fell = ''
    if REPORT.search(err) or done.returncode not in (0, 1):
        fell = f'status {done.returncode} after case {last}: {err[-3000:]}'
    return outcomes, fell


HALF = 300  # how much more a half is shaken than a float: its bits are larger


def makes_halves(node):
    """Does an attribute of it ask for halves, or hold some, or one of a node in a graph inside it?"""
    half = onnx.TensorProto.FLOAT16
    return any(a.name in ('to', 'dtype', 'output_datatype', 'output_dtype') and a.i == half or a.t.data_type == half or
               any(i.data_type == half for i in a.g.initializer) or any(map(makes_halves, a.g.node)) for a in node.attribute)


def names_read(node):
    """Its inputs, and what the graphs inside it read or may read of the ones around them."""
    return [*node.input, *(n for a in node.attribute for inner in a.g.node for n in names_read(inner))]


def of_halves(model, feeds):
    """Names of what is of halves, or follows from some."""
    found = {n for n, v in feeds.items() if any(a.dtype == np.float16 for a in arrays(v))}
    found |= {i.name for i in model.graph.initializer if i.data_type == onnx.TensorProto.FLOAT16}
    for node in (model.functions[0].node if model.functions else model.graph.node):
        if makes_halves(node) or found.intersection(names_read(node)):
            found.update(node.output)
    return found


def stepwise(model, feeds, between=lambda value: value):
    """The same, each node in a model of its own: halves are rounded between them, which ONNX Runtime spares itself where
    it computes both neighbours in floats, and the core need not do the same. between: what the next nodes get of a result."""
    constants = {i.name: i for i in model.graph.initializer}
    values, results, pending = dict(feeds), dict(feeds), []
    for node in (model.functions[0].node if model.functions else model.graph.node):
        nodes = with_makers(node, pending)
        made = {o for n in nodes for o in n.output}
        used = dict.fromkeys(i for n in nodes for i in names_read(n) if i not in made)
        graph = helper.make_graph(nodes, 'step', [value_info(n, values[n]) for n in used if n in values],
                                  [onnx.ValueInfoProto(name=o) for o in node.output if o],
                                  [constants[n] for n in used if n in constants])
        step = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
        if strange_outputs(step):
            pending.append(node)
            continue
        made = dict(zip([o for o in node.output if o], infer(step, values), strict=True))
        results.update(made)
        values.update((name, between(value)) for name, value in made.items())
    return [results[o.name] for o in model.graph.output]


def with_makers(node, pending):
    """A node after those of the pending ones whose results it needs."""
    wanted, nodes = set(names_read(node)), [node]
    for one in reversed(pending):
        if wanted & set(one.output):
            wanted.update(names_read(one))
            nodes.insert(0, one)
    return nodes


def on_floats(change):
    """A change of arrays of floats, (array, ...) -> array, becomes one of any value: all that it is made of and else stays."""
    def changed(value, *how):
        if isinstance(value, Map):
            return Map(value.keys, changed(value.values, *how))
        if isinstance(value, list):
            return [changed(e, *how) for e in value]
        if value.dtype.kind != 'f' or value.size == 0:
            return value
        with np.errstate(all='ignore'):  # what is no finite number stays what it is
            return np.where(np.isfinite(value), change(value, *how), value).astype(value.dtype)
    changed.__doc__ = change.__doc__
    return changed


@on_floats
def ulps(value, rng):
    """Halves moved to one of their neighbours or not: as far off as a rounding between two nodes; all else as it is."""
    if value.dtype != np.float16:
        return value
    towards = np.where(rng.integers(0, 2, value.shape), np.float16(np.inf), np.float16(-np.inf))
    return np.where(rng.integers(0, 3, value.shape), value, np.nextafter(value, towards))


@on_floats
def nudged(value, way):
    """All floats a little larger, or smaller: whatever lies on an edge falls to one of its sides, a zero to one of its signs."""
    if value.dtype == np.float16:
        return np.nextafter(value, np.float16(way * np.inf))
    return np.where(value == 0, way * 0.0, value + way * 3e-7 * np.abs(value))


@on_floats
def shaken(value, step, rng, zeros=False):
    """Floats moved by up to `step` of themselves; zeros: what is next to nothing beside the largest also by as much as a
    sum of such numbers is off."""
    step *= HALF if value.dtype == np.float16 else 1
    exact = value.astype(np.float64)
    moved = exact * (1 + step * rng.uniform(-1, 1, value.shape))
    if zeros:
        sums = step / 3 * largest(exact)  # ONNX Runtime's transforms of lengths that are no power of 2: 8e-7
        noise = (exact + sums * rng.uniform(-1, 1, value.shape)) * rng.integers(0, 2, value.shape)
        moved = np.where(np.abs(exact) < 10 * sums, noise, moved)
    return moved


@on_floats
def merged(value):
    """Floats that lie so close, beside the largest, that rounding alone may keep them apart, made one: what counts or searches
    equal numbers tells how a sum was rounded."""
    flat = value.astype(np.float64).ravel()
    room = 3e-6 * (HALF if value.dtype == np.float16 else 1) * largest(flat)
    first = None
    for i in np.argsort(flat):
        if first is not None and flat[i] - flat[first] <= room:
            flat[i] = flat[first]
        elif np.isfinite(flat[i]):
            first = i
    return flat.reshape(value.shape)


def largest(array):
    return np.max(np.abs(array), where=np.isfinite(array), initial=0)


def weights(graph):
    """Its initialisers, and those of the graphs inside it."""
    return [*graph.initializer, *(w for n in graph.node for a in n.attribute if a.HasField('g') for w in weights(a.g))]


def steps_of(model, feeds, between=lambda value: value):
    """stepwise(), or nothing where numpy has no type for what is between two nodes, or a node refuses what it gets."""
    try:
        return stepwise(model, feeds, between)
    except Exception:
        return []


def arrays(value):
    """All that a value is made of."""
    return [a for v in value for a in arrays(v)] if isinstance(value, (list, Map)) else [value]


def jumps(x, y, bound):
    """Does one array differ from the other in its shape, in what is no real number or by more than the bound?"""
    if x.shape != y.shape:
        return True
    if x.dtype.kind != 'f':
        return not np.array_equal(x, y)
    return not np.allclose(x.astype(np.float64), y.astype(np.float64), rtol=bound, atol=bound / 10, equal_nan=True)


def jumping(model, before, after, bounds):
    """Names of the outputs that differ so. bounds: by name."""
    return {o.name for o, a, b in zip(model.graph.output, before, after, strict=False)
            if len(arrays(a)) != len(arrays(b)) or any(jumps(x, y, bounds[o.name]) for x, y in zip(arrays(a), arrays(b), strict=True))}


def read(folder):
    """(model, feeds) as write() wrote them."""
    model = onnx.load(folder / 'model.onnx')
    feeds = {}
    for i, info in enumerate(model.graph.input):
        data = (folder / f'test_data_set_0/input_{i}.pb').read_bytes()
        if info.type.HasField('map_type'):
            read_map = ort_maps.read(onnx.MapProto.FromString(data))  # an empty one does not tell its type
            kind = helper.tensor_dtype_to_np_dtype(info.type.map_type.value_type.tensor_type.elem_type)
            feeds[info.name] = Map(read_map.keys, read_map.values.astype(kind))
        elif info.type.HasField('sequence_type'):
            feeds[info.name] = numpy_helper.to_list(onnx.SequenceProto.FromString(data))
        else:
            feeds[info.name] = numpy_helper.to_array(onnx.TensorProto.FromString(data))
    return model, feeds


def sensitive(folder):
    """Names of the outputs, by and by, of which a change of the inputs, the weights or what is between two nodes in the last
    bits makes as much as the bound allows. Such a graph cannot tell right from wrong: rounding before a comparison, a
    difference of nearly equal numbers."""
    model, feeds = read(folder)
    rng = np.random.default_rng(1)
    before, steps = infer(model, feeds), steps_of(model, feeds)
    halves = of_halves(model, feeds)
    # Of halves a bit is large: of what follows from them only what jumps counts.
    bounds = {o.name: 5e-2 if o.name in halves else 3e-4 for o in model.graph.output}
    nodes = [*model.graph.node, *(n for f in model.functions for n in f.node)]
    if any(n.op_type == 'QuantizeLinear' for n in nodes):
        # A step apart: ONNX Runtime itself has other numbers once it has made QDQ an operator on integers.
        yield jumping(model, before, infer(model, feeds, True), bounds)
    if halves and steps:
        yield jumping(model, before, steps, bounds)
        # As far off as rounding a half between two nodes, or not; to one side or the other, of few elements too.
        for _ in range(6):
            yield jumping(model, steps, steps_of(model, feeds, lambda v: ulps(v, rng)), dict.fromkeys(bounds, 1e-3))
    yield jumping(model, steps, steps_of(model, feeds, merged), bounds)
    for way in (1, -1):
        yield jumping(model, steps, steps_of(model, feeds, lambda v, way=way: nudged(v, way)), bounds)
    # More than once: what lies between two whole numbers goes one way or the other.
    for step in (3e-7, 3e-7, 3e-7, 3e-7, 3e-6):
        yield jumping(model, steps, steps_of(model, feeds, lambda v, step=step: shaken(v, step, rng, True)), bounds)
        for weight in weights(model.graph):
            array = numpy_helper.to_array(weight)
            if array.dtype.kind == 'f':
                weight.CopyFrom(numpy_helper.from_array(shaken(array, step, rng), weight.name))
        try:
            yield jumping(model, before, infer(model, {n: shaken(v, step, rng) for n, v in feeds.items()}), bounds)
        except Exception:  # a change in the last bits made it refuse
            yield {o.name for o in model.graph.output}


def excused(folder, beyond):
    """Are all of these outputs too sensitive to tell?"""
    found = set()
    for names in sensitive(folder):
        found |= names
        if beyond <= found:
            return True
    return False


class Judge:
    def __init__(self, program, findings):
        self.program, self.findings = program, Path(findings)
        self.graphs = self.nodes = self.sensitive = 0
        self.found = {}
        self.operators = {}

    def batch(self, root, cases, ways):
        """cases: {name: model}, already written below root."""
        for name, model in cases.items():
            self.graphs += 1
            for node in (*model.graph.node, *(n for f in model.functions for n in f.node)):
                self.nodes += 1
                self.operators[node.op_type] = self.operators.get(node.op_type, 0) + 1
        for way in ways:
            outcomes, fell = run(self.program, root, way)
            if fell:
                self.keep(root, None, f'{way}: {fell}')
            for name, (why, apart, beyond) in outcomes.items():
                whole, rounded = exact_outputs(cases[name]) if apart else (set(), set())
                inexact, beyond = whole & apart.keys(), beyond | rounded & apart.keys()
                if name in self.found or not (why or inexact or beyond):
                    continue
                why = why or f'integers differ by { {o: apart[o] for o in inexact | beyond} }'
                excusable = beyond and not inexact and not beyond & decided_outputs(cases[name])
                if excusable and self.is_sensitive(root, name, way, cases[name], {o: apart.get(o) for o in beyond}):
                    self.sensitive += 1
                else:
                    self.keep(root, name, f'{way}: {why}')

    def is_sensitive(self, root, name, way, model, apart):
        """Can none of these outputs tell right from wrong? What cannot be asked about it is a finding."""
        beyond = set(apart)
        try:
            return (self.rounds_between(root, name, way) or excused(root / name, beyond) or self.is_tie(root, name, model, beyond) or
                    self.is_step(root, name, model, apart))
        except Exception as why:
            print(f'{name} could not be asked about: {why}', flush=True)
            return False

    def rounds_between(self, root, name, way):
        """Are these the numbers of halves that are rounded after each node?"""
        model, feeds = read(root / name)
        if not of_halves(model, feeds):
            return False
        folder, steps = root / f'{name}-stepwise', steps_of(model, feeds)
        if not steps:
            return False
        write(folder, model, feeds, steps)
        outcomes, fell = run(self.program, folder, way)
        shutil.rmtree(folder)
        return not fell and not any(o.why for o in outcomes.values())

    def is_tie(self, root, name, model, beyond):
        """Tokens in another order may have the very same sum of scores, which no change of the weights tells apart: then the
        last bit chooses, and another way to compute the same chooses as ONNX Runtime does."""
        searched = {o for n in model.graph.node if n.op_type in SEARCHES for o in n.output}
        return beyond <= searched and any(not o.why for way in WAYS for o in run(self.program, root / name, way)[0].values())

    def is_step(self, root, name, model, apart):
        """Off by one quantum at most, and not without the passes? Then QDQ became an operator on integers, which rounds in its
        own way, where ONNX Runtime left it in floats: docs/architecture.md says where that is. The operators themselves are
        drawn too, and have to be exact."""
        scales = {n.input[1] for n in model.graph.node if n.op_type == 'QuantizeLinear'}
        steps = [np.max(numpy_helper.to_array(i)) for i in model.graph.initializer if i.name in scales]
        return (steps and all(by is not None and float(by) <= 1.001 * max(steps) for by in apart.values()) and
                not any(o.why for o in run(self.program, root / name, 'no passes')[0].values()))

    def keep(self, root, name, why):
        self.found[name or f'{root.name}-fell'] = why
        print(f'FAIL {name or root.name}: {why[:400]}', flush=True)
        target = self.findings / (name or root.name)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(root / name if name else root, target)
        (target / 'why.txt').write_text(why)
