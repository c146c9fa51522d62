"""Sweeps: the queue of all domains tidied up, once by command or again and again by the gate."""

import datetime
import json
import os
import re
import signal
import subprocess
import time

import pytest

from gate import Gate
from lock_server import Redis
from servers import HttpServer, pass_on
from standin import basic, binary
from test_collapse import DIGITS, LIMITED, failed, numbered, only_task, refused
from test_gate import (DUE, EXPIRED, FRESH, NOW, SOON, certificate, days, domain, live_tasks, retry, stamp,
                       state, task)
from waiting import wait_until

DAY = 86400
NOT_DUE = "Certificate for domain example.org is still valid; renewal is not due until " + days(57)


def environment(port, **settings):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("RENEWGATE_")}
    clean |= {"RENEWGATE_UPSTREAM_URL": f"http://127.0.0.1:{port}",
              "RENEWGATE_SERVICE_AUTHORIZATION": basic("admin"), "RENEWGATE_SWEEP_RATE": "1000"}
    return clean | {"RENEWGATE_" + key: str(value) for key, value in settings.items()}


def sweep(port, *options, status=0, **settings):
    """Runs the command; what it prints."""
    ended = subprocess.run([binary("renewgate"), "sweep", *options], text=True, timeout=120,
                           capture_output=True, env=environment(port, **settings))
    assert "Sanitizer" not in ended.stderr and "runtime error" not in ended.stderr, ended.stderr
    assert ended.returncode == status, ended.stderr
    return ended.stdout if status == 0 else ended.stderr


def changes(port, *options, **settings):
    lines = sweep(port, "--json", *options, **settings).splitlines()
    return [json.loads(line) for line in lines]


until = wait_until


# The queue of an outage.

def test_ninety_seven_retries_become_one(standin):
    standin.put_state(**state([certificate(DUE)], refused(97)))
    sweep(standin.port)
    left = only_task(standin)["status"]
    assert (left["due"], left["attemptNumber"], left["failureReason"]) == (days(6), 0, LIMITED)


def test_it_stays_one_when_the_time_comes_and_the_ca_refuses_again(standin):
    standin.put_state(**state([certificate(DUE)], refused(97)))
    sweep(standin.port)
    standin.ca(refuse=True, refuse_seconds=3 * DAY)
    standin.clock(set=days(6))
    assert standin.run() == 1
    sweep(standin.port)
    expected = NOW + datetime.timedelta(days=9)
    again = only_task(standin)["status"]
    assert stamp(expected) <= again["due"] <= stamp(expected + datetime.timedelta(seconds=5))
    assert again["attemptNumber"] == 0
    standin.ca(refuse=False)
    standin.clock(set=stamp(expected + datetime.timedelta(seconds=10)))
    assert standin.run() == 1
    sweep(standin.port)
    assert only_task(standin)["status"]["@type"] == "Pending"
    assert standin.counters()["certificates"] == 1


def test_the_gate_sweeps_by_itself(standin):
    standin.put_state(**state([certificate(DUE)], refused(97)))
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin"), SWEEP_INTERVAL="1s",
              SWEEP_RATE=1000) as gate:
        until(lambda: len(live_tasks(standin)) == 1)
        until(lambda: 'renewgate_sweeps_total{result="done"} 0' not in gate.admin("/metrics")[1])
        metrics = gate.admin("/metrics")[1]
    assert only_task(standin)["status"]["due"] == days(6)
    assert "renewgate_last_sweep_timestamp_seconds 0" not in metrics
    assert 'renewgate_queue_changes_total{action="postponed"} 1' in metrics


@pytest.mark.parametrize("settings", [
    {"SWEEP_INTERVAL": "off", "SERVICE_AUTHORIZATION": basic("admin")},
    {"SWEEP_INTERVAL": "1s"},
    {"SWEEP_INTERVAL": "1s", "SERVICE_AUTHORIZATION": basic("admin"), "MODE": "observe"},
], ids=["off", "no credential", "observe"])
def test_the_gate_does_not_sweep(standin, settings):
    with Gate(standin.port, **settings) as gate:
        assert json.loads(gate.lines[-1])["sweep_milliseconds"] == 0


def test_many_domains_and_more_tasks_than_a_page(standin):
    ids = [a + b for a in "bcdf" for b in "abcdefghijkl"]
    queue = [task(days(20 + i), domain=id, id="jp173xlc" + id + "aa" + "abc"[i])
             for id in ids for i in range(3)]
    queue += [retry(days(6), domain="zz", id=numbered(i) + "a") for i in range(900)]
    standin.put_state(**state([certificate(FRESH, [f"mail.{id}.test"]) for id in ids], queue, [
        domain(id, f"{id}.test") for id in ids + ["zz"]]))
    sweep(standin.port)
    assert sorted(task["domainId"] for task in live_tasks(standin)) == sorted(ids + ["zz"])
    assert all(task["status"]["due"] in (days(57), days(6)) for task in live_tasks(standin))


def test_more_domains_than_a_page(standin):
    standin.put_state(**state() | {"domains": [], "generate": {
        "domains": 1001, "suffix": "test", "subjectAlternativeNames": {"mail": True},
        "certificate_age_days": 3}})
    lost = {domain["id"] for domain in standin.state()["domains"]}
    told = changes(standin.port, "--dry-run")
    assert {change["domain_id"] for change in told} == lost
    assert {change["action"] for change in told} == {"scheduled"}


def test_a_second_sweep_changes_nothing(standin):
    standin.put_state(**state([certificate(FRESH)], refused(5) + [failed(NOT_DUE)]))
    assert changes(standin.port) != []
    before = standin.state()["tasks"]
    assert changes(standin.port) == []
    assert standin.state()["tasks"] == before


def test_of_several_replicas_one_sweeps_at_a_time(standin):
    standin.put_state(**state([certificate(DUE)], refused(97)))
    settings = {"SERVICE_AUTHORIZATION": basic("admin"), "SWEEP_INTERVAL": "1s",
                "SWEEP_RATE": 1000, "LOCK_TIMEOUT": "10s"}
    with Redis() as redis:
        with Gate(standin.port, LOCK_URL=redis.url, **settings) as one, \
                Gate(standin.port, LOCK_URL=redis.url, **settings) as other:
            until(lambda: len(live_tasks(standin)) == 1)
            until(lambda: all('renewgate_sweeps_total{result="done"} 0' not in
                              gate.admin("/metrics")[1] for gate in (one, other)))
        changed = [line for gate in (one, other) for line in gate.lines if '"action"' in line]
    assert only_task(standin)["status"]["due"] == days(6)
    assert len(changed) == 97, "more than one has written"


def healthy(count):
    """As many domains, each with a fresh certificate and its next renewal queued."""
    return state() | {"domains": [], "generate": {
        "domains": count, "suffix": "test", "subjectAlternativeNames": {"mail": True},
        "certificate_age_days": 3, "task_due_days": 57}}


def test_domains_without_anything_to_change_are_read_together(standin):
    standin.put_state(**healthy(700))
    standin.add(domains=[domain(f"zz{letter}", f"due{letter}.test") for letter in DIGITS],
                tasks=[task(domain=f"zz{letter}", id=numbered(i))
                       for i, letter in enumerate(DIGITS)])
    standin.reset_counters()
    assert changes(standin.port) == []
    pages_of_the_list, facts, certificates = 2 + 2 + 1 + 1, 2, 2
    assert standin.counters()["http_requests"] <= pages_of_the_list + facts + certificates


def test_a_server_that_lists_less_than_a_page_is_read_to_its_end(standin):
    standin.put_state(**healthy(700), query_max_results=90)
    standin.add(domains=[domain("zz", "lost.test")],
                certificates=[certificate(FRESH, ["mail.lost.test"])])
    change, = changes(standin.port)
    assert (change["action"], change["domain"]) == ("scheduled", "lost.test")


def test_a_server_that_gives_few_objects_a_call_is_swept_to_its_end(standin):
    """Failed tasks and twins as well, which are changed by one call."""
    many = [*refused(97), *(failed(NOT_DUE, id=numbered(100 + i)) for i in range(100))]
    standin.put_state(**healthy(700), max_objects=30)
    standin.add(domains=[domain("zz", "lost.test"), domain("zy", "many.test")],
                certificates=[certificate(FRESH, ["mail.lost.test"]),
                              certificate(DUE, ["mail.many.test"])],
                tasks=[task | {"domainId": "zy"} for task in many])
    told = changes(standin.port)
    assert [change["domain"] for change in told if change["action"] == "scheduled"] == ["lost.test"]
    left = [task for task in standin.state()["tasks"] if task["domainId"] == "zy"]
    assert len([task for task in left if task["status"]["@type"] != "Failed"]) == 1
    assert standin.version == "v0.16.5" or len(left) == 1


def test_a_server_that_lists_one_at_a_time_is_not_asked_without_end(standin):
    standin.put_state(**healthy(300), query_max_results=1)
    standin.reset_counters()
    assert "the server lists too few at a time" in sweep(standin.port, status=1)
    assert standin.counters()["http_requests"] < 220


def test_creates_after_a_sweep_find_tasks_that_are_far_back_in_the_queue(standin):
    standin.put_state(**healthy(700))
    due, fresh = task(days(80), "zz", numbered(0)), task(days(81), "zy", numbered(1))
    standin.add(domains=[domain("zz", "due.test"), domain("zy", "fresh.test")],
                certificates=[certificate(FRESH, ["mail.fresh.test"])], tasks=[due, fresh])
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin"), SWEEP_INTERVAL="1s",
              SWEEP_RATE=1000) as gate:
        gate.logged("sweep done")
        assert gate.renew("zy") == fresh["id"]
        before = lookups(gate)
        assert gate.renew("zz") == due["id"]
        assert lookups(gate) - before <= 2


def test_creates_after_a_survey_need_no_search_for_the_certificate(standin):
    standin.put_state(**healthy(20))
    domains = [domain["id"] for domain in standin.state()["domains"]]
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin"), SWEEP_INTERVAL="off",
              SURVEY_INTERVAL="1s", SWEEP_RATE=1000) as gate:
        gate.logged("survey done")
        before = lookups(gate)
        for id in domains:
            gate.renew(id)
        assert lookups(gate) - before == len(domains)


def test_a_survey_goes_on_seeing_that_the_ca_has_had_enough(standin):
    """Four are stored that would be read no more, were the fifth looked at by its id."""
    standin.put_state(**state([certificate({**FRESH, "notValidBefore": SOON})] * 5))
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin"), SWEEP_INTERVAL="off",
              SURVEY_INTERVAL="1s", SWEEP_RATE=1000) as gate:
        gate.logged("survey done", 3)
        held = json.loads(gate.admin("/status.json")[1])["held"]["items"]
    assert [entry["name"] for entry in held] == ["example.org"]


def test_a_survey_sees_a_limit_that_was_reached_past_the_gate(standin):
    """Beside a certificate that is fresh, and known to be."""
    standin.put_state(**state([certificate(FRESH)], [task(days(57))]))
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin"), SWEEP_INTERVAL="off",
              SURVEY_INTERVAL="1s", SWEEP_RATE=1000) as gate:
        gate.logged("survey done", 2)
        assert json.loads(gate.admin("/status.json")[1])["held"]["items"] == []
        standin.add(certificates=[certificate({**FRESH, "notValidBefore": SOON})] * 5)
        seen = len(gate.logged("survey done"))
        gate.logged("survey done", seen + 2)
        held = json.loads(gate.admin("/status.json")[1])["held"]["items"]
    assert [entry["name"] for entry in held] == ["example.org"]


def lookups(gate):
    return int(re.search(r"^renewgate_lookup_requests_total (\d+)$", gate.admin("/metrics")[1],
                         re.M)[1])


def test_what_was_issued_lately_counts_before_its_domain_is_come_by(standin):
    """The first sweep after a start knows nothing else of the account's orders."""
    issued = {"notValidBefore": stamp(NOW - datetime.timedelta(minutes=10)),
              "notValidAfter": days(90)}
    names = ["first.test", "second.test", "third.test"]
    standin.put_state(**state(
        [certificate(issued, [f"mail.{name}"]) for name in names[1:]],
        [task(days(60), "c", numbered(1)), task(days(60), "d", numbered(2))],
        [domain(id, name) for id, name in zip("bcd", names)]))
    settings = {"ACCOUNT_LIMIT": "2/2h"}
    planned, = [change for change in changes(standin.port, "--dry-run", **settings)
                if change["action"] == "scheduled"]
    made, = [change for change in changes(standin.port, **settings)
             if change["action"] == "scheduled"]
    waits = datetime.datetime.strptime(made["due"], "%Y-%m-%dT%H:%M:%SZ") - \
        datetime.datetime.strptime(standin.clock()["now"], "%Y-%m-%dT%H:%M:%SZ")
    assert datetime.timedelta(minutes=45) < waits < datetime.timedelta(minutes=51)
    assert made["domain"] == planned["domain"] == "first.test"
    assert planned["due"][:15] == made["due"][:15]


# What else it does.

def test_failed_tasks_that_only_say_not_due_are_removed(standin):
    other = failed("DNS error: timeout", id="jp173xlcazab")
    queue = [failed(NOT_DUE), other, task(days(57))]
    standin.put_state(**state([certificate(FRESH)], queue))
    done = changes(standin.port)
    left = {task["id"] for task in standin.state()["tasks"]}
    if standin.version == "v0.16.5":  # which neither writes nor destroys such tasks
        assert left == {task["id"] for task in queue} and done == []
    else:
        assert left == {other["id"], queue[2]["id"]}
        assert [(change["action"], change["id"], change["domain"]) for change in done] == \
            [("cleared", queue[0]["id"], "example.org")]


def test_a_lost_renewal_is_given_back(standin):
    standin.put_state(**state([certificate(FRESH)], [failed("DNS error: timeout")]))
    change, = changes(standin.port)
    made = only_task(standin)
    assert (change["action"], change["id"], change["domain"]) == \
        ("scheduled", made["id"], "example.org")
    assert made["status"] == {"@type": "Pending", "createdAt": made["status"]["createdAt"],
                              "due": days(57)}


@pytest.mark.parametrize("certificates, tasks, kind", [
    ([certificate(DUE)], [task(SOON)], "Automatic"),
    ([], [task(SOON)], "Automatic"),
    ([certificate(FRESH)], [task(SOON)], "Automatic"),
    ([certificate(FRESH)], [task(days(57))], "Automatic"),
    ([certificate(DUE)], [retry(days(0.2), "DNS error: timeout")], "Automatic"),
    ([certificate(FRESH)], [], "Manual"),
    ([], [], "Manual"),
], ids=["due", "no certificate", "running", "queued", "retried", "manual", "manual, none"])
def test_nothing_else_is_made_or_changed(standin, certificates, tasks, kind):
    standin.put_state(**state(certificates, tasks, domains=[domain(kind=kind)]))
    before = standin.state()["tasks"]
    assert changes(standin.port) == []
    assert standin.state()["tasks"] == before


# Every domain has its one task, due at the right time.

LONG_LIVED = {"notValidBefore": days(-3), "notValidAfter": days(3650)}


def only_change(standin):
    """What a dry run and the audit foretell, and then the sweep does; what it tells."""
    foretold, = changes(standin.port, "--dry-run")
    change, = changes(standin.port)
    assert {key: foretold[key] for key in foretold if key != "due"} == \
        {key: change[key] for key in foretold if key != "due"}
    assert changes(standin.port) == []
    return change


@pytest.mark.parametrize("stored", [[], [certificate(DUE)], [certificate(EXPIRED)],
                                    [certificate(FRESH, ["www.example.org"])]],
                         ids=["removed", "due", "expired", "other names"])
def test_a_domain_without_its_certificate_gets_it_back(standin, stored):
    standin.put_state(**state(stored))
    change = only_change(standin)
    assert (change["action"], change["id"]) == ("scheduled", only_task(standin)["id"])
    assert standin.run() == 1
    assert changes(standin.port) == []
    assert standin.counters()["certificates"] == 1
    assert len(live_tasks(standin)) == 1


@pytest.mark.parametrize("stored", [[], [certificate(DUE)]], ids=["removed", "due"])
def test_nor_does_it_wait_for_a_task_that_is_queued_for_later(standin, stored):
    standin.put_state(**state(stored, [task(days(59))]))
    change = only_change(standin)
    assert (change["action"], change["id"], change["old_due"]) == \
        ("advanced", only_task(standin)["id"], days(59))
    assert standin.run() == 1
    assert standin.counters()["certificates"] == 1
    assert changes(standin.port) == []


def test_a_renewal_comes_back_from_after_the_certificate_is_due(standin):
    """It was put off beside a certificate of ten years that has gone."""
    standin.put_state(**state([certificate(FRESH), certificate(LONG_LIVED)], [task(days(57))]))
    assert only_change(standin)["action"] == "postponed"
    assert only_task(standin)["status"]["due"] > days(2400)
    standin.put_state(**state([certificate(FRESH)], live_tasks(standin)))
    assert only_change(standin)["action"] == "advanced"
    assert only_task(standin)["status"]["due"] == days(57)


def test_what_the_ca_would_refuse_waits_for_it(standin):
    standin.put_state(**state([certificate(DUE)], [
        task(days(59)), failed("Rate limited. Retry after 777600 seconds")]))
    change = only_change(standin)
    until = stamp(NOW - datetime.timedelta(minutes=10) + datetime.timedelta(days=9))
    assert (change["action"], only_task(standin)["status"]["due"]) == ("advanced", until)


def test_one_that_is_made_waits_for_it_too(standin):
    standin.put_state(**state([certificate(DUE)],
                              [failed("Rate limited. Retry after 777600 seconds")]))
    only_change(standin)
    until = stamp(NOW - datetime.timedelta(minutes=10) + datetime.timedelta(days=9))
    assert only_task(standin)["status"]["due"] == until


def parse(time):
    return datetime.datetime.strptime(time, "%Y-%m-%dT%H:%M:%SZ")


def test_what_is_due_at_once_is_spread_over_the_accounts_limit(standin):
    """As on the first sweep of a server whose renewals were all lost."""
    standin.put_state(**state() | {"domains": [], "generate": {
        "domains": 120, "suffix": "test", "subjectAlternativeNames": {"mail": True}}})
    limit = {"ACCOUNT_LIMIT": "100/1h"}
    foretold = changes(standin.port, "--dry-run", **limit)
    changes(standin.port, **limit)
    for dues in ([change["due"] for change in foretold],
                 [task["status"]["due"] for task in live_tasks(standin)]):
        began, *_ = dues = [parse(due) for due in sorted(dues)]
        waits = [(due - began).total_seconds() for due in dues]
        assert len(dues) == 120
        assert waits[99] < 30
        assert all(abs(wait - 36 * (i + 1)) < 30 for i, wait in enumerate(waits[100:]))
    assert standin.run() == 100
    assert changes(standin.port, **limit) == []


def generated(standin):
    return [each["id"] for each in standin.state()["domains"] if each["name"].endswith(".test")]


def assert_within(dues, burst, interval, slack=30):
    """A bucket of so many tokens, with one more each interval, has one for each of them."""
    dues = sorted(parse(due).timestamp() for due in dues)
    for first, begin in enumerate(dues):
        for last, end in enumerate(dues[first:], 1):
            assert last <= burst + (end - begin + slack) / interval


def plans(port, **settings):
    """When the audit says that a sweep will have each domain's renewal run."""
    report = subprocess.run([binary("renewgate"), "audit", "--json"], text=True, timeout=120,
                            capture_output=True, env=environment(port, **settings))
    found = json.loads(report.stdout)["domains"]
    return {each["id"]: each["sweep"]["due"] for each in found if each["sweep"]["due"]}


def assert_one_plan(standin, planned, left, **settings):
    """A dry run, the audit and a sweep say the same, and no more than the account has orders."""
    foretold = [change["due"] for change in changes(standin.port, "--dry-run", **settings)]
    audited = list(plans(standin.port, **settings).values())
    made = [change["due"] for change in changes(standin.port, **settings)]
    assert len(foretold) == len(audited) == len(made) == planned
    for one, other in ((foretold, made), (audited, made)):
        apart = [abs(parse(a) - parse(b)) for a, b in zip(sorted(one), sorted(other))]
        assert max(apart) < datetime.timedelta(minutes=2)
    assert len(live_tasks(standin)) == left
    # A hundredth of the limit's time too early at most.
    assert_within([task["status"]["due"] for task in live_tasks(standin)], 300, 36, 120)


@pytest.mark.parametrize("standin", ["v0.16.18"], indirect=True)
def test_two_thousand_domains_whose_renewals_were_lost(standin):
    standin.put_state(**state() | {"domains": [], "generate": {
        "domains": 2000, "suffix": "test", "subjectAlternativeNames": {"mail": True}}})
    assert_one_plan(standin, 2000, 2000)


def test_tasks_that_are_due_beyond_the_accounts_limit(standin):
    """All at once in the queue, none of them has run yet; the server lets one move those that wait."""
    standin.put_state(**state() | {"domains": [], "generate": {
        "domains": 400, "suffix": "test", "subjectAlternativeNames": {"mail": True}}})
    standin.add(tasks=[task(SOON, id, numbered(n)) for n, id in enumerate(generated(standin))])
    assert_one_plan(standin, 97, 400)
    assert 303 <= standin.run() < 310
    # The CA has had as many tokens as it has given certificates: few come for the next ones sooner.
    again = changes(standin.port)
    assert len(again) <= 3 and {change["action"] for change in again} <= {"advanced"}


def test_one_that_runs_is_left(standin):
    standin.put_state(**state(tasks=[task() | LOCKED, task(SOON, "c", numbered(1))],
                              domains=[domain(), domain("c", "example.net")]))
    settings = {"ACCOUNT_LIMIT": "1/1h"}
    moved, = changes(standin.port, **settings)
    assert moved["id"] == numbered(1)
    standin.put_state(**state(tasks=[task(), task(SOON, "c", numbered(1)) | LOCKED],
                              domains=[domain(), domain("c", "example.net")]))
    assert changes(standin.port, **settings) == []


def test_a_sweep_and_creates_share_the_accounts_limit(standin):
    standin.put_state(**state() | {"domains": [], "generate": {
        "domains": 60, "suffix": "test", "subjectAlternativeNames": {"mail": True}}})
    with Gate(standin.port, ACCOUNT_LIMIT="10/10h", SERVICE_AUTHORIZATION=basic("admin"),
              SWEEP_INTERVAL="1s", SWEEP_RATE=20) as gate:
        until(lambda: len(live_tasks(standin)) > 3)
        for id in reversed(generated(standin)):
            gate.renew(id)
        until(lambda: len(live_tasks(standin)) == 60)
    assert_within([task["status"]["due"] for task in live_tasks(standin)], 10, 3600)


# A task that never runs.

LONG_AGO = days(-30)
LOCKED = {"lockedUntil": days(30)}


def test_a_task_that_never_runs_is_replaced(standin):
    stuck = task(LONG_AGO, **{}) | LOCKED
    standin.put_state(**state([certificate(EXPIRED)], [stuck]))
    assert standin.run() == 0
    told = changes(standin.port)
    made = told[0]["id"]
    assert told[0]["action"] == "scheduled"
    if standin.version == "v0.16.5":  # which neither destroys it nor writes it while it is locked
        assert {task["id"] for task in live_tasks(standin)} == {stuck["id"], made}
        assert len(told) == 1
    else:
        assert [(change["action"], change["id"], change["survivor"]) for change in told[1:]] == \
            [("destroyed", stuck["id"], made)]
        assert only_task(standin)["id"] == made
    assert standin.run() == 1
    assert standin.counters()["certificates"] == 1
    assert changes(standin.port) == []


def test_one_that_is_not_locked_any_more_is_written_as_failed_where_it_is_not_destroyed(standin):
    standin.put_state(**state([certificate(EXPIRED)], [task(LONG_AGO)]))
    changes(standin.port)
    made = only_task(standin)
    assert made["id"] != task()["id"]
    if standin.version == "v0.16.5":
        stuck, = [task for task in standin.state()["tasks"] if task["id"] != made["id"]]
        assert stuck["status"]["failureReason"] == f"superseded by {made['id']}"


def test_after_a_server_was_killed_while_it_ordered(standin):
    standin.put_state(**state([certificate(EXPIRED)], [task(SOON)]))
    standin.runner(enabled=True, order_seconds=600)
    until(lambda: any(task["running"] for task in standin.state()["tasks"]))
    standin.runner(enabled=False)
    standin.kill(lock_seconds=10 * 3600)
    assert changes(standin.port) == []
    standin.clock(advance=3 * 3600)
    assert changes(standin.port)[0]["action"] == "scheduled"
    assert standin.run() == 1
    assert standin.counters()["certificates"] == 1


def test_none_is_stuck_where_that_is_off(standin):
    standin.put_state(**state([certificate(EXPIRED)], [task(LONG_AGO) | LOCKED]))
    assert changes(standin.port, STUCK_AFTER="off") == []
    assert changes(standin.port, STUCK_AFTER="721h") == []


def test_a_create_does_not_wait_for_it_either(standin):
    stuck = task(LONG_AGO) | LOCKED
    standin.put_state(**state([certificate(EXPIRED)], [stuck]))
    with Gate(standin.port) as gate:
        ids = {gate.renew() for _ in range(3)}
    assert len(ids) == 1 and stuck["id"] not in ids
    left = {task["id"] for task in live_tasks(standin)}
    assert left == (ids | {stuck["id"]} if standin.version == "v0.16.5" else ids)


def test_a_failed_refusal_moves_the_one_that_stays(standin):
    standin.put_state(**state([certificate(DUE)],
                              refused(1) + [failed("Rate limited. Retry after 777600 seconds")]))
    sweep(standin.port)
    assert only_task(standin)["status"]["due"] == \
        stamp(NOW - datetime.timedelta(minutes=10) + datetime.timedelta(days=9))


# The command.

def test_a_dry_run_tells_and_changes_nothing(standin):
    queue = refused(3) + [failed(NOT_DUE)]
    standin.put_state(**state([certificate(DUE), certificate(FRESH, ["mail.example.net"])], queue,
                              domains=[domain(), domain("f", "example.net")]))
    before = standin.state()["tasks"]
    standin.clear_log()
    told = changes(standin.port, "--dry-run")
    assert standin.state()["tasks"] == before
    assert not any("x:Task/set" in request["body"] for request in standin.log())
    assert sorted(change["action"] for change in told) == \
        ["cleared", "destroyed", "destroyed", "postponed", "scheduled"]
    postponed, = [change for change in told if change["action"] == "postponed"]
    assert postponed["old_due"] == days(6) and postponed["old_reason"] == LIMITED
    table = sweep(standin.port, "--dry-run")
    assert table.splitlines()[0].split()[0] == "ACTION"
    assert table.count("\n") == 7 and "5 changes to be made" in table


def test_without_a_credential_it_says_so(standin):
    reason = sweep(standin.port, status=1, SERVICE_AUTHORIZATION="")
    assert "RENEWGATE_SERVICE_AUTHORIZATION" in reason


@pytest.mark.parametrize("user, password, words", [
    ("admin", "wrong", "does not know the credential"),
    ("blind", "secret", "may not read"),
])
def test_a_credential_that_does_not_do_is_named(standin, user, password, words):
    standin.put_state(**state([certificate(DUE)], refused(3)))
    reason = sweep(standin.port, status=1, SERVICE_AUTHORIZATION=basic(user, password))
    assert words in reason and password not in reason
    assert len(live_tasks(standin)) == 3


def test_a_credential_that_may_only_read_is_named(standin):
    standin.put_state(**state([certificate(DUE)], refused(3)))
    reason = sweep(standin.port, status=1, SERVICE_AUTHORIZATION=basic("reader"))
    assert "may not change tasks" in reason
    assert len(live_tasks(standin)) == 3


def test_an_unknown_option_is_refused(standin):
    assert "not understood" in sweep(standin.port, "--quickly", status=2)


# A server in trouble.

@pytest.mark.parametrize("fault", [{"status": 429}, {"status": 500}, {"status": 503},
                                   {"close": True}, {"delay_ms": 1500}])
@pytest.mark.parametrize("match", ["x:Task/query", "x:Domain/query", "attemptNumber"])
def test_it_stands_back_and_goes_on(standin, match, fault):
    standin.put_state(**state([certificate(DUE)], refused(5)))
    standin.fault(match=match, times=2, **fault)
    sweep(standin.port, LOOKUP_TIMEOUT="1s")
    assert only_task(standin)["status"]["attemptNumber"] == 0


@pytest.mark.parametrize("match, status, as_date", [
    ("x:Task/query", 429, False), ("x:Certificate/query", 503, True),
    ("attemptNumber", 500, False), ("attemptNumber", 429, True)])
def test_it_asks_again_when_the_server_said_and_not_before(standin, match, status, as_date):
    standin.put_state(**state([certificate(DUE)], refused(5)))
    standin.fault(match=match, status=status, retry_after=2, retry_after_date=as_date)
    sweep(standin.port)
    assert only_task(standin)["status"]["attemptNumber"] == 0
    assert [fault["met"] for fault in standin.faults()] == [1]


def test_a_lost_renewal_is_given_back_once_the_server_lets_it(standin):
    standin.put_state(**state([certificate(FRESH)]))
    standin.fault(match='"create"', status=429, retry_after=2)
    change, = changes(standin.port)
    assert (change["action"], change["id"]) == ("scheduled", only_task(standin)["id"])


def test_it_waits_for_five_minutes_at_most_and_stops_meanwhile(standin):
    standin.put_state(**state([certificate(DUE)], refused(5)))
    standin.fault(match="x:Task/query", status=503, retry_after=86400)
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin"), SWEEP_INTERVAL="1s") as gate:
        line, = gate.logged("wants a sweep to wait")
    assert (line["status"], line["milliseconds"]) == (503, 300000)


def test_no_create_waits_for_a_sweep_that_the_server_lets_wait(standin):
    standin.put_state(**state([certificate(DUE)], refused(5)))
    standin.fault(match="attemptNumber", status=429, retry_after=86400)
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin"), SWEEP_INTERVAL="1s") as gate:
        gate.logged("wants a sweep to wait")
        assert gate.renew() in {task["id"] for task in live_tasks(standin)}


@pytest.mark.parametrize("fault", [{"garbage": True}, {"body": "{}"},
                                   {"body": '{"methodResponses":[]}'}])
@pytest.mark.parametrize("match", ["x:Task/query", "x:Domain/query", "attemptNumber"])
def test_an_answer_that_makes_no_sense_ends_it(standin, match, fault):
    standin.put_state(**state([certificate(DUE)], refused(5)))
    standin.fault(match=match, times=-1, **fault)
    sweep(standin.port, status=1)
    assert len(live_tasks(standin)) == 5
    standin.clear_faults()
    sweep(standin.port)
    assert len(live_tasks(standin)) == 1


# A domain in trouble.

def three_domains(names=("bad.test", "good.test", "late.test")):
    """Each with twins."""
    queue = [retry(days(6), domain=id, id=numbered(i) + id) for id in "bcd" for i in range(2)]
    return state(tasks=queue, domains=[domain(id, name) for id, name in zip("bcd", names)])


@pytest.mark.parametrize("match", ['"b"', '"ids":["b"]', numbered(1) + "b"],
                         ids=["among others", "alone", "its tasks"])
def test_a_domain_that_gets_no_good_answer_is_passed_over(standin, match):
    standin.put_state(**three_domains())
    standin.fault(match=match, times=-1, body="{}")
    reason = sweep(standin.port, status=1)
    assert reason.count("\n") == 1 and "bad.test was passed over" in reason
    assert sorted(task["domainId"] for task in live_tasks(standin)) == ["b", "b", "c", "d"]


def test_a_renewal_that_the_server_does_not_take_is_passed_over(standin):
    fresh = [certificate(FRESH, [f"mail.{name}.test"]) for name in ("bad", "good")]
    standin.put_state(**state(fresh, domains=[domain("b", "bad.test"), domain("c", "good.test")]))
    standin.fault(match='"domainId":"b"', times=-1, body=json.dumps({"methodResponses": [
        ["x:Task/set", {"notCreated": {"r": {"type": "invalidForeignKey"}}}, "s"]]}))
    reason = sweep(standin.port, status=1)
    assert "bad.test was passed over: the server did not take its renewal" in reason
    assert only_task(standin)["domainId"] == "c"


def test_domains_that_are_passed_over_are_told_and_counted(standin):
    standin.put_state(**three_domains())
    standin.fault(match='"b"', times=-1, garbage=True)
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin"), SWEEP_INTERVAL="1s",
              SWEEP_RATE=1000) as gate:
        line = gate.logged("sweep passed over a domain")[0]
        done = gate.logged("sweep done")[0]
        metrics = gate.admin("/metrics")[1]
    assert (line["domain_id"], line["domain"]) == ("b", "bad.test")
    assert (done["skipped"], done["changes"]) == (1, 4)
    assert re.search(r"^renewgate_sweep_domains_skipped_total [1-9]", metrics, re.M)


@pytest.mark.parametrize("fault", [{"status": 401}, {"status": 403}])
def test_a_credential_that_is_refused_ends_it(standin, fault):
    standin.put_state(**three_domains())
    standin.fault(match="attemptNumber", times=-1, **fault)
    standin.clear_log()
    assert "did not come to its end" in sweep(standin.port, status=1)
    assert sum("attemptNumber" in request["body"] for request in standin.log()) == 1


def test_the_next_sweep_begins_behind_the_place_where_the_last_one_ended(standin):
    standin.put_state(**three_domains())
    standin.fault(match=numbered(0) + "b", times=-1, status=403)
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin"), SWEEP_INTERVAL="1s",
              SWEEP_RATE=1000) as gate:
        gate.logged("sweep given up", 2)
        until(lambda: len(live_tasks(standin)) == 4)
    standin.clear_faults()
    assert sorted(task["domainId"] for task in live_tasks(standin)) == ["b", "b", "c", "d"]


def test_the_gate_stops_in_the_middle_of_a_sweep(standin):
    standin.put_state(**state([certificate(DUE)], refused(5)))
    standin.clear_log()
    standin.fault(match="x:Task/query", times=-1, hang=True)
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin"), SWEEP_INTERVAL="1s",
              LOOKUP_TIMEOUT="1h"):
        until(lambda: any("x:Task/query" in request["body"] for request in standin.log()))
    standin.clear_faults()


# Killed at any moment.

class Watcher(HttpServer):
    """
    Stands between a sweep and the server. Looks at the queue after each write, and ends the sweep
    at one of them: before the server has it, or before the sweep has the answer.
    """

    def __init__(self, server, fatal, before):
        self.behind, self.fatal, self.before = server, fatal, before
        self.writes, self.process, self.least = 0, None, None
        super().__init__()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def met(self, body):
        """A request, before the server has it."""

    def look(self):
        count = len(live_tasks(self.behind))
        self.least = count if self.least is None else min(self.least, count)

    def answer(self, method, target, fields, body):
        self.met(body)
        writes = b"x:Task/set" in body
        self.writes += writes
        fatal = writes and self.writes == self.fatal
        if fatal and self.before:
            self.kill()
            return None
        answer = pass_on(self.behind.port, method, target, fields, body)
        if writes:
            self.look()
        if fatal:
            self.kill()
            return None
        return answer


def sweep_until_killed(server, fatal, before):
    """True when the sweep came to its end without that many writes."""
    with Watcher(server, fatal, before) as watcher:
        watcher.process = subprocess.Popen([binary("renewgate"), "sweep"],
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                           env=environment(watcher.port))
        status = watcher.process.wait(60)
    assert status in (0, -signal.SIGKILL)
    assert watcher.least is None or watcher.least > 0, "the domain's last task was gone"
    return status == 0


def summary(server):
    """All but the ids of tasks made anew, and when; and when exactly what is due now."""
    soon = stamp(NOW + datetime.timedelta(hours=1))
    return sorted((task["domainId"], task["status"]["@type"], max(task["status"]["due"], soon),
                   task["status"].get("attemptNumber")) for task in live_tasks(server))


@pytest.mark.parametrize("before", [True, False], ids=["before it", "after it"])
def test_killed_at_any_write_the_next_sweep_ends_in_the_same_state(standin, before):
    queue = refused(450) + [failed(NOT_DUE), failed("Rate limited. Retry after 777600 seconds",
                                                    id="jp173xlcazab")]
    lost = ["example.net", "example.com"]
    queue += [retry(days(6), domain="h", id=numbered(i) + "h") for i in range(3)]
    beginning = state([certificate(DUE)] + [certificate(FRESH, ["mail." + name]) for name in lost],
                      queue, domains=[domain(), domain("d", "due.test"), domain("f", lost[0]),
                                      domain("g", lost[1]), domain("h", "twins.test")])
    standin.put_state(**beginning)
    sweep(standin.port)
    expected = summary(standin)
    assert len(expected) == 5
    for fatal in range(1, 20):
        standin.put_state(**beginning)
        ended = sweep_until_killed(standin, fatal, before)
        sweep(standin.port)
        assert summary(standin) == expected
        if ended:
            break
    assert ended and fatal > 7


@pytest.mark.parametrize("before", [True, False], ids=["before it", "after it"])
def test_killed_among_those_that_are_due_the_next_sweep_ends_in_the_same_state(standin, before):
    beginning = state(tasks=[task(id=numbered(i)) for i in range(450)])
    for fatal in range(1, 20):
        standin.put_state(**beginning)
        ended = sweep_until_killed(standin, fatal, before)
        sweep(standin.port)
        assert only_task(standin)["id"] == min(task["id"] for task in beginning["tasks"])
        if ended:
            break
    assert ended and fatal > 2
