# SPDX-License-Identifier: Apache-2.0
"""RNN, GRU, LSTM with the attributes that the ONNX project's own tests leave out."""
import numpy as np

from oracle_cases import F


def recurrents(w):
    steps, batch, width, hidden = 6, 3, 5, 7

    def floats(*shape):
        return (w.rng.standard_normal(shape) * 0.5).astype(F)

    for op, gates in (('RNN', 1), ('GRU', 3), ('LSTM', 4)):
        lens = ('lens', np.array([6, 2, 4], np.int32))
        options = [
            ('lens', 'bidirectional', True, {}),
            ('backward_lens', 'reverse', True, {}),
            ('clip', 'forward', False, {'clip': 0.4}),
            ('activations', 'bidirectional', False, {
                'activations': (['HardSigmoid', 'LeakyRelu', 'ScaledTanh'][:max(1, min(gates - 1, 3))]
                                + ['Sigmoid', 'Elu', 'Softsign'][:max(1, min(gates - 1, 3))]),
                'activation_alpha': {1: [0.3], 3: [0.3, 0.1], 4: [0.3, 0.1, 1.2, 0.7]}[gates],
                'activation_beta': {1: [0.4], 3: [0.4], 4: [0.4, 0.8]}[gates]}),
        ]
        if op == 'GRU':
            options.append(('linear', 'bidirectional', True, {'linear_before_reset': 1}))
        if op == 'LSTM':
            options.append(('forget', 'forward', False, {'input_forget': 1}))
        for label, direction, has_lens, attributes in options:
            d = 2 if direction == 'bidirectional' else 1
            values = [('x', floats(steps, batch, width)), ('w', floats(d, gates * hidden, width)),
                      ('r', floats(d, gates * hidden, hidden)), ('b', floats(d, 2 * gates * hidden)),
                      lens if has_lens else None, ('h', floats(d, batch, hidden))]
            if op == 'LSTM':
                values += [('c', floats(d, batch, hidden)), ('p', floats(d, 3 * hidden))]
            for packed in (True, False):
                w.case(f'{op.lower()}_{label}_{"constant" if packed else "given"}', op, values,
                       ('w', 'r', 'b', 'p') if packed else (), outputs=3 if op == 'LSTM' else 2,
                       hidden_size=hidden, direction=direction, **attributes)


NEAR = (recurrents,)
