"""TLS towards the server: whom the gate trusts, and what it says when it does not."""

import ssl

import pytest

from canned import Canned, answer
from certificates import Authority
from gate import Gate
from test_operator import run
from wire import Upstream

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
