"""A plain HTTP client for tests: TCP or unix socket, every header under control, every answer
checked against the contract."""

import http.client
import json
import socket

import contract


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = body

    def json(self):
        return json.loads(self.body)

    def fault(self):
        """The sentence, whatever the shape of the error."""
        body = self.json()
        if "error_message" in body:
            return json.loads(body["error_message"])["faultstring"]
        return body.get("error") or body["detail"]

    def __repr__(self):
        return f"<{self.status} {self.body[:500]!r}>"


class Api:
    def __init__(self, daemon, unix=False, timeout=60, version=None):
        self.daemon, self.unix, self.timeout, self.version = daemon, unix, timeout, version

    def at(self, version):
        """The same at a microversion."""
        return Api(self.daemon, self.unix, self.timeout, version)

    def connect(self):
        if self.unix:
            return _UnixConnection(str(self.daemon.socket_path), self.timeout)
        return http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=self.timeout)

    def request(self, method, target, body=None, json=None, headers=None):
        connection = self.connect()
        try:
            return self.on(connection, method, target, body, json, headers)
        finally:
            connection.close()

    def on(self, connection, method, target, body=None, json=None, headers=None):
        headers = dict(headers or {})
        if json is not None:
            body = _dumps(json)
            headers.setdefault("Content-Type", "application/json")
        if self.version is not None:
            headers.setdefault("OpenStack-API-Version", f"accelerator {self.version}")
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        answer = Answer(response, response.read())
        contract.check(method, target, answer)
        return answer

    def get(self, target, **kw):
        return self.request("GET", target, **kw)

    def post(self, target, json=None, **kw):
        return self.request("POST", target, json=json, **kw)

    def put(self, target, body=None, **kw):
        return self.request("PUT", target, body=body, **kw)

    def patch(self, target, json=None, **kw):
        return self.request("PATCH", target, json=json, **kw)

    def delete(self, target, **kw):
        return self.request("DELETE", target, **kw)


def _dumps(value):
    return json.dumps(value).encode()
