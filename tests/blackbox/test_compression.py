"""Where the gate reads an answer it asks for one that it can read; and what becomes of others."""

import gzip
import json

import pytest

from gate import Gate, basic
from servers import HttpServer, pass_on
from standin import USING
from test_gate import CREATE, DUE, FRESH, NO_OP, certificate, state

BODY = {"using": [], "methodCalls": [["x:Task/set", {"create": {"k": CREATE}}, "c0"]]}


class Middlebox(HttpServer):
    """Between gate and server: compresses what may be compressed, or all of it (`stubborn`)."""

    def __init__(self, port, stubborn=False):
        self.behind, self.asked, self.stubborn = port, [], stubborn
        super().__init__()

    def answer(self, method, target, fields, body):
        wanted = fields.get("Accept-Encoding")
        self.asked.append((target, wanted))
        status, fields, content = pass_on(self.behind, method, target, fields, body)
        if self.stubborn or "identity" not in (wanted or "gzip"):
            return status, [*fields, ("Content-Encoding", "gzip")], gzip.compress(content)
        return status, fields, content


@pytest.mark.parametrize("accepts", [None, "gzip, br", ""], ids=["any", "gzip", "empty"])
def test_what_is_read_is_not_compressed(standin, accepts):
    standin.put_state(**state([certificate(FRESH)]))
    fields = {"Accept-Encoding": "identity" if accepts is None else accepts}
    with Middlebox(standin.port) as box, Gate(box.port) as gate:
        for _ in range(2):
            status, answer = gate.post(BODY, headers=fields)
            assert status == 200
            (_, made, _), = answer["methodResponses"]
            assert made["created"]["k"]["id"].startswith(NO_OP)
        status, head, session = gate.request("GET", "/jmap/session", headers={
            "Authorization": basic("admin"), **fields})
        assert status == 200 and head["Content-Encoding"] is None
        assert json.loads(session)["apiUrl"].startswith(f"http://127.0.0.1:{gate.port}/")
        assert {wanted for _, wanted in box.asked} == {"identity"}


def test_what_is_relayed_may_be_compressed(standin):
    with Middlebox(standin.port) as box, Gate(box.port) as gate:
        status, head, body = gate.request("POST", "/jmap/", json.dumps(
            {"using": USING, "methodCalls": [["Core/echo", {"a": 1}, "c"]]}).encode(), {
                "Authorization": basic("admin"), "Content-Type": "application/json",
                "Accept-Encoding": "gzip"})
        assert status == 200 and head["Content-Encoding"] == "gzip"
        assert json.loads(gzip.decompress(body))["methodResponses"][0][1] == {"a": 1}


def test_who_compresses_all_the_same(standin):
    """Nobody is told a guess, and the log says what is wrong."""
    standin.put_state(**state([certificate(DUE)]))
    with Middlebox(standin.port, stubborn=True) as box, Gate(box.port) as gate:
        for _ in range(3):
            assert gate.post(BODY)[0] == 502
        status, _, body = gate.request("GET", "/jmap/session",
                                       headers={"Authorization": basic("admin")})
        assert status == 502 and json.loads(body)["status"] == 502
        assert gate.logged("Content-Encoding")


def test_who_compresses_an_observed_answer(standin):
    standin.put_state(**state([certificate(FRESH)]))
    with Middlebox(standin.port, stubborn=True) as box, Gate(box.port, MODE="observe") as gate:
        status, head, body = gate.request("POST", "/jmap/", json.dumps(BODY).encode(), {
            "Authorization": basic("admin"), "Content-Type": "application/json"})
        assert status == 200 and head["Content-Encoding"] == "gzip"
        assert "created" in json.loads(gzip.decompress(body))["methodResponses"][0][1]
