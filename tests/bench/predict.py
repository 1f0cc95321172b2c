#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How well does placement predict? Predicted against measured latency on this CPU.

    tests/bench/predict.py [--build DIR] [--threads 1,2] [--budget MS] [--json FILE] [MODEL.onnx ...]

The prediction is the product's: calibration, analysis and cost model, no run of the model in it. Without
names: every model of tests/fixtures, $ACCELD_TEST_DATA and build/models. Prints a line per model, the
share within 10 % and within 25 %, and per kind of operator where the sums lie and which are furthest off.
"""
import argparse
import json
import math
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def models_at_hand():
    places = [ROOT / 'tests' / 'fixtures', ROOT / 'build' / 'models']
    if os.environ.get('ACCELD_TEST_DATA'):
        places.insert(0, Path(os.environ['ACCELD_TEST_DATA']))
    found = {}
    for place in places:
        for model in sorted(place.glob('*/model*.onnx')):
            found.setdefault((model.parent.name, model.name), model)
    return list(found.values())


def off(ratio):
    return f'{ratio:5.2f}' if ratio >= 0.01 else f'{ratio:.0e}'


def report(lines, worst):
    good = [x for x in lines if 'error' not in x and 'model' in x]
    for x in sorted(good, key=lambda x: x['predicted_ms'] / x['measured_ms']):
        inside = x['low_ms'] <= x['measured_ms'] <= x['high_ms']
        print(f"  {off(x['predicted_ms'] / x['measured_ms'])}  predicted {x['predicted_ms']:9.3f} ms, measured "
              f"{x['measured_ms']:9.3f} ms{'' if inside else ' (outside the interval)'}  {Path(x['model']).parent.name}")
    for x in lines:
        if 'error' in x:
            print(f"  not run: {Path(x['model']).parent.name}: {x['error'][:110]}")
    kinds = defaultdict(list)
    for x in good:
        for op in x['ops']:
            kinds[op['kind']].append((op, Path(x['model']).parent.name))
    for kind, ops in sorted(kinds.items(), key=lambda k: -sum(o['measured_us'] for o, _ in k[1])):
        predicted, measured = (sum(o[key] for o, _ in ops) for key in ('predicted_us', 'measured_us'))
        print(f'  {kind:15s} {len(ops):5d} operators, predicted {predicted / 1e3:9.2f} ms, measured {measured / 1e3:9.2f} ms')
        for op, model in sorted(ops, key=lambda o: -abs(o[0]['predicted_us'] - o[0]['measured_us']))[:worst]:
            print(f"      {off(op['predicted_us'] / max(op['measured_us'], 1e-3))} {op['predicted_us']:8.1f} us, measured "
                  f"{op['measured_us']:8.1f} us  {op['op']} {op['shape']} {op['flops'] / 1e6:.2f} MFLOP "
                  f"{op['bytes'] / 1e3:.0f} kB ({model})")
    ratios = [abs(math.log(x['predicted_ms'] / x['measured_ms'])) for x in good]

    def share(percent):
        # As far off by a factor above as below: |p - m| <= percent of m, on the predicted side.
        return sum(abs(x['predicted_ms'] / x['measured_ms'] - 1) <= percent / 100 for x in good) / max(len(good), 1)
    inside = sum(x['low_ms'] <= x['measured_ms'] <= x['high_ms'] for x in good) / max(len(good), 1)
    print(f"{len(good)} models: {share(10):.0%} within 10 %, {share(25):.0%} within 25 %, {inside:.0%} inside their "
          f"interval, typical factor {math.exp(sum(ratios) / max(len(ratios), 1)):.2f}")


def main():
    p = argparse.ArgumentParser()
    p.add_argument('models', nargs='*')
    p.add_argument('--build', default='build')
    p.add_argument('--threads', default='1,2')
    p.add_argument('--budget', default='6000', help='of the calibration, ms; the daemon takes 6000')
    p.add_argument('--each', default='300', help='ms of runs per model')
    p.add_argument('--worst', type=int, default=3, help='operators shown per kind')
    p.add_argument('--json', help='write everything there')
    args = p.parse_args()
    models = args.models or models_at_hand()
    kept = []
    for threads in args.threads.split(','):
        done = subprocess.run([str(Path(args.build) / 'tests' / 'bench' / 'predict'), threads, args.budget, args.each,
                               *map(str, models)], stdout=subprocess.PIPE, check=False)
        lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
        if done.returncode != 0:
            sys.exit(f'predict: exit {done.returncode} after {len(lines)} lines')
        print(f"{threads} thread{'s' if threads != '1' else ''}, calibrated in {lines[0]['calibration_s']:.1f} s, "
              f"{len(lines[0]['rates'])} rates")
        report(lines[1:], args.worst)
        kept += lines
    if args.json:
        Path(args.json).write_text(json.dumps(kept, indent=1))


if __name__ == '__main__':
    main()
