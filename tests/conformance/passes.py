#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No graph pass changes a result: every model of tests/fixtures (with $ACCELD_TEST_DATA: of that) gives its
stored outputs with each pass left out, with each alone, and with none.

    tests/conformance/passes.py [--build DIR] [--only PATTERN]

A model that a pass makes runnable at all (half precision) is skipped without it. The last line is
`N passed, N failed, N skipped`.
"""
import argparse
import fnmatch
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LINE = re.compile(r'^(ok  |FAIL|skip) .*$', re.M)


def folders(pattern='*'):
    source = Path(os.environ.get('ACCELD_TEST_DATA', ROOT / 'tests' / 'fixtures'))
    return [f for f in sorted(source.iterdir()) if fnmatch.fnmatch(f.name, pattern) and (f / 'model.onnx').exists()
            and (f / 'test_data_set_0').is_dir()]


def names(program):
    listed = subprocess.run([program, 'test', '--passes', 'list'], capture_output=True, text=True, check=True, timeout=60)
    return [line.split()[0] for line in listed.stdout.splitlines()]


def ways(program):
    """Options of accel-run test, and what they are."""
    yield ['--passes-off', 'all'], 'no pass'
    for name in names(program):
        yield ['--passes-off', name], f'without {name}'
        yield ['--passes', f'{name}'], f'{name} alone'


def runs(program, folder):
    """Does the model run as it should with all passes? Else it says nothing of a pass."""
    done = subprocess.run([program, 'test', folder], capture_output=True, text=True, timeout=1200, check=False)
    return done.returncode == 0


def main(build, pattern='*'):
    """Prints what fails; returns (passed, failed, skipped)."""
    program, passed, failed, skipped = Path(build) / 'accel-run', 0, 0, 0
    good = [f for f in folders(pattern) if runs(program, f)]
    for options, what in ways(program):
        done = subprocess.run([program, 'test', *options, *good], capture_output=True, text=True, timeout=3600, check=False)
        lines = [m.group() for m in LINE.finditer(done.stdout)]
        if len(lines) < len(good) or done.returncode not in (0, 1):
            failed += 1
            print(f'FAIL {what}: status {done.returncode}: {done.stderr}')
        for line in lines:
            if line.startswith('FAIL') and 'UNSUPPORTED' not in line:
                failed += 1
                print(f'FAIL {what}: {line[5:]}', flush=True)
            elif line.startswith('ok'):
                passed += 1
            else:
                skipped += 1
    return passed, failed, skipped


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', default=ROOT / 'build')
    parser.add_argument('--only', default='*', help='folders whose names match')
    given = parser.parse_args()
    total = main(given.build, given.only)
    print(f'{total[0]} passed, {total[1]} failed, {total[2]} skipped')
    sys.exit(1 if total[1] > 0 or total[0] == 0 else 0)
