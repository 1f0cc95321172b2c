#!/usr/bin/env python3
"""Runs tiers of tests and ends in one line: `N passed, N failed, N skipped`.

    tests/run.py [--build DIR] [--only PATTERN] TIER...

Tiers: lint, unit, fuzz-replay, kernels, conformance, differential, api, e2e, slow. Exit 0 only when nothing failed and
something ran.
A program's exit status 77 means "skipped: no such hardware"; every skip is listed with its reason.
"""

import argparse
import fnmatch
import os
import pathlib
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLOSING = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.M)


class Tally:
    def __init__(self):
        self.passed = self.failed = 0
        self.skips, self.failures = [], []

    def add(self, name, passed, failed, output=""):
        self.passed += passed
        self.failed += failed
        if failed:
            self.failures.append(name)
            print(output.rstrip())
        print(f"{'FAIL' if failed else 'ok  '} {name}: {passed} passed"
              + (f", {failed} failed" if failed else ""), flush=True)

    def skip(self, name, reason):
        self.skips.append((name, reason))


def sanitizer_environment(build):
    env = dict(os.environ, ACCELD_BUILD=str(build), PYTHONDONTWRITEBYTECODE="1",
               PYTHONPATH=str(ROOT / "tests"))
    env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:allocator_may_return_null=1")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
    env.setdefault("TSAN_OPTIONS", "halt_on_error=1:second_deadlock_stack=1:"
                                   "allocator_may_return_null=1")
    return env


def run(command, env, timeout):
    started = time.monotonic()
    try:
        done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                              timeout=timeout, check=False)
        code, output = done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as hung:
        code = -9
        output = (hung.stdout or b"").decode(errors="replace") + f"\nno end after {timeout} s"
    return code, output, time.monotonic() - started


def run_programs(tally, tier, build, env, only, folder=None, pattern="test_*.c", corpus=None):
    """corpus: a folder whose sub-folder of the program's name is the program's argument."""
    folder = folder or tier
    sources = sorted((ROOT / "tests" / folder).glob(pattern))
    if not sources:
        tally.add(f"{tier}: no test program found", 0, 1)
    for source in sources:
        if not fnmatch.fnmatch(source.stem, only):
            continue
        command = [str(build / "tests" / folder / source.stem)]
        if corpus:
            command.append(str(corpus / source.stem))
        code, output, _ = run(command, env, 900)
        name = f"{tier}/{source.stem}"
        if code == 77:
            tally.skip(name, output.strip().splitlines()[-1] if output.strip() else "no reason given")
            continue
        good = len(re.findall(r"^ok \d+", output, re.M))
        bad = len(re.findall(r"^not ok \d+", output, re.M))
        if code != 0 and bad == 0:
            bad = 1  # a crash, a sanitizer's report, or no end
        if code == 0 and good == 0:
            bad = 1  # a test that checks nothing
        shown = output if len(output) < 20000 else output[-20000:]
        tally.add(name, good, bad, f"{shown}\nexit status {code}")


def run_script(tally, name, command, env, timeout):
    code, output, _ = run(command, env, timeout)
    closing = CLOSING.findall(output)
    if not closing:
        tally.add(name, 0, 1, f"{output}\nexit status {code}, no closing line")
        return
    passed, failed = int(closing[-1][0]), int(closing[-1][1])
    if code != 0 and failed == 0:
        failed = 1
    for line in output.splitlines():
        if line.startswith(("not yet supported", "  not yet", "skip ")):
            print(f"     {line}")
    if closing[-1][2] and int(closing[-1][2]):
        tally.skip(name, f"{closing[-1][2]} skipped by the script")
    tally.add(name, passed, failed, output)


def run_pytest(tally, tier, env, only):
    report = pathlib.Path(env["ACCELD_BUILD"]) / f"pytest-{tier}.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-x" if env.get("FAIL_FAST") else "-q",
               "-p", "no:cacheprovider", f"--junitxml={report}", f"tests/{tier}"]
    if only != "*":
        command += ["-k", only.strip("*")]
    code, output, took = run(command, env, 2400)
    try:
        cases = ElementTree.parse(report).getroot().iter("testcase")
    except (OSError, ElementTree.ParseError):
        tally.add(tier, 0, 1, f"{output}\nexit status {code}, no report")
        return
    passed = failed = 0
    for case in cases:
        kinds = {child.tag for child in case}
        name = f"{tier}/{case.get('classname', '').split('.')[-1]}.{case.get('name')}"
        if kinds & {"failure", "error"}:
            failed += 1
        elif "skipped" in kinds:
            tally.skip(name, case.find("skipped").get("message", ""))
        else:
            passed += 1
    if code not in (0, 5) and failed == 0 or passed + failed == 0:
        failed += 1
    tally.add(f"{tier} ({took:.0f} s)", passed, failed, output)


def lint(tally, env):
    def check(name, command, good=lambda code, output: code == 0):
        code, output, _ = run(command, env, 600)
        failed = 0 if good(code, output) else 1
        tally.add(f"lint/{name}", 1 - failed, failed, output)

    check("arrows", [sys.executable, "tests/lint/arrows.py"])
    sources = sorted(str(path.relative_to(ROOT)) for folder in ("include", "src", "drivers", "tests", "docs")
                     for path in (ROOT / folder).rglob("*.[ch]"))
    check("format", ["clang-format-14", "--dry-run", "--Werror", *sources])
    for script in sorted((ROOT / "tests" / "lint").glob("*.py")):
        if script.name != "arrows.py":
            check(script.stem, [sys.executable, str(script)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build", help="folder the programs were built in")
    parser.add_argument("--only", default="*", help="run only the tests whose name matches")
    parser.add_argument("tiers", nargs="+",
                        choices=["lint", "unit", "fuzz-replay", "kernels", "conformance", "differential",
                                 "api", "e2e", "slow"])
    parser.add_argument("--graphs", default="600", help="how many the differential tier draws")
    args = parser.parse_args()
    build = (ROOT / args.build).resolve()
    env, tally = sanitizer_environment(build), Tally()
    data = env.get("ACCELD_TEST_DATA")
    if data and not pathlib.Path(data).is_dir():
        print(f"ACCELD_TEST_DATA={data} is no folder; unset it to use tests/fixtures alone")
        return 2
    for tier in args.tiers:
        print(f"--- {tier}", flush=True)
        if tier == "lint":
            lint(tally, env)
        elif tier in ("unit", "kernels"):
            run_programs(tally, tier, build, env, args.only)
        elif tier == "fuzz-replay":
            run_programs(tally, tier, build, env, args.only, "fuzz", "fuzz_*.c",
                         pathlib.Path("tests/fuzz/corpus"))
        elif tier in ("conformance", "slow"):
            slow = ["--slow"] if tier == "slow" else []
            run_script(tally, tier, [sys.executable, "tests/conformance/run.py", "--build", str(build),
                                     *slow], env, 3000)
        elif tier == "differential":  # always the same graphs; `make differential` draws others
            run_script(tally, tier, [sys.executable, "-m", "differential", "--build", str(build), "--seed", "1",
                                     "--graphs", args.graphs], env, 1800)
        else:
            run_pytest(tally, tier, env, args.only)
    for name, reason in tally.skips:
        print(f"skip {name}: {reason}")
    for name in tally.failures:
        print(f"FAIL {name}")
    print(f"{tally.passed} passed, {tally.failed} failed, {len(tally.skips)} skipped")
    return 0 if tally.failed == 0 and tally.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
