# SPDX-License-Identifier: Apache-2.0
"""Types that ONNX Runtime lacks for an operator: its answer in float on the same numbers, rounded once."""
import ml_dtypes
import numpy as np
import onnx
from onnx import helper

from oracle_cases import F, answers

I64 = np.int64
TYPES = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16), np.dtype(np.float64))


def model_of(node, inputs, outputs, opset):
    graph = helper.make_graph(
        [node], 'g', [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in inputs],
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) if a is not None
         else onnx.ValueInfoProto(name=n) for n, a in outputs])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset)], ir_version=11)


def rounded(w, name, op, values, opset, dtype, outputs=1, since=None, oracle=None, **attributes):
    """values: (name, array); those of float become `dtype`, as do results of float. opset: for ONNX Runtime; since: the
    one that has the type."""
    narrow = [(n, a.astype(dtype) if a.dtype == F else a) for n, a in ((n, np.asarray(a)) for n, a in values)]
    wide = [(n, a.astype(F) if a.dtype == dtype else a) for n, a in narrow]
    results = [f'y{i}' for i in range(outputs)]
    node = helper.make_node(op, [n for n, _ in values], results, **attributes)
    wanted = answers(model_of(node, wide, [(r, None) for r in results], opset), dict(wide))
    wanted = [a.astype(dtype) if a.dtype == F else a for a in wanted]
    outs = list(zip(results, wanted, strict=True))
    w.store(f'{name}_{dtype.name}', model_of(node, narrow, outs, since or opset), narrow, outs)


def numbers(w, *shape):
    return w.rng.standard_normal(shape).astype(F)


def kept(w):
    """Operators that hand numbers on as they are."""
    for dtype in TYPES:
        ties = np.array([[1, 3, 3, 2], [0, 0, -1, 0]], F)
        rounded(w, 'hardmax', 'Hardmax', [('x', ties)], 13, dtype)
        rounded(w, 'compress', 'Compress', [('x', numbers(w, 3, 4)), ('c', np.array([1, 0, 1], bool))], 11, dtype, since=28, axis=0)
        rounded(w, 'unique', 'Unique', [('x', np.array([2, 1, 2, -1, 0.5, 1], F))], 11, dtype, outputs=4, since=28)
        rounded(w, 'reverse', 'ReverseSequence', [('x', numbers(w, 3, 2, 2)), ('l', np.array([3, 2], I64))], 10, dtype, since=28)
        rounded(w, 'crop', 'CenterCropPad', [('x', numbers(w, 3, 4)), ('s', np.array([5, 2], I64))], 18, dtype)
        rounded(w, 'scatter', 'TensorScatter', [('x', numbers(w, 2, 4, 3)), ('u', numbers(w, 2, 2, 3)), ('at', np.array([2, 1], I64))],
                24, dtype)


def computed(w):
    for dtype in TYPES:
        x = numbers(w, 4, 5)
        axis = ('axis', np.array(1, I64))
        rounded(w, 'cumsum', 'CumSum', [('x', x), axis], 14, dtype)
        rounded(w, 'cumprod', 'CumProd', [('x', x), axis], 26, dtype, reverse=1)
        rounded(w, 'det', 'Det', [('x', numbers(w, 3, 4, 4))], 22, dtype)
        rounded(w, 'gelu', 'Gelu', [('x', x)], 20, dtype)
        rounded(w, 'gelu_tanh', 'Gelu', [('x', x)], 20, dtype, approximate='tanh')
        rounded(w, 'swish', 'Swish', [('x', x)], 24, dtype, alpha=0.7)
        rounded(w, 'col2im', 'Col2Im', [('x', numbers(w, 1, 8, 9)), ('image', np.array([4, 4], I64)), ('block', np.array([2, 2], I64))],
                18, dtype)
        for equation, shapes in (('ij,jk->ik', ((4, 5), (5, 3))), ('bij,bkj->bik', ((2, 3, 4), (2, 5, 4))), ('ii->i', ((4, 4),)),
                                 ('ij->', ((4, 5),)), ('i,j,k->kij', ((2,), (3,), (4,)))):
            rounded(w, 'einsum_' + equation.replace('->', '_').replace(',', '-'), 'Einsum',
                    [(f'x{i}', numbers(w, *s)) for i, s in enumerate(shapes)], 12, dtype, since=28, equation=equation)
        rounded(w, 'dft', 'DFT', [('x', numbers(w, 2, 6, 2))], 20, dtype)
        rounded(w, 'stft', 'STFT', [('x', numbers(w, 1, 20, 1)), ('step', I64(4)), ('w', np.hanning(8).astype(F))], 17, dtype)
        labels = ('labels', np.array([0, 3, 2, 4], I64))
        weights = ('w', w.rng.uniform(0.5, 2, 5).astype(F))
        for reduction in ('none', 'sum', 'mean'):
            rounded(w, f'nll_{reduction}', 'NegativeLogLikelihoodLoss', [('x', x), labels, weights], 13, dtype, since=22,
                    reduction=reduction)
            rounded(w, f'entropy_{reduction}', 'SoftmaxCrossEntropyLoss', [('x', x), labels, weights], 13, dtype, outputs=2,
                    reduction=reduction)


def integers(w):
    """Integers that ONNX Runtime lacks, by the standard's own reference."""
    for dtype in (np.int8, np.uint8, np.int16, np.uint16, np.uint32, np.uint64):
        a, b = w.rng.integers(0, 12, (3, 4)).astype(dtype), w.rng.integers(0, 12, (4, 2)).astype(dtype)
        for equation, values in (('ij,jk->ik', (a, b)), ('ij->ji', (a,)), ('ij->j', (a,))):
            node = helper.make_node('Einsum', [f'x{i}' for i in range(len(values))], ['y0'], equation=equation)
            w.model(f'einsum_{equation.replace("->", "_").replace(",", "-")}_{np.dtype(dtype).name}', [node],
                    [(f'x{i}', v) for i, v in enumerate(values)], (), ['y0'], 12, 'reference')
        columns = [('x', w.rng.integers(0, 25, (1, 8, 9)).astype(dtype)), ('image', np.array([4, 4], I64)), ('block', np.array([2, 2], I64))]
        w.model(f'col2im_{np.dtype(dtype).name}', [helper.make_node('Col2Im', ['x', 'image', 'block'], ['y0'])], columns, (), ['y0'],
                18, 'reference')


def small(w):
    """Float classes and bits of the types of eight bits and less."""
    every = np.arange(256).astype(np.uint8)
    for kind in ('float8_e4m3fn', 'float8_e4m3fnuz', 'float8_e5m2', 'float8_e5m2fnuz'):
        dtype = np.dtype(getattr(ml_dtypes, kind))
        x = every.view(dtype)
        # ml_dtypes knows what the codes mean.
        for op, wanted in (('IsNaN', np.isnan(x.astype(F))), ('IsInf', np.isinf(x.astype(F)))):
            inputs, outs = [('x', x)], [('y0', wanted)]
            w.store(f'{op.lower()}_{kind}', model_of(helper.make_node(op, ['x'], ['y0']), inputs, outs, 20), inputs, outs)
        for name, source, target in ((f'{kind}_int8', x, np.dtype(np.int8)), (f'uint8_{kind}', every, dtype)):
            inputs, outs = [('x', source)], [('y0', source.view(target))]
            node = helper.make_node('BitCast', ['x'], ['y0'], to=helper.np_dtype_to_tensor_dtype(target))
            w.store(f'bitcast_{name}', model_of(node, inputs, outs, 26), inputs, outs)
    codes = np.arange(16).astype(np.int8)
    nibbles = {'uint4': codes.astype(ml_dtypes.uint4), 'int4': np.where(codes > 7, codes - 16, codes).astype(ml_dtypes.int4),
               'float4_e2m1fn': codes.astype(np.uint8).view(ml_dtypes.float4_e2m1fn)}
    for source in nibbles:
        for target in nibbles:
            inputs, outs = [('x', nibbles[source])], [('y0', nibbles[target])]
            node = helper.make_node('BitCast', ['x'], ['y0'], to=helper.np_dtype_to_tensor_dtype(nibbles[target].dtype))
            w.store(f'bitcast_{source}_{target}', model_of(node, inputs, outs, 26), inputs, outs)


EXACT = (kept, integers, small)
NEAR = (computed,)
