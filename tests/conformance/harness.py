# SPDX-License-Identifier: Apache-2.0
"""What the parts of the conformance tests share: the count, and running a program."""
import re
import subprocess

CLOSING = re.compile(r'^(\d+) passed, (\d+) failed, (\d+) skipped$', re.M)
REPORT = re.compile(r'AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:')


class Tally:
    passed = failed = skipped = 0

    def count(self, good, what):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f'FAIL {what}', flush=True)

    def end(self):
        """The closing line, and the exit status."""
        print(f'{self.passed} passed, {self.failed} failed, {self.skipped} skipped')
        return 0 if self.failed == 0 and self.passed > 0 else 1


def call(command, timeout):
    """(status, stdout, stderr); the status of a program that did not end is None."""
    try:
        done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as late:
        return None, '', f'no end after {timeout} s: {(late.stderr or b"").decode(errors="replace")}'
    return done.returncode, done.stdout.decode(errors='replace'), done.stderr.decode(errors='replace')
