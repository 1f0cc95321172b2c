#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the ONNX project's own operator tests (its backend node tests) as test folders.

    node_cases.py OUT [PATTERN...]      OUT/<case>/{model.onnx,test_data_set_0/*.pb}, PATTERN: of case names

The `onnx` package carries them as Python; `accel-run test OUT` reads what this writes.
"""
import fnmatch
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import ort_maps
from onnx import numpy_helper


def proto(value, info):
    """The file of a value, by what its model says it is."""
    kind = info.type.WhichOneof('value')
    if kind == 'map_type' or (kind == 'sequence_type' and info.type.sequence_type.elem_type.HasField('map_type')):
        return ort_maps.proto(value, info.name)
    if kind == 'sequence_type':
        made = onnx.SequenceProto(name=info.name, elem_type=onnx.SequenceProto.TENSOR)
        made.tensor_values.extend(numpy_helper.from_array(np.asarray(v)) for v in value)
        return made
    if kind == 'optional_type':
        inner = info.type.optional_type.elem_type
        made = onnx.OptionalProto(name=info.name, elem_type=onnx.OptionalProto.UNDEFINED)
        if value is None or (isinstance(value, np.ndarray) and value.dtype == object and value.size == 1 and value.item() is None):
            return made
        if inner.WhichOneof('value') == 'sequence_type':
            made.elem_type = onnx.OptionalProto.SEQUENCE
            made.sequence_value.CopyFrom(proto(value, onnx.ValueInfoProto(type=inner)))
        else:
            made.elem_type = onnx.OptionalProto.TENSOR
            # The ONNX project's cases give a tensor as a list of one.
            made.tensor_value.CopyFrom(proto(value[0] if isinstance(value, list) else value, onnx.ValueInfoProto(type=inner)))
        return made
    if kind != 'tensor_type':
        raise TypeError(f'{info.name} is a {kind}')
    made = onnx.TensorProto()
    made.CopyFrom(value if isinstance(value, onnx.TensorProto) else numpy_helper.from_array(np.asarray(value)))
    made.name = info.name
    return made


def write(case, out):
    folder = out / case.name
    data = folder / 'test_data_set_0'
    data.mkdir(parents=True, exist_ok=True)
    (folder / 'model.onnx').write_bytes(case.model.SerializeToString())
    inputs, outputs = case.data_sets[0]
    for kind, values, infos in (('input', inputs, case.model.graph.input), ('output', outputs, case.model.graph.output)):
        for i, (value, info) in enumerate(zip(values, infos, strict=True)):
            (data / f'{kind}_{i}.pb').write_bytes(proto(value, info).SerializeToString())


def cases(patterns):
    warnings.simplefilter('ignore')
    from onnx.backend.test.case.node import collect_testcases
    for case in collect_testcases(None):
        if any(fnmatch.fnmatch(case.name, p) for p in patterns):
            yield case


def write_all(out, patterns):
    """How many were written, and why others were not."""
    written, left_out = 0, []
    for case in cases(patterns):
        try:
            write(case, out)
            written += 1
        except (TypeError, ValueError, NotImplementedError) as why:  # maps, sparse tensors
            shutil.rmtree(out / case.name)
            left_out.append(f'{case.name}: {why}')
    return written, left_out


def main():
    written, left_out = write_all(Path(sys.argv[1]), sys.argv[2:] or ['*'])
    print('\n'.join(f'left out: {line}' for line in left_out))
    print(f'{written} written')


if __name__ == '__main__':
    main()
