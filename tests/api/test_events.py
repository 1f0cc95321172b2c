"""GET /v2/events: the stream, its filters, its limits, its end; and the pages."""

import contextlib
import json
import sqlite3
import time

import pytest

import contract
from client import Api
from daemon import SANITIZED, Daemon, wait_until

GROUPS = [{"resources:FPGA": "1"}]
FAKE = {"drivers": {"enabled": ["fake"]}}


class Stream:
    """Server-Sent Events as their specification has them parsed."""

    def __init__(self, api, target="/v2/events", headers=None):
        self.connection = api.connect()
        self.connection.request("GET", target, headers=headers or {})
        self.response = self.connection.getresponse()
        self.status = self.response.status
        self.last_id = None

    def __iter__(self):
        """Events with data; the id of those without is kept all the same."""
        event = {}
        while line := self.response.readline():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if line == b"\n":
                self.last_id = int(event.get("id", self.last_id or 0))
                if "data" in event:
                    yield self.check(event)
                event = {}
            elif name:
                event[name] = value

    def check(self, event):
        data = json.loads(event["data"])
        if event["event"] != "gap":
            contract.validate(data, {"$ref": "#/components/schemas/Event"})
            assert (str(data["sequence"]), data["kind"]) == (event["id"], event["event"])
        return dict(data, id=int(event["id"]), event=event["event"])

    def next(self):
        return next(iter(self))

    def begin(self):
        """Reads the words that begin every stream."""
        while self.response.readline() not in (b"\n", b""):
            pass
        return self

    def close(self):
        self.response.close()
        self.connection.close()


@contextlib.contextmanager
def stream(api, *args, **kwargs):
    opened = Stream(api, *args, **kwargs)
    try:
        assert opened.status == 200, opened.response.read()
        assert opened.response.getheader("content-type") == "text/event-stream"
        yield opened
    finally:
        opened.close()


def make_profile(api, name):
    assert api.post("/v2/device_profiles", [{"name": name, "groups": GROUPS}]).status == 201


def newest(api):
    return api.get("/v2/events?limit=1").json()["newest"]


@pytest.mark.parametrize("over", ["tcp", "unix"])
def test_what_happens_is_told_at_once(api, unix, name, over):
    with stream(api if over == "tcp" else unix, "/v2/events?kind=profile.") as events:
        events.begin()
        make_profile(api, name)
        begun = time.monotonic()
        created = events.next()
        assert time.monotonic() - begun < (10 if SANITIZED else 1)
        assert created["kind"] == "profile.created" and created["data"] == {"name": name}
        api.delete(f"/v2/device_profiles/{name}")
        assert events.next()["kind"] == "profile.deleted"


def test_a_client_resumes_where_it_was(api, name):
    with stream(api, "/v2/events?kind=profile.") as events:
        events.begin()
        make_profile(api, name)
        seen = events.next()["id"]
    api.delete(f"/v2/device_profiles/{name}")
    # The header counts more than the URL, which is as it was when the page was opened.
    for target, headers in ((f"/v2/events?after={seen}", {}), ("/v2/events", {"Last-Event-ID": str(seen)}),
                            ("/v2/events?after=0", {"Last-Event-ID": str(seen)})):
        with stream(api, target, headers) as events:
            told = events.next()
            assert told["kind"] == "profile.deleted" and told["id"] > seen


def test_pages(api, name):
    before = newest(api)
    for i in range(3):
        make_profile(api, f"{name}-{i}")
        api.delete(f"/v2/device_profiles/{name}-{i}")
    page = api.get(f"/v2/events?after={before}&limit=2&kind=profile.").json()
    assert [e["kind"] for e in page["events"]] == ["profile.created", "profile.deleted"]
    sequences, href = [], "/v2/events?limit=2&kind=profile.c&after=%d" % before
    while href:
        page = api.get(href).json()
        sequences += [e["sequence"] for e in page["events"]]
        href = "/" + page["links"][0]["href"].split("/", 3)[3] if "links" in page else None
    assert len(sequences) == 3 and sequences == sorted(sequences) and sequences[0] > before
    assert api.get("/v2/events", headers={"Accept": "application/json"}).json()["events"]
    last = newest(api)
    assert api.get(f"/v2/events?limit=1&after={last}").json()["events"] == []


@pytest.mark.parametrize("target, headers, status", [
    ("/v2/events?after=x", {}, 400), ("/v2/events?after=-1", {}, 400),
    ("/v2/events", {"Last-Event-ID": "x"}, 400), ("/v2/events?limit=0", {}, 400),
    ("/v2/events?limit=1001", {}, 400), ("/v2/events?kind=a%20b", {}, 400),
    ("/v2/events?kind=" + 65 * "a", {}, 400), ("/v2/events?foo=1", {}, 400),
    ("/v2/events", {"Accept": "text/html"}, 406),
    ("/v2/events?limit=1&after=9000000000000000000", {}, 410)])
def test_refusals(api, target, headers, status):
    answer = api.get(target, headers=headers)
    assert answer.status == status, answer
    assert answer.fault()


def test_head_does_not_listen(api):
    answer = api.request("HEAD", "/v2/events")
    assert answer.status == 200


def test_streams_are_bounded_and_a_hang_up_makes_room():
    with Daemon(dict(FAKE, limits={"event_streams": 2, "requests": 2})) as daemon:
        daemon.wait_ready()
        api = Api(daemon)
        with stream(api) as one, stream(api) as two:
            one.begin()
            two.begin()
            answer = api.get("/v2/events")
            assert answer.status == 429 and "limits.event_streams" in answer.fault()
            assert "retry-after" in answer.headers
            # They are no requests under way, of which there may be two as well.
            assert api.get("/v2/devices").status == 200
            one.close()

            def opens():
                again = Stream(api)
                again.close()
                return again.status == 200
            wait_until(opens, "the place of who hung up is free")


def test_a_stop_ends_all_streams():
    with Daemon(FAKE) as daemon:
        daemon.wait_ready()
        api = Api(daemon)
        with stream(api) as one, stream(Api(daemon, unix=True)) as two:
            one.begin()
            two.begin()
            begun = time.monotonic()
            assert daemon.stop() == 0
            assert time.monotonic() - begun < (60 if SANITIZED else 5)
            # Ended, not torn: http.client would say IncompleteRead.
            assert one.response.read() == b"" and two.response.read() == b""


def test_only_what_the_caller_may_see(name):
    """ARQs belong to the project of who made them; what is of no project is for everybody."""
    with Daemon(dict(FAKE, auth={"local_tcp": "reader", "project": "one"})) as daemon:
        daemon.wait_ready()
        unix = Api(daemon, unix=True)
        make_profile(unix, name)
        assert unix.post("/v2/accelerator_requests", {"device_profile_name": name}).status == 201

        def kinds(api):
            with stream(api, "/v2/events?after=0") as events:
                return [events.next()["kind"] for _ in range(2)]

        def page(api):
            return {e["kind"] for e in api.get("/v2/events?limit=100").json()["events"]}
        assert "arq.created" in page(Api(daemon))
        daemon.write_config(dict(FAKE, auth={"local_tcp": "reader", "project": "two"}))
        daemon.restart().wait_ready()
        reader = Api(daemon)
        assert "arq.created" not in page(reader) and "profile.created" in page(reader)
        assert kinds(reader) == ["device.added", "profile.created"]
        assert "arq.created" in page(Api(daemon, unix=True))


def test_a_gap_is_told(name):
    with Daemon(FAKE) as daemon:
        daemon.wait_ready()
        api = Api(daemon)
        for i in range(4):
            make_profile(api, f"{name}-{i}")
        last = newest(api)
        daemon.stop()
        # As if a hundred thousand others had come since.
        with sqlite3.connect(daemon.state_dir / "acceld.db") as database:
            database.execute("DELETE FROM events WHERE sequence < ?", (last - 1,))
        database.close()
        daemon.start().wait_ready()
        api = Api(daemon)
        answer = api.get("/v2/events?limit=10&after=1")
        assert answer.status == 410 and "/v2/inventory" in answer.fault()
        with stream(api, "/v2/events", {"Last-Event-ID": "1"}) as events:
            gap = events.next()
            assert gap["event"] == "gap" and gap["resumed_after"] == last - 2 == gap["id"]
            assert events.next()["id"] == last - 1
        # From the beginning: what there is.
        assert api.get("/v2/events?limit=1&after=0").json()["events"][0]["sequence"] == last - 1


def test_many_streams_hear_the_same(api, name):
    with contextlib.ExitStack() as opened:
        streams = [opened.enter_context(stream(api, "/v2/events?kind=profile.")).begin()
                   for _ in range(20)]
        for i in range(5):
            make_profile(api, f"{name}-{i}")
            api.delete(f"/v2/device_profiles/{name}-{i}")
        heard = [[one.next()["id"] for _ in range(10)] for one in streams]
    assert heard == [heard[0]] * 20 and heard[0] == sorted(set(heard[0]))
