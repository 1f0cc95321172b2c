#!/usr/bin/env python3
"""Reads the #include lines and fails on a dependency that points the wrong way.

The table is design: control -> {rest, sync} -> service -> {match, store} -> core -> base, and
infer -> base. hardware, worker and control know each other by messages alone.
"""

import pathlib
import re
import sys

# folder of src/ -> folders of src/ it may include beside itself
MAY_INCLUDE = {
    "base": set(),
    "core": {"base"},
    "config": {"core", "base"},
    "infer": {"base"},
    "match": {"core", "base"},
    "store": {"core", "base"},
    "service": {"match", "store", "config", "core", "base"},
    "rest": {"service", "match", "store", "config", "core", "base"},
    "sync": {"service", "store", "config", "core", "base"},
    "control": {"rest", "sync", "service", "match", "store", "config", "core", "base"},
    "hardware": {"config", "core", "base"},
    "worker": {"config", "core", "base"},
    "supervisor": {"config", "core", "base"},
    "cli": {"core", "base"},
}
# Generated message code: who may speak it.
GENERATED = {"ipc.pb-c.h": {"core", "service", "control", "hardware", "worker", "supervisor"},
             "onnx.pb-c.h": {"infer", "cli"}}
# Libraries that one room alone may use.
LIBRARIES = {"sqlite3.h": {"store"}, "microhttpd.h": {"rest"}, "curl/curl.h": {"cli", "sync"},
             "seccomp.h": {"control", "worker"}, "yaml.h": {"config", "rest"}}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[>"]', re.M)
SQL = re.compile(r'"\s*(SELECT\s.*\sFROM\s|INSERT\s+(OR\s+\w+\s+)?INTO\s|UPDATE\s+\w+\s+SET\s'
                 r'|DELETE\s+FROM\s|CREATE\s+TABLE\s|PRAGMA\s)')


def room_of(path):
    return path.parts[1] if path.parts[0] == "src" else None


def check_source(path, text):
    room = room_of(path)
    for name in INCLUDE.findall(text):
        first = name.split("/")[0]
        if name in LIBRARIES and room not in LIBRARIES[name]:
            yield f"{path}: <{name}> belongs to {', '.join(sorted(LIBRARIES[name]))} alone"
        if name in GENERATED and room not in GENERATED[name]:
            yield f"{path}: {name} belongs to {', '.join(sorted(GENERATED[name]))} alone"
        if first in MAY_INCLUDE and "/" in name and first != room and first not in MAY_INCLUDE[room]:
            yield f"{path}: src/{room} may not include \"{name}\" (src/{first})"
    if room == "infer":
        yield from check_infer(path, text)
    if room != "store" and SQL.search(text):
        yield f"{path}: SQL outside src/store"


def check_infer(path, text):
    """kernels/ know pointers, sizes and strides only."""
    if "kernels" not in path.parts:
        return
    for name in INCLUDE.findall(text):
        if re.match(r"infer/(graph|ops|onnx|plan)/", name):
            yield f"{path}: a kernel may not include \"{name}\""


def check_driver(path, text):
    for name in INCLUDE.findall(text):
        if name.startswith(("acceld/", "base/", "core/")) and name not in (
                "acceld/driver.h", "acceld/error.h"):
            yield f"{path}: a module includes nothing of acceld but acceld/driver.h, not \"{name}\""
        elif "/" in name and name.split("/")[0] in MAY_INCLUDE:
            yield f"{path}: a module may not include \"{name}\""


def main():
    problems, files = [], 0
    for path in sorted(pathlib.Path(".").glob("src/**/*.[ch]")):
        files += 1
        if room_of(path) not in MAY_INCLUDE:
            problems.append(f"{path}: the table in {sys.argv[0]} does not know src/{room_of(path)}")
            continue
        problems += check_source(path, path.read_text())
    for path in sorted(pathlib.Path(".").glob("drivers/**/*.[ch]")):
        files += 1
        problems += check_driver(path, path.read_text())
    if files == 0:
        problems.append("no source file found: run from the top of the tree")
    for problem in problems:
        print(problem)
    print(f"arrows: {files} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
