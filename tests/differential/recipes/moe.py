# SPDX-License-Identifier: Apache-2.0
"""Mixtures of experts."""
import numpy as np

from differential.draft import MS, F
from differential.recipes import recipe


@recipe('MoE')
def moe(d, op):
    experts, hidden, inter = d.integer(1, 6), d.integer(1, 40), d.integer(1, 40)
    lead = (d.integer(0, 20),) if d.chance(0.5) else (d.integer(1, 3), d.integer(1, 7))
    more = {'normalize_routing_weights': d.integer(0, 1)} if d.chance(0.5) else {}
    if d.chance(0.7):
        more['activation_type'] = d.choice(['relu', 'gelu', 'silu', 'identity', 'swiglu'])
    swiglu = more.get('activation_type') == 'swiglu'
    if swiglu or d.chance(0.2):
        more['swiglu_fusion'] = 1
    for name, high in (('activation_alpha', 2), ('activation_beta', 1), ('swiglu_limit', 3)):
        if d.chance(0.4):
            more[name] = d.integer(0, 4 * high) / 4
    if d.chance(0.7):
        more['k'] = d.integer(1, experts)
    wide = inter * 2 if swiglu else inter

    def bias(n):
        return d.tensor(F, (experts, n)) if d.chance(0.6) else ''

    inputs = [d.tensor(F, (*lead, hidden)), d.tensor(F, (int(np.prod(lead)), experts)), d.tensor(F, (experts, wide, hidden)),
              bias(wide), d.tensor(F, (experts, hidden, inter)), bias(hidden)]
    while not inputs[-1]:
        inputs.pop()
    return d.emit(op, inputs, domain=MS, **more)
