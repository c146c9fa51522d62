"""A server may answer before it has the whole request, and need not ask for the rest of it.

Whether a body may come is then the server's to say (RFC 9110, section 10.1.1), and what it says
reaches the client while that still sends.
"""

import contextlib
import select
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

from certificates import Authority
from gate import Gate
from servers import SocketServer
from waiting import PATIENCE
from wire import Line, Upstream, ask, connect, gate, last_answer, read_answer, read_body  # noqa: F401
from wire import read_head, takes_body, upstream  # noqa: F401

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UNAUTHORIZED = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n" \
               b"Content-Length: 2\r\n\r\nno"
ASKS = b"Expect: 100-continue\r\n"
FRAMINGS = {"small": b"Content-Length: 3\r\n", "large": b"Content-Length: 200000\r\n",
            "chunked": b"Transfer-Encoding: chunked\r\n"}


def body_of(framing):
    if b"chunked" in framing:
        return b"3\r\nabc\r\n0\r\n\r\n"
    return b"x" * int(framing.split(b":")[1])


def asking(framing, target=b"/dav/x", method=b"PUT", version=b"1.1"):
    return method + b" " + target + b" HTTP/" + version + b"\r\nHost: h\r\n" + ASKS + framing + b"\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("early"))


@pytest.fixture(scope="module")
def pair(authority):
    return authority.issue("localhost", "DNS:localhost", "IP:127.0.0.1")


@pytest.fixture(scope="module", params=["http", "https"])
def connect_to(request, upstream, authority, pair):
    """Opens connections to a gate, with and without TLS."""
    tls = {"TLS_CERT": pair[0], "TLS_KEY": pair[1]} if request.param == "https" else {}
    context = ssl.create_default_context(cafile=authority.certificate)
    with Gate(upstream.port, **tls) as gate:
        def opens():
            line = connect(gate.port)
            if tls:
                line.socket = context.wrap_socket(line.socket, server_hostname="localhost")
            return line

        yield opens


# Leave to send.

@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
def test_leave_to_send_is_the_servers_to_give(upstream, connect_to, framing):
    heard = threading.Event()

    @takes_body
    def answer(line, request):
        assert heard.wait(30)
        line.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        read_body(line, request)
        line.send(OK)

    upstream.answer, before = answer, len(upstream.requests)
    line = connect_to()
    line.send(asking(framing))
    upstream.wait(lambda server: len(server.requests) > before)
    assert upstream.requests[-1].value(b"Expect") == b"100-continue"
    assert not upstream.requests[-1].body and not line.bytes
    heard.set()
    assert read_answer(line).status == 100
    line.send(body_of(framing))
    assert read_answer(line).body == b"ok"
    assert upstream.requests[-1].body == (b"abc" if b"chunked" in framing else body_of(framing))
    line.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    upstream.answer = OK
    assert read_answer(line).body == b"ok", "the connection is kept"
    line.close()


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
@pytest.mark.parametrize("length", [2, 300_000])
def test_a_refusal_comes_in_the_place_of_leave(upstream, connect_to, framing, length):
    @takes_body
    def answer(line, request):
        line.send(UNAUTHORIZED.replace(b"h: 2", b"h: %d" % length) + b"x" * (length - 2))
        line.rest()
        return False

    upstream.answer = answer
    line = connect_to()
    line.send(asking(framing))
    answer = read_answer(line)
    assert answer.status == 401 and answer.value(b"WWW-Authenticate") == b"Basic realm=\"x\""
    assert answer.value(b"Connection") == b"close"
    assert answer.body == b"no" + b"x" * (length - 2)
    line.close()


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
def test_a_server_that_knows_nothing_of_leave(upstream, connect_to, framing):
    """It waits for the body without a word; so the gate gives leave after a while."""
    upstream.answer = OK
    line = connect_to()
    line.send(asking(framing))
    assert read_answer(line).status == 100
    line.send(body_of(framing))
    assert last_answer(line).body == b"ok"
    line.close()


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
def test_a_client_that_does_not_wait_for_leave(upstream, connect_to, framing):
    @takes_body
    def answer(line, request):
        line.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        read_body(line, request)
        line.send(OK)

    upstream.answer = answer
    line = connect_to()
    line.send(asking(framing) + body_of(framing))
    assert last_answer(line).body == b"ok"
    line.close()


def test_an_old_client_asks_for_nothing(upstream, connect_to):
    upstream.answer = OK
    line = connect_to()
    line.send(asking(FRAMINGS["small"], version=b"1.0") + b"abc")
    assert read_answer(line).body == b"ok"
    assert upstream.requests[-1].value(b"Expect") is None
    line.close()


def test_a_call_gets_leave_at_once(upstream, connect_to):
    """It is needed whole before the server is asked for anything."""
    upstream.answer, before = OK, len(upstream.requests)
    line = connect_to()
    line.send(asking(FRAMINGS["small"], b"/jmap/", b"POST"))
    assert read_answer(line).status == 100
    assert len(upstream.requests) == before
    line.send(b"abc")
    assert read_answer(line).body == b"ok"
    line.close()


def test_a_client_that_leaves_while_it_waits_for_leave(upstream, gate):
    @takes_body
    def answer(line, request):
        line.rest()
        return False

    upstream.answer, before = answer, len(upstream.requests)
    line = connect(gate.port)
    line.send(asking(FRAMINGS["large"]))
    upstream.wait(lambda server: len(server.requests) > before)
    line.close()
    upstream.wait(lambda server: not server.lines)


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
def test_curl_that_cannot_send_its_body_twice(upstream, gate):
    """It has to ask without a credential first, and its body comes from a pipe."""
    @takes_body
    def answer(line, request):
        if request.value(b"Authorization") is None:
            line.send(UNAUTHORIZED)
            line.rest()
            return False
        line.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        read_body(line, request)
        line.send(OK)

    upstream.answer = answer
    for port in (upstream.port, gate.port):
        run = subprocess.run(["curl", "-sS", "--noproxy", "*", "--anyauth", "-u", "a:b", "-T", "-",
                              f"http://127.0.0.1:{port}/dav/x"],
                             input=b"from a pipe", capture_output=True, timeout=60, check=False)
        assert (run.returncode, run.stdout, run.stderr) == (0, b"ok", b"")
        assert upstream.requests[-1].body == b"from a pipe"


# Refusals while the body comes.

@pytest.mark.parametrize("length", [2, 10_000, 100_000, 1_000_000])
def test_a_refusal_while_the_body_comes_is_whole(upstream, connect_to, length):
    """A small one is there before the client has sent all; a large one comes behind that."""
    @takes_body
    def answer(line, request):
        line.send(UNAUTHORIZED.replace(b"h: 2", b"h: %d" % length) + b"x" * (length - 2))
        line.rest()
        return False

    upstream.answer = answer
    line = connect_to()
    line.send(b"PUT /dav/x HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n" +
              b"x" * 100_000)
    if length > 16384:
        line.send(b"x" * 1_900_000)
    answer = read_answer(line)
    assert answer.status == 401 and answer.body == b"no" + b"x" * (length - 2)
    line.close()


class Refusing(SocketServer):
    """A server that reads the beginning of a body, refuses it and closes at once, so that what it
    has not read resets the connection."""

    def __init__(self, answer, context=None):
        self.answer, self.context = answer, context
        super().__init__(backlog=64)

    def serve(self, client):
        # Else what is to be sent may wait for an acknowledgement, and be lost with the close.
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.context is not None:
            client = self.context.wrap_socket(client, server_side=True)
        with client:
            line = Line(client)
            read_head(line)
            line.exactly(20_000)
            client.sendall(self.answer)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("closes", [b"", b"Connection: close\r\n"])
@pytest.mark.parametrize("status", [b"413 Content Too Large", b"401 Unauthorized", b"400 Bad"])
def test_a_refused_upload_is_not_the_gateways_fault(authority, pair, scheme, closes, status):
    context = None
    if scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
    refusal = b"HTTP/1.1 " + status + b"\r\n" + closes + b"Content-Length: 7\r\n\r\nrefused"
    upload = b"PUT /dav/x HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 2_000_000
    with Refusing(refusal, context) as server, \
            Gate(0, UPSTREAM_URL=f"{scheme}://localhost:{server.port}",
                 UPSTREAM_CA=authority.certificate) as gate:
        for _ in range(40):
            answer = ask(gate.port, upload)
            assert answer.status == int(status[:3]) and answer.body == b"refused"


# Servers that answer and then take no more of the body.

BLOCK = b"x" * 65536
ENDLESS = {"counted": b"Content-Length: 4000000000\r\n\r\n",
           "chunked": b"Transfer-Encoding: chunked\r\n\r\nee6b2800\r\n"}
BEGUN = {"answered": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhalf", "silent": b"",
         "full": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 500_000}


def give_until_answered(line):
    """Keeps its socket full until there is something to be read."""
    line.socket.setblocking(False)
    while not select.select([line.socket], [], [], 0)[0]:
        if select.select([line.socket], [line.socket], [], PATIENCE)[1]:
            with contextlib.suppress(BlockingIOError):
                line.socket.send(BLOCK)
    line.socket.settimeout(PATIENCE)


@pytest.fixture(scope="module", params=["http", "https"])
def hasty(request, authority, pair):
    """A server, and a gate before it that waits for a second; TLS between the two or not."""
    context = None
    if request.param == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
    with Upstream(tls=context) as server:
        # What is taken shows soon, while the gate's own socket holds megabytes.
        server.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        with Gate(0, UPSTREAM_URL=f"{request.param}://localhost:{server.port}",
                  UPSTREAM_CA=authority.certificate, IDLE_TIMEOUT="1s") as gate:
            yield server, gate


@pytest.mark.parametrize("framing", ENDLESS)
@pytest.mark.parametrize("begun", BEGUN)
def test_a_server_that_takes_no_more_is_not_waited_for_for_ever(hasty, begun, framing):
    server, gate = hasty
    ended = threading.Event()

    @takes_body
    def answer(line, request):
        line.send(BEGUN[begun])
        assert ended.wait(PATIENCE)
        return False

    server.answer = answer
    line = connect(gate.port)
    line.send(b"PUT /dav/x HTTP/1.1\r\nHost: h\r\n" + ENDLESS[framing])
    give_until_answered(line)
    assert read_answer(line).status == 504
    line.close()
    ended.set()


@pytest.mark.parametrize("framing", ENDLESS)
def test_nor_is_a_client_that_stops_as_well(hasty, framing):
    server, gate = hasty
    ended = threading.Event()

    @takes_body
    def answer(line, request):
        line.send(BEGUN["answered"])
        assert ended.wait(PATIENCE)
        return False

    server.answer = answer
    line = connect(gate.port)
    line.send(b"PUT /dav/x HTTP/1.1\r\nHost: h\r\n" + ENDLESS[framing] + BLOCK)
    line.rest()
    line.close()
    ended.set()


@pytest.mark.parametrize("begun", ["answered", "silent"])
def test_a_server_that_takes_a_body_slowly_gets_it_all(hasty, begun):
    """What the sockets hold of it lasts for longer than the idle time-out."""
    server, gate = hasty
    length = 8 << 20

    @takes_body
    def answer(line, request):
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n"[:-1 if begun == "silent" else None])
        end = time.monotonic() + 3
        taken = 0
        while time.monotonic() < end:
            taken += len(line.exactly(4096))
            time.sleep(0.02)
        line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        assert len(line.exactly(length - taken)) == length - taken
        line.send(b"\n%08d" % length if begun == "silent" else b"%08d" % length)

    server.answer = answer
    line = connect(gate.port)
    line.send(b"PUT /dav/x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % length)
    line.send(b"x" * length)
    taken = read_answer(line)
    assert (taken.status, taken.body) == (200, b"%08d" % length)
    line.close()
