"""Who decides about a domain keeps nobody waiting who could go on."""

import concurrent.futures
import json

import pytest

from gate import USING, Gate
from standin import Standin, basic
from test_gate import DUE, FRESH, NO_OP, certificate, domain, live_tasks, state
from waiting import wait_until

LONG = "1h"
CREATE = {"@type": "AcmeRenewal", "domainId": "b"}


@pytest.fixture
def server():
    """Where it is all the same which version it is."""
    with Standin("v0.16.18", state([certificate(DUE)])) as standin:
        yield standin


wait_for = wait_until


def met(standin, fault=0):
    """How many requests have met a fault."""
    return standin.faults()[fault]["met"]


def ask(gate, fields):
    """A create with just these header fields: the status."""
    body = json.dumps({"using": USING, "methodCalls": [["x:Task/set", {"create": {"k": CREATE}},
                                                        "c"]]})
    return gate.request("POST", "/jmap/", body, fields)[0]


@pytest.mark.parametrize("looks", [True, False], ids=["the look-up", "the create"])
def test_who_waits_for_a_turn_keeps_nobody_waiting(server, looks):
    """All the requests that the server takes of a user are slow ones, and then that user asks."""
    users = [{"name": name, "password": "secret", "permissions": "all"} for name in ("admin", "slow")]
    server.put_state(**state([certificate(DUE)]), users=users, max_concurrent_requests=4)
    server.fault(match="/jmap/upload", hang=True)
    if not looks:
        server.fault(match="x:Task/query", user="slow", times=1, delay_ms=1500)
    with Gate(server.port, IDLE_TIMEOUT=LONG) as gate, \
            concurrent.futures.ThreadPoolExecutor(8) as pool:
        slow = {"Authorization": basic("slow")}

        def upload(_):
            return gate.request("POST", "/jmap/upload/d333333/", b"x", slow)[0]

        def log_has(text):
            return any(text in (entry["body"] or "") for entry in server.log())

        gate.renew("p333333333331", user="slow") # makes nothing, and the gate knows who asks
        if looks:
            uploads = list(map(lambda i: pool.submit(upload, i), range(4)))
            wait_for(lambda: met(server) == 4)
        create = pool.submit(gate.renew, user="slow")
        wait_for(lambda: log_has("x:Task/query"))
        if not looks:
            uploads = list(map(lambda i: pool.submit(upload, i), range(4)))
            wait_for(lambda: met(server) >= 3)
        made = gate.renew()
        assert not create.done() or not looks
        server.clear_faults()
        assert create.result() == made
        concurrent.futures.wait(uploads)
    assert [task["id"] for task in live_tasks(server)] == [made]


@pytest.mark.parametrize("fields", [{}, {"Authorization": basic("nobody")}], ids=["none", "wrong"])
def test_nobody_waits_for_who_is_not_known(server, fields):
    """The server takes for ever to refuse those who come without a right to be there."""
    server.fault(user="", hang=True)
    with Gate(server.port, LOOKUP_TIMEOUT=LONG, IDLE_TIMEOUT=LONG) as gate, \
            concurrent.futures.ThreadPoolExecutor(100) as pool:
        strangers = [pool.submit(ask, gate, fields) for _ in range(100)]
        wait_for(lambda: met(server) == 100)
        assert gate.renew() == live_tasks(server)[0]["id"]
        server.clear_faults()
        concurrent.futures.wait(strangers)
    assert len(live_tasks(server)) == 1


def test_who_may_not_create_does_not_lead_others(server):
    """A user who may log in and no more asks many times; the server is slow to say no."""
    server.fault(user="reader", match='"create"', hang=True)
    with Gate(server.port, LOOKUP_TIMEOUT=LONG, IDLE_TIMEOUT=LONG) as gate, \
            concurrent.futures.ThreadPoolExecutor(30) as pool:
        asked = [pool.submit(ask, gate, {"Authorization": basic("reader")}) for _ in range(30)]
        wait_for(lambda: met(server) == 30)
        made = gate.renew()
        server.clear_faults()
        concurrent.futures.wait(asked)
    assert [task["id"] for task in live_tasks(server)] == [made]


def test_nobody_waits_behind_many_for_a_silent_server(server):
    """All have asked before the first has been given up."""
    server.fault(hang=True)
    with Gate(server.port, LOOKUP_TIMEOUT="300ms", FLIGHT_TIMEOUT="1s",
              IDLE_TIMEOUT=LONG) as gate, concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = [pool.submit(ask, gate, {"Authorization": basic()}) for _ in range(10)]
        wait_for(lambda: sum('"c"]' in entry["body"] for entry in server.log()) == 10)
        assert not any(answer.done() for answer in answers)
        server.clear_faults()
        assert {answer.result() for answer in answers} <= {200, 502}
    assert len(live_tasks(server)) <= 1


def test_who_has_waited_for_too_long_makes_nothing_and_answers_what_is_there(server):
    server.put_state(**state([certificate(DUE), certificate(FRESH, ["mail.c.test"])],
                             domains=[domain(), domain("c", "c.test")]))
    server.fault(match='"domainId":"b"', hang=True)
    body = {"b": CREATE, "c": {**CREATE, "domainId": "c"}}
    with Gate(server.port, FLIGHT_TIMEOUT="1s", IDLE_TIMEOUT=LONG) as gate, \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        leading = pool.submit(gate.post, {"using": USING, "methodCalls": [
            ["x:Task/set", {"create": body}, "c"]]})
        wait_for(lambda: met(server) == 1)
        assert gate.renew("c").startswith(NO_OP)
        assert gate.renew("b")["type"] == "serverUnavailable"
        refused = gate.decisions(2)[1]
        assert (refused["row"], refused["outcome"]) == (10, "refuse")
        server.clear_faults()
        leading.result()
