"""Who may do what, and from where: design 5."""

import os
import socket
import subprocess
import sys

import pytest

from client import Api
from daemon import Daemon

GROUPS = [{"resources:FPGA": "1"}]


@pytest.fixture(scope="module")
def reader_daemon():
    """Loopback callers are readers, as by default."""
    with Daemon(tcp_admin=False) as running:
        yield running


def test_loopback_reads_and_the_unix_socket_administers(reader_daemon, name):
    tcp, unix = Api(reader_daemon), Api(reader_daemon, unix=True)
    body = [{"name": name, "groups": GROUPS}]
    answer = tcp.post("/v2/device_profiles", body)
    assert answer.status == 403
    assert "cyborg:device_profile:create" in answer.fault() and "unix socket" in answer.fault()
    assert unix.post("/v2/device_profiles", body).status == 201
    assert tcp.get("/v2/device_profiles").status == 200


@pytest.mark.parametrize("method, path", [
    ("POST", "/v2/devices/x/enable"), ("POST", "/v2/devices/x/disable"), ("POST", "/v2/attributes"),
    ("DELETE", "/v2/attributes/x"), ("POST", "/v2/device_profiles"),
    ("DELETE", "/v2/device_profiles/x"), ("POST", "/v2/accelerator_requests"),
    ("PATCH", "/v2/accelerator_requests"), ("DELETE", "/v2/accelerator_requests/x"),
    ("DELETE", "/v2/accelerator_requests?instance=x"), ("PUT", "/v2/models/m"),
    ("DELETE", "/v2/models/m"), ("POST", "/v2/jobs"), ("DELETE", "/v2/jobs/x"),
    ("POST", "/v2/jobs/x/cancel"), ("POST", "/v2/drivers/rescan"), ("PUT", "/v2/log-level"),
    ("GET", "/v2/log-level")])
def test_a_reader_changes_nothing(reader_daemon, method, path):
    assert Api(reader_daemon).request(method, path, body=b"{}").status == 403


def test_another_user_on_the_unix_socket_is_a_reader(reader_daemon):
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    reader_daemon.socket_path.chmod(0o666)
    program = ("import http.client, os, socket, sys\n"
               "os.setgroups([]); os.setgid(65534); os.setuid(12345)\n"
               "c = http.client.HTTPConnection('localhost')\n"
               "c.sock = socket.socket(socket.AF_UNIX); c.sock.connect(sys.argv[1])\n"
               "c.request('GET', sys.argv[2]); print(c.getresponse().status)\n")
    for path, status in (("/v2/devices", 200), ("/v2/log-level", 403)):
        said = subprocess.run([sys.executable, "-c", program, str(reader_daemon.socket_path), path],
                              capture_output=True, text=True, check=True)
        assert int(said.stdout) == status


@pytest.mark.parametrize("host, status", [
    ("localhost", 200), ("127.0.0.1:6666", 200), ("[::1]", 200), ("example.org", 403),
    ("localhost.example.org", 403), ("192.168.1.1", 403)])
def test_host_must_be_loopback_over_tcp(api, unix, host, status):
    assert api.get("/v2/devices", headers={"Host": host}).status == status
    assert unix.get("/v2/devices", headers={"Host": host}).status == 200


@pytest.mark.parametrize("origin, status", [
    ("http://localhost:6666", 200), ("http://127.0.0.1", 200), ("https://example.org", 403),
    ("null", 403), ("http://localhost.example.org", 403)])
def test_a_foreign_page_is_refused(api, origin, status):
    assert api.get("/v2/devices", headers={"Origin": origin}).status == status
    assert api.post("/v2/accelerator_requests", {"device_profile_name": "nobody"},
                    headers={"Origin": origin}).status == (403 if status == 403 else 404)


def test_links_never_carry_a_foreign_host(unix):
    body = unix.get("/", headers={"Host": "evil.example.org"}).json()
    assert "evil" not in str(body)


def test_no_listening_beyond_loopback():
    daemon = Daemon({"api": {"listen": "0.0.0.0:0"}})
    with pytest.raises(AssertionError, match="(?i)loopback|127.0.0.1"):
        with daemon:
            pass


def test_old_http_without_a_host(daemon):
    with socket.create_connection(("127.0.0.1", daemon.port)) as s:
        s.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert s.recv(100).split(b" ")[1] == b"403"
