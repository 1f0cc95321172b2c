# SPDX-License-Identifier: Apache-2.0
"""com.microsoft SparseAttention: what Phi-3-small runs.

ONNX Runtime runs it only where the cache in and the cache out are one buffer, so they are bound as one. Where a sequence is
shorter than the longest, it reads its weights elsewhere than it wrote them, but for the first head of the first sequence:
sequences of several lengths have one head here, and all but the first are as long as the longest."""
import numpy as np
from onnx import helper, numpy_helper

from oracle_cases import MS, F
from quiet import onnxruntime

CACHES = {'pk': 'present_key', 'pv': 'present_value'}
RESULTS = ('y', *CACHES.values())


def floats(w, *shape, dtype=F):
    return w.rng.standard_normal(shape).astype(dtype)


def answers(model, inputs):
    """What ONNX Runtime gives, each of CACHES written where it was read."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=['CPUExecutionProvider'])
    binding = session.io_binding()
    binding.bind_output('y')
    held = {n: np.array(a) for n, a in inputs.items()}  # an OrtValue lies in its array
    for name, array in held.items():
        value = onnxruntime.OrtValue.ortvalue_from_numpy(array)
        binding.bind_ortvalue_input(name, value)
        if name in CACHES:
            binding.bind_ortvalue_output(CACHES[name], value)
    session.run_with_iobinding(binding)
    return [np.array(binding.get_outputs()[0].numpy()), *(held[n] for n in CACHES)]


def csr(layouts, width=None):
    """Block masks [layout][row][column] as row and column indices, the latter filled up with -1."""
    rows = [np.concatenate([[0], np.cumsum(layout.sum(1))]) for layout in layouts]
    columns = [np.nonzero(layout)[1] for layout in layouts]
    width = max(len(c) for c in columns) if width is None else width
    return (np.array(rows, np.int32),
            np.array([np.concatenate([c, np.full(width - len(c), -1)]) for c in columns], np.int32))


def drawn(w, layouts, blocks, share=0.4):
    """Each row's own block and some to its left."""
    mask = w.rng.random((layouts, blocks, blocks)) < share
    return np.tril(mask | np.eye(blocks, dtype=bool))


def sparse(w, name, mask=None, layouts=2, blocks=3, block=16, batch=2, heads=4, kv_heads=2, rows=37, size=16, cache=48,
           total=None, lengths=None, packed=False, rotary=None, dtype=F, width=None, given=('total',), **attributes):
    """total: tokens so far of the longest of the batch; lengths: of each; given: names of initialisers."""
    total = rows if total is None else total
    mask = drawn(w, layouts, blocks) if mask is None else mask
    row_indices, column_indices = csr(mask, width)
    columns = (heads + 2 * kv_heads if packed else heads) * size
    values = [('q', floats(w, batch, rows, columns, dtype=dtype))]
    values += [None, None] if packed else [(n, floats(w, batch, rows, kv_heads * size, dtype=dtype)) for n in ('k', 'v')]
    values += [(n, floats(w, batch, kv_heads, cache, size, dtype=dtype)) for n in CACHES]
    values += [('row_indices', row_indices), ('col_indices', column_indices), ('total', np.array([total], np.int32)),
               ('lengths', np.array(lengths or [total] * batch, np.int32))]
    if rotary:
        values += [(n, floats(w, *rotary, dtype=dtype)) for n in ('cos', 'sin')]
        attributes['do_rotary'] = 1
    tensors = [v for v in values if v is not None]
    node = helper.make_node('SparseAttention', [v[0] if v else '' for v in values], RESULTS, domain=MS, num_heads=heads,
                            kv_num_heads=kv_heads, sparse_block_size=block, **attributes)
    shapes = {'y': (batch, rows, heads * size)} | {n: (batch, kv_heads, cache, size) for n in CACHES.values()}
    code = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        [node], name,
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
         for n, a in tensors if n not in given],
        [helper.make_tensor_value_info(n, code, shapes[n]) for n in RESULTS],
        [numpy_helper.from_array(a, n) for n, a in tensors if n in given])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 15), helper.make_opsetid(MS, 1)], ir_version=8)
    inputs = [(n, a) for n, a in tensors if n not in given]
    wanted = answers(model, dict(inputs))
    w.store(f'sparse_attention_{np.dtype(dtype).name}_{name}', model, inputs, list(zip(RESULTS, wanted, strict=True)))


STEP = {'rows': 1, 'total': 35}


def layouts(w):
    for dtype in (F, np.float16):
        for count in (1, 2, 4):
            for label, more in (('prompt', {}), ('step', STEP), ('several', {'rows': 5, 'total': 35})):
                sparse(w, f'{label}_{count}', layouts=count, dtype=dtype, **more)
                sparse(w, f'{label}_{count}_packed', layouts=count, dtype=dtype, packed=True, **more)
        sparse(w, 'ragged_step', dtype=dtype, heads=1, kv_heads=1, layouts=1, rows=1, total=35, lengths=[20, 35])
        sparse(w, 'ragged_several', dtype=dtype, heads=1, kv_heads=1, layouts=1, rows=5, total=48, lengths=[36, 48])
        for size in (32, 64, 128):
            sparse(w, f'blocks_of_{size}', dtype=dtype, block=size, blocks=4, rows=3 * size + 5, cache=4 * size, batch=1)
    sparse(w, 'all_at_run', given=())
    sparse(w, 'all_given', given=('total', 'row_indices', 'col_indices', 'lengths'))
    sparse(w, 'longer_cache', cache=64, **STEP)
    sparse(w, 'scale', scale=0.4)
    sparse(w, 'one_kv_head', kv_heads=1)


def edges(w):
    """Masks that are none: full, with as many blocks as a full row, rows without a block, one of two that is full, a block
    to the right of the row's own."""
    full = np.tril(np.ones((3, 3), bool))
    empty = full.copy()
    empty[1:, :] = False
    right = np.array([[1, 1, 0], [0, 0, 1], [1, 0, 0]], bool)
    as_many = np.array([[1, 0, 0], [1, 0, 1], [0, 1, 0]], bool)
    for label, masks in (('full', [full]), ('empty', [empty]), ('half_full', [full, np.eye(3, dtype=bool)]), ('right', [right]),
                         ('as_many', [as_many]), ('all', [np.ones((3, 3), bool)])):
        for dtype in (F, np.float16):
            sparse(w, f'mask_{label}', mask=np.array(masks), dtype=dtype)
            sparse(w, f'mask_{label}_step', mask=np.array(masks), dtype=dtype, **STEP)
    sparse(w, 'wide_columns', width=9)


def rotated(w):
    for dtype in (F, np.float16):
        for interleaved in (0, 1):
            for label, more in (('prompt', {}), ('packed', {'packed': True}), ('step', STEP), ('step_packed', STEP | {'packed': True}),
                                ('several', {'rows': 5, 'total': 35}), ('part', {'size': 32}),
                                ('ragged', {'heads': 1, 'kv_heads': 1, 'layouts': 1, 'rows': 1, 'total': 35, 'lengths': [20, 35]}),
                                ('ragged_several', {'heads': 1, 'kv_heads': 1, 'layouts': 1, 'rows': 5, 'total': 35,
                                                    'lengths': [20, 35]})):
                sparse(w, f'rotary_{label}_{interleaved}', dtype=dtype, rotary=(50, 8), rotary_interleaved=interleaved, **more)


def anything(w, count=60):
    """Drawn, all sizes and options at once."""
    r = w.rng
    for i in range(count):
        block, blocks, kv_heads = int(r.choice([16, 16, 32, 64])), int(r.integers(1, 7)), int(r.integers(1, 4))
        heads, total = kv_heads * int(r.integers(1, 4)), int(r.integers(2, block * blocks + 1))
        rows, batch = int(r.choice([1, total, r.integers(1, total + 1)])), int(r.integers(1, 4))
        size = int(r.choice([16, 32, 48]))
        count_of = int(r.choice([n for n in range(1, heads + 1) if heads % n == 0]))
        more = {'rotary': (total + int(r.integers(0, 9)), int(r.choice(range(8, size // 2 + 1, 8)))),
                'rotary_interleaved': int(r.integers(0, 2))} if r.random() < 0.5 else {}
        if heads == 1 and rows < total:
            more['lengths'] = [int(r.integers(rows, total + 1)) if batch > 1 else total] + [total] * (batch - 1)
        if r.random() < 0.3:
            more['scale'] = float(r.uniform(0.1, 1))
        sparse(w, f'any_{i}', mask=drawn(w, count_of, blocks, r.uniform(0, 1)), block=block, batch=batch, heads=heads,
               kv_heads=kv_heads, rows=rows, size=size, cache=total + int(r.integers(0, 20)), total=total,
               packed=bool(r.random() < 0.4), dtype=F if i % 2 else np.float16,
               given=tuple(n for n in ('total', 'row_indices', 'col_indices', 'lengths') if r.random() < 0.5), **more)


NEAR = (layouts, edges, rotated, anything)
