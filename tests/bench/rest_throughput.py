#!/usr/bin/env python3
"""REST throughput beside nginx serving the same bytes, on this machine, in one run.

    tests/bench/rest_throughput.py [--build DIR] [--seconds 5] [--rounds 3] [--connections 32]

64 made-up devices; wrk asks for the list (/v2/devices) and for one. nginx has as many worker processes
as the daemon has event loops for a socket (one) and answers from files that hold what the daemon
answered. Rounds alternate, the best of each is shown: other work on the machine hits both, but never
to the same degree. Needs wrk and nginx (Debian: wrk, nginx-light); without them it says so and ends.
"""

import argparse
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
DEVICES = 64
UNITS = {"us": 1e-3, "ms": 1, "s": 1e3}

NGINX = """
daemon off; master_process on; worker_processes 1; pid {folder}/pid; error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log off; default_type application/json; keepalive_requests 1000000000;
    open_file_cache max=16 inactive=1h; open_file_cache_valid 1h;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{ listen 127.0.0.1:{port}; root {folder}/www; }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Nginx:
    """Serves {path: bytes} as files."""

    def __init__(self, program, files):
        self.program, self.files = program, files

    def __enter__(self):
        from daemon import wait_until
        self.folder = tempfile.mkdtemp(prefix="acceld-bench-")
        os.chmod(self.folder, 0o755)
        for path, content in self.files.items():
            file = pathlib.Path(self.folder, "www", path.lstrip("/"))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        port = free_port()
        config = pathlib.Path(self.folder, "nginx.conf")
        config.write_text(NGINX.format(folder=self.folder, port=port))
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen([self.program, "-c", str(config), "-p", self.folder],
                                        stdin=subprocess.DEVNULL)

        def answers():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0
        wait_until(answers, "nginx listens")
        return self

    def __exit__(self, kind, value, trace):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def measure(wrk, url, options):
    """{rate: requests/s, p50, p99: ms}"""
    done = subprocess.run([wrk, "-t", "1", "-c", str(options.connections), "-d", f"{options.seconds}s",
                           "--latency", url], capture_output=True, text=True, check=True)
    figures = {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout).group(1))}
    for percent in (50, 99):
        value, unit = re.search(rf"\s{percent}%\s+([\d.]+)(us|ms|s)", done.stdout).groups()
        figures[f"p{percent}"] = float(value) * UNITS[unit]
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)", done.stdout)
    if failed:
        sys.exit(f"{url}: {failed.group(0)}")
    return figures


def compare(wrk, daemon, nginx, path, file, options):
    best = {}
    for _ in range(options.rounds):
        for name, url in (("acceld", daemon.url + path), ("nginx", nginx.url + file)):
            found = measure(wrk, url, options)
            if name not in best or found["rate"] > best[name]["rate"]:
                best[name] = found
    for name, found in best.items():
        print(f"  {name:7} {found['rate']:9.0f} requests/s, p50 {found['p50']:.2f} ms, "
              f"p99 {found['p99']:.2f} ms")
    print(f"  acceld / nginx: {best['acceld']['rate'] / best['nginx']['rate']:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--seconds", type=int, default=5, help="of one round (5)")
    parser.add_argument("--rounds", type=int, default=3, help="the best counts (3)")
    parser.add_argument("--connections", type=int, default=32, help="kept alive (32)")
    options = parser.parse_args()
    wrk = shutil.which("wrk")
    nginx_program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if wrk is None or nginx_program is None:
        print("REST throughput: not measured, wrk and nginx are needed (apt-get install wrk nginx-light)")
        return
    os.environ["ACCELD_BUILD"] = options.build
    from daemon import Daemon
    fake = {"devices": [{"type": "FPGA", "count": DEVICES}]}
    with Daemon({"drivers": {"enabled": ["fake"], "fake": fake}}) as daemon:
        daemon.wait_ready()
        listed = daemon.get("/v2/devices")
        one = f"/v2/devices/{listed.json()['devices'][0]['uuid']}"
        # As files: the list cannot lie where the folder of the single ones does.
        files = {"/v2/list": listed.content, one: daemon.get(one).content}
        assert len(listed.json()["devices"]) == DEVICES
        print(f"REST throughput, {options.connections} connections, one event loop each, best of "
              f"{options.rounds} rounds of {options.seconds} s:")
        with Nginx(nginx_program, files) as nginx:
            for what, path, file in (("list of 64", "/v2/devices", "/v2/list"), ("one", one, one)):
                print(f" {what}, {len(files[file])} bytes")
                compare(wrk, daemon, nginx, path, file, options)


if __name__ == "__main__":
    main()
