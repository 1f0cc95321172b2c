#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes every operator on every type that ONNX Runtime's CPU provider runs it on, as test folders.

    type_cases.py OUT [--per-op N] [OP...]     OUT/<op>-<case>-<T>-<type>/{model.onnx,test_data_set_0/*.pb}

The models are those of the ONNX project's node tests with one type variable of the operator's schema set to each type
that the schema allows, the inputs converted, the outputs ONNX Runtime's. What ONNX Runtime does not create a session for
or cannot run is left out. `accel-run test OUT` then says what the core lacks.
"""
import argparse
import multiprocessing
import os
import re
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

sys.path.insert(0, str(Path(__file__).resolve().parent))
import node_cases  # noqa: E402
from quiet import onnxruntime  # noqa: E402
import oracle_cases  # noqa: E402

RANDOM = re.compile(r'test_training_dropout(?!_zero)')  # every engine draws other numbers
OPSET_MAX = 26  # of ONNX Runtime 1.31


def dtype_of(text):
    """numpy's type for "tensor(float16)", None for what is no tensor."""
    if not text.startswith('tensor('):
        return None
    return helper.tensor_dtype_to_np_dtype(TensorProto.DataType.Value(text[len('tensor('):-1].upper()))


def converted(array, dtype):
    """The same values in another type; halves of real numbers become whole, small and not 0, for who divides by them."""
    if dtype == np.object_:
        return np.array([str(v) for v in array.ravel()], object).reshape(array.shape)
    if array.dtype == np.object_:
        return np.arange(array.size).reshape(array.shape).astype(dtype)
    kind = np.dtype(dtype).kind
    if array.dtype.kind == 'f' and (kind in 'iu' or dtype.name in ('int4', 'uint4', 'int2', 'uint2')):
        whole = np.round(np.nan_to_num(array, posinf=9, neginf=-9).clip(-15, 15) * 7)
        whole = np.where(whole == 0, 1, whole)
        return (np.abs(whole) if 'u' in dtype.name[:1] else whole).astype(dtype)
    if kind == 'u':
        return np.abs(array).astype(dtype) if array.dtype.kind != 'b' else array.astype(dtype)
    return array.astype(dtype)


def argument(formal, i):
    """The formal argument that number i belongs to; the last one repeats when it is variadic."""
    if i < len(formal):
        return formal[i]
    last = formal[-1] if formal else None
    return last if last is not None and last.option == onnx.defs.OpSchema.FormalParameterOption.Variadic else None


def variants(case):
    """(label, model, inputs) with each type variable in turn set to each of its types."""
    node, model = case.model.graph.node[0], case.model
    opset = min(OPSET_MAX, next(o.version for o in model.opset_import if o.domain == node.domain)) \
        if node.domain == '' else next(o.version for o in model.opset_import if o.domain == node.domain)
    schema = onnx.defs.get_schema(node.op_type, opset, node.domain)
    given = {info.name: np.asarray(a) for info, a in zip(model.graph.input, case.data_sets[0][0], strict=True)}
    for constraint in schema.type_constraints:
        mine = [n for i, n in enumerate(node.input)
                if n in given and argument(schema.inputs, i) is not None
                and argument(schema.inputs, i).type_str == constraint.type_param_str]
        for text in constraint.allowed_type_strs:
            dtype = dtype_of(text)
            if dtype is None or not mine:
                continue
            try:
                inputs = {n: converted(a, dtype) if n in mine else a for n, a in given.items()}
            except (TypeError, ValueError):
                continue
            yield f'{constraint.type_param_str}-{text[7:-1]}', opset, inputs


def write(case, name, opset, inputs, out):
    node = case.model.graph.node[0]
    small = [n for n, a in inputs.items() if helper.tensor_dtype_to_string(
        helper.np_dtype_to_tensor_dtype(a.dtype)).split('.')[1] in oracle_cases.SMALL]
    writer = oracle_cases.Writer(out)
    graph_node = onnx.NodeProto()
    graph_node.CopyFrom(node)
    results = [o for o in node.output if o]
    writer.model(name, [graph_node], list(inputs.items()), small, results, opset, domain=node.domain)


BY_OP = {}  # filled before the processes fork


def one_operator(op, out):
    """In a process of its own: ONNX Runtime may crash. Returns lines about what was left out."""
    warnings.simplefilter('ignore')
    lines = []
    for case in BY_OP[op]:
        try:
            every = list(variants(case))
        except onnx.defs.SchemaError as why:  # newer than ONNX Runtime
            lines.append(f'{op}: {why}')
            continue
        for label, opset, inputs in every:
            folder = out / f'{op}-{case.name[5:]}-{label}'
            try:
                write(case, folder.name, opset, inputs, out)
            except Exception as why:  # pylint: disable=broad-except
                lines.append(f'{folder.name}: {str(why)[:160]}')
                shutil.rmtree(folder, ignore_errors=True)
    return lines


def choose(per_op, wanted):
    """The cases of one node and tensors only, at most per_op of each operator."""
    for case in node_cases.cases(['*']):
        graph = case.model.graph
        op = graph.node[0].op_type
        if len(graph.node) != 1 or case.model.functions or (wanted and op not in wanted) or RANDOM.match(case.name):
            continue
        if all(i.type.HasField('tensor_type') for i in list(graph.input) + list(graph.output)):
            BY_OP.setdefault(op, [])
            BY_OP[op] = (BY_OP[op] + [case])[:per_op]


def main():
    cli = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cli.add_argument('out', type=Path)
    cli.add_argument('ops', nargs='*')
    cli.add_argument('--per-op', type=int, default=2)
    args = cli.parse_args()
    warnings.simplefilter('ignore')
    args.out.mkdir(parents=True, exist_ok=True)
    choose(args.per_op, args.ops)
    with multiprocessing.get_context('fork').Pool(2, maxtasksperchild=1) as pool:
        for op, result in [(op, pool.apply_async(one_operator, (op, args.out))) for op in BY_OP]:
            try:
                print('\n'.join(result.get(timeout=120)), flush=True)
            except multiprocessing.TimeoutError:
                print(f'{op}: ONNX Runtime did not end', flush=True)
    print(f'{sum(1 for _ in args.out.glob("*/model.onnx"))} written')
    os._exit(0)  # a pool whose worker crashed never ends by itself


if __name__ == '__main__':
    main()
