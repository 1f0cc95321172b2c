# SPDX-License-Identifier: Apache-2.0
"""Quantised operators whose scales are of half precision: what comes out of them is of it too."""
import numpy as np

from oracle_cases import MS

H = np.float16


def products(w):
    for t, dtype in (('uint8', np.uint8), ('int8', np.int8)):
        values = [('a', w.integers(dtype, 3, 17)), ('b', w.integers(dtype, 17, 8)), ('sa', H(0.02)),
                  ('sb', w.rng.uniform(0.01, 0.03, 8).astype(H)), ('za', w.zero(dtype)), ('zb', w.zero(dtype))]
        bias = ('bias', w.rng.standard_normal(8).astype(H))
        for name, constants in (('constant', ('b', 'sa', 'sb', 'za', 'zb', 'bias')), ('given', ())):
            w.case(f'matmulintegertofloat_half_{t}_{name}', 'MatMulIntegerToFloat', [*values, bias], constants, domain=MS)
            w.case(f'matmulintegertofloat_half_{t}_{name}_plain', 'MatMulIntegerToFloat', values, constants, domain=MS)


def attention(w):
    batch, length, width, heads = 2, 5, 8, 2
    values = [('x', w.integers(np.uint8, batch, length, width)), ('w', w.integers(np.int8, width, 3 * width)),
              ('b', w.rng.standard_normal(3 * width).astype(H)), ('sx', H(0.01)), ('sw', H(0.02)), None,
              ('zx', w.zero(np.uint8)), ('zw', np.int8(0))]
    for name, constants in (('constant', ('w', 'b', 'sx', 'sw', 'zx', 'zw')), ('given', ())):
        w.case(f'qattention_half_{name}', 'QAttention', values, constants, domain=MS, num_heads=heads)
        past = ('past', w.rng.standard_normal((2, batch, heads, 3, width // heads)).astype(H))
        w.case(f'qattention_half_past_{name}', 'QAttention', [*values, past], constants, outputs=2, domain=MS,
               num_heads=heads, unidirectional=1)


EXACT = (products, attention)
NEAR = ()
