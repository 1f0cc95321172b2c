# SPDX-License-Identifier: Apache-2.0
"""Several operators as exporters write them together: what the graph passes look for."""
import numpy as np

from differential.draft import F
from differential.recipes import recipe


def reduce_mean(d, x, axis=-1):
    if d.opset < 18:
        return d.emit('ReduceMean', [x], axes=[axis])
    return d.emit('ReduceMean', [x, d.constant([axis], np.int64)])


def row(d):
    return d.tensor(F, (d.integer(1, 3), d.integer(1, 6), d.integer(2, 40)))


@recipe('layer-norm', 'rms-norm')
def layer_norm(d, pattern):
    x = row(d)
    width = d.of(x).shape[-1:]
    if d.chance(0.4):
        residual = d.emit('Add', [x, d.tensor(F, d.of(x).shape)])
        if not residual:
            return None
        x = residual[0]
    if pattern == 'layer-norm':
        mean = reduce_mean(d, x)
        x = (mean and d.emit('Sub', [x, mean[0]]) or [None])[0]
    square = x and (d.emit('Pow', [x, d.constant(2, F)]) if d.chance(0.6) else d.emit('Mul', [x, x]))
    variance = square and reduce_mean(d, square[0])
    shifted = variance and d.emit('Add', [variance[0], d.constant(1e-5, F)])
    root = shifted and d.emit('Sqrt', shifted)
    if not root:
        return None
    if d.chance(0.7):
        y = d.emit('Div', [x, root[0]])
    else:
        inverse = d.emit('Reciprocal', root)
        y = inverse and d.emit('Mul', [x, inverse[0]])
    y = y and d.emit('Mul', [y[0], d.constant(d.array(F, width))])
    return d.emit('Add', [y[0], d.constant(d.array(F, width))]) if y and d.chance(0.7) else y


@recipe('gelu-erf', 'gelu-tanh', 'silu')
def gelu(d, pattern):
    x = row(d)
    if pattern == 'silu':
        gate = d.emit('Sigmoid', [x])
        return gate and d.emit('Mul', [x, gate[0]] if d.chance(0.5) else [gate[0], x])
    half = d.constant(0.5, F)
    if pattern == 'gelu-erf':
        inner = d.emit('Div', [x, d.constant(2 ** 0.5, F)]) if d.opset >= 9 else None
        inner = inner and d.emit('Erf', inner)
    else:
        cube = d.emit('Pow', [x, d.constant(3, F)])
        inner = cube and d.emit('Mul', [cube[0], d.constant(0.044715, F)])
        inner = inner and d.emit('Add', [x, inner[0]])
        inner = inner and d.emit('Mul', [inner[0], d.constant((2 / np.pi) ** 0.5, F)])
        inner = inner and d.emit('Tanh', inner)
    inner = inner and d.emit('Add', [inner[0], d.constant(1, F)])
    inner = inner and d.emit('Mul', [x, inner[0]])
    return inner and d.emit('Mul', [inner[0], half])


@recipe('attention')
def attention(d, _):
    """Heads of one sequence from three projections, as BERT has them."""
    if d.opset < 13:
        return None
    b, s, heads, e = d.integer(1, 2), d.integer(1, 7), d.integer(1, 4), d.integer(1, 8)
    x, parts = d.tensor(F, (b, s, heads * e)), []
    for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]):
        y = d.emit('MatMul', [x, d.constant(d.array(F, (heads * e, heads * e), -0.5, 0.5))])
        y = y and d.emit('Add', [d.constant(d.array(F, (heads * e,))), y[0]])
        y = y and d.emit('Reshape', [y[0], d.constant([0, 0, heads, e], np.int64)])
        y = y and d.emit('Transpose', y, perm=perm)
        if not y:
            return None
        parts.append(y[0])
    scores = d.emit('MatMul', parts[:2])
    scores = scores and d.emit('Div', [scores[0], d.constant(e ** 0.5, F)])
    if scores and d.chance(0.5):
        mask = d.array(F, d.choice([(b, 1, 1, s), (1, 1, s, s), (b, heads, s, s), (b, 1, s, 1)]))
        if d.chance(0.4):
            mask[d.rng.random(mask.shape) < d.choice([0.1, 0.6])] = d.choice([-np.inf, -1e4, -1e30])
        scores = d.emit('Add', [scores[0], d.give(mask)])
    scores = scores and d.emit('Softmax', scores, axis=-1)
    y = scores and d.emit('MatMul', [scores[0], parts[2]])
    if y and np.any(np.isnan(d.of(y[0]))):  # of rows that the mask hides
        nothing = d.emit('IsNaN', y)
        y = nothing and d.emit('Where', [nothing[0], d.constant(7, F), y[0]])
    y = y and d.emit('Transpose', y, perm=[0, 2, 1, 3])
    return y and d.emit('Reshape', [y[0], d.constant([0, 0, heads * e], np.int64)])


@recipe('transposes')
def transposes(d, _):
    """Elementwise operators between transposes that undo one another, or nearly."""
    x = d.tensor(F, tuple(d.integer(1, 7) for _ in range(4)))
    perm = d.choice([[0, 2, 3, 1], [0, 3, 1, 2], [1, 0, 2, 3]])
    back = [perm.index(i) for i in range(4)] if d.chance(0.8) else perm
    y = d.emit('Transpose', [x], perm=perm)
    for _ in range(d.integer(1, 3)):
        op = d.choice(['Relu', 'Add', 'Mul', 'Sigmoid', 'Clip', 'Concat', 'Pad', 'ReduceMean', 'Softmax'])
        if not y:
            return None
        shape = d.of(y[0]).shape
        if op in ('Add', 'Mul'):
            y = d.emit(op, [y[0], d.tensor(F, d.choice([shape, shape[-1:], (), (1, 1, shape[2], 1)]))])
        elif op == 'Concat':
            y = d.emit(op, [y[0], y[0]], axis=d.integer(0, 3))
        elif op == 'Pad' and d.opset >= 11:
            y = d.emit(op, [y[0], d.constant([0, 1, 0, 0, 0, 0, 1, 0], np.int64)])
        elif op == 'ReduceMean':
            y = reduce_mean(d, y[0], d.integer(0, 3))
        elif op == 'Softmax':
            y = d.emit(op, y, axis=d.integer(0, 3))
        elif op in ('Relu', 'Sigmoid'):
            y = d.emit(op, y)
    return y and d.emit('Transpose', y, perm=back)


@recipe('reshapes')
def reshapes(d, _):
    """Views of views, some of which are outputs, with a writer in between."""
    x = d.tensor(F, (d.integer(1, 4), d.integer(1, 5), d.integer(1, 6)))
    a = d.of(x).shape
    y = d.emit('Reshape', [x, d.constant([a[0] * a[1], a[2]], np.int64)])
    y = y and d.emit(d.choice(['Relu', 'Identity', 'Neg', 'Tanh']), y)
    y = y and d.emit('Reshape', [y[0], d.constant([-1], np.int64)])
    z = y and d.emit('Reshape', [y[0], d.constant(list(a), np.int64)])
    return z and d.emit('Add', [z[0], x])


@recipe('concat-in-place')
def concat(d, _):
    """What is computed straight into a concatenation, and read by others as well."""
    x = d.tensor(F, (1, d.integer(1, 8), d.integer(1, 9), d.integer(1, 9)))
    parts = [x] if d.chance(0.3) else []
    for _ in range(d.integer(1, 4)):
        y = d.emit(d.choice(['Relu', 'Sigmoid', 'Neg', 'Abs', 'Tanh', 'Identity']), [d.choice([x, *parts])])
        if y:
            parts += y
    if d.chance(0.3):
        parts.append(d.choice(parts))
    y = parts and d.emit('Concat', parts, axis=d.integer(0, 3))
    return y and d.emit('Concat', [y[0], y[0]] if d.chance(0.3) else y, axis=1)
