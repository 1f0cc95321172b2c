# SPDX-License-Identifier: Apache-2.0
"""python -m differential [OPTION]...    in tests/; ends in `N passed, N failed`"""
import argparse
import collections
import multiprocessing
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from differential.draft import Draft, infer
from differential.judge import WAYS, Judge, write
from differential.recipes import load

ROOT = Path(__file__).resolve().parent.parent.parent
NEWEST = 25  # opset that ONNX Runtime promises; newer ones it only tries


# A sparse matrix is no tensor (its cases: oracle_cases/ms_distance.py), the cache of SparseAttention must be bound (its cases,
# drawn ones too: oracle_cases/sparse_attention.py), and ONNX Runtime has no kernel for these last two.
UNDRAWN = {'SparseToDenseMatMul', 'SparseAttention', 'BitCast', 'SwiGLU'}


def in_core(program):
    """Operators of the core, without their domains."""
    done = subprocess.run([program, 'ops'], stdout=subprocess.PIPE, check=True, text=True)
    return {line.split()[1] for line in done.stdout.splitlines() if len(line.split()) > 2}


def make(seed, number, only):
    """One graph: (model, feeds, wanted), or None; and what ONNX Runtime refused on the way."""
    rng = np.random.default_rng([seed, number])
    recipes = load()
    draft = Draft(rng, int(rng.choice([7, 9, 10, 11, 12, 13, 14, 15, 17, 18, 19, 20, 21, 22, 23, 24, NEWEST, 26])))
    names = [only] if only else sorted(recipes)
    for _ in range(draft.choice([1, 1, 2, 3, 4, 6])):
        for _ in range(8):
            op = draft.choice(names)
            if recipes[op](draft, op):
                break
    case = draft.finished()
    if case is None:
        return None, draft.refused
    model, feeds, wanted = case
    try:
        results = infer(model, feeds)
    except Exception as why:  # the nodes ran one by one, together they do not
        return None, [*draft.refused, ('', 'graph', str(why))]
    if any(isinstance(r, np.ndarray) and r.dtype.kind == 'f' and not np.all(np.abs(r) < 1e30) for r in results):
        return None, draft.refused  # nothing left to compare
    return (model, feeds, results), draft.refused


def fill(root, seed, first, count, only, pipe):
    """In a process of its own: what crashes ONNX Runtime costs this batch its rest."""
    warnings.simplefilter('ignore')
    refused = collections.Counter()
    for number in range(first, first + count):
        try:
            case, no = make(seed, number, only)
        except MemoryError:
            continue
        refused.update((op, re.sub(r"'[^']*'|\d+", '#', why)[:120]) for _, op, why in no)
        if case is not None:
            write(root / f'g{seed}-{number}', *case)
            pipe.send(number)
    pipe.send(refused)


def draw(root, seed, first, count, only):
    mine, theirs = multiprocessing.Pipe(False)
    child = multiprocessing.get_context('fork').Process(target=fill, args=(root, seed, first, count, only, theirs))
    child.start()
    theirs.close()
    numbers, refused = [], collections.Counter()
    while True:
        try:
            said = mine.recv()
        except EOFError:
            break
        if isinstance(said, int):
            numbers.append(said)
        else:
            refused = said
    child.join()
    for folder in root.iterdir():  # half written when the child fell
        if int(folder.name.split('-')[1]) not in numbers:
            shutil.rmtree(folder)
    return numbers, refused, child.exitcode


def main():
    cli = argparse.ArgumentParser(description='random graphs, here and in ONNX Runtime')
    cli.add_argument('--build', default='build', help='folder the programs were built in')
    cli.add_argument('--seed', type=int, default=1, help='another seed, other graphs; 0: one from the clock')
    cli.add_argument('--first', type=int, default=0, help='number of the first graph, to repeat one')
    cli.add_argument('--graphs', type=int, default=600)
    cli.add_argument('--seconds', type=int, help='go on until then, whatever --graphs says')
    cli.add_argument('--only', help='graphs of this operator alone')
    cli.add_argument('--refusals', action='store_true', help='print what ONNX Runtime refused, most frequent first')
    args = cli.parse_args()
    seed = args.seed or time.time_ns() % 2**31
    program = ROOT / args.build / 'accel-run'
    if not program.exists():
        sys.exit(f'{program} is not there: make')
    findings = ROOT / args.build / 'differential'
    judge, refused = Judge(program, findings), collections.Counter()
    started, first, batch = time.monotonic(), args.first, 100
    others = list(WAYS)[2:]
    import onnx
    while (time.monotonic() - started < args.seconds) if args.seconds else (first < args.first + args.graphs):
        count = batch if args.seconds else min(batch, args.first + args.graphs - first)
        with tempfile.TemporaryDirectory(prefix=f'graphs-{first}-') as scratch:
            root = Path(scratch)
            numbers, no, status = draw(root, seed, first, count, args.only)
            refused.update(no)
            if status != 0:
                print(f'ONNX Runtime fell behind graph {numbers[-1:]} of seed {seed} ({status})', flush=True)
            cases = {f'g{seed}-{n}': onnx.load(root / f'g{seed}-{n}' / 'model.onnx') for n in numbers}
            if cases:
                judge.batch(root, cases, ['optimised', 'no passes', others[first // batch % len(others)]])
        first += count
    if args.refusals:
        for (op, why), n in refused.most_common(60):
            print(f'{n:6} {op}: {why}')
    # Names in lower case are patterns of several operators, not operators.
    known = {name for name in load() if name[0].isupper()}
    missing = sorted(known - set(judge.operators)) if not args.only else []
    strange = sorted(in_core(program) - known - set(judge.operators) - UNDRAWN) if not args.only else []
    print(f'seed {seed}: {judge.graphs} graphs of {judge.nodes} nodes and {len(judge.operators)} operators in '
          f'{time.monotonic() - started:.0f} s; {judge.sensitive} too sensitive to tell'
          + (f'; never drawn: {" ".join(missing)}' if missing else '')
          + (f'; no recipe for: {" ".join(strange)}' if strange else ''))
    if judge.found:
        print(f'findings lie in {findings}')
    print(f'{judge.graphs - len(judge.found)} passed, {len(judge.found)} failed, 0 skipped')
    return 0 if judge.graphs and not judge.found else 1


if __name__ == '__main__':
    sys.exit(main())
