# SPDX-License-Identifier: Apache-2.0
"""Images large enough for the fast kernels, and operators on regions of them."""
import numpy as np

from differential.draft import MS, F
from differential.recipes import recipe
from differential.recipes.neural import windows
from differential.recipes.reducing import image


def activated(d, x):
    """What follows a convolution in a network."""
    op = d.choice(['Relu', 'Clip', 'LeakyRelu', 'HardSwish', 'Sigmoid', 'Tanh', 'Elu', 'HardSigmoid', 'PRelu', 'none'])
    if op == 'none':
        return [x]
    if op == 'Clip':
        if d.opset < 11:
            return d.emit(op, [x], min=0.0, max=6.0)
        return d.emit(op, [x, d.constant(0, F), d.constant(6, F)])
    if op == 'PRelu':
        return d.emit(op, [x, d.constant(d.array(F, (d.of(x).shape[1], 1, 1)))])
    return d.emit(op, [x])


@recipe('conv-network')
def network(d, _):
    """Convolutions in a row as networks have them: wide, with what is folded into them and residuals around them."""
    c = d.choice([3, 16, 24, 32, 48, 64])
    x = d.tensor(F, (1, c, d.choice([7, 14, 20]), d.choice([7, 13, 20])))
    for _ in range(d.integer(1, 3)):
        a = d.of(x)
        c = a.shape[1]
        kind = d.choice(['pointwise', 'full', 'depthwise', 'grouped'])
        k = 1 if kind == 'pointwise' else d.choice([3, 3, 5, 7])
        group = c if kind == 'depthwise' else d.choice([g for g in (2, 3, 4) if c % g == 0] or [1]) if kind == 'grouped' else 1
        m = c if kind == 'depthwise' else group * d.choice([8, 16, 24]) // (group if group < 3 else 1)
        m -= m % group
        scale = (c // group * k * k) ** -0.5
        inputs = [x, d.constant(d.array(F, (m, c // group, k, k)) * F(scale))]
        if d.chance(0.6):
            inputs.append(d.constant(d.array(F, (m,))))
        stride = d.choice([1, 1, 2])
        if min(a.shape[2:]) + k // 2 * 2 < k:
            break
        y = d.emit('Conv', inputs, kernel_shape=[k, k], pads=[k // 2] * 4, strides=[stride, stride], group=group)
        if y and d.chance(0.4):
            rest = [d.constant(d.array(F, (m,), *r)) for r in ((0.5, 2), (-1, 1), (-1, 1), (0.3, 2))]
            y = d.emit('BatchNormalization', [y[0], *rest])
        if y and d.of(y[0]).shape == a.shape and d.chance(0.5):
            y = d.emit('Add', [y[0], x] if d.chance(0.5) else [x, y[0]])
        y = y and activated(d, y[0])
        if y and d.chance(0.2) and min(d.of(y[0]).shape[2:]) >= 2:
            y = d.emit(d.choice(['MaxPool', 'AveragePool']), y, kernel_shape=[2, 2], strides=[2, 2])
        if not y:
            return None
        x = y[0]
    if d.chance(0.3):
        return d.emit('GlobalAveragePool', [x])
    return [x]


@recipe('FusedConv')
def fused_conv(d, op):
    c, m = d.integer(1, 8), d.integer(1, 20)
    x = image(d, F, c, low=4, high=4)
    kernel, drawn = windows(d, d.of(x).shape[2:])
    inputs = [x, d.constant(d.array(F, (m, c, *kernel))), d.constant(d.array(F, (m,)))]
    act, params = d.choice([('Relu', None), ('Sigmoid', None), ('Tanh', None), ('LeakyRelu', [0.2]), ('Clip', [-0.5, 0.8]),
                            ('HardSigmoid', [0.3, 0.4])])
    more = {'activation_params': params} if params else {}
    plain = d.emit('Conv', inputs, kernel_shape=kernel, **drawn) if d.chance(0.3) else None
    if plain:  # something of the result's shape is added before the activation
        inputs.append(d.tensor(F, d.of(plain[0]).shape))
    return d.emit(op, inputs, domain=MS, activation=act, kernel_shape=kernel, **drawn, **more)


@recipe('MaxRoiPool')
def roi_pool(d, op):
    x = image(d, F, low=4, high=4)
    n, count = d.of(x).shape[0], d.integer(1, 4)
    corners = np.sort(d.rng.integers(0, 9, (count, 2, 2)), 1).reshape(count, 4)
    boxes = np.concatenate([d.rng.integers(0, n, (count, 1)), corners], 1).astype(F)
    return d.emit(op, [x, d.give(boxes)], pooled_shape=[d.integer(1, 4), d.integer(1, 4)], spatial_scale=d.choice([1.0, 0.5]))


@recipe('MaxUnpool')
def unpool(d, op):
    if d.opset < 11:
        return None
    x = d.tensor(F, (d.integer(1, 2), d.integer(1, 3), d.integer(2, 9), d.integer(2, 9)))
    k = [d.integer(1, 2), d.integer(1, 2)]
    pooled = d.emit('MaxPool', [x], 2, kernel_shape=k, strides=k)
    if pooled and d.chance(0.3):  # as large as it was, though the windows left something over
        pooled = [*pooled, d.constant(d.of(x).shape, np.int64)]
    return pooled and d.emit(op, pooled, kernel_shape=k, strides=k)


@recipe('DeformConv')
def deform(d, op):
    if d.opset < 19:
        return None
    groups, offsets, k = d.integer(1, 2), d.integer(1, 2), [d.integer(1, 3), d.integer(1, 3)]
    c, m = 2 * groups * d.integer(1, 2), groups * d.integer(1, 3)
    h, w = d.integer(3, 8), d.integer(3, 8)
    n, out = d.integer(1, 2), (h + 2 - k[0] + 1, w + 2 - k[1] + 1)
    kind = d.choice([F, F, np.float64])
    inputs = [d.tensor(kind, (n, c, h, w)), d.tensor(kind, (m, c // groups, *k)), d.tensor(kind, (n, offsets * k[0] * k[1] * 2, *out)),
              d.tensor(kind, (m,)) if d.chance(0.5) else '', d.tensor(kind, (n, offsets * k[0] * k[1], *out)) if d.chance(0.5) else '']
    return d.emit(op, inputs, pads=[1, 1, 1, 1], group=groups, offset_group=offsets, kernel_shape=k)


@recipe('ms-GridSample')
def grid_sample(d, _):
    x = image(d, F, low=4, high=4)
    grid = d.tensor(F, (d.of(x).shape[0], d.integer(1, 6), d.integer(1, 6), 2), -1.2, 1.2)
    return d.emit('GridSample', [x, grid], domain=MS, mode=d.choice(['nearest', 'bilinear', 'bicubic']),
                  padding_mode=d.choice(['zeros', 'border', 'reflection']), align_corners=d.integer(0, 1))
