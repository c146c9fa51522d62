"""What the same request takes away does not count: one new order, in whichever order the calls stand."""

import datetime

import pytest

from certificates import Authority
from gate import Gate
from standin import NOW, USING
from test_gate import (EXPIRED, FRESH, LATER, NO_OP, TASK, certificate, days, domain,
                       live_tasks, stamp, state, task)
from test_websocket import connect, request

CERTIFICATE = "jp173xlcamza"
CREATE = ["x:Task/set", {"create": {"k": {"@type": "AcmeRenewal", "domainId": "b"}}}]
QUERY = ["x:Certificate/query", {"filter": {"subjectAlternativeNames": "mail.example.org"}}]
FOUND = {"#destroy": {"resultOf": "c0", "name": "x:Certificate/query", "path": "/ids"}}
CREATE_OTHER = ["x:Task/set", {"create": {"l": {"@type": "AcmeRenewal", "domainId": "c"}}}]
DESTROY = ["x:Certificate/set", {"destroy": [CERTIFICATE]}]


@pytest.fixture
def gate(standin):
    with Gate(standin.port) as gate:
        yield gate


def stored(dates=FRESH, id=CERTIFICATE, **members):
    return certificate(dates, id=id, **members)


def ask(gate, calls, socket, **members):
    """What became of the create."""
    if socket:
        with connect(gate.port) as peer:
            answer = peer.ask(request(*calls, **members))
    else:
        numbered = [[*call, f"c{i}"] for i, call in enumerate(calls)]
        status, answer = gate.post({"using": USING, "methodCalls": numbered, **members})
        assert status == 200
    responses = answer["methodResponses"]
    assert [response[2] for response in responses] == [f"c{i}" for i in range(len(calls))]
    return next(response[1]["created"]["k"]["id"] for response in responses
                if "k" in response[1].get("created", {}))


# Whether the calls that take something away stand first.
ORDERS = {
    "by id, before": [DESTROY, CREATE],
    "by id, after": [CREATE, DESTROY],
    "by another spelling, after": [CREATE, ["x:Certificate/set", {"destroy": ["a" + CERTIFICATE]}]],
    "by result reference, before": [QUERY, ["x:Certificate/set", FOUND], CREATE],
    "by result reference, after": [QUERY, CREATE, ["x:Certificate/set", FOUND]],
    "found after the create": [["Core/echo", {}], CREATE, QUERY, ["x:Certificate/set", {
        "#destroy": {**FOUND["#destroy"], "resultOf": "c2"}}]],
}


@pytest.mark.parametrize("socket", [False, True], ids=["post", "websocket"])
@pytest.mark.parametrize("calls", ORDERS.values(), ids=ORDERS.keys())
def test_a_certificate_that_is_destroyed_is_ordered_once(standin, gate, calls, socket):
    standin.put_state(**state([stored()]))
    assert gate.renew().startswith(NO_OP)
    id = ask(gate, calls, socket)
    only, = live_tasks(standin)
    assert only["id"] == id
    standin.run()
    assert standin.counters()["orders"] == 1
    new, = standin.state()["certificates"]
    assert new["id"] != CERTIFICATE
    # Again, with what is there by now: the certificate that the calls named is gone.
    again = ask(gate, [DESTROY, CREATE], socket)
    assert again not in (id, CERTIFICATE)
    standin.run()
    assert standin.counters()["orders"] == 1


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_the_renewal_that_waits_is_moved(standin, gate, first):
    standin.put_state(**state([stored()], [task(LATER)]))
    assert ask(gate, [DESTROY, CREATE] if first else [CREATE, DESTROY], False) == TASK
    only, = live_tasks(standin)
    assert only["status"]["due"] < days(1)
    standin.run()
    assert standin.counters()["orders"] == 1


# Three certificates within hours are all that the CA gives for now.
ISSUED = [stored({"notValidBefore": stamp(NOW - datetime.timedelta(hours=hours)),
                  "notValidAfter": days(87)}, CERTIFICATE[:-1] + letter)
          for hours, letter in ((1, "a"), (2, "b"), (3, "c"))]
DESTROY_ALL = ["x:Certificate/set", {"destroy": [each["id"] for each in ISSUED]}]
DESTROY_EACH = [["x:Certificate/set", {"destroy": [each["id"]]}] for each in ISSUED]
CREATE_BY_KEY = ["x:Task/set", {"create": {"k": {"@type": "AcmeRenewal", "domainId": "#d"}}}]
SPENT = {
    "before": [DESTROY_ALL, CREATE],
    "after": [CREATE, DESTROY_ALL],
    "one by one": [*DESTROY_EACH, CREATE],
    "around": [DESTROY_EACH[0], CREATE, *DESTROY_EACH[1:]],
    "by result reference, before": [QUERY, ["x:Certificate/set", FOUND], CREATE],
    "by result reference, after": [QUERY, CREATE, ["x:Certificate/set", FOUND]],
    "by key, before": [DESTROY_ALL, CREATE_BY_KEY],
    "by key, after": [CREATE_BY_KEY, DESTROY_ALL],
    "behind another cut": [["x:Domain/set", {"update": {"b": {"description": "d"}}}], CREATE_OTHER,
                           DESTROY_ALL, CREATE],
}


@pytest.mark.parametrize("socket", [False, True], ids=["post", "websocket"])
@pytest.mark.parametrize("calls", SPENT.values(), ids=SPENT.keys())
def test_what_it_destroys_counts_though_the_gate_has_never_seen_it(standin, calls, socket):
    standin.put_state(**state(ISSUED, domains=[domain(), domain("c", "example.net")]))
    with Gate(standin.port, ISSUE_LIMIT="3/168h") as gate:
        id = ask(gate, calls, socket, createdIds={"d": "b"})
        task, = [each for each in live_tasks(standin) if each["domainId"] == "b"]
        assert task["id"] == id
        assert task["status"]["due"] > days(2)
    standin.run()
    assert standin.state()["certificates"] == [] or calls is SPENT["behind another cut"]


# Calls that look as if they took the certificate away.
REFUSED = {
    "no such": ["x:Certificate/set", {"destroy": ["333"]}],
    "a key": ["x:Certificate/set", {"destroy": ["#c"]}],
    "a dangling reference": ["x:Certificate/set", FOUND],
    "no method": ["x:Certificates/set", {"destroy": [CERTIFICATE]}],
    "a read": ["x:Certificate/get", {"destroy": [CERTIFICATE]}],
    "nothing": ["x:Certificate/set", {}],
    "a provider that is not": ["x:AcmeProvider/set", {"update": {"333": {"renewBefore": "R12"}}}],
    "settings that are not": ["x:SystemSettings/set", {"update": {"b": {}}}],
}


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED.keys())
def test_a_certificate_that_stays_is_not_ordered_again(standin, gate, call, first):
    standin.put_state(**state([stored()]))
    for _ in range(2):
        id = ask(gate, [call, CREATE] if first else [CREATE, call], False,
                 createdIds={"c": CERTIFICATE})
        assert id.startswith(NO_OP)
    assert live_tasks(standin) == []


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_who_may_not_destroy_orders_nothing(standin, gate, first):
    may = ["sysTaskGet", "sysTaskQuery", "sysTaskCreate", "sysDomainGet", "sysAcmeProviderGet",
           "sysCertificateGet", "sysCertificateQuery", "sysSystemSettingsGet", "taskAcmeRenewal"]
    standin.put_state(**state([stored()], users=[
        {"name": "op", "password": "secret", "permissions": may}]))
    numbered = [[*call, "c"] for call in ([DESTROY, CREATE] if first else [CREATE, DESTROY])]
    for _ in range(2):
        _, answer = gate.post({"using": USING, "methodCalls": numbered}, user="op")
        made, = [response[1]["created"]["k"] for response in answer["methodResponses"]
                 if response[0] == "x:Task/set"]
        assert made["id"].startswith(NO_OP)
    assert live_tasks(standin) == []


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("how", ["update", "create"])
def test_a_certificate_that_is_stored_is_not_ordered(standin, gate, tmp_path, how, first):
    """It was due, and the request brings one that is not."""
    pem, _ = Authority(tmp_path).issue("mail.example.org", "DNS:mail.example.org")
    text = {"certificate": {"@type": "Text", "value": pem.read_text()}}
    standin.put_state(**state([stored(EXPIRED)]))
    call = ["x:Certificate/set", {how: {CERTIFICATE if how == "update" else "c": text}}]
    assert ask(gate, [call, CREATE] if first else [CREATE, call], False).startswith(NO_OP)
    assert live_tasks(standin) == []


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("call", [
    ["x:AcmeProvider/set", {"update": {"c": {"renewBefore": "R12"}}}],
    ["x:Domain/set", {"update": {"b": {"certificateManagement/subjectAlternativeNames":
                                       {"mail": True, "www": True}}}}],
], ids=["provider", "domain"])
def test_what_makes_a_renewal_due(standin, gate, call, first):
    """The certificate is past half of its life, and not past two thirds; or lacks a name."""
    standin.put_state(**state([stored({"notValidBefore": days(-50), "notValidAfter": days(40)})]))
    assert gate.renew().startswith(NO_OP)
    id = ask(gate, [call, CREATE] if first else [CREATE, call], False)
    only, = live_tasks(standin)
    assert only["id"] == id
    assert not ask(gate, [CREATE], False).startswith(NO_OP)


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_settings_that_change_the_names(standin, gate, first):
    names = ["autoconfig.example.org", "autodiscover.example.org", "mta-sts.example.org",
             "ua-auto-config.example.org"]
    standin.put_state(**state([stored(names=names)], domains=[domain(names=())],
                              settings={"defaultHostname": "h.other.test"}))
    assert gate.renew().startswith(NO_OP)
    call = ["x:SystemSettings/set", {"update": {"singleton": {
        "defaultHostname": "mail.example.org"}}}]
    id = ask(gate, [call, CREATE] if first else [CREATE, call], False)
    only, = live_tasks(standin)
    assert only["id"] == id


def test_who_waited_for_another_decides_anew(standin, gate):
    """The answer that the other got is not for who takes the certificate away."""
    standin.put_state(**state([stored()]))
    for calls in ([CREATE], [CREATE, DESTROY], [CREATE]):
        ask(gate, calls, False)
    assert len(live_tasks(standin)) == 1


def test_observing_says_what_it_sees_before(standin):
    standin.put_state(**state([stored()]))
    with Gate(standin.port, MODE="observe") as gate:
        ask(gate, [DESTROY, CREATE], False)
        assert [line["row"] for line in gate.decisions(1)] == [4]
