#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Deterministic generator of the reference ONNX models.

  gen_models.py OUT [NAME ...]      write OUT/NAME/model.onnx, its test inputs and OUT/stats.json
  gen_models.py --list              names; '*' marks the large ones, written only when named or with --all
  gen_models.py OUT --table         also print a Markdown table of them

Options: --batch N, --dynamic (symbolic batch), --opset V, --all.

Needs only numpy and onnx (1.12 or newer).  The networks have the published shapes but random
weights (He-initialised, seeded).  So that a mistake in any layer shows in the output, every value is
pushed through a small numpy evaluator while the graph is built: BatchNorm statistics are the real
statistics of a calibration input (networks without BatchNorm get weights rescaled to the same end),
the last layer is scaled to a spread of about one, and the quantised models use the observed ranges.  Expected outputs are
written by oracle.py (ONNX Runtime).
"""
import argparse
import json
import os
import sys
import time
import zlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

F32 = np.float32


# ---------------------------------------------------------------------------------------------
# Random data
# ---------------------------------------------------------------------------------------------
def rng_for(name):
    """A generator whose stream numpy guarantees never to change."""
    return np.random.RandomState(zlib.crc32(name.encode()))


def field(rng, shape):
    """Image-like noise: octaves whose strength grows with their size, as in natural pictures, so that
    deep layers still see structure and two inputs differ in more than detail."""
    out, power = np.zeros(shape, F32), 0.0
    for step in (1, 2, 4, 8, 16, 32, 64):
        if step > 1 and step * 4 > max(shape[2:]):
            break
        low = rng.standard_normal(tuple(shape[:2]) + tuple(-(-s // step) for s in shape[2:])).astype(F32)
        for ax in range(2, len(shape)):
            low = np.repeat(low, step, axis=ax)
        out += low[tuple(slice(0, s) for s in shape)] * F32(np.sqrt(step))
        power += step
    return out / F32(np.sqrt(power))


def unit_field(rng, shape):
    """The same, squashed into 0..1 (what a scaled image or MRI slice looks like)."""
    return (1 / (1 + np.exp(-1.5 * field(rng, shape)))).astype(F32)


def rnd(a, digits=5):
    """Round to few significant digits: as the evaluator works in double precision, the files then do
    not depend on the BLAS used here or its threads."""
    a = np.asarray(a, np.float64)
    e = np.floor(np.log10(np.maximum(np.abs(a), 1e-30)))
    return (np.round(a / 10 ** e * 10 ** (digits - 1)) / 10 ** (digits - 1) * 10 ** e).astype(F32)


# ---------------------------------------------------------------------------------------------
# Numpy evaluation of the CNN operators (any spatial rank), used for calibration only
# ---------------------------------------------------------------------------------------------
def taps(x, k, stride, pad, fill=0.0):
    """Yield (tap index, strided view) for every position of a window of shape k."""
    xp = np.pad(x, [(0, 0), (0, 0)] + [(p, p) for p in pad], constant_values=fill)
    out = [(xp.shape[2 + i] - k[i]) // stride[i] + 1 for i in range(len(k))]
    for t in np.ndindex(*k):
        yield t, xp[(slice(None),) * 2 + tuple(slice(a, a + s * (o - 1) + 1, s) for a, s, o in zip(t, stride, out))]


def np_conv(x, w, b, stride, pad, group):
    y = None
    for t, v in taps(x, w.shape[2:], stride, pad):
        wt = w[(slice(None), slice(None)) + t]
        if group == 1:
            part = np.matmul(wt, v.reshape(v.shape[0], v.shape[1], -1)).reshape((v.shape[0], -1) + v.shape[2:])
        else:  # depthwise
            part = v * wt.reshape((1, -1) + (1,) * (v.ndim - 2))
        y = part if y is None else y + part
    return y if b is None else y + b.reshape((1, -1) + (1,) * (x.ndim - 2))


def np_convT(x, w, b):
    """Transposed convolution whose kernel equals its stride (no overlap)."""
    k = w.shape[2:]
    y = np.zeros((x.shape[0], w.shape[1]) + tuple(s * f for s, f in zip(x.shape[2:], k)))
    for t in np.ndindex(*k):
        v = np.matmul(w[(slice(None), slice(None)) + t].T, x.reshape(x.shape[0], x.shape[1], -1))
        y[(slice(None),) * 2 + tuple(slice(a, None, f) for a, f in zip(t, k))] = v.reshape((x.shape[0], -1) + x.shape[2:])
    return y + b.reshape((1, -1) + (1,) * (x.ndim - 2))


def np_up2_linear(x):
    """Bilinear/trilinear x2 with half-pixel centres."""
    for ax in range(2, x.ndim):
        n = x.shape[ax]
        prev, nxt = x.take(np.maximum(np.arange(n) - 1, 0), ax), x.take(np.minimum(np.arange(n) + 1, n - 1), ax)
        y = np.stack([0.25 * prev + 0.75 * x, 0.75 * x + 0.25 * nxt], axis=ax + 1)
        x = y.reshape(x.shape[:ax] + (2 * n,) + x.shape[ax + 1:])
    return x


# ---------------------------------------------------------------------------------------------
# Graph builder
# ---------------------------------------------------------------------------------------------
class Net:
    """Collects nodes; knows for every tensor its declared shape and (for CNNs) a calibration value."""

    def __init__(self, name, seed, opset, batch=1, dynamic=False, ml=False):
        self.name, self.opset, self.batch, self.dynamic, self.ml = name, opset, batch, dynamic, ml
        self.rng = rng_for(seed)
        self.nodes, self.inits, self.inputs, self.outputs = [], {}, [], []
        self.shape, self.dtype, self.val, self.macs, self.n = {}, {}, {}, {}, 0
        self.feeds = []

    # -- plumbing
    def input(self, name, shape, gen=field, dtype=TensorProto.FLOAT, calib=None, calib_batch=1):
        """gen(rng, shape) makes the data; calib is the calibration input's shape without the batch."""
        self.shape[name], self.dtype[name] = list(shape), dtype
        self.inputs.append(name)
        self.feeds.append(np.ascontiguousarray(gen(rng_for(self.name.split('_int8')[0] + '/test/' + name), tuple(shape))))
        if calib is not False:
            cs = (calib_batch,) + tuple(calib or shape[1:])
            self.val[name] = gen(self.rng, cs).astype(np.float64)
        return name

    def const(self, hint, array):
        self.n += 1
        name = '%s_%d' % (hint, self.n)
        self.inits[name] = np.asarray(array)
        return name

    def op(self, kind, ins, shape, value=None, macs=0, outs=1, dtype=TensorProto.FLOAT, domain='', **attrs):
        """Append a node; shape is the declared output shape (a list of them when outs > 1)."""
        self.n += 1
        names = ['%s_%d' % (kind.lower(), self.n)] if outs == 1 else ['%s_%d_%d' % (kind.lower(), self.n, i) for i in range(outs)]
        self.nodes.append(helper.make_node(kind, ins, names, name='%s_%d' % (kind, self.n), domain=domain, **attrs))
        for nm, sh in zip(names, [shape] if outs == 1 else shape):
            self.shape[nm], self.dtype[nm] = list(sh), dtype
        if value is not None:
            self.val[names[0]] = value
        if macs:
            self.macs[self.nodes[-1].name] = int(macs)
        return names[0] if outs == 1 else names

    def output(self, *tensors):
        self.outputs += tensors

    def randn(self, shape, std):
        return (self.rng.standard_normal(shape) * std).astype(F32)

    # -- layers
    def conv(self, x, cout, k, stride=1, pad=None, group=1, bias=True, gain=2.0, unit=False):
        """Convolution with He weights; unit=True (networks without BatchNorm) rescales each output
        channel to mean about 0 and spread 1 on the calibration input, as training would."""
        s, r = self.shape[x], len(self.shape[x]) - 2
        k = [k] * r if np.isscalar(k) else list(k)
        stride = [stride] * r if np.isscalar(stride) else list(stride)
        pad = [i // 2 for i in k] if pad is None else pad
        cin = s[1] // group
        w = self.randn([cout, cin] + k, np.sqrt(gain / (cin * np.prod(k))))
        b = self.randn([cout], 0.05) if bias else None
        out = [s[0], cout] + [(d + 2 * p - kk) // st + 1 for d, p, kk, st in zip(s[2:], pad, k, stride)]
        y = np_conv(self.val[x], w, b, stride, pad, group)
        if unit:
            ax, col = (0,) + tuple(range(2, y.ndim)), (-1,) + (1,) * (y.ndim - 2)
            f, c = rnd(1.0 / np.maximum(y.std(ax), 1e-3)), rnd(self.rng.uniform(-0.3, 0.3, cout))
            c = rnd(c - y.mean(ax) * f)
            w, b, y = w * f.reshape((-1,) + (1,) * (w.ndim - 1)), (b * f + c).astype(F32), y * f.reshape(col) + c.reshape(col)
        ins = [x, self.const('w', w)] + ([self.const('b', b)] if bias else [])
        return self.op('Conv', ins, out, y, macs=np.prod(out) * cin * np.prod(k),
                       kernel_shape=k, strides=stride, pads=pad + pad, group=group)

    def convT(self, x, cout, k=2):
        s, r = self.shape[x], len(self.shape[x]) - 2
        w, b = self.randn([s[1], cout] + [k] * r, np.sqrt(1.0 / s[1])), self.randn([cout], 0.05)
        return self.op('ConvTranspose', [x, self.const('w', w), self.const('b', b)], [s[0], cout] + [d * k for d in s[2:]],
                       np_convT(self.val[x], w, b), macs=np.prod(s) * cout * k ** r, kernel_shape=[k] * r, strides=[k] * r)

    def bn(self, x, gamma=1.0):
        """BatchNorm whose statistics are those of the calibration input, with a random affine part."""
        v, c = self.val[x], self.shape[x][1]
        ax = (0,) + tuple(range(2, v.ndim))
        mean, var = rnd(v.mean(ax)), rnd(np.maximum(v.var(ax), 1e-3))
        g, b = rnd(gamma * self.rng.uniform(0.7, 1.3, c)), rnd(self.rng.uniform(-0.3, 0.3, c))
        sh = (1, -1) + (1,) * (v.ndim - 2)
        y = (v - mean.reshape(sh)) / np.sqrt(var + 1e-5).reshape(sh) * g.reshape(sh) + b.reshape(sh)
        ins = [x] + [self.const(h, a) for h, a in (('gamma', g), ('beta', b), ('mean', mean), ('var', var))]
        return self.op('BatchNormalization', ins, self.shape[x], y, epsilon=1e-5)

    def relu(self, x):
        return self.op('Relu', [x], self.shape[x], np.maximum(self.val[x], 0) if x in self.val else None)

    def relu6(self, x):
        lo, hi = self.const('min', F32(0)), self.const('max', F32(6))
        return self.op('Clip', [x, lo, hi], self.shape[x], np.clip(self.val[x], 0, 6))

    def sigmoid(self, x):
        return self.op('Sigmoid', [x], self.shape[x], 1 / (1 + np.exp(-self.val[x])))

    def pool(self, kind, x, k, stride, pad=0):
        s, r = self.shape[x], len(self.shape[x]) - 2
        k, st, p = [k] * r, [stride] * r, [pad] * r
        vs = [v for _, v in taps(self.val[x], k, st, p, -np.inf if kind == 'MaxPool' else 0.0)]
        y = np.maximum.reduce(vs) if kind == 'MaxPool' else sum(vs) / len(vs)
        return self.op(kind, [x], s[:2] + [(d + 2 * pad - kk) // ss + 1 for d, kk, ss in zip(s[2:], k, st)], y,
                       kernel_shape=k, strides=st, pads=p + p)

    def gap(self, x):
        v = self.val[x].mean(tuple(range(2, self.val[x].ndim)), keepdims=True)
        return self.op('GlobalAveragePool', [x], self.shape[x][:2] + [1] * (len(self.shape[x]) - 2), v)

    def add(self, a, b):
        return self.op('Add', [a, b], self.shape[a], self.val[a] + self.val[b])

    def concat(self, *xs):
        s = list(self.shape[xs[0]])
        s[1] = sum(self.shape[x][1] for x in xs)
        v = np.concatenate([self.val[x] for x in xs], 1) if xs[0] in self.val else None
        return self.op('Concat', list(xs), s, v, axis=1)

    def up2(self, x):
        s = self.shape[x]
        scales = self.const('scales', np.array([1, 1] + [2] * (len(s) - 2), F32))
        return self.op('Resize', [x, '', scales], s[:2] + [2 * d for d in s[2:]], np_up2_linear(self.val[x]),
                       mode='linear', coordinate_transformation_mode='half_pixel')

    def flatten(self, x):
        v = self.val[x].reshape(self.val[x].shape[0], -1) if x in self.val else None
        return self.op('Flatten', [x], [self.shape[x][0], int(np.prod(self.shape[x][1:]))], v, axis=1)

    def gemm(self, x, n, gain=2.0, unit=False):
        """Fully connected layer; unit=True takes out most of each output's mean over the calibration batch
        and gives the rest a spread of one, so that the output follows the input and not only the weights."""
        b, k = self.shape[x]
        w, c = self.randn([n, k], np.sqrt(gain / k)), self.randn([n], 0.05)
        y = None
        if x in self.val:
            y = self.val[x] @ w.T + c
            if unit:
                m = 0.6 * y.mean(0)
                f = rnd(1.0 / max(float((y - m).std()), 1e-6))
                w, c, y = (w * f).astype(F32), rnd((c - m) * f), (y - m) * f
        return self.op('Gemm', [x, self.const('w', w), self.const('b', c)], [b, n], y, macs=b * n * k, transB=1)

    def head(self, x, cout):
        """Final 1x1 convolution scaled to a spread of about one, so that a sigmoid is not saturated."""
        y = self.conv(x, cout, 1)
        f = rnd(1.0 / max(float(self.val[y].std()), 1e-6))
        c = rnd(self.val[y].mean() * f)
        for nm in self.nodes[-1].input[1:]:
            self.inits[nm] = (self.inits[nm] * f).astype(F32) - (c if nm.startswith('b_') else F32(0))
        self.val[y] = self.val[y] * f - c
        return y

    # -- generic (no calibration value) operators for the non-CNN models
    def simple(self, kind, ins, shape, macs=0, **attrs):
        return self.op(kind, ins, shape, None, macs, **attrs)

    # -- output
    def model(self):
        def info(n):
            s = list(self.shape[n])
            if self.dynamic and s and s[0] == self.batch:
                s[0] = 'N'
            return helper.make_tensor_value_info(n, self.dtype[n], s)
        g = helper.make_graph(self.nodes, self.name, [info(n) for n in self.inputs], [info(n) for n in self.outputs],
                              [numpy_helper.from_array(a, n) for n, a in self.inits.items()])
        ops = [helper.make_opsetid('', self.opset)] + ([helper.make_opsetid('ai.onnx.ml', 2)] if self.ml else [])
        m = helper.make_model(g, opset_imports=ops, producer_name='gen_models')
        m.ir_version = 8
        return m


# ---------------------------------------------------------------------------------------------
# Convolutional networks
# ---------------------------------------------------------------------------------------------
def resnet50(n, side=224):
    """He et al. 2015, v1.5 (stride in the 3x3), 1000 classes."""
    x = n.input('input', [n.batch, 3, side, side], calib_batch=4)
    x = n.pool('MaxPool', n.relu(n.bn(n.conv(x, 64, 7, 2, bias=False))), 3, 2, 1)
    for width, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for i in range(blocks):
            st = stride if i == 0 else 1
            y = n.relu(n.bn(n.conv(x, width, 1, bias=False)))
            y = n.relu(n.bn(n.conv(y, width, 3, st, bias=False)))
            y = n.bn(n.conv(y, width * 4, 1, bias=False), gamma=0.5)
            if i == 0:
                x = n.bn(n.conv(x, width * 4, 1, st, bias=False))
            x = n.relu(n.add(y, x))
    n.output(n.gemm(n.flatten(n.gap(x)), 1000, unit=True))


def vgg16(n):
    """Simonyan & Zisserman 2014, configuration D, 1000 classes."""
    x = n.input('input', [n.batch, 3, 224, 224], calib_batch=2)
    for width, convs in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(convs):
            x = n.relu(n.conv(x, width, 3, unit=True))
        x = n.pool('MaxPool', x, 2, 2)
    x = n.relu(n.gemm(n.flatten(x), 4096))
    x = n.relu(n.gemm(x, 4096))
    n.output(n.gemm(x, 1000, unit=True))


def densenet121(n):
    """Huang et al. 2016; 14 sigmoid outputs as in CheXNet (Rajpurkar et al. 2017)."""
    x = n.input('input', [n.batch, 3, 224, 224], calib_batch=4)
    x = n.pool('MaxPool', n.relu(n.bn(n.conv(x, 64, 7, 2, bias=False))), 3, 2, 1)
    for i, layers in enumerate((6, 12, 24, 16)):
        for _ in range(layers):
            y = n.conv(n.relu(n.bn(x)), 128, 1, bias=False)
            y = n.conv(n.relu(n.bn(y)), 32, 3, bias=False)
            x = n.concat(x, y)
        if i < 3:
            x = n.pool('AveragePool', n.conv(n.relu(n.bn(x)), n.shape[x][1] // 2, 1, bias=False), 2, 2)
    x = n.relu(n.bn(x))
    n.output(n.sigmoid(n.gemm(n.flatten(n.gap(x)), 14, unit=True)))


def mobilenetv2(n):
    """Sandler et al. 2018, width 1.0, 1000 classes."""
    x = n.input('input', [n.batch, 3, 224, 224], calib_batch=4)
    x = n.relu6(n.bn(n.conv(x, 32, 3, 2, bias=False)))
    for t, c, reps, stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
        for i in range(reps):
            cin, y = n.shape[x][1], x
            if t > 1:
                y = n.relu6(n.bn(n.conv(y, cin * t, 1, bias=False)))
            st = stride if i == 0 else 1
            y = n.relu6(n.bn(n.conv(y, cin * t, 3, st, group=cin * t, bias=False)))
            y = n.bn(n.conv(y, c, 1, bias=False))
            x = n.add(x, y) if st == 1 and cin == c else y
    x = n.relu6(n.bn(n.conv(x, 1280, 1, bias=False)))
    n.output(n.gemm(n.flatten(n.gap(x)), 1000, unit=True))


def unet2d(n, side=144):
    """2-D U-Net for brain-tumour MRI: 4 modalities in, 5 levels of 32..512 filters, sigmoid mask out."""
    def block(x, c):
        return n.relu(n.conv(n.relu(n.conv(x, c, 3, unit=True)), c, 3, unit=True))
    x, skips = n.input('mri', [n.batch, 4, side, side]), []
    for c in (32, 64, 128, 256):
        skips.append(block(x, c))
        x = n.pool('MaxPool', skips[-1], 2, 2)
    x = block(x, 512)
    for c, skip in zip((256, 128, 64, 32), reversed(skips)):
        x = block(n.concat(n.convT(x, c), skip), c)
    n.output(n.sigmoid(n.head(x, 1)))


def unet3d(n, side=64, base=16):
    """3-D U-Net (BraTS form): 4 modalities in, 5 levels of 16..256 filters with BatchNorm, 3 masks out."""
    def block(x, c):
        for _ in range(2):
            x = n.relu(n.bn(n.conv(x, c, 3, bias=False)))
        return x
    x, skips = n.input('mri', [n.batch, 4] + [side] * 3, calib=[4, 32, 32, 32], calib_batch=2), []
    widths = [base << i for i in range(4)]
    for c in widths:
        skips.append(block(x, c))
        x = n.pool('MaxPool', skips[-1], 2, 2)
    x = block(x, base << 4)
    for c, skip in zip(reversed(widths), reversed(skips)):
        x = block(n.concat(n.convT(x, c), skip), c)
    n.output(n.sigmoid(n.head(x, 3)))


def tomogan(n, side=1024):
    """TomoGAN generator (Liu et al., arXiv:1902.07582): 13 3x3 and 3 1x1 convolutions, 3 max-pools,
    3 bilinear upsamples, 3 concats.  These widths give 300.7 GFLOP at 1024x1024 (the paper: 301)."""
    def block(x, c):
        return n.relu(n.conv(n.relu(n.conv(x, c, 3, unit=True)), c, 3, unit=True))
    x, skips = n.input('image', [n.batch, 1, side, side], gen=unit_field, calib=[1, 128, 128]), []
    x = n.relu(n.conv(x, 8, 1, unit=True))
    for c in (32, 64, 128):
        skips.append(block(x, c))
        x = n.pool('MaxPool', skips[-1], 2, 2)
    x = n.relu(n.conv(x, 128, 3, unit=True))
    for c, skip in zip((128, 64, 32), reversed(skips)):
        x = block(n.concat(n.up2(x), skip), c)
    x = n.relu(n.conv(x, 16, 1, unit=True))
    n.output(n.relu(n.head(x, 1)))


def tomogan_finetune(n, side=1024):
    """Shallow 3-layer corrector applied after the quantised TomoGAN (arXiv:1911.05878 describes the idea)."""
    x = n.input('image', [n.batch, 1, side, side], gen=unit_field, calib=[1, 128, 128])
    x = n.relu(n.conv(x, 32, 3, unit=True))
    x = n.relu(n.conv(x, 32, 3, unit=True))
    y = n.conv(x, 1, 3, unit=True)
    n.output(y)


def ecg_cnn(n, leads=1, length=360):
    """1-D CNN beat classifier, 5 AAMI classes."""
    x = n.input('beat', [n.batch, leads, length], calib_batch=8)
    for c, k in ((32, 7), (64, 5), (128, 5), (128, 3)):
        x = n.pool('MaxPool', n.relu(n.bn(n.conv(x, c, k, bias=False))), 2, 2)
    x = n.relu(n.gemm(n.flatten(x), 64))
    x = n.gemm(x, 5, unit=True)
    n.output(n.simple('Softmax', [x], n.shape[x], axis=1))


# ---------------------------------------------------------------------------------------------
# Recurrent, transformer and classic models (their spread is set analytically)
# ---------------------------------------------------------------------------------------------
def rnn(n, kind, gates, x, hidden, dirs):
    """LSTM/GRU/RNN over x [seq, batch, features]; returns (all states, final state)."""
    s, b, f = n.shape[x]
    w = n.const('W', n.randn([dirs, gates * hidden, f], 1.5 / np.sqrt(f)))
    r = n.const('R', n.randn([dirs, gates * hidden, hidden], 1.0 / np.sqrt(hidden)))
    bias = n.const('B', n.randn([dirs, 2 * gates * hidden], 0.1))
    outs = 3 if kind == 'LSTM' else 2
    shapes = [[s, dirs, b, hidden]] + [[dirs, b, hidden]] * (outs - 1)
    extra = {'linear_before_reset': 1} if kind == 'GRU' else {}
    return n.op(kind, [x, w, r, bias], shapes, outs=outs, macs=s * b * dirs * gates * hidden * (f + hidden),
                hidden_size=hidden, direction='bidirectional' if dirs == 2 else 'forward', **extra)[:2]


def last_state(n, h):
    """[dirs, batch, hidden] -> [batch, dirs * hidden]."""
    d, b, hid = n.shape[h]
    t = n.simple('Transpose', [h], [b, d, hid], perm=[1, 0, 2])
    return n.simple('Reshape', [t, n.const('shape', np.array([-1, d * hid], np.int64))], [b, d * hid])


def sequence(n, name, steps, feats):
    """Input [batch, steps * feats] -> [steps, batch, feats]."""
    x = n.input(name, [n.batch, steps * feats], gen=lambda r, s: field(r, (s[0], 1, s[1]))[:, 0], calib=False)
    x = n.simple('Reshape', [x, n.const('shape', np.array([-1, steps, feats], np.int64))], [n.batch, steps, feats])
    return n.simple('Transpose', [x], [steps, n.batch, feats], perm=[1, 0, 2])


def ecg_bilstm(n):
    """Bidirectional LSTM over a 360-sample beat cut into 36 steps of 10 samples; 5 AAMI classes."""
    _, h = rnn(n, 'LSTM', 4, sequence(n, 'beat', 36, 10), 64, 2)
    x = n.relu(n.gemm(last_state(n, h), 64, gain=8.0))
    x = n.gemm(x, 5, gain=2.0)
    n.output(n.simple('Softmax', [x], n.shape[x], axis=1))


def ecg_gru_rnn(n):
    """GRU over the beat plus a plain RNN over the last 8 RR intervals; 5 AAMI classes."""
    _, h1 = rnn(n, 'GRU', 3, sequence(n, 'beat', 36, 10), 48, 1)
    _, h2 = rnn(n, 'RNN', 1, sequence(n, 'rr', 8, 1), 16, 1)
    x = n.concat(last_state(n, h1), last_state(n, h2))
    x = n.relu(n.gemm(x, 32, gain=8.0))
    x = n.gemm(x, 5, gain=2.0)
    n.output(n.simple('Softmax', [x], n.shape[x], axis=1))


FEATS = 22  # as in ijcnn1


def features(n, rows):
    n.batch = rows
    return n.input('x', [rows, FEATS], gen=lambda r, s: r.uniform(-1, 1, s).astype(F32), calib=False)


def svm_linear(n, rows=64):
    """Linear two-class SVM (ai.onnx.ml LinearClassifier); the RBF one uses SVMClassifier."""
    x = features(n, rows)
    w = rnd(n.rng.standard_normal(FEATS))
    y = n.op('LinearClassifier', [x], [[rows], [rows, 2]], outs=2, macs=rows * FEATS, domain='ai.onnx.ml',
             classlabels_ints=[0, 1], coefficients=list(map(float, np.concatenate([-w, w]))),
             intercepts=[0.1, -0.1], multi_class=0, post_transform='LOGISTIC')
    n.dtype[y[0]] = TensorProto.INT64
    n.extra_params = 2 * FEATS + 2
    n.output(*y)


def svm_rbf(n, rows=64, sv=2000):
    x = features(n, rows)
    vecs = rnd(n.rng.uniform(-1, 1, (sv, FEATS)))
    coef = rnd(n.rng.uniform(0, 1, sv) * np.where(np.arange(sv) < sv // 2, 1, -1))
    y = n.op('SVMClassifier', [x], [[rows], [rows, 2]], outs=2, macs=rows * sv * FEATS, domain='ai.onnx.ml',
             kernel_type='RBF', kernel_params=[0.25, 0.0, 3.0], classlabels_ints=[0, 1], vectors_per_class=[sv // 2, sv - sv // 2],
             support_vectors=list(map(float, vecs.ravel())), coefficients=list(map(float, coef)), rho=[0.05], post_transform='NONE')
    n.dtype[y[0]] = TensorProto.INT64
    n.extra_params = sv * (FEATS + 1) + 1
    n.output(*y)


def kmeans(n, rows=256, k=64):
    """Nearest centre in plain operators: argmin(|x|^2 - 2 x.c + |c|^2)."""
    x = features(n, rows)
    c = rnd(n.rng.uniform(-1, 1, (k, FEATS)))
    xx = n.simple('ReduceSumSquare', [x], [rows, 1], axes=[1], keepdims=1)
    xc = n.simple('MatMul', [x, n.const('centres_t', np.ascontiguousarray(c.T))], [rows, k], macs=rows * k * FEATS)
    t = n.simple('Mul', [xc, n.const('minus2', F32(-2))], [rows, k])
    d = n.simple('Add', [n.simple('Add', [t, xx], [rows, k]), n.const('cc', (c * c).sum(1, dtype=F32))], [rows, k])
    a = n.op('ArgMin', [d], [rows], dtype=TensorProto.INT64, axis=1, keepdims=0)
    n.output(a, n.simple('Sqrt', [n.simple('Relu', [d], [rows, k])], [rows, k]))


def bert_tiny(n, seq=128, dim=128, heads=2, layers=2, vocab=1000):
    """BERT-tiny encoder with LayerNorm, Gelu and attention spelt out in primitive operators."""
    b, hd = n.batch, dim // heads

    def c(v):
        return n.const('c', np.asarray(v))

    def linear(x, k):
        s = n.shape[x]
        w = n.const('w', n.randn([s[-1], k], 1.0 / np.sqrt(s[-1])))
        y = n.simple('MatMul', [x, w], s[:-1] + [k], macs=np.prod(s) * k)
        return n.simple('Add', [y, n.const('b', n.randn([k], 0.05))], s[:-1] + [k])

    def layernorm(x):
        s = n.shape[x]
        m = n.simple('ReduceMean', [x], s[:-1] + [1], axes=[-1], keepdims=1)
        d = n.simple('Sub', [x, m], s)
        v = n.simple('ReduceMean', [n.simple('Pow', [d, c(F32(2))], s)], s[:-1] + [1], axes=[-1], keepdims=1)
        y = n.simple('Div', [d, n.simple('Sqrt', [n.simple('Add', [v, c(F32(1e-12))], s[:-1] + [1])], s[:-1] + [1])], s)
        y = n.simple('Mul', [y, n.const('gamma', rnd(n.rng.uniform(0.7, 1.3, s[-1])))], s)
        return n.simple('Add', [y, n.const('beta', n.randn([s[-1]], 0.1))], s)

    def gelu(x):
        s = n.shape[x]
        e = n.simple('Erf', [n.simple('Div', [x, c(F32(np.sqrt(2.0)))], s)], s)
        y = n.simple('Mul', [x, n.simple('Add', [e, c(F32(1))], s)], s)
        return n.simple('Mul', [y, c(F32(0.5))], s)

    def split_heads(x, perm, shape):
        t = n.simple('Reshape', [x, c(np.array([-1, seq, heads, hd], np.int64))], [b, seq, heads, hd])
        return n.simple('Transpose', [t], shape, perm=perm)

    ids = n.input('ids', [b, seq], gen=lambda r, s: r.randint(0, vocab, s).astype(np.int64), dtype=TensorProto.INT64, calib=False)
    emb = n.simple('Gather', [n.const('tok', n.randn([vocab, dim], 1.0)), ids], [b, seq, dim], axis=0)
    x = layernorm(n.simple('Add', [emb, n.const('pos', n.randn([1, seq, dim], 0.5))], [b, seq, dim]))
    for _ in range(layers):
        q = split_heads(linear(x, dim), [0, 2, 1, 3], [b, heads, seq, hd])
        k = split_heads(linear(x, dim), [0, 2, 3, 1], [b, heads, hd, seq])
        v = split_heads(linear(x, dim), [0, 2, 1, 3], [b, heads, seq, hd])
        a = n.simple('MatMul', [q, k], [b, heads, seq, seq], macs=b * heads * seq * seq * hd)
        a = n.simple('Div', [a, c(F32(np.sqrt(hd)))], [b, heads, seq, seq])
        a = n.simple('Softmax', [a], [b, heads, seq, seq], axis=-1)
        o = n.simple('MatMul', [a, v], [b, heads, seq, hd], macs=b * heads * seq * seq * hd)
        o = n.simple('Transpose', [o], [b, seq, heads, hd], perm=[0, 2, 1, 3])
        o = n.simple('Reshape', [o, c(np.array([-1, seq, dim], np.int64))], [b, seq, dim])
        x = layernorm(n.simple('Add', [x, linear(o, dim)], [b, seq, dim]))
        f = linear(gelu(linear(x, 4 * dim)), dim)
        x = layernorm(n.simple('Add', [x, f], [b, seq, dim]))
    n.output(x)


# ---------------------------------------------------------------------------------------------
# Static int8 quantisation
# ---------------------------------------------------------------------------------------------
def fold_bn(net):
    """Fold each BatchNorm that follows a convolution into its weights."""
    users = {}
    for nd in net.nodes:
        for i in nd.input:
            users.setdefault(i, []).append(nd)
    out, rename = [], {}
    producer = {nd.output[0]: nd for nd in net.nodes}
    for nd in net.nodes:
        src = producer.get(nd.input[0])
        if nd.op_type == 'BatchNormalization' and src is not None and src.op_type == 'Conv' and len(users[nd.input[0]]) == 1:
            g, b, m, v = (net.inits.pop(i).astype(np.float64) for i in nd.input[1:])
            f = g / np.sqrt(v + 1e-5)
            w = net.inits[src.input[1]]
            net.inits[src.input[1]] = (w * f.reshape((-1,) + (1,) * (w.ndim - 1))).astype(F32)
            old = net.inits[src.input[2]] if len(src.input) > 2 else 0.0
            bias = (b + (old - m) * f).astype(F32)
            if len(src.input) > 2:
                net.inits[src.input[2]] = bias
            else:
                src.input.append(net.const('b', bias))
            rename[nd.output[0]] = src.output[0]
            net.val[src.output[0]] = net.val[nd.output[0]]
        else:
            for i, name in enumerate(nd.input):
                nd.input[i] = rename.get(name, name)
            out.append(nd)
    net.nodes = out


PASS = {'MaxPool', 'Flatten'}  # the output has the scale of the input
QUANT = {'Conv', 'ConvTranspose', 'Gemm', 'Relu', 'Add', 'Concat', 'Resize', 'GlobalAveragePool', 'AveragePool'} | PASS


def quantise(net, form):
    """Rewrite a float CNN as a statically quantised one.

    Activations: uint8 per tensor, asymmetric, ranges seen in calibration.  Weights: int8 per output
    channel, symmetric.  Biases: int32.  form 'qdq' puts QuantizeLinear/DequantizeLinear pairs on
    every quantised edge; form 'qlinear' then contracts Conv(+Relu) and Gemm to QLinearConv and
    QLinearMatMul and leaves the other operators in float between their Q/DQ nodes (standard
    operators only: no vendor domain).
    """
    fold_bn(net)
    users = {}
    for nd in net.nodes:
        for i in nd.input:
            users.setdefault(i, []).append(nd)
    qp = {}  # tensor -> (scale, zero point) initializer names

    def params(t, like=None):
        if like is not None:
            qp[t] = qp[like]
        else:
            lo, hi = min(float(net.val[t].min()), 0.0), max(float(net.val[t].max()), 0.0)
            s = rnd(max((hi - lo) / 255.0, 1e-6))
            qp[t] = (net.const('scale', s), net.const('zp', np.uint8(np.clip(round(-lo / float(s)), 0, 255))))
        return qp[t]

    def weight(nd, axis):
        """int8 weight and int32 bias initializers of a node; returns their (name, scale, zero point)."""
        w = net.inits.pop(nd.input[1])
        red = tuple(i for i in range(w.ndim) if i != axis)
        s = np.maximum(np.abs(w).max(red), 1e-8) / 127.0
        s = s.astype(F32)
        q = np.clip(np.round(w / s.reshape([-1 if i == axis else 1 for i in range(w.ndim)])), -127, 127).astype(np.int8)
        ws, wz = net.const('wscale', s), net.const('wzp', np.zeros(len(s), np.int8))
        bs = (s * net.inits[qp[nd.input[0]][0]]).astype(F32)
        b = np.round(net.inits.pop(nd.input[2]).astype(np.float64) / bs).astype(np.int32)
        return (net.const('wq', q), ws, wz), (net.const('bq', b), net.const('bscale', bs), net.const('bzp', np.zeros(len(s), np.int32)))

    new, deq = [], {}  # deq: tensor -> name of its dequantised copy

    def emit(kind, ins, out, **attrs):
        net.n += 1
        new.append(helper.make_node(kind, ins, [out], name='%s_q%d' % (kind, net.n), **attrs))
        return out

    def pair(t, like=None):
        s, z = params(t, like)
        emit('QuantizeLinear', [t, s, z], t + '_q')
        deq[t] = emit('DequantizeLinear', [t + '_q', s, z], t + '_dq')

    for t in net.inputs:
        pair(t)
    for nd in net.nodes:
        ins = [deq.get(i, i) for i in nd.input]
        if form == 'qlinear' and nd.op_type in ('Conv', 'Gemm'):
            u = users.get(nd.output[0], [])
            fused = nd.op_type == 'Conv' and len(u) == 1 and u[0].op_type == 'Relu'
            t = u[0].output[0] if fused else nd.output[0]
            (xs, xz), (ys, yz) = qp[nd.input[0]], params(t)
            if nd.op_type == 'Conv':
                (wq, ws, wz), (bq, _, _) = weight(nd, 0)
                at = {a.name: helper.get_attribute_value(a) for a in nd.attribute}
                emit('QLinearConv', [nd.input[0] + '_q', xs, xz, wq, ws, wz, ys, yz, bq], t + '_q', **at)
                deq[t] = emit('DequantizeLinear', [t + '_q', ys, yz], t if t in net.outputs else t + '_dq')
            else:  # Gemm with transB: y = x.W' + b, the bias stays a float Add
                w = net.inits.pop(nd.input[1]).T
                s = rnd(np.abs(w).max() / 127.0)
                wq = net.const('wq', np.clip(np.round(w / s), -127, 127).astype(np.int8))
                mm = nd.output[0] + '_mm'
                net.val[mm] = net.val[nd.output[0]] - net.inits[nd.input[2]]
                ms, mz = params(mm)
                emit('QLinearMatMul', [nd.input[0] + '_q', xs, xz, wq, net.const('wscale', s), net.const('wzp', np.int8(0)), ms, mz], mm + '_q')
                emit('DequantizeLinear', [mm + '_q', ms, mz], mm + '_dq')
                emit('Add', [mm + '_dq', nd.input[2]], nd.output[0])
            continue
        if form == 'qlinear' and nd.op_type == 'Relu' and nd.output[0] in deq:
            continue  # already fused
        if nd.op_type in ('Conv', 'ConvTranspose', 'Gemm') and (form == 'qdq' and nd.op_type != 'ConvTranspose'):
            for i, (q, s, z) in enumerate(weight(nd, 0)):
                ins[1 + i] = emit('DequantizeLinear', [q, s, z], q + '_dq', axis=0)
        node = onnx.NodeProto()
        node.CopyFrom(nd)
        del node.input[:]
        node.input.extend(ins)
        new.append(node)
        u = users.get(nd.output[0], [])
        if nd.op_type in QUANT and not (len(u) == 1 and u[0].op_type == 'Relu') and nd.output[0] not in net.outputs:
            pair(nd.output[0], nd.input[0] if nd.op_type in PASS else None)
    net.nodes = new
    used = {i for nd in new for i in nd.input}
    net.inits = {k: v for k, v in net.inits.items() if k in used}


# ---------------------------------------------------------------------------------------------
# Registry, statistics, checks, files
# ---------------------------------------------------------------------------------------------
# name: (builder, keyword arguments, opset, batch, quantised form, large)
MODELS = {}


def register(name, fn, opset=13, batch=1, quant=None, large=False, **kw):
    MODELS[name] = (fn, kw, opset, batch, quant, large)


register('resnet50', resnet50)
register('resnet50_b8', resnet50, batch=8)
register('vgg16', vgg16)
register('densenet121', densenet121, opset=14)
register('mobilenetv2', mobilenetv2, opset=13)
register('unet2d', unet2d, opset=15)
register('unet3d', unet3d, opset=15)
register('unet3d_128', unet3d, opset=15, large=True, side=128)
register('tomogan', tomogan, opset=16, large=True)
register('tomogan_256', tomogan, opset=16, side=256)
register('tomogan_64', tomogan, opset=16, side=64)
register('tomogan_finetune', tomogan_finetune, opset=16)
register('ecg_cnn', ecg_cnn, opset=13)
register('ecg_cnn12', ecg_cnn, opset=13, leads=12, length=1000)
register('ecg_bilstm', ecg_bilstm, opset=14)
register('ecg_gru_rnn', ecg_gru_rnn, opset=14)
register('svm_linear', svm_linear, opset=15)
register('svm_rbf', svm_rbf, opset=15)
register('kmeans', kmeans, opset=13)
register('bert_tiny', bert_tiny, opset=17)
for _f in ('qdq', 'qlinear'):
    register('resnet50_int8_' + _f, resnet50, quant=_f)
    register('unet2d_int8_' + _f, unet2d, opset=15, quant=_f)
    register('tomogan_int8_' + _f, tomogan, opset=16, quant=_f, large=True)
    register('tomogan_256_int8_' + _f, tomogan, opset=16, quant=_f, side=256)

IN_PLACE = {'Relu', 'Clip', 'Sigmoid', 'BatchNormalization', 'Add', 'Mul', 'Div', 'Sub', 'Softmax', 'Erf', 'Sqrt'}
VIEWS = {'Reshape', 'Flatten'}


def peak_activations(net):
    """(sum of all activation bytes, peak of live bytes) in file order.  An elementwise operator reuses
    its first input's memory when that dies there; a view always does; the graph input counts."""
    size = {t: int(np.prod(s)) * (8 if net.dtype[t] == TensorProto.INT64 else 4) for t, s in net.shape.items()}
    last = {}
    for i, nd in enumerate(net.nodes):
        for t in nd.input:
            last[t] = i
    for t in net.outputs:
        last[t] = len(net.nodes)
    live = {t: size[t] for t in net.inputs}
    total = peak = sum(live.values())
    for i, nd in enumerate(net.nodes):
        total += sum(size[t] for t in nd.output)
        src = nd.input[0]
        if (nd.op_type in IN_PLACE or nd.op_type in VIEWS) and src in live and last[src] == i and size[src] == size[nd.output[0]]:
            live[nd.output[0]] = live.pop(src)
        else:
            for t in nd.output:
                live[t] = size[t]
        peak = max(peak, sum(live.values()))
        for t in list(live):
            if last.get(t, -1) <= i:
                del live[t]
    return total, peak


def check(net, name):
    """Refuse a degenerate network: the last calibrated tensor must be finite and have a spread."""
    for t in net.outputs:
        v = net.val.get(t)
        if v is None:
            continue
        if not np.isfinite(v).all() or v.std() < 1e-3 or (np.abs(v).max() > 50):
            sys.exit('%s: degenerate output %s: std %g max %g' % (name, t, v.std(), np.abs(v).max()))


def build(name, batch=None, opset=None, dynamic=False):
    fn, kw, ops, b, quant, _ = MODELS[name]
    base = fn.__name__ if fn is not ecg_cnn else name
    net = Net(name, base, opset or ops, batch or b, dynamic, ml=fn in (svm_linear, svm_rbf))
    fn(net, **kw)
    check(net, name)
    stats = {'params': sum(int(a.size) for a in net.inits.values()) + getattr(net, 'extra_params', 0),
             'macs': sum(net.macs.values()), 'opset': net.opset}
    stats['act_total'], stats['act_peak'] = peak_activations(net)
    if quant:
        quantise(net, quant)
    stats['weight_bytes'] = sum(int(a.nbytes) for a in net.inits.values()) + 4 * getattr(net, 'extra_params', 0)
    stats['inputs'] = {t: net.shape[t] for t in net.inputs}
    stats['outputs'] = {t: net.shape[t] for t in net.outputs}
    stats['nodes'] = len(net.nodes)
    stats['ops'] = sorted({nd.op_type for nd in net.nodes})
    return net, stats


def write(out, name, net):
    d = os.path.join(out, name)
    ds = os.path.join(d, 'test_data_set_0')
    os.makedirs(ds, exist_ok=True)
    m = net.model()
    if m.ByteSize() < 100 << 20:
        onnx.checker.check_model(m)
    onnx.save(m, os.path.join(d, 'model.onnx'))
    for i, (t, v) in enumerate(zip(net.inputs, net.feeds)):
        with open(os.path.join(ds, 'input_%d.pb' % i), 'wb') as f:
            f.write(numpy_helper.from_array(v, t).SerializeToString())


def table(stats):
    rows = ['| model | input | nodes | params (M) | weights (MiB) | GMAC | GFLOP | activations, sum (MiB) | peak live (MiB) |',
            '| --- | --- | --- | --- | --- | --- | --- | --- | --- |']
    for n, s in stats.items():
        rows.append('| %s | %s | %d | %.3f | %.2f | %.4g | %.4g | %.3g | %.3g |' % (
            n, ', '.join('x'.join(map(str, v)) for v in s['inputs'].values()), s['nodes'], s['params'] / 1e6, s['weight_bytes'] / 2**20,
            s['macs'] / 1e9, 2 * s['macs'] / 1e9, s['act_total'] / 2**20, s['act_peak'] / 2**20))
    return '\n'.join(rows)


def main():
    ap = argparse.ArgumentParser(description='Write the reference ONNX models.')
    ap.add_argument('out', nargs='?')
    ap.add_argument('names', nargs='*')
    ap.add_argument('--list', action='store_true')
    ap.add_argument('--all', action='store_true', help='the large models too')
    ap.add_argument('--table', action='store_true', help='print the Markdown table')
    ap.add_argument('--dynamic', action='store_true', help='symbolic batch dimension N')
    ap.add_argument('--batch', type=int)
    ap.add_argument('--opset', type=int, choices=range(13, 18))
    a = ap.parse_args()
    if a.list or not a.out:
        for n, v in MODELS.items():
            print(('* ' if v[5] else '  ') + n)
        return
    names = a.names or [n for n, v in MODELS.items() if a.all or not v[5]]
    bad = [n for n in names if n not in MODELS]
    if bad:
        sys.exit('no such model: ' + ' '.join(bad))
    os.makedirs(a.out, exist_ok=True)
    path = os.path.join(a.out, 'stats.json')
    stats = json.load(open(path)) if os.path.exists(path) else {}
    for n in names:
        t = time.time()
        net, stats[n] = build(n, a.batch, a.opset, a.dynamic)
        write(a.out, n, net)
        s = stats[n]
        print('%-22s %5d nodes %8.3f M params %9.3f GFLOP  %5.1f s' % (n, s['nodes'], s['params'] / 1e6, 2 * s['macs'] / 1e9, time.time() - t), flush=True)
    stats = {n: stats[n] for n in MODELS if n in stats}
    with open(path, 'w') as f:
        json.dump(stats, f, indent=1)
    if a.table:
        print(table(stats))


if __name__ == '__main__':
    main()
