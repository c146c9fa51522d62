"""WebSockets: relayed frame by frame, and read where they carry JMAP."""

import contextlib
import json
import os
import random
import re
import socket
import ssl
import threading

import pytest

from certificates import Authority
from frames import (BINARY, CLOSE, KEY, MORE, PING, PONG, TEXT, Peer, Server, accept_of, closing,
                    connect, echo, frame, handshake, read_head)
from gate import Gate
from standin import USING, basic
from test_gate import DUE, FRESH, LATER, NO_OP, certificate, live_tasks, state, task
from waiting import wait_until

CHAT = "/chat"
RENEWAL = {"@type": "AcmeRenewal", "domainId": "b"}


def nothing(_):
    """A server that says nothing."""


@pytest.fixture
def echoing():
    """A gate before a server that echoes; sockets are opened at CHAT."""
    with Server(echo) as server, Gate(server.port) as gate:
        yield gate


def relayed(serve, **settings):
    """A server that does `serve`, behind a gate."""
    class Pair:
        def __enter__(self):
            self.server = Server(serve)
            self.gate = Gate(self.server.port, **settings)
            return self.server, self.gate

        def __exit__(self, *failure):
            try:
                self.gate.stop()
            finally:
                self.server.__exit__(*failure)
    return Pair()


def metric(gate, name):
    _, text = gate.admin("/metrics")
    return float(re.search(rf"^{name} (\S+)$", text, re.M).group(1))


# The handshake


def test_the_handshake_reaches_the_server_and_its_answer_the_client():
    with Server(nothing, fields=[("Sec-WebSocket-Protocol", "jmap"), ("X-Own", "1"),
                                 ("Keep-Alive", "timeout=5")]) as server, \
            Gate(server.port) as gate:
        with connect(gate.port, "/a%2fb?x=%20&y", fields=[("X-Client", "a"), ("X-Client", "b")],
                     Sec_WebSocket_Extensions="permessage-deflate") as peer:
            assert peer.answer["sec-websocket-accept"] == accept_of(KEY)
            assert peer.answer["sec-websocket-protocol"] == "jmap"
            assert peer.answer["x-own"] == "1"
            assert "keep-alive" not in peer.answer
            assert peer.answer["upgrade"] == "websocket"
            assert peer.answer["connection"].lower() == "upgrade"
            assert peer.is_closed()
        (line, fields), = server.requests
    assert line == "GET /a%2fb?x=%20&y HTTP/1.1"
    names = [name for name, _ in fields]
    told = dict(fields)
    assert told["Host"] == "mail.test"
    assert told["Sec-WebSocket-Key"] == KEY
    assert told["Sec-WebSocket-Version"] == "13"
    assert told["Sec-WebSocket-Protocol"] == "jmap"
    assert told["Authorization"] == basic("admin")
    assert told["Upgrade"] == "websocket" and told["Connection"] == "Upgrade"
    assert told["X-Forwarded-For"] == "127.0.0.1"
    assert told["Via"].endswith("renewgate")
    assert [value for name, value in fields if name == "X-Client"] == ["a", "b"]
    assert "Sec-WebSocket-Extensions" not in names
    assert "Transfer-Encoding" not in names and "Content-Length" not in names


@pytest.mark.parametrize("status, body", [
    ("401 Unauthorized", b"{}"), ("404 Not Found", b""), ("426 Upgrade Required", b"13"),
    ("500 Internal Server Error", b"x" * 200000), ("200 OK", b"no socket here"),
], ids=["401", "404", "426", "500", "200"])
def test_an_answer_other_than_101_reaches_the_client_like_any_other(status, body):
    refusal = (f"HTTP/1.1 {status}\r\nX-Own: 1\r\nContent-Length: {len(body)}\r\n\r\n"
               .encode() + body)
    with Server(nothing, refusal) as server, Gate(server.port) as gate:
        for _ in range(2):
            answer = gate.request("GET", CHAT, headers={
                "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": KEY,
                "Sec-WebSocket-Version": "13"})
            assert answer[0] == int(status[:3])
            assert answer[1]["X-Own"] == "1"
            assert answer[2] == body


def test_an_upgrade_to_another_protocol_stops_here():
    refusal = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with Server(nothing, refusal) as server, Gate(server.port) as gate:
        status, _, body = gate.request("GET", "/", headers={
            "Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": "x"})
        assert (status, body) == (200, b"ok")
        names = [name.lower() for name, _ in server.requests[0][1]]
    assert not {"upgrade", "connection", "http2-settings"} & set(names)


@pytest.mark.parametrize("method, extra", [("POST", {}), ("GET", {"Content-Length": "2"})])
def test_what_is_no_handshake_is_not_upgraded(method, extra):
    refusal = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with Server(nothing, refusal) as server, Gate(server.port) as gate:
        status, _, body = gate.request(method, "/", b"ab" if extra else None, {
            "Upgrade": "websocket", "Connection": "Upgrade", **extra})
        assert (status, body) == (200, b"ok")
        assert "Upgrade" not in dict(server.requests[0][1])


def test_there_are_as_many_sockets_as_connections_and_no_more():
    with Server(echo) as server, Gate(server.port, MAX_CONNECTIONS=64, WORKERS=1) as gate, \
            contextlib.ExitStack() as opened:
        for _ in range(64):
            opened.enter_context(connect(gate.port, CHAT))
        refused, line, _, _ = handshake(gate.port, CHAT)
        refused.close()
        assert line.split()[1] == "503"
        assert len(server.requests) == 64


def test_http_1_0_knows_no_upgrade():
    """RFC 9110, section 7.8."""
    refusal = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with Server(nothing, refusal) as server, Gate(server.port) as gate:
        with socket.create_connection(("127.0.0.1", gate.port), timeout=30) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\nHost: x\r\nUpgrade: websocket\r\n"
                               b"Connection: Upgrade\r\n\r\n")
            line, _, _ = read_head(connection)
        assert line.split()[1] == "200"
        assert "Upgrade" not in dict(server.requests[0][1])


@pytest.mark.parametrize("fields, version", [
    ([("Sec-WebSocket-Extensions", "permessage-deflate")], "13"), ([], "8"), ([], None)])
def test_a_101_whose_frames_could_not_be_read_is_refused(fields, version):
    with Server(nothing, fields=fields) as server, Gate(server.port) as gate:
        connection, line, _, _ = handshake(gate.port, CHAT, Sec_WebSocket_Version=version)
        connection.close()
    assert line.split()[1] == "502"


def test_a_101_that_nobody_asked_for_is_refused():
    refusal = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nxyz"
    with Server(nothing, refusal) as server, Gate(server.port) as gate:
        assert gate.request("GET", "/")[0] == 502


def test_a_server_that_does_not_answer_the_handshake_times_out():
    def silent(connection):
        raise AssertionError(connection)
    with Server(silent, refusal=b"") as server, Gate(server.port, IDLE_TIMEOUT="1s") as gate:
        connection, line, _, _ = handshake(gate.port, CHAT)
        connection.close()
    assert line.split()[1] == "504"


# Frames


def test_messages_pass_unchanged_and_in_order(echoing):
    payloads = [b"", b"a", b"x" * 125, b"y" * 126, b"z" * 65535, b"w" * 65536,
                "grüße €".encode(), random.Random(1).randbytes(300000)]
    with connect(echoing.port, CHAT) as peer:
        for op in (TEXT, BINARY):
            for payload in payloads:
                peer.send(op, payload)
            for payload in payloads:
                got = peer.frame()
                assert (got.op, got.payload, got.final, got.masked) == (op, payload, True, False)


def test_fragments_stay_as_they_are_with_control_frames_between(echoing):
    with connect(echoing.port, CHAT) as peer:
        peer.send(TEXT, b"one ", final=False)
        peer.send(PING, b"still there?")
        peer.send(MORE, b"two ", final=False)
        peer.send(PONG, b"unasked")
        peer.send(MORE, b"three")
        got = [peer.frame() for _ in range(5)]
    assert [(f.op, f.payload, f.final) for f in got] == [
        (TEXT, b"one ", False), (PONG, b"still there?", True), (MORE, b"two ", False),
        (PONG, b"unasked", True), (MORE, b"three", True)]


def test_a_frame_goes_on_before_it_has_ended():
    taken = threading.Event()

    def serve(peer):
        assert peer.take(14 + 10)[:1] == bytes([0x80 | BINARY])
        taken.set()
        peer.connection.recv(1 << 20)

    with relayed(serve) as (_, gate), connect(gate.port, CHAT) as peer:
        peer.send_bytes(frame(BINARY, b"0123456789", length=1 << 40))
        assert taken.wait(30)


def test_bytes_that_come_with_the_handshake_are_not_lost():
    def serve(peer):
        assert peer.frame().payload == b"early"
        peer.send(TEXT, b"heard")
        peer.frame()

    with relayed(serve) as (_, gate):
        connection = socket.create_connection(("127.0.0.1", gate.port), timeout=30)
        head = (f"GET {CHAT} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n")
        connection.sendall(head.encode() + frame(TEXT, b"early"))
        data = b""
        while b"heard" not in data:
            data += connection.recv(65536)
        Peer(connection, True).send(CLOSE)
        connection.close()


def test_the_server_may_speak_first():
    def serve(peer):
        peer.send(TEXT, b"welcome")
        assert peer.frame().op == CLOSE

    with relayed(serve) as (_, gate), connect(gate.port, CHAT) as peer:
        assert peer.frame().payload == b"welcome"
        peer.send(CLOSE, closing(1000))


@pytest.mark.parametrize("target", [CHAT, "/jmap/ws"])
def test_ten_megabytes_each_way(target):
    with Server(echo) as server, Gate(server.port, MAX_REQUEST="11000000") as gate:
        payload = random.Random(2).randbytes(5_000_000).hex().encode()
        with connect(gate.port, target) as peer:
            sender = threading.Thread(target=peer.send, args=(TEXT, payload))
            sender.start()
            got = peer.frame()
            sender.join()
    assert got.payload == payload


def send_until_stalled(peer, event):
    """Sends until nothing more is taken for a while; how many bytes that was."""
    peer.connection.settimeout(1)
    block, sent = frame(BINARY, b"x" * 60000, masked=peer.is_client), 0
    try:
        while not event.is_set() and sent < 200_000_000:
            sent += peer.connection.send(block)
    except (TimeoutError, socket.timeout):
        pass
    return sent


@pytest.mark.parametrize("stalled", ["server", "client"])
def test_a_stalled_reader_stops_the_sender(stalled):
    release, sent = threading.Event(), []

    def serve(peer):
        if stalled == "server":
            assert release.wait(60)
        else:
            sent.append(send_until_stalled(peer, release))
            release.set()

    with relayed(serve) as (_, gate), connect(gate.port, CHAT) as peer:
        if stalled == "server":
            sent.append(send_until_stalled(peer, release))
            release.set()
        assert release.wait(60)
        with open(f"/proc/{gate.process.pid}/status", encoding="ascii") as status:
            assert sent[0] < 50_000_000, status.read()


def resident(gate):
    """In bytes."""
    with open(f"/proc/{gate.process.pid}/statm", encoding="ascii") as pages:
        return int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("target", [CHAT, "/jmap/ws"])
def test_what_waits_of_a_socket_has_a_limit(target, monkeypatch):
    """128 KiB, and what has just been read from the server; with AddressSanitizer's share."""
    monkeypatch.setenv("ASAN_OPTIONS", "quarantine_size_mb=0")
    count, release, stalled = 30, threading.Event(), threading.Semaphore(0)

    def serve(peer):
        send_until_stalled(peer, release)
        stalled.release()
        release.wait(60)

    with relayed(serve) as (_, gate), contextlib.ExitStack() as peers:
        before = resident(gate)
        for _ in range(count):
            peer = peers.enter_context(connect(gate.port, target))
            peer.connection.settimeout(30)
        for _ in range(count):
            assert stalled.acquire(timeout=60)
        grown = resident(gate) - before
        release.set()
        assert grown < count * 440_000, grown // count


def test_a_server_behind_tls(tmp_path):
    authority = Authority(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue("localhost", "DNS:localhost"))
    payload = random.Random(3).randbytes(3_000_000)
    with Server(echo, tls=tls) as server, \
            Gate(0, UPSTREAM_URL=f"https://localhost:{server.port}",
                 UPSTREAM_CA=authority.certificate) as gate, connect(gate.port, CHAT) as peer:
        for data in (b"short", payload, b"again"):
            sender = threading.Thread(target=peer.send, args=(BINARY, data))
            sender.start()
            assert peer.frame().payload == data
            sender.join()
        peer.send(CLOSE, closing(1000, b"done"))
        assert peer.frame().payload == closing(1000, b"done")
        assert peer.is_closed()


# A listener with TLS


@pytest.fixture
def secure(tmp_path):
    """A gate before a server that echoes, and how to reach it; plain HTTP is not spoken there."""
    authority = Authority(tmp_path)
    cert, key = authority.issue("gate", "DNS:localhost")
    with Server(echo) as server, Gate(server.port, TLS_CERT=cert, TLS_KEY=key) as gate:
        yield gate, {"target": CHAT, "tls": ssl.create_default_context(cafile=authority.certificate)}


def test_a_client_behind_tls(secure):
    gate, how = secure
    payload = random.Random(4).randbytes(3_000_000)
    with connect(gate.port, **how) as peer:
        for data in (b"short", payload, b"again"):
            # A TLS socket of Python's takes one thread at a time.
            for at in range(0, len(data), 50_000):
                piece = data[at:at + 50_000]
                peer.send(BINARY, piece)
                assert peer.frame().payload == piece
        peer.send(CLOSE, closing(1000, b"done"))
        assert peer.frame().payload == closing(1000, b"done")
        assert peer.is_closed()
    wait_until(lambda: metric(gate, "renewgate_websockets_open") == 0)


def test_a_client_behind_tls_may_leave(secure):
    gate, how = secure
    for _ in range(5):
        with connect(gate.port, **how) as peer:
            peer.send(TEXT, b"hello")
            assert peer.frame().payload == b"hello"
        wait_until(lambda: metric(gate, "renewgate_websockets_open") == 0)


def test_a_stop_closes_clients_behind_tls_with_1001(secure):
    gate, how = secure
    with connect(gate.port, **how) as peer:
        gate.process.terminate()
        got = peer.frame()
        assert got.code == 1001
        peer.send(CLOSE, got.payload)
        assert peer.is_closed()


# Closing


@pytest.mark.parametrize("payload", [b"", closing(1000), closing(1001, b"bye"), closing(3999),
                                     closing(4321, "grüße".encode())])
@pytest.mark.parametrize("first", ["client", "server"])
def test_close_codes_and_reasons_pass_both_ways(first, payload):
    heard = []

    def serve(peer):
        if first == "server":
            peer.send(CLOSE, payload)
        got = peer.frame()
        heard.append((got.op, got.payload))
        if first == "client":
            peer.send(CLOSE, payload)

    with relayed(serve) as (_, gate), connect(gate.port, CHAT) as peer:
        if first == "client":
            peer.send(CLOSE, payload)
        got = peer.frame()
        assert (got.op, got.payload) == (CLOSE, payload)
        if first == "server":
            peer.send(CLOSE, payload)
        assert peer.is_closed()
        peer.connection.close()
        wait_until(lambda: metric(gate, "renewgate_websockets_open") == 0)
    assert heard == [(CLOSE, payload)]


def test_peers_that_do_not_close_their_connections_are_not_waited_for_long():
    over = threading.Event()

    def serve(peer):
        assert peer.frame().op == CLOSE
        peer.send(CLOSE, closing(1000))
        assert over.wait(30)

    with relayed(serve) as (_, gate), connect(gate.port, CHAT) as peer:
        peer.send(CLOSE, closing(1000))
        wait_until(lambda: metric(gate, "renewgate_websockets_open") == 0)
        over.set()


VIOLATIONS = {
    "a reserved bit": lambda m: frame(TEXT, b"x", rsv=4, masked=m),
    "a reserved data opcode": lambda m: frame(3, b"x", masked=m),
    "a reserved control opcode": lambda m: frame(11, b"x", masked=m),
    "a fragmented ping": lambda m: frame(PING, b"x", final=False, masked=m),
    "a long ping": lambda m: frame(PING, b"x" * 126, masked=m),
    "a continuation of nothing": lambda m: frame(MORE, b"x", masked=m),
    "a message within a message":
        lambda m: frame(TEXT, b"x", final=False, masked=m) + frame(TEXT, b"y", masked=m),
    "the wrong masking": lambda m: frame(TEXT, b"x", masked=not m),
    "a length of 63 bits and more": lambda m: frame(TEXT, length=1 << 63, masked=m),
    "a length not in its shortest form":
        lambda m: bytes([0x81, (0x80 if m else 0) | 126, 0, 5]) + b"\0" * (4 if m else 0) + b"hello",
}


@pytest.mark.parametrize("violation", VIOLATIONS)
@pytest.mark.parametrize("by", ["client", "server"])
def test_a_violation_ends_both_sides_with_1002(by, violation):
    heard = []

    def serve(peer):
        if by == "server":
            peer.send_bytes(VIOLATIONS[violation](False))
        heard.extend(peer.frames())

    with relayed(serve) as (_, gate), connect(gate.port, CHAT) as peer:
        if by == "client":
            peer.send_bytes(VIOLATIONS[violation](True))
        got = peer.frames()
        assert got[-1].code == 1002
        peer.connection.close()
    assert heard[-1].code == 1002
    assert [f.op for f in got + heard].count(CLOSE) == 2


def test_a_client_that_leaves_ends_the_servers_side():
    left = threading.Event()

    def serve(peer):
        assert peer.frame().payload == b"last words"
        assert peer.is_closed()
        left.set()

    with relayed(serve) as (_, gate):
        with connect(gate.port, CHAT) as peer:
            peer.send(TEXT, b"last words")
        assert left.wait(30)
        wait_until(lambda: metric(gate, "renewgate_websockets_open") == 0)


def test_a_server_that_leaves_ends_the_clients_side():
    def serve(peer):
        peer.send(TEXT, b"last words")

    with relayed(serve) as (_, gate), connect(gate.port, CHAT) as peer:
        assert peer.frame().payload == b"last words"
        assert peer.is_closed()
        peer.connection.close()
        wait_until(lambda: metric(gate, "renewgate_websockets_open") == 0)


def test_a_stop_closes_both_sides_with_1001():
    heard, opened = [], threading.Event()

    def serve(peer):
        opened.set()
        heard.extend(peer.frames())

    with Server(serve) as server:
        gate = Gate(server.port)
        try:
            peers = [connect(gate.port, target) for target in (CHAT, "/jmap/ws")]
            assert metric(gate, "renewgate_websockets_open") == 2
            gate.process.terminate()
            for peer in peers:
                got = peer.frame()
                assert got.code == 1001
                peer.send(CLOSE, got.payload)
                assert peer.is_closed()
                peer.connection.close()
        finally:
            gate.stop()
    assert [got.code for got in heard if got.op == CLOSE] == [1001, 1001]


def test_a_stop_does_not_cut_into_a_frame():
    def serve(peer):
        peer.send_bytes(frame(TEXT, b"abc", length=6, masked=False))
        peer.connection.recv(1)  # the Close of the stop
        peer.send_bytes(b"def")
        peer.frames()

    with Server(serve) as server:
        gate = Gate(server.port)
        try:
            peer = connect(gate.port, CHAT)
            assert peer.take(5) == b"\x81\x06abc"
            gate.process.terminate()
            assert peer.take(3) == b"def"
            assert peer.frame().code == 1001
            peer.connection.close()
        finally:
            gate.stop()


def test_idle_sockets_outlive_the_idle_timeout():
    with Server(echo) as server, Gate(server.port, IDLE_TIMEOUT="1s") as gate, \
            connect(gate.port, CHAT) as peer:
        with socket.create_connection(("127.0.0.1", gate.port), timeout=30) as plain:
            assert plain.recv(1) == b""  # a connection that came later was idle for too long
        peer.send(TEXT, b"still here")
        assert peer.frame().payload == b"still here"


# A client by any other name


def test_a_fuzzed_sequence_is_the_same_straight_and_through_the_gate():
    with Server(echo) as server, Gate(server.port) as gate:
        for seed in range(20):
            sent = fuzzed(random.Random(seed))
            answers = []
            for port in (server.port, gate.port):
                with connect(port, CHAT) as peer:
                    sender = threading.Thread(target=send_in_pieces,
                                              args=(peer, sent, random.Random(seed)))
                    sender.start()
                    answers.append([(f.op, f.payload, f.final) for f in peer.frames()])
                    sender.join()
            assert answers[0] == answers[1], seed


def fuzzed(random):
    """Frames of whole messages in any mixture, and a Close at the end."""
    frames, within = [], False
    for _ in range(random.randrange(5, 40)):
        payload = random.randbytes(random.choice([0, 1, 7, 125, 126, 1000, 65535, 65536, 90001]))
        if random.random() < 0.2:
            frames.append(frame(random.choice([PING, PONG]), payload[:125]))
            continue
        final = random.random() < 0.5
        op = MORE if within else random.choice([TEXT, BINARY])
        frames.append(frame(op, payload, final=final))
        within = not final
    if within:
        frames.append(frame(MORE))
    return b"".join(frames) + frame(CLOSE, closing(random.choice([1000, 1001, 4000]), b"fuzz"))


def send_in_pieces(peer, data, random):
    while data:
        count = random.choice([1, 2, 13, 1000, 50000])
        peer.send_bytes(data[:count])
        data = data[count:]


@pytest.mark.parametrize("package", ["websocket", "websockets"])
def test_a_python_client_works_through_the_gate(standin, package):
    standin.put_state(**state([certificate(FRESH)]))
    fields = {"Authorization": basic("admin")}
    request = '{"@type":"Request","id":"R1","using":[],"methodCalls":[["Core/echo",{"a":1},"x"]]}'
    with Gate(standin.port) as gate:
        url = f"ws://127.0.0.1:{gate.port}/jmap/ws"
        if package == "websocket":
            library = pytest.importorskip("websocket")
            client = library.create_connection(url, subprotocols=["jmap"], timeout=30,
                                               header=fields)
            client.send(request)
            answer = client.recv()
            client.close()
        else:
            asyncio = pytest.importorskip("asyncio")
            library = pytest.importorskip("websockets")

            async def talk():
                version = int(library.__version__.split(".", maxsplit=1)[0])
                how = "additional_headers" if version >= 14 else "extra_headers"
                async with library.connect(url, subprotocols=["jmap"], **{how: fields}) as client:
                    await client.send(request)
                    return await client.recv()
            answer = asyncio.run(talk())
    assert '"requestId":"R1"' in answer


# JMAP


def request(*calls, id="R1", **members):
    made = {"@type": "Request", "using": USING,
            "methodCalls": [[*call, f"c{i}"] for i, call in enumerate(calls)], **members}
    return made if id is None else {**made, "id": id}


def creation(domain="b", id="R1", **create):
    return request(["x:Task/set", {"create": {"k": {**RENEWAL, "domainId": domain, **create}}}],
                   id=id)


def created(answer):
    (name, arguments, _), = answer["methodResponses"]
    assert answer["@type"] == "Response" and name == "x:Task/set", answer
    assert set(arguments) == {"accountId", "created"}, answer
    return arguments["created"]["k"]["id"]


@pytest.fixture
def gate(standin):
    with Gate(standin.port) as gate:
        yield gate


@pytest.mark.parametrize("target", ["/jmap/ws", "/jmap/ws/", "/jmap/ws?x=y", "/jmap/ws/a/b"])
def test_a_create_that_is_not_due_makes_nothing(standin, gate, target):
    standin.put_state(**state([certificate(FRESH)]))
    with connect(gate.port, target) as peer:
        answer = peer.ask(creation())
        assert answer["requestId"] == "R1" and answer["sessionState"]
        assert created(answer).startswith(NO_OP)
        assert created(peer.ask(creation(id="R2"))) == created(answer)
    assert live_tasks(standin) == []
    assert [line["row"] for line in gate.decisions(2)] == [4, 4]


def test_a_create_that_is_due_is_made_once(standin, gate):
    standin.put_state(**state([certificate(DUE)]))
    with connect(gate.port) as peer:
        ids = {created(peer.ask(creation(id=str(i)))) for i in range(3)}
    only, = live_tasks(standin)
    assert ids == {only["id"]} and gate.renew() == only["id"]


def test_a_queued_task_is_moved_and_answered(standin, gate):
    standin.put_state(**state([certificate(DUE)], [task(LATER)]))
    with connect(gate.port) as peer:
        answer = peer.ask(creation())
    only, = live_tasks(standin)
    assert created(answer) == only["id"] and only["status"]["due"] != LATER


@pytest.mark.parametrize("id", [None, "R1"])
def test_an_answer_has_the_id_that_its_request_had(standin, gate, id):
    standin.put_state(**state([certificate(FRESH)]))
    with connect(gate.port) as peer:
        answer = peer.ask(creation(id=id))
    assert created(answer).startswith(NO_OP)
    assert answer.get("requestId") == id


def test_answers_come_in_the_order_of_the_requests(standin, gate):
    standin.put_state(**state([certificate(FRESH)]))
    with connect(gate.port) as peer:
        messages = [creation(id=str(i)) if i % 3 else request(["Core/echo", {}], id=str(i))
                    for i in range(20)]
        peer.send_bytes(b"".join(frame(TEXT, json.dumps(m).encode())
                                 for m in messages))
        ids = [peer.hear()["requestId"] for _ in messages]
    assert ids == [str(i) for i in range(20)]
    assert live_tasks(standin) == []


def test_a_create_sees_what_earlier_requests_of_the_socket_did(standin, gate):
    standin.put_state(**state([certificate(DUE)], [task()]))
    standin.fault(match='"R0"', delay_ms=500, times=1)  # look-ups that did not wait come first
    with connect(gate.port) as peer:
        peer.say(request(["x:Task/set", {"destroy": [task()["id"]]}], id="R0"))
        peer.say(creation())
        removed, made = peer.hear(), peer.hear()
    if "destroyed" in removed["methodResponses"][0][1]:
        assert created(made) != task()["id"]
    else:  # this version refuses every destroy
        assert created(made) == task()["id"]
    assert [item["id"] for item in live_tasks(standin)] == [created(made)]


def test_a_fragmented_request_is_read_too(standin, gate):
    standin.put_state(**state([certificate(FRESH)]))
    data = json.dumps(creation()).encode()
    with connect(gate.port) as peer:
        peer.send(TEXT, data[:70], final=False)
        peer.send(PING, b"between")
        peer.send(MORE, data[70:100], final=False)
        peer.send(MORE, data[100:])
        assert peer.frame().payload == b"between"
        assert created(peer.hear()).startswith(NO_OP)


def test_who_may_not_create_gets_the_servers_error(standin, gate):
    standin.put_state(**state([certificate(FRESH)], users=[
        {"name": "admin", "permissions": ["*"]}, {"name": "guest", "permissions": []}]))
    with connect(gate.port, user="guest") as peer:
        answer = peer.ask(creation())
    assert answer["methodResponses"] == standin.post(creation()["methodCalls"], "guest")


@pytest.mark.parametrize("message", [
    {"@type": "Request", "id": "R3"}, {"@type": "Nothing", "why": "AcmeRenewal"},
    {**creation(), "using": ["urn:nobody:knows"]}, {**creation(), "methodCalls": "none"}])
def test_the_servers_request_errors_pass(standin, gate, message):
    standin.put_state(**state([certificate(FRESH)]))
    with connect(standin.port) as straight, connect(gate.port) as through:
        answers = [peer.ask(message) for peer in (straight, through)]
        for answer in answers:
            assert answer["@type"] == "RequestError"
            del answer["detail"]  # has the column, which differs where a request is written anew
        assert answers[0] == answers[1]
        assert created(through.ask(creation())).startswith(NO_OP)


@pytest.mark.parametrize("message", [
    json.dumps(creation()).encode() + b"!",
    json.dumps(creation()).encode().replace(b'"create"', b'"x": 1e999, "create"'),
    json.dumps({**creation(), "using": ["urn:nobody:knows"]}).encode()])
def test_what_is_no_request_is_not_repeated(standin, gate, message):
    """The server names the place instead, which may differ by what the gate has written."""
    standin.put_state(**state([certificate(FRESH)]))
    with connect(standin.port) as straight, connect(gate.port) as through:
        details = []
        for peer in (straight, through):
            peer.send(TEXT, message)
            details.append(peer.hear()["detail"].rsplit(" ", 1)[0])
    assert details[0] == details[1]


def test_a_message_too_large_gets_a_request_error_and_the_next_one_its_answer(standin):
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port, MAX_REQUEST="1024") as gate, connect(gate.port) as peer:
        peer.say(request(["Core/echo", {}], id="R0"))
        peer.say(request(["Core/echo", {"text": "x" * 200000}], id="R1"))
        peer.say(creation(id="R2"))
        assert peer.hear()["requestId"] == "R0"
        refused = peer.hear()
        assert (refused["@type"], refused["limit"]) == ("RequestError", "maxSizeRequest")
        assert created(peer.hear()).startswith(NO_OP)


def test_other_messages_pass_beside_a_request(standin, gate):
    standin.put_state(**state([certificate(FRESH)]))
    with connect(gate.port) as peer:
        peer.say({"@type": "WebSocketPushEnable", "dataTypes": None})
        peer.say({"@type": "WebSocketPushEnable", "dataTypes": ["AcmeRenewal"]})
        peer.send(BINARY, b"AcmeRenewal")
        peer.send(PING, bytes(16))
        got = peer.frame()
        assert (got.op, got.payload) == (PONG, bytes(16))
        assert created(peer.ask(creation())).startswith(NO_OP)


def test_a_push_before_the_answer_stays_before_it():
    """The gate's own look-ups go by HTTP to the same server, which answers them with 404."""
    def serve(peer):
        got = peer.frame()
        assert b"AcmeRenewal" in got.payload
        peer.send(TEXT, b'{"@type":"StateChange",', final=False)
        peer.send(PING, b"!")
        peer.send(MORE, b'"changed":{}}')
        peer.send(TEXT, b'{"@type":"Response","methodResponses":[],"requestId":"other"}')
        peer.send(TEXT, b'{"@type":"RequestError","type":"about:blank","status":503}')
        peer.send(TEXT, b'{"@type":"StateChange","changed":{"a":{}}}')
        peer.frames()

    class Lookups(Server):
        def _answer(self, connection):
            if connection.recv(4, socket.MSG_PEEK) == b"POST":
                self.refusal = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
                super()._answer(connection)
            else:
                self.refusal = None
                super()._answer(connection)

    with Lookups(serve) as server, Gate(server.port) as gate, connect(gate.port) as peer:
        peer.say(creation())
        assert peer.frame().op == PING
        assert peer.hear()["@type"] == "StateChange"
        assert peer.hear()["requestId"] == "other"
        assert peer.hear()["@type"] == "RequestError"
        assert peer.hear()["changed"] == {"a": {}}


def test_observe_changes_nothing_and_reports(standin):
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port, MODE="observe") as gate, connect(gate.port) as peer:
        made = created(peer.ask(creation()))
        decision, = gate.decisions(1)
    assert [item["id"] for item in live_tasks(standin)] == [made]
    assert decision["observed"] and decision["outcome"] == "noop"


def test_a_credential_that_has_run_out_still_lets_nothing_pass_unseen(standin):
    """The server goes on with a socket whose caller it would let in no more."""
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port, ON_LOOKUP_FAILURE="refuse") as gate, connect(gate.port) as peer:
        standin.fault(match="x:Domain/get", status=401, times=2)
        (_, answer, _), = peer.ask(creation())["methodResponses"]
    assert answer["notCreated"]["k"]["type"] == "serverUnavailable"
    assert live_tasks(standin) == []


def test_a_force_on_the_handshake_counts_for_its_requests(standin):
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port, FORCE="allow") as gate, \
            connect(gate.port, Renewgate_Force="1") as peer:
        made = created(peer.ask(creation()))
    assert [item["id"] for item in live_tasks(standin)] == [made]


def test_a_server_that_leaves_before_its_answer_leaves_the_client(standin, gate):
    standin.put_state(**state([certificate(DUE)]))
    standin.fault(match='"Request"', close=True, times=1)
    with connect(gate.port) as peer:
        peer.say(creation())
        assert peer.frames() == []
    wait_until(lambda: metric(gate, "renewgate_websockets_open") == 0)
    assert gate.renew()


def reached(standin, method, words):
    """Waits until a request has come to the server, WS for one over a socket."""
    wait_until(lambda: any(entry["method"] == method and words in json.dumps(entry)
                           for entry in standin.log()))


def test_a_client_that_leaves_calls_its_undecided_request_off(standin, gate):
    standin.put_state(**state([certificate(DUE)]))
    standin.fault(match="x:Domain/get", hang=True, times=1)
    with connect(gate.port) as peer:
        peer.say(creation())
        reached(standin, "POST", "x:Domain/get")
    wait_until(lambda: metric(gate, "renewgate_websockets_open") == 0)
    assert live_tasks(standin) == []
    made = gate.renew()
    assert [item["id"] for item in live_tasks(standin)] == [made]


def test_a_request_that_has_gone_out_is_seen_to_its_end_for_those_who_wait(standin, gate):
    standin.put_state(**state([certificate(DUE)]))
    gate.renew("p333333333331")  # makes nothing, and the gate knows who asks
    standin.fault(match='"Request"', delay_ms=1000, times=1)
    with connect(gate.port) as peer:
        peer.say(creation())
        reached(standin, "WS", "AcmeRenewal")
    made = gate.renew()
    assert {decision["id"] for decision in gate.decisions(3)[1:]} == {made}
    assert [item["id"] for item in live_tasks(standin)] == [made]
    wait_until(lambda: metric(gate, "renewgate_websockets_open") == 0)


def test_a_request_that_is_never_answered_holds_up_nobody_for_ever(standin):
    standin.put_state(**state([certificate(DUE)]))
    standin.fault(match='"Request"', hang=True, times=1)
    with Gate(standin.port, IDLE_TIMEOUT="1s") as gate, connect(gate.port) as peer:
        peer.say(creation())
        reached(standin, "WS", "AcmeRenewal")
        assert gate.renew()
        assert [got.code for got in peer.frames()] == [1011]


def test_an_earlier_request_that_is_never_answered_does_not_hold_up_a_create_for_ever():
    with relayed(Peer.frames, IDLE_TIMEOUT="1s") as (_, gate), connect(gate.port) as peer:
        peer.say({"@type": "Request", "using": [], "methodCalls": []})
        peer.say(creation())
        assert [got.code for got in peer.frames()] == [1011]


@pytest.mark.workers
def test_creates_over_both_ways_at_once_make_one_task(standin):
    standin.put_state(**state([certificate(DUE)]))
    ids, failures = [], []
    with Gate(standin.port, WORKERS=2) as gate:
        def one(i):
            try:
                if i % 2:
                    ids.append(gate.renew())
                    return
                with connect(gate.port) as peer:
                    ids.append(created(peer.ask(creation())))
            except Exception as error:  # pylint: disable=broad-except
                failures.append(error)
        threads = [threading.Thread(target=one, args=(i,)) for i in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    only, = live_tasks(standin)
    assert not failures and len(ids) == 200 and set(ids) == {only["id"]}
