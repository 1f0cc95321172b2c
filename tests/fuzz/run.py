#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the libFuzzer targets one after another and ends in `N passed, N failed`.

    tests/fuzz/run.py --build build/fuzz [--seconds 30] [--only PATTERN]

What a run learnt is kept in BUILD/corpus/TARGET; what it found is written to BUILD/findings/. Move
a finding to tests/fuzz/corpus/TARGET/ when it is fixed.
"""

import argparse
import fnmatch
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def seeds_of(target, build):
    """The folders it begins with: its corpus, and for models some of every operator, which are made now."""
    folders = [str(ROOT / "tests" / "fuzz" / "corpus" / target.name)]
    if target.name == "fuzz_onnx":
        folders.append(str(build / "seeds"))
        script = [str(ROOT / ".venv" / "bin" / "python"), str(ROOT / "tests" / "fuzz" / "onnx_seeds.py")]
        made = subprocess.run([*script, folders[-1]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if made.returncode != 0:
            sys.exit(f"no seeds for {target.name}: {made.stdout.decode(errors='replace')[-2000:]}")
    return folders


def run(target, build, seconds):
    """Returns executions, code paths reached and the text to show when something was found."""
    learnt, findings = build / "corpus" / target.name, build / "findings"
    learnt.mkdir(parents=True, exist_ok=True)
    findings.mkdir(exist_ok=True)
    env = dict(os.environ, ASAN_OPTIONS="allocator_may_return_null=1:detect_leaks=1",
               UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1")
    command = ["nice", "-n", "10", str(target), f"-max_total_time={seconds}", "-timeout=20",
               "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=1", "-use_value_profile=1",
               f"-artifact_prefix={findings / target.name}-", str(learnt), *seeds_of(target, build)]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, check=False)
    output = done.stdout.decode(errors="replace")
    executions = re.search(r"number_of_executed_units: (\d+)", output)
    paths = re.findall(r"cov: (\d+)", output)
    # A sanitizer's report comes before libFuzzer's closing figures.
    report = "" if done.returncode == 0 else output[-8000:]
    return int(executions[1]) if executions else 0, int(paths[-1]) if paths else 0, report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, help="folder the targets were built in")
    parser.add_argument("--seconds", type=int, default=30, help="for each target")
    parser.add_argument("--only", default="*", help="run only the targets whose name matches")
    args = parser.parse_args()
    build = (ROOT / args.build).resolve()
    passed = failed = 0
    for source in sorted((ROOT / "tests" / "fuzz").glob("fuzz_*.c")):
        if not fnmatch.fnmatch(source.stem, args.only):
            continue
        executions, paths, report = run(build / "fuzzers" / source.stem, build, args.seconds)
        good = not report and executions > 0
        passed, failed = passed + good, failed + (not good)
        print(report, end="")
        print(f"{'ok  ' if good else 'FAIL'} {source.stem}: {executions} executions, "
              f"{paths} edges, {'no finding' if good else '1 finding'}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
