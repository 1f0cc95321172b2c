"""A systemd of the test's own: PID 1 of namespaces in which nothing of this machine can be changed.

It knows no unit but those of its folder (and empty targets that units order themselves by), has a
/dev, /run, /tmp and /var/lib of its own, a read-only /etc with the user that sysusers would make, and
no network but loopback. What `make install` wrote is at /mnt.
"""

import contextlib
import functools
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from daemon import wait_until

ENTER = r"""
set -e
mount --make-rprivate /
mount -t tmpfs none /mnt
mkdir /mnt/root /mnt/etc /mnt/units /mnt/generators /mnt/log /mnt/dev
mount --bind "$1" /mnt/root
mount --bind "$2" /mnt/etc
mount --bind "$3" /mnt/units
mount --bind "$4" /mnt/log
for name in passwd group; do mount --bind /mnt/etc/$name /etc/$name; done
mount --rbind /etc /etc
mount -o remount,bind,ro /etc
mount -t tmpfs none /mnt/dev
for node in null zero full random urandom tty; do
    : >/mnt/dev/$node; mount --bind /dev/$node /mnt/dev/$node
done
: >/mnt/dev/console
mount --bind /dev/null /mnt/dev/console
mkdir /mnt/dev/shm /mnt/dev/pts
mount -t devpts -o newinstance,ptmxmode=0666 none /mnt/dev/pts
ln -s pts/ptmx /mnt/dev/ptmx
mount --move /mnt/dev /dev
for folder in /tmp /var/tmp /var/lib /run; do mount -t tmpfs -o mode=1777 none $folder; done
chmod 755 /run /var/lib
mkdir -p /run/systemd/system
mount -t proc none /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
while mountpoint -q /sys/fs/cgroup; do umount -R -l /sys/fs/cgroup; done
mount -t cgroup2 none /sys/fs/cgroup
exec env -i container=test PATH="$PATH" SYSTEMD_UNIT_PATH=/mnt/units \
    SYSTEMD_GENERATOR_PATH=/mnt/generators SYSTEMD_LOG_TARGET=null \
    /lib/systemd/systemd --system --unit=sysinit.target --show-status=false
"""
TARGETS = ("sysinit", "basic", "sockets", "multi-user", "shutdown", "umount", "final", "exit")


def _unified():
    """Where the unified cgroup hierarchy is mounted."""
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        if line.split()[2] == "cgroup2":
            return pathlib.Path(line.split()[1])
    return None


@functools.cache
def why_not():
    """Why there can be no such systemd here, or None."""
    if os.geteuid() != 0:
        return "only root has a systemd of its own"
    if _unified() is None or not os.access(_unified(), os.W_OK):
        return "no unified cgroup hierarchy to write to"
    probe = subprocess.run(["unshare", "--mount", "--pid", "--fork", "--cgroup", "--net", "sh", "-c",
                            "mount --make-rprivate / && mount -t tmpfs none /mnt"],
                           capture_output=True, text=True, check=False)
    return probe.stderr.strip() or "no namespaces" if probe.returncode else None


class PrivateSystemd:
    """units: {name: text}. root: what `make install DESTDIR=root` wrote; etc: a folder with passwd and
    group. `folder` gives its log files to those who append to /mnt/log."""

    def __init__(self, units, root, etc):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="acceld-systemd-"))
        self.folder.chmod(0o755)
        self.log = self.folder / "log"
        self.log.mkdir()
        (self.folder / "units").mkdir()
        for target in TARGETS:
            units = {f"{target}.target": "[Unit]\nDescription=x\nDefaultDependencies=no\n", **units}
        for name, text in units.items():
            path = self.folder / "units" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        self.cgroup = _unified() / f"acceld-test-{os.getpid()}"
        self.root, self.etc = root, etc
        self.process = self.pid = None

    def __enter__(self):
        self.cgroup.mkdir()
        procs = self.cgroup / "cgroup.procs"
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--cgroup", "--ipc", "--uts",
             "--net", "sh", "-c", ENTER, "enter", self.root, self.etc, self.folder / "units", self.log],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            preexec_fn=lambda: procs.write_text(str(os.getpid())))
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        try:
            self.pid = int(wait_until(self._alive_and(children.read_text), "unshare has a child"))
            wait_until(self._alive_and(self._is_up), "the private systemd is up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _alive_and(self, condition):
        def check():
            if self.process.poll() is not None:
                raise AssertionError(self.process.stdout.read().decode())
            return condition()
        return check

    def _is_up(self):
        return "running" in self.systemctl("is-system-running", check=False).stdout

    def __exit__(self, *_):
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)  # and with it all of its namespace
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
        wait_until(self._cgroups_are_gone, "the cgroups are empty")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _cgroups_are_gone(self):
        for path in [*sorted(self.cgroup.rglob("*/"), reverse=True), self.cgroup]:
            with contextlib.suppress(OSError):
                path.rmdir()
        return not self.cgroup.exists()

    def run(self, *command, check=True, **kwargs):
        """Runs a command inside."""
        done = subprocess.run(["nsenter", "-t", str(self.pid), "-m", "-p", "-C", "-i", "-u", "-n",
                               *map(str, command)],
                              capture_output=True, text=True, timeout=120, check=False, **kwargs)
        if check and done.returncode != 0:
            raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}\n"
                                 + self.logs())
        return done

    def systemctl(self, *words, check=True):
        return self.run("systemctl", *words, check=check)

    def show(self, unit, name):
        return self.systemctl("show", "-P", name, unit).stdout.strip()

    def logs(self):
        state = self.systemctl("status", "--no-pager", "--lines=0", "*.service", check=False).stdout
        return state + "".join(f"---- {path.name}\n{path.read_text(errors='replace')}"
                               for path in sorted(self.log.iterdir()))
