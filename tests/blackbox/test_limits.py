"""How long and how many: slow clients are cut, and nobody has to wait for them."""

import contextlib
import json
import socket
import threading

import pytest

from gate import Gate, basic
from plain_client import HEALTH, ask, connect, has_ended, wait_for_end
from test_gate import CREATE, state
from wire import Upstream

LONG = "1h"


class Dribble:
    """Sends a byte now and then for as long as it is taken."""

    def __init__(self, client, text):
        self.client, self.text, self.sent = client, text, 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            for at in range(len(self.text)):
                self.client.sendall(self.text[at:at + 1])
                self.sent += 1
                if self.stopped.wait(0.1):
                    return
        except OSError:
            pass

    def stop(self):
        self.stopped.set()
        self.thread.join(30)


@pytest.mark.parametrize("sent", [b"", b"GET", HEALTH[:-2]], ids=["nothing", "line", "head"])
def test_a_head_that_does_not_come(standin, sent):
    with Gate(standin.port, HEADER_TIMEOUT="1s", IDLE_TIMEOUT=LONG) as gate, \
            connect(gate) as client:
        client.sendall(sent)
        wait_for_end(client)


def test_a_head_that_comes_byte_by_byte(standin):
    with Gate(standin.port, HEADER_TIMEOUT="1s", IDLE_TIMEOUT=LONG) as gate, \
            connect(gate) as client:
        dribble = Dribble(client, HEALTH[:-2] + b"X: " + b"y" * 10000)
        wait_for_end(client)
        dribble.stop()


def test_a_kept_connection_has_the_idle_time(standin):
    """The limit of the first head does not end it; the byte by byte head of the next does not
    prolong it."""
    with Gate(standin.port, HEADER_TIMEOUT="2s", IDLE_TIMEOUT=LONG) as gate, \
            connect(gate) as kept:
        assert ask(kept) == 200
        with connect(gate) as silent:
            wait_for_end(silent)
        assert ask(kept) == 200
    with Gate(standin.port, HEADER_TIMEOUT=LONG, IDLE_TIMEOUT="2s") as gate:
        with connect(gate) as idle:
            assert ask(idle) == 200
            wait_for_end(idle)
        with connect(gate) as slow:
            assert ask(slow) == 200
            dribble = Dribble(slow, HEALTH[:-2] + b"X: " + b"y" * 10000)
            wait_for_end(slow)
            dribble.stop()


def upload(length):
    return (f"POST /jmap/upload/d333333/ HTTP/1.1\r\nHost: mail.test\r\n"
            f"Authorization: {basic('admin')}\r\nContent-Length: {length}\r\n\r\n").encode()


@pytest.mark.parametrize("length", [100, 100000], ids=["gathered", "streamed"])
def test_a_body_is_cut_when_it_stops_and_not_when_it_is_slow(standin, length):
    with Gate(standin.port, IDLE_TIMEOUT="2s") as gate, connect(gate) as slow, \
            connect(gate) as stopping:
        slow.sendall(upload(length))
        stopping.sendall(upload(length) + b"x")
        dribble = Dribble(slow, b"x" * length)
        wait_for_end(stopping)
        dribble.stop()
        assert ask(slow, b"x" * (length - dribble.sent)) == 200


@pytest.mark.parametrize("sent", [b"GET", HEALTH[:-2], upload(100) + b"x", upload(100000) + b"x"],
                         ids=["line", "head", "gathered", "streamed"])
def test_a_client_that_leaves_with_its_last_bytes(standin, sent):
    """Its end arrives together with them, and yet no limit has to run out first."""
    with Gate(standin.port, HEADER_TIMEOUT=LONG, IDLE_TIMEOUT=LONG) as gate:
        clients = [connect(gate) for _ in range(100)]
        for client in clients:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
        for client in clients:
            wait_for_end(client)
            client.close()


def test_slow_clients_do_not_hold_up_others(standin):
    with Gate(standin.port, HEADER_TIMEOUT=LONG, IDLE_TIMEOUT=LONG) as gate:
        slow = [connect(gate) for _ in range(200)]
        for at, client in enumerate(slow):
            client.sendall(HEALTH[:-2] if at % 2 else upload(100000) + b"x" * 10)
        with connect(gate) as fast:
            for at in range(50):
                slow[at].sendall(b"x")
                assert ask(fast) == 200
        assert not any(map(has_ended, slow))
        for client in slow:
            client.close()


def test_more_connections_than_allowed_wait_and_are_served(standin):
    with Gate(standin.port, MAX_CONNECTIONS=64, HEADER_TIMEOUT="2s", IDLE_TIMEOUT=LONG) as gate:
        silent = [connect(gate) for _ in range(64)]
        with connect(gate) as waiting:
            assert ask(waiting) == 200
            assert any(map(has_ended, silent)), "it was served although all places were taken"
            for client in silent:
                wait_for_end(client)
            with connect(gate) as other:
                assert ask(other) == 200


def test_places_are_given_back(standin):
    with Gate(standin.port, MAX_CONNECTIONS=64, HEADER_TIMEOUT=LONG, IDLE_TIMEOUT=LONG) as gate:
        for _ in range(3):
            clients = [connect(gate) for _ in range(64)]
            assert {ask(client) for client in clients} == {200}
            for client in clients:
                client.close()


def test_the_largest_request(standin):
    standin.put_state(**state())
    body = json.dumps({"using": [], "methodCalls": [["Core/echo", {}, "c"]]}).encode()
    with Gate(standin.port, MAX_REQUEST=2048) as gate:
        assert gate.post(body.ljust(2048))[0] == 200
        status, problem = gate.post(body.ljust(2049))
        assert (status, problem["limit"]) == (400, "maxSizeRequest")
        # Only calls have a limit.
        assert gate.request("POST", "/jmap/upload/d333333/", b"x" * 5000,
                            {"Authorization": basic("admin")})[0] == 200


@contextlib.contextmanager
def unreachable():
    """A server's port: a queue of connections that nobody accepts, full. What comes more is not
    answered."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, \
            contextlib.ExitStack() as queued:
        for _ in range(4):
            client = queued.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def test_a_server_that_cannot_be_connected_to():
    """Of a create it is known that no task was made of it: nothing was sent."""
    with unreachable() as port, Gate(port, CONNECT_TIMEOUT="200ms", IDLE_TIMEOUT=LONG) as gate:
        status, _, body = gate.request("GET", "/x")
        assert (status, json.loads(body)["status"]) == (502, 502)
        gate.logged('"kind":"connect"')
        document = {"using": [], "methodCalls": [["x:Task/set", {"create": {"k": CREATE}}, "c"]]}
        assert gate.request("POST", "/jmap/", json.dumps(document).encode())[0] == 502
        decision, = gate.decisions(1)
    assert (decision["outcome"], decision["why"]) == (
        "rejected", "the request did not reach the server")


def test_a_look_up_that_takes_too_long(standin):
    standin.put_state(**state())
    standin.fault(match="x:Task/query", hang=True, times=1)
    with Gate(standin.port, LOOKUP_TIMEOUT="200ms", ON_LOOKUP_FAILURE="refuse") as gate:
        (_, answer), = gate.call(["x:Task/set", {"create": {"k": CREATE}}])
        assert answer["notCreated"]["k"]["type"] == "serverUnavailable"


def stops_within(is_it):
    """A server whose answers to such requests stop after a byte; all others are empty objects."""
    def answer(line, request):
        stops = is_it(request)
        line.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
                  + (b"{" if stops else b"{}"))
    return answer


def test_an_answer_to_a_create_that_stops_holds_up_nobody_for_ever():
    with Upstream(stops_within(lambda request: b'"create"' in request.body)) as upstream, \
            Gate(upstream.port, IDLE_TIMEOUT="1s") as gate:
        body = json.dumps({"using": [], "methodCalls": [
            ["x:Task/set", {"create": {"k": CREATE}}, "c"]]}).encode()
        for _ in range(2):
            assert gate.request("POST", "/jmap/", body)[0] == 504


def test_a_session_that_stops_is_not_waited_for_for_ever():
    with Upstream(stops_within(lambda request: True)) as upstream, \
            Gate(upstream.port, IDLE_TIMEOUT="1s") as gate:
        assert gate.request("GET", "/jmap/session")[0] == 504


@pytest.mark.parametrize("name, value", [
    ("HEADER_TIMEOUT", "999ms"), ("IDLE_TIMEOUT", "0s"), ("DRAIN_TIMEOUT", "2d"),
    ("MAX_CONNECTIONS", "63"), ("MAX_REQUEST", "1023"), ("CONNECT_TIMEOUT", "2h"),
    ("MAX_BUFFERED", "1048575"), ("MAX_BUFFERED", "79999999"),
])
def test_limits_have_limits(name, value):
    from test_operator import run
    ended = run(UPSTREAM_URL="http://127.0.0.1:1", **{name: value})
    assert ended.returncode == 2 and f"RENEWGATE_{name}" in ended.stderr


def test_nobody_alone_keeps_others_from_the_admin_pages(standin):
    with Gate(standin.port) as gate, contextlib.ExitStack() as silent:
        address = ("127.0.0.1", gate.admin_port)
        clients = [silent.enter_context(socket.create_connection(address, 30, ("127.0.0.2", 0)))
                   for _ in range(64)]
        wait_for_end(clients[-1])
        assert gate.admin("/healthz")[0] == 200
