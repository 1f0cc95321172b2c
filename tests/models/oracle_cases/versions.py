# SPDX-License-Identifier: Apache-2.0
"""Operators of versions that the standard has since replaced."""
import numpy as np

from oracle_cases import F


def masks_before_12(w):
    """Version 7 gives the mask the type of the data; of what is kept it says nothing before version 12."""
    for dtype in (F, np.float64, np.float16):
        x = w.rng.standard_normal((3, 5)).astype(dtype)
        for opset in (7, 10, 12, 13):
            if dtype is F or opset == 7:
                w.case(f'dropout{opset}_mask_{np.dtype(dtype).name}', 'Dropout', [('x', x)], outputs=2, opset=opset)


def thresholds_before_10(w):
    x = w.rng.standard_normal((3, 70)).astype(F)
    x[0, :3] = 1, -0.25, np.nextafter(F(1), F(2))
    for opset in (7, 9):
        for alpha in (None, -0.25):
            w.case(f'thresholded_relu{opset}_{alpha}'.replace('-', 'm'), 'ThresholdedRelu', [('x', x)], opset=opset,
                   **({} if alpha is None else {'alpha': alpha}))


EXACT = (masks_before_12, thresholds_before_10)
NEAR = ()
