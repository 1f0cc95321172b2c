# SPDX-License-Identifier: Apache-2.0
"""Graphs within graphs, and sequences."""
import numpy as np
import onnx
from onnx import helper, numpy_helper

from differential.draft import Draft, F, value_info
from differential.recipes import RECIPES, recipe

SIMPLE = ('Add', 'Mul', 'Relu', 'Sub', 'Tanh', 'Max', 'Abs', 'Neg', 'Sigmoid', 'Transpose', 'Concat', 'ReduceSum', 'MatMul',
          'RandomNormalLike', 'Bernoulli', 'Dropout')


def body(d, formal=()):
    """A draft of a subgraph with these values as its inputs."""
    inner = Draft(d.rng, d.opset, d)
    for name, value in formal:
        inner.values[name] = value
    return inner


def grow(inner, like):
    """Adds a few nodes and a last one that makes a value of this shape and type."""
    for _ in range(inner.integer(0, 2)):
        add(inner)
    x = inner.pick([like.dtype], low=like.ndim, high=like.ndim, fits=lambda a: a.shape == like.shape)
    return inner.emit('Add', [x, inner.constant(inner.array(like.dtype, like.shape))]) if x else None


def add(inner):
    # Graphs within graphs, two deep.
    nested = inner.parent is not None and inner.parent.parent is None and inner.chance(0.15)
    op = inner.choice(['If', 'Loop']) if nested else inner.choice(SIMPLE)
    return RECIPES[op](inner, op)


def graph_of(inner, outputs, formal=()):
    return helper.make_graph(inner.nodes, inner.name('body'), [value_info(n, v) for n, v in formal],
                             [onnx.ValueInfoProto(name=n) if v is None else value_info(n, v, [None] * np.ndim(v)) for n, v in outputs],
                             [numpy_helper.from_array(v, n) for n, v in inner.constants.items()])


@recipe('If')
def branch(d, op):
    like = d.array(F, d.shape(high=2, low=1))
    graphs, inners = {}, []
    for which in ('then_branch', 'else_branch'):
        inner = body(d)
        made = grow(inner, like)
        if made is None:
            return None
        graphs[which] = graph_of(inner, [(made[0], like)])
        inners.append(inner)
    condition = d.give(d.array(np.bool_, ()))
    if d.chance(0.3) and d.parent is None:  # of a value that was computed
        x = d.pick([F], low=1, fits=lambda a: a.size > 0)
        total = x and d.emit('ReduceMax', [x], keepdims=0)
        made = total and d.emit('Less', [total[0], d.constant(d.rng.uniform(0, 2), F)])
        condition = made[0] if made else condition
    return d.emit(op, [condition], subgraphs=inners, **graphs)


@recipe('Loop')
def loop(d, op):
    if d.opset < 11:
        return None
    start = d.pick([np.float32], low=1, high=2, fits=lambda a: a.size > 0)
    if start is None:
        return None
    like = d.of(start)
    i, c, v = d.name('i'), d.name('c'), d.name('carried')
    formal = [(i, np.asarray(0, np.int64)), (c, np.asarray(True)), (v, like)]
    inner = body(d, formal)
    made = grow(inner, like)
    damped = made and inner.emit('Tanh', made)
    limit = inner.constant(d.integer(0, 4), np.int64)
    go_on = inner.emit('Less', [i, limit]) if d.chance(0.5) else inner.emit('Identity', [c])
    if damped and d.chance(0.2):  # until a sum is large enough
        total = inner.emit('ReduceMax', [damped[0]], keepdims=0)
        go_on = total and inner.emit('Less', [total[0], inner.constant(d.rng.uniform(0, 1), F)])
    if not damped or not go_on:
        return None
    out = inner.emit('Identity', damped)
    inner.outputs = [go_on[0], damped[0], out[0]]
    graph = graph_of(inner, [(go_on[0], np.asarray(True)), (damped[0], like), (out[0], like)], formal)
    # Not of no trip: the shape of what is stacked is what ONNX Runtime happens to have inferred then.
    trips = d.give(np.asarray(d.integer(1, 5), np.int64))
    return d.emit(op, [trips, d.give(np.asarray(True)) if d.chance(0.5) else '', start], 2, subgraphs=[inner], body=graph)


@recipe('Scan')
def scan(d, op):
    """Some states and some sequences, each along an axis and in a direction of its own."""
    if d.opset < 9:
        return None
    t, width, states, items = d.integer(1, 5), d.integer(1, 6), d.integer(1, 2), d.integer(1, 2)
    formal = [(d.name('state'), d.array(F, (width,))) for _ in range(states)] + [
        (d.name('item'), d.array(F, (width,))) for _ in range(items)]
    inner = body(d, formal)
    ends = []
    for i in range(states):
        total = inner.emit('Add', [formal[i][0], formal[states + i % items][0]])
        made = total and inner.emit('Tanh', total)
        if not made:
            return None
        ends.append(made[0])
    more = grow(inner, formal[0][1])
    if not more:
        return None
    inner.outputs = [*ends, more[0]]
    graph = graph_of(inner, [(n, formal[0][1]) for n in inner.outputs], formal)
    axes = [d.integer(0, 1) for _ in range(items)]
    given = [d.tensor(F, (width,)) for _ in range(states)] + [
        d.tensor(F, (t, width) if axis == 0 else (width, t)) for axis in axes]
    return d.emit(op, given, states + 1, subgraphs=[inner], body=graph, num_scan_inputs=items, scan_input_axes=axes,
                  scan_input_directions=[d.integer(0, 1) for _ in axes], scan_output_axes=[d.integer(0, 1)],
                  scan_output_directions=[d.integer(0, 1)])


@recipe('SequenceMap')
def sequence_map(d, op):
    """Of each element, with one value that all share."""
    if d.opset < 17:
        return None
    shape = d.shape(2)
    parts = [d.tensor(F, shape) for _ in range(d.integer(1, 4))]
    made = d.emit('SequenceConstruct', parts)
    formal = [(d.name('element'), d.of(parts[0]))]
    inner = body(d, formal)
    end = made and inner.emit(d.choice(['Relu', 'Neg', 'Tanh', 'Abs']), [formal[0][0]])
    end = end and inner.emit('Add', [end[0], inner.constant(inner.array(F, shape))])
    if not end:
        return None
    inner.outputs = [end[0]]
    if d.chance(0.3):
        other = d.tensor(F, shape)
        formal.append((d.name('shared'), d.of(other)))
        made = [*made, other]
        end = inner.emit('Mul', [end[0], formal[1][0]]) if inner.values.update([formal[1]]) is None else None
        if not end:
            return None
        inner.outputs = [end[0]]
    return d.emit(op, made, subgraphs=[inner], body=graph_of(inner, [(end[0], d.of(parts[0]))], formal))


@recipe('SplitToSequence')
def sequence(d, op):
    if d.opset < 11:
        return None
    x = d.pick([np.float32, np.float32, np.int64, np.float64, np.int32, np.object_], low=1, high=3, fits=lambda a: a.shape[0] > 0)
    if x and d.chance(0.4):  # into pieces of one size or of several
        n, sizes = d.of(x).shape[0], d.integer(1, d.of(x).shape[0])
        if d.chance(0.5):
            cut = d.integer(0, n)
            sizes = [cut, n - cut] if d.chance(0.7) else [n]
        pieces = d.emit(op, [x, d.constant(sizes, d.choice([np.int32, np.int64]))], axis=0)
        return pieces and d.emit('ConcatFromSequence', pieces, axis=0)
    parts = x and d.emit(op, [x], axis=0, keepdims=1)
    if not parts:
        return None
    after = d.choice(['ConcatFromSequence', 'SequenceAt', 'SequenceLength', 'SequenceErase'])
    if d.chance(0.5):
        d.outputs = [n for n in d.outputs if n != parts[0]]
    if after == 'ConcatFromSequence':
        return d.emit(after, parts, axis=0)
    if after == 'SequenceLength':
        return d.emit(after, parts)
    at = d.emit(after, [parts[0], d.constant(d.integer(0, d.of(x).shape[0] - 1), np.int64)])
    return d.emit('ConcatFromSequence', at, axis=0) if at and after == 'SequenceErase' and d.of(x).shape[0] > 1 else at
