"""The plain listener beside TLS: challenges of a CA pass, all else is sent to https://."""

import contextlib
import json
import signal
import socket
import time

import pytest

from canned import Canned, answer
from certificates import Authority
from gate import Gate
from plain_client import receive
from wire import Upstream

PATH = "/.well-known/acme-challenge/"
TOKEN = PATH + "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0"


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    cert, key = Authority(tmp_path_factory.mktemp("plain")).issue("gate", "DNS:localhost")
    return {"TLS_CERT": cert, "TLS_KEY": key}


def plain_port(gate):
    ready, = [json.loads(line) for line in gate.lines if '"http_listen"' in line]
    return int(ready["http_listen"].rsplit(":", 1)[1])


def start(server, **settings):
    return Gate(server.port, HTTP_LISTEN="127.0.0.1:0", **settings)


def test_challenges_pass_and_the_rest_is_sent_to_https(tls):
    with Canned(answer(b"LoqX.thumb", "Content-Type: text/plain")) as server, \
            start(server, **tls) as gate:
        port = plain_port(gate)
        host = {"Host": f"mail.example:{port}"}
        for method, content in (("GET", b"LoqX.thumb"), ("HEAD", b"")):
            assert gate.request(method, TOKEN, headers=host, port=port)[::2] == (200, content)
        assert server.heads[0].startswith(f"GET {TOKEN} HTTP/1.1\r\n".encode())
        assert b"X-Forwarded-Proto: http\r\n" in server.heads[0]
        asked = len(server.heads)
        for method, target in (
                ("GET", "/"), ("GET", "/jmap/session?a=b"), ("POST", "/jmap/"), ("POST", TOKEN),
                ("GET", PATH), ("GET", TOKEN + "/../../jmap/session"), ("GET", TOKEN + "?a=b"),
                ("GET", PATH + "..%2f"), ("GET", "/x" + TOKEN), ("OPTIONS", "/"),
                ("GET", "//other.example/x")):
            body = b'{"using":[]}' if method == "POST" else None
            status, fields, content = gate.request(method, target, body, host, port)
            assert (status, content) == (308, b"")
            assert fields["Location"] == "https://mail.example" + target
        assert len(server.heads) == asked, "nothing else reaches the server"


@pytest.mark.parametrize("request_line, host, location", [
    ("GET /x HTTP/1.1", "Host: [2001:db8::1]:80\r\n", "https://[2001:db8::1]/x"),
    ("GET http://other.example:80/y?z HTTP/1.1", "Host: other.example:80\r\n",
     "https://other.example/y?z"),
    ("GET http://other.example HTTP/1.1", "Host: other.example\r\n", "https://other.example/"),
    ("OPTIONS * HTTP/1.1", "Host: mail.example\r\n", "https://mail.example/"),
])
def test_where_a_redirect_leads(tls, request_line, host, location):
    with Canned(b"") as server, start(server, **tls) as gate:
        with socket.create_connection(("127.0.0.1", plain_port(gate)), timeout=60) as client:
            client.sendall(f"{request_line}\r\n{host}\r\n".encode())
            head = client.recv(65536).decode()
    assert head.startswith("HTTP/1.1 308 ") and f"\r\nLocation: {location}\r\n" in head


def test_the_public_address_counts_before_the_clients_word(tls):
    with Canned(b"") as server, start(server, PUBLIC_URL="https://mail.example:8443", **tls) as gate:
        fields = gate.request("GET", "/a", headers={"Host": "evil.example"}, port=plain_port(gate))[1]
    assert fields["Location"] == "https://mail.example:8443/a"


def test_who_names_no_host_is_told_so(tls):
    with Canned(b"") as server, start(server, **tls) as gate:
        with socket.create_connection(("127.0.0.1", plain_port(gate)), timeout=60) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert receive(client)[0] == 400


def test_without_it_there_is_no_plain_listener(standin):
    with Gate(standin.port) as gate:
        assert not [line for line in gate.lines if "http_listen" in line]


def test_an_address_that_is_taken_stops_the_start(standin, tls):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(RuntimeError, match="cannot listen for clients"):
            Gate(standin.port, HTTP_LISTEN=f"127.0.0.1:{taken.getsockname()[1]}", **tls)


@pytest.mark.parametrize("said", [
    b"G", b"GET / HTTP/1.1\r\nHost: mail.example\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: mail.example\r\nContent-Length: 1000\r\n\r\nx",
], ids=["half a head", "a redirect", "half a body"])
def test_who_fills_it_stops_no_challenge(tls, said):
    """The CA does not wait for half a minute."""
    with Canned(answer(b"LoqX.thumb")) as server, start(server, **tls) as gate, \
            contextlib.ExitStack() as open_clients:
        port = plain_port(gate)
        for _ in range(200):
            client = open_clients.enter_context(socket.create_connection(("127.0.0.1", port), 60))
            with contextlib.suppress(ConnectionError):
                client.sendall(said)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as ca:
            ca.sendall(f"GET {TOKEN} HTTP/1.1\r\nHost: mail.example\r\n\r\n".encode())
            assert receive(ca) == (200, b"LoqX.thumb")


def hangs(line, request):
    """A server that never answers a token that it does not know."""
    if request.target.endswith(b"/x"):
        line.socket.settimeout(60)
        line.more()
    line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthumb")


def test_who_waits_for_the_server_stops_no_challenge(tls):
    """Requests for invented tokens, which a server may never answer."""
    invented = TOKEN.rsplit("/", 1)[0] + "/x"
    with Upstream(hangs) as server, start(server, IDLE_TIMEOUT="1h", WORKERS=1, **tls) as gate, \
            contextlib.ExitStack() as open_clients:
        port = plain_port(gate)
        for _ in range(100):
            client = open_clients.enter_context(socket.create_connection(("127.0.0.1", port), 60))
            client.sendall(f"GET {invented} HTTP/1.1\r\nHost: mail.example\r\n\r\n".encode())
        with socket.create_connection(("127.0.0.1", port), timeout=30) as ca:
            ca.sendall(f"GET {TOKEN} HTTP/1.1\r\nHost: mail.example\r\n\r\n".encode())
            assert receive(ca) == (200, b"thumb")
        # The last of them has been cut off by nobody; it does not wait for an hour either.
        assert receive(client)[0] == 504


@pytest.mark.workers
def test_every_worker_serves_it_and_ends_it(tls):
    with Canned(answer(b"thumb")) as server, start(server, WORKERS=4, **tls) as gate:
        port = plain_port(gate)
        assert {gate.request("GET", TOKEN, port=port)[0] for _ in range(40)} == {200}
        with socket.create_connection(("127.0.0.1", port)):
            time.sleep(0.1)
            gate.process.send_signal(signal.SIGTERM)
            assert gate.stop() == 0
