"""Half an hour of everything at once, with an eye on the gate's memory.

Clients of each kind below go on for as long as it lasts, at a stand-in whose tasks run. Each must
get what it is due, the gate must stay below --most, and in the last half of a run that is long
enough for memory to settle it must gain next to nothing. Written are build/bench/soak.csv and, where
gnuplot is there, soak.svg.
"""

import argparse
import contextlib
import csv
import http.client
import itertools
import json
import random
import socket
import sys
import threading
import time

from creates import domain_id
from programs import ROOT, Failure, Gate, basic, start_standin
from report import Report

DOMAINS = 2_000
SAMPLE_SECONDS = 1
#: What may be gained in the last half of a run of at least LONG_MINUTES: KiB a minute.
GAIN_LIMIT = 20
LONG_MINUTES = 10
#: Clients that can be at work at once, so that the gate has some to serve in parallel.
EACH = 2
#: Between two visits of a client, at most.
PAUSE_SECONDS = 0.02
AUTHORIZED = {"Authorization": basic(), "Content-Type": "application/json"}
BLOB = bytes(range(256)) * 4096  # 1 MiB


class World:
    """What the clients share."""

    def __init__(self, gate, standin):
        self.gate, self.standin = gate, standin
        self.stopping = threading.Event()
        self.done = {}  # by client: how often
        self.failures = []

    def http(self):
        return contextlib.closing(
            http.client.HTTPConnection("127.0.0.1", self.gate.port, timeout=30))

    def socket(self):
        return contextlib.closing(
            socket.create_connection(("127.0.0.1", self.gate.port), timeout=30))


def expect(statuses, response):
    content = response.read()
    if response.status not in statuses:
        raise Failure(f"status {response.status}: {content[:200]}")
    return content


def call(connection, *calls, **fields):
    body = json.dumps({"using": [], "methodCalls": [[*each, f"c{i}"]
                                                    for i, each in enumerate(calls)]})
    connection.request("POST", "/jmap/", body, {**AUTHORIZED, **fields})
    return json.loads(expect({200}, connection.getresponse()))["methodResponses"]


def create(number, **members):
    return {"@type": "AcmeRenewal", "domainId": domain_id(number), **members}


# -- the clients: each is one visit, made again and again ------------------------------------------

def read_mail(world, chance):
    """Calls that only pass, several on a connection."""
    with world.http() as connection:
        for i in range(chance.randrange(1, 20)):
            call(connection, ["Core/echo", {"n": i, "pad": "x" * chance.randrange(2000)}])


def renew(world, chance):
    """Single creates: fresh, due, unknown, and with wishes of their own."""
    with world.http() as connection:
        for _ in range(chance.randrange(1, 10)):
            wishes = chance.choice([{}, {}, {"status": {"@type": "Pending",
                                                       "due": "2040-01-01T00:00:00Z"}}])
            fields = chance.choice([{}, {"Renewgate-Force": "1"}])
            number = chance.randrange(1, DOMAINS + 20)
            call(connection, ["x:Task/set", {"create": {"k": create(number, **wishes)}}], **fields)


def renew_many(world, chance):
    """Batches with twins, and references to what was created."""
    with world.http() as connection:
        creates = {f"k{i}": create(chance.randrange(1, DOMAINS)) for i in range(40)}
        call(connection, ["x:Task/set", {"create": creates}],
             ["x:Task/get", {"ids": ["#k0", "#k1"]}])


def load_blobs(world, chance):
    """Large bodies both ways, one of them in chunks."""
    with world.http() as connection:
        body = BLOB if chance.random() < 0.5 else iter([BLOB[:70_000]] * 10)
        connection.request("POST", "/jmap/upload/d333333/", body, AUTHORIZED)
        expect({200, 201}, connection.getresponse())
        connection.request("GET", "/jmap/session", headers=AUTHORIZED)
        expect({200}, connection.getresponse())


def listen(world, chance):
    """An event stream that is left after a while."""
    del chance
    with world.http() as connection:
        connection.request("GET", "/jmap/eventsource/?types=*&closeafter=no&ping=1",
                           headers=AUTHORIZED)
        response = connection.getresponse()
        world.standin.event("state", {"changed": {}})
        response.read1(100)


def leave(world, chance):
    """Clients that go in the middle: of a head, of a body, or while the answer is made."""
    body = json.dumps({"using": [], "methodCalls": [
        ["x:Task/set", {"create": {"k": create(chance.randrange(1, DOMAINS))}}, "c"]]})
    whole = (f"POST /jmap/ HTTP/1.1\r\nHost: x\r\nAuthorization: {basic()}\r\nContent-Type: "
             f"application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()
    with world.socket() as connection:
        connection.sendall(whole[:chance.choice([10, 60, len(whole) - 20, len(whole)])])


def talk_nonsense(world, chance):
    """Requests that are refused."""
    heads = [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00",
             b"POST /jmap/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
             b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"]
    with world.socket() as connection, contextlib.suppress(OSError):
        connection.sendall(chance.choice(heads))
        connection.shutdown(socket.SHUT_WR)
        connection.recv(4096)


def upgrade(world, chance):
    """A WebSocket handshake, and one message where it is accepted."""
    del chance
    request = (f"GET /jmap/ws HTTP/1.1\r\nHost: x\r\nAuthorization: {basic()}\r\nConnection: "
               "Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
               "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: jmap\r\n\r\n")
    message = (b'{"@type":"Request","using":[],"methodCalls":[["Core/echo",{},"c"]]}')
    with world.socket() as connection:
        connection.sendall(request.encode())
        if b" 101 " in connection.recv(4096):
            # One text frame, masked with zeroes (RFC 6455, section 5.2).
            connection.sendall(bytes([0x81, 0x80 | len(message)]) + bytes(4) + message)
            connection.recv(4096)


def operate(world, chance):
    """The operator's pages."""
    del chance
    for page in ("/healthz", "/readyz", "/metrics"):
        connection = http.client.HTTPConnection("127.0.0.1", world.gate.admin_port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", page)
            expect({200}, connection.getresponse())


CLIENTS = (read_mail, renew, renew_many, load_blobs, listen, leave, talk_nonsense, upgrade, operate)


def go_on(world, client, number):
    chance = random.Random(f"{client.__name__} {number}")
    while not world.stopping.is_set():
        try:
            client(world, chance)
        except (Failure, OSError, ValueError, LookupError, http.client.HTTPException) as failure:
            world.failures.append(f"{client.__name__}: {failure!r}")
        world.done[client.__name__] = world.done.get(client.__name__, 0) + 1
        time.sleep(chance.random() * PAUSE_SECONDS)


# -- memory ----------------------------------------------------------------------------------------

def slope(points):
    """By least squares, in y for an x."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread


def watch(world, seconds):
    """[(seconds, KiB)], while the clients are at work."""
    threads = [threading.Thread(target=go_on, args=(world, client, number), daemon=True)
               for client, number in itertools.product(CLIENTS, range(EACH))]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    points = []
    while (elapsed := time.monotonic() - began) < seconds:
        points.append((elapsed, world.gate.resident() / 1024))
        time.sleep(SAMPLE_SECONDS)
    world.stopping.set()
    for thread in threads:
        thread.join(60)
    return points


def soak(seconds):
    with contextlib.ExitStack() as stack:
        standin = start_standin(stack)
        standin.put_state(
            generate={"domains": DOMAINS, "subjectAlternativeNames": {"mail": True},
                      "certificate_age_days": 59.9, "task_due_days": 20},
            ca={"limit": "off"}, runner={"enabled": True, "order_seconds": 0.01})
        # A short patience, so that running out of it is part of what goes on.
        world = World(Gate(stack, standin.port, WORKERS=2, IDLE_TIMEOUT="5s"), standin)
        points = watch(world, seconds)
        read_mail(world, random.Random(0))
        return world, points


def write(points):
    report = Report(ROOT / "build" / "bench")
    with open(report.folder / "soak.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["seconds", "resident_kib"])
        writer.writerows((f"{x:.1f}", f"{y:.0f}") for x, y in points)
    try:
        report.plot("soak", "Memory of the gate with everything going on", "minutes", "MiB",
                    {"resident": [(x / 60, y / 1024) for x, y in points]}, style="lines")
    except Failure as failure:
        print(f"no plot: {failure}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--minutes", type=float, default=30)
    arguments.add_argument("--most", type=float, default=64, help="MiB that the gate may use")
    options = arguments.parse_args()
    world, points = soak(options.minutes * 60)
    write(points)
    most = max(size for _, size in points) / 1024
    late = [(x / 60, size) for x, size in points[len(points) // 2:]]
    gained = slope(late)
    print(", ".join(f"{name} {count}" for name, count in sorted(world.done.items())))
    print(f"resident: {points[0][1] / 1024:.1f} MiB at first, {late[0][1] / 1024:.1f} half-way, "
          f"{most:.1f} at most; in the last half {gained:+.0f} KiB a minute")
    for failure in world.failures[:10]:
        print(f"failed: {failure}")
    grows = options.minutes >= LONG_MINUTES and gained > GAIN_LIMIT
    return 1 if world.failures or grows or most > options.most else 0


if __name__ == "__main__":
    sys.exit(main())
