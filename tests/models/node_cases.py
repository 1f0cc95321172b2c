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
from onnx import numpy_helper


def proto(value, name):
    if isinstance(value, onnx.TensorProto):
        copy = onnx.TensorProto()
        copy.CopyFrom(value)
        copy.name = name
        return copy
    return numpy_helper.from_array(np.asarray(value), name)


def write(case, out):
    folder = out / case.name
    data = folder / 'test_data_set_0'
    data.mkdir(parents=True, exist_ok=True)
    (folder / 'model.onnx').write_bytes(case.model.SerializeToString())
    inputs, outputs = case.data_sets[0]
    for kind, values, infos in (('input', inputs, case.model.graph.input), ('output', outputs, case.model.graph.output)):
        for i, (value, info) in enumerate(zip(values, infos, strict=True)):
            (data / f'{kind}_{i}.pb').write_bytes(proto(value, info.name).SerializeToString())


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
        except (TypeError, ValueError, NotImplementedError) as why:  # sequences, optionals: no tensors
            shutil.rmtree(out / case.name)
            left_out.append(f'{case.name}: {why}')
    return written, left_out


def main():
    written, left_out = write_all(Path(sys.argv[1]), sys.argv[2:] or ['*'])
    print('\n'.join(f'left out: {line}' for line in left_out))
    print(f'{written} written')


if __name__ == '__main__':
    main()
