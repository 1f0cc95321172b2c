# SPDX-License-Identifier: Apache-2.0
"""com.microsoft operators with weights in few bits."""
import numpy as np

from oracle_cases import MS, F


def lstms(w):
    steps, batch, width, hidden = 6, 3, 10, 9
    lens = ('lens', np.array([6, 0, 4], np.int32))

    def floats(*shape):
        return (w.rng.standard_normal(shape) * 0.5).astype(F)

    for dtype in (np.uint8, np.int8):
        for label, direction, columns, extras, more in (
                ('plain', 'forward', False, False, {}), ('columns', 'reverse', True, False, {'clip': 0.6}),
                ('both', 'bidirectional', False, True, {}), ('whole', 'bidirectional', True, True, {'input_forget': 1})):
            d = 2 if direction == 'bidirectional' else 1
            shape = (d, 4 * hidden) if columns else (d,)
            zero = np.full(shape, 0 if dtype == np.int8 else 117, dtype)
            values = [('x', floats(steps, batch, width)), ('w', w.weights(dtype, d, width, 4 * hidden)),
                      ('r', w.weights(dtype, d, hidden, 4 * hidden)), ('b', floats(d, 8 * hidden)) if extras else None,
                      lens if extras else None, ('h', floats(d, batch, hidden)) if extras else None,
                      ('c', floats(d, batch, hidden)) if extras else None, ('p', floats(d, 3 * hidden)) if extras else None,
                      ('ws', w.rng.uniform(0.002, 0.01, shape).astype(F)), ('wz', zero),
                      ('rs', w.rng.uniform(0.002, 0.01, shape).astype(F)), ('rz', zero)]
            for given in (True, False):
                w.case(f'dynamicquantizelstm_{np.dtype(dtype)}_{label}_{"given" if given else "constant"}', 'DynamicQuantizeLSTM',
                       values, () if given else ('w', 'r', 'ws', 'wz', 'rs', 'rz', 'b'), outputs=3, domain=MS,
                       direction=direction, hidden_size=hidden, **more)


NEAR = (lstms,)
