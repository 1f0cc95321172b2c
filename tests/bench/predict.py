#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How well does placement predict? Predicted against measured latency on this CPU.

    tests/bench/predict.py [--build DIR] [--threads 1,2] [--budget MS] [--json FILE] [MODEL.onnx ...]

The prediction is the product's: calibration, analysis and cost model, no run of the model in it. Without
names: every model of tests/fixtures, $ACCELD_TEST_DATA and build/models but the large ones. Prints a line per model, the
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
sys.path.insert(0, str(ROOT / 'tests' / 'models'))
import reference  # noqa: E402


def models_at_hand():
    places = [ROOT / 'tests' / 'fixtures']
    if os.environ.get('ACCELD_TEST_DATA'):
        places.insert(0, Path(os.environ['ACCELD_TEST_DATA']))
    folders = [folder for place in places for folder in sorted(place.iterdir())]
    folders += [reference.CACHE / name for name in reference.names(large=False)]
    found = {}
    for folder in folders:
        for model in sorted(folder.glob('model*.onnx')):
            found.setdefault((model.parent.name, model.name), model)
    return list(found.values())


def off(ratio):
    return f'{ratio:5.2f}' if ratio >= 0.01 else f'{ratio:.0e}'


def undisturbed(x):
    """What the quickest run would have taken alone on the machine, ms. One that is shorter than a time slice found its
    quiet moment; of a longer one its CPU time tells (one thread), or the sum of each operator's quickest."""
    if x['measured_ms'] < 2:
        return x['measured_ms']
    return min(x['measured_ms'], x['thread_ms'] if x['threads'] == 1 else x['ops_ms'])


def summary(good, measured, name):
    ratios = sorted(x['predicted_ms'] / max(measured(x), 1e-9) for x in good)

    def share(percent):
        return sum(abs(r - 1) <= percent / 100 for r in ratios) / max(len(ratios), 1)
    inside = sum(x['low_ms'] <= measured(x) <= x['high_ms'] for x in good) / max(len(good), 1)
    typical = math.exp(sum(abs(math.log(r)) for r in ratios) / max(len(ratios), 1))
    print(f"{len(good)} models by {name}: {share(10):.0%} within 10 %, {share(25):.0%} within 25 %, {inside:.0%} inside "
          f"their interval, median {ratios[len(ratios) // 2] if ratios else 0:.2f}, typical factor {typical:.2f}")


def off_by(x):
    """The kinds which carry a model's error, in ms, the largest first."""
    kinds = defaultdict(float)
    for op in x['ops']:
        kinds[op['kind']] += (op['predicted_us'] - op['measured_us']) / 1e3
    return ', '.join(f'{kind} {ms:+.3f}' for kind, ms in sorted(kinds.items(), key=lambda k: -abs(k[1]))[:3])


def report(lines, worst):
    good = [x for x in lines if 'error' not in x and 'model' in x]
    for x in sorted(good, key=lambda x: x['predicted_ms'] / undisturbed(x)):
        inside = x['low_ms'] <= undisturbed(x) <= x['high_ms']
        print(f"  {off(x['predicted_ms'] / undisturbed(x))}  predicted {x['predicted_ms']:9.3f} ms, undisturbed "
              f"{undisturbed(x):9.3f} ms, wall {x['measured_ms']:9.3f} ms{'' if inside else ' (outside the interval)'}  "
              f"{Path(x['model']).parent.name}: {off_by(x)}")
    for x in lines:
        if 'error' in x:
            print(f"  not run: {Path(x['model']).parent.name}: {x['error'][:110]}")
    kinds = defaultdict(list)
    for x in good:
        for op in x['ops']:
            share = abs(op['predicted_us'] - op['measured_us']) / 1e3 / undisturbed(x)
            kinds[op['kind']].append((share, op, Path(x['model']).parent.name))
    for kind, ops in sorted(kinds.items(), key=lambda k: -sum(o[0] for o in k[1])):
        predicted, measured = (sum(o[key] for _, o, _ in ops) for key in ('predicted_us', 'measured_us'))
        print(f'  {kind:15s} {len(ops):5d} operators, predicted {predicted / 1e3:9.2f} ms, measured {measured / 1e3:9.2f} ms')
        for share, op, model in sorted(ops, key=lambda o: -o[0])[:worst]:
            print(f"      {off(op['predicted_us'] / max(op['measured_us'], 1e-3))} {op['predicted_us']:8.1f} us, measured "
                  f"{op['measured_us']:8.1f} us  {op['op']} {op['shape']} {op['fused']} {op['flops'] / 1e6:.2f} MFLOP "
                  f"{op['bytes'] / 1e3:.0f} kB ({model}: {share:.0%})")
    summary(good, undisturbed, 'undisturbed time')
    summary(good, lambda x: x['measured_ms'], 'the quickest run on the wall')


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
