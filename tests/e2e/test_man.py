"""The installed man pages: well formed, and they tell of all that there is."""

import re
import subprocess

import pytest

from daemon import BUILD, ROOT

pytestmark = pytest.mark.plain_build  # nobody installs a sanitized build
PAGES = ("man1/accelctl.1", "man1/accel-run.1", "man5/acceld.yaml.5", "man7/acceld-driver.7",
         "man8/acceld.8")


def page(root, name):
    """The page as text in one line; what roff says of a macro it does not know is an error."""
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-P-c", root / "usr/share/man" / name],
                          capture_output=True, check=True)
    assert done.stderr == b"", done.stderr.decode()
    text = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout.decode())
    text = re.sub(r"[‐−]\n\s+", "-", text).replace("‐", "-").replace("−", "-")
    return re.sub(r"\s+", " ", text)


def help_of(*arguments):
    return subprocess.run([BUILD / arguments[0], *arguments[1:], "--help"], capture_output=True,
                          text=True, check=True).stdout


def options(text):
    return set(re.findall(r"^ +(?:-\w, )?(--[a-z][a-z-]*)", text, re.M))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_well_formed_and_whole(root, name):
    text = page(root, name)
    assert " NAME " in text and " SEE ALSO " in text
    assert "@" not in re.sub(r"\S+@\S+\.\S+", "", text), "nothing is left of the template"


def test_acceld_tells_of_every_option(root):
    text = page(root, "man8/acceld.8")
    assert len(options(help_of("acceld"))) > 10
    assert [o for o in options(help_of("acceld")) if o not in text] == []


def test_accelctl_tells_of_every_command_verb_and_option(root):
    text = page(root, "man1/accelctl.1").replace("- ", "-")
    top = help_of("accelctl")
    commands = re.findall(r"^  ([a-z][a-z-]*) ", top.split("\noptions")[0], re.M)
    assert len(commands) >= 12
    wanted = [(f"accelctl {c}", help_of("accelctl", c)) for c in commands]
    for command in commands:
        for verb in re.findall(rf"^  accelctl {command} ([a-z-]+)", help_of("accelctl", command), re.M):
            wanted.append((f"accelctl {command} {verb}", help_of("accelctl", command, verb)))
    assert len(wanted) > 30
    for name, shown in wanted:
        assert name in text
        section = text[text.index(name):]
        assert [o for o in options(shown) if o not in section and o != "--help"] == [], name


def test_accel_run_tells_of_every_verb_and_option(root):
    text = page(root, "man1/accel-run.1")
    verbs = re.findall(r"^  ([a-z]+) ", help_of("accel-run"), re.M)
    assert len(verbs) >= 5
    for verb in verbs:
        assert f"accel-run {verb}" in text
        assert [o for o in options(help_of("accel-run", verb)) if o not in text] == [], verb


def test_the_configuration_s_page_tells_of_every_key(root):
    text = page(root, "man5/acceld.yaml.5").replace("- ", "-")
    section, keys = None, []
    for line in (ROOT / "etc/acceld.yaml").read_text().splitlines():
        if head := re.match(r"([a-z_]+):", line):
            section = head[1]
        elif key := re.match(r"  #?([a-z_0-9]+):", line):
            keys.append(f"{section}.{key[1]}")
    assert len(keys) > 30
    assert [k for k in keys if k not in text] == []


def test_the_driver_s_page_tells_of_every_callback(root):
    text = page(root, "man7/acceld-driver.7")
    header = (ROOT / "include/acceld/driver.h").read_text()
    for struct in ("accel_driver", "accel_host"):
        body = re.search(rf"^struct {struct} {{\n(.*?)^}};", header, re.M | re.S)[1]
        members = re.findall(r"\(\*(\w+)\)\(", body)
        assert len(members) >= 7
        assert [m for m in members if m not in text] == [], struct
