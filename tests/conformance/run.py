#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Do models give the numbers ONNX Runtime gives, and are hostile ones refused?

    tests/conformance/run.py [--build DIR] [--only PATTERN] [--slow]

1. The named real models, in every way they can be loaded: optimised, without passes, in
   plain C, and through the packed form. From $ACCELD_TEST_DATA if that is set, else from tests/fixtures.
2. The generated reference models (made in build/models the first time).
3. With $ACCELD_TEST_DATA, every other model there that the core says it can run; the rest is listed
   under "not yet supported:" with the reason and counts as nothing.
4. The hostile models of tests/models/hostile.py.
5. The ONNX project's backend tests (backend.py); single operators: those of tests/models/oracle_cases and, of ai.onnx.ml,
   those of tests/models/classic.py.
6. The fixtures with each graph pass off (passes.py); operators in each type (type_coverage.py), and the operator table
   beside ONNX Runtime's table of its kernels (kernel_table.py).

The last line is `N passed, N failed, N skipped`.
"""
import argparse
import fnmatch
import json
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / 'tests' / 'models'))
import backend  # noqa: E402
import classic  # noqa: E402
import hostile  # noqa: E402
import oracle_cases  # noqa: E402
import passes  # noqa: E402
import reference  # noqa: E402
import reference_models  # noqa: E402
from harness import CLOSING, REPORT, Tally, call  # noqa: E402

NAMED = ['squeezenet1.0-fp16', 'mnist-8', 'mobilenetv2-035-128', 'super-resolution-10', 'ultraface-rfb-320',
         'tbefn-180x320', 'cnn-mnist-pytorch', 'go1-policy', 'mnist5x5-dynamic-int8', 'micro-kws-qlinear',
         'gesture-history-lstm', 'lightgbm-scaler', 'sklearn-decision-tree', 'svm-linear']
WAYS = {'optimised': [], 'one thread': ['--threads', '1'], 'no passes': ['--passes-off', 'all'],
        'plain C': ['--cpu-mask', 'plain'], 'packed': ['--via-pack']}


def test_folders(tally, program, folders, title, options=(), timeout=1200):
    print(f'--- {title}', flush=True)
    status, out, err = call([program, 'test', *options, *folders], timeout)
    print(out, end='')
    closing = CLOSING.findall(out)
    if not closing:
        return tally.count(False, f'{title}: status {status}, no closing line: {err.strip()[-2000:]}')
    passed, failed, skipped = map(int, closing[-1])
    tally.passed, tally.failed, tally.skipped = tally.passed + passed, tally.failed + failed, tally.skipped + skipped
    if REPORT.search(err) or (status != 0 and failed == 0):
        tally.count(False, f'{title}: status {status}: {err.strip()[-4000:]}')


def rest_of(data, program, only):
    """The other models of a data folder: those that can run, and the reasons of those that cannot."""
    able, unable = [], []
    for folder in sorted(p.parent for p in data.glob('*/model.onnx')):
        if folder.name in NAMED or not fnmatch.fnmatch(folder.name, only):
            continue
        status, out, _ = call([program, 'analyse', '--json', folder / 'model.onnx'], 120)
        try:
            said = json.loads(out)
        except ValueError:
            # analyse answers for whatever it can read: refusing a sound model is an error of ours,
            # so the model is run, and its failure counted.
            able.append(folder)
            continue
        reasons = sorted({f'{op["domain"]}{":" if op["domain"] else ""}{op["op"]}: {op["unsupported"]}'
                          for op in said['ops'] if op['unsupported']})
        if status == 0 and said['runnable']:
            able.append(folder)
        else:
            unable.append((folder.name, '; '.join(reasons) or f'status {status}'))
    return able, unable


def classic_models(tally, program, only):
    if not fnmatch.fnmatch('classic', only):
        return
    with tempfile.TemporaryDirectory() as scratch:
        _, refused = classic.write(scratch)
        test_folders(tally, program, [scratch], f'operators of ai.onnx.ml ({refused} more ONNX Runtime refuses)')
        test_folders(tally, program, [scratch], 'operators of ai.onnx.ml, packed', ['--via-pack'])


def hostile_models(tally, program, only):
    print('--- hostile models', flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / 'model.onnx'
        for case in hostile.cases():
            if not fnmatch.fnmatch(case.name, only):
                continue
            path.write_bytes(case.data)
            for verb in (['bench', '--runs', '1', '--threads', '1'], ['analyse', '--json']):
                status, _, err = call([program, *verb, path], 60)
                what = f'hostile/{case.name} ({verb[0]}): status {status}: {err.strip()[:600]}'
                if status is None or status < 0 or REPORT.search(err):
                    tally.count(False, what)
                elif verb[0] == 'bench' and case.refused:
                    missing = case.missing(err)
                    tally.count(status == 1 and not missing, f'{what} does not say {missing}' if missing else what)
                else:
                    tally.count(True, what)


def operators(tally, program, sanitized):
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        backend.run(tally, program, root, sanitized)
        oracle_cases.write(root / 'oracle')
        test_folders(tally, program, [root / 'oracle' / 'near'], 'operators beside ONNX Runtime')
        print('--- operators beside ONNX Runtime, bit by bit', flush=True)
        _, out, err = call([program, 'test', root / 'oracle' / 'exact'], 600)
        verdicts = [line for line in out.splitlines() if line.startswith(('ok', 'FAIL'))]
        for line in verdicts:
            tally.count(line.startswith('ok') and 'largest |a-b| 0,' in line, line)
        tally.count(len(verdicts) >= 130 and not REPORT.search(err), f'{len(verdicts)} ran: {err.strip()[-2000:]}')


def passes_and_types(tally, build):
    print('--- each graph pass off, alone, and none', flush=True)
    passed, failed, _ = passes.main(build)
    tally.passed, tally.failed = tally.passed + passed, tally.failed + failed
    print(f'{passed} passed, {failed} failed')
    for title, script in (('types of operators beside ONNX Runtime', 'type_coverage.py'),
                          ("the operator table beside ONNX Runtime's kernels", 'kernel_table.py')):
        print(f'--- {title}', flush=True)
        status, out, err = call([sys.executable, HERE / script, '--build', build], 1800)
        print(out, end='')
        closing = CLOSING.findall(out)
        tally.count(closing and status in (0, 1), f'{script}: status {status}: {err.strip()[-2000:]}')
        if closing:
            tally.passed, tally.failed = tally.passed + int(closing[-1][0]), tally.failed + int(closing[-1][1])


def main():
    cli = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cli.add_argument('--build', default='build', help='folder the programs were built in')
    cli.add_argument('--slow', action='store_true', help='every reference model, the large ones too, and nothing else')
    cli.add_argument('--only', default='*', help='only models whose name matches')
    args = cli.parse_args()
    program = Path(args.build).resolve() / 'accel-run'
    data = Path(os.environ.get('ACCELD_TEST_DATA') or ROOT / 'tests' / 'fixtures')
    if not program.exists():
        sys.exit(f'{program} is not there: make')
    if not data.is_dir():
        sys.exit(f'ACCELD_TEST_DATA={data} is no folder; unset it to use tests/fixtures')
    sanitized = b'__asan_init' in program.read_bytes() or b'__tsan_init' in program.read_bytes()
    tally = Tally()

    def chosen(names):
        return [n for n in names if fnmatch.fnmatch(n, args.only)]

    if args.slow:
        reference_models.run(tally, program, chosen(reference.names()), sanitized)
        return tally.end()

    missing = [n for n in chosen(NAMED) if not (data / n / 'model.onnx').exists()]
    for name in missing:
        tally.count(False, f'{name}: not in {data}')
    named = [data / n for n in chosen(NAMED) if n not in missing]
    for way, options in WAYS.items():
        if named:
            test_folders(tally, program, named, f'real models, {way}', options)

    wanted = chosen(reference_models.QUICK)
    if wanted:
        reference_models.run(tally, program, wanted, sanitized)

    if os.environ.get('ACCELD_TEST_DATA'):
        able, unable = rest_of(data, program, args.only)
        if able:
            test_folders(tally, program, able, 'other models that the core can run')
        print(f'not yet supported: {len(unable)} models')
        for name, reason in unable:
            print(f'  not yet {name}: {reason}')
    classic_models(tally, program, args.only)
    hostile_models(tally, program, args.only)
    if args.only == '*':
        operators(tally, program, sanitized)
        passes_and_types(tally, args.build)
    return tally.end()


if __name__ == '__main__':
    sys.exit(main())
