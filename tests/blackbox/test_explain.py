"""`renewgate explain DOMAIN`, and the same in /status.json: what would be decided now, and why."""

import contextlib
import datetime
import http.client
import itertools
import json
import subprocess
import threading
import urllib.parse

import pytest

from gate import Gate
from standin import basic, binary
from test_decisions import failed, issued
from test_dns import dns_task
from test_gate import (DUE, EXPIRED, FRESH, LATER, SOON, certificate, days, domain, retry, state,
                       task)
from test_sweep import environment

OTHER = "jp173xlcamqb"
QUIET = {"SERVICE_AUTHORIZATION": basic(), "SWEEP_INTERVAL": "off", "SURVEY_INTERVAL": "off"}

CERTIFICATES = {
    "none": [],
    "fresh": [certificate(FRESH)],
    "due": [certificate(DUE)],
    "expired": [certificate(EXPIRED)],
    "limit": [issued(hours) for hours in (10, 8, 6, 4, 2)],
}
TASKS = {
    "none": [],
    "running": [task(SOON)],
    "later": [task(LATER)],
    "next": [task(days(57))],
    "refused": [retry(days(6))],
    "retried": [retry(LATER, "connection refused")],
    "twins": [task(days(5)), task(days(9), id=OTHER)],
    "refused twin": [retry(days(6)), task(days(57), id=OTHER)],
    "failed": [failed("Order invalid")],
    "failed refused": [failed("Rate limited. Retry after 86400 seconds")],
    "failed validation": [failed("Authentication failed: no")],
    "stuck": [task(days(-1))],
}


def explain(port, *arguments, status=0, **settings):
    ended = subprocess.run([binary("renewgate"), "explain", *arguments], capture_output=True,
                           timeout=120, env=environment(port, **settings))
    errors = ended.stderr.decode()
    assert "Sanitizer" not in errors and "runtime error" not in errors, errors
    assert ended.returncode == status, errors
    assert (errors == "") == (status == 0), errors
    return ended.stdout.decode() if status == 0 else errors


def explained(gate, name="example.org"):
    status, body = gate.admin("/status.json?domain=" + urllib.parse.quote(name))
    assert status == 200
    return json.loads(body)["explanation"]


def same(explanation, decision):
    create = explanation["create"]
    assert (create["row"], create["outcome"]) == (decision["row"], decision["outcome"]), \
        (explanation, decision)
    assert decision["why"] in (create["why"], explanation["unread"])
    if create["id"]:
        assert create["id"] == decision["id"]
    if create["outcome"] in ("schedule", "move"):
        apart = datetime.datetime.fromisoformat(create["due"]) - \
            datetime.datetime.fromisoformat(decision["due"])
        assert abs(apart) < datetime.timedelta(seconds=10)  # where it counts from now
    rows = explanation["rows"]
    assert [row["fits"] for row in rows] == [False] * (len(rows) - 1) + [True]
    assert rows[-1]["row"] == create["row"]


@pytest.mark.parametrize("not_due", ["noop", "schedule"])
def test_a_create_gets_what_was_explained(standin, not_due):
    """Over many states, each of a domain of its own, since the gate remembers what it has seen."""
    rows = set()
    with Gate(standin.port, NOT_DUE=not_due, **QUIET) as gate:
        for count, (stored, queued) in enumerate(itertools.product(CERTIFICATES, TASKS), 1):
            id, name = "bcd"[count // 26] + chr(ord("a") + count % 26), f"d{count}.test"
            standin.put_state(**state(
                [{**each, "subjectAlternativeNames": {f"mail.{name}": True}}
                 for each in CERTIFICATES[stored]],
                [{**each, "domainId": id} for each in TASKS[queued]], domains=[domain(id, name)]))
            before = standin.state()
            told = explained(gate, name)
            if count % 15 == 0:
                command = json.loads(explain(standin.port, name, "--json", NOT_DUE=not_due))
                assert command["create"]["row"] == told["create"]["row"]
            assert standin.state()["tasks"] == before["tasks"]
            gate.renew(id)
            same(told, gate.decisions(count)[-1])
            rows.add(told["create"]["row"])
    assert rows == {1, 2, 3, 4 if not_due == "noop" else 5, 6, 7, 8}


@pytest.mark.parametrize("due, row", [(SOON, 2), (LATER, 8)], ids=["due", "later"])
def test_a_dns_task_that_renews_is_explained(standin, due, row):
    standin.put_state(**state([certificate(DUE)], [dns_task(due=due)]))
    with Gate(standin.port, **QUIET) as gate:
        told = explained(gate)
        assert json.loads(explain(standin.port, "example.org", "--json"))["create"] == \
            told["create"]
        gate.renew()
        same(told, gate.decisions(1)[-1])
    assert told["create"]["row"] == row


def test_a_domain_that_is_managed_by_hand(standin):
    manual = {**domain(), "certificateManagement": {"@type": "Manual", "acmeProviderId": "c"}}
    standin.put_state(**state([certificate(FRESH)], domains=[manual]))
    with Gate(standin.port, **QUIET) as gate:
        told = explained(gate)
        gate.renew()
        same(told, gate.decisions(1)[-1])
    assert told["automatic"] is False


@pytest.mark.parametrize("failure", ["forward", "refuse"])
def test_what_cannot_be_read_is_explained(standin, failure):
    """Rows 9 and 10; and the one that was let through before."""
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port, ON_LOOKUP_FAILURE=failure, **QUIET) as gate:
        for count in (1, 2):
            standin.fault(match="x:Certificate/", status=500, times=20)
            told = explained(gate)
            assert told["unread"]
            gate.renew()
            same(told, gate.decisions(count)[-1])
            standin.clear_faults()
    assert told["create"]["row"] == (9 if failure == "forward" else 10)


def test_the_accounts_limit_is_explained_and_not_spent(standin):
    names = [f"d{i}.test" for i in range(4)]
    domains = [domain("b")] + [domain(chr(ord("c") + i), name) for i, name in enumerate(names)]
    standin.put_state(**state(domains=domains))
    standin.clock(freeze=True)
    with Gate(standin.port, ACCOUNT_LIMIT="2/1h", **QUIET) as gate:
        for count, each in enumerate(["c", "d", "e"], 1):
            told = [explained(gate, names[count - 1]) for _ in range(3)]
            assert len({each["create"]["row"] for each in told}) == 1
            gate.renew(each)
            same(told[-1], gate.decisions(count)[-1])
    assert told[-1]["create"]["row"] == 6 and told[-1]["held"]["by"] == "account"
    assert told[-1]["held"]["sources"]["account"] == told[-1]["create"]["due"]


def test_the_facts(standin):
    standin.put_state(**state([issued(hours) for hours in (10, 8, 6, 4, 2)],
                              [failed("Order invalid"), retry(days(6))]))
    told = json.loads(explain(standin.port, "EXAMPLE.org", "--json"))
    assert told["domain"] == "example.org" and told["id"] == "b" and told["automatic"]
    assert told["names"] == ["mail.example.org"]
    assert told["certificate"]["read"] == 5
    assert {(each["state"], each["reason"]) for each in told["tasks"]} == {
        ("Failed", "Order invalid"), ("Retry", "Rate limited. Retry after 604800 seconds")} or \
        {each["state"] for each in told["tasks"]} == {"Failed", "Retry"}
    assert told["bucket"]["limit"] == 5 and told["bucket"]["issued"] == 5
    assert told["bucket"]["empty_until"]
    assert told["held"]["now"] and told["held"]["until"] == max(
        time for time in told["held"]["sources"].values() if time)


def test_as_text(standin):
    standin.put_state(**state([certificate(DUE)], [failed("Order invalid\x1b[31m"), task(LATER)]))
    told = explain(standin.port, "example.org")
    assert "a create now: move, row 7" in told or "a create now: move, row 6" in told
    assert "\x1b" not in told and "Order invalid" in told
    assert "YES  row" in told and "no   row 1" in told
    assert "mail.example.org" in told and LATER in told


def test_where_there_is_nothing_to_explain(standin):
    standin.put_state(**state())
    assert "no domain of that name" in explain(standin.port, "example.net", status=2)
    assert "RENEWGATE_SERVICE_AUTHORIZATION" in explain(standin.port, "example.org", status=2,
                                                        SERVICE_AUTHORIZATION="")
    assert "not understood" in explain(standin.port, status=2)
    assert "not understood" in explain(standin.port, "a", "b", status=2)
    wrong = basic(password="wrong")
    assert "no explanation" in explain(standin.port, "example.org", status=2,
                                       SERVICE_AUTHORIZATION=wrong)


def test_help(standin):
    told = subprocess.run([binary("renewgate"), "explain", "--help"], capture_output=True,
                          timeout=60, check=True)
    assert told.stdout.startswith(b"renewgate explain DOMAIN: ") and not told.stderr


def test_the_status_page_asks_for_whole_names_only(standin):
    """A part of a name is a filter, and costs the server nothing."""
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port, **QUIET) as gate:
        gate.renew()
        standin.clear_log()
        assert explained(gate, "example") is None
        assert standin.log() == []
        assert explained(gate, "example.ORG")["create"]["row"] == 4
        assert explained(gate, "example.net")["error"] == "the server has no domain of that name"


def test_the_page_shows_it_to_people(standin):
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port, **QUIET) as gate:
        gate.renew()
        page = gate.admin("/?domain=example.org")[1]
        assert "A create now for " in page and "noop: the certificate is fresh" in page
        asked = len(explained(gate, "example.org")["rows"])
        assert asked > 1
        assert page.count("<td>no</td></tr>") == asked - 1 and page.count("<td>yes</td></tr>") == 1
        assert "A create now for" not in gate.admin("/?domain=exampl")[1]
        assert "No explanation: the server has no domain of that name." in \
            gate.admin("/?domain=other.org")[1]


def test_without_a_credential_there_is_no_explanation(standin):
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port) as gate:
        gate.renew()
        assert explained(gate) is None


def test_a_stop_does_not_wait_for_an_explanation(standin):
    """Whose server says nothing."""
    def ask():
        with contextlib.suppress(http.client.HTTPException):
            explained(gate)

    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port, LOOKUP_TIMEOUT="60s", DRAIN_TIMEOUT="1s", **QUIET) as gate:
        standin.fault(match="x:Domain/query", delay_ms=30000)
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        while not any("x:Domain/query" in str(entry) for entry in standin.log()):
            asking.join(0.01)
    asking.join(10)
    assert not asking.is_alive()
