# SPDX-License-Identifier: Apache-2.0
"""com.microsoft AttnLSTM: directions, optional inputs, activations."""
import numpy as np

from oracle_cases import MS, F


def attention(w):
    def case(label, steps=4, batch=3, inputs=5, hidden=6, memory=7, depth=4, keys=3, layer=None, direction='forward', have='', **more):
        dirs = 2 if direction == 'bidirectional' else 1
        wide = inputs + (layer or depth)

        def some(*shape):
            return w.rng.uniform(-0.8, 0.8, shape).astype(F)

        def maybe(letter, name, value):
            return (name, value) if letter in have else None
        lens = w.rng.integers(1, steps + 1, batch).astype(np.int32)
        lens[0] = steps
        given = [('x', some(steps, batch, inputs)), ('w', some(dirs, 4 * hidden, wide)), ('r', some(dirs, 4 * hidden, hidden)),
                 maybe('b', 'b', some(dirs, 8 * hidden)), maybe('l', 'lens', lens), maybe('h', 'h', some(dirs, batch, hidden)),
                 maybe('c', 'c', some(dirs, batch, hidden)), maybe('p', 'p', some(dirs, 3 * hidden)),
                 ('qw', some(dirs, hidden, keys)), ('mw', some(dirs, depth, keys)), ('v', 3 * some(dirs, keys)), ('m', some(batch, memory, depth)),
                 maybe('m', 'memory_lens', w.rng.integers(1, memory + 1, batch).astype(np.int32)),
                 ('aw', some(dirs, depth + hidden, layer)) if layer else None]
        while given[-1] is None:
            given.pop()
        fixed = ('w', 'r', 'qw', 'mw', 'v') if 'f' in have else ()
        w.case(f'attnlstm_{label}', 'AttnLSTM', given, fixed, outputs=3, domain=MS, direction=direction, hidden_size=hidden, **more)

    for direction in ('forward', 'reverse', 'bidirectional'):
        for layer in (None, 5):
            for have in ('', 'b', 'blhcpm', 'bf', 'lm', 'hcp'):
                case(f'{direction}_{layer}_{have}', layer=layer, direction=direction, have=have)
    case('one', 1, 1, 1, 1, 1, 1, 1, 1)
    case('wide', 9, 2, 40, 33, 20, 37, 18, 21, have='bfm')
    case('clip', have='b', clip=0.3)
    case('coupled', have='bp', input_forget=1)
    case('activations', have='b', layer=3, activations=['HardSigmoid', 'Softsign', 'Relu'])
    case('both_activations', have='bl', direction='bidirectional',
         activations=['Sigmoid', 'Tanh', 'Relu', 'HardSigmoid', 'ScaledTanh', 'Tanh'], activation_alpha=[0.3, 0.9], activation_beta=[0.4, 1.1])


NEAR = (attention,)
