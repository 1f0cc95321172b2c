#!/usr/bin/env python3
"""The names that libaccelinfer exports are those that its public headers declare."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DECLARED = re.compile(r"^ACCEL_EXPORT (?:ACCEL_PRINTF\(\d, \d\) )?[^;(]*?\b(accel_\w+)\(", re.M)
MAP = "src/infer/libaccelinfer.map"


def main():
    declared = {name for header in ("infer.h", "error.h")
                for name in DECLARED.findall((ROOT / "include/acceld" / header).read_text())}
    exported = set(re.findall(r"^ +(accel_\w+);", (ROOT / MAP).read_text(), re.M))
    for name in sorted(declared - exported):
        print(f"{MAP}: {name} is declared in a public header and not listed")
    for name in sorted(exported - declared):
        print(f"{MAP}: {name} is listed and in no public header")
    return 0 if declared == exported and len(declared) > 30 else 1


if __name__ == "__main__":
    sys.exit(main())
