# SPDX-License-Identifier: Apache-2.0
"""Losses: reductions, weights, ignored labels, both outputs."""
import numpy as np

from oracle_cases import F


def losses(w):
    for op, outputs in (('NegativeLogLikelihoodLoss', (1,)), ('SoftmaxCrossEntropyLoss', (1, 2))):
        for shape in ((5, 4), (3, 6, 2), (2, 3, 4, 5), (1, 1)):
            scores = w.rng.standard_normal(shape).astype(F)
            labels = w.rng.integers(0, shape[1], (shape[0], *shape[2:]))
            for reduction in ('none', 'sum', 'mean'):
                for weighted in (0, 1):
                    for ignored in (None, 1, -100):
                        mine = labels.copy()
                        if ignored == -100:
                            mine.flat[::3] = -100
                            if mine.size == 1:
                                continue  # nothing left to take the mean of
                        elif ignored is not None and (mine == ignored).all():
                            continue
                        given = [('x', scores), ('labels', mine.astype(np.int32 if weighted else np.int64))]
                        if weighted:
                            given.append(('w', w.rng.uniform(0.1, 2, shape[1]).astype(F)))
                        more = {} if ignored is None else {'ignore_index': ignored}
                        for count in outputs:
                            w.case(f'{op.lower()}_{len(shape)}_{shape[1]}_{reduction}_{weighted}_{ignored}_{count}', op, given,
                                   outputs=count, opset=13, reduction=reduction, **more)
    x = np.array([[1000, -1000, 0], [np.inf, 1, 2], [-np.inf, -np.inf, 3]], F)
    w.case('softmaxcrossentropyloss_large', 'SoftmaxCrossEntropyLoss', [('x', x[[0, 2]]), ('labels', np.array([1, 2]))], outputs=2,
           opset=13, reduction='none')


NEAR = (losses,)
