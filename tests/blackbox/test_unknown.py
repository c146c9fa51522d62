"""A write whose answer is lost is not "no write": who comes next looks first."""

import datetime
import concurrent.futures
import contextlib
import http.client
import json

import pytest

from gate import USING, Gate
from lock_server import Redis
from standin import Standin, basic
from test_gate import DUE, FRESH, LOOKUP, certificate, live_tasks, state
from test_flights import CREATE, LONG, met, wait_for
from test_replicas import PATIENT, metric
from test_websocket import connect, creation, reached

# A client's request that is not changed on its way, as one is that makes a task.
MAIN = '"domainId": "b"'
PLACEHOLDER = "p333333333331"
LEASE = "renewgate:{b}:lease"


@pytest.fixture
def server():
    """Where it is all the same which version it is."""
    with Standin("v0.16.18", state([certificate(DUE)])) as standin:
        yield standin


@pytest.fixture
def redis():
    with Redis() as lock_server:
        yield lock_server


BODY = json.dumps({"using": USING, "methodCalls": [["x:Task/set", {"create": {"k": CREATE}}, "c"]]})


def post(gate):
    """The status of the answer to a create; whatever else it says."""
    return gate.request("POST", "/jmap/", BODY, {"Authorization": basic()})[0]


def mains(standin):
    return sum(MAIN in entry["body"] for entry in standin.log())


def test_what_was_sent_without_a_look_up_is_remembered_without_an_answer(server):
    server.fault(match=LOOKUP, status=503, body="no")
    server.fault(match=MAIN, close=True)
    with Gate(server.port) as gate:
        assert post(gate) == 502
        for _ in range(3):
            assert gate.renew()["type"] == "serverUnavailable"
        lost, *refused = gate.decisions(4)
        assert (lost["outcome"], lost["row"]) == ("unknown", 9)
        assert {(each["outcome"], each["row"]) for each in refused} == {("refuse", 10)}
        assert metric(gate, 'renewgate_decisions_total{outcome="unknown"}') == 1
        assert metric(gate, "renewgate_forwards_total") == 1
        assert '"unknown"' in gate.admin("/status.json")[1]
    assert mains(server) == 1


def test_what_the_server_refused_is_not_remembered(server):
    server.fault(match=LOOKUP, status=503, body="no")
    server.fault(match=MAIN, status=429, body="{}", times=1)
    with Gate(server.port) as gate:
        assert post(gate) == 429
        assert gate.renew() == live_tasks(server)[0]["id"]
        assert gate.decisions(1)[0]["outcome"] == "rejected"


def test_what_never_reached_the_server_is_not_unknown(server):
    with Gate(server.port) as gate:
        server.stop()
        assert post(gate) == 502
        decision, = gate.decisions(1)
    assert (decision["outcome"], decision["why"]) == (
        "rejected", "the request did not reach the server")


@pytest.mark.parametrize("fault", [
    {"close": True, "after": True}, {"truncate": True}, {"garbage": True, "after": True},
    {"status": 502, "body": "no", "after": True}, {"delay_ms": 4000}],
    ids=["closed", "cut", "nonsense", "502", "late"])
def test_the_next_one_waits_for_what_the_server_may_still_write(server, fault):
    server.fault(match=MAIN, times=1, **fault)
    with Gate(server.port, IDLE_TIMEOUT="1s" if "delay_ms" in fault else LONG) as gate:
        assert post(gate) in (200, 502, 504)
        made = gate.renew()
        assert gate.decisions(1)[0]["outcome"] == "unknown"
    assert [task["id"] for task in live_tasks(server)] == [made]
    assert mains(server) == 1


def test_another_replica_waits_until_the_lease_has_run_out(server, redis):
    server.fault(match=MAIN, close=True, after=True, times=1)
    with contextlib.ExitStack() as stack, concurrent.futures.ThreadPoolExecutor(1) as pool:
        one, other = (stack.enter_context(Gate(server.port, LOCK_URL=redis.url, **PATIENT))
                      for _ in range(2))
        assert post(one) == 502
        answer = pool.submit(other.renew)
        wait_for(lambda: metric(other, "renewgate_lock_waits_total") == 1)
        assert 0 < redis.say("PTTL", LEASE) <= 30000
        assert one.stop() == 0
        assert not answer.done() and redis.say("KEYS", "*:lease") == [LEASE]
        redis.say("PEXPIRE", LEASE, 1)
        made = answer.result()
    assert [task["id"] for task in live_tasks(server)] == [made]


def test_all_replicas_know_of_what_was_sent_without_a_look_up(server, redis):
    server.fault(match=LOOKUP, status=503, body="no")
    server.fault(match=MAIN, close=True)
    with contextlib.ExitStack() as stack:
        one, other = (stack.enter_context(Gate(server.port, LOCK_URL=redis.url, **PATIENT))
                      for _ in range(2))
        assert post(one) == 502
        wait_for(lambda: redis.say("GET", "renewgate:{b}:note"))
        redis.say("PEXPIRE", LEASE, 1)
        assert other.renew()["type"] == "serverUnavailable"
    assert mains(server) == 1


def test_what_is_broken_off_at_the_stop_is_unknown(server, redis):
    server.fault(match=MAIN, hang=True, after=True, times=1)
    with Gate(server.port, LOCK_URL=redis.url, DRAIN_TIMEOUT="0s", **PATIENT) as gate, \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(post, gate)
        wait_for(lambda: met(server) == 1)
        assert gate.stop() == 0
        assert answer.exception() is not None
        assert gate.decisions(1)[0]["outcome"] == "unknown"
    assert redis.say("KEYS", "*:lease") == [LEASE]
    server.clear_faults()


@pytest.mark.parametrize("fault", [{"close": True}, {"truncate": True}, {"status": 502}],
                         ids=["closed", "cut", "502"])
def test_what_makes_nothing_is_not_unknown(server, fault):
    """A fresh domain's create goes on only as a placeholder, of which nothing can come."""
    server.put_state(**state([certificate(FRESH)]))
    with Gate(server.port) as gate:
        made = gate.renew()
        server.fault(match=PLACEHOLDER, times=1, **fault)
        assert post(gate) in (502, 503)
        assert gate.renew() == made
        assert [each["outcome"] for each in gate.decisions(3)] == ["noop", "rejected", "noop"]
        assert metric(gate, 'renewgate_decisions_total{outcome="unknown"}') == 0


def leave_socket(server, gate):
    with connect(gate.port) as peer:
        peer.say(creation())
        reached(server, "WS", PLACEHOLDER)


def leave_request(server, gate):
    client = http.client.HTTPConnection("127.0.0.1", gate.port)
    client.request("POST", "/jmap/", BODY, {"Authorization": basic()})
    reached(server, "POST", PLACEHOLDER)
    client.close()


@pytest.mark.parametrize("leave", [leave_socket, leave_request], ids=["socket", "request"])
def test_a_client_that_leaves_its_placeholder_leaves_nothing_unknown(server, leave):
    """Of a client that is not known yet nothing else goes out first."""
    server.fault(match=PLACEHOLDER, hang=True, times=1)
    with Gate(server.port) as gate:
        leave(server, gate)
        wait_for(lambda: metric(gate, "renewgate_exchanges_in_flight") == 0)
        made = gate.renew()
        assert [each["outcome"] for each in gate.decisions(1)] == ["forward"]
    assert [task["id"] for task in live_tasks(server)] == [made]


def test_a_move_whose_answer_is_lost_is_unknown(server):
    later = {"id": "jp173xlcamqa", "@type": "AcmeRenewal", "domainId": "b",
             "status": {"@type": "Pending", "due": "2099-01-01T00:00:00Z"}}
    server.put_state(**state([certificate(DUE)], [later]))
    server.fault(match='"status/due"', close=True, times=1)
    with Gate(server.port) as gate:
        assert gate.renew()["type"] == "serverUnavailable"
        assert gate.decisions(1)[0]["outcome"] == "unknown"
        assert gate.renew() == "jp173xlcamqa"




def test_replicas_agree_by_the_servers_clock(server, redis):
    """Which is two hours behind theirs."""
    now = datetime.datetime.strptime(server.clock()["now"], "%Y-%m-%dT%H:%M:%SZ")
    server.clock(set=(now - datetime.timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ"))
    test_all_replicas_know_of_what_was_sent_without_a_look_up(server, redis)
