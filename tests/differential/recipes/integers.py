# SPDX-License-Identifier: Apache-2.0
"""Operators with weights in few bits that ONNX Runtime alone has."""
import numpy as np

from differential.draft import MS, F
from differential.recipes import recipe
from differential.recipes.quantised import full


@recipe('DynamicQuantizeLSTM')
def lstm(d, op):
    t, b, i, h = d.integer(1, 6), d.integer(1, 4), d.integer(1, 20), d.integer(1, 20)
    direction = d.choice(['forward', 'reverse', 'bidirectional'])
    n, dtype = 2 if direction == 'bidirectional' else 1, d.choice((np.uint8, np.int8))
    columns = d.chance(0.5)  # a scale for each; zero points are then all the same

    def scales():
        shape = (n, 4 * h) if columns else (n,)
        zeros = np.full(shape, 0 if dtype == np.int8 else d.integer(90, 160), dtype) if columns else d.array(dtype, shape, 0, 20)
        return [d.give(d.array(F, shape, 0.001, 0.01)), d.give(zeros)]

    maybe = lambda p, make: make() if d.chance(p) else ''  # noqa: E731
    inputs = [d.tensor(F, (t, b, i)), full(d, dtype, (n, i, 4 * h), True if d.chance(0.7) or dtype == np.int8 else None),
              full(d, dtype, (n, h, 4 * h), True if d.chance(0.7) or dtype == np.int8 else None),
              maybe(0.7, lambda: d.give(d.array(F, (n, 8 * h), -1, 1))), maybe(0.4, lambda: d.give(d.array(np.int32, (b,), 0, t))),
              maybe(0.4, lambda: d.tensor(F, (n, b, h))), maybe(0.4, lambda: d.tensor(F, (n, b, h))),
              maybe(0.3, lambda: d.give(d.array(F, (n, 3 * h), -1, 1))), *scales(), *scales()]
    more = {'clip': 0.7} if d.chance(0.2) else {}
    if d.chance(0.3):
        more['activations'] = [d.choice(['Relu', 'Tanh', 'Sigmoid', 'Softsign', 'Softplus']) for _ in range(3 * n)]
    if d.chance(0.2):
        more['input_forget'] = 1
    return d.emit(op, inputs, 3, domain=MS, direction=direction, hidden_size=h, **more)
