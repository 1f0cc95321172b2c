# SPDX-License-Identifier: Apache-2.0
"""com.microsoft MoE and QMoE: mixtures of experts."""
import numpy as np

from oracle_cases import MS, F


def floats(w, *shape):
    return w.rng.standard_normal(shape).astype(F)


def inputs(w, lead, experts, hidden, inter, swiglu=False, fc1_bias=True, fc2_bias=True):
    """The operator's six, of what an expert does to tokens [*lead, hidden]."""
    wide = inter * (2 if swiglu else 1)
    return [('x', floats(w, *lead, hidden)), ('router', floats(w, int(np.prod(lead)), experts)),
            ('fc1', floats(w, experts, wide, hidden)), ('fc1_bias', floats(w, experts, wide)) if fc1_bias else None,
            ('fc2', floats(w, experts, hidden, inter)), ('fc2_bias', floats(w, experts, hidden)) if fc2_bias else None]


def activations(w):
    for activation in ('relu', 'gelu', 'silu', 'identity', 'swiglu'):
        for normalize in (0, 1):
            w.case(f'moe_{activation}_{normalize}', 'MoE', inputs(w, (7,), 4, 24, 40, swiglu=activation == 'swiglu'), domain=MS, k=2,
                   activation_type=activation, swiglu_fusion=1, normalize_routing_weights=normalize)
    w.case('moe_swiglu_gated', 'MoE', inputs(w, (2, 3), 4, 24, 16, swiglu=True), domain=MS, k=2, activation_type='swiglu',
           swiglu_fusion=1, activation_alpha=1.702, activation_beta=1.0, swiglu_limit=1.5)
    w.case('moe_swiglu_limit_0', 'MoE', inputs(w, (3,), 2, 8, 5, swiglu=True), domain=MS, activation_type='swiglu',
           swiglu_fusion=1, activation_beta=0.5, swiglu_limit=0.0)


def sizes(w):
    w.case('moe_plain', 'MoE', inputs(w, (5,), 3, 8, 16), domain=MS)
    for lead, experts, hidden, inter, k in (((1,), 1, 1, 1, 1), ((2, 3), 8, 17, 33, 8), ((0,), 2, 4, 4, 1), ((600,), 2, 5, 3, 1),
                                            ((300,), 3, 6, 7, 3), ((1, 1), 16, 64, 96, 4), ((4,), 2, 5, 0, 2)):
        w.case(f'moe_{"x".join(map(str, lead))}_{experts}_{hidden}_{inter}', 'MoE', inputs(w, lead, experts, hidden, inter), domain=MS,
               k=k)
    for fc1_bias, fc2_bias in ((False, False), (True, False), (False, True)):
        values = inputs(w, (6,), 4, 8, 12, fc1_bias=fc1_bias, fc2_bias=fc2_bias)
        w.case(f'moe_biases_{fc1_bias:d}{fc2_bias:d}', 'MoE', values, domain=MS, k=2, activation_type='silu')
    w.case('moe_mixer', 'MoE', inputs(w, (6,), 4, 8, 12), domain=MS, k=2, use_sparse_mixer=1)
    w.case('moe_constant', 'MoE', inputs(w, (6,), 4, 8, 12), constants=('fc1', 'fc1_bias', 'fc2', 'fc2_bias'), domain=MS, k=2)


def routing(w):
    """Of equal experts the later ones; none where no probability is a number."""
    for normalize in (0, 1):
        values = inputs(w, (8,), 4, 8, 12)
        router = values[1][1]
        router[0] = 0
        router[1] = [1, 2, 1, 2]
        router[2, 1] = -np.inf
        router[3, 2] = np.nan
        router[4, 2] = np.inf
        router[5] = -np.inf
        router[6] = [0, -200, -200, -200]
        w.case(f'moe_routing_{normalize}', 'MoE', values, domain=MS, k=3, normalize_routing_weights=normalize)
    values = inputs(w, (2,), 2, 4, 6)
    values[0][1][0, 0] = np.nan
    w.case('moe_nan', 'MoE', values, domain=MS, k=2)


def packed(w, dtype, experts, n, k, bits, block, zeros, bias):
    """Scales, matrix, bias and zero points of one product of QMoE, by name."""
    blocks = k // block if block else 1

    def raw(*shape):
        return w.rng.integers(0, 256, shape).astype(np.uint8)

    scales = (w.rng.random((experts, n, blocks)) * 2 ** (2 - bits) + 0.01).astype(dtype)
    points = raw(experts, n, -(-blocks * bits // 8)) if block else raw(experts, -(-n * bits // 8))
    return {'fc': raw(experts, n, k * bits // 8), 'scales': scales if block else scales[..., 0],
            'bias': w.rng.standard_normal((experts, n)).astype(dtype) if bias else None, 'zeros': points if zeros else None}


def quantised(w, name, dtype=F, tokens=(5,), hidden=64, inter=96, bits=4, block=0, zeros=False, bias=True, swiglu=False,
              constants=(), **more):
    fc = [packed(w, dtype, 4, n, k, bits, block, zeros, bias) for n, k in
          ((inter * (2 if swiglu else 1), hidden), (hidden, inter))]
    floats = [('x', w.rng.standard_normal((*tokens, hidden)).astype(dtype)),
              ('router', w.rng.standard_normal((int(np.prod(tokens)), 4)).astype(dtype))]
    parts = [(f'{part}{i}', f[part]) for i, f in enumerate(fc) for part in ('fc', 'scales', 'bias')]
    points = [None] * 3 + [(f'zeros{i}', f['zeros']) for i, f in enumerate(fc)] if zeros else []
    attributes = {'block_size': block} if block else {}
    values = [v if v is not None and v[1] is not None else None for v in floats + parts + points]
    while values[-1] is None:
        values.pop()
    w.case(f'qmoe_{name}', 'QMoE', values, constants=constants, domain=MS, expert_weight_bits=bits,
           **{'activation_type': 'swiglu' if swiglu else 'silu', 'k': 2, 'swiglu_fusion': int(swiglu), **attributes, **more})


def few_bits(w):
    """Matrices are inputs: of constant ones of 8 bits in blocks ONNX Runtime makes the tokens 8 bits too."""
    for dtype in (F, np.float16):
        t = np.dtype(dtype).name
        for bits in (4, 8):
            for block in (0, 16, 32):
                for zeros in (False, True):
                    quantised(w, f'{t}_{bits}_{block}_{zeros:d}', dtype, bits=bits, block=block, zeros=zeros)
        quantised(w, f'{t}_swiglu', dtype, swiglu=True, tokens=(2, 3), activation_alpha=1.702, activation_beta=1.0, swiglu_limit=2.0)
        quantised(w, f'{t}_plain', dtype, hidden=6, inter=10, bias=False, k=1)
    for block, zeros in ((0, False), (0, True), (16, True), (32, False)):
        quantised(w, f'constant_{block}_{zeros:d}', block=block, zeros=zeros,
                  constants=('fc0', 'fc1', 'scales0', 'scales1', 'zeros0', 'zeros1'))
    for activation in ('relu', 'gelu', 'identity'):
        quantised(w, activation, activation_type=activation, normalize_routing_weights=1)
    quantised(w, 'empty', tokens=(0,))
    quantised(w, 'rows', hidden=14, inter=22, bits=8, fc1_expert_weight_bits=8, zeros=True)


EXACT = ()
NEAR = (activations, sizes, routing, few_bits)
