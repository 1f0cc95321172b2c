"""make install, and a module and a program built against what it installed."""

import os
import subprocess

import pytest

from daemon import ROOT, SANITIZED, Daemon

PROGRAM = """
#include <acceld/infer.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    struct accel_model *model;
    struct accel_error err = {0};
    if (argc < 2 || accel_model_load_file(argv[1], NULL, &model, &err) != ACCEL_OK) {
        fprintf(stderr, "%s\\n", err.msg);
        return 1;
    }
    printf("%zu inputs, %s\\n", accel_model_input_count(model), accel_infer_version());
    accel_model_unref(model);
    return 0;
}
"""

MODULE = """
#include <acceld/driver.h>
static int discover(void *self, struct accel_builder *out, struct accel_error *err)
{
    const struct accel_found_device device = {.struct_size = sizeof(device), .type = "AICHIP",
        .serial = "7", .vendor = "0xabcd", .model = "a chip of our own", .numa_node = -1,
        .iommu_group = -1};
    (void)self;
    return out->add_device(out, &device, err);
}
ACCEL_DRIVER(.name = "own", .family = "npu", .version = "1.0", .discover = discover);
"""


pytestmark = pytest.mark.plain_build  # nobody installs a sanitized build


def test_everything_lies_where_it_belongs(root):
    for path in ("usr/sbin/acceld", "usr/bin/accelctl", "usr/bin/accel-run",
                 "usr/libexec/acceld/acceld-control", "usr/libexec/acceld/acceld-hardware",
                 "usr/libexec/acceld/acceld-worker", "usr/lib/acceld/drivers/cpu.so",
                 "usr/lib/acceld/drivers/pci.so", "usr/lib/acceld/drivers/fake.so",
                 "usr/include/acceld/driver.h", "usr/include/acceld/infer.h",
                 "usr/lib/libaccelinfer.a", "usr/lib/libaccelinfer.so.0",
                 "usr/lib/pkgconfig/libaccelinfer.pc", "usr/lib/systemd/system/acceld.service",
                 "usr/lib/sysusers.d/acceld.conf", "usr/share/man/man8/acceld.8",
                 "usr/share/man/man1/accelctl.1", "usr/share/man/man1/accel-run.1",
                 "usr/share/man/man5/acceld.yaml.5", "usr/share/man/man7/acceld-driver.7",
                 "usr/share/bash-completion/completions/accelctl",
                 "usr/share/bash-completion/completions/acceld",
                 "usr/share/bash-completion/completions/accel-run", "etc/acceld/acceld.yaml"):
        assert (root / path).exists(), path
    assert "/usr/sbin/acceld" in (root / "usr/lib/systemd/system/acceld.service").read_text()
    done = subprocess.run([root / "usr/sbin/acceld", "--check-config",
                           root / "etc/acceld/acceld.yaml"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr


def test_a_program_links_with_the_installed_library(root, tmp_path):
    source = tmp_path / "program.c"
    source.write_text(PROGRAM)
    env = dict(os.environ, PKG_CONFIG_PATH=str(root / "usr/lib/pkgconfig"),
               PKG_CONFIG_SYSROOT_DIR=str(root))
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libaccelinfer"], env=env, check=True,
                           capture_output=True, text=True).stdout.split()
    subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", str(source), "-o",
                    str(tmp_path / "program"), *flags, f"-I{root}/usr/include", f"-L{root}/usr/lib"],
                   check=True)
    done = subprocess.run([tmp_path / "program", ROOT / "tests/fixtures/mnist-8/model.onnx"],
                          env=dict(os.environ, LD_LIBRARY_PATH=str(root / "usr/lib")),
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith("1 inputs, "), done.stderr


def test_the_installed_daemon_loads_a_module_of_somebody_else(root, tmp_path):
    source = tmp_path / "own.c"
    source.write_text(MODULE)
    modules = tmp_path / "modules"
    modules.mkdir()
    subprocess.run(["gcc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror",
                    f"-I{root}/usr/include", str(source), "-o", str(modules / "own.so")], check=True)
    tmp_path.chmod(0o755)
    with Daemon({"drivers": {"enabled": ["own"], "module_dir": str(modules)}}) as daemon:
        daemon.wait_ready()
        devices = daemon.get("/v2/devices").json()["devices"]
        assert [(d["type"], d["model"]) for d in devices] == [("AICHIP", "a chip of our own")]
