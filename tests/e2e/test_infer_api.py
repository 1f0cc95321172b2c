# SPDX-License-Identifier: Apache-2.0
"""The inference library as programs link with it: its symbols, its operator table."""
import json
import re
import subprocess

import pytest

from daemon import BUILD, ROOT


def declared(header):
    """Names of the functions that a public header exports."""
    text = (ROOT / "include/acceld" / header).read_text()
    return set(re.findall(r"^ACCEL_EXPORT (?:ACCEL_PRINTF\(\d, \d\) )?[^;(]*?\b(accel_\w+)\(", text, re.M))


@pytest.mark.plain_build
def test_the_library_exports_what_its_headers_declare_under_a_version():
    out = subprocess.run(["nm", "-D", "--defined-only", BUILD / "libaccelinfer.so"], check=True,
                         capture_output=True, text=True).stdout
    symbols = dict(line.split()[2].split("@@") for line in out.splitlines() if "@@" in line)
    assert len(symbols) > 30 and set(symbols.values()) == {"ACCELINFER_0"}
    assert set(symbols) == {n for h in ("infer.h", "error.h") for n in declared(h)}


def operators(form):
    return subprocess.run([BUILD / "accel-run", "ops", form], check=True, capture_output=True, text=True).stdout


def test_the_page_of_operators_is_the_table():
    assert (ROOT / "docs/operators.md").read_text() == operators("--markdown"), "run `make operators`"


def test_the_table_is_printed_for_programs():
    table = json.loads(operators("--json"))
    conv = [op for op in table if (op["domain"], op["name"]) == ("", "Conv")]
    assert conv and conv[0]["inputs"][0]["name"] == "X" and "float" in conv[0]["inputs"][0]["types"]
    assert conv[0]["inputs"][2]["optional"] and not conv[0]["inputs"][1]["optional"]
    assert len({(op["domain"], op["name"], op["since"]) for op in table}) == len(table)


@pytest.mark.plain_build
def test_the_operator_of_the_page_on_adding_one_compiles(tmp_path):
    page = (ROOT / "docs/adding-an-operator.md").read_text()
    block = re.search(r"^    /\* SPDX.*?^    \};$", page, re.M | re.S)[0]
    (tmp_path / "twice.c").write_text(re.sub(r"^ {4}", "", block, flags=re.M) + "\n")
    subprocess.run(["gcc", "-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{ROOT}/include",
                    f"-I{ROOT}/src", tmp_path / "twice.c"], check=True)
