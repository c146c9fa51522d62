"""What "#key" means is for the server to say: no create passes because of what the gate takes it for."""

import pytest

from gate import Gate
from standin import USING
from test_gate import DUE, FRESH, NO_OP, certificate, domain, live_tasks, state
from test_websocket import connect, request

RENEWAL = {"@type": "AcmeRenewal", "domainId": "b"}
IMPOSSIBLE = "p333333333331"  # what the gate points creates at that are not to make anything


@pytest.fixture
def gate(standin):
    with Gate(standin.port) as gate:
        yield gate


def renewal(domain):
    return {**RENEWAL, "domainId": domain}


def creating(**domains):
    return ["x:Task/set", {"create": {key: renewal(domain) for key, domain in domains.items()}}]


def numbered(calls):
    return [[*call, f"c{i}"] for i, call in enumerate(calls)]


def assert_answered_as_by_the_server(standin, gate, calls, **members):
    plain = standin.batch(numbered(calls), created_ids=members.get("createdIds"))
    status, answer = gate.post({"using": USING, "methodCalls": numbered(calls), **members})
    assert status == 200
    assert answer == plain
    assert live_tasks(standin) == []


WRONG = ["x:Task/set", {"create": {"k": {**renewal("#e"), "wrong": 1}}}]
REFUSED_DOMAIN = ["x:Domain/set", {"create": {"e": {"name": "example.org"}}}]

CREATES = {
    "to itself": [creating(k="#k")],
    "to each other": [creating(a="#k", k="#a")],
    "a twin of one to itself": [creating(a="#k", k="#k")],
    "in two calls": [creating(k="#e"), creating(k="#e")],
    "in three calls": [creating(k="#e"), creating(d2="#e"), creating(k="#e")],
    "in one of two calls": [creating(k="#e", l="#e"), ["x:Task/get", {"ids": []}]],
    "behind another in a call": [["x:Task/get", {"ids": []}], creating(k="#e", l="#k")],
    "to nothing": [creating(k="#")],
    "to a task": [creating(k="333", l="#k")],
    "with a wrong property": [WRONG],
    "with a wrong property, behind a call": [["x:Task/get", {"ids": []}], WRONG],
    "with a wrong property, behind a refused set": [REFUSED_DOMAIN, WRONG],
    "with a wrong property, behind a refused create": [
        ["x:Task/set", {"create": {"e": {**RENEWAL, "wrong": 1}}}], WRONG],
}


@pytest.mark.parametrize("calls", CREATES.values(), ids=CREATES.keys())
def test_references_that_lead_nowhere(standin, gate, calls):
    standin.put_state(**state([certificate(FRESH)]))
    assert_answered_as_by_the_server(standin, gate, calls)
    status, _ = gate.admin("/status.json")
    assert status == 200


def test_a_reference_that_leads_nowhere_stops_its_call_only(standin, gate):
    standin.put_state(**state([certificate(FRESH)]))
    (_, one), (name, two) = gate.call(creating(k="b"), creating(l="#e", m="b"))
    assert one["created"]["k"]["id"].startswith(NO_OP)
    assert name == "error" and two["type"] == "invalidResultReference"


def test_a_reference_beside_a_wrong_property_that_means_a_domain(standin, gate):
    standin.put_state(**state())
    made = ["x:Domain/set", {"create": {"e": {"name": "new.test"}}}]
    (_, domains), (name, answer) = gate.call(made, WRONG)
    assert list(domains["created"]) == ["e"]
    assert name == "x:Task/set" and list(answer["notCreated"]) == ["k"]
    assert not [task for task in live_tasks(standin) if task["@type"] == "AcmeRenewal"]


# Calls that look as if they made something under the key.
DISGUISES = {
    "an echo": ["Core/echo", {"create": {"d": 1}}],
    "an echo of an answer": ["Core/echo", {"created": {"d": {"id": "c"}}}],
    "no method": ["x:Domain/make", {"create": {"d": {"name": "new.test"}}}],
    "a read": ["x:Domain/get", {"ids": [], "create": {"d": {"name": "new.test"}}}],
    "a set that is refused": ["x:Domain/set", {"create": {"d": {"name": "example.org"}}}],
    "a set of another account": ["x:Domain/set", {"accountId": "c", "create": {"d": {}}}],
    "a set with a bad reference": ["x:Domain/set", {"create": {"d": {"name": "#x", "yId": "#z"}}}],
    "a task that is refused": ["x:Task/set", {"create": {"d": {"@type": "Other"}}}],
    "a renewal that is refused": ["x:Task/set", {"create": {"d": {**RENEWAL, "wrong": 1}}}],
}


@pytest.mark.parametrize("socket", [False, True], ids=["post", "websocket"])
@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES.keys())
def test_a_key_that_the_client_gave_a_meaning(standin, gate, disguise, socket):
    standin.put_state(**state([certificate(FRESH)]))
    calls = [disguise, creating(k="#d")]
    body = {"using": USING, "createdIds": {"d": "b"}, "methodCalls": numbered(calls)}
    for _ in range(2):
        if socket:
            with connect(gate.port) as peer:
                answer = peer.ask(request(*calls, createdIds={"d": "b"}))
        else:
            _, answer = gate.post(body)
        created = answer["methodResponses"][1][1]["created"]
        assert created["k"]["id"].startswith(NO_OP)
    assert live_tasks(standin) == []
    assert {line["row"] for line in gate.decisions(2) if line["domain_id"] == "b"} == {4}


def test_a_key_that_the_batch_gives_a_new_meaning(standin, gate):
    standin.put_state(**state([certificate(FRESH)], domains=[domain(), domain("c", "c.test")]))
    _, answer = gate.post({"using": USING, "createdIds": {"d": "b"}, "methodCalls": numbered([
        ["x:Domain/set", {"create": {"d": {"name": "new.test"}}}], creating(k="#d")])})
    (_, made, _), (_, answered, _) = answer["methodResponses"]
    only, = [task for task in live_tasks(standin) if task["@type"] == "AcmeRenewal"]
    assert only["domainId"] == made["created"]["d"]["id"]
    assert only["id"] == answered["created"]["k"]["id"]


def test_a_refused_create_has_no_key(standin, gate):
    """Nobody learns the task's id that the gate would have answered with."""
    standin.put_state(**state([certificate(FRESH)]))
    calls = [["x:Task/set", {"create": {"k": {**RENEWAL, "wrong": 1}}}],
             ["x:Task/get", {"ids": ["#k"]}]]
    assert_answered_as_by_the_server(standin, gate, calls)
    assert_answered_as_by_the_server(standin, gate, calls, createdIds={})


@pytest.mark.parametrize("members", [
    {"l": IMPOSSIBLE}, {"l": "a" + IMPOSSIBLE}, {"l": "#q"}, {"l": IMPOSSIBLE, "m": IMPOSSIBLE}])
def test_who_asks_for_the_domain_that_cannot_exist_gets_the_servers_answer(standin, gate, members):
    """Also beside a create that the gate points there."""
    standin.put_state(**state([certificate(FRESH)]))
    call = ["x:Task/set", {"create": {k: renewal(d) for k, d in {"k": "b", **members}.items()}}]
    _, answer = gate.post({"using": USING, "createdIds": {"q": IMPOSSIBLE},
                           "methodCalls": numbered([call])})
    (_, answered, _), = answer["methodResponses"]
    assert answered["created"]["k"]["id"].startswith(NO_OP)
    refused = {"type": "invalidForeignKey", "objectId": {"object": "Domain", "id": IMPOSSIBLE}}
    assert answered["notCreated"] == {key: refused for key in members}
    assert live_tasks(standin) == []


def test_a_key_of_the_same_call_is_no_domain(standin, gate):
    standin.put_state(**state([certificate(DUE)]))
    calls = [creating(k="b", l="#k")]
    plain = standin.batch(numbered(calls))["methodResponses"][0][1]
    standin.put_state(**state([certificate(DUE)]))
    (_, answer), = gate.call(*calls)
    assert answer["notCreated"] == plain["notCreated"]
    assert [task["id"] for task in live_tasks(standin)] == [answer["created"]["k"]["id"]]


@pytest.mark.parametrize("target", ["http://h#/jmap/", "http://h?/jmap/"])
def test_what_is_no_path_is_not_the_endpoint(standin, gate, target):
    standin.put_state(**state([certificate(FRESH)]))
    status, _, _ = gate.request("POST", target, b"{}")
    assert status in (400, 404)


@pytest.mark.parametrize("create", [{**RENEWAL, "@type": "AcmeRenewal\0"}, renewal("b\0")])
def test_a_text_with_a_nul_is_none_that_is_known(standin, gate, create):
    standin.put_state(**state([certificate(FRESH)]))
    assert_answered_as_by_the_server(standin, gate, [["x:Task/set", {"create": {"k": create}}]])
