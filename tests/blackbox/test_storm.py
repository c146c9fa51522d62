"""Hostile clients at every listener of a gate with several workers, while it sweeps, surveys, is asked
for its pages and reads its files again: nobody is served wrong for it, and nothing is left of them.

What is drawn is drawn from SEED. VISITS=5000 SEED=7 pytest tests/blackbox/test_storm.py goes on for longer.
"""

import concurrent.futures
import contextlib
import http.client
import json
import os
import random
import signal
import socket
import ssl
import struct
import threading
import time

import pytest

from certificates import Authority
from gate import Gate
from standin import USING, VERSIONS, Standin, basic
from test_gate import DUE, FRESH, certificate, days, domain, retry, state

pytestmark = pytest.mark.workers

VISITS = int(os.environ.get("VISITS", "150"))
SEED = int(os.environ.get("SEED", "1"))
AT_ONCE = 16

IDS = ["c", "d", "f", "g", "h", "i"]
WHOSE = f"Host: h\r\nAuthorization: {basic()}\r\n"
PAGES = ["/metrics", "/status.json", "/", "/healthz", "/status.json?domain=c.test"]
UPGRADE = ("GET /jmap/ws HTTP/1.1\r\n" + WHOSE + "Connection: Upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode()


def frame(payload, opcode=1, final=True):
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else \
        bytes([0xfe]) + len(payload).to_bytes(2, "big")
    return bytes([(0x80 if final else 0) | opcode]) + length + bytes(4) + payload


class Visitor:
    """Comes once, does something odd, and leaves in one of the ways there are."""

    def __init__(self, gate, number, tls):
        self.gate, self.tls = gate, tls
        self.random = random.Random(f"{SEED}/{number}")

    def calls(self):
        creates = {f"k{i}": {"@type": "AcmeRenewal", "domainId": self.random.choice(IDS)}
                   for i in range(self.random.choice([1, 1, 2, 5]))}
        if self.random.random() < 0.2:
            creates["z"] = {"@type": "AcmeRenewal", "domainId": "#k0"}
        return {"using": USING, "methodCalls": [
            ["x:Task/query", {"filter": {"@type": "AcmeRenewal"}}, "q"],
            ["x:Task/set", {"create": creates}, "c"],
            ["x:Task/get", {"#ids": {"resultOf": "q", "name": "x:Task/query", "path": "/ids"}}, "g"]]}

    def post(self, target, body, *fields):
        head = [f"POST {target} HTTP/1.1", *fields, WHOSE]
        return "\r\n".join(head).encode() + b"\r\n" + body

    def request(self):
        body = json.dumps(self.calls()).encode()
        kinds = [
            lambda: self.post("/jmap/", body, f"Content-Length: {len(body)}"),
            lambda: self.post("/jmap/", body, "Expect: 100-continue", f"Content-Length: {len(body)}"),
            lambda: self.post("/jmap/", b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body),
                              "Transfer-Encoding: chunked"),
            lambda: self.post("/jmap/", b" " * 5_000_000, "Content-Length: 9000000"),
            lambda: self.post("/jmap/upload/d333333/", b"x" * 300_000, "Content-Length: 300000"),
            lambda: f"GET /jmap/session HTTP/1.1\r\n{WHOSE}\r\n".encode(),
            lambda: f"GET /jmap/download/d333333/blob9000000/x HTTP/1.1\r\n{WHOSE}\r\n".encode(),
            lambda: UPGRADE + self.messages(),
        ]
        return self.random.choice(kinds)()

    def messages(self):
        text = json.dumps({"@type": "Request", "id": "r", **self.calls()}).encode()
        kinds = [frame(text), frame(b"ping", 9), frame(b"\x03\xe8", 8), self.random.randbytes(30),
                 frame(text[:20], 1, False) + frame(b"", 9) + frame(text[20:], 0)]
        return b"".join(self.random.choices(kinds, k=3))

    def said(self):
        data = b"".join(self.request() for _ in range(self.random.choice([1, 1, 1, 3])))
        if self.random.random() < 0.2:
            at = self.random.randrange(len(data))
            data = data[:at] + self.random.randbytes(1) + data[at + 1:]
        return data[:self.random.randrange(1, len(data) + 1)] if self.random.random() < 0.5 else data

    def encrypt(self, plain):
        if self.random.random() < 0.2:
            plain.sendall(b"\x16\x03\x01" + self.random.randbytes(self.random.randrange(500)))
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if self.random.random() < 0.2:
            context.set_alpn_protocols(["acme-tls/1"])
        return context.wrap_socket(plain)

    def leave(self, line):
        way = self.random.choice(["reset", "half", "read", "close"])
        if way == "reset":
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif way == "half":
            line.shutdown(socket.SHUT_WR)
        if way in ("half", "read"):
            line.settimeout(0.5)
            line.recv(65536)

    def visit(self):
        address = (f"127.0.{self.random.randrange(4)}.{self.random.randrange(1, 20)}", 0)
        plain = socket.create_connection(("127.0.0.1", self.gate.port), 5, address)
        with contextlib.suppress(OSError, ValueError), plain:
            with self.encrypt(plain) if self.tls else contextlib.nullcontext(plain) as line:
                line.sendall(self.said())
                self.leave(line)


def operate(gate, stopping):
    """An operator's programs: they are always served."""
    drawn = random.Random(SEED)
    while not stopping.wait(0.05):
        target = drawn.choice(PAGES)
        assert gate.admin(target)[0] == 200, target
        gate.process.send_signal(signal.SIGHUP)


def gauges(gate):
    names = ("renewgate_connections_open", "renewgate_exchanges_in_flight",
             "renewgate_websockets_open", "renewgate_buffered_bytes")
    lines = gate.admin("/metrics")[1].splitlines()
    return {name: int(line.rsplit(" ", 1)[1]) for line in lines for name in names
            if line.startswith(name + " ")}


@pytest.fixture
def server():
    with Standin(VERSIONS[-1]) as standin:
        yield standin


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("stopped", [False, True], ids=["to its end", "stopped in the middle"])
def test_nothing_is_left_of_a_storm(server, tmp_path, tls, stopped):
    server.put_state(**state(
        [certificate(DUE if id in "cdf" else FRESH, [f"mail.{id}.test"]) for id in IDS],
        [retry(days(6), domain=id, id=f"jp173xlcam{id}{n}") for id in IDS for n in "ab"],
        domains=[domain(id, f"{id}.test") for id in IDS]))
    settings = {"WORKERS": 4, "SERVICE_AUTHORIZATION": basic("admin"), "SWEEP_INTERVAL": "1s",
                "SWEEP_RATE": 1000, "SURVEY_INTERVAL": "1s", "HEADER_TIMEOUT": "2s",
                "IDLE_TIMEOUT": "3s", "DRAIN_TIMEOUT": "1s", "MAX_BUFFERED": 80_000_000}
    if tls:
        cert, key = Authority(tmp_path).issue("gate", "DNS:localhost")
        settings |= {"TLS_CERT": cert, "TLS_KEY": key,
                     "TLS_ALPN_UPSTREAM": f"127.0.0.1:{server.port}"}
    stopping = threading.Event()
    with Gate(server.port, **settings) as gate, \
            concurrent.futures.ThreadPoolExecutor(AT_ONCE + 1) as pool:
        operator = pool.submit(operate, gate, stopping)
        visits = [pool.submit(Visitor(gate, number, tls).visit) for number in range(VISITS)]
        try:
            concurrent.futures.wait(visits[:VISITS // 2 if stopped else VISITS])
        finally:
            stopping.set()
        operator.result()
        if stopped:
            assert gate.stop() == 0
            return
        for visit in visits:
            visit.result()
        while any(gauges(gate).values()):
            time.sleep(0.1)
        if not tls:
            assert all(isinstance(gate.renew(id), str) for id in IDS)
