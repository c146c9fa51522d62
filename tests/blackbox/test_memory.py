"""Requests that are needed whole share one budget; what has no room is refused, and nobody else is."""

import contextlib
import json
import select
import socket
import threading

import pytest

from frames import Server, connect as connect_socket
from gate import Gate, basic
from standin import USING
from test_gate import CREATE, FRESH, LOOKUP, NO_OP, certificate, live_tasks, state
from test_streams import asleep
from waiting import PATIENCE, wait_until
from wire import Upstream

LARGE = 10_000_000
MANY = 600_000  # bytes of "{}," are too many values, and the server has read them soon
BUDGET = 8 * LARGE
CALL = {"using": USING, "methodCalls": [["x:Task/set", {"create": {"k": CREATE}}, "c0"]]}


def padded(piece, size):
    """A request with one create, and so many bytes of values beside it."""
    values = (piece * (size // len(piece))).rstrip(",")
    return json.dumps(CALL).replace('"using"', f'"x": [{values}], "using"', 1).encode()


def head(length, *fields):
    lines = ["POST /jmap/ HTTP/1.1", "Host: mail.test", f"Authorization: {basic('admin')}",
             "Content-Type: application/json", f"Content-Length: {length}", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def connect(gate, address="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", gate.port), PATIENCE, (address, 0))


def ask(client, data):
    """The status and the body of the answer to one request."""
    client.sendall(data)
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = client.recv(65536)
        assert piece, answer
        answer += piece
    top, body = answer.split(b"\r\n\r\n", 1)
    length = next(int(line.split(b":")[1]) for line in top.lower().split(b"\r\n")
                  if line.startswith(b"content-length"))
    while len(body) < length:
        body += client.recv(65536)
    return int(top.split()[1]), body


def is_answered(client):
    """Or its connection has ended."""
    return bool(select.select([client], [], [], 0)[0])


def call(gate, address="127.0.0.1", body=json.dumps(CALL).encode()):
    with connect(gate, address) as client:
        return ask(client, head(len(body)) + body)


def metric(gate, name):
    return next(int(line.rsplit(" ", 1)[1]) for line in gate.admin("/metrics")[1].splitlines()
                if line.startswith(name + " ") or line.startswith(name + "{"))


@pytest.fixture
def small(standin):
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port, MAX_BUFFERED=BUDGET) as gate:
        yield gate


def test_bodies_that_do_not_end(small):
    """One client fills its half and no more; others go on, and it does too once it has let go."""
    with contextlib.ExitStack() as open_clients:
        refused = 0
        for _ in range(20):
            client = open_clients.enter_context(connect(small))
            held = metric(small, "renewgate_buffered_bytes")
            with contextlib.suppress(ConnectionError):
                client.sendall(head(LARGE) + b" " * (LARGE - 1))
            wait_until(lambda: is_answered(client) or
                       metric(small, "renewgate_buffered_bytes") >= held + LARGE - 1)
            if is_answered(client):
                refused += 1
                with contextlib.suppress(ConnectionError):
                    assert b" 503 " in client.recv(100)
        assert refused >= 16
        assert metric(small, "renewgate_buffered_bytes") <= BUDGET // 2
        status, body = call(small, "127.0.0.2")
        assert status == 200 and NO_OP in body.decode()
        line = small.logged("request not held")[0]
        assert line["level"] == "warn" and line["limit"] == BUDGET and line["peer"] == "127.0.0.1"
    wait_until(lambda: metric(small, "renewgate_buffered_bytes") == 0)
    assert call(small)[0] == 200
    assert metric(small, 'renewgate_requests_refused_total{reason="no_room"}') >= 16


def test_a_body_without_room_is_refused_by_its_head(small):
    with connect(small) as first, connect(small) as second:
        first.sendall(head(LARGE) + b" " * (LARGE - 1))
        wait_until(lambda: metric(small, "renewgate_buffered_bytes") > LARGE)
        with connect(small) as third:
            third.sendall(head(LARGE) + b" " * (LARGE - 1))
            wait_until(lambda: metric(small, "renewgate_buffered_bytes") > 3 * LARGE)
            status, body = ask(second, head(LARGE, "Expect: 100-continue"))
            assert status == 503
            assert json.loads(body) == {
                "type": "about:blank", "status": 503, "title": "Service Unavailable",
                "detail": "The gateway has no room for this request; try again later."}


@pytest.mark.parametrize("piece, size", [
    ("{},", MANY), *((piece, LARGE - 1000) for piece in ("{},", "[],", "0,", '{"a":0},'))])
def test_values_that_multiply_are_not_parsed(standin, small, piece, size):
    """Ten megabytes of them would be up to a gigabyte."""
    status, body = call(small, body=padded(piece, size))
    assert status == 400 and json.loads(body)["type"] == "urn:ietf:params:jmap:error:limit"
    assert live_tasks(standin) == []
    assert metric(small, 'renewgate_requests_refused_total{reason="too_much"}') == 1
    wait_until(lambda: metric(small, "renewgate_buffered_bytes") == 0)


def test_a_long_text_is_parsed(standin):
    standin.put_state(**state([certificate(FRESH)]))
    body = padded('"%s",' % ("x" * 900_000), LARGE - 1000)
    with Gate(standin.port) as gate:
        status, answer = call(gate, body=body)
        assert status == 200 and NO_OP in answer.decode()
        wait_until(lambda: metric(gate, "renewgate_buffered_bytes") == 0)
    assert live_tasks(standin) == []


def test_values_without_a_create_go_on(standin, small):
    body = padded("{},", MANY).replace(b"AcmeRenewal", b"DkimManagement")
    assert json.loads(call(small, body=body)[1])["methodResponses"]


def test_observing_lets_what_it_does_not_parse_pass(standin):
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port, MODE="observe") as gate:
        status, body = call(gate, body=padded("{},", MANY))
        assert status == 200 and b'"created"' in body


def test_messages_of_a_websocket(standin, small):
    message = {"@type": "Request", "id": "R1", **CALL}
    many = json.dumps(message).replace('"using"', '"x": [' + "{}," * 3_300_000 + '0], "using"', 1)
    with connect_socket(small.port) as peer:
        peer.send(1, many.encode())
        answer = peer.hear()
        assert answer["@type"] == "RequestError" and answer["status"] == 400
        answer = peer.ask(message)
        assert NO_OP in json.dumps(answer)
        with contextlib.ExitStack() as open_clients:
            for _ in range(6):
                client = open_clients.enter_context(connect(small))
                with contextlib.suppress(ConnectionError):
                    client.sendall(head(LARGE) + b" " * (LARGE - 1))
            wait_until(lambda: metric(small, "renewgate_buffered_bytes") > 3 * LARGE)
            peer.send(1, json.dumps({**message, "x": " " * 9_000_000}).encode())
            answer = peer.hear()
            assert answer["@type"] == "RequestError" and answer["status"] == 503
        wait_until(lambda: metric(small, "renewgate_buffered_bytes") == 0)
        assert NO_OP in json.dumps(peer.ask(message))
    assert live_tasks(standin) == []


def test_messages_that_the_server_does_not_read(standin):
    """They wait here, whole, and so they stay counted."""
    served = threading.Event()
    message = {"@type": "Request", "id": "R1", "using": USING,
               "methodCalls": [["Core/echo", {"text": "x" * 9_000_000}, "c0"]]}
    with Server(lambda peer: served.wait(30)) as server, \
            Gate(server.port, MAX_BUFFERED=BUDGET) as gate:
        with contextlib.ExitStack() as open_sockets:
            for _ in range(6):
                peer = open_sockets.enter_context(connect_socket(gate.port))
                peer.say(message)
            gate.logged("request not held")
            wait_until(lambda: asleep(gate))
            assert 2 * 9_000_000 < metric(gate, "renewgate_buffered_bytes") <= BUDGET // 2
        served.set()
        wait_until(lambda: metric(gate, "renewgate_buffered_bytes") == 0)


def test_answers_that_the_client_does_not_read(standin):
    standin.put_state(**state([certificate(FRESH)]))
    echo = ["Core/echo", {"text": "x" * 6_000_000}, "c1"]
    message = {"@type": "Request", "id": "R1", **CALL,
               "methodCalls": [*CALL["methodCalls"], echo]}
    with Gate(standin.port) as gate, connect_socket(gate.port) as peer:
        peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.say(message)
        peer.take(1)
        wait_until(lambda: asleep(gate))
        assert metric(gate, "renewgate_buffered_bytes") > 6_000_000
        peer.connection.close()
        wait_until(lambda: metric(gate, "renewgate_buffered_bytes") == 0)


def test_an_answer_without_room(standin):
    """The server has answered, and nobody is told a guess."""
    standin.put_state(**state([certificate(FRESH)]))
    echo = ["Core/echo", {"text": "x" * 400_000}, "c1"]
    body = json.dumps({**CALL, "methodCalls": [*CALL["methodCalls"], echo]}).encode()
    with Gate(standin.port, MAX_REQUEST=1_000_000, MAX_BUFFERED=8_000_000) as gate:
        status, answer = call(gate, body=body)
        assert status == 503 and json.loads(answer)["status"] == 503
        assert gate.logged("request not held")
        wait_until(lambda: metric(gate, "renewgate_buffered_bytes") == 0)
        assert call(gate)[0] == 200
    assert live_tasks(standin) == []


LOOKED_UP = {"values": "{}," * 300_000, "a text": '"%s",' % ("x" * 6_000_000)}


@pytest.mark.parametrize("answer", LOOKED_UP.values(), ids=LOOKED_UP)
def test_an_answer_to_a_look_up_without_room(standin, answer):
    """It is none: the create is decided as after any look-up that has failed."""
    standin.put_state(**state([certificate(FRESH)]))
    standin.fault(match=LOOKUP, body='{"methodResponses": [%s0]}' % answer, times=1)
    with Gate(standin.port, MAX_REQUEST=1_000_000, MAX_BUFFERED=8_000_000,
              ON_LOOKUP_FAILURE="refuse") as gate:
        assert gate.renew()["type"] == "serverUnavailable"
        line, = gate.logged("request to the server failed")
        assert line["kind"] == "memory" and "RENEWGATE_MAX_BUFFERED" in line["detail"]
        assert gate.decisions(1)[0]["why"] == "there was no memory for a look-up"
        wait_until(lambda: metric(gate, "renewgate_buffered_bytes") == 0)
        assert gate.renew().startswith(NO_OP)
    assert live_tasks(standin) == []


def test_an_answer_to_a_look_up_counts(standin):
    """While it comes, and no longer."""
    standin.put_state(**state([certificate(FRESH)]))
    come, go_on = threading.Event(), threading.Event()

    passes = {"type": "invalidForeignKey", "objectId": {"object": "Domain", "id": "p333333333331"}}
    (_, _, call_id), = CALL["methodCalls"]
    known = json.dumps({"methodResponses": [["x:Task/set", {"notCreated": {
        key: passes for key in CALL["methodCalls"][0][1]["create"]}}, call_id]]}).encode()

    def slow(line, request):
        if b"p333333333331" in request.body:
            line.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(known), known))
            return
        if LOOKUP.encode() not in request.body:
            line.send(b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\n{}")
            return
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6000001\r\n\r\n" + b" " * 6_000_000)
        come.set()
        go_on.wait(30)
        line.send(b"0")

    with Upstream(slow) as upstream, Gate(upstream.port, LOOKUP_TIMEOUT="30s") as gate:
        asker = threading.Thread(target=call, args=[gate])
        asker.start()
        assert come.wait(30)
        wait_until(lambda: metric(gate, "renewgate_buffered_bytes") > 6_000_000)
        go_on.set()
        asker.join()
        wait_until(lambda: metric(gate, "renewgate_buffered_bytes") == 0)


def test_a_sweep_without_room_tries_again(standin):
    standin.put_state(**state([certificate(FRESH)]))
    standin.fault(match=LOOKUP, body='{"methodResponses": [%s0]}' % LOOKED_UP["values"], times=1)
    with Gate(standin.port, MAX_REQUEST=1_000_000, MAX_BUFFERED=8_000_000, SWEEP_INTERVAL="1s",
              SERVICE_AUTHORIZATION=basic("service")) as gate:
        gate.logged("sweep")
        line = gate.logged("request of a sweep failed")[0]
        assert line["kind"] == "memory" and "RENEWGATE_MAX_BUFFERED" in line["detail"]
        wait_until(lambda: metric(gate, "renewgate_buffered_bytes") == 0)


SESSION_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


def test_sessions_count_while_they_come():
    """Half of the budget for one client; the next gets a 503, and others go on."""
    session = b'{"apiUrl":"https://mail.example.org/jmap/"'.ljust(1_000_000) + b"}"
    go_on = threading.Event()

    def slow(line, request):
        line.send(SESSION_HEAD % len(session) + session[:-1])
        go_on.wait(60)
        line.send(session[-1:])

    with Upstream(slow) as upstream, \
            Gate(upstream.port, MAX_REQUEST=1_000_000, MAX_BUFFERED=16_000_000) as gate, \
            contextlib.ExitStack() as open_clients:
        get = b"GET /jmap/session HTTP/1.1\r\nHost: h\r\n\r\n"
        clients = [open_clients.enter_context(connect(gate)) for _ in range(12)]
        for client in clients:
            client.sendall(get)
        wait_until(lambda: metric(gate, 'renewgate_requests_refused_total{reason="no_room"}') >= 5)
        held = metric(gate, "renewgate_buffered_bytes")
        assert 1_000_000 < held <= 8_000_000
        other = open_clients.enter_context(connect(gate, "127.0.0.2"))
        other.sendall(get)
        wait_until(lambda: metric(gate, "renewgate_buffered_bytes") >= held + 1_000_000)
        go_on.set()
        statuses = sorted(ask(client, b"")[0] for client in clients)
        assert 200 in statuses and set(statuses) == {200, 503}
        assert ask(other, b"")[0] == 200
        line = gate.logged("request not held")[0]
        assert line["peer"] == "127.0.0.1"
        wait_until(lambda: metric(gate, "renewgate_buffered_bytes") == 0)


def test_a_session_whose_tree_has_no_room(standin):
    session = b'{"x":[%s0]}' % (b"{}," * 300_000)
    with Upstream(lambda line, request: line.send(SESSION_HEAD % len(session) + session)) as upstream, \
            Gate(upstream.port, MAX_REQUEST=1_000_000, MAX_BUFFERED=8_000_000) as gate:
        status, _, body = gate.request("GET", "/jmap/session")
        assert status == 503 and json.loads(body)["status"] == 503
        wait_until(lambda: metric(gate, "renewgate_buffered_bytes") == 0)
