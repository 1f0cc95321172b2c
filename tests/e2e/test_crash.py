"""kill -9 of every process in turn at random moments, under a load of ARQ creates, binds, deletes and
reservations by placement: nothing acknowledged is lost, nothing is held by nobody.

A life: the daemon starts, one process of each role is killed at a random moment (the control process
first among equals: it holds the store), then the supervisor, which takes all others along. Every
life uses the same state folder. What the store holds is then compared with what was answered.

ACCELD_CRASH_SEED repeats a run (as far as timing repeats), ACCELD_CRASH_KILLS sets their number.
"""

import os
import pathlib
import random
import shutil
import sqlite3
import threading
import time
import uuid

import requests

from daemon import ROOT, SANITIZED, Daemon, wait_until

SEED = int(os.environ.get("ACCELD_CRASH_SEED", random.SystemRandom().randrange(1 << 32)))
KILLS = int(os.environ.get("ACCELD_CRASH_KILLS", 20 if SANITIZED else 100))
BUDGET_S = 120  # no new life after this long
CLIENTS = 4
DEVICES, HANDLES = 3, 8


def config():
    facts = {"memory_bytes": 16e9, "peak_fp32_flops": 1e13, "memory_bandwidth_bytes_per_s": 5e11}
    device = {"type": "FPGA", "num_accelerators": HANDLES, "name": "fake", "count": DEVICES,
              "facts": facts}
    return {"drivers": {"enabled": ["fake"], "fake": {"devices": [device]}}}


class Arq:
    """What is known of one ARQ: every state it may be in after the answers that came."""

    def __init__(self, name):
        self.uuid = name
        self.may_be = {"Initial"}
        self.instance = None

    def __repr__(self):
        return f"{self.uuid} {sorted(self.may_be)}"


class Reservation:
    """What a placement reserved: as many ARQs as asked for, or none, or (unknown) one of the two."""

    def __init__(self, instance, count):
        self.instance, self.count = instance, count
        self.may_hold = {0, count}


class Client(threading.Thread):
    """Creates, binds, reserves and deletes its own ARQs until told to stop. An answer below 300 is a promise;
    one from 400 on that is no 5xx a refusal; anything else leaves it open what happened."""

    def __init__(self, daemon, number):
        super().__init__(daemon=True)
        self.daemon_process = daemon
        self.random = random.Random(SEED + 1000 + number)
        self.arqs, self.reservations = [], []
        self.stop = threading.Event()
        self.answered = self.unanswered = self.bound = self.reserved = 0
        self.error = None

    def call(self, method, path, **kwargs):
        """The response, or None when nobody knows what became of the request."""
        try:
            response = requests.request(method, self.daemon_process.url + path, timeout=20,
                                        **kwargs)
        except requests.RequestException:
            self.unanswered += 1
            time.sleep(0.005)  # refused connections come back at once
            return None
        if response.status_code >= 500:
            self.unanswered += 1
            return None
        self.answered += 1
        return response

    def create(self):
        response = self.call("POST", "/v2/accelerator_requests",
                             json={"device_profile_name": "crash"})
        if response is not None:
            assert response.status_code == 201, response.text
            self.arqs += [Arq(a["uuid"]) for a in response.json()["arqs"]]

    def bind(self, arq):
        rp = self.random.choice(self.daemon_process.providers)
        instance = self.new_instance()
        body = {arq.uuid: [{"path": f"/{k}", "op": "add", "value": v} for k, v in
                           (("hostname", "test-node"), ("device_rp_uuid", rp),
                            ("instance_uuid", instance))]}
        arq.instance = instance  # of the last attempt: no other can have succeeded
        response = self.call("PATCH", "/v2/accelerator_requests", json=body)
        if response is None:
            arq.may_be |= {"Bound", "BindFailed"}
        elif response.status_code == 202:
            arq.may_be = {"Bound"}
            self.bound += 1
        elif arq.may_be == {"Initial"}:
            # No handle was free, or the device not found yet: failed or untouched, never bound.
            arq.may_be = {"Initial", "BindFailed"}

    def delete(self, arq):
        response = self.call("DELETE", "/v2/accelerator_requests", params={"arqs": arq.uuid})
        if response is None:
            arq.may_be |= {"gone", "Unbound"}
            return
        if response.status_code == 404:
            assert "gone" in arq.may_be, f"{arq} was lost"
        else:
            assert response.status_code == 204, response.text
        arq.may_be = {"gone"}

    def reserve(self):
        """One or two devices; held ones too, as each has many handles."""
        made = Reservation(self.new_instance(), self.random.randint(1, 2))
        self.reservations.append(made)
        response = self.call("POST", "/v2/placements", json={
            "model": "crash", "reserve": True, "instance_uuid": made.instance, "count": made.count,
            "constraints": {"types": ["FPGA"], "include_held": True}})
        if response is None:
            return
        if response.status_code == 201:
            made.may_hold = {made.count}
            self.reserved += 1
        else:
            assert response.status_code == 409, response.text
            made.may_hold = {0}

    def release(self, reservation):
        response = self.call("DELETE", "/v2/accelerator_requests",
                             params={"instance": reservation.instance})
        if response is None:
            reservation.may_hold |= {0}
            return
        assert response.status_code == 204, response.text
        reservation.may_hold = {0}

    def new_instance(self):
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def step(self):
        held = [r for r in self.reservations if r.may_hold != {0}]
        if self.random.random() < 0.3:
            if not held or (self.random.random() < 0.6 and len(held) < 4):
                self.reserve()
            else:
                self.release(self.random.choice(held))
            return
        live = [a for a in self.arqs if a.may_be != {"gone"}]
        what = self.random.random()
        if not live or (what < 0.4 and len(live) < 12):
            self.create()
        elif what < 0.7:
            unbound = [a for a in live if a.may_be <= {"Initial", "Unbound"}]
            if unbound:
                self.bind(self.random.choice(unbound))
        else:
            self.delete(self.random.choice(live))

    def run(self):
        try:
            while not self.stop.is_set():
                self.step()
        except Exception as error:  # told by the main thread
            self.error = error


def start(daemon):
    """Starts, and waits until the devices are on record."""
    daemon.start()

    def providers():
        try:
            found = daemon.get("/v2/deployables").json()["deployables"]
        except (requests.RequestException, KeyError, ValueError):
            return None
        return [d["rp_uuid"] for d in found] if len(found) == DEVICES else None

    wait_until(providers, "the devices are on record")
    with sqlite3.connect(f"file:{daemon.state_dir}/acceld.db?mode=ro", uri=True) as db:
        daemon.providers = [r[0] for r in db.execute("SELECT rp_uuid FROM deployables")]


def live(daemon, dice, kills_left):
    """Load, kills, the supervisor last. Returns the number of kills."""
    kills = 0
    roles = [("control", None), ("hardware", "fake"), ("worker", "1")]
    dice.shuffle(roles)
    for role, name in roles[:max(0, kills_left - 1)]:
        time.sleep(dice.random() * 0.15)  # the random moment, not a wait for anything
        pid = daemon.pid_of(role, name)
        if pid is not None:
            os.kill(pid, 9)
            kills += 1
    time.sleep(dice.random() * 0.25)
    daemon.kill()
    # The others follow their supervisor; the next life must not meet them.
    wait_until(lambda: not orphans(daemon), "no process outlives the supervisor")
    return kills + 1


def orphans(daemon):
    """Processes that still name this daemon's folder or its programs' descriptors."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if os.path.basename(arguments[0]).startswith(b"acceld") and \
                    str(daemon.folder).encode() in environment:
                found.append(int(entry.name))
    return found


def check_reservations(clients, listed):
    for client in clients:
        for made in client.reservations:
            states = [a["state"] for a in listed if a["instance_uuid"] == made.instance]
            assert len(states) in made.may_hold and set(states) <= {"Bound"}, \
                f"{made.instance}: {states}, expected {made.may_hold}"
            made.may_hold = {len(states)}
        client.reservations = [r for r in client.reservations if r.may_hold != {0}]


def check(daemon, clients):
    """What is on record against what was answered."""
    listed = daemon.get("/v2/accelerator_requests").json()["arqs"]
    check_reservations(clients, listed)
    states = {a["uuid"]: a for a in listed}
    for client in clients:
        for arq in client.arqs:
            there = states.get(arq.uuid)
            state = there["state"] if there else "gone"
            assert state in arq.may_be, f"{arq} is {state}"
            if arq.may_be == {"Bound"}:
                assert there["instance_uuid"] == arq.instance, there
                assert there["attach_handle_uuid"], there
            arq.may_be = {state}  # settled: from here on it is known
    with sqlite3.connect(f"file:{daemon.state_dir}/acceld.db?mode=ro", uri=True) as db:
        def column(query):
            return [r[0] for r in db.execute(query)]

        assert column("PRAGMA integrity_check") == ["ok"]
        assert column("PRAGMA foreign_key_check") == []
        assert column("SELECT count(*) FROM intents") == [0], "an intent was not settled"
        assert column("SELECT uuid FROM arqs WHERE state = 'BindStarted'") == []
        held = column("SELECT a.uuid FROM attach_handles h JOIN arqs a ON a.id = h.arq_id")
        bound = column("SELECT uuid FROM arqs WHERE state = 'Bound'")
        assert sorted(held) == sorted(bound), "a handle is held by nobody, or bound without one"
        assert column("SELECT name FROM device_profiles p WHERE placed = 1 AND NOT EXISTS"
                      " (SELECT 1 FROM arqs WHERE device_profile_id = p.id)") == [], "left behind"
        told = column("SELECT subject FROM events WHERE kind = 'arq.bound'")
        assert set(bound) <= set(told), "bound without an event that tells of it"


def test_nothing_acknowledged_is_lost():
    print(f"ACCELD_CRASH_SEED={SEED}")
    dice = random.Random(SEED)
    daemon = Daemon(config=config())
    began, kills, lives = time.monotonic(), 0, 0
    clients = []
    try:
        start(daemon)
        answer = daemon.request("POST", "/v2/device_profiles", json=[
            {"name": "crash", "groups": [{"resources:FPGA": "1"}]}])
        assert answer.status_code == 201, answer.text
        model = ROOT / "tests" / "fixtures" / "mnist-8" / "model.onnx"
        answer = daemon.request("PUT", "/v2/models/crash", data=model.read_bytes())
        assert answer.status_code == 201, answer.text
        clients = [Client(daemon, i) for i in range(CLIENTS)]
        while kills < KILLS and time.monotonic() - began < BUDGET_S:
            running = [Client(daemon, lives * CLIENTS + i) for i in range(CLIENTS)]
            for old, new in zip(clients, running):
                new.arqs, new.bound = old.arqs, old.bound
                new.reservations, new.reserved = old.reservations, old.reserved
                new.answered, new.unanswered = old.answered, old.unanswered
            clients = running
            for client in clients:
                client.start()
            kills += live(daemon, dice, KILLS - kills)
            lives += 1
            for client in clients:
                client.stop.set()
            for client in clients:
                client.join(60)
                assert not client.is_alive()
                if client.error is not None:
                    raise client.error
            start(daemon)
            check(daemon, clients)
        answered = sum(c.answered for c in clients)
        print(f"{kills} kills in {lives} lives, {time.monotonic() - began:.0f} s; "
              f"{answered} requests answered, {sum(c.bound for c in clients)} of them binds, "
              f"{sum(c.reserved for c in clients)} reservations, "
              f"{sum(c.unanswered for c in clients)} not answered")
        assert kills >= min(KILLS, 20), "too few kills in the time given"
        assert answered > 10 * lives, "hardly any load"
        assert daemon.stop() == 0
    except BaseException:
        print(daemon.log()[-20000:])
        raise
    finally:
        for client in clients:
            client.stop.set()
        daemon.kill()
        shutil.rmtree(daemon.folder, ignore_errors=True)
