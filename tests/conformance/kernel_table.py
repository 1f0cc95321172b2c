#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does the operator table cover every kernel of ONNX Runtime's CPU provider: operator, version, types of the arguments?

    tests/conformance/kernel_table.py [--build DIR] [OP...]

ONNX Runtime lists its kernels itself (`get_all_opkernel_def`), acceld its table (`accel-run ops --json`). A kernel is
counted once for each version of the operator that it serves and each type of each of its type constraints: it passes when,
in models of every opset that gives the operator this version, the core's entry takes that type for every argument of
the constraint. An operator that the core lacks altogether fails unless LACKING says why. The last line is `N passed, N failed, N skipped`.
"""
import argparse
import functools
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import helper
from onnxruntime.capi import onnxruntime_pybind11_state as ort

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'models'))
from quiet import onnxruntime  # noqa: E402

# The oldest opset whose models the core reads (in other domains: 1) and the newest that ONNX Runtime 1.31 does.
OLDEST, NEWEST = 7, 26
ENDLESS = 2**31 - 1  # the end of a kernel's range that has none
# Nodes that no model holds: ONNX Runtime makes them itself, to lay out a convolution its own way (the domain) and to
# move tensors between devices.
INTERNAL_DOMAINS = {'com.microsoft.nchwc'}
INTERNAL = {('', 'MemcpyFromHost'), ('', 'MemcpyToHost')}
# What the core has no entry for, and why.
LACKING = {}
# Where the table has no half precision the pass widen-f16 computes in float, between casts.
HALVES = {'float16', 'bfloat16'}
ONE = np.ones((1, 1, 1))
GATES = {'X': ONE, 'W': np.ones((1, 4, 1)), 'R': np.ones((1, 4, 1))}
MEMORY = {'B': np.ones((1, 8, 1)), **dict.fromkeys((f'none{i}' for i in range(4))), 'QW': ONE, 'MW': ONE, 'V': np.ones((1, 1)),
          'M': ONE}
ROW = np.ones((1, 1, 8), np.float32)
HEADS = {'Q': ROW, 'K': ROW, 'V': ROW, 'past_K': None, 'past_V': None, 'ends': np.zeros(1, np.int32), 'total': np.array(1, np.int32)}
# What ONNX Runtime lists and then refuses: (operator, type or argument): (what it says, arguments and attributes of a node
# that it is asked about).
REFUSED = {
    (('', 'LSTM'), 'double'): ('does not support double yet', GATES, {'hidden_size': 1}),
    (('', 'GRU'), 'double'): ('does not support double yet', {n: a[:, :3] for n, a in GATES.items()}, {'hidden_size': 1}),
    (('com.microsoft', 'AttnLSTM'), 'double'): ('does not support double yet', {**GATES, 'W': np.ones((1, 4, 2)), **MEMORY},
                                                {'hidden_size': 1}),
    **{(('com.microsoft', 'GroupQueryAttention'), f'{n}_norm_weight'):
       ('q_norm_weight / k_norm_weight inputs are not supported', {**HEADS, **{f'none{i}': None for i in range(7)}, 'qn': ROW[0, 0], 'kn': ROW[0, 0]},
        {'num_heads': 1, 'kv_num_heads': 1}) for n in 'qk'},
}

def kernels(wanted):
    for kernel in ort.get_all_opkernel_def():
        op = (kernel.domain, kernel.op_name)
        if (kernel.provider == 'CPUExecutionProvider' and kernel.domain not in INTERNAL_DOMAINS and op not in INTERNAL
                and (not wanted or kernel.op_name in wanted)):
            yield op, kernel.version_range, kernel.type_constraints


def serves(versions, since):
    """ONNX Runtime's own rule: a range without end is of the version it starts with alone, until somebody looks."""
    start, end = versions
    return start == since or (start < since <= end and end != ENDLESS)


def by_operator(entries, since):
    """{(domain, name): entries, oldest first}."""
    table = {}
    for entry in sorted(entries, key=since):
        domain, name = (entry['domain'], entry['name']) if isinstance(entry, dict) else (entry.domain, entry.name)
        table.setdefault((domain, name), []).append(entry)
    return table


def element(text):
    """The type of tensor(type), seq(tensor(type)), optional(seq(tensor(type))); of a map the values'."""
    return re.findall(r'\w+', text)[-1]


def takes(types, text):
    wanted = element(text)
    return wanted in types or (wanted in HALVES and 'float' in types)


@functools.cache
def refuses(op, what, opset):
    """Does ONNX Runtime itself not run this operator with this type or argument?"""
    if (op, what) not in REFUSED:
        return False
    says, arguments, attributes = REFUSED[op, what]
    given = {n: a for n, a in arguments.items() if a is not None}
    node = helper.make_node(op[1], [n if n in given else '' for n in arguments], ['Y'], domain=op[0], **attributes)
    graph = helper.make_graph([node], 'graph', [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
                                                for n, a in given.items()], [onnx.ValueInfoProto(name='Y')])
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid(op[0], opset)])
    options = onnxruntime.SessionOptions()
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=['CPUExecutionProvider']).run(None, given)
    except Exception as why:  # what it raises has no base of its own
        return says in str(why)
    return False


def argument(formal, i):
    if i < len(formal):
        return formal[i]
    return formal[-1] if formal and formal[-1]['variadic'] else None


def lacks(op, entry, schema, parameter, text):
    """The arguments of the constraint for which the entry does not take the type."""
    for kind, theirs, ours in (('input', schema.inputs, entry['inputs']), ('output', schema.outputs, entry['outputs'])):
        for i, formal in enumerate(theirs):
            if parameter not in (formal.typeStr, formal.name) or refuses(op, formal.name, schema.since_version):
                continue
            mine = argument(ours, i)
            if mine is None:
                yield f'has no {kind} {i} "{formal.name}"'
            elif not takes(mine['types'], text):
                yield f'{kind} {i} "{formal.name}" takes no {element(text)}'


def entries_of(ours, since, after, domain):
    """The core's entries for models of the opsets since..after-1, None where it has none."""
    first = max(since, OLDEST if domain == '' else 1)
    for opset in range(first, min(after, NEWEST + 1 if domain == '' else after)):
        older = [e for e in ours if e['since'] <= opset]
        yield opset, older[-1] if older and not older[-1]['removed'] else None


def check(kernel, ours, schemas):
    """(what was asked, what lacks) for each version and type of a kernel."""
    (domain, name), versions, constraints = kernel
    known = [s for s in schemas if not s.deprecated]
    for schema in known:
        since = schema.since_version
        if not serves(versions, since):
            continue
        later = [s.since_version for s in schemas if s.since_version > since]
        after = later[0] if later else (NEWEST if domain == '' else since) + 1
        found = list(entries_of(ours, since, after, domain))
        for parameter, texts in (constraints or {'': ['']}).items():
            for text in texts if found else []:
                if text and refuses(kernel[0], element(text), found[0][0]):
                    continue
                gaps = set()
                for opset, entry in found:
                    if entry is None:
                        gaps.add(f'no entry for opset {opset}')
                    elif text:
                        gaps.update(lacks(kernel[0], entry, schema, parameter, text))
                yield f'{domain or "ai.onnx"} {name}-{since} {parameter} {text}'.rstrip(), sorted(gaps)


def main():
    cli = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cli.add_argument('ops', nargs='*')
    cli.add_argument('--build', default='build', help='folder the programs were built in')
    args = cli.parse_args()
    done = subprocess.run([Path(args.build).resolve() / 'accel-run', 'ops', '--json'], stdout=subprocess.PIPE, check=True)
    ours = by_operator(json.loads(done.stdout), lambda e: e['since'])
    schemas = by_operator(ort.get_all_operator_schema(), lambda s: s.since_version)
    passed, lacking, wrong = set(), set(), {}
    for kernel in kernels(args.ops):
        if kernel[0] not in ours:
            lacking.add(kernel[0])
            continue
        for what, gaps in check(kernel, ours[kernel[0]], schemas[kernel[0]]):
            passed.add(what)
            if gaps:
                wrong[what] = gaps
    for what, gaps in sorted(wrong.items()):
        print(f'FAIL {what}: {"; ".join(gaps)}')
    for op in sorted(lacking & LACKING.keys()):
        print(f'acceld does not have {op[0] or "ai.onnx"} {op[1]}: {LACKING[op]}')
    unexplained = {f'{op[0] or "ai.onnx"} {op[1]}: ONNX Runtime runs it, acceld does not' for op in lacking - LACKING.keys()}
    unexplained |= {f'{op[0] or "ai.onnx"} {op[1]}: acceld has it, LACKING says not' for op in LACKING.keys() & ours.keys()}
    for what in sorted(unexplained):
        print(f'FAIL {what}')
    failed = len(wrong) + len(unexplained)
    print(f'{len(passed - set(wrong))} passed, {failed} failed, 0 skipped')
    return 0 if passed and failed == 0 else 1


if __name__ == '__main__':
    sys.exit(main())
