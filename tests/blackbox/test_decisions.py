"""Rows of the decision table that take more than one certificate or one task to set up."""

import datetime

import pytest

from gate import Gate
from standin import USING
from test_gate import (CREATE, DUE, FRESH, LATER, NO_OP, NOW, SOON, TASK, certificate, days,
                       domain, live_tasks, retry, stamp, state, task)

FORCED = {"Renewgate-Force": "1"}
OTHER = "jp173xlcamqb"


def failed(reason, at=SOON, id=OTHER):
    return {"id": id, "@type": "AcmeRenewal", "domainId": "b", "status": {
        "@type": "Failed", "createdAt": SOON, "failedAt": at, "failedAttemptNumber": 10,
        "failureReason": reason}}


@pytest.mark.parametrize("queued", [
    task(SOON), task(LATER), retry(days(6)), retry(LATER, "connection refused"),
], ids=["running", "later", "rate limited", "retry"])
def test_a_force_makes_no_twin(standin, queued):
    """Rows 1, 2 and 7 hold."""
    standin.put_state(**state([certificate(FRESH)], [queued]))
    with Gate(standin.port, FORCE="allow") as gate:
        assert gate.renew(headers=FORCED) == TASK
    only, = standin.state()["tasks"]
    assert (only["status"]["due"] < LATER) == (queued != retry(LATER, "connection refused"))


def test_a_force_does_not_defy_the_ca(standin):
    standin.put_state(**state([certificate(FRESH)],
                              [failed("Rate limited. Retry after 86400 seconds")]))
    with Gate(standin.port, FORCE="allow") as gate:
        gate.renew(headers=FORCED)
    only, = live_tasks(standin)
    assert only["status"]["due"] == stamp(NOW + datetime.timedelta(days=1, minutes=-10))


@pytest.mark.parametrize("value", ["0", "yes", ""])
def test_only_a_one_is_a_force(standin, value):
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port, FORCE="allow") as gate:
        assert gate.renew(headers={"Renewgate-Force": value}).startswith(NO_OP)


def test_a_force_stays_here(standin):
    standin.put_state(**state())
    with Gate(standin.port, FORCE="allow") as gate:
        gate.renew(headers=FORCED)
    assert not [name for entry in standin.log() for name, _ in entry["headers"]
                if name.lower() == "renewgate-force"]


def test_the_latest_of_the_rate_limited_is_the_answer(standin, gate):
    standin.put_state(**state([certificate(DUE)], [
        retry(days(6)), retry(days(7), id=OTHER), task(SOON, id="jp173xlcamqc")]))
    assert gate.renew() == OTHER


def test_a_retry_is_the_answer_whatever_its_reason(standin, gate):
    standin.put_state(**state([certificate(DUE)], [retry(LATER, "connection refused")]))
    assert gate.renew() == TASK
    only, = standin.state()["tasks"]
    assert only["status"]["due"] == LATER


def test_the_earliest_of_several_is_the_answer(standin, gate):
    standin.put_state(**state([certificate(FRESH)], [task(days(70), id=OTHER), task(days(60))]))
    assert gate.renew() == TASK
    standin.put_state(**state([certificate(DUE)], [task(days(20)), task(days(10), id=OTHER)]))
    assert gate.renew() == OTHER


def test_a_later_task_waits_until_the_ca_no_longer_refuses(standin, gate):
    standin.put_state(**state([certificate(DUE)], [
        failed("Rate limited. Retry after 86400 seconds"), task(LATER)]))
    until = stamp(NOW + datetime.timedelta(days=1, minutes=-10))
    for _ in range(2):
        assert gate.renew() == TASK
        only, = live_tasks(standin)
        assert only["status"]["due"] == until


def test_a_refusal_without_a_time_holds_for_a_while(standin):
    standin.put_state(**state([certificate(DUE)], [failed("Rate limited. Retry after some time")]))
    with Gate(standin.port, BLIND_HOLD="2h") as gate:
        gate.renew()
    only, = live_tasks(standin)
    assert only["status"]["due"] == stamp(NOW + datetime.timedelta(hours=2, minutes=-10))


def issued(hours_ago, names=("mail.example.org",)):
    """A certificate of one hour, that many hours old."""
    begins = NOW - datetime.timedelta(hours=hours_ago)
    return certificate({"notValidBefore": stamp(begins),
                        "notValidAfter": stamp(begins + datetime.timedelta(hours=1))}, names)


@pytest.mark.parametrize("limit, held", [("5/168h", True), ("6/168h", False), ("off", False)])
def test_the_cas_own_limit(standin, limit, held):
    """Five were issued lately: the next is allowed a fifth of a week after the first of them."""
    stored = [issued(hours) for hours in (10, 8, 6, 4, 2)]
    others = [issued(hours, ["mail.example.org", "www.example.org"]) for hours in range(2, 9)]
    standin.put_state(**state(stored + others))
    with Gate(standin.port, ISSUE_LIMIT=limit) as gate:
        gate.renew()
    only, = live_tasks(standin)
    token = stamp(NOW + datetime.timedelta(hours=33.6 - 10))
    assert (only["status"]["due"] == token) == held


def test_what_is_asked_for_later_counts_from_then(standin, gate):
    """Fresh today and due by the time asked for; the queued one comes too late for it."""
    standin.put_state(**state([certificate(FRESH)], [task(LATER)]))
    assert gate.renew(status={"@type": "Pending", "due": days(70)}) == TASK
    only, = standin.state()["tasks"]
    assert only["status"]["due"] == days(70)


def test_a_task_due_by_the_time_asked_for_is_the_answer(standin, gate):
    standin.put_state(**state([certificate(DUE)], [task(days(5))]))
    assert gate.renew(status={"@type": "Pending", "due": days(6)}) == TASK
    assert standin.state()["tasks"][0]["status"]["due"] == days(5)


@pytest.mark.parametrize("names", [["mail.example.org", "example.org"], ["example.org"]])
def test_the_common_name_may_be_among_the_names(standin, gate, names):
    standin.put_state(**state([certificate(FRESH, names)], domains=[domain(names=names[::-1])]))
    assert gate.renew().startswith(NO_OP)


def test_a_domain_without_its_provider_gets_the_servers_answer(standin, gate):
    standin.put_state(**state([certificate(FRESH)], domains=[domain(provider="jp1zz")]))
    assert not gate.renew().startswith(NO_OP)


def test_a_domain_that_was_made_manual_gets_the_servers_answer(standin, gate):
    manual = {**domain(), "certificateManagement": {"@type": "Manual", "acmeProviderId": "c"}}
    standin.put_state(**state([certificate(FRESH)], domains=[domain()]))
    assert gate.renew().startswith(NO_OP)
    standin.put_state(**state([certificate(FRESH)], domains=[manual]))
    assert not gate.renew().startswith(NO_OP)


def test_the_no_op_changes_with_the_certificate(standin, gate):
    standin.put_state(**state([certificate(FRESH)]))
    before = gate.renew()
    standin.add(certificates=[certificate({"notValidBefore": days(-1), "notValidAfter": days(89)})])
    standin.control("PUT", "/state", {**standin.state(),
                                      "certificates": standin.state()["certificates"][1:]})
    after = gate.renew()
    assert before.startswith(NO_OP) and after.startswith(NO_OP) and before != after


def test_a_renewal_of_each_version_end_to_end(standin, gate):
    """Due once, however often asked before, while and after it runs."""
    standin.put_state(**state([certificate(DUE)]))
    standin.reset_counters()
    before = {gate.renew() for _ in range(10)}
    standin.run()
    after = {gate.renew() for _ in range(10)}
    assert len(before) == len(after) == 1 and before != after
    assert standin.counters()["orders"] == 1


def test_a_create_that_is_born_failed_passes(standin, gate):
    standin.put_state(**state([certificate(FRESH)]))
    id = gate.renew(status={"@type": "Failed", "failureReason": "by hand"})
    assert id in [each["id"] for each in standin.state()["tasks"]]


def test_every_spelling_of_a_domains_id(standin, gate):
    """Ids are numbers; leading zeroes change nothing."""
    standin.put_state(**state([certificate(DUE)]))
    assert len({gate.renew(domain) for domain in ("b", "ab", "aaaab")}) == 1
    assert len(standin.state()["tasks"]) == 1


def test_tasks_of_other_types_are_no_renewals(standin, gate):
    dns = {"id": OTHER, "@type": "DnsManagement", "domainId": "b", "updateRecords": {},
           "status": {"@type": "Pending", "due": LATER, "createdAt": SOON}}
    standin.put_state(**state([certificate(DUE)], [dns]))
    assert gate.renew() != OTHER
    assert len(standin.tasks()) == 1


def test_a_mixed_batch(standin, gate):
    """Calls and members in the server's own order, everything but the creates untouched."""
    other = "c"
    standin.put_state(**state(
        [certificate(FRESH), certificate(DUE, ["mail.c.test"])],
        [task(LATER, other, OTHER), task(days(9), "d", "jp173xlcamqc")],
        domains=[domain(), domain(other, "c.test"), domain("d", "d.test")]))
    dns = {"@type": "DnsManagement", "domainId": "b", "updateRecords": {"tlsa": True}}
    creates = {"fresh": CREATE, "dns": dns, "due": {**CREATE, "domainId": other},
               "wrong": {**CREATE, "wrong": 1}}
    body = {"using": USING, "methodCalls": [
        ["Core/echo", {"n": [1.5, None, "ä"]}, "a"],
        ["x:Task/set", {"create": creates, "update": {"jp173xlcamqc": {"status/due": days(30)}},
                        "destroy": ["jp173xlcamzz"]}, "b"],
        ["x:Nope/get", {}, "b"], ["Core/echo", {}, "c"]]}
    _, answer = gate.post(body)
    echo, made, error, last = answer["methodResponses"]
    assert echo == body["methodCalls"][0] and last == body["methodCalls"][3]
    assert error[0] == "error" and error[2] == "b"
    assert made[0] == "x:Task/set" and made[2] == "b"
    assert [*made[1]] == ["accountId", "created", "updated", "notCreated", "notDestroyed"]
    assert made[1]["created"]["fresh"]["id"].startswith(NO_OP)
    assert made[1]["created"]["due"]["id"] == OTHER
    assert set(made[1]["created"]) == {"fresh", "dns", "due"}
    assert set(made[1]["notCreated"]) == {"wrong"}
    due = {each["id"]: each["status"].get("due") for each in standin.state()["tasks"]}
    assert due["jp173xlcamqc"] == days(30) and due[OTHER] < LATER


def destroys(standin):
    return standin.version != "v0.16.5"


def assert_one_task(standin, id):
    """What the request has left of the task that was there is what counts."""
    assert [task["id"] for task in live_tasks(standin)] == [id]
    assert (id != TASK) == destroys(standin)


@pytest.mark.parametrize("patch", [{}, {"status/due": days(30)}], ids=["as it was", "later"])
def test_a_task_that_the_request_rewrites_is_what_it_becomes(standin, gate, patch):
    standin.put_state(**state([certificate(DUE)], [task(LATER)]))
    for _ in range(2):
        (_, answer), = gate.call(["x:Task/set", {"create": {"k": CREATE},
                                                 "update": {TASK: patch}}])
        assert answer["created"]["k"]["id"] == TASK
    only, = live_tasks(standin)
    assert only["status"]["due"] < days(1)


@pytest.mark.parametrize("id", [TASK, "a" + TASK], ids=["as it is", "with a leading zero"])
@pytest.mark.parametrize("apart", [False, True], ids=["in one call", "in the next"])
def test_a_task_that_the_request_destroys(standin, gate, id, apart):
    standin.put_state(**state([certificate(DUE)], [task(LATER)]))
    create, destroy = {"create": {"k": CREATE}}, {"destroy": [id]}
    answers = gate.call(*[["x:Task/set", arguments] for arguments in
                          ([create, destroy] if apart else [{**create, **destroy}])])
    assert_one_task(standin, answers[0][1]["created"]["k"]["id"])


def test_a_task_that_the_request_has_destroyed(standin, gate):
    standin.put_state(**state([certificate(DUE)], [task(LATER)]))
    _, (_, answer) = gate.call(["x:Task/set", {"destroy": [TASK]}],
                               ["x:Task/set", {"create": {"k": CREATE}}])
    assert_one_task(standin, answer["created"]["k"]["id"])


@pytest.mark.parametrize("how", [{"destroy": ["#t"]}, {"update": {"#t": {}}}])
def test_what_is_no_id_removes_nothing(standin, gate, how):
    """The server resolves no reference there, and passes over it."""
    standin.put_state(**state([certificate(DUE)], [task(LATER)]))
    (_, answer), = gate.call(["x:Task/set", {"create": {"k": CREATE}, **how}],
                             createdIds={"t": TASK})
    assert answer["created"]["k"]["id"] == TASK
    assert len(live_tasks(standin)) == 1


@pytest.mark.parametrize("where", ["before", "after", "there"])
def test_a_task_that_the_batch_destroys_by_reference(standin, gate, where):
    standin.put_state(**state([certificate(DUE)], [task(LATER)]))
    found = {"#destroy": {"resultOf": "q", "name": "x:Task/query", "path": "/ids"}}
    query = ["x:Task/query", {"filter": {"@type": "AcmeRenewal"}}, "q"]
    create = {"create": {"k": CREATE}}
    rest = {"before": [found, create], "after": [create, found], "there": [{**create, **found}]}
    _, answer = gate.post({"using": [], "methodCalls": [
        query, *[["x:Task/set", arguments, "s"] for arguments in rest[where]]]})
    answers = [response[1] for response in answer["methodResponses"]]
    id, = [answer["created"]["k"]["id"] for answer in answers if "created" in answer]
    assert_one_task(standin, id)


@pytest.mark.parametrize("first", [True, False], ids=["found first", "found later"])
def test_a_reference_that_finds_nothing_removes_nothing(standin, gate, first):
    standin.put_state(**state([certificate(DUE)], [task(LATER)]))
    query = ["x:Task/query", {"filter": {"@type": "AcmeRenewal", "status": "Failed"}}, "q"]
    found = {"#destroy": {"resultOf": "q", "name": "x:Task/query", "path": "/ids"}}
    create = ["x:Task/set", {"create": {"k": CREATE}, **(found if first else {})}, "k"]
    calls = [query, create] if first else [create, query, ["x:Task/set", found, "d"]]
    _, answer = gate.post({"using": [], "methodCalls": calls})
    made, = [response[1]["created"] for response in answer["methodResponses"]
             if "created" in response[1]]
    assert made["k"]["id"] == TASK
    assert len(live_tasks(standin)) == 1
