# SPDX-License-Identifier: Apache-2.0
"""com.microsoft MoE: mixtures of experts."""
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


EXACT = ()
NEAR = (activations, sizes, routing)
