"""Web pages of other origins can read the gate's own answers where they can read the server's."""

import pytest

from canned import Canned, answer
from gate import Gate

PERMISSIVE = ("Access-Control-Allow-Origin: *", "Access-Control-Allow-Headers: Authorization, Content-Type",
              "Access-Control-Allow-Methods: POST, GET")
PAGE = {"Origin": "https://web.example"}


def cors_of(fields):
    return {name: value for name, value in fields.items() if name.startswith("Access-Control-")}


@pytest.fixture
def permissive():
    with Canned(answer(b"{}", *PERMISSIVE)) as server, Gate(server.port, MAX_REQUEST=1024) as gate:
        assert len(cors_of(gate.request("GET", "/jmap/session", None, PAGE)[1])) == 3
        yield server, gate


REFUSED = [
    (502, "GET", "/", None, {}),
    (502, "POST", "/jmap/", b'{"using":[]}', {}),
    (400, "POST", "/jmap/", b"x" * 1025, {}),
    (415, "POST", "/jmap/", b"x", {"Content-Encoding": "gzip"}),
    (415, "POST", "/jmap/", b"x", {"Content-Encoding": "gzip", "Expect": "100-continue"}),
    (400, "GET", "/", None, {"Host": "a b"}),
]


@pytest.mark.parametrize("status, method, target, body, fields", REFUSED)
def test_own_answers_carry_what_the_servers_carry(permissive, status, method, target, body, fields):
    server, gate = permissive
    server.answer = b"no HTTP\r\n\r\n"
    answered, headers, _ = gate.request(method, target, body, {**PAGE, **fields})
    assert answered == status
    assert cors_of(headers) == dict(line.split(": ", 1) for line in PERMISSIVE)
    assert cors_of(gate.request(method, target, body, fields)[1]) == {}, "nobody asked"


def test_a_body_that_grows_too_large(permissive):
    _, gate = permissive
    pieces = (b"x" * 600 for _ in range(3))
    status, headers, _ = gate.request("POST", "/jmap/", pieces, PAGE)
    assert status == 400 and headers["Access-Control-Allow-Origin"] == "*"


def test_one_origins_leave_is_not_anothers():
    with Canned(answer(b"{}", "Access-Control-Allow-Origin: https://web.example",
                       "Access-Control-Allow-Credentials: true")) as server, Gate(server.port) as gate:
        gate.request("GET", "/", None, PAGE)
        server.answer = b"no HTTP\r\n\r\n"
        other = {"Origin": "https://other.example"}
        status, headers, _ = gate.request("GET", "/", None, other)
        assert status == 502 and cors_of(headers) == {}
        assert len(cors_of(gate.request("GET", "/", None, PAGE)[1])) == 2


def test_a_server_that_allows_nothing_any_more(permissive):
    server, gate = permissive
    server.answer = answer(b"{}")
    gate.request("GET", "/", None, PAGE)
    server.answer = b"no HTTP\r\n\r\n"
    assert cors_of(gate.request("GET", "/", None, PAGE)[1]) == {}


def test_what_is_too_long_to_keep_is_not_kept():
    for fields in (["Access-Control-Allow-Origin: *", "Access-Control-Allow-Headers: " + "x" * 2000],
                   ["Access-Control-Allow-Origin: *"] * 9):
        with Canned(answer(b"{}", *fields)) as server, Gate(server.port) as gate:
            assert gate.request("GET", "/", None, PAGE)[0] == 200
            server.answer = b"no HTTP\r\n\r\n"
            assert gate.request("GET", "/", None, PAGE)[0] == 502
            assert cors_of(gate.request("GET", "/", None, PAGE)[1]) == {}
