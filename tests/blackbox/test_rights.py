"""With a credential of its own, the gate reads for who may create and not read; for nobody else."""

import json

import pytest

from frames import connect
from gate import Gate, basic
from standin import USING
from test_gate import CREATE, DUE, FRESH, LATER, NO_OP, certificate, domain, state, task

USERS = [
    {"name": "admin", "password": "secret", "permissions": "all", "accountId": "d333333"},
    {"name": "blind", "password": "secret", "accountId": "c",
     "permissions": ["authenticate", "jmapCoreEcho", "sysTaskCreate", "taskAcmeRenewal",
                     "taskDnsManagement"]},
    {"name": "guest", "password": "secret", "accountId": "e",
     "permissions": ["authenticate", "jmapCoreEcho"]},
]
DNS = {"@type": "DnsManagement", "domainId": "b", "onSuccessRenewCertificate": True,
       "updateRecords": {"tlsa": True}}


@pytest.fixture
def served(standin):
    """The gate with a credential of its own, which does nothing by itself."""
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin"), SWEEP_INTERVAL="off",
              SURVEY_INTERVAL="off") as gate:
        yield gate


def fill(standin, domains=1):
    """Domains to ask for, and a queue of several pages that is all for others."""
    asked_for = [domain("b" if not i else f"b{chr(96 + i)}", f"d{i}.example.org")
                 for i in range(domains)]
    others = [domain(f"c{chr(97 + i)}", f"e{i}.example.org") for i in range(20)]
    queue = [standin.task(others[i % 20]["id"], LATER) for i in range(1300)]
    standin.put_state(**state([certificate(DUE)], queue, domains=asked_for + others, users=USERS))
    standin.clear_log()
    return [each["id"] for each in asked_for]


def asked(standin):
    """Who has asked the server's API, in order."""
    names = {basic(user["name"]): user["name"] for user in USERS}
    return [names.get({name.lower(): value for name, value in entry["headers"]}
                      .get("authorization"), "nobody")
            for entry in standin.log()
            if entry["target"].startswith("/jmap") and entry["method"] != "WS"]


def test_who_may_only_log_in_costs_no_list(standin, served):
    fill(standin)
    answer = served.call(["x:Task/set", {"create": {"k": CREATE}}], user="guest")
    assert answer == [["error", {"type": "forbidden",
                                 "description": answer[0][1]["description"]}]]
    assert asked(standin) == ["guest"]


@pytest.mark.parametrize("service", [True, False], ids=["own credential", "none"])
@pytest.mark.parametrize("calls, requests", [
    ([["x:Task/set", {"create": {"k": CREATE}}]], 1),
    ([["x:Task/set", {"create": {"k": CREATE, "l": {**CREATE, "domainId": "zz"}}}],
      ["x:Task/get", {"ids": []}], ["Core/echo", {}]], 1),
    ([["x:Task/set", {"create": {"k": DNS}}]], 1),
    ([["x:Task/set", {"create": {"k": CREATE}, "destroy": ["jp173xlcamqa"]}]], 2),
    ([["x:Task/set", {"create": {"k": CREATE, "l": {"@type": "Other"}}}]], 2),
    ([call for i in range(8) for call in (
        ["x:Domain/set", {"update": {"b": {"description": str(i)}}}],
        ["x:Task/set", {"create": {"k": CREATE}}])], 2),
    ([["x:Task/set", {"create": {"k": CREATE}}], ["x:Task/get", {"ids": ["#k"]}]], 2),
], ids=["a create", "creates and reads", "a DNS task", "a destroy", "another task", "eight parts",
        "what was made"])
def test_without_rights_a_request_costs_one_and_at_most_one_more(standin, service, calls, requests):
    """However many parts it would be cut into; the answer is the server's own."""
    fill(standin)
    settings = {"SERVICE_AUTHORIZATION": basic("admin")} if service else {}
    with Gate(standin.port, SWEEP_INTERVAL="off", SURVEY_INTERVAL="off", **settings) as gate:
        for _ in range(2):
            standin.clear_log()
            answer = gate.call(*calls, user="guest")
            assert asked(standin) == ["guest"] * requests
            assert len(answer) == len(calls)
            types = [response[1].get("type") for response in answer]
            assert types == ["invalidResultReference" if call == ["x:Task/get", {"ids": ["#k"]}]
                             else None if call[0] == "Core/echo" else "forbidden"
                             for call in calls], answer


def test_who_is_known_sends_its_own_bytes(standin, served):
    """What was sent with nothing to make in it goes again as it is."""
    standin.put_state(**state([certificate(DUE)], users=USERS))
    standin.clear_log()
    body = (b'{"using": [],  "methodCalls": [["x:Task/set", {"create":'
            b' {"k": {"@type": "AcmeRenewal", "domainId": "b"}}}, "c"]]}')
    assert served.post(body)[0] == 200
    sent = [entry["body"] for entry in standin.log() if entry["body"]]
    assert sent[-1] == body.decode() and body.decode() not in sent[:-1]
    assert len(standin.state()["tasks"]) == 1


def test_who_is_known_costs_no_more_where_nothing_is_due(standin, served):
    """A domain that is new costs two look-ups, and who is new costs nothing beside them."""
    standin.put_state(**state([certificate(FRESH)], users=USERS))
    for expected in (3, 2):
        standin.clear_log()
        assert served.renew().startswith(NO_OP)
        assert len(asked(standin)) == expected


def test_several_creates_and_domains(standin, served):
    ids = fill(standin, domains=20)
    served.call(*[["x:Task/set", {"create": {f"k{i}-{id}": {**CREATE, "domainId": id}
                                             for id in ids}}] for i in range(8)], user="guest")
    assert asked(standin) == ["guest"]


def test_without_a_credential(standin, served):
    fill(standin)
    for authorization in ("", basic("admin", "wrong")):
        standin.clear_log()
        body = {"using": [], "methodCalls": [["x:Task/set", {"create": {"k": CREATE}}, "c0"]]}
        assert served.post(body, headers={"Authorization": authorization})[0] == 401
        assert len(asked(standin)) == 1


def test_who_may_create_is_read_for_once_that_is_shown(standin, served):
    standin.put_state(**state([certificate(FRESH)], users=USERS))
    standin.clear_log()
    assert served.renew(user="blind").startswith(NO_OP)
    assert asked(standin)[:2] == ["blind", "blind"] and "admin" in asked(standin)
    assert standin.state()["tasks"] == []


def test_of_several_creates_only_those_are_looked_up_that_may_be_made(standin, served):
    """One that the server refuses does not stand for another of its domain."""
    standin.put_state(**state([certificate(FRESH)], users=USERS))
    (_, answer), = served.call(["x:Task/set", {"create": {
        "bad": {**CREATE, "bogus": 1}, "good": CREATE, "same": CREATE}}], user="blind")
    assert set(answer["notCreated"]) == {"bad"}
    assert answer["created"]["good"] == answer["created"]["same"]
    assert answer["created"]["good"]["id"].startswith(NO_OP)
    assert standin.state()["tasks"] == []


def test_a_due_renewal_is_forwarded(standin, served):
    standin.put_state(**state([certificate(DUE)], users=USERS))
    assert served.renew(user="blind") == standin.state()["tasks"][0]["id"]


def test_a_create_with_more_around_it(standin, served):
    """The rest of the request is sent once, and its references are what they were."""
    standin.put_state(**state([certificate(FRESH)], users=USERS))
    answer = served.call(["Core/echo", {"a": 1}], ["x:Task/set", {"create": {"k": CREATE}}],
                         ["Core/echo", {"b": 2}], user="blind", createdIds={"z": "b"})
    assert answer[0] == ["Core/echo", {"a": 1}] and answer[2] == ["Core/echo", {"b": 2}]
    assert answer[1][1]["created"]["k"]["id"].startswith(NO_OP)


def test_a_dns_task_that_would_renew(standin, served):
    standin.put_state(**state([certificate(FRESH)], users=USERS))
    standin.clear_log()
    served.call(["x:Task/set", {"create": {"k": DNS}}], user="guest")
    assert set(asked(standin)) == {"guest"}
    (_, answer), = served.call(["x:Task/set", {"create": {"k": DNS}}], user="blind")
    assert "k" in answer["created"]
    made, = standin.state()["tasks"]
    assert made["onSuccessRenewCertificate"] is False and made["domainId"] == "b"


def test_an_answer_that_is_lost(standin, served):
    """Then nothing is known, and one create goes on without a look-up, of a caller who is known."""
    standin.put_state(**state([certificate(FRESH)], users=USERS))
    assert served.renew(user="blind").startswith(NO_OP)
    standin.fault(match="x:Domain/get", user="admin", times=-1, close=True)
    served.renew(user="blind")
    assert len(standin.state()["tasks"]) == 1


def test_a_proof_that_is_lost_makes_nothing(standin, served):
    standin.put_state(**state([certificate(DUE)], users=USERS))
    standin.fault(match="p333333333331", times=1, close=True)
    body = {"using": [], "methodCalls": [["x:Task/set", {"create": {"k": CREATE}}, "c"]]}
    assert served.post(body)[0] == 502
    assert standin.state()["tasks"] == []
    standin.fault(match="p333333333331", times=1, close=True)
    (_, made), _ = served.call(["x:Task/set", {"create": {"k": CREATE}}],
                               ["x:Domain/set", {"update": {}}])
    assert [task["id"] for task in standin.state()["tasks"]] == [made["created"]["k"]["id"]]


def test_over_a_websocket(standin, served):
    fill(standin)
    with connect(served.port, user="guest") as socket:
        answer = socket.ask({"@type": "Request", "id": "R1", "using": USING,
                             "methodCalls": [["x:Task/set", {"create": {"k": CREATE}}, "c0"]]})
    assert answer["methodResponses"][0][0] == "error"
    assert asked(standin) == ["guest"]


def test_observing_asks_before_it_reads_too(standin):
    fill(standin)
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin"), SWEEP_INTERVAL="off",
              SURVEY_INTERVAL="off", MODE="observe") as gate:
        gate.call(["x:Task/set", {"create": {"k": CREATE}}], user="guest")
        assert set(asked(standin)) == {"guest"}
        before = len(standin.state()["tasks"])
        (_, answer), = gate.call(["x:Task/set", {"create": {"k": CREATE}}], user="blind")
        assert len(standin.state()["tasks"]) == before + 1, json.dumps(answer)
