"""Many creates at once, over several workers."""

import concurrent.futures
import json
import re
import socket
import struct
import time

import pytest

from gate import USING, Gate
from standin import basic
from test_gate import (DUE, FRESH, NO_OP, certificate, days, domain, live_tasks, retry, state)
from test_limits import unreachable
from wire import connect

pytestmark = pytest.mark.workers


def at_once(count, call):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(call, range(count)))


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_two_hundred_creates_for_one_due_domain_make_one_task(standin, workers):
    standin.put_state(**state([certificate(DUE)]))
    with Gate(standin.port, WORKERS=workers) as gate:
        ids = at_once(200, lambda _: gate.renew())
    only, = live_tasks(standin)
    assert set(ids) == {only["id"]}


@pytest.mark.parametrize("workers", [1, 4])
def test_a_caller_with_few_requests_at_once_is_never_refused(standin, workers):
    """The server takes four requests of a user at a time; two hundred want the same."""
    standin.put_state(**state([certificate(DUE)]), max_concurrent_requests=4)
    standin.fault(match="x:Task", delay_ms=20, times=100000)
    with Gate(standin.port, WORKERS=workers) as gate:
        ids = at_once(200, lambda _: gate.renew())
    only, = live_tasks(standin)
    assert set(ids) == {only["id"]}


def test_a_client_that_breaks_off_does_not_take_back_what_others_wait_for(standin):
    standin.put_state(**state([certificate(DUE)]))
    standin.fault(match="x:Task/set", delay_ms=1500, times=1)
    create = {"k": {"@type": "AcmeRenewal", "domainId": "b"}}
    body = json.dumps({"using": USING, "methodCalls": [["x:Task/set", {"create": create}, "c0"]]})
    with Gate(standin.port) as gate:
        line = connect(gate.port)
        line.send(f"POST /jmap/ HTTP/1.1\r\nHost: h\r\nAuthorization: {basic('admin')}\r\n"
                  f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
        while not any("x:Task/set" in entry["body"] for entry in standin.log()):
            pass
        line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        line.close()
        id = gate.renew()
    sent = [entry for entry in standin.log() if re.search(r'"domainId": ?"b"', entry["body"])]
    assert len(sent) == 1, "the other has not waited for the first one's answer"
    only, = live_tasks(standin)
    assert id == only["id"]


def test_a_file_is_let_alone_once_it_is_closed():
    """A connection to the server is called off while it is made; its number is then the next client's,
    of another worker perhaps."""
    def come_and_go(gate):
        for _ in range(10):
            line = connect(gate.port)
            line.send(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 70000\r\n\r\n" + b"x" * 1000)
            time.sleep(0.01)
            line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            line.close()

    with unreachable() as port, Gate(port, WORKERS=4) as gate:
        at_once(60, lambda _: come_and_go(gate))

def test_many_domains_at_once(standin):
    ids = ["c", "d", "f", "g", "h", "i", "j", "k", "l", "m"]
    domains = [domain(id, f"{id}.test", provider="c") for id in ids]
    fresh = [certificate(FRESH, [f"mail.{id}.test"]) for id in ids[5:]]
    standin.put_state(**state(fresh, domains=domains))
    with Gate(standin.port, WORKERS=2) as gate:
        answers = at_once(100, lambda i: (ids[i % 10], gate.renew(ids[i % 10])))
    for id in ids:
        answered = {answer for asked, answer in answers if asked == id}
        assert len(answered) == 1
        assert answered.pop().startswith(NO_OP) == (id in ids[5:])
    assert sorted(task["domainId"] for task in live_tasks(standin)) == ids[:5]


def test_requests_that_share_domains_do_not_wait_for_each_other_for_ever(standin):
    ids = ["c", "d", "f", "g"]
    standin.put_state(**state(domains=[domain(id, f"{id}.test", provider="c") for id in ids]))

    def call(gate, i):
        order = ids[i % 4:] + ids[:i % 4]
        creates = {id: {"@type": "AcmeRenewal", "domainId": id} for id in order}
        (_, answer), = gate.call(["x:Task/set", {"create": creates}])
        return {id: made["id"] for id, made in answer["created"].items()}

    with Gate(standin.port, WORKERS=2) as gate:
        answers = at_once(40, lambda i: call(gate, i))
    assert len(live_tasks(standin)) == 4
    assert all(answer == answers[0] for answer in answers)


def test_creates_while_the_gate_sweeps(standin):
    ids = ["c", "d", "f", "g", "h"]
    queue = [retry(days(6), domain=id, id=f"jp173xlcam{id}{n}") for id in ids for n in "abcd"]
    standin.put_state(**state([certificate(DUE, [f"mail.{id}.test"]) for id in ids], queue,
                              domains=[domain(id, f"{id}.test") for id in ids]))
    with Gate(standin.port, WORKERS=2, SERVICE_AUTHORIZATION=basic("admin"), SWEEP_INTERVAL="1s",
              SWEEP_RATE=1000) as gate:
        while 'renewgate_sweeps_total{result="done"} 2' not in gate.admin("/metrics")[1]:
            answers = at_once(20, lambda i: (ids[i % 5], gate.renew(ids[i % 5])))
    left = {task["domainId"]: task["id"] for task in live_tasks(standin)}
    assert len(live_tasks(standin)) == 5
    assert all(left[id] == answer for id, answer in answers)
    assert {task["status"]["due"] for task in live_tasks(standin)} == {days(6)}


def test_creates_while_sweeps_and_surveys_take_notes(standin):
    ids = ["c", "d", "f", "g", "h", "i", "j", "k", "l", "m"]
    standin.put_state(**state([certificate(FRESH, [f"mail.{id}.test"]) for id in ids[:5]],
                              domains=[domain(id, f"{id}.test") for id in ids]))
    with Gate(standin.port, WORKERS=4, SERVICE_AUTHORIZATION=basic("admin"), SWEEP_RATE=1000,
              SWEEP_INTERVAL="1s", SURVEY_INTERVAL="1s") as gate:
        while sum("sweep done" in line or "survey done" in line for line in gate.lines) < 4:
            at_once(40, lambda i: gate.renew(ids[i % len(ids)]))
        answered = {id: gate.renew(id) for id in ids}
    assert answered == {task["domainId"]: task["id"] for task in live_tasks(standin)}
