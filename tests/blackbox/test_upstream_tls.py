"""TLS towards the server: whom the gate trusts, and what it says when it does not."""

import ssl

import pytest

from canned import Canned, answer
from certificates import Authority
from gate import Gate
from test_operator import run

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


def test_a_server_that_nobody_vouches_for(localhost):
    """Without RENEWGATE_UPSTREAM_CA the system's authorities count."""
    with Canned(HELLO, serving(localhost)) as server:
        with Gate(0, UPSTREAM_URL=f"https://localhost:{server.port}") as gate:
            assert gate.request("GET", "/x")[0] == 502
            assert warning(gate)["kind"] == "tls"
        assert server.heads == [], "nothing is said to a server before it is known"
