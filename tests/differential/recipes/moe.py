# SPDX-License-Identifier: Apache-2.0
"""Mixtures of experts."""
import numpy as np

from differential.draft import MS, F
from differential.recipes import recipe


def settings(d, experts):
    """Attributes that MoE and QMoE have, whether they make it SwiGLU, and dimensions of tokens."""
    more = {'normalize_routing_weights': d.integer(0, 1)} if d.chance(0.5) else {}
    if d.chance(0.7):
        more['activation_type'] = d.choice(['relu', 'gelu', 'silu', 'identity', 'swiglu'])
    swiglu = more.get('activation_type') == 'swiglu'
    if swiglu:
        more['swiglu_fusion'] = 1
    for name, high in (('activation_alpha', 2), ('activation_beta', 1), ('swiglu_limit', 3)):
        if d.chance(0.4):
            more[name] = d.integer(0, 4 * high) / 4
    if d.chance(0.7):
        more['k'] = d.integer(1, experts)
    return more, swiglu, (d.integer(0, 20),) if d.chance(0.5) else (d.integer(1, 3), d.integer(1, 7))


@recipe('MoE')
def moe(d, op):
    experts, hidden, inter = d.integer(1, 6), d.integer(1, 40), d.integer(1, 40)
    more, swiglu, lead = settings(d, experts)
    wide = inter * 2 if swiglu else inter

    def bias(n):
        return d.tensor(F, (experts, n)) if d.chance(0.6) else ''

    inputs = [d.tensor(F, (*lead, hidden)), d.tensor(F, (int(np.prod(lead)), experts)), d.tensor(F, (experts, wide, hidden)),
              bias(wide), d.tensor(F, (experts, hidden, inter)), bias(hidden)]
    while not inputs[-1]:
        inputs.pop()
    return d.emit(op, inputs, domain=MS, **more)


@recipe('QMoE')
def few_bits(d, op):
    """Its matrices are inputs: of constant ones of 8 bits in blocks ONNX Runtime makes the tokens 8 bits too."""
    if d.parent is not None:
        return None  # a subgraph has constants alone
    dtype, experts, bits, block = d.choice([F, np.float16]), d.integer(1, 5), d.choice([4, 8]), d.choice([0, 0, 16, 32])
    hidden, inter = (d.integer(1, 3) * block if block else 2 * d.integer(1, 20) for _ in range(2))
    more, swiglu, lead = settings(d, experts)

    def part(shape, type_=dtype, low=None, high=None):
        return d.give(d.array(type_, shape, low, high), False)

    products, zeros = [], []
    for n, k in ((inter * 2 if swiglu else inter, hidden), (hidden, inter)):
        blocks = k // block if block else 1
        products += [part((experts, n, k * bits // 8), np.uint8, 0, 255),
                     part((experts, n, blocks) if block else (experts, n), low=0, high=4 / 2 ** bits),  # halves do not overflow
                     part((experts, n)) if d.chance(0.6) else '']
        points = (experts, n, -(-blocks * bits // 8)) if block else (experts, -(-n * bits // 8))
        zeros += [part(points, np.uint8, 0, 255)]
    inputs = [part((*lead, hidden)), part((int(np.prod(lead)), experts)), *products]
    if d.chance(0.5):
        inputs += ['', '', '', *zeros]
    while not inputs[-1]:
        inputs.pop()
    return d.emit(op, inputs, domain=MS, expert_weight_bits=bits, **({'block_size': block} if block else {}), **more)
