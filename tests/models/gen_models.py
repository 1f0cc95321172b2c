#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the reference models: published architectures with seeded random weights.

    gen_models.py --list                 names; * marks those that are large
    gen_models.py OUT [NAME ...]         OUT/NAME/model.onnx and OUT/NAME/test_data_set_0/input_0.pb
    gen_models.py OUT --all              the large ones too

    --batch N     another batch size          --dynamic    a symbolic batch dimension "N"

oracle.py adds the expected outputs.

Random weights alone make a poor test: activations die out or explode within ten layers and the output
says nothing of what happened in between. So every layer is evaluated in numpy on a small calibration
input while the graph grows, and is scaled by what came out: BatchNorm holds the statistics that it
sees, a convolution without one gives each channel mean 0 and spread 1, the last layer follows its
input instead of its bias. What is measured is rounded before it is used, so that the BLAS at hand does
not show in the file.
"""
import argparse
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from onnx import TensorProto, helper, numpy_helper

MODELS = {}


def model(name, opset=13, large=False, domains=(), **kwargs):
    """Registers a builder function under a name, with the arguments that this variant takes."""

    def add(build):
        MODELS[name] = (build, kwargs, opset, large, domains)
        return build

    return add


def random_for(name):
    # RandomState's stream is frozen by numpy; that of Generator may change.
    return np.random.RandomState(zlib.crc32(name.encode()))


def picture(rng, shape):
    """Noise with the spectrum of photographs (amplitude ~ 1/f), mean 0 and spread 1 per channel."""
    axes = tuple(range(2, len(shape)))
    grid = np.meshgrid(*[np.fft.fftfreq(n) * n for n in shape[2:]], indexing='ij')
    freq = np.sqrt(sum(g * g for g in grid))
    x = np.fft.ifftn(np.fft.fftn(rng.standard_normal(shape), axes=axes) / (freq + 1.0), axes=axes).real
    x -= x.mean(axes, keepdims=True)
    return (x / x.std(axes, keepdims=True)).astype(np.float32)


def scan(rng, shape):
    """As picture, in 0..1: a normalised tomography slice."""
    return (0.5 + 0.5 * np.tanh(picture(rng, shape))).astype(np.float32)


def coarse(x):
    """Rounded to 4 significant digits."""
    x = np.asarray(x, np.float64)
    unit = 10.0 ** (np.floor(np.log10(np.maximum(np.abs(x), 1e-30))) - 3)
    return (np.round(x / unit) * unit).astype(np.float32)


def per_channel(v, like):
    return np.asarray(v).reshape((1, -1) + (1,) * (like.ndim - 2))


def spatial(x):
    """The axes a channel's statistics are taken over."""
    return (0,) + tuple(range(2, x.ndim))


def windows(x, kernel, stride, pad, fill=0.0):
    """[N, C, out..., kernel...], a view of the padded input."""
    x = np.pad(x, [(0, 0), (0, 0)] + [(pad, pad)] * (x.ndim - 2), constant_values=fill)
    view = sliding_window_view(x, kernel, axis=tuple(range(2, x.ndim)))
    return view[(slice(None), slice(None)) + (slice(None, None, stride),) * len(kernel)]


class T:
    """A tensor of the graph under construction: its name and its value for the calibration input."""

    def __init__(self, name, value):
        self.name, self.value = name, value

    @property
    def channels(self):
        return self.value.shape[1]


class Net:
    def __init__(self, name, batch, dynamic):
        self.name, self.batch, self.dynamic = name, batch, dynamic
        # Variants of one network (tomogan, tomogan_256) share their weights.
        self.rng = random_for('weights/' + name.split('_2')[0])
        self.nodes, self.weights, self.inputs, self.outputs, self.feeds = [], [], [], [], []

    # ------------------------------------------------------------ graph
    def shape(self, dims):
        return ['N' if self.dynamic else self.batch] + list(dims)

    def input(self, name, dims, make=picture, calibration=(2,)):
        """calibration: batch, then spatial sizes if they differ from the model's."""
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, self.shape(dims)))
        self.feeds.append((name, make(random_for('input/' + self.name), (self.batch, *dims))))
        batch, *size = calibration
        small = (batch, dims[0], *size) if size else (batch, *dims)
        return T(name, make(self.rng, small))

    def output(self, t, dims, dtype=TensorProto.FLOAT):
        v = t.value
        if v is not None and (not np.isfinite(v).all() or v.std() < 1e-3 or np.abs(v).max() > 100):
            sys.exit(f'{self.name}: output {t.name} is degenerate: spread {v.std():g}')
        self.outputs.append(helper.make_tensor_value_info(t.name, dtype, self.shape(dims)))

    def weight(self, role, array):
        name = f'{role}_{len(self.weights)}'
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, op, inputs, value, outputs=1, domain='', **attributes):
        label = f'{op}_{len(self.nodes)}'
        names = [f'{label}_out{i}' for i in range(outputs)] if outputs > 1 else [f'{label}_out']
        inputs = [t.name if isinstance(t, T) else t for t in inputs]
        self.nodes.append(helper.make_node(op, inputs, names, name=label, domain=domain, **attributes))
        made = [T(n, value) for n in names]
        return made if outputs > 1 else made[0]

    def he(self, shape, fan_in, gain=2.0):
        return (self.rng.standard_normal(shape) * np.sqrt(gain / fan_in)).astype(np.float32)

    # ------------------------------------------------------------ layers
    def conv(self, x, cout, k, stride=1, depthwise=False, normalise=False, spread=1.0):
        """Padded to keep the size at stride 1. normalise: for networks without BatchNorm."""
        rank = x.value.ndim - 2
        kernel = (k,) * rank
        cin = 1 if depthwise else x.channels
        w = self.he((cout, cin, *kernel), cin * k**rank)
        view = windows(x.value, kernel, stride, k // 2)
        if depthwise:
            y = np.einsum('nc...k,ck->nc...', view.reshape(*view.shape[:2 + rank], -1), w.reshape(cout, -1))
        else:
            y = np.tensordot(view, w, ([1, *range(2 + rank, 2 + 2 * rank)], range(1, 2 + rank)))
            y = np.moveaxis(y, -1, 1)
        inputs = [x]
        if normalise:
            scale = coarse(spread / np.maximum(y.std(spatial(y)), 1e-3))
            bias = coarse(self.rng.uniform(-0.3, 0.3, cout) * spread - y.mean(spatial(y)) * scale)
            w = w * scale.reshape((-1,) + (1,) * (w.ndim - 1))
            y = y * per_channel(scale, y) + per_channel(bias, y)
            inputs += [self.weight('weight', w), self.weight('bias', bias)]
        else:
            inputs += [self.weight('weight', w)]
        return self.node('Conv', inputs, y, kernel_shape=kernel, strides=[stride] * rank,
                         pads=[k // 2] * 2 * rank, group=cout if depthwise else 1)

    def batchnorm(self, x, gain=1.0):
        v, c = x.value, x.channels
        mean, var = coarse(v.mean(spatial(v))), coarse(np.maximum(v.var(spatial(v)), 1e-3))
        scale = coarse(gain * self.rng.uniform(0.75, 1.25, c))
        bias = coarse(self.rng.uniform(-0.25, 0.25, c))
        f = scale / np.sqrt(var + 1e-5)
        y = v * per_channel(f, v) + per_channel(bias - mean * f, v)
        parts = [('scale', scale), ('bias', bias), ('mean', mean), ('var', var)]
        return self.node('BatchNormalization', [x] + [self.weight(r, a) for r, a in parts], y, epsilon=1e-5)

    def relu(self, x):
        return self.node('Relu', [x], None if x.value is None else np.maximum(x.value, 0))

    def relu6(self, x):
        low, high = (self.weight(r, np.float32(v)) for r, v in (('low', 0), ('high', 6)))
        return self.node('Clip', [x, low, high], np.clip(x.value, 0, 6))

    def sigmoid(self, x):
        return self.node('Sigmoid', [x], 1 / (1 + np.exp(-x.value)))

    def softmax(self, x):
        e = None if x.value is None else np.exp(x.value - x.value.max(1, keepdims=True))
        return self.node('Softmax', [x], None if e is None else e / e.sum(1, keepdims=True), axis=1)

    def pool(self, kind, x, k, stride, pad=0):
        rank = x.value.ndim - 2
        most = kind == 'MaxPool'
        view = windows(x.value, (k,) * rank, stride, pad, -np.inf if most else 0.0)
        over = tuple(range(2 + rank, 2 + 2 * rank))
        return self.node(kind, [x], view.max(over) if most else view.mean(over), kernel_shape=[k] * rank,
                         strides=[stride] * rank, pads=[pad] * 2 * rank)

    def add(self, a, b):
        return self.node('Add', [a, b], a.value + b.value)

    def concat(self, *parts):
        return self.node('Concat', parts, np.concatenate([p.value for p in parts], 1), axis=1)

    def features(self, x):
        """Global average, then [N, C]."""
        mean = x.value.mean(tuple(range(2, x.value.ndim)), keepdims=True)
        return self.flatten(self.node('GlobalAveragePool', [x], mean))

    def flatten(self, x):
        return self.node('Flatten', [x], x.value.reshape(len(x.value), -1), axis=1)

    def dense(self, x, n, width=None, last=False, gain=2.0):
        """width: features of x where no value says so. last: the output shall differ from input to
        input more than from class to class, or a wrong layer would hide behind the bias."""
        k = width or x.value.shape[1]
        w, b, y = self.he((n, k), k, gain), self.he(n, 400), None
        if x.value is not None:
            y = x.value @ w.T + b
            if last:
                common = 0.5 * y.mean(0)
                f = coarse(1 / np.std(y - common))
                w, b, y = w * f, coarse((b - common) * f), (y - common) * f
        return self.node('Gemm', [x, self.weight('weight', w), self.weight('bias', b)], y, transB=1)

    def upconv(self, x, cout):
        """Transposed convolution, kernel 2 and stride 2: each pixel becomes a block of its own."""
        v, rank = x.value, x.value.ndim - 2
        w, b = self.he((x.channels, cout) + (2,) * rank, x.channels, 1.0), self.he(cout, 400)
        y = np.zeros((len(v), cout) + tuple(2 * s for s in v.shape[2:]), np.float32)
        for tap in np.ndindex((2,) * rank):
            at = (slice(None), slice(None)) + tuple(slice(t, None, 2) for t in tap)
            y[at] = np.moveaxis(np.tensordot(v, w[(slice(None), slice(None)) + tap], ([1], [0])), -1, 1)
        return self.node('ConvTranspose', [x, self.weight('weight', w), self.weight('bias', b)],
                         y + per_channel(b, y), kernel_shape=[2] * rank, strides=[2] * rank)

    def upsample(self, x):
        """x2, bilinear, half-pixel centres: an even pixel is 3/4 itself and 1/4 its left neighbour."""
        v = x.value
        for axis in (2, 3):
            at = np.arange(v.shape[axis])
            left, right = v.take(np.maximum(at - 1, 0), axis), v.take(np.minimum(at + 1, at[-1]), axis)
            pair = np.stack([0.75 * v + 0.25 * left, 0.75 * v + 0.25 * right], axis + 1)
            v = pair.reshape(v.shape[:axis] + (-1,) + v.shape[axis + 1:])
        scales = self.weight('scales', np.array([1, 1, 2, 2], np.float32))
        return self.node('Resize', [x, '', scales], v, mode='linear',
                         coordinate_transformation_mode='half_pixel')

    def conv_bn_relu(self, x, *args, **kwargs):
        return self.relu(self.batchnorm(self.conv(x, *args, **kwargs)))

    def conv_relu(self, x, *args):
        return self.relu(self.conv(x, *args, normalise=True))

    # ------------------------------------------------------------ file
    def proto(self, opset, domains):
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, self.weights)
        sets = [helper.make_opsetid('', opset)] + [helper.make_opsetid(d, v) for d, v in domains]
        return helper.make_model(graph, opset_imports=sets, ir_version=8, producer_name='acceld reference models')


# ---------------------------------------------------------------- classifiers
@model('resnet50')
def resnet50(net):
    """He et al. 2015 (arXiv:1512.03385), v1.5: the stride is in the 3x3 convolution."""
    x = net.input('input', (3, 224, 224))
    x = net.pool('MaxPool', net.conv_bn_relu(x, 64, 7, 2), 3, 2, 1)
    for width, blocks, stride in [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]:
        for block in range(blocks):
            step = stride if block == 0 else 1
            y = net.conv_bn_relu(net.conv_bn_relu(x, width, 1), width, 3, step)
            y = net.batchnorm(net.conv(y, 4 * width, 1), gain=0.5)
            if block == 0:
                x = net.batchnorm(net.conv(x, 4 * width, 1, step))
            x = net.relu(net.add(x, y))
    net.output(net.dense(net.features(x), 1000, last=True), [1000])


@model('vgg16', large=True)
def vgg16(net):
    """Simonyan and Zisserman 2014 (arXiv:1409.1556), configuration D."""
    x = net.input('input', (3, 224, 224))
    for width, convs in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]:
        for _ in range(convs):
            x = net.conv_relu(x, width, 3)
        x = net.pool('MaxPool', x, 2, 2)
    x = net.flatten(x)
    for _ in range(2):
        x = net.relu(net.dense(x, 4096))
    net.output(net.dense(x, 1000, last=True), [1000])


@model('densenet121', opset=14)
def densenet121(net):
    """Huang et al. 2016 (arXiv:1608.06993), growth 32; 14 findings as CheXNet (arXiv:1711.05225)."""
    x = net.input('input', (3, 224, 224))
    x = net.pool('MaxPool', net.conv_bn_relu(x, 64, 7, 2), 3, 2, 1)
    for stage, layers in enumerate([6, 12, 24, 16]):
        if stage > 0:
            x = net.conv(net.relu(net.batchnorm(x)), x.channels // 2, 1)
            x = net.pool('AveragePool', x, 2, 2)
        for _ in range(layers):
            y = net.conv(net.relu(net.batchnorm(x)), 128, 1)
            x = net.concat(x, net.conv(net.relu(net.batchnorm(y)), 32, 3))
    x = net.features(net.relu(net.batchnorm(x)))
    net.output(net.sigmoid(net.dense(x, 14, last=True)), [14])


@model('mobilenetv2')
def mobilenetv2(net):
    """Sandler et al. 2018 (arXiv:1801.04381), width 1.0."""

    def unit(x, *args, **kwargs):
        return net.relu6(net.batchnorm(net.conv(x, *args, **kwargs)))

    x = unit(net.input('input', (3, 224, 224)), 32, 3, 2)
    stages = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for expand, cout, blocks, stride in stages:
        for block in range(blocks):
            step, wide = stride if block == 0 else 1, expand * x.channels
            y = unit(x, wide, 1) if expand > 1 else x
            y = unit(y, wide, 3, step, depthwise=True)
            y = net.batchnorm(net.conv(y, cout, 1))
            x = net.add(x, y) if block > 0 else y
    net.output(net.dense(net.features(unit(x, 1280, 1)), 1000, last=True), [1000])


# ---------------------------------------------------------------- image to image
def u_shape(net, x, widths, bottom, block, up):
    """Down through `widths`, a block of `bottom` at the deepest level, up again with skips."""
    skips = []
    for width in widths:
        skips.append(block(x, width))
        x = net.pool('MaxPool', skips[-1], 2, 2)
    x = bottom(x)
    for width, skip in zip(reversed(widths), reversed(skips)):
        x = block(net.concat(up(x, width), skip), width)
    return x


@model('unet2d', opset=15)
def unet2d(net):
    """U-Net (arXiv:1505.04597) over four MRI modalities, 32 to 512 filters, a tumour mask out."""

    def block(x, width):
        return net.conv_relu(net.conv_relu(x, width, 3), width, 3)

    x = net.input('mri', (4, 144, 144))
    x = u_shape(net, x, [32, 64, 128, 256], lambda t: block(t, 512), block, net.upconv)
    net.output(net.sigmoid(net.conv(x, 1, 1, normalise=True)), [1, 144, 144])


@model('unet3d', opset=15)
def unet3d(net):
    """3-D U-Net (arXiv:1606.06650) as used on BraTS: 16 to 256 filters, three masks out."""

    def block(x, width):
        return net.conv_bn_relu(net.conv_bn_relu(x, width, 3), width, 3)

    x = net.input('mri', (4, 64, 64, 64), calibration=(1, 32, 32, 32))
    x = u_shape(net, x, [16, 32, 64, 128], lambda t: block(t, 256), block, net.upconv)
    net.output(net.sigmoid(net.conv(x, 3, 1, normalise=True)), [3, 64, 64, 64])


@model('tomogan', opset=16, large=True, side=1024)
@model('tomogan_256', opset=16, side=256)
def tomogan(net, side):
    """TomoGAN's generator (arXiv:1902.07582): these widths give its 301 GFLOP at 1024 x 1024."""

    def block(x, width):
        return net.conv_relu(net.conv_relu(x, width, 3), width, 3)

    x = net.input('image', (1, side, side), scan, calibration=(1, 128, 128))
    x = net.conv_relu(x, 8, 1)
    x = u_shape(net, x, [32, 64, 128], lambda t: net.conv_relu(t, 128, 3), block, lambda t, _: net.upsample(t))
    x = net.conv_relu(x, 16, 1)
    net.output(net.relu(net.conv(x, 1, 1, normalise=True)), [1, side, side])


# ---------------------------------------------------------------- signals
@model('ecg_cnn')
def ecg_cnn(net):
    """One-dimensional CNN over a heart beat of 360 samples; the five AAMI classes."""
    x = net.input('beat', (1, 360), calibration=(8,))
    for width, k in [(32, 7), (64, 5), (128, 5), (128, 3)]:
        x = net.pool('MaxPool', net.conv_bn_relu(x, width, k), 2, 2)
    x = net.relu(net.dense(net.flatten(x), 64))
    net.output(net.softmax(net.dense(x, 5, last=True)), [5])


@model('ecg_bilstm', opset=14)
def ecg_bilstm(net):
    """Bidirectional LSTM over the same beat, as 36 steps of 10 samples; no calibration value."""
    steps, size, hidden = 36, 10, 64
    x = net.input('beat', (1, steps * size))
    x.value = None
    shape = net.weight('shape', np.array([-1, steps, size], np.int64))
    x = net.node('Transpose', [net.node('Reshape', [x, shape], None)], None, perm=[1, 0, 2])
    w = net.weight('W', net.he((2, 4 * hidden, size), size))
    r = net.weight('R', net.he((2, 4 * hidden, hidden), hidden, 1.0))
    b = net.weight('B', net.he((2, 8 * hidden), 100, 1.0))
    _, last, _ = net.node('LSTM', [x, w, r, b], None, 3, hidden_size=hidden, direction='bidirectional')
    shape = net.weight('shape', np.array([-1, 2 * hidden], np.int64))
    x = net.node('Reshape', [net.node('Transpose', [last], None, perm=[1, 0, 2]), shape], None)
    x = net.relu(net.dense(x, 64, 2 * hidden, gain=8.0))
    net.output(net.softmax(net.dense(x, 5, 64)), [5])


# ---------------------------------------------------------------- support vector machines
ML = (('ai.onnx.ml', 2),)
FEATURES = 22  # as in the data set ijcnn1


def rows(net):
    net.batch = max(net.batch, 64)
    return net.input('x', (FEATURES,), lambda rng, shape: rng.uniform(-1, 1, shape).astype(np.float32))


def two_classes(net, label, scores):
    label.value = scores.value = None
    net.output(label, [], TensorProto.INT64)
    net.output(scores, [2])


@model('svm_linear', opset=15, domains=ML)
def svm_linear(net):
    """A linear two-class machine is a LinearClassifier."""
    w = coarse(net.rng.standard_normal(FEATURES)).tolist()
    two_classes(net, *net.node('LinearClassifier', [rows(net)], None, 2, 'ai.onnx.ml', classlabels_ints=[0, 1],
                               coefficients=[-v for v in w] + w, intercepts=[0.1, -0.1], multi_class=0,
                               post_transform='LOGISTIC'))


@model('svm_rbf', opset=15, domains=ML)
def svm_rbf(net):
    vectors = 2000
    sign = np.repeat([1, -1], vectors // 2)
    two_classes(net, *net.node('SVMClassifier', [rows(net)], None, 2, 'ai.onnx.ml', classlabels_ints=[0, 1],
                               kernel_type='RBF', kernel_params=[0.25, 0.0, 3.0], post_transform='NONE',
                               support_vectors=coarse(net.rng.uniform(-1, 1, vectors * FEATURES)).tolist(),
                               coefficients=coarse(net.rng.uniform(0, 1, vectors) * sign).tolist(),
                               vectors_per_class=[vectors // 2] * 2, rho=[0.05]))


# ---------------------------------------------------------------- files
def generate(out, name, batch=1, dynamic=False):
    """Writes one model with its input; returns (nodes, parameters)."""
    build, kwargs, opset, _, domains = MODELS[name]
    net = Net(name, batch, dynamic)
    build(net, **kwargs)
    folder = Path(out) / name
    data = folder / 'test_data_set_0'
    data.mkdir(parents=True, exist_ok=True)
    for i, (feed, value) in enumerate(net.feeds):
        (data / f'input_{i}.pb').write_bytes(numpy_helper.from_array(value, feed).SerializeToString())
    # Renamed last: a folder with a model in it is complete.
    onnx.save(net.proto(opset, domains), folder / 'model.part')
    (folder / 'model.part').rename(folder / 'model.onnx')
    return len(net.nodes), sum(int(np.prod(w.dims)) for w in net.weights)


def main():
    cli = argparse.ArgumentParser(description='Writes the reference models.')
    cli.add_argument('out', nargs='?', help='folder to write to')
    cli.add_argument('names', nargs='*', help='which models; default: all but the large ones')
    cli.add_argument('--list', action='store_true', help='print the names; * marks the large ones')
    cli.add_argument('--all', action='store_true', help='the large ones too')
    cli.add_argument('--batch', type=int, default=1)
    cli.add_argument('--dynamic', action='store_true', help='symbolic batch dimension N')
    args = cli.parse_args()
    if args.list:
        for name, entry in MODELS.items():
            print('*' if entry[3] else ' ', name)
        return
    if args.out is None or args.batch < 1:
        cli.error('say where to write, and a batch of at least 1' if args.out is None else '--batch is at least 1')
    unknown = [n for n in args.names if n not in MODELS]
    if unknown:
        cli.error(f'no such model: {" ".join(unknown)} (--list prints the names)')
    for name in args.names or [n for n, entry in MODELS.items() if args.all or not entry[3]]:
        start = time.monotonic()
        nodes, parameters = generate(args.out, name, args.batch, args.dynamic)
        print(f'{name:12} {nodes:4d} nodes {parameters / 1e6:8.3f} M parameters {time.monotonic() - start:5.1f} s', flush=True)


if __name__ == '__main__':
    main()
