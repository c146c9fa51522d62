"""DnsManagement tasks that would end with a renewal."""

import concurrent.futures
import json

import pytest

from gate import Gate
from test_decisions import failed
from test_gate import (DUE, FRESH, LATER, SOON, TASK, certificate, days, domain, retry, state,
                       task)
from test_sweep import changes


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
    assert [line["why"] for line in gate.decisions(4)[1:]] == \
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


def orders(standin):
    """How many there are once all that is queued has run, and what follows from it."""
    standin.run()
    standin.run()
    return standin.counters()["orders"]


def renewals(standin):
    return [task for task in standin.state()["tasks"] if task["@type"] == "AcmeRenewal"]


def test_dns_tasks_that_come_at_one_moment_end_with_one_renewal(standin, gate):
    standin.put_state(**state([certificate(DUE)]))
    standin.fault(match="onSuccess", times=-1, delay_ms=500)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: make(gate), range(20)))
    assert all(list(answer["created"]) == ["k"] for answer in answers)
    assert orders(standin) == 1


def test_dns_tasks_and_renewals_of_one_moment(standin, gate):
    standin.put_state(**state([certificate(DUE)]))
    standin.fault(match="onSuccess", times=-1, delay_ms=500)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda i: make(gate) if i % 2 else gate.renew(), range(20)))
    assert orders(standin) == 1


@pytest.mark.parametrize("by_server", [False, True], ids=["through the gate", "by the server"])
def test_a_create_is_answered_with_the_dns_task_that_renews(standin, gate, by_server):
    standin.put_state(**state([certificate(DUE)], [dns_task(due=SOON)] if by_server else []))
    made = DNS_TASK if by_server else make(gate)["created"]["k"]["id"]
    assert [gate.renew() for _ in range(3)] == [made] * 3
    assert renewals(standin) == [] and orders(standin) == 1
    assert {line["row"] for line in gate.decisions(3)[-3:]} == {2}


@pytest.mark.parametrize("left", [
    dns_task(due=days(20)), dns_task("Failed"), dns_task(due=days(-2)),
    dns_task(due=SOON, onSuccessRenewCertificate=False), dns_task(due=SOON, domainId="c"),
], ids=["it is for later", "it failed", "it is stuck", "it renews nothing", "another domain's"])
def test_a_dns_task_that_does_not_stand_for_a_create(standin, gate, left):
    standin.put_state(**state([certificate(DUE)], [left],
                              domains=[domain(), domain("c", "c.test")]))
    made = gate.renew()
    assert [task["id"] for task in renewals(standin)] == [made]


@pytest.mark.parametrize("later", [
    dns_task(id="jp173xlcamdb", due=days(20)), dns_task(id="jp173xlcamdb", due=days(-2)),
    dns_task(id="jp173xlcamcb", due=days(-2)),
], ids=["for later", "stuck", "stuck, and listed first"])
@pytest.mark.parametrize("first", [dns_task(due=SOON), dns_task("Retry")], ids=["due", "retried"])
def test_of_several_dns_tasks_the_first_to_renew_counts(standin, gate, first, later):
    standin.put_state(**state([certificate(DUE)], [first, later]))
    assert changes(standin.port, "--dry-run") == []
    assert gate.renew() == DNS_TASK
    assert not renewals(standin)


@pytest.mark.parametrize("after, counts, passed_over", [
    ("1h", dns_task(due=SOON), dns_task(id="jp173xlcamdb", due=days(-1 / 12))),
    ("off", dns_task(due=days(-2)), dns_task(id="jp173xlcamdb", due=days(20))),
], ids=["after an hour", "never"])
def test_of_several_dns_tasks_one_that_is_stuck_does_not_count(standin, after, counts, passed_over):
    standin.put_state(**state([certificate(DUE)], [counts, passed_over]))
    assert changes(standin.port, "--dry-run", STUCK_AFTER=after) == []
    with Gate(standin.port, STUCK_AFTER=after) as gate:
        assert gate.renew() == counts["id"]
    assert not renewals(standin)


@pytest.mark.parametrize("left, moved", [
    (dns_task(due=SOON), 0), (dns_task("Retry"), 0), (dns_task(), 1),
], ids=["is due", "is retried", "is for later"])
def test_a_sweep_brings_none_forward_beside_a_dns_task_that_renews(standin, left, moved):
    standin.put_state(**state([certificate(DUE)], [left, task(days(3))]))
    assert len(changes(standin.port, "--dry-run")) == moved
    assert len(changes(standin.port)) == moved
    standin.run()
    standin.run()
    assert standin.counters()["orders"] == (left["status"]["due"] == SOON or moved)


@pytest.mark.parametrize("left, made", [
    (dns_task(due=SOON), 0), (dns_task("Retry"), 0), (dns_task("Failed"), 1), (dns_task(), 1),
    (dns_task(due=SOON, onSuccessRenewCertificate=False), 1),
], ids=["is due", "is retried", "failed", "is for later", "renews nothing"])
def test_a_sweep_makes_none_beside_a_dns_task_that_renews(standin, left, made):
    standin.put_state(**state([certificate(DUE)], [left]))
    assert len(changes(standin.port)) == made
    assert len(renewals(standin)) == made


def test_a_dns_task_that_follows_beside_a_fresh_certificate_is_no_answer(standin, gate):
    standin.put_state(**state([certificate(FRESH)], [dns_task(due=SOON)]))
    assert gate.renew().startswith("p33")


def test_no_renewal_follows_before_the_ca_would_take_it(standin, gate):
    """The DNS task does its own work at once, and the renewal is queued for when it can be."""
    standin.put_state(**state([certificate(DUE)],
                              [failed("Rate limited. Retry after 86400 seconds")]))
    assert list(make(gate)["created"]) == ["k"]
    assert not follows(standin)
    queued, = [task for task in renewals(standin) if task["status"]["@type"] == "Pending"]
    assert days(0.9) < queued["status"]["due"] < days(1.1)
    make(gate)
    assert len(renewals(standin)) == 2 and orders(standin) == 0
    assert [line["row"] for line in gate.decisions(2)] == [6, 6]


def test_a_queued_renewal_is_put_off_until_the_ca_would_take_it(standin, gate):
    standin.put_state(**state([certificate(DUE)], [
        task(days(0.2), id=TASK),
        failed("Rate limited. Retry after 86400 seconds", id="jp173xlcamdb")]))
    make(gate)
    assert not follows(standin)
    queued, = [task for task in renewals(standin) if task["id"] == TASK]
    assert queued["status"]["due"] > days(0.9)


def test_an_update_that_leaves_the_status_as_it_was_is_not_written(standin):
    """v0.16.5 and v0.16.19 answer it as any other."""
    standin.put_state(**state([certificate(DUE)], [dns_task(onSuccessRenewCertificate=False)]))
    for due, written in ((LATER, False), (days(41), True)):
        patch = {"onSuccessRenewCertificate": True, "status/due": due}
        (_, answer, _), = standin.post([["x:Task/set", {"update": {DNS_TASK: patch}}, "0"]])
        assert answer["updated"] == {DNS_TASK: None}
        assert follows(standin) == written


def test_where_the_first_is_refused_a_renewal_follows_the_next(standin, gate):
    standin.put_state(**state([certificate(DUE)]))
    (_, answer), = gate.call(["x:Task/set", {"create": {
        "bad": create(bogus=1), "good": create(), "more": create()}}])
    assert set(answer["notCreated"]) == {"bad"} and set(answer["created"]) == {"good", "more"}
    follow = [task["onSuccessRenewCertificate"] for task in standin.state()["tasks"]
              if task["@type"] == "DnsManagement"]
    assert sorted(follow) == [False, True]
    assert orders(standin) == 1


def test_a_renewal_that_is_given_back_is_on_its_way_at_once(standin, gate):
    standin.put_state(**state([certificate(DUE)]))
    (_, answer), = gate.call(["x:Task/set", {"create": {"bad": create(bogus=1), "good": create()}}])
    assert gate.renew() == answer["created"]["good"]["id"]
    assert orders(standin) == 1


def test_a_renewal_that_is_given_back_is_not_early(standin, gate):
    standin.put_state(**state([certificate(DUE)]))
    later = {"@type": "Pending", "due": LATER}
    gate.call(["x:Task/set", {"create": {"bad": create(bogus=1, status=later),
                                         "good": create(status=later)}}])
    assert follows(standin) and orders(standin) == 0


def test_where_a_renewal_of_the_same_request_is_refused(standin, gate):
    standin.put_state(**state([certificate(DUE)]))
    gate.call(["x:Task/set", {"create": {
        "k": create(), "l": {"@type": "AcmeRenewal", "domainId": "b", "bogus": 1}}}])
    assert follows(standin) and orders(standin) == 1


def test_what_the_same_request_takes_away_counts(standin, gate):
    """Fresh before, and due once the request has been carried out."""
    stored = certificate(FRESH, id="jp173xlcamcc")
    standin.put_state(**state([stored]))
    gate.call(["x:Task/set", {"create": {"k": create()}}],
              ["x:Certificate/set", {"destroy": ["jp173xlcamcc"]}])
    assert follows(standin) and orders(standin) == 1


@pytest.mark.parametrize("stored", [[certificate(FRESH)], [certificate(DUE)]], ids=["fresh", "due"])
def test_one_that_the_server_refuses_is_logged_so(standin, gate, stored):
    standin.put_state(**state(stored))
    assert set(make(gate, bogus=1)["notCreated"]) == {"k"}
    assert gate.decisions(1)[0]["outcome"] == "rejected"


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
