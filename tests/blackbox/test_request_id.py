"""A request is known by one id in each line of the log that belongs to it."""

import re

import pytest

from gate import Gate
from standin import basic
from test_collapse import refused
from test_gate import DUE, FRESH, certificate, state

TRUSTED = {"TRUSTED_PROXIES": "127.0.0.1", "LOG_LEVEL": "debug"}


def lines_of(gate, message, count=1):
    return [line for line in gate.logged(f'"message":"{message}"', count)]


def test_each_line_of_a_request_has_its_id(standin):
    standin.put_state(**state([certificate(DUE)], refused(3)))
    with Gate(standin.port, LOG_LEVEL="debug") as gate:
        gate.renew()
        gate.renew()
        decisions = lines_of(gate, "decision", 2)
        exchanges = lines_of(gate, "exchange", 2)
        changes = lines_of(gate, "queue changed", 3)
    ids = [line["request"] for line in decisions]
    assert ids == [line["request"] for line in exchanges]
    assert {line["request"] for line in changes} == {ids[0]} and len(set(ids)) == 2
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]+", id) for id in ids)


def test_the_id_of_a_trusted_proxy_is_kept(standin):
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port, **TRUSTED) as gate:
        gate.renew(headers={"X-Request-Id": "proxy-7/a"})
        assert lines_of(gate, "decision")[0]["request"] == "proxy-7/a"
        assert lines_of(gate, "exchange")[0]["request"] == "proxy-7/a"


@pytest.mark.parametrize("settings, id", [({"LOG_LEVEL": "debug"}, "mine"), (TRUSTED, "a b"),
                                          (TRUSTED, "x" * 129), (TRUSTED, "\xe9"), (TRUSTED, "")],
                         ids=["not trusted", "blank", "long", "not ascii", "empty"])
def test_any_other_is_not_taken(standin, settings, id):
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port, **settings) as gate:
        gate.renew(headers={"X-Request-Id": id})
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]+", lines_of(gate, "decision")[0]["request"])


def test_the_server_gets_what_came_and_no_more(standin):
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port) as gate:
        gate.request("GET", "/jmap/session", headers={"Authorization": basic()})
        gate.request("GET", "/jmap/session", headers={"Authorization": basic(), "X-Request-Id": "a"})
    got = [[value for name, value in entry["headers"] if name.lower() == "x-request-id"]
           for entry in standin.log()]
    assert got == [[], ["a"]]


def test_a_failure_has_it_too(standin):
    with Gate(standin.port, **TRUSTED) as gate:
        standin.stop()
        gate.request("GET", "/a", headers={"X-Request-Id": "seven"})
        assert lines_of(gate, "request to the server failed")[0]["request"] == "seven"
        standin.start()
