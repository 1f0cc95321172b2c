#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a few small models of every operator for fuzz_onnx to begin with: oracle cases and the ONNX project's node tests.

    tests/fuzz/onnx_seeds.py OUT

fuzz_onnx runs a model on zeros. So that operators meet other numbers (indices, lengths, scales), the inputs of every
other model are its constants, which loading computes with.
"""
import collections
import sys
import tempfile
from pathlib import Path

import onnx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'models'))
import node_cases  # noqa: E402
import oracle_cases  # noqa: E402

BYTES_MAX = 4096
OF_EACH = 4  # models


def with_constants(model, data):
    """The model with its tensors given inside it; None where an input is no tensor."""
    for i, info in enumerate(model.graph.input):
        if not info.type.HasField('tensor_type'):
            return None
        tensor = onnx.TensorProto.FromString((data / f'input_{i}.pb').read_bytes())
        tensor.name = info.name
        model.graph.initializer.append(tensor)
    del model.graph.input[:]
    return model


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    seen = collections.Counter()
    with tempfile.TemporaryDirectory(prefix='seeds-') as scratch:
        oracle_cases.write(Path(scratch))
        node_cases.write_all(Path(scratch) / 'node', ['*'])
        for path in sorted(Path(scratch).glob('*/*/model.onnx')):
            model = onnx.load(path)
            op = '-'.join(dict.fromkeys((model.graph.node[-1].domain or 'onnx', model.graph.node[-1].op_type)))
            if seen[op] >= OF_EACH:
                continue
            if seen[op] % 2 == 1:
                model = with_constants(model, path.parent / 'test_data_set_0')
            if model is None or model.ByteSize() > BYTES_MAX:
                continue
            seen[op] += 1
            (out / f'{op}-{seen[op]}.onnx').write_bytes(model.SerializeToString())
    print(f'{sum(seen.values())} models of {len(seen)} operators')


if __name__ == '__main__':
    main()
