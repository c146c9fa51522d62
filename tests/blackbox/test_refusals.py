"""What a refusal or a failure of the CA means for whoever asks again."""

import datetime
import json

import pytest

from gate import Gate
from standin import basic
from test_audit import only
from test_decisions import failed
from test_gate import (FRESH, NOW, certificate, days, domain, live_tasks, retry, stamp, state,
                       task)
from test_sweep import changes, until


def parse(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(
        tzinfo=datetime.timezone.utc)


def now_of(standin):
    return parse(standin.clock()["now"])


def is_due_in(standin, task, span):
    """Give or take what the gate's clock has gone on while the stand-in's stood still."""
    waits = parse(task["status"]["due"]) - now_of(standin)
    return abs(waits - span) < datetime.timedelta(minutes=1)


DAY = datetime.timedelta(days=1)
HOUR = datetime.timedelta(hours=1)


# A Retry-After without sense.

ABSURD = [9223372036854775807, 4611686018427387904, 3153600000]


@pytest.mark.parametrize("seconds", ABSURD)
def test_an_absurd_retry_after_holds_for_a_month_at_most(standin, gate, seconds):
    """The server itself writes a due time that it cannot read."""
    standin.put_state(**state(now=stamp(NOW), frozen=True, ca={"refuse": True,
                                                               "refuse_seconds": seconds}))
    task = gate.renew()
    standin.run()
    assert gate.renew() == task
    only, = live_tasks(standin)
    assert only["id"] == task and is_due_in(standin, only, 31 * DAY)
    standin.ca(refuse=False)
    standin.clock(advance=31 * 86400 + 60)
    assert gate.renew() == task
    assert standin.run() == 1 and standin.counters()["certificates"] == 1


@pytest.mark.parametrize("seconds", ABSURD)
def test_an_absurd_refusal_of_a_failed_task_is_no_time_for_the_server(standin, gate, seconds):
    reason = f"Rate limited. Retry after {seconds} seconds"
    standin.put_state(**state(tasks=[failed(reason)], now=stamp(NOW), frozen=True))
    task = gate.renew()
    assert task and gate.renew() == task
    only, = live_tasks(standin)
    assert is_due_in(standin, only, 31 * DAY - datetime.timedelta(minutes=10))


def test_a_renewal_beyond_the_servers_calendar(standin):
    """A certificate without an end: its renewal is queued for the last moment that can be told."""
    endless = {"notValidBefore": days(-3), "notValidAfter": "3000-12-31T23:59:59Z"}
    standin.put_state(**state([certificate(endless)], renew_before="R45"))
    with Gate(standin.port, NOT_DUE="schedule") as gate:
        task = gate.renew()
    only, = live_tasks(standin)
    assert only["id"] == task


# A certificate's common name.

def test_a_common_name_that_is_no_host_does_not_count(standin, gate):
    standin.put_state(**state(ca={"common_name": "Example Corp Mail Server"}))
    assert gate.renew()
    standin.run()
    only, = live_tasks(standin)
    assert {gate.renew() for _ in range(5)} == {only["id"]}
    standin.run()
    assert standin.counters()["orders"] == 1


# What fails for good is not asked again and again.

FAILS = {
    "a wildcard with Http01": dict(domains=[domain(names=("*.example.org",))]),
    "certificates too short to be stored": dict(ca={"lifetime_seconds": 1800}),
    "invalid orders": dict(ca={"invalid": "urn:ietf:params:acme:error:badCSR: no"}),
}


def ask_for(standin, gate, hours):
    """Asks every ten minutes, and runs what is due; the ids answered."""
    ids = []
    for _ in range(hours * 6):
        ids.append(gate.renew())
        standin.run()
        standin.clock(advance=600)
    return ids


@pytest.mark.parametrize("why", FAILS)
def test_what_fails_for_good_is_asked_for_less_and_less(standin, gate, why):
    standin.put_state(**state(now=stamp(NOW), **FAILS[why]))
    ask_for(standin, gate, 8)
    # At once, and after waits of one, two and four hours.
    assert standin.counters()["orders"] == 4
    waiting, = live_tasks(standin)
    assert gate.renew() == waiting["id"]
    last = gate.decisions(49)[-1]
    assert last["row"] == 6 and "its orders fail" in last["why"] and last["failure"]


def test_fifteen_creates_in_a_row_are_one_order(standin, gate):
    standin.put_state(**state(**FAILS["a wildcard with Http01"]))
    ids = []
    for _ in range(15):
        ids.append(gate.renew())
        standin.run()
    assert standin.counters()["orders"] == 1
    assert len(set(ids)) == 2
    waiting, = live_tasks(standin)
    assert is_due_in(standin, waiting, HOUR) and waiting["id"] == ids[-1]


@pytest.mark.parametrize("ca", [
    {"lifetime_seconds": 1800},
    {"discard": "Registry error: ValidationError { errors: [Required { property: Issuer }] }"},
    {"discard": "Cryptographic error: Failed to parse X.509 certificate: Parsing Error"},
], ids=["too short", "not stored", "not read"])
def test_certificates_that_were_thrown_away_use_up_the_limit(standin, ca):
    standin.put_state(**state(ca={**ca, "limit": "off"}))
    with Gate(standin.port, FAILURE_BACKOFF="off") as gate:
        for _ in range(15):
            gate.renew()
            standin.run()
        assert standin.counters()["certificates"] == 5
        waiting, = live_tasks(standin)
        assert is_due_in(standin, waiting, datetime.timedelta(hours=33.6))


def test_a_backoff_can_be_switched_off(standin):
    standin.put_state(**state(**FAILS["invalid orders"]))
    with Gate(standin.port, FAILURE_BACKOFF="off") as gate:
        for _ in range(3):
            gate.renew()
            standin.run()
    assert standin.counters()["orders"] == 3


def test_a_force_ends_it(standin):
    standin.put_state(**state(**FAILS["invalid orders"]))
    with Gate(standin.port, FORCE="allow") as gate:
        for headers in ({}, {}, {"Renewgate-Force": "1"}):
            gate.renew(headers=headers)
            standin.run()
    assert standin.counters()["orders"] == 2


def test_failed_validations_count_too(standin):
    """The server tries three times within a run, and the CA takes five failures an hour."""
    reason = 'Authentication failed: "Status: invalid"'
    standin.put_state(**state(tasks=[failed(reason, id="jp173xlcamqb"),
                                     failed(reason, id="jp173xlcamqc")]))
    with Gate(standin.port, FORCE="allow") as gate:
        task = gate.renew(headers={"Renewgate-Force": "1"})
        assert "validations" in gate.decisions(1)[-1]["why"]
    waiting, = live_tasks(standin)
    assert waiting["id"] == task
    # Three of twelve minutes each, of which ten are over.
    assert is_due_in(standin, waiting, datetime.timedelta(minutes=26))


# A refusal and a failure are of the names, the CA and the settings that they were for.

OTHER_CA = {"id": "d", "challengeType": "Http01", "renewBefore": "R23", "maxRetries": 10,
            "directory": "https://localhost:14002/dir"}
CHANGES = {
    "another name": {"certificateManagement/subjectAlternativeNames/www": True},
    "another provider": {"certificateManagement/acmeProviderId": "d"},
}


def change(gate, patch, id="b"):
    (_, answer), = gate.call(["x:Domain/set", {"update": {id: patch}}])
    assert id in answer["updated"], answer


@pytest.mark.parametrize("what", CHANGES)
def test_a_refusal_ends_with_what_it_was_for(standin, gate, what):
    providers = state()["providers"] + [OTHER_CA]
    standin.put_state(**state(providers=providers, ca={"refuse": True, "refuse_seconds": 604800}))
    task = gate.renew()
    standin.run()
    assert {gate.renew() for _ in range(3)} == {task}
    standin.ca(refuse=False)
    change(gate, CHANGES[what])
    assert gate.renew() == task
    waiting, = live_tasks(standin)
    assert is_due_in(standin, waiting, datetime.timedelta(0))
    assert gate.renew() == task
    standin.run()
    assert standin.counters()["certificates"] == 1
    following, = live_tasks(standin)
    assert gate.renew() == following["id"] != task


@pytest.mark.parametrize("what", CHANGES)
def test_a_sweep_moves_what_was_refused_for_something_else(standin, what):
    providers = state()["providers"] + [OTHER_CA]
    standin.put_state(**state(providers=providers, ca={"refuse": True, "refuse_seconds": 604800}))
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin"), SWEEP_INTERVAL="1s",
              SWEEP_RATE=1000) as gate:
        task = gate.renew()
        standin.run()
        assert gate.renew() == task
        standin.ca(refuse=False)
        change(gate, CHANGES[what])
        until(lambda: is_due_in(standin, live_tasks(standin)[0], datetime.timedelta(0)))
        assert [each["id"] for each in live_tasks(standin)] == [task]
        standin.run()
    assert standin.counters()["certificates"] == 1


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("first", ["create", "change"])
def test_a_refusal_ends_with_a_change_in_the_same_request(standin, gate, what, first):
    providers = state()["providers"] + [OTHER_CA]
    standin.put_state(**state(providers=providers, ca={"refuse": True, "refuse_seconds": 604800}))
    task = gate.renew()
    standin.run()
    assert gate.renew() == task
    standin.ca(refuse=False)
    calls = [["x:Domain/set", {"update": {"b": CHANGES[what]}}],
             ["x:Task/set", {"create": {"k": {"@type": "AcmeRenewal", "domainId": "b"}}}]]
    answers = gate.call(*(calls if first == "change" else reversed(calls)))
    assert {"x:Domain/set", "x:Task/set"} == {name for name, _ in answers}
    waiting, = live_tasks(standin)
    assert waiting["id"] == task and is_due_in(standin, waiting, datetime.timedelta(0))
    standin.run()
    assert standin.counters()["certificates"] == 1


def test_a_refusal_after_the_change_holds(standin, gate):
    standin.put_state(**state(ca={"refuse": True, "refuse_seconds": 604800}))
    task = gate.renew()
    standin.run()
    assert gate.renew() == task
    change(gate, CHANGES["another name"])
    gate.renew()
    standin.run()
    assert {gate.renew() for _ in range(3)} == {task}
    waiting, = live_tasks(standin)
    assert is_due_in(standin, waiting, 7 * DAY)


def test_while_fresh_the_next_renewal_stays_beside_a_refused_retry(standin, gate):
    standin.put_state(**state([certificate(FRESH)],
                              [retry(days(6)), task(days(57), id="jp173xlcamqb")]))
    for _ in range(2):
        assert gate.renew() == "jp173xlcamqb"
        left, = live_tasks(standin)
        assert left["id"] == "jp173xlcamqb" and left["status"]["due"] == days(57)


@pytest.mark.parametrize("patch", [
    {"certificateManagement/subjectAlternativeNames": {"mail": True}},
    {"certificateManagement/acmeProviderId": "d"},
], ids=["its names", "its provider"])
def test_a_change_ends_the_wait_after_failures(standin, gate, patch):
    standin.put_state(**state(providers=state()["providers"] + [OTHER_CA],
                              **FAILS["a wildcard with Http01"]))
    for _ in range(3):
        gate.renew()
        standin.run()
    assert standin.counters()["orders"] == 1
    change(gate, patch)
    gate.renew()
    assert standin.run() == 1 and standin.counters()["orders"] == 2


def test_a_change_of_the_provider_ends_the_wait_after_failures(standin, gate):
    standin.put_state(**state(**FAILS["a wildcard with Http01"]))
    for _ in range(3):
        gate.renew()
        standin.run()
    changed = standin.state()
    changed["providers"][0]["challengeType"] = "Dns01"
    standin.put_state(**changed)
    gate.renew()
    standin.run()
    assert standin.counters()["certificates"] == 1


def test_a_write_that_changes_nothing_ends_no_wait(standin, gate):
    standin.put_state(**state(**FAILS["invalid orders"]))
    for _ in range(5):
        change(gate, {"certificateManagement/subjectAlternativeNames": {"mail": True}})
        gate.renew()
        standin.run()
    assert standin.counters()["orders"] == 1


# The account's limit.

def many(count, **more):
    return state(generate={"domains": count, "suffix": "test",
                           "subjectAlternativeNames": {"mail": True}, **more})


def dues(standin):
    now = now_of(standin)
    return sorted((parse(task["status"]["due"]) - now).total_seconds()
                  for task in live_tasks(standin))


def generated(standin):
    return [each["id"] for each in standin.state()["domains"] if each["name"].endswith(".test")]


def assert_spread(waits, at_once=300, interval=36):
    """So many at once, and each other one an interval after the one before it."""
    assert len([wait for wait in waits if wait <= 5]) == at_once
    rest = waits[at_once:]
    assert all(abs(wait - (n + 1) * interval) < 35 for n, wait in enumerate(rest)), rest
    assert len(set(rest)) == len(rest)


def test_four_hundred_due_domains_in_one_request(standin, gate):
    standin.put_state(**many(400))
    ids = generated(standin)
    for _ in range(2):
        (_, answer), = gate.call(["x:Task/set", {"create": {
            id: {"@type": "AcmeRenewal", "domainId": id} for id in ids}}])
        assert len(answer["created"]) == 400
        assert_spread(dues(standin))
    assert len(live_tasks(standin)) == 400


def test_creates_one_by_one(standin):
    standin.put_state(**many(12))
    with Gate(standin.port, ACCOUNT_LIMIT="10/10h") as gate:
        for _ in range(2):
            for id in generated(standin):
                gate.renew(id)
            assert_spread(dues(standin), 10, 3600)
        last = gate.decisions(12)[11]
        assert last["row"] == 6 and "account" in last["why"]


def test_those_that_were_spread_leave_no_token(standin):
    """All at once, and one for each that came since: that was longer than the limit's window ago."""
    standin.put_state(**many(8))
    ids = generated(standin)
    with Gate(standin.port, ACCOUNT_LIMIT="3/3h") as gate:
        for id in ids[:7]:
            gate.renew(id)
        for _ in range(49):  # each at its time
            standin.run()
            standin.clock(advance=300)
        assert standin.counters()["orders"] == 7
        gate.renew(ids[7])
        gate.renew(ids[6])  # which brings what is known of it up to date
        waits = dues(standin)
    assert 3000 < waits[0] < 3600


def test_a_refused_create_takes_no_token(standin):
    standin.put_state(**many(3))
    with Gate(standin.port, ACCOUNT_LIMIT="1/1h") as gate:
        first, second, third = generated(standin)
        assert gate.renew(first, user="reader")["type"] == "forbidden"
        assert gate.renew(second, bogus=1)["type"] != "forbidden"
        gate.renew(third)
    only, = live_tasks(standin)
    assert is_due_in(standin, only, datetime.timedelta(0))


def test_what_was_issued_and_what_is_due_counts(standin):
    """Certificates of the last hours, and tasks that run."""
    standin.put_state(**many(3), )
    first, second, third = generated(standin)
    issued = stamp(NOW - datetime.timedelta(minutes=10))
    standin.add(certificates=[certificate({"notValidBefore": issued, "notValidAfter": days(3)},
                                          ["mail.d0.test"])], tasks=[task(domain=second)])
    with Gate(standin.port, ACCOUNT_LIMIT="2/2h") as gate:
        gate.renew(first)
        gate.renew(third)
    waiting, = [each for each in live_tasks(standin) if each["domainId"] == third]
    assert is_due_in(standin, waiting, datetime.timedelta(minutes=50))


def test_each_provider_has_its_own(standin):
    other = domain("c", "example.net") | {"certificateManagement": {
        "@type": "Automatic", "acmeProviderId": "d", "subjectAlternativeNames": {"mail": True}}}
    standin.put_state(**state(providers=state()["providers"] + [OTHER_CA],
                              domains=[domain(), other]))
    with Gate(standin.port, ACCOUNT_LIMIT="1/1h") as gate:
        gate.renew("b")
        gate.renew("c")
    assert all(wait <= 5 for wait in dues(standin))


def test_observing_takes_no_token(standin):
    standin.put_state(**many(3))
    with Gate(standin.port, ACCOUNT_LIMIT="1/1h", MODE="observe") as gate:
        for id in generated(standin):
            gate.renew(id)
        assert {decision["row"] for decision in gate.decisions(3)} <= {6, 8}
    assert all(wait <= 5 for wait in dues(standin))


def test_a_failure_behind_many_others_counts(standin, gate):
    """Of a long list of Failed tasks only the first are read; those that were seen, by their ids."""
    standin.put_state(**state(domains=[domain(), domain("c", "example.net")],
                              **{"ca": {"invalid": "no"}}))
    gate.renew()
    standin.run()
    letters = "abcdefghijklmnopqrstuvwxyz"
    standin.add(tasks=[{**failed("Order is invalid: no", id=f"{c}zzzzzzzzz{a}{b}"), "domainId": "c"}
                       for a in letters for b in letters[:8] for c in "bz"])
    for _ in range(5):
        gate.renew()
        standin.run()
    assert standin.counters()["orders"] == 1


# What the CA has issued counts after it is gone.

def destroy_certificates(gate):
    (_, found), = gate.call(["x:Certificate/query", {}])
    (_, answer), = gate.call(["x:Certificate/set", {"destroy": found["ids"]}])
    assert "notDestroyed" not in answer
    return found["ids"]


def in_one_request(gate):
    (_, found), = gate.call(["x:Certificate/query", {}])
    gate.call(["x:Certificate/set", {"destroy": found["ids"]}],
              ["x:Task/set", {"create": {"k": {"@type": "AcmeRenewal", "domainId": "b"}}}])


def create_first(gate):
    (_, found), = gate.call(["x:Certificate/query", {}])
    gate.call(["x:Task/set", {"create": {"k": {"@type": "AcmeRenewal", "domainId": "b"}}}],
              ["x:Certificate/set", {"destroy": found["ids"]}])


def one_by_one(gate):
    destroy_certificates(gate)
    gate.renew()


@pytest.mark.parametrize("again", [in_one_request, create_first, one_by_one])
@pytest.mark.parametrize("account", ["off", "300/3h"])
def test_a_destroyed_certificate_counts_on(standin, again, account):
    standin.put_state(**state(ca={"limit": "off"}))
    with Gate(standin.port, ISSUE_LIMIT="3/168h", ACCOUNT_LIMIT=account) as gate:
        gate.renew()
        standin.run()
        for _ in range(4):
            standin.clock(advance=60)
            again(gate)
            standin.run()
        assert standin.counters()["orders"] == 3
        waiting, = live_tasks(standin)
        wait = parse(waiting["status"]["due"]) - now_of(standin)
        assert abs(wait - 56 * HOUR) < 2 * HOUR
        last = gate.decisions(5)[-1]
        assert last["row"] == 6 and "CA would refuse" in last["why"]


def test_a_task_that_someone_has_removed_is_no_order(standin):
    """What is taken away before it runs has issued nothing."""
    standin.put_state(**state(ca={"limit": "off"}))
    with Gate(standin.port, ISSUE_LIMIT="2/168h") as gate:
        for _ in range(5):
            task = gate.renew()
            changed = standin.state()
            changed["tasks"] = []
            standin.put_state(**{**changed, "frozen": False})
        assert gate.renew() != task
        waiting, = live_tasks(standin)
        assert is_due_in(standin, waiting, datetime.timedelta(0))


def test_destroyed_certificates_count_for_the_account(standin):
    standin.put_state(**state(ca={"limit": "off"}, domains=[domain(), domain("c", "example.net")]))
    with Gate(standin.port, ISSUE_LIMIT="off", ACCOUNT_LIMIT="3/3h") as gate:
        gate.renew()
        standin.run()
        for _ in range(2):
            standin.clock(advance=60)
            in_one_request(gate)
            standin.run()
        assert standin.counters()["orders"] == 3
        gate.renew("c")
    waiting, = [each for each in live_tasks(standin) if each["domainId"] == "c"]
    assert parse(waiting["status"]["due"]) - now_of(standin) > datetime.timedelta(seconds=30)


# What another CA has issued does not hold back the one that is asked now.

def issued_lately(issuer):
    """As many as a CA gives in a week for one set of names, all of them due."""
    return [certificate({"notValidBefore": stamp(NOW - datetime.timedelta(hours=2, minutes=n)),
                         "notValidAfter": stamp(NOW + datetime.timedelta(minutes=50))},
                        issuer=issuer) for n in range(5)]


ZEROSSL = "C=AT, O=ZeroSSL, CN=ZeroSSL ECC Domain Secure Site CA"
LETS_ENCRYPT = "C=US, O=Let's Encrypt, CN=R11"


@pytest.mark.parametrize("issuer, held", [(LETS_ENCRYPT, False), (ZEROSSL, True)])
def test_certificates_of_another_ca_do_not_count(standin, gate, issuer, held):
    zerossl = {"directory": "https://acme.zerossl.com/v2/DV90"}
    standin.put_state(**state(issued_lately(issuer),
                              providers=[{**state()["providers"][0], **zerossl}]))
    gate.renew()
    waiting, = live_tasks(standin)
    assert is_due_in(standin, waiting, datetime.timedelta(0)) != held
    found = only(standin.port, status=int(held))
    assert (found["certificates"]["recent"] == 5) == held


@pytest.mark.parametrize("issuer, directory, held", [
    ("CN=Test CA", "https://localhost:14002/dir", False),
    ("CN=Test CA", "https://localhost/other", True),
    (LETS_ENCRYPT, "https://acme-v02.api.letsencrypt.org/directory", True),
    (LETS_ENCRYPT, "https://localhost:14002/dir", False),
])
def test_what_was_issued_before_a_change_of_the_provider_was_its_cas(standin, gate, issuer,
                                                                     directory, held):
    """By the issuer's name one cannot always tell; but they were there before."""
    other = {**OTHER_CA, "directory": directory}
    standin.put_state(**state(issued_lately(issuer),
                              providers=state()["providers"] + [other]))
    gate.renew()
    waiting, = live_tasks(standin)
    assert is_due_in(standin, waiting, 31 * HOUR + datetime.timedelta(minutes=32))
    change(gate, CHANGES["another provider"])
    assert gate.renew() == waiting["id"]
    waiting, = live_tasks(standin)
    assert is_due_in(standin, waiting, datetime.timedelta(0)) != held


# A refusal outlives the task that told of it.

def test_a_refusal_whose_task_the_request_destroys_is_kept(standin, gate):
    standin.put_state(**state(ca={"refuse": True, "refuse_seconds": 604800}))
    task = gate.renew()
    standin.run()
    assert gate.renew() == task
    for _ in range(4):
        (_, answer), = gate.call(["x:Task/set", {
            "create": {"k": {"@type": "AcmeRenewal", "domainId": "b"}}, "destroy": [task]}])
        task = answer["created"]["k"]["id"]
        for _ in range(2):
            assert gate.renew() == task or standin.version == "v0.16.5"
        task, = {each["id"] for each in live_tasks(standin)}
        standin.run()
        waiting, = live_tasks(standin)
        assert is_due_in(standin, waiting, 7 * DAY)
    assert standin.counters()["orders"] == 1


def test_a_refusal_is_kept_though_failures_hold_for_longer(standin, gate):
    failures = [fails("Order is invalid: no", 5 - i, f"jp173xlcamq{letter}")
                for i, letter in enumerate("bcdef")]
    refused = retry(stamp(NOW + 5 * HOUR), "Rate limited. Retry after 18000 seconds")
    standin.put_state(**state(tasks=[*failures, refused]))
    gate.call(["x:Task/set", {"create": {"k": {"@type": "AcmeRenewal", "domainId": "b"}},
                              "destroy": [each["id"] for each in [*failures, refused]]}])
    waiting, = live_tasks(standin)
    assert parse(waiting["status"]["due"]) - now_of(standin) > 4 * HOUR
    assert standin.run() == 0


def test_a_refusal_is_not_what_the_account_waits_for(standin):
    standin.put_state(**many(2))
    first, second = generated(standin)
    with Gate(standin.port, ACCOUNT_LIMIT="1/3h") as gate:
        gate.renew(first)
        create = ["x:Task/set", {"create": {"k": {"@type": "AcmeRenewal", "domainId": second}}}]
        gate.call(create, ["x:Domain/set", {"update": {second: {"description": "no change"}}}])
        assert "account" in gate.decisions(2)[-1]["why"]


@pytest.mark.parametrize("stale", ["what has failed", "all"])
@pytest.mark.parametrize("why", FAILS)
def test_the_wait_goes_on_though_the_request_destroys_what_failed(standin, gate, why, stale):
    """As a reconciler does that clears away what is there, and creates, in one call."""
    standin.put_state(**state(now=stamp(NOW), **FAILS[why]))
    for _ in range(8 * 6):
        there = failed_tasks(standin) + (live_tasks(standin) if stale == "all" else [])
        gate.call(["x:Task/set", {"create": {"k": {"@type": "AcmeRenewal", "domainId": "b"}},
                                  "destroy": [each["id"] for each in there]}])
        standin.run()
        standin.clock(advance=600)
    assert standin.counters()["orders"] == 4


@pytest.mark.parametrize("reason", ["Order is invalid: no",
                                    "Rate limited. Retry after 604800 seconds"])
def test_the_wait_goes_on_for_a_create_in_place_of_one_that_is_refused(standin, gate, reason):
    there = fails(reason, 0.1, "jp173xlcamqb")
    standin.put_state(**state(tasks=[there]))
    create = {"@type": "AcmeRenewal", "domainId": "b"}
    (_, answer), = gate.call(["x:Task/set", {"create": {"bad": {**create, "bogus": 1}, "k": create},
                                             "destroy": [there["id"]]}])
    waiting, = live_tasks(standin)
    assert waiting["id"] == answer["created"]["k"]["id"]
    assert parse(waiting["status"]["due"]) - now_of(standin) > HOUR / 2
    assert standin.run() == 0


def test_failed_validations_count_on_after_their_tasks(standin):
    there = failed('Authentication failed: "Status: invalid"')
    standin.put_state(**state(tasks=[there]))
    with Gate(standin.port, FAILURE_BACKOFF="off") as gate:
        task = gate.renew()
        gate.call(["x:Task/set", {"destroy": [there["id"]]}])
        assert gate.renew() == task
        assert "validations" in gate.decisions(2)[-1]["why"]
    assert standin.run() == 0


@pytest.mark.parametrize("stale", ["what has failed", "all"])
def test_a_force_ends_a_wait_that_goes_on_so(standin, stale):
    standin.put_state(**state(**FAILS["invalid orders"]))
    with Gate(standin.port, FORCE="allow") as gate:
        gate.renew()
        standin.run()
        for forced in (False, True):
            there = failed_tasks(standin) + (live_tasks(standin) if stale == "all" else [])
            gate.call(["x:Task/set", {"create": {"k": {"@type": "AcmeRenewal", "domainId": "b"}},
                                      "destroy": [each["id"] for each in there]}],
                      headers={"Renewgate-Force": "1"} if forced else {})
            assert standin.run() == forced


def test_who_takes_what_failed_away_alone_ends_the_wait(standin, gate):
    standin.put_state(**state(**FAILS["invalid orders"]))
    for _ in range(3):
        gate.renew()
        standin.run()
    there = failed_tasks(standin) + live_tasks(standin)
    (_, answer), = gate.call(["x:Task/set", {"destroy": [each["id"] for each in there]}])
    gate.renew()
    assert standin.run() == ("destroyed" in answer)


def test_who_takes_the_waiting_task_away_ends_it(standin, gate):
    standin.put_state(**state(ca={"refuse": True, "refuse_seconds": 604800}))
    task = gate.renew()
    standin.run()
    assert gate.renew() == task
    (_, answer), = gate.call(["x:Task/set", {"destroy": [task]}])
    if "notDestroyed" in answer:
        return  # v0.16.5 destroys none
    assert gate.renew() != task
    waiting, = live_tasks(standin)
    assert is_due_in(standin, waiting, datetime.timedelta(0))


def test_a_stuck_task_leaves_its_refusal(standin):
    old = retry(stamp(NOW - datetime.timedelta(hours=5)), "Rate limited. Retry after some time")
    standin.put_state(**state(tasks=[old]))
    with Gate(standin.port, BLIND_HOLD="6h") as gate:
        task = gate.renew()
        assert task != old["id"]
        for _ in range(3):
            assert gate.renew() == task
        waiting, = live_tasks(standin)
        assert is_due_in(standin, waiting, 6 * HOUR)


# Of Failed tasks that say the same, the newest is enough.

def failed_tasks(standin):
    return [each for each in standin.state()["tasks"] if each["status"]["@type"] == "Failed"]


def fails(reason, hours, id):
    each = failed(reason, id=id)
    each["status"]["failedAt"] = stamp(NOW - datetime.timedelta(hours=hours))
    return each


UNSUPPORTED = 'Challenge type Http01 not supported. Supported types: [Challenge { typ: Dns01, url: "%s"'
SAME = [fails(UNSUPPORTED % "https://localhost/chalZ/d1", 3, "jp173xlcamqb"),
        fails(UNSUPPORTED % "https://localhost/chalZ/e2", 2, "jp173xlcamqc"),
        fails(UNSUPPORTED % "https://localhost/chalZ/f3", 1, "jp173xlcamqd"),
        fails("Order is invalid: Unknown reason", 4, "jp173xlcamqe"),
        fails("Authentication failed: \"Status: invalid\"", 0.5, "jp173xlcamqf"),
        fails("Authentication failed: \"Status: invalid\"", 0.4, "jp173xlcamqg")]
SPENT = {"jp173xlcamqb", "jp173xlcamqc"}


def test_a_create_leaves_the_newest_of_failed_tasks_that_say_the_same(standin, gate):
    standin.put_state(**state(tasks=SAME))
    task = gate.renew()
    if standin.version == "v0.16.5":
        assert gate.renew() == task and len(failed_tasks(standin)) == len(SAME)
        asked = [entry for entry in standin.log() if '"destroy"' in json.dumps(entry)]
        assert len(asked) <= 1, "it destroys none, and is asked but once"
        return
    assert {each["id"] for each in failed_tasks(standin)} == {each["id"] for each in SAME} - SPENT
    assert gate.renew() == task
    assert {(change["action"], change["id"]) for change in gate.changes(2)} == \
        {("cleared", id) for id in SPENT}
    assert {change["old_state"] for change in gate.changes(2)} == {"Failed"}
    # Those that are gone count on: the wait grows by all of them.
    waiting, = live_tasks(standin)
    assert parse(waiting["status"]["due"]) - now_of(standin) > 20 * HOUR


def test_a_sweep_does_so_too_and_the_dry_run_and_the_audit_tell_it(standin):
    standin.put_state(**state(tasks=SAME))
    planned = [change["id"] for change in changes(standin.port, "--dry-run")
               if change["action"] == "cleared"]
    assert set(planned) == SPENT and len(planned) == 2
    assert only(standin.port, status=1)["sweep"]["cleared"] == 2
    done = {change["id"] for change in changes(standin.port) if change["action"] == "cleared"}
    stays = standin.version == "v0.16.5"
    assert done == (set() if stays else SPENT)
    assert len(failed_tasks(standin)) == len(SAME) - len(done)
