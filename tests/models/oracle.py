#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what ONNX Runtime answers: FOLDER/test_data_set_*/output_<i>.pb beside the inputs there.

    oracle.py FOLDER ...      folders with a model.onnx, or parents of such folders
    --force                   also where the outputs are newer than the model

Graph optimisation is off: the expected numbers are those of the operators as the file has them, not
of somebody's fusions.
"""
import argparse
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from quiet import onnxruntime as ort


def session(model, threads=0, optimise=False):
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(str(model), options, providers=['CPUExecutionProvider'])


def read_tensor(path):
    """(name, array) of a TensorProto file."""
    proto = onnx.TensorProto.FromString(Path(path).read_bytes())
    return proto.name, numpy_helper.to_array(proto)


def inputs_of(data_set):
    paths = sorted(data_set.glob('input_*.pb'), key=lambda p: int(p.stem.split('_')[1]))
    return dict(read_tensor(p) for p in paths)


def answer(folder, force=False):
    """Runs every data set of one model folder; returns how many it wrote."""
    model, run, written = folder / 'model.onnx', None, 0
    for data in sorted(folder.glob('test_data_set_*')):
        first = data / 'output_0.pb'
        if first.exists() and not force and first.stat().st_mtime >= model.stat().st_mtime:
            continue
        run = run or session(model)
        values = run.run(None, inputs_of(data))
        # Backwards: output_0.pb is what the next run asks for, so it is there only when all are.
        for i, (meta, value) in reversed(list(enumerate(zip(run.get_outputs(), values)))):
            array = np.asarray(value)
            (data / f'output_{i}.pb').write_bytes(numpy_helper.from_array(array, meta.name).SerializeToString())
            print(f'{folder.name} {meta.name} {list(array.shape)} mean {array.mean():.4g} spread {array.std():.4g}')
        written += 1
    return written


def main():
    cli = argparse.ArgumentParser(description='Writes the outputs ONNX Runtime gives.')
    cli.add_argument('folders', nargs='+', type=Path)
    cli.add_argument('--force', action='store_true')
    args = cli.parse_args()
    models = sorted({m for f in args.folders for m in f.rglob('model.onnx')})
    if not models:
        sys.exit('no model.onnx in ' + ' '.join(map(str, args.folders)))
    for path in models:
        answer(path.parent, args.force)


if __name__ == '__main__':
    main()
