#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does ONNX Runtime's CPU provider pass a test folder?

    ort_verdict.py < FOLDERS        a line "begin FOLDER", then "FOLDER<tab>VERDICT": pass, or the reason it does not

Folders are those of the ONNX project: model.onnx with test_data_set_*/{input,output}_<i>.pb. Outputs are compared as
the project's own runner compares them, with its default tolerance. Types that Python cannot hand to ONNX Runtime or get
from it (bfloat16, float8, int4, ...) go in as initialisers and come out through a Cast to float.
"""
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.runner import Runner

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'models'))
from quiet import onnxruntime  # noqa: E402

RTOL, ATOL = 1e-3, 1e-7
PLAIN = {TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT8, TensorProto.UINT16, TensorProto.INT16, TensorProto.INT32,
         TensorProto.INT64, TensorProto.STRING, TensorProto.BOOL, TensorProto.FLOAT16, TensorProto.DOUBLE,
         TensorProto.UINT32, TensorProto.UINT64}


def read(path, kind):
    """The value of a .pb file that belongs to a graph input or output of this type."""
    data = path.read_bytes()
    if kind.HasField('sequence_type'):
        return numpy_helper.to_list(onnx.SequenceProto.FromString(data))
    if kind.HasField('optional_type'):
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(data))
    return onnx.TensorProto.FromString(data)


def numbered(folder, kind):
    return sorted(folder.glob(f'{kind}_*.pb'), key=lambda p: int(p.stem.split('_')[1]))


def give(model, folder):
    """Inputs by name; those that cannot be given become initialisers of the model."""
    feeds, inside = {}, []
    for path, info in zip(numbered(folder, 'input'), list(model.graph.input), strict=False):
        value = read(path, info.type)
        if not isinstance(value, onnx.TensorProto):
            feeds[info.name] = value
        elif value.data_type in PLAIN:
            feeds[info.name] = numpy_helper.to_array(value)
        else:
            value.name = info.name
            inside.append(value)
    names = {v.name for v in inside}
    kept = [i for i in model.graph.input if i.name not in names]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.graph.initializer.extend(inside)
    return feeds


def expect(model, folder):
    """The outputs wanted; those that cannot be got are cast to float in the model and here."""
    wanted = []
    for path, info in zip(numbered(folder, 'output'), model.graph.output, strict=False):
        value = read(path, info.type)
        if isinstance(value, onnx.TensorProto):
            strange = value.data_type not in PLAIN
            value = numpy_helper.to_array(value)
            if strange:
                value = value.astype(np.float32)
                model.graph.node.append(helper.make_node('Cast', [info.name], [f'{info.name}/float'], to=TensorProto.FLOAT))
                info.CopyFrom(helper.make_tensor_value_info(f'{info.name}/float', TensorProto.FLOAT, None))
        wanted.append(value)
    return wanted


def verdict(folder):
    sets = sorted(folder.glob('test_data_set_*'))
    if not sets:
        return 'no data set'
    for data in sets:
        model = onnx.load(folder / 'model.onnx')
        feeds, wanted = give(model, data), expect(model, data)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=['CPUExecutionProvider'])
        known = {i.name for i in session.get_inputs()}
        got = session.run(None, {n: v for n, v in feeds.items() if n in known})
        Runner.assert_similar_outputs(wanted, got[:len(wanted)], RTOL, ATOL)
    return 'pass'


def main():
    warnings.simplefilter('ignore')
    for line in sys.stdin:
        folder = Path(line.strip())
        print(f'begin {folder}', flush=True)
        try:
            said = verdict(folder)
        except Exception as why:  # whatever ONNX Runtime raises is its verdict
            said = ' '.join(f'{type(why).__name__}: {why}'.split())[:300]
        print(f'{folder}\t{said}', flush=True)


if __name__ == '__main__':
    main()
