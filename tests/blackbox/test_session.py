"""The session's own URLs lead back to the gate, and nothing else in it changes."""

import json
import ssl

import pytest

from canned import Canned, answer
from certificates import Authority
from gate import Gate, basic
from test_operator import run

JSON = "Content-Type: application/json; charset=utf-8"
SMALL = b'{ "apiUrl": "https://mail.example.org/jmap/", "x": "https://mail.example.org/" }'


def straight(standin, fields=None):
    response = standin.request("GET", "/jmap/session", headers=list((fields or {}).items()))
    assert response.status == 200
    return response.body


def rewritten(body, address):
    """What the gate is to make of the stand-in's session."""
    before = body
    for name in (b"apiUrl", b"uploadUrl", b"downloadUrl", b"eventSourceUrl"):
        body = body.replace(b'"%s":"https://mail.example.org/' % name,
                            b'"%s":"%s/' % (name, address.encode()))
    body = body.replace(b'"url":"wss://mail.example.org/',
                        b'"url":"%s/' % address.replace("http", "ws", 1).encode())
    assert body != before
    return body


@pytest.mark.parametrize("fields", [{}, {"Authorization": basic("admin")}],
                         ids=["anonymous", "authenticated"])
def test_the_urls_lead_to_where_the_client_came(standin, fields):
    with Gate(standin.port) as gate:
        for host in (f"127.0.0.1:{gate.port}", "gate.test", "[::1]:8088"):
            status, headers, body = gate.request("GET", "/jmap/session", None,
                                                 {**fields, "Host": host})
            assert status == 200
            assert body == rewritten(straight(standin, fields), f"http://{host}")
            assert headers["Content-Length"] == str(len(body))
            assert "{accountId}" in json.loads(body)["uploadUrl"]


def test_a_trusted_proxy_says_where_the_client_came(standin):
    fields = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "mail.test"}
    with Gate(standin.port, TRUSTED_PROXIES="127.0.0.1") as gate:
        assert gate.request("GET", "/jmap/session", None, fields)[2] == \
            rewritten(straight(standin), "https://mail.test")
    with Gate(standin.port) as gate:
        assert gate.request("GET", "/jmap/session", None, fields)[2] == \
            rewritten(straight(standin), f"http://127.0.0.1:{gate.port}")


def test_the_operator_says_where(standin):
    with Gate(standin.port, PUBLIC_URL="https://gate.test:8443/") as gate:
        assert gate.request("GET", "/jmap/session")[2] == \
            rewritten(straight(standin), "https://gate.test:8443")
    with Gate(standin.port, PUBLIC_URL="off") as gate:
        assert gate.request("GET", "/jmap/session")[2] == straight(standin)


def test_the_redirect_leads_to_the_gate(standin):
    with Gate(standin.port) as gate:
        status, headers, _ = gate.request("GET", "/.well-known/jmap")
        assert status == 307 and headers["Location"] == "/jmap/session"


def through(gate, target="/jmap/session", method="GET"):
    return gate.request(method, target, None, {"Host": "gate.test"})


def test_wherever_it_is_served_and_however_it_is_framed():
    chunked = (f"HTTP/1.1 200 OK\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n").encode() + \
        b"".join(b"%x\r\n%s\r\n" % (1, SMALL[i:i + 1]) for i in range(len(SMALL))) + b"0\r\n\r\n"
    until_closed = f"HTTP/1.1 200 OK\r\n{JSON}\r\n\r\n".encode() + SMALL
    wanted = SMALL.replace(b"https://mail.example.org/jmap/", b"http://gate.test/jmap/")
    with Canned(b"") as server, Gate(server.port) as gate:
        for server.answer in (answer(SMALL, JSON), chunked, until_closed):
            for target in ("/jmap/session", "/jmap/session?x", "/.well-known/jmap",
                           "http://gate.test/jmap/session"):
                status, _, body = through(gate, target)
                assert (status, body) == (200, wanted)


@pytest.mark.parametrize("sent", [
    answer(SMALL, "Content-Type: text/plain"),
    answer(SMALL),
    answer(SMALL, JSON, status="203 Non-Authoritative Information"),
    answer(SMALL, JSON, status="401 Unauthorized"),
    answer(SMALL[:-1], JSON),
    answer(b"", JSON),
    answer(SMALL[:-1] + b" " * (1 << 20) + b"}", JSON),
    f"HTTP/1.1 200 OK\r\n{JSON}\r\n\r\n".encode() + SMALL[:-1] + b" " * (3 << 20) + b"}",
], ids=["text", "no type", "203", "401", "no JSON", "empty", "large", "endless"])
def test_what_is_no_session_passes(sent):
    with Canned(sent) as server, Gate(server.port) as gate:
        status, _, body = through(gate)
        assert str(status).encode() == sent[9:12]
        assert body == sent.partition(b"\r\n\r\n")[2]


def test_other_answers_pass():
    with Canned(answer(SMALL, JSON)) as server, Gate(server.port) as gate:
        assert through(gate, "/jmap/sessions")[2] == SMALL
        assert through(gate, "/api/session")[2] == SMALL
        assert through(gate, method="PUT")[2] == SMALL


def test_without_content():
    not_modified = b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nConnection: close\r\n\r\n'
    with Canned(not_modified) as server, Gate(server.port) as gate:
        status, headers, body = through(gate)
        assert (status, headers["ETag"], body) == (304, '"x"', b"")
        server.answer = answer(b"", JSON).replace(b"Length: 0", b"Length: 80")
        status, headers, body = through(gate, method="HEAD")
        assert (status, body) == (200, b"")
        # That of the server would not be that of GET.
        assert "Content-Length" not in headers


def test_a_session_that_breaks_off_is_not_half_told():
    with Canned(answer(SMALL, JSON)[:-5]) as server, Gate(server.port) as gate:
        assert through(gate)[0] == 502


def test_a_client_without_a_host_gets_the_servers_own():
    with Canned(answer(SMALL, JSON)) as server, Gate(server.port) as gate:
        assert gate.request("GET", "/jmap/session", None, {"Host": ""})[2] == SMALL


@pytest.mark.parametrize("public_url", ["auto", "off"])
def test_it_tells_the_gates_limit_where_that_is_lower(standin, public_url):
    def told(gate):
        status, _, body = gate.request("GET", "/jmap/session", None, {"Authorization": basic("admin")})
        assert status == 200
        return json.loads(body)["capabilities"]["urn:ietf:params:jmap:core"]["maxSizeRequest"]

    for limit, shown in ((20_000_000, 10_000_000), (10_000_000, 10_000_000), (5000, 5000)):
        with Gate(standin.port, MAX_REQUEST=limit, PUBLIC_URL=public_url) as gate:
            assert told(gate) == shown


SIGN_IN = "/api/discover/admin%40example.org"
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri",
             "registration_endpoint", "device_authorization_endpoint")


@pytest.fixture
def sign_in(standin):
    """What the server tells the web interface before it signs someone in: over plain HTTP."""
    response = standin.request("GET", SIGN_IN)
    assert response.status == 200
    told = json.loads(response.body)
    assert all(told[name].startswith("/") for name in ENDPOINTS)
    return told


def as_json(told):
    return json.dumps(told, separators=(",", ":")).encode()


def whole(told, url):
    """Over TLS: with the server's own URL before each path."""
    return {**told, "issuer": url, **{name: url + told[name] for name in ENDPOINTS}}


@pytest.mark.parametrize("public_url, wanted", [
    ("auto", "http://gate.test"), ("https://gate.test:8443", "https://gate.test:8443"),
    ("off", "https://mail.example.org")])
def test_the_web_interface_signs_in_through_the_gate(sign_in, tmp_path, public_url, wanted):
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("localhost", "DNS:localhost"))
    sent = whole(sign_in, "https://mail.example.org")
    with Canned(answer(as_json(sent), JSON), context) as server, \
            Gate(0, UPSTREAM_URL=f"https://localhost:{server.port}", PUBLIC_URL=public_url,
                 UPSTREAM_CA=authority.certificate) as gate:
        status, headers, body = through(gate, SIGN_IN)
    assert (status, headers["Content-Length"]) == (200, str(len(body)))
    # The issuer is what the server signs with.
    assert body == as_json({**whole(sign_in, wanted), "issuer": "https://mail.example.org"})


def test_what_leads_back_by_itself_stays(sign_in, standin):
    with Gate(standin.port) as gate:
        assert json.loads(through(gate, SIGN_IN)[2]) == sign_in


def test_who_signs_in_elsewhere_is_sent_there(sign_in):
    """That provider's document has fewer members, even where it is a server of the same kind."""
    elsewhere = whole(sign_in, "https://login.example.net")
    del elsewhere["registration_endpoint"], elsewhere["device_authorization_endpoint"]
    with Canned(answer(as_json(elsewhere), JSON)) as server, Gate(server.port) as gate:
        assert through(gate, SIGN_IN)[2] == as_json(elsewhere)


@pytest.mark.parametrize("value", ["mail.test", "https://mail.test/x", "https://", 'http://a"b'])
def test_what_is_no_address_stops_the_start(value):
    ended = run(UPSTREAM_URL="http://127.0.0.1:1", PUBLIC_URL=value)
    line, = ended.stderr.splitlines()
    assert ended.returncode == 2 and "RENEWGATE_PUBLIC_URL" in line
