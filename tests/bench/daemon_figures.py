#!/usr/bin/env python3
"""What the daemon costs and how it answers under load, on this machine, now.

    tests/bench/daemon_figures.py [--build DIR]

Prints: start to ready, memory at idle (PSS summed over all processes), listing 1,000 devices, and
/healthz asked by 50 clients while 500 MB are uploaded and two inferences of about 2 s run.
"""

import argparse
import os
import pathlib
import re
import statistics
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))


def proportional_set_size(daemon):
    """{process: KiB}: shared pages are split between those that map them."""
    sizes = {}
    for pid, arguments in [(daemon.process.pid, ["acceld"]), *daemon.children()]:
        rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        words = [os.path.basename(arguments[0]), *arguments[1:3]]
        sizes[" ".join(w for w in words if not w.startswith("--"))] = int(
            re.search(r"^Pss:\s+(\d+)", rollup, re.M).group(1))
    return sizes


def idle(daemon_class):
    with daemon_class({"drivers": {"enabled": ["cpu", "pci", "fake"]},
                       "workers": {"count": 2, "threads": 0}}) as daemon:
        ready = re.search(r"after_ms=(\d+)", daemon.log()).group(1)
        daemon.wait_ready()
        sizes = proportional_set_size(daemon)
        print(f"start to ready: {ready} ms")
        print(f"PSS at idle: {sum(sizes.values()) / 1024:.1f} MiB ("
              + ", ".join(f"{name} {size / 1024:.1f}" for name, size in sizes.items()) + ")")


def listing(daemon_class):
    fake = {"devices": [{"type": "FPGA", "count": 1000}]}
    with daemon_class({"drivers": {"enabled": ["fake"], "fake": fake}}) as daemon:
        daemon.wait_ready()
        times = []
        for _ in range(20):
            began = time.perf_counter()
            count = len(daemon.get("/v2/devices").json()["devices"])
            times.append(time.perf_counter() - began)
        print(f"listing {count} devices: median {statistics.median(times) * 1e3:.1f} ms")


def slow_model():
    """3x3 convolutions of 64 channels over 512x512: 19 GFLOP each, ten of them."""
    import numpy
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    weight = numpy.full((64, 64, 3, 3), 1e-3, numpy.float32)
    nodes = [helper.make_node("Conv", [f"x{i}", "w"], [f"x{i + 1}"], pads=[1, 1, 1, 1])
             for i in range(10)]
    nodes.append(helper.make_node("ReduceMean", ["x10"], ["y"], keepdims=0))
    graph = helper.make_graph(
        nodes, "slow", [helper.make_tensor_value_info("x0", TensorProto.FLOAT, [1, 64, 512, 512])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
        [numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)]
                             ).SerializeToString()


def upload(daemon, size=500 * 1024 * 1024):
    def chunks():
        block = b"\0" * (1 << 20)
        for _ in range(size >> 20):
            yield block
    began = time.perf_counter()
    status = daemon.request("PUT", "/v2/models/big", data=chunks(), timeout=300).status_code
    print(f"  upload of 500 MB: answered {status} after {time.perf_counter() - began:.1f} s")


def inference(daemon):
    import json
    header = json.dumps({"inputs": [{"name": "x0", "shape": [1, 64, 512, 512], "datatype": "FP32",
                                     "parameters": {"binary_data_size": 4 * 64 * 512 * 512}}]}).encode()
    began = time.perf_counter()
    answer = daemon.request("POST", "/v2/models/slow/infer", data=header + bytes(4 * 64 * 512 * 512),
                            headers={"Inference-Header-Content-Length": str(len(header))}, timeout=300)
    ran = answer.json()["parameters"]["acceld_run_s"] if answer.ok else answer.text
    print(f"  inference: answered {answer.status_code} after {time.perf_counter() - began:.1f} s, "
          f"ran {ran} s")


def client(daemon, times, stop):
    import requests
    with requests.Session() as session:
        while not stop.is_set():
            began = time.perf_counter()
            answer = session.get(daemon.url + "/healthz", timeout=60)
            times.append((time.perf_counter() - began, answer.status_code))
            stop.wait(0.05)


def under_load(daemon_class):
    with daemon_class({"drivers": {"enabled": ["cpu"]},
                       "workers": {"count": 2, "threads": 1}}) as daemon:
        daemon.wait_ready()
        answer = daemon.request("PUT", "/v2/models/slow", data=slow_model())
        assert answer.status_code == 201, answer.text
        print("under load:")
        times, stop = [], threading.Event()
        clients = [threading.Thread(target=client, args=(daemon, times, stop)) for _ in range(50)]
        work = [threading.Thread(target=upload, args=(daemon,)),
                *(threading.Thread(target=inference, args=(daemon,)) for _ in range(2))]
        for thread in clients + work:
            thread.start()
        for thread in work:
            thread.join()
        stop.set()
        for thread in clients:
            thread.join()
        seconds = sorted(t for t, _ in times)
        good = sum(status == 200 for _, status in times)
        print(f"  /healthz by 50 clients: {good} of {len(times)} answered 200; median "
              f"{seconds[len(seconds) // 2] * 1e3:.1f} ms, 99 % {seconds[len(seconds) * 99 // 100] * 1e3:.0f} ms, "
              f"slowest {seconds[-1] * 1e3:.0f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build", help="folder the programs were built in")
    args = parser.parse_args()
    os.environ["ACCELD_BUILD"] = str((ROOT / args.build).resolve())
    from daemon import Daemon
    idle(Daemon)
    listing(Daemon)
    under_load(Daemon)


if __name__ == "__main__":
    main()
