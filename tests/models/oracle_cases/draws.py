# SPDX-License-Identifier: Apache-2.0
"""Random numbers with a seed: those of the first run of ONNX Runtime's session. Without one there is nothing to compare."""
import numpy as np
from onnx import TensorProto, helper

from oracle_cases import F

D = np.float64
H = np.float16
# Seeds are converted to unsigned numbers of 32 bits: what has none, what is 0 modulo 2^31 - 1, what is cut.
SEEDS = (0.0, 1.0, 3.75, 123456.0, -1.0, -3e9, 2147483648.0, 5e9, 1e19, -1e20, float('nan'), float('inf'))
INTEGERS = (0, 1, 5, -3, 2**31 - 1, 2**40, -2**40, 2**63 - 1, -2**63)


def numbers(w):
    for dtype, name in ((TensorProto.FLOAT, 'f32'), (TensorProto.DOUBLE, 'f64')):
        for i, seed in enumerate(SEEDS):
            given = {'dtype': dtype, 'shape': [1001], 'seed': seed, 'opset': 15}
            w.case(f'random_uniform_{name}_{i}', 'RandomUniform', [], low=-1.3, high=2.7, **given)
            w.case(f'random_normal_{name}_{i}', 'RandomNormal', [], mean=0.3, scale=1.7, **given)
        for shape in ([1], [3, 0], [2, 3, 1, 5]):
            given = {'dtype': dtype, 'shape': shape, 'seed': 7.0, 'opset': 21}
            label = f'{name}_' + 'x'.join(map(str, shape))
            w.case(f'random_uniform_shape_{label}', 'RandomUniform', [], **given)
            w.case(f'random_normal_shape_{label}', 'RandomNormal', [], **given)
    # Many: the largest number of the generator may come, which as a float would be 1.
    w.case('random_uniform_many', 'RandomUniform', [], shape=[300000], seed=11.0, opset=15)
    w.case('random_normal_many', 'RandomNormal', [], shape=[300000], seed=11.0, opset=15)
    w.case('random_uniform_wide', 'RandomUniform', [], shape=[50], seed=2.0, low=-3e38, high=3e38, opset=15)
    w.case('random_uniform_point', 'RandomUniform', [], shape=[50], seed=2.0, low=2.5, high=2.5, opset=15)
    w.case('random_normal_huge', 'RandomNormal', [], shape=[50], seed=2.0, mean=1e38, scale=2e38, opset=15)


def like(w):
    for x in (np.zeros((3, 5), F), np.zeros((), F), np.zeros((2, 7), D), np.zeros((4, 3), H)):
        kind = f'{x.dtype.name}_{x.ndim}'
        w.case(f'random_uniform_like_{kind}', 'RandomUniformLike', [('x', x)], seed=3.0, low=-2.0, high=-1.0, opset=15)
        w.case(f'random_normal_like_{kind}', 'RandomNormalLike', [('x', x)], seed=3.0, mean=-2.0, scale=0.25, opset=15)
    for kind in (np.int8, np.uint64, np.bool_, H, D):
        x = np.zeros((3, 11), kind)
        # To a half ONNX Runtime comes by casts that it puts around a node that a half goes into.
        for dtype in (TensorProto.FLOAT, TensorProto.DOUBLE, *([TensorProto.FLOAT16] if kind is H else [])):
            label = f'{x.dtype.name}_{dtype}'
            w.case(f'random_uniform_like_{label}', 'RandomUniformLike', [('x', x)], seed=4.0, dtype=dtype, opset=15)
            w.case(f'random_normal_like_{label}', 'RandomNormalLike', [('x', x)], seed=4.0, dtype=dtype, opset=15)


def bernoulli(w):
    p = w.rng.random((20, 30))
    p[0, :5] = 0, 1, np.nan, -1, 2
    for kind in (F, D, H):
        for dtype in (None, TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.UINT8, TensorProto.INT64, TensorProto.BOOL):
            label = f'{np.dtype(kind).name}_{dtype}'
            w.case(f'bernoulli_{label}', 'Bernoulli', [('p', p.astype(kind))], seed=5.0, opset=15, **({} if dtype is None else {'dtype': dtype}))
    for i, seed in enumerate(SEEDS):
        w.case(f'bernoulli_seed_{i}', 'Bernoulli', [('p', p.astype(F))], seed=seed, opset=15)


def multinomial(w):
    x = (w.rng.standard_normal((9, 30)) * 3).astype(F)
    x[0, 3], x[1, 4], x[2, 5] = np.inf, -np.inf, np.nan
    x[3, :], x[3, 8] = -np.inf, 1
    x[4], x[5] = -np.inf, np.nan  # of which nothing can be drawn
    for i, seed in enumerate(SEEDS):
        w.case(f'multinomial_{i}', 'Multinomial', [('x', x)], seed=seed, sample_size=200, opset=15)
    w.case('multinomial_default', 'Multinomial', [('x', x)], seed=6.0, opset=15)
    w.case('multinomial_int64', 'Multinomial', [('x', x)], seed=6.0, sample_size=7, dtype=TensorProto.INT64, opset=15)
    w.case('multinomial_f16', 'Multinomial', [('x', x.astype(H))], seed=6.0, sample_size=50, opset=15)
    w.case('multinomial_one', 'Multinomial', [('x', x[:, :1])], seed=6.0, sample_size=3, opset=15)
    w.case('multinomial_far', 'Multinomial', [('x', np.array([[-3e38, 3e38, 0], [1e30, -1e30, 1e30]], F))], seed=6.0, sample_size=30, opset=15)


def dropout(w):
    x = w.rng.standard_normal((30, 40))
    x[0, :6] = np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-45
    true = ('t', np.array(True))
    for i, seed in enumerate(INTEGERS):
        w.case(f'dropout_seed_{i}', 'Dropout', [('x', x.astype(F)), ('r', np.array(0.37, F)), true], outputs=2, opset=13, seed=seed)
    for kind in (F, D, H):
        for ratio in (F, D, H):
            label = f'{np.dtype(kind).name}_{np.dtype(ratio).name}'
            w.case(f'dropout_{label}', 'Dropout', [('x', x.astype(kind)), ('r', np.array(0.6, ratio)), true], outputs=2, opset=13, seed=8)
    w.case('dropout_12', 'Dropout', [('x', x.astype(F)), ('r', np.array(0.1, D)), true], opset=12, seed=8)
    w.case('dropout_22', 'Dropout', [('x', x.astype(F)), ('r', np.array(0.1, F)), true], opset=22, seed=8)
    w.case('dropout_default', 'Dropout', [('x', x.astype(F)), None, true], outputs=2, opset=13, seed=8)
    w.case('dropout_none', 'Dropout', [('x', x.astype(F)), ('r', np.array(0, F)), true], outputs=2, opset=13, seed=8)


def looped(w):
    """From one iteration to the next a sequence goes on; Dropout begins that of the next seed. Nodes of one seed do not share."""
    nodes = {'uniform': ('RandomUniform', [], {'shape': [3]}), 'normal': ('RandomNormal', [], {'shape': [3], 'dtype': TensorProto.DOUBLE}),
             'normal_like': ('RandomNormalLike', ['x'], {}), 'bernoulli': ('Bernoulli', ['p'], {}),
             'multinomial': ('Multinomial', ['x'], {'sample_size': 5}), 'dropout': ('Dropout', ['x', 'p', 'true'], {})}
    given = [('count', np.array(4)), ('true', np.array(True)), ('x', w.rng.standard_normal((2, 7)).astype(F)), ('p', np.array(0.4, F))]
    for name, (op, inputs, more) in nodes.items():
        more['seed'] = 6 if op == 'Dropout' else 6.0
        for twice in (False, True):
            drawn = ['a', 'b'] if twice else ['a']
            body = helper.make_graph(
                [helper.make_node('Identity', ['going'], ['goes']), *(helper.make_node(op, inputs, [d], **more) for d in drawn)], 'body',
                [helper.make_tensor_value_info('i', TensorProto.INT64, []), helper.make_tensor_value_info('going', TensorProto.BOOL, [])],
                [helper.make_tensor_value_info('goes', TensorProto.BOOL, []),
                 *(helper.make_tensor_value_info(d, {'normal': TensorProto.DOUBLE, 'multinomial': TensorProto.INT32}.get(name, TensorProto.FLOAT), None)
                   for d in drawn)])
            loop = helper.make_node('Loop', ['count', 'true'], [f'y_{d}' for d in drawn], body=body)
            w.model(f'looped_{name}_{len(drawn)}', [loop], [g for g in given if g[0] in ('count', 'true', *inputs)], (), list(loop.output))


EXACT = (numbers, like, bernoulli, multinomial, dropout, looped)
NEAR = ()
