# SPDX-License-Identifier: Apache-2.0
"""One element in, one element out."""
import numpy as np

from differential.draft import FIXED, FLOATS, INTS, NAMES, F
from differential.recipes import broadcast, recipe
from onnx import helper

RANGES = {'Acos': (-0.99, 0.99), 'Asin': (-0.99, 0.99), 'Atanh': (-0.95, 0.95), 'Acosh': (1.01, 9), 'Log': (0.01, 9),
          'Sqrt': (0, 9), 'Reciprocal': (0.2, 4), 'Tan': (-1.2, 1.2), 'Exp': (-4, 4), 'Sinh': (-3, 3), 'Cosh': (-3, 3)}
ATTRIBUTES = {'Elu': {'alpha': (0.2, 2)}, 'HardSigmoid': {'alpha': (0.1, 0.5), 'beta': (0.2, 0.8)},
              'LeakyRelu': {'alpha': (0.01, 0.5)}, 'Selu': {'alpha': (0.5, 2), 'gamma': (0.5, 2)},
              'ThresholdedRelu': {'alpha': (-1, 1)}, 'Celu': {'alpha': (0.3, 2)}, 'Shrink': {'lambd': (0, 1), 'bias': (0, 1)},
              'Swish': {'alpha': (0.5, 2)}}


@recipe('Abs', 'Acos', 'Acosh', 'Asin', 'Asinh', 'Atan', 'Atanh', 'Ceil', 'Celu', 'Cos', 'Cosh', 'Elu', 'Erf', 'Exp', 'Floor',
        'HardSigmoid', 'HardSwish', 'Identity', 'LeakyRelu', 'Log', 'Mish', 'Neg', 'Not', 'Reciprocal', 'Relu', 'Round', 'Selu',
        'Shrink', 'Sigmoid', 'Sign', 'Sin', 'Sinh', 'Softplus', 'Softsign', 'Sqrt', 'Tan', 'Tanh', 'ThresholdedRelu', 'IsNaN',
        'IsInf', 'BitwiseNot', 'Swish')
def unary(d, op):
    types = d.types(op, among=FIXED + ((np.object_,) if op == 'Identity' else ()))
    if not types:
        return None
    if op in RANGES:
        x = d.tensor(d.choice(types), d.shape(), *RANGES[op])
    else:
        x = d.pick(types)
    if op == 'IsInf':
        return d.emit(op, [x], **{k: d.integer(0, 1) for k in ('detect_negative', 'detect_positive') if d.chance(0.3)})
    drawn = {k: float(F(d.rng.uniform(*r))) for k, r in ATTRIBUTES.get(op, {}).items() if d.chance(0.6)}
    return d.emit(op, [x], **drawn)


@recipe('Gelu')
def gelu(d, op):
    return d.emit(op, [d.pick(FLOATS)], **({'approximate': d.choice(['none', 'tanh'])} if d.chance(0.7) else {}))


def two(d, op, types, b_range=(None, None), a_range=(None, None)):
    """Operands of one type that broadcast; the first may be a value that is there."""
    dtype = d.choice(types)
    if a_range == (None, None) and d.chance(0.6):
        a = d.pick([dtype], high=4)
        if a is None:
            return None
        if b_range == (None, None) and d.chance(0.1):
            return [a, a]
        shape = tuple(1 if d.chance(0.25) else n for n in d.of(a).shape)
        b = d.tensor(dtype, shape[d.integer(0, len(shape)):] if d.chance(0.3) else shape, *b_range)
        return [a, b] if b_range != (None, None) or d.chance(0.5) else [b, a]
    a_shape, b_shape = broadcast(d)
    return [d.tensor(dtype, a_shape, *a_range), d.tensor(dtype, b_shape, *b_range)]


@recipe('Add', 'Sub', 'Mul', 'And', 'Or', 'Xor', 'Equal', 'Greater', 'Less', 'GreaterOrEqual', 'LessOrEqual', 'BitwiseAnd',
        'BitwiseOr', 'BitwiseXor')
def binary(d, op):
    types = d.types(op, among=FIXED + ((np.object_,) if op == 'Equal' else ()))
    pair = two(d, op, types) if types else None
    return pair and d.emit(op, pair)


@recipe('Div')
def divide(d, op):
    pair = two(d, op, d.types(op), b_range=(0.3, 3) if d.chance(0.5) else (1, 6))
    return pair and d.emit(op, pair)


@recipe('Mod')
def modulo(d, op):
    types = d.types(op)
    pair = two(d, op, types, b_range=(1, 6)) if types else None
    if not pair:
        return None
    real = d.of(pair[0]).dtype.kind == 'f'
    return d.emit(op, pair, **({'fmod': 1} if real or d.chance(0.3) else {}))


@recipe('Pow')
def power(d, op):
    base = d.choice(d.types(op))
    a_shape, b_shape = broadcast(d)
    exponents = d.types(op, 1) if d.opset >= 12 else [base]
    if d.chance(0.2):  # of a negative number only whole powers
        a = d.array(base, a_shape, -3, 3)
        if np.dtype(base).kind in 'fi' and np.all(a != 0):
            return d.emit(op, [d.give(a), d.give(d.array(np.int64, b_shape, 0, 4).astype(base))])
    a = d.tensor(base, a_shape, 0.2 if np.dtype(base).kind == 'f' else 1, 3)
    b_type = d.choice(exponents)
    return d.emit(op, [a, d.tensor(b_type, b_shape, 0, 3)])


@recipe('BitShift')
def shift(d, op):
    types = d.types(op, among=INTS)
    pair = two(d, op, types, b_range=(0, 7)) if types else None
    return pair and d.emit(op, pair, direction=d.choice(['LEFT', 'RIGHT']))


@recipe('PRelu')
def prelu(d, op):
    types = d.types(op)
    x = d.pick(types, low=1, high=4)
    if x is None:
        return None
    a = d.of(x)
    shape = d.choice([a.shape, (), (a.shape[1],) + (1,) * (a.ndim - 2) if a.ndim > 1 else (1,), a.shape[-1:]])
    return d.emit(op, [x, d.tensor(a.dtype, shape)])


@recipe('Max', 'Min', 'Mean', 'Sum')
def several(d, op):
    types = d.types(op)
    first = d.pick(types, high=4)
    if first is None:
        return None
    names = [first]
    for _ in range(d.integer(0, 3)):
        names.append(d.tensor(d.of(first).dtype, tuple(1 if d.chance(0.2) else n for n in d.of(first).shape)))
    return d.emit(op, names)


@recipe('Clip')
def clip(d, op):
    types = d.types(op)
    x = d.pick(types)
    if x is None:
        return None
    dtype = d.of(x).dtype
    low, high = (-1, 1) if dtype.kind == 'f' else (0, 5)
    if d.opset < 11:
        return d.emit(op, [x], **{k: v for k, v in (('min', float(low)), ('max', float(high))) if d.chance(0.8)})
    bounds = [d.constant(v, dtype) if d.chance(0.7) else d.give(np.asarray(v, dtype)) for v in (low, high)]
    return d.emit(op, [x, bounds[0] if d.chance(0.8) else '', bounds[1]][:2 + d.chance(0.8)])


@recipe('Where')
def where(d, op):
    types = d.types(op, 1, among=FIXED + (np.object_,))
    if not types:
        return None
    dtype = d.choice(types)
    (a, b), (c, _) = broadcast(d), broadcast(d)
    c = tuple(1 if d.chance(0.3) else n for n in np.broadcast_shapes(a, b))
    return d.emit(op, [d.tensor(np.bool_, c), d.tensor(dtype, a), d.tensor(dtype, b)])


@recipe('Cast', 'CastLike')
def cast(d, op):
    x = d.pick(d.types('Cast', among=FIXED))
    if x is None:
        return None
    to = d.choice([t for t in NAMES.values() if t is not np.object_])
    # What is out of the target's range is undefined.
    if np.dtype(to).kind == 'u' and np.any(d.of(x) < 0):
        x = d.tensor(d.of(x).dtype, d.shape(), 0, 100)
    if op == 'CastLike':
        return d.schema(op) and d.emit(op, [x, d.tensor(to, (1,))])
    return d.emit(op, [x], to=helper.np_dtype_to_tensor_dtype(np.dtype(to)))


@recipe('cast-text')
def cast_text(d, _):
    """Numbers to text and back. Of reals the text is what the last bits say: those that come straight from the graph's inputs."""
    if d.opset < 9:
        return None
    if d.chance(0.5):
        texts = ['0', '-7', '1.5', '3e2', '+4', '12', '0.125', '-2.75'][:8 if d.chance(0.5) else 2]
        x = d.give(np.array([d.choice(texts) for _ in range(d.integer(0, 9))], object))
        kinds = d.choice([FLOATS[:2], (np.int32, np.int64)]) if len(texts) < 8 else FLOATS[:2]
        return d.emit('Cast', [x], to=helper.np_dtype_to_tensor_dtype(np.dtype(d.choice(kinds))))
    kind = d.choice(FIXED)
    return d.emit('Cast', [d.tensor(kind, d.shape(high=2))], to=8)


@recipe('cast-through')
def cast_through(d, op):
    """To a type that numpy lacks and back: only the whole way can be compared."""
    if d.opset < 19:
        return None
    x = d.pick([np.float32, np.float16])
    kinds = [16, 17, 18, 19, 20] if d.opset < 21 else [16, 17, 18, 19, 20, 21, 22]
    kind = d.choice(kinds)
    if x is None or (kind == 21 and np.any(d.of(x) < 0)):
        return None
    more = {'saturate': d.integer(0, 1)} if 17 <= kind <= 20 and d.chance(0.5) else {}
    if more:
        x = d.tensor(d.choice([np.float32, np.float16]), d.shape(), -1000, 1000)
    return d.chain([('Cast', [x], {'to': kind, **more}), ('Cast', [None], {'to': 1})])
