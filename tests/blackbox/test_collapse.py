"""One retry for each domain, at the time that the CA has named: what a create tidies up."""

import datetime

import pytest

from gate import Gate
from standin import basic
from test_gate import (DUE, EXPIRED, FRESH, LATER, NOW, SOON, certificate, days, domain, live_tasks,
                       retry, stamp, state, task)
from waiting import wait_until

DAY = 86400
LIMITED = "Rate limited. Retry after 518400 seconds"
BLINDLY = "Rate limited. Retry after some time"
DIGITS = "abcdefghijklmnopqrstuvwxyz792013"


@pytest.fixture
def gate(standin):
    with Gate(standin.port) as gate:
        yield gate


def numbered(i):
    """The i-th of a row of task ids."""
    return "jp173xlcam" + DIGITS[i // 32] + DIGITS[i % 32]


def twins(count, make):
    return [make(i) | {"id": numbered(i)} for i in range(count)]


def refused(count, due=days(6), reason=LIMITED, attempt=7):
    return twins(count, lambda _: retry(due, reason) | {
        "status": {"@type": "Retry", "createdAt": SOON, "due": due, "attemptNumber": attempt,
                   "failureReason": reason}})


def failed(reason, at=SOON, id="jp173xlcazaa"):
    return {"id": id, "@type": "AcmeRenewal", "domainId": "b", "status": {
        "@type": "Failed", "createdAt": SOON, "failedAt": at, "failedAttemptNumber": 10,
        "failureReason": reason}}


def assert_out_of_the_way(standin, survivor, count):
    """So many others were destroyed; or, where the server refuses that, written as Failed."""
    others = [task for task in standin.state()["tasks"] if task["id"] != survivor]
    if standin.version == "v0.16.5":
        assert [task["status"]["failureReason"] for task in others] == \
            [f"superseded by {survivor}"] * count
    else:
        assert others == []


def only_task(standin):
    left, = live_tasks(standin)
    return left


# The queue of an outage.

def test_ninety_seven_retries_become_one(standin, gate):
    standin.put_state(**state([certificate(DUE)], refused(97)))
    id = gate.renew()
    left = only_task(standin)
    assert left["id"] == id
    assert left["status"]["due"] == days(6)
    assert left["status"]["attemptNumber"] == 0
    assert left["status"]["failureReason"] == LIMITED


def test_a_second_create_finds_nothing_to_do(standin, gate):
    standin.put_state(**state([certificate(DUE)], refused(97)))
    id = gate.renew()
    standin.clear_log()
    assert gate.renew() == id
    assert all("x:Task/set" not in request["body"] or "p333333333331" in request["body"]
               for request in standin.log())


def test_it_stays_one_when_the_time_comes_and_the_ca_refuses_again(standin, gate):
    standin.put_state(**state([certificate(DUE)], refused(97)))
    id = gate.renew()
    standin.ca(refuse=True, refuse_seconds=3 * DAY)
    standin.clock(set=days(6))
    assert standin.run() == 1
    assert gate.renew() == id
    again = only_task(standin)["status"]
    expected = NOW + datetime.timedelta(days=9)
    assert stamp(expected) <= again["due"] <= stamp(expected + datetime.timedelta(seconds=5))
    assert again["attemptNumber"] == 0
    standin.ca(refuse=False)
    standin.clock(set=stamp(expected + datetime.timedelta(seconds=10)))
    assert standin.run() == 1
    gate.renew()
    assert only_task(standin)["status"]["@type"] == "Pending"
    assert standin.counters()["certificates"] == 1


def test_the_removed_are_destroyed_or_where_that_is_refused_superseded(standin, gate):
    standin.put_state(**state([certificate(DUE)], refused(3)))
    survivor = gate.renew()
    assert_out_of_the_way(standin, survivor, 2)


# Which one stays.

def test_the_rate_limited_one_that_is_due_last_stays(standin, gate):
    queue = [task(days(2), id=numbered(0)), retry(days(5), id=numbered(1)),
             retry(days(6), id=numbered(2)), retry(days(4), id=numbered(3))]
    standin.put_state(**state([certificate(DUE)], queue))
    assert gate.renew() == numbered(2)
    assert only_task(standin)["id"] == numbered(2)


def test_else_the_earliest(standin, gate):
    queue = [task(days(70), id=numbered(0)), task(days(57.5), id=numbered(1)),
             task(days(80), id=numbered(2))]
    standin.put_state(**state([certificate(FRESH)], queue))
    assert gate.renew() == numbered(1)
    assert only_task(standin)["status"]["due"] == days(57.5)


def test_it_comes_back_from_after_the_certificate_is_due(standin, gate):
    standin.put_state(**state([certificate(FRESH)], [task(days(900), id=numbered(0))]))
    assert gate.renew() == numbered(0)
    assert only_task(standin)["status"]["due"] == days(57)


def test_none_is_kept_for_before_the_certificate_is_due(standin, gate):
    queue = [task(days(2), id=numbered(0)), task(days(57), id=numbered(1)),
             task(days(70), id=numbered(2))]
    standin.put_state(**state([certificate(FRESH)], queue))
    assert gate.renew() == numbered(1)
    assert only_task(standin)["id"] == numbered(1)
    assert only_task(standin)["status"]["due"] == days(57)


@pytest.mark.parametrize("queue", [
    [task(days(2), id=numbered(0))],
    [task(days(1), id=numbered(1)), task(days(2), id=numbered(0))],
    [task(days(1), id=numbered(1)), retry(days(2), "DNS error: timeout", id=numbered(0))],
], ids=["one", "two", "retry"])
def test_where_all_are_too_early_the_latest_is_moved_to_when_it_is_due(standin, gate, queue):
    standin.put_state(**state([certificate(FRESH)], queue))
    assert gate.renew() == numbered(0)
    assert only_task(standin)["status"]["due"] == days(57)
    before = standin.state()["tasks"]
    assert gate.renew() == numbered(0)
    assert standin.state()["tasks"] == before


def test_a_retry_on_its_way_is_answered_with_the_one_that_stays(standin, gate):
    queue = [retry(days(2), "DNS error: timeout", id=numbered(0)),
             task(days(1), id=numbered(1))]
    standin.put_state(**state([certificate(DUE)], queue))
    assert gate.renew() == numbered(1)
    assert only_task(standin)["id"] == numbered(1)


# Those that are due already.

def test_a_storm_from_before_the_gate_came_makes_one_order(standin, gate):
    standin.put_state(**state(tasks=twins(30, lambda _: task())))
    assert gate.renew() == only_task(standin)["id"]
    assert standin.run() == 1
    assert standin.counters()["orders"] == 1


def test_refusals_whose_time_has_come_make_one_order(standin, gate):
    standin.put_state(**state([certificate(DUE)], refused(30, due=SOON)))
    id = gate.renew()
    assert only_task(standin)["id"] == id
    assert standin.run() == 1


def fill_the_dispatcher(standin, queue):
    """All of the queue is locked, its first task runs, and nothing more can be locked."""
    standin.put_state(**state(domains=[domain(), domain("f", "example.net")], tasks=queue,
                              runner={"enabled": True, "order_seconds": 600}))
    wait_until(lambda: any(task["running"] for task in standin.state()["tasks"]))
    standin.add(tasks=[task(domain="f", id=numbered(900 + i)) for i in range(20)])
    standin.post([["x:Task/set", {}, "0"]])
    assert all(task["locked"] for task in standin.state()["tasks"] if task["domainId"] == "b")


def of_domain(standin, id="b"):
    return {task["id"]: task["status"] for task in live_tasks(standin) if task["domainId"] == id}


def test_those_that_run_are_left_and_what_would_follow_them_is_put_off(standin, gate):
    fill_the_dispatcher(standin, [task(id=numbered(10)), task(id=numbered(11))])
    standin.add(tasks=[task(days(-0.1), id=numbered(0))] +
                [task(id=numbered(20 + i)) for i in range(5)])
    assert gate.renew() == numbered(0)
    left = of_domain(standin)
    assert set(left) == {numbered(0), numbered(10), numbered(11)}
    assert left[numbered(10)] == left[numbered(11)] == task()["status"]
    assert stamp(NOW + datetime.timedelta(minutes=59)) < left[numbered(0)]["due"] < days(0.1)
    before = standin.state()["tasks"]
    assert gate.renew() in (numbered(10), numbered(11))
    assert of_domain(standin) == left, "they were touched again"


def test_what_was_put_off_goes_when_the_other_has_left_a_renewal(standin, gate):
    fill_the_dispatcher(standin, [task(id=numbered(10))])
    standin.add(tasks=[task(days(-0.1), id=numbered(0))])
    gate.renew()
    standin.runner(enabled=False)
    standin.put_state(**state([certificate(FRESH)], tasks=[
        task(of_domain(standin)[numbered(0)]["due"], id=numbered(0)),
        task(days(57), id=numbered(30))]))
    assert gate.renew() == numbered(30)
    assert only_task(standin)["id"] == numbered(30)


def test_what_was_put_off_is_pulled_when_the_other_has_failed(standin, gate):
    fill_the_dispatcher(standin, [task(id=numbered(10))])
    standin.add(tasks=[task(days(-0.1), id=numbered(0))])
    gate.renew()
    standin.put_state(**state(tasks=[
        task(of_domain(standin)[numbered(0)]["due"], id=numbered(0)),
        failed("Order invalid", at=days(-0.1), id=numbered(10))]))
    assert gate.renew() == numbered(0)
    assert only_task(standin)["status"]["due"] < days(0.01)


def test_what_would_follow_within_minutes_makes_no_second_order(standin, gate):
    queue = [task(stamp(NOW + datetime.timedelta(minutes=minutes)), id=numbered(minutes))
             for minutes in (5, 10, 60)]
    standin.put_state(**state([certificate(DUE)], queue))
    assert gate.renew() == numbered(5)
    standin.run()
    standin.clock(advance=1200)
    standin.run()
    assert standin.counters()["orders"] == 1
    gate.renew()
    standin.clock(advance=DAY)
    standin.run()
    assert standin.counters()["orders"] == 1


def test_those_that_wait_for_their_turn_are_destroyed_or_stay_failed(standin, gate):
    standin.put_state(**state(tasks=twins(3, lambda _: task())))
    survivor = gate.renew()
    assert_out_of_the_way(standin, survivor, 2)
    assert {line["action"] for line in gate.changes(2)} == {"superseded"}


def test_a_running_one_is_left_alone(standin, gate):
    queue = [task(SOON, id=numbered(0)), task(days(60), id=numbered(1)),
             task(days(80), id=numbered(2))]
    standin.put_state(**state([certificate(FRESH)], queue))
    gate.renew()
    assert {task["id"] for task in live_tasks(standin)} == {numbered(0), numbered(1)}
    assert [task for task in live_tasks(standin) if task["id"] == numbered(0)][0]["status"] == \
        queue[0]["status"]


def test_another_domains_tasks_are_left_alone(standin, gate):
    queue = refused(3) + [task(days(60), domain="f", id=numbered(10)),
                          task(days(70), domain="f", id=numbered(11))]
    standin.put_state(**state([certificate(DUE)], queue,
                            domains=[domain(), domain("f", "example.net")]))
    gate.renew()
    assert {task["id"] for task in live_tasks(standin) if task["domainId"] == "f"} == \
        {numbered(10), numbered(11)}


def test_two_domains_of_one_request(standin, gate):
    queue = refused(3) + [task(days(60), domain="f", id=numbered(10)),
                          task(days(70), domain="f", id=numbered(11))]
    standin.put_state(**state([certificate(DUE), certificate(FRESH, ["mail.example.net"])], queue,
                            domains=[domain(), domain("f", "example.net")]))
    (_, answer), = gate.call(["x:Task/set", {"create": {
        id: {"@type": "AcmeRenewal", "domainId": id} for id in "bf"}}])
    assert {task["id"] for task in live_tasks(standin)} == \
        {answer["created"][id]["id"] for id in "bf"}


# H, from each of its sources.

def test_a_failed_refusal_moves_the_one_that_stays(standin, gate):
    standin.put_state(**state([certificate(DUE)],
                            refused(2) + [failed("Rate limited. Retry after 777600 seconds")]))
    gate.renew()
    assert only_task(standin)["status"]["due"] == \
        stamp(NOW - datetime.timedelta(minutes=10) + datetime.timedelta(days=9))


def test_a_task_out_of_attempts_waits_for_what_the_ca_has_said(standin, gate):
    """The newer server retries such a task after six hours whatever the CA has said."""
    standin.put_state(**state([certificate(DUE)], refused(3, days(0.125), attempt=11)))
    gate.renew()
    assert only_task(standin)["status"]["due"] == \
        stamp(NOW - datetime.timedelta(hours=3) + datetime.timedelta(seconds=518400))


def test_a_failed_refusal_without_a_time(standin, gate):
    standin.put_state(**state([certificate(DUE)], [failed(BLINDLY)]))
    gate.renew()
    assert only_task(standin)["status"]["due"] == \
        stamp(NOW - datetime.timedelta(minutes=10) + datetime.timedelta(hours=6))


def test_a_refusal_without_a_time_holds_for_the_blind_hold(standin):
    standin.put_state(**state([certificate(DUE)], refused(3, days(0.01), BLINDLY)))
    standin.clock(set=stamp(NOW), freeze=True)
    with Gate(standin.port, BLIND_HOLD="12h") as gate:
        gate.renew()
    held = only_task(standin)["status"]
    expected = NOW + datetime.timedelta(hours=12)
    assert stamp(expected) <= held["due"] <= stamp(expected + datetime.timedelta(seconds=1))
    standin.clock(advance=3600)
    with Gate(standin.port, BLIND_HOLD="12h") as gate:
        gate.renew()
    assert only_task(standin)["status"] == held, "a restart of the gate moved it again"


@pytest.mark.parametrize("limit, held", [("5/168h", True), ("6/168h", False), ("off", False)])
def test_the_cas_own_limit(standin, limit, held):
    issued = NOW - datetime.timedelta(hours=1)
    dates = {"notValidBefore": stamp(issued), "notValidAfter": stamp(NOW)}
    standin.put_state(**state([certificate(dates) for _ in range(5)]))
    with Gate(standin.port, ISSUE_LIMIT=limit) as gate:
        gate.renew()
    due = only_task(standin)["status"]["due"]
    if held:
        expected = issued + datetime.timedelta(hours=33.6)
        assert stamp(expected - datetime.timedelta(seconds=2)) <= due <= \
            stamp(expected + datetime.timedelta(seconds=2))
    else:
        assert due < days(0.1)


def test_row_six_moves_a_queued_task_to_when_the_ca_no_longer_refuses(standin, gate):
    standin.put_state(**state([certificate(EXPIRED)],
                            [task(days(2), id=numbered(0)), task(LATER, id=numbered(1)),
                             failed("Rate limited. Retry after 432000 seconds")]))
    assert gate.renew() == numbered(0)
    assert gate.decisions(1)[0]["row"] == 6
    left = only_task(standin)
    assert left["id"] == numbered(0)
    assert left["status"]["due"] == \
        stamp(NOW - datetime.timedelta(minutes=10) + datetime.timedelta(days=5))


# A domain and its task in one batch.

def in_one_batch(gate, **create):
    management = {"@type": "Automatic", "acmeProviderId": "c",
                  "subjectAlternativeNames": {"mail": True}}
    return gate.call(
        ["x:Domain/set", {"create": {"new": {"name": "new.example",
                                             "certificateManagement": management}}}],
        ["x:Task/set", {"create": {"k": {"@type": "AcmeRenewal", "domainId": "#new", **create}}}])


def test_a_domain_and_its_task_make_one_order(standin, gate):
    standin.put_state(**state())
    (_, made), (_, answer) = in_one_batch(gate)
    left, = [task for task in live_tasks(standin) if task["@type"] == "AcmeRenewal"]
    assert left["id"] == answer["created"]["k"]["id"]
    assert left["domainId"] == made["created"]["new"]["id"]
    standin.run()
    assert standin.counters()["orders"] == 1


def test_a_domain_switched_to_automatic_and_its_task_make_one_order(standin, gate):
    standin.put_state(**state(domains=[domain(kind="Manual")]))
    management = domain()["certificateManagement"]
    gate.call(["x:Domain/set", {"update": {"b": {"certificateManagement": management}}}],
              ["x:Task/set", {"create": {"k": {"@type": "AcmeRenewal", "domainId": "b"}}}])
    standin.run()
    assert standin.counters()["orders"] == 1


@pytest.mark.parametrize("switched", [False, True], ids=["made", "switched"])
def test_the_answer_is_the_servers_own_task_which_may_run_already(standin, gate, switched):
    """Had the client's been made too, both would be locked at once, and v0.16.5 order twice."""
    domains = [domain(kind="Manual")] if switched else None
    standin.put_state(**state(domains=domains, runner={"enabled": True, "order_seconds": 600}))
    management = domain()["certificateManagement"]
    change = {"update": {"b": {"certificateManagement": management}}} if switched else \
        {"create": {"new": {"name": "new.example", "certificateManagement": management}}}
    (_, made), (_, answer) = gate.call(
        ["x:Domain/set", change],
        ["x:Task/set", {"create": {id: {"@type": "AcmeRenewal", "domainId":
                                        "b" if switched else "#new"} for id in "kl"}}])
    own = "b" if switched else made["created"]["new"]["id"]
    (id,) = [task["id"] for task in standin.state()["tasks"]
             if task["@type"] == "AcmeRenewal" and task["domainId"] == own]
    assert answer["created"] == {"k": {"id": id}, "l": {"id": id}}
    assert "notCreated" not in answer


def test_what_the_request_goes_on_to_speak_of_is_made(standin, gate):
    standin.put_state(**state())
    management = domain()["certificateManagement"]
    (_, made), (_, answer), (_, got) = gate.call(
        ["x:Domain/set", {"create": {"new": {"name": "new.example",
                                             "certificateManagement": management}}}],
        ["x:Task/set", {"create": {"k": {"@type": "AcmeRenewal", "domainId": "#new"}}}],
        ["x:Task/get", {"ids": ["#k"]}])
    assert got["list"][0]["id"] == answer["created"]["k"]["id"]
    assert {task["id"] for task in live_tasks(standin) if task["@type"] == "AcmeRenewal"
            and task["domainId"] == made["created"]["new"]["id"]} == \
        {answer["created"]["k"]["id"]}


def test_without_one_of_the_servers_own_the_create_goes_on(standin, gate):
    standin.put_state(**state(domains=[domain(kind="Manual")]))
    (_, _), (_, answer) = gate.call(
        ["x:Domain/set", {"create": {"new": {"name": "new.example"}}}],
        ["x:Task/set", {"create": {"k": {"@type": "AcmeRenewal", "domainId": "#new"},
                                   "l": {"@type": "AcmeRenewal", "domainId": "b"}}}])
    assert {answer["created"][key]["id"] for key in "kl"} == \
        {task["id"] for task in live_tasks(standin) if task["@type"] == "AcmeRenewal"}


def test_a_domain_that_was_not_made_gets_the_servers_error(standin, gate):
    calls = [["x:Domain/set", {"create": {"new": {"name": "example.org"}}}],
             ["x:Task/set", {"create": {"k": {"@type": "AcmeRenewal", "domainId": "#new"}}}]]
    standin.put_state(**state())
    (_, _), (_, answer) = gate.call(*calls)
    plain = standin.post([[*call, str(i)] for i, call in enumerate(calls)])
    assert answer == plain[1][1]
    assert live_tasks(standin) == []


@pytest.mark.parametrize("user", ["reader", "blind"])
def test_who_may_not_create_or_read_gets_what_the_server_says(standin, gate, user):
    standin.put_state(**state(domains=[domain(kind="Manual")]))
    calls = [["x:Domain/set", {"create": {"new": {"name": "new.example"}}}],
             ["x:Task/set", {"create": {"k": {"@type": "AcmeRenewal", "domainId": "b"}}}]]
    answer = gate.call(*calls, user=user)
    plain = standin.post([[*call, str(i)] for i, call in enumerate(calls)], user=user)
    assert set(answer[1][1]) == set(plain[1][1])
    assert answer[1][1].get("notCreated") == plain[1][1].get("notCreated")


# What the client's own request removes.

def test_a_twin_that_the_request_could_not_destroy_is_removed(standin, gate):
    standin.put_state(**state([certificate(FRESH)],
                            [task(days(60), id=numbered(0)), task(days(70), id=numbered(1))]))
    (_, answer), = gate.call(["x:Task/set", {
        "destroy": [numbered(0)], "create": {"k": {"@type": "AcmeRenewal", "domainId": "b"}}}])
    only, = live_tasks(standin)
    assert only["id"] == answer["created"]["k"]["id"]
    assert only["id"] == numbered(0 if "notDestroyed" in answer else 1)


# Who may not, and when nothing is to be changed.

def test_who_may_not_create_changes_nothing(standin, gate):
    standin.put_state(**state([certificate(DUE)], refused(5)))
    before = standin.state()["tasks"]
    assert gate.renew(user="reader")["type"] == "forbidden"
    assert standin.state()["tasks"] == before


def test_a_create_that_the_server_rejects_changes_nothing(standin, gate):
    standin.put_state(**state([certificate(DUE)], refused(5)))
    before = standin.state()["tasks"]
    assert gate.renew(bogus=1)["type"] == "invalidPatch"
    assert standin.state()["tasks"] == before


def test_who_may_not_read_tasks_changes_nothing_and_gets_its_answer(standin):
    standin.put_state(**state([certificate(DUE)], refused(5)))
    before = standin.state()["tasks"]
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin")) as gate:
        assert gate.renew(user="blind") in {task["id"] for task in before}
    assert standin.state()["tasks"] == before


def users_with_a_maker(*permissions):
    """Who may make renewals, and what else is named."""
    return [{"name": "admin", "password": "secret", "permissions": "all"},
            {"name": "maker", "password": "secret", "permissions": [
                "sysTaskGet", "sysTaskQuery", "sysDomainGet", "sysCertificateGet",
                "sysCertificateQuery", "sysAcmeProviderGet", "sysSystemSettingsGet",
                "sysTaskCreate", "taskAcmeRenewal", *permissions]}]


def test_who_may_not_destroy_tasks_writes_them_as_failed(standin, gate):
    standin.put_state(**state([certificate(DUE)], refused(5),
                              users=users_with_a_maker("sysTaskUpdate")))
    survivor = gate.renew(user="maker")
    assert only_task(standin)["id"] == survivor
    assert [task["status"]["failureReason"] for task in standin.state()["tasks"]
            if task["id"] != survivor] == [f"superseded by {survivor}"] * 4


def test_who_may_not_update_tasks_changes_nothing_and_gets_its_answer(standin, gate):
    standin.put_state(**state([certificate(DUE)], refused(5), users=users_with_a_maker()))
    before = standin.state()["tasks"]
    assert gate.renew(user="maker") in {task["id"] for task in before}


def test_observe_mode_changes_nothing(standin):
    standin.put_state(**state([certificate(DUE)], refused(5)))
    with Gate(standin.port, MODE="observe") as gate:
        gate.renew()
    assert len(live_tasks(standin)) == 6


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 429}, {"garbage": True},
                                   {"close": True}, {"body": "{}"},
                                   {"body": '{"methodResponses":[]}'}])
@pytest.mark.parametrize("match", ["attemptNumber", '"destroy"', "superseded"])
def test_a_collapse_that_fails_costs_no_answer_and_no_task(standin, gate, match, fault):
    standin.put_state(**state([certificate(DUE)], refused(3)))
    standin.fault(match=match, times=-1, **fault)
    assert gate.renew() in {task["id"] for task in live_tasks(standin)}
    standin.clear_faults()
    gate.renew()
    assert only_task(standin)["status"]["attemptNumber"] == 0


def test_each_change_is_logged_with_what_it_replaced(standin, gate):
    standin.put_state(**state([certificate(DUE)], refused(2)))
    survivor = gate.renew()
    logged = {line["id"]: line for line in gate.changes(2)}
    assert logged[survivor]["action"] == "postponed"
    other, = set(logged) - {survivor}
    assert logged[other]["action"] in ("destroyed", "superseded")
    for line in logged.values():
        assert line["old_state"] == "Retry"
        assert line["old_due"] == days(6)
        assert line["old_reason"] == LIMITED
        assert line["survivor"] == survivor
    assert 'renewgate_queue_changes_total{action="postponed"} 1' in gate.admin("/metrics")[1]
