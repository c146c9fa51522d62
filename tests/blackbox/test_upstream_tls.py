"""TLS towards the server: whom the gate trusts, and what it says when it does not."""

import contextlib
import socket
import ssl

import pytest

from canned import Canned, answer
from certificates import Authority
from gate import Gate
from test_operator import run
from test_upstream import OK
from wire import Upstream, ask

HELLO = answer(b"hello", "Content-Type: text/plain")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("upstream"))


def serving(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture(scope="module")
def localhost(authority):
    return authority.issue("localhost", "DNS:localhost")


def warning(gate):
    return gate.logged("request to the server failed")[0]


def test_a_server_with_a_name(authority, localhost):
    with Canned(HELLO, serving(localhost)) as server:
        url = f"https://localhost:{server.port}"
        with Gate(0, UPSTREAM_URL=url, UPSTREAM_CA=authority.certificate) as gate:
            status, _, body = gate.request("GET", "/x", None, {"Host": "mail.test"})
            assert (status, body) == (200, b"hello")
            assert gate.admin("/readyz")[0] == 200
        assert set(server.names) == {"localhost"}, "the server's own name, not the client's Host"
        assert b"\r\nHost: mail.test\r\n" in server.heads[0]


@pytest.mark.parametrize("host, address", [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")])
def test_a_server_with_an_address(authority, host, address):
    certificate = authority.issue("address", f"IP:{address}")
    with Canned(HELLO, serving(certificate), address) as server:
        url = f"https://{host}:{server.port}"
        with Gate(0, UPSTREAM_URL=url, UPSTREAM_CA=authority.certificate) as gate:
            assert gate.request("GET", "/x")[2] == b"hello"
        assert set(server.names) == {None}, "an address is no name (RFC 6066, section 3)"


@pytest.mark.parametrize("fault, words", [
    ("unknown authority", "certificate"), ("other name", "localhost"), ("no TLS", "SSL"),
    ("authority's file is none", "empty.pem"),
])
def test_a_server_that_is_not_trusted(authority, localhost, tmp_path, fault, words):
    tls, trusted = serving(localhost), authority.certificate
    if fault == "unknown authority":
        trusted = Authority(tmp_path, "stranger").certificate
    elif fault == "other name":
        tls = serving(authority.issue("other", "DNS:mail.test"))
    elif fault == "no TLS":
        tls = None
    elif fault == "authority's file is none":
        trusted = tmp_path / "empty.pem"
        trusted.write_text("nothing\n")
    with Canned(HELLO, tls) as server:
        url = f"https://localhost:{server.port}"
        with Gate(0, UPSTREAM_URL=url, UPSTREAM_CA=trusted) as gate:
            status, headers, body = gate.request("GET", "/x")
            said = warning(gate)
            ready, why = gate.admin("/readyz")
        assert status == 502 and headers["Content-Type"] == "application/problem+json"
        assert b"TLS" not in body, "the reason is the operator's business"
        assert said["kind"] == "tls" and words in said["detail"]
        assert ready == 503 and words in why
        checked = run("--check", UPSTREAM_URL=url, UPSTREAM_CA=str(trusted))
        assert checked.returncode == 1 and words in checked.stdout
        with Gate(0, UPSTREAM_URL=url, UPSTREAM_TLS_VERIFY="off") as gate:
            assert gate.request("GET", "/x")[0] == (502 if tls is None else 200)


CHALLENGE = "/.well-known/acme-challenge/token"


@pytest.mark.parametrize("fault", ["expired", "unknown authority"])
def test_challenges_pass_a_certificate_that_they_are_to_mend(authority, localhost, tmp_path, fault):
    tls, trusted = serving(localhost), authority.certificate
    if fault == "expired":
        tls = serving(authority.issue("old", "DNS:localhost", days=0))
    else:
        trusted = Authority(tmp_path, "stranger").certificate
    with Canned(HELLO, tls) as server:
        url = f"https://localhost:{server.port}"
        with Gate(0, UPSTREAM_URL=url, UPSTREAM_CA=trusted) as gate:
            for method, body in (("GET", b"hello"), ("HEAD", b""), ("GET", b"hello")):
                assert gate.request(method, CHALLENGE)[::2] == (200, body)
            line = gate.logged("only challenges of a CA still pass", 3)[0]
            assert line["level"] == "error" and "certificate" in line["detail"]
            for method, target, body in (("GET", "/x", None), ("POST", "/jmap/", b"{}"),
                                         ("POST", CHALLENGE, b"x"), ("GET", CHALLENGE, b"x"),
                                         ("GET", CHALLENGE + "/../../jmap/session", None)):
                assert gate.request(method, target, body)[0] == 502
        assert {head.split()[1] for head in server.heads} == {CHALLENGE.encode()}
        checked = run("--check", UPSTREAM_URL=url, UPSTREAM_TLS_VERIFY="off")
        assert checked.returncode == 0 and "plain HTTP on the loopback" in checked.stdout


def test_challenges_do_not_pass_to_a_server_of_another_name(authority):
    with Canned(HELLO, serving(authority.issue("other", "DNS:mail.test"))) as server:
        with Gate(0, UPSTREAM_URL=f"https://localhost:{server.port}",
                  UPSTREAM_CA=authority.certificate) as gate:
            assert gate.request("GET", CHALLENGE)[0] == 502
        assert server.heads == []


def test_a_server_that_is_reached_by_address_and_known_by_name(authority):
    with Canned(HELLO, serving(authority.issue("named", "DNS:mail.test"))) as server:
        settings = {"UPSTREAM_URL": f"https://127.0.0.1:{server.port}", "UPSTREAM_TLS_NAME": "mail.test",
                    "UPSTREAM_CA": str(authority.certificate)}
        with Gate(0, **settings) as gate:
            assert gate.request("GET", "/x", None, {"Host": "mail.example"})[2] == b"hello"
            assert gate.admin("/readyz")[0] == 200
            assert run("--check", **settings).returncode == 0
            assert gate.request("GET", "/x", None, {"Host": "mail.example"})[0] == 200
        assert set(server.names) == {"mail.test"}
        assert b"\r\nHost: mail.example\r\n" in server.heads[0]
        settings["UPSTREAM_TLS_NAME"] = "other.test"
        with Gate(0, **settings) as gate:
            assert gate.request("GET", "/x")[0] == 502
            assert "other.test" in warning(gate)["detail"]


@pytest.mark.parametrize("url, name", [("http://localhost", "mail.test"), ("https://localhost", "1.2.3.4"),
                                       ("https://localhost", "a b"), ("https://localhost", "[::1]")])
def test_a_wrong_name_stops_the_start(url, name):
    ended = run(UPSTREAM_URL=url, UPSTREAM_TLS_NAME=name)
    line, = ended.stderr.splitlines()
    assert ended.returncode == 2 and "RENEWGATE_UPSTREAM_TLS_NAME" in line and "allowed" in line


def test_a_server_that_nobody_vouches_for(localhost):
    """Without RENEWGATE_UPSTREAM_CA the system's authorities count."""
    with Canned(HELLO, serving(localhost)) as server:
        with Gate(0, UPSTREAM_URL=f"https://localhost:{server.port}") as gate:
            assert gate.request("GET", "/x")[0] == 502
            assert warning(gate)["kind"] == "tls"
        assert server.heads == [], "nothing is said to a server before it is known"


def test_a_session_is_taken_up_again(authority, localhost):
    """A stream has a connection of its own, but does not begin anew with strangers."""
    resumed = []

    def answer(line, request):
        resumed.append(line.socket.session_reused)
        line.send(HELLO)
        return False

    with Upstream(answer, serving(localhost)) as server:
        settings = {"UPSTREAM_URL": f"https://localhost:{server.port}", "UPSTREAM_CA": authority.certificate}
        with Gate(0, **settings) as gate:
            for _ in range(3):
                assert gate.request("PUT", "/x", b"x" * 100_000)[2] == b"hello"
    assert resumed == [False, True, True]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_gates_own_requests_name_the_server(authority, localhost, scheme):
    with Canned(HELLO, serving(localhost) if scheme == "https" else None) as server:
        run("sweep", UPSTREAM_URL=f"{scheme}://localhost:{server.port}", UPSTREAM_CA=authority.certificate,
            SERVICE_AUTHORIZATION="Bearer x")
        assert server.heads
        for head in server.heads:
            assert head.count(b"\r\nHost: localhost:%d\r\n" % server.port) == 1


GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b"


@pytest.fixture(scope="module")
def kept(authority, localhost):
    """A server, and a gate that has a connection to it which has been used before."""
    with Upstream(OK, serving(localhost)) as server:
        settings = {"UPSTREAM_URL": f"https://localhost:{server.port}", "UPSTREAM_CA": authority.certificate}
        with Gate(0, **settings) as gate:
            yield server, gate


def warm_up(server, gate):
    server.answer = OK
    assert ask(gate.port, GET).body == b"ok"
    server.wait(lambda it: len(it.lines) == 1)
    server.connections = 0


@pytest.mark.parametrize("size", [0, 1, 1000, 16384, 16385, 65536, 3_000_000])
def test_a_kept_connection_carries_what_it_should(kept, size):
    server, gate = kept
    warm_up(server, gate)
    body, taken = b"0123456789abcdef" * (size // 16) + b"x" * (size % 16), []

    def echo(line, request):
        taken.append(request.body)
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        line.send(body)

    server.answer = echo
    for sent in (body[:65536], b"y", body[:65536]):
        assert ask(gate.port, POST % (len(sent), sent)).body == body
        assert taken.pop() == sent
    assert server.connections == 0


@pytest.mark.parametrize("request_", [GET, POST % (2, b"{}")], ids=["GET", "POST"])
@pytest.mark.parametrize("records", [1, 2])
def test_what_comes_behind_an_answer_is_nobodys(kept, request_, records):
    server, gate = kept
    warm_up(server, gate)
    answers = [OK] * 3

    def speak(line, request):
        more = OK.replace(b"ok", b"no") if len(answers) == 2 else b""
        pieces = [answers.pop(), more]
        line.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        for piece in pieces if records == 2 else [b"".join(pieces)]:
            line.send(piece)
        line.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)

    server.answer = speak
    assert [ask(gate.port, request_).body for _ in range(3)] == [b"ok"] * 3
    assert server.connections == 1


@pytest.mark.parametrize("notice", [True, False])
@pytest.mark.parametrize("request_", [GET, POST % (2, b"{}")], ids=["GET", "POST"])
def test_a_kept_connection_that_the_server_ends(kept, request_, notice):
    server, gate = kept
    warm_up(server, gate)
    line, = server.lines
    with contextlib.suppress(OSError):  # the gate may have closed it before
        if notice:
            line.socket.unwrap()
        line.socket.shutdown(2)
    server.wait(lambda it: not it.lines)
    assert ask(gate.port, request_).body == b"ok"
    assert server.connections == 1


@pytest.mark.parametrize("notice", [True, False])
def test_an_answer_that_ends_with_a_kept_connection(kept, notice):
    server, gate = kept
    warm_up(server, gate)

    def speak(line, request):
        line.send(b"HTTP/1.1 200 OK\r\n\r\nall there is")
        if notice:
            with contextlib.suppress(OSError):
                line.socket.unwrap()
        return False

    server.answer = speak
    assert ask(gate.port, GET).body == b"all there is"
    assert server.connections == 0
