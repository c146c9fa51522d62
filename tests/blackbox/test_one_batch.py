"""A domain and its task in one batch: one order, whatever else the batch does or speaks of."""

import itertools

import pytest

from gate import Gate
from test_gate import (DUE, FRESH, LATER, NO_OP, TASK, certificate, days, domain, live_tasks, state,
                       task)
from test_websocket import connect, request

MANAGEMENT = {"@type": "Automatic", "acmeProviderId": "c",
              "subjectAlternativeNames": {"mail": True}}
RENEWAL = {"@type": "AcmeRenewal", "domainId": "#new"}
OTHER = "jp173xlcamaa"


@pytest.fixture
def gate(standin):
    with Gate(standin.port) as gate:
        yield gate


def making(**names):
    return ["x:Domain/set", {"create": {
        key: {"name": name, "certificateManagement": MANAGEMENT} for key, name in names.items()}}]


MAKING = making(new="new.example")


def creating(**more):
    return ["x:Task/set", {"create": {"k": RENEWAL}, **more}]


def renewals(standin, domain_id):
    return [task for task in live_tasks(standin)
            if task["@type"] == "AcmeRenewal" and task["domainId"] == domain_id]


def only_renewal(standin, made, key="new"):
    """The one of a domain that was made, which is the server's own."""
    only, = renewals(standin, made["created"][key]["id"])
    return only["id"]


def in_plain(standin, *calls, **members):
    """What the server says to the same without a gate, before it forgets it all."""
    before = standin.state()
    answer = standin.post([[*call, f"c{i}"] for i, call in enumerate(calls)], **members)
    standin.put_state(**before)
    return answer


def shape(responses):
    """Which members an answer has, down to its keys."""
    return [(name, {member: sorted(value) if isinstance(value, dict) else None
                    for member, value in arguments.items()}) for name, arguments, *_ in responses]


def in_batch(standin, gate, *calls, **made_of):
    """The answer to the batch, which has the members that it has without a gate; then it runs."""
    standin.put_state(**state(**made_of))
    plain = in_plain(standin, *calls)
    answer = gate.call(*calls)
    assert shape(answer) == shape(plain)
    return [arguments for _, arguments in answer]


def assert_orders(standin, count=1):
    standin.run()
    assert standin.counters()["orders"] == count


def test_the_batch_reads_the_task_that_it_makes(standin, gate):
    made, answer, got = in_batch(standin, gate, MAKING, creating(),
                                 ["x:Task/get", {"ids": ["#k"]}])
    assert [task["id"] for task in got["list"]] == [answer["created"]["k"]["id"]]
    assert only_renewal(standin, made) == answer["created"]["k"]["id"]
    assert_orders(standin)


def test_the_task_runs_before_it_is_looked_for(standin, gate):
    made, answer, got = in_batch(standin, gate, MAKING, creating(),
                                 ["x:Task/get", {"ids": ["#k"]}],
                                 runner={"enabled": True, "order_seconds": 600})
    id = answer["created"]["k"]["id"]
    assert id == got["list"][0]["id"]
    assert [task["id"] for task in standin.state()["tasks"]
            if task["@type"] == "AcmeRenewal"] == [id]
    assert made["created"]["new"]["id"] == got["list"][0]["domainId"]


def test_the_batch_refers_to_the_result_of_the_create(standin, gate):
    """The server takes no reference to what a call has set, and says so."""
    reference = {"resultOf": "c1", "name": "x:Task/set", "path": "/created/k/id"}
    calls = MAKING, creating(), ["x:Task/get", {"#ids": reference}]
    standin.put_state(**state())
    plain = in_plain(standin, *calls)
    (_, made), (_, answer), refused = gate.call(*calls)
    assert refused[0] == "error" and refused[1] == plain[2][1]
    assert only_renewal(standin, made) == answer["created"]["k"]["id"]
    assert_orders(standin)


def test_the_batch_refers_to_results_from_before_the_create(standin, gate):
    reference = {"resultOf": "c1", "name": "x:Domain/get", "path": "/list/*/id"}
    made, first, answer, again = in_batch(
        standin, gate, MAKING, ["x:Domain/get", {"ids": ["#new"]}], creating(),
        ["x:Domain/get", {"#ids": reference}])
    assert first["list"] == again["list"] != []
    assert only_renewal(standin, made) == answer["created"]["k"]["id"]


def test_tasks_found_before_are_destroyed_after(standin, gate):
    """What the reference finds is what it found then, not the task that was made since."""
    found = {"resultOf": "c0", "name": "x:Task/query", "path": "/ids"}
    queued = [task(LATER, id=OTHER)]
    standin.put_state(**state([certificate(FRESH)], queued))
    _, (_, made), (_, answer) = gate.call(["x:Task/query", {}], MAKING,
                                          creating(**{"#destroy": found}))
    assert only_renewal(standin, made) == answer["created"]["k"]["id"]
    refused = answer.get("notDestroyed", {})
    assert OTHER in answer.get("destroyed", []) or OTHER in refused
    assert_orders(standin)


def test_the_call_creates_another_domains_task(standin, gate):
    create = {"k": RENEWAL, "l": {**RENEWAL, "domainId": "b"}}
    made, answer = in_batch(standin, gate, MAKING, ["x:Task/set", {"create": create}])
    assert only_renewal(standin, made) == answer["created"]["k"]["id"]
    assert [task["id"] for task in renewals(standin, "b")] == [answer["created"]["l"]["id"]]
    assert_orders(standin, 2)


def test_the_call_updates(standin, gate):
    due = "2030-01-01T00:00:00Z"
    made, answer = in_batch(standin, gate, MAKING,
                            creating(update={OTHER: {"status/due": due}}),
                            tasks=[task(LATER, id=OTHER)])
    assert answer["updated"] == {OTHER: None}
    assert [task["status"]["due"] for task in renewals(standin, "b")] == [due]
    assert only_renewal(standin, made) == answer["created"]["k"]["id"]
    assert_orders(standin)


def test_the_call_destroys(standin, gate):
    made, answer = in_batch(standin, gate, MAKING, creating(destroy=[OTHER]),
                            tasks=[task(LATER, id=OTHER)])
    assert ("destroyed" in answer) == (renewals(standin, "b") == [])
    assert only_renewal(standin, made) == answer["created"]["k"]["id"]
    assert_orders(standin)


@pytest.mark.parametrize("apart", [False, True], ids=["two calls", "one after the other"])
def test_two_domains_with_their_tasks(standin, gate, apart):
    def creates(key):
        return ["x:Task/set", {"create": {key: {**RENEWAL, "domainId": f"#{key}"}}}]
    read = ["x:Task/get", {"ids": ["#a", "#z"]}]
    one, two = {"a": "a.example"}, {"z": "z.example"}
    calls = [making(**one), creates("a"), making(**two), creates("z"), read] if apart else \
        [making(**one, **two), creates("a"), creates("z"), read]
    # From there on the key means the task, which is made under the domain's.
    answers = in_batch(standin, gate, *calls)
    made = {key: object["id"] for answer in answers[::2 if apart else 3][:2 if apart else 1]
            for key, object in answer["created"].items()}
    created = {key: object["id"] for answer in (answers[1], answers[3 if apart else 2])
               for key, object in answer["created"].items()}
    assert [task["id"] for task in answers[-1]["list"]] == [created["a"], created["z"]]
    for key, id in made.items():
        assert [task["id"] for task in renewals(standin, id)] == [created[key]]
    assert_orders(standin, 2)


@pytest.mark.parametrize("more", [{}, {"update": {OTHER: {"status/due": "2030-01-01T00:00:00Z"}}},
                                  {"destroy": [OTHER]}], ids=["alone", "updates", "destroys"])
def test_a_domain_that_is_refused_has_no_task(standin, gate, more):
    """And the call that names it does nothing else either."""
    calls = (making(new="example.org"), creating(**more), ["x:Task/get", {"ids": [OTHER]}],
             ["x:Task/get", {"ids": ["#k"]}])
    standin.put_state(**state(tasks=[task(LATER, id=OTHER)]))
    plain = in_plain(standin, *calls)
    answer = gate.call(*calls)
    assert answer == [response[:2] for response in plain]
    assert [task["id"] for task in live_tasks(standin)] == [OTHER]


def test_created_ids_are_told_to_who_wants_them(standin, gate):
    standin.put_state(**state())
    calls = [[*MAKING, "a"], [*creating(), "b"]]
    _, answer = gate.post({"using": [], "methodCalls": calls, "createdIds": {"mine": "b"}})
    (_, made, _), (_, got, _) = answer["methodResponses"]
    assert answer["createdIds"] == {"mine": "b", "new": made["created"]["new"]["id"],
                                    "k": got["created"]["k"]["id"]}
    _, answer = gate.post({"using": [], "methodCalls": [
        [*making(new="other.example"), "a"], [*creating(), "b"]]})
    assert "createdIds" not in answer


def test_names_that_the_batch_adds_to_a_domain_are_renewed(standin, gate):
    """The certificate was fresh for the names that it had before."""
    standin.put_state(**state([certificate(FRESH)]))
    names = {"mail": True, "www": True}
    _, (_, answer), (_, got) = gate.call(
        ["x:Domain/set", {"update": {"b": {"certificateManagement/subjectAlternativeNames":
                                           names}}}],
        ["x:Task/set", {"create": {"k": {**RENEWAL, "domainId": "b"}}}],
        ["x:Task/get", {"ids": ["#k"]}])
    only, = renewals(standin, "b")
    assert [task["id"] for task in got["list"]] == [only["id"]] == [answer["created"]["k"]["id"]]


def test_a_domain_that_is_switched_and_a_task_that_is_read(standin, gate):
    _, answer, got = in_batch(
        standin, gate, ["x:Domain/set", {"update": {"b": {"certificateManagement": MANAGEMENT}}}],
        ["x:Task/set", {"create": {"k": {**RENEWAL, "domainId": "b"}}}],
        ["x:Task/get", {"ids": ["#k"]}], domains=[domain(kind="Manual")])
    only, = renewals(standin, "b")
    assert only["id"] == answer["created"]["k"]["id"] == got["list"][0]["id"]
    assert_orders(standin)


def test_a_dns_task_for_a_new_domain_ends_without_a_second_renewal(standin, gate):
    dns = {"@type": "DnsManagement", "domainId": "#new", "onSuccessRenewCertificate": True,
           "updateRecords": {"mx": True}}
    calls = MAKING, ["x:Task/set", {"create": {"d": dns}}]
    standin.put_state(**state())
    gate.call(*calls)
    assert all(not task.get("onSuccessRenewCertificate") for task in live_tasks(standin))


@pytest.mark.parametrize("calls", [
    [MAKING, ["x:Task/set", {"create": {"k": RENEWAL}}], "nonsense"],
    [MAKING, *[["x:Task/set", {"create": {"k": RENEWAL}}, str(i)] for i in range(16)]],
    [[*MAKING, "a"], ["x:Task/set", {"create": {"k": RENEWAL}}]],
], ids=["no call", "too many", "no id"])
def test_a_request_that_the_server_refuses_does_nothing(standin, gate, calls):
    standin.put_state(**state())
    before = standin.state()["domains"]
    calls = [[*MAKING, "a"] if call is MAKING else call for call in calls]
    status, _ = gate.post({"using": [], "methodCalls": calls})
    assert status == 400
    assert standin.state()["domains"] == before and live_tasks(standin) == []


def test_over_a_websocket(standin, gate):
    standin.put_state(**state())
    with connect(gate.port) as peer:
        answer = peer.ask(request(MAKING, creating(), ["x:Task/get", {"ids": ["#k"]}]))
    (_, made, _), (_, got, _), (_, read, _) = answer["methodResponses"]
    assert answer["@type"] == "Response" and answer["requestId"] == "R1"
    assert only_renewal(standin, made) == got["created"]["k"]["id"] == read["list"][0]["id"]
    assert_orders(standin)


# Creates for one domain that ask for different times.

TIMES = {"now": None, "later": days(30), "latest": days(60)}
ORDERS = list(itertools.permutations(TIMES))


def asking(key, kind="AcmeRenewal", **members):
    status = {"status": {"@type": "Pending", "due": TIMES[key]}} if TIMES[key] else {}
    return {key: {"@type": kind, "domainId": "b", **status, **members}}


def in_calls(*creates):
    return [["x:Task/set", {"create": dict(pair for create in call for pair in create.items())}]
            for call in creates if call]


def created(answer):
    return {key: made["id"] for _, arguments, *_ in answer
            for key, made in arguments.get("created", {}).items()}


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_the_earliest_of_a_domains_creates_decides(standin, gate, order, calls):
    creates = [asking(key) for key in order]
    split = len(creates) if calls == 1 else 1
    for queued in [], [task(LATER)]:
        standin.put_state(**state([certificate(DUE)], queued))
        standin.reset_counters()
        ids = created(gate.call(*in_calls(creates[:split], creates[split:])))
        made, = live_tasks(standin)
        assert set(ids) == set(TIMES) and set(ids.values()) == {made["id"]}
        assert (made["id"] == TASK) == bool(queued)
        assert made["status"]["due"] < days(1)
        assert_orders(standin)


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_behind_a_no_op_what_is_due_by_then_is_queued(standin, gate, order):
    """The certificate becomes due in 57 days."""
    standin.put_state(**state([certificate(FRESH)]))
    ids = created(gate.call(*in_calls([asking(key) for key in order])))
    made, = live_tasks(standin)
    assert ids["latest"] == made["id"] and made["status"]["due"] == TIMES["latest"]
    assert ids["now"] == ids["later"] and ids["now"].startswith(NO_OP)


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_the_earliest_decides_late_too(standin, gate, order):
    """The set of the certificate's domain comes after the creates, and may make a renewal due."""
    standin.put_state(**state([certificate(FRESH)]))
    management = {**MANAGEMENT, "subjectAlternativeNames": {"mail": True, "imap": True}}
    ids = created(gate.call(*in_calls([asking(key) for key in order]), ["x:Domain/set", {
        "update": {"b": {"certificateManagement": management}}}]))
    made, = live_tasks(standin)
    assert set(ids.values()) == {made["id"]} and made["status"]["due"] < days(1)


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_the_earliest_decides_over_a_websocket(standin, gate, order):
    standin.put_state(**state([certificate(DUE)]))
    with connect(gate.port) as peer:
        answer = peer.ask(request(*in_calls([asking(key) for key in order])))
    made, = live_tasks(standin)
    assert set(created(answer["methodResponses"]).values()) == {made["id"]}
    assert made["status"]["due"] < days(1)


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_what_follows_a_rejected_create_is_decided_by_its_own_time(standin, gate, order):
    """The one for now is refused: what is left is answered with what is due by then."""
    standin.put_state(**state([certificate(DUE)], [task(days(20))]))
    creates = [asking(key, **({"bogus": 1} if key == "now" else {})) for key in order]
    ids = created(gate.call(*in_calls(creates)))
    assert ids == {"later": TASK, "latest": TASK}
    only, = live_tasks(standin)
    assert only["status"]["due"] == days(20)


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_a_dns_task_for_now_goes_before_renewals_for_later(standin, gate, order, calls):
    dns = {"kind": "DnsManagement", "onSuccessRenewCertificate": True,
           "updateRecords": {"mx": True}}
    creates = [asking(key, **(dns if key == "now" else {})) for key in order]
    split = len(creates) if calls == 1 else 1
    standin.put_state(**state([certificate(DUE)]))
    ids = created(gate.call(*in_calls(creates[:split], creates[split:])))
    made, = live_tasks(standin)
    assert made["@type"] == "DnsManagement" and made["onSuccessRenewCertificate"]
    assert set(ids) == set(TIMES) and set(ids.values()) == {made["id"]}
    standin.run()
    assert_orders(standin)
