#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast are we beside ONNX Runtime, on the same models in the same minutes?

    tests/bench/compare_ort.py [--build DIR] [--threads 1,2] [--rounds 3] [MODEL.onnx ...]

Both run as processes of their own, in turns (ours, theirs, ours, theirs, ...), so that whatever else
the machine does hits both. Of each the best round's median counts. ONNX Runtime has its graph
optimisation on. The ratio is ours / theirs: below 1 we are faster.
"""
import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / 'tests' / 'models'))
import oracle  # noqa: E402
import reference  # noqa: E402

REFERENCE = ['resnet50', 'vgg16', 'densenet121', 'mobilenetv2', 'unet2d', 'tomogan_256']


def theirs_here(model, threads, seconds):
    """One round of ONNX Runtime, in this process: median and peak memory as JSON."""
    run = oracle.session(model, threads, optimise=True)
    feeds, taken = oracle.inputs_of(model.parent / 'test_data_set_0'), []
    for _ in range(3):
        run.run(None, feeds)
    begin = time.monotonic()
    while len(taken) < 5 or (time.monotonic() - begin < seconds and len(taken) < 1000):
        at = time.perf_counter()
        run.run(None, feeds)
        taken.append((time.perf_counter() - at) * 1e3)
    taken.sort()
    print(json.dumps({'median_ms': taken[len(taken) // 2], 'runs': len(taken),
                      'peak_rss_bytes': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


def answer(command):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        return {'error': done.stderr.decode(errors='replace').strip().splitlines()[-1:] or done.returncode}
    return json.loads(done.stdout)


def ours(program, model, threads, runs):
    feeds = oracle.inputs_of(model.parent / 'test_data_set_0')
    shapes = [f'--input-shape={name}:{"x".join(map(str, value.shape))}' for name, value in feeds.items()]
    return answer([program, 'bench', model, '--json', '--threads', threads, *runs, *shapes])


def best(rounds):
    """The round with the smallest median, or the first that failed."""
    failed = [r for r in rounds if 'error' in r]
    return failed[0] if failed else min(rounds, key=lambda r: r['median_ms'])


def main():
    cli = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cli.add_argument('models', nargs='*', type=Path, help='default: the fixtures and the reference models')
    cli.add_argument('--build', default='build')
    cli.add_argument('--threads', default='1,2')
    cli.add_argument('--rounds', type=int, default=3)
    cli.add_argument('--runs', type=int, default=0, help='runs per round of ours; default: 2 s')
    cli.add_argument('--json', action='store_true')
    cli.add_argument('--theirs', nargs=3, metavar=('MODEL', 'THREADS', 'SECONDS'), help=argparse.SUPPRESS)
    args = cli.parse_args()
    if args.theirs:
        return theirs_here(Path(args.theirs[0]), int(args.theirs[1]), float(args.theirs[2]))
    program = Path(args.build).resolve() / 'accel-run'
    if not program.exists():
        sys.exit(f'{program} is not there: make')
    models = args.models or (sorted((ROOT / 'tests' / 'fixtures').glob('*/model.onnx')) +
                             [f / 'model.onnx' for f in reference.folders(REFERENCE, lambda text: print(text, file=sys.stderr))])
    rows, head = [], f'{"model":22} {"threads":>7} {"ours ms":>9} {"ORT ms":>9} {"ratio":>6} {"GFLOP/s":>8} {"ours MiB":>8} {"ORT MiB":>8}'
    if not args.json:
        print(head, flush=True)
    for model in models:
        for threads in args.threads.split(','):
            a, b = [], []
            for _ in range(args.rounds):
                a.append(ours(program, model, threads, ['--runs', args.runs] if args.runs else []))
                b.append(answer([sys.executable, __file__, '--theirs', model, threads, 2]))
            a, b = best(a), best(b)
            rows.append({'model': model.parent.name, 'threads': int(threads), 'ours': a, 'theirs': b})
            if args.json:
                continue
            if 'error' in a or 'error' in b:
                print(f'{model.parent.name:22} {threads:>7} {a.get("error") or b.get("error")}', flush=True)
                continue
            print(f'{model.parent.name:22} {threads:>7} {a["median_ms"]:9.2f} {b["median_ms"]:9.2f} '
                  f'{a["median_ms"] / b["median_ms"]:6.2f} {a["gflop_per_s"]:8.1f} '
                  f'{a["peak_rss_bytes"] / 2**20:8.0f} {b["peak_rss_bytes"] / 2**20:8.0f}', flush=True)
    if args.json:
        json.dump({'cpus': os.cpu_count(), 'rows': rows}, sys.stdout, indent=1)
        print()
    return 1 if any('error' in r['ours'] for r in rows) else 0


if __name__ == '__main__':
    sys.exit(main())
