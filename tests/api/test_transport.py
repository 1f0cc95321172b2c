"""The listener under clients that are many, slow, rude or greedy: design 5."""

import concurrent.futures
import http.client
import json
import socket
import time

import pytest

from client import Api
from daemon import Daemon, wait_until


def test_50_clients_at_once(api):
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: api.get("/healthz"), range(500)))
    assert {a.status for a in answers} == {200}


def test_many_requests_on_one_connection(api):
    connection = api.connect()
    for path in ("/healthz", "/v2/devices", "/v2/nothing", "/readyz", "/v2/devices/x") * 20:
        api.on(connection, "GET", path)
    # A refused body is read to its end, so that the connection serves on.
    for _ in range(3):
        assert api.on(connection, "POST", "/v2/nothing", body=b"x" * 100_000).status == 404
    assert api.on(connection, "GET", "/healthz").status == 200
    connection.close()


def test_body_limits(api):
    big = json.dumps([{"name": "n", "pad": "x" * 300_000}]).encode()
    kind = {"Content-Type": "application/json"}
    assert api.request("POST", "/v2/device_profiles", body=big, headers=kind).status == 413

    def chunks():
        for i in range(0, len(big), 10_000):
            yield big[i:i + 10_000]

    # Without a Content-Length it is found out on the way.
    answer = api.request("POST", "/v2/device_profiles", body=chunks(),
                         headers=kind)  # chunked
    assert answer.status == 413
    assert "limits.json_bytes" in api.request("POST", "/v2/device_profiles", body=big,
                                              headers=kind).fault()


def test_a_large_body_is_parsed_beside_the_event_loop(api):
    body = json.dumps([{"name": "n", "pad": "x" * 200_000}]).encode()
    answer = api.request("POST", "/v2/device_profiles", body=body,
                         headers={"Content-Type": "application/json"})
    assert answer.status == 400 and "groups" in answer.fault()


def test_an_upload_that_claims_too_much_is_told_before_it_sends(daemon):
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
    connection.putrequest("PUT", "/v2/models/greedy")
    connection.putheader("Content-Length", str(1 << 40))
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    assert connection.getresponse().status == 413


def test_too_many_headers(api, daemon):
    assert api.get("/healthz", headers={f"X-{i}": "1" for i in range(150)}).status == 431
    with socket.create_connection(("127.0.0.1", daemon.port)) as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000 + b"\r\n\r\n")
        assert s.recv(100).split(b" ")[1] in (b"431", b"413")
    assert api.get("/healthz").status == 200


@pytest.mark.parametrize("bytes_", [
    b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    b"POST /v2/device_profiles HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST /v2/device_profiles HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
    b"Content-Type: application/json\r\n\r\n[",
    b"POST /v2/device_profiles HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: application/json\r\n\r\nzz\r\n"])
def test_survives_what_is_no_http(api, daemon, bytes_):
    with socket.create_connection(("127.0.0.1", daemon.port)) as s:
        s.settimeout(30)
        try:
            s.sendall(bytes_)
            s.shutdown(socket.SHUT_WR)
            while s.recv(4096):
                pass
        except TimeoutError:
            raise
        except OSError:
            pass  # it hung up before all was sent: which call sees that is a matter of luck
    assert api.get("/healthz").status == 200


def test_a_client_that_hangs_up_leaves_nothing_behind(api, daemon):
    models = daemon.state_dir / "models"
    before = set(models.iterdir())
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", daemon.port)) as s:
            s.sendall(b"PUT /v2/models/gone HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000"
                      b"\r\n\r\n" + b"x" * 1_500_000)
    wait_until(lambda: set(models.iterdir()) <= before, "uploads that were cut off are gone")

    def running():
        metrics = api.get("/metrics").body.decode()
        return next(int(line.split()[1]) for line in metrics.splitlines()
                    if line.startswith("acceld_http_requests_running "))

    wait_until(lambda: running() == 0, "no request is under way")


def test_too_many_requests_are_told_to_come_back():
    with Daemon({"limits": {"requests": 2}}) as daemon:
        api, held = Api(daemon), []
        try:
            for _ in range(2):  # each takes a place while its body is coming
                s = socket.create_connection(("127.0.0.1", daemon.port))
                held.append(s)
                s.sendall(b"POST /v2/device_profiles HTTP/1.1\r\nHost: localhost\r\n"
                          b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n[")
            wait_until(lambda: api.get("/v2/devices").status == 429, "the places are taken")
            answer = api.get("/v2/devices")
            assert answer.headers["retry-after"] == "1" and "limits.requests" in answer.fault()
            assert api.get("/healthz").status == 200  # probes need no place
            assert api.get("/readyz").status in (200, 503)
        finally:
            for s in held:
                s.close()
        wait_until(lambda: api.get("/v2/devices").status == 200, "the places are free again")


def test_stops_while_a_request_is_under_way():
    with Daemon() as daemon:
        s = socket.create_connection(("127.0.0.1", daemon.port))
        s.sendall(b"POST /v2/device_profiles HTTP/1.1\r\nHost: localhost\r\n"
                  b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n[")
        idle = http.client.HTTPConnection("127.0.0.1", daemon.port)
        idle.request("GET", "/healthz")
        idle.getresponse().read()
        s.shutdown(socket.SHUT_WR)
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 30
        s.close()
