"""DnsManagement tasks that would end with a renewal."""

import json

import pytest

from gate import Gate
from test_gate import (DUE, FRESH, LATER, SOON, certificate, days, domain, retry, state, task)


@pytest.fixture
def gate(standin):
    with Gate(standin.port) as gate:
        yield gate


def create(**members):
    return {"@type": "DnsManagement", "domainId": "b", "onSuccessRenewCertificate": True,
            "updateRecords": {"tlsa": True}, **members}


def follows(standin):
    """Whether a renewal follows the DNS task that is there now."""
    left, = [task for task in standin.state()["tasks"] if task["@type"] == "DnsManagement"]
    return left["onSuccessRenewCertificate"]


def make(gate, **members):
    (_, answer), = gate.call(["x:Task/set", {"create": {"k": create(**members)}}])
    return answer


@pytest.mark.parametrize("certificates, tasks, followed", [
    ([], [], True),
    ([certificate(DUE)], [], True),
    ([certificate(DUE)], [task(LATER)], True),
    ([certificate(FRESH)], [], False),
    ([certificate(FRESH)], [task(LATER)], False),
    ([certificate(DUE)], [task(SOON)], False),
    ([certificate(DUE)], [retry(days(5))], False),
], ids=["no certificate", "due", "due, queued for later", "fresh", "fresh, queued", "running",
        "rate limited"])
def test_a_renewal_follows_only_where_one_is_due_and_none_on_its_way(
        standin, gate, certificates, tasks, followed):
    standin.put_state(**state(certificates, tasks))
    answer = make(gate)
    assert list(answer["created"]) == ["k"]
    assert follows(standin) == followed


def test_what_goes_on_as_it_is_keeps_its_bytes(standin, gate):
    standin.put_state(**state())
    standin.clear_log()
    make(gate)
    sent = [request["body"] for request in standin.log()][-1]
    assert json.loads(sent)["methodCalls"] == \
        [["x:Task/set", {"create": {"k": create()}}, "c0"]]
    assert '"onSuccessRenewCertificate": true' in sent


def test_a_renewal_of_the_same_request_is_enough(standin, gate):
    standin.put_state(**state([certificate(DUE)]))
    gate.call(["x:Task/set", {"create": {
        "k": create(), "l": {"@type": "AcmeRenewal", "domainId": "b"}}}])
    assert not follows(standin)
    standin.run()
    assert standin.counters()["orders"] == 1


DNS_TASK = "jp173xlcamda"


def dns_task(kind="Pending", due=LATER, **members):
    status = {"@type": kind, "createdAt": SOON, "due": due}
    if kind == "Retry":
        status |= {"failureReason": "no answer", "attemptNumber": 1}
    if kind == "Failed":
        status = {"@type": kind, "failedAt": SOON, "failureReason": "no answer",
                  "failedAttemptNumber": 1}
    return {**create(), "id": DNS_TASK, "status": status, **members}


def test_one_renewal_follows_several_dns_tasks(standin, gate):
    """They are made one after another, before the first of them is done."""
    standin.put_state(**state([certificate(DUE)]))
    for _ in range(4):
        assert list(make(gate)["created"]) == ["k"]
    standin.run()
    standin.run()
    assert standin.counters()["orders"] == 1
    assert [line["why"] for line in gate.decisions(3)] == \
        ["a DNS task that renews is already there"] * 3


def test_one_renewal_follows_several_dns_tasks_of_a_request(standin, gate):
    standin.put_state(**state([certificate(DUE), certificate(DUE, ["mail.c.test"])],
                              domains=[domain(), domain("c", "c.test")]))
    gate.call(["x:Task/set", {"create": {"k": create(), "l": create(), "m": create(domainId="c")}}],
              ["x:Task/set", {"create": {"n": create()}}])
    standin.run()
    standin.run()
    assert standin.counters()["orders_by_names"] == {"mail.example.org": 1, "mail.c.test": 1}


@pytest.mark.parametrize("left, followed", [
    (dns_task(), False), (dns_task("Retry"), False), (dns_task("Failed"), True),
    (dns_task(onSuccessRenewCertificate=False), True), (dns_task(domainId="c"), True),
    (dns_task(due=days(-2)), True),
], ids=["waits", "is retried", "failed", "renews nothing", "another domain's", "stuck"])
def test_a_dns_task_that_is_there(standin, gate, left, followed):
    standin.put_state(**state([certificate(DUE)], [left],
                              domains=[domain(), domain("c", "c.test")]))
    make(gate)
    made, = [task for task in standin.state()["tasks"] if task["id"] != DNS_TASK]
    assert made["onSuccessRenewCertificate"] == followed


def test_a_dns_task_that_the_call_removes_is_none(standin, gate):
    standin.put_state(**state([certificate(DUE)], [dns_task()]))
    gate.call(["x:Task/set", {"create": {"k": create()}, "destroy": [DNS_TASK]}])
    made, = [task for task in standin.state()["tasks"] if task["id"] != DNS_TASK]
    assert made["onSuccessRenewCertificate"]


@pytest.mark.parametrize("domains", [[domain(kind="Manual")], [domain("f", "example.net")]],
                         ids=["manual", "no such domain"])
def test_a_domain_without_automatic_certificates_gets_the_servers_answer(standin, gate, domains):
    standin.put_state(**state(domains=domains))
    answer = make(gate)
    direct = standin.post([["x:Task/set", {"create": {"k": create()}}, "0"]])[0][1]
    assert set(answer) == set(direct)


def test_without_a_look_up_it_goes_on_as_it_is(standin, gate):
    standin.put_state(**state([certificate(FRESH)]))
    standin.fault(match="x:Domain/get", status=500, times=-1)
    make(gate)
    assert follows(standin)


def test_the_word_in_escapes_is_found(standin, gate):
    standin.put_state(**state([certificate(FRESH)]))
    body = json.dumps({"using": [], "methodCalls": [
        ["x:Task/set", {"create": {"k": create()}}, "0"]]})
    gate.post(body.replace("onSuccess", "\\u006fnSuccess").encode())
    assert not follows(standin)


def test_observe_mode_changes_nothing(standin):
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port, MODE="observe") as gate:
        make(gate)
    assert follows(standin)
