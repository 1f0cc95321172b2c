# SPDX-License-Identifier: Apache-2.0
"""Sequences and optionals: as inputs of the graph, in its middle and as its outputs."""
import numpy as np

from differential.draft import FIXED, F
from differential.recipes import recipe

ANY = (*FIXED, np.object_)


def sequence(d):
    """A sequence that is there or a new one; its name."""
    dtype = d.choice([F, F, F, np.int64, np.object_, np.float16, np.float64, np.uint8, np.bool_, np.int32])
    there = [n for n, v in d.visible().items() if isinstance(v, list) and v and isinstance(v[0], np.ndarray)]
    if there and d.chance(0.5):
        return d.choice(there)
    rank = d.integer(0, 3)
    made = [d.tensor(dtype, d.shape(rank)) for _ in range(d.integer(1, 4))]
    if d.parent is None and d.chance(0.4):
        return d.give_whole([d.array(dtype, d.shape(rank)) for _ in range(d.integer(1, 4))])
    out = d.opset >= 11 and d.emit('SequenceConstruct', made)
    return out[0] if out else None


def place(d, count, beyond=0):
    return d.give(np.asarray(d.integer(-count, count - 1 + beyond), d.choice([np.int32, np.int64])))


@recipe('SequenceConstruct', 'SequenceInsert', 'SequenceErase', 'SequenceAt', 'SequenceLength', 'SequenceEmpty')
def handle(d, op):
    if d.opset < 11:
        return None
    if op == 'SequenceEmpty':
        empty = d.emit(op, [], dtype=1)
        return empty and d.emit('SequenceInsert', [empty[0], d.tensor(F, d.shape(high=2))])
    s = sequence(d)
    if s is None or op == 'SequenceConstruct':
        return s and [s]
    items = d.of(s)
    if op == 'SequenceInsert':
        new = d.tensor(items[0].dtype, items[0].shape)
        return d.emit(op, [s, new, place(d, len(items), 1)] if d.chance(0.6) else [s, new])
    if op == 'SequenceErase':
        if len(items) < 2:  # nothing left would not tell its type
            return None
        return d.emit(op, [s, place(d, len(items))] if d.chance(0.6) else [s])
    return d.emit(op, [s, place(d, len(items))] if op == 'SequenceAt' else [s])


@recipe('ConcatFromSequence')
def join(d, op):
    if d.opset < 11:
        return None
    shape = d.shape(low=1, high=3)
    kind = d.choice([F, F, np.int64, np.float16, np.object_, np.bool_])
    s = d.emit('SequenceConstruct', [d.tensor(kind, shape) for _ in range(d.integer(1, 4))])
    return s and d.emit(op, s, axis=d.integer(-len(shape), len(shape) - 1), new_axis=d.integer(0, 1))


@recipe('Optional')
def optional(d, op):
    """There and back: what lies between is no tensor to compare."""
    x = d.pick(ANY)
    if x is None or d.opset < 15:
        return None
    last = d.choice(['OptionalGetElement', 'OptionalHasElement'])
    return d.chain([(op, [x], {}), (last, [None], {})])
