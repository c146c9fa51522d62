"""Connections to the server are kept, and what becomes of a request when one turns out to be closed.

A server may close a kept connection just as a request is written into it. Nobody knows then whether
it has read the request; sending it again is safe only where doing it twice is the same as once.
"""

import concurrent.futures
import subprocess

import pytest

from canned import Canned, answer
from gate import Gate
from standin import binary
from test_gate import FRESH, LOOKUP, NO_OP, certificate, state
from wire import ask, gate, upstream  # noqa: F401

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
IDEMPOTENT = [b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PROPFIND", b"PROPPATCH", b"REPORT",
              b"MKCOL", b"MKCALENDAR", b"COPY", b"MOVE", b"UNLOCK", b"SEARCH", b"ACL"]
OTHERS = [b"POST", b"PATCH", b"LOCK", b"UNKNOWN", b"get"]
BODIES = {"no body": b"Content-Length: 0\r\n\r\n", "a body": b"Content-Length: 2\r\n\r\n{}"}


def request_of(method, body=BODIES["a body"]):
    if method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS"):
        body = b"\r\n"
    return method + b" /x HTTP/1.1\r\nHost: h\r\nAuthorization: Basic eDp5\r\n" + body


def warm_up(upstream, gate):
    """Leaves the gate with one kept connection, and forgets what it took."""
    upstream.answer = OK
    upstream.wait(lambda server: len(server.lines) <= 1)
    assert ask(gate.port, request_of(b"GET")).body == b"ok"
    upstream.wait(lambda server: len(server.lines) == 1)
    upstream.requests, upstream.connections = [], 0


def ends(times, before=b""):
    """An answer that ends its connection that often, and is proper after that."""
    left = [times]

    def answer(line, request):
        if left[0] == 0:
            line.send(OK if request.method != b"HEAD" else OK[:-2])
            return True
        left[0] -= 1
        line.send(before)
        return False

    return answer


@pytest.mark.parametrize("method", IDEMPOTENT + OTHERS)
def test_connections_are_used_again(upstream, gate, method):
    warm_up(upstream, gate)
    upstream.answer = ends(0)
    for _ in range(3):
        assert ask(gate.port, request_of(method)).status == 200
    assert upstream.connections == 0 and len(upstream.requests) == 3


@pytest.mark.parametrize("method", IDEMPOTENT + OTHERS)
def test_a_connection_that_is_closed_already_is_not_used(upstream, gate, method):
    warm_up(upstream, gate)
    upstream.lines[0].socket.shutdown(2)
    upstream.wait(lambda server: not server.lines)
    upstream.answer = ends(0)
    assert ask(gate.port, request_of(method)).status == 200
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("method", IDEMPOTENT)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_an_idempotent_request_is_sent_again_once(upstream, gate, method, body):
    warm_up(upstream, gate)
    upstream.answer = ends(1)
    assert ask(gate.port, request_of(method, body)).status == 200
    first, second = upstream.requests
    assert (first.start, first.fields, first.body) == (second.start, second.fields, second.body)


def test_each_request_has_its_own_second_attempt(upstream, gate):
    for _ in range(12):
        warm_up(upstream, gate)
        upstream.answer = ends(1)
        assert ask(gate.port, request_of(b"PROPFIND")).status == 200
        assert len(upstream.requests) == 2


@pytest.mark.parametrize("method", OTHERS)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_no_other_request_is(upstream, gate, method, body):
    warm_up(upstream, gate)
    upstream.answer = ends(1)
    answer = ask(gate.port, request_of(method, body))
    assert answer.status == 502 and answer.value(b"Content-Type") == b"application/problem+json"
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("method", IDEMPOTENT + OTHERS)
def test_nothing_is_sent_again_after_a_new_connection_was_closed(upstream, gate, method):
    warm_up(upstream, gate)
    upstream.lines[0].socket.shutdown(2)
    upstream.wait(lambda server: not server.lines)
    upstream.answer = ends(1)
    assert ask(gate.port, request_of(method)).status == 502
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("part", [b"HTTP/1.1 200 OK\r\n", OK[:-4], b"HTTP/1.1 103 x\r\n\r\n"])
@pytest.mark.parametrize("method", [b"GET", b"PUT", b"POST"])
def test_nothing_is_sent_again_once_an_answer_has_begun(upstream, gate, method, part):
    warm_up(upstream, gate)
    upstream.answer = ends(1, before=part)
    assert ask(gate.port, request_of(method)).status == 502
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("method", IDEMPOTENT)
def test_not_more_than_once(upstream, gate, method):
    """However many kept connections end one after another."""
    warm_up(upstream, gate)

    def together(line, request):
        upstream.wait(lambda server: len(server.requests) >= 4)
        line.send(OK)

    upstream.answer = together
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: ask(gate.port, request_of(b"GET")), range(4)))
    assert len(upstream.lines) == 4
    upstream.requests, upstream.answer = [], ends(9)
    assert ask(gate.port, request_of(method)).status == 502
    assert len(upstream.requests) == 2
    for line in list(upstream.lines):
        line.socket.shutdown(2)


@pytest.mark.parametrize("size", [100_000, 1_000_000])
@pytest.mark.parametrize("method", [b"PUT", b"POST"])
def test_a_stream_is_never_sent_again(upstream, gate, method, size):
    """Half of it may be gone here. It gets a connection of its own, so that none is stale."""
    body = b"Content-Length: %d\r\n\r\n" % size + b"x" * size
    for times, status in ((0, 200), (1, 502)):
        warm_up(upstream, gate)
        upstream.answer = ends(times)
        assert ask(gate.port, request_of(method, body)).status == status
        assert len(upstream.requests) == 1 and upstream.connections == 1


@pytest.mark.parametrize("method", [b"PUT", b"POST"])
def test_connections_of_streams_do_not_pile_up(upstream, gate, method):
    """The next stream would not use them, and all other requests can do with one."""
    warm_up(upstream, gate)
    body = b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000
    for _ in range(5):
        assert ask(gate.port, request_of(method, body)).status == 200
    upstream.wait(lambda server: len(server.lines) == 1)
    assert upstream.connections == 5
    assert ask(gate.port, request_of(b"GET")).status == 200
    assert upstream.connections == 5


def test_a_look_up_is_sent_again(standin):
    """It is a POST, but one that changes nothing: the create is not decided blindly."""
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port) as gate:
        gate.call(["Core/echo", {}])
        standin.fault(match=LOOKUP, close=True, times=1)
        assert gate.renew().startswith(NO_OP)
    assert standin.tasks() == []


def test_a_name_that_has_moved_is_looked_up_again(tmp_path):
    """The first failure is told; the next request goes to the new address."""
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.3 mail.test\n")
    program = tmp_path / "renewgate"
    program.write_text(f"#!/bin/sh\nmount --bind {hosts} /etc/hosts && exec {binary('renewgate').resolve()}\n")
    starter = tmp_path / "start"
    starter.write_text(f"#!/bin/sh\nexec unshare --mount sh {program}\n")
    starter.chmod(0o755)
    if subprocess.run(["unshare", "--mount", "true"]).returncode != 0:
        pytest.skip("no mount namespace of one's own")
    with Canned(answer(b"hello"), host="127.0.0.2") as server, \
            Gate(0, program=starter, UPSTREAM_URL=f"http://mail.test:{server.port}") as gate:
        assert gate.request("GET", "/")[0] == 502
        hosts.write_text("127.0.0.2 mail.test\n")
        assert gate.request("GET", "/")[2] == b"hello"
