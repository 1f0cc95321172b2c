"""bash completion, as bash asks for it, against a running daemon."""

import subprocess

import pytest

from daemon import BUILD, ROOT, Daemon

SCRIPT = """
source {completion}
COMP_LINE=$1 COMP_POINT=${{#1}} COMP_WORDS=({program}) COMP_CWORD=1
{function}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def complete(line, program=None):
    name = line.split()[0]
    script = SCRIPT.format(completion=ROOT / "etc/bash-completion/accelctl",
                           program=program or BUILD / name,
                           function="_" + name.replace("-", "_"))
    done = subprocess.run(["bash", "-c", script, "bash", line], capture_output=True, text=True,
                          timeout=60, check=True, cwd=ROOT)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.fixture(scope="module")
def ctl():
    with Daemon({"drivers": {"enabled": ["cpu", "fake"]}}) as daemon:
        daemon.wait_ready()
        model = (ROOT / "tests/fixtures/mnist-8/model.onnx").read_bytes()
        assert daemon.request("PUT", "/v2/models/digits", data=model).status_code == 201
        head = f"accelctl --socket {daemon.socket_path} "
        yield lambda rest: complete(head + rest)


def test_commands_verbs_and_options():
    assert {"devices", "models", "place", "infer"} <= set(complete("accelctl "))
    assert complete("accelctl mod") == ["models"]
    assert complete("accelctl --so") == ["--socket"]
    assert {"list", "show", "put", "delete"} <= set(complete("accelctl models "))
    assert complete("accelctl models put --pre") == ["--predict-only"]
    assert {"--image", "--device", "--labels"} <= set(complete("accelctl infer m --"))
    assert complete("accelctl log-level w") == ["warning"]


def test_names_come_from_the_daemon(ctl):
    assert ctl("devices show cp") == ["cpu:0"]
    assert ctl("devices show cpu:") == ["0"], "bash has what stands before the colon already"
    assert ctl("infer ") == ["digits"]
    assert ctl("models analysis d") == ["digits"]
    assert ctl("place digits --device cp") == ["cpu:0"]
    assert ctl("profiles show ") == []



def test_without_a_daemon_there_are_no_names(tmp_path):
    assert complete(f"accelctl --socket {tmp_path}/none devices show ") == []


def test_files_where_files_go():
    assert "tests/daemon.py" in complete("accelctl infer m --image tests/da")
    assert "tests/fixtures" in complete("accel-run test tests/fix")
    assert "etc/acceld.yaml" in complete("acceld --config etc/acceld.y")


def test_accel_run_and_acceld():
    assert {"test", "bench", "analyse", "run", "pack", "ops"} <= set(complete("accel-run "))
    assert complete("accel-run bench --pro") == ["--profile"]
    assert complete("accel-run run m --format n") == ["npy"]
    assert {"list", "all", "dead-code"} <= set(complete("accel-run run m --passes "))
    assert complete("accel-run bench m --passes-off fold-pad,dead-") == ["fold-pad,dead-code"]
    assert complete("accel-run analyse m --dump d") == ["dot"]
    assert complete("accel-run run m --dead") == ["--deadline"]
    assert complete("accel-run pack m --mem") == ["--memory-limit"]
    assert complete("acceld --log-level d") == ["debug"]
    assert complete("acceld --state") == ["--state-dir"]
