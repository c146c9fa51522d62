"""Tasks that nobody can read: the server makes them of creates that are due at the epoch."""

import pytest

from gate import Gate
from standin import basic
from test_gate import DUE, FRESH, certificate, days, domain, live_tasks, state
from test_operator import run

EPOCH = "1970-01-01T00:00:00Z"
# All of them the epoch or before it, as the server reads them.
EPOCHS = (EPOCH, "1970-01-01T00:00:00", "1970-01-01T00:00:00.9Z", "1970-01-01T00:00:00Zgarbage",
          "1970-01-01T00:00:00\0", "1970-01-01T01:00:00+01:00", "1970-01-01T00:00:00+01:00",
          "1970-01-01T0:0:0Z", "1970-01-01T00:00:00 Z", "1970-01-01T00:59:00+00:59")


def pending(due):
    return {"@type": "Pending", "due": due}


@pytest.mark.parametrize("due", EPOCHS)
def test_no_create_goes_on_that_is_due_at_the_epoch(standin, gate, due):
    standin.put_state(**state([certificate(DUE)]))
    id = gate.renew(status=pending(due))
    task, = live_tasks(standin)
    assert task["id"] == id and task["status"]["due"] > "2020"
    (name, answer), = gate.call(["x:Task/get", {"ids": [id]}])
    assert name == "x:Task/get" and len(answer["list"]) == 1
    assert gate.decisions(1)[0]["outcome"] == "forward"


def test_a_repeated_due_time_at_the_epoch(standin, gate):
    standin.put_state(**state([certificate(DUE)]))
    body = (b'{"using":["urn:ietf:params:jmap:core","urn:stalwart:jmap"],"methodCalls":[["x:Task/set",'
            b'{"create":{"k":{"@type":"AcmeRenewal","domainId":"b","status":{"@type":"Pending",'
            b'"due":"2090-01-01T00:00:00Z","due":"1970-01-01T00:00:00Z"}}}},"c"]]}')
    assert gate.post(body)[0] == 200
    task, = live_tasks(standin)
    assert task["status"]["due"] > "2020"


def poisoned(standin, domain_id):
    """A task that is in the queue already, made past the gate."""
    return standin.create(domain_id, status=pending(EPOCH))


IDS = "bcdefghijklm"


def many(*, unreadable=()):
    """Fresh domains, each with its next renewal, which stand far back in the queue."""
    task = lambda id, **more: {**standin_task(id), **more}
    return state([certificate(FRESH, (f"mail.{id}.test",), id=f"c{id}") for id in IDS],
                 [task(id, **({"unreadable": True} if id in unreadable else {})) for id in IDS],
                 [domain(id, f"{id}.test") for id in IDS])


def standin_task(id):
    return {"id": f"jq{id}", "@type": "AcmeRenewal", "domainId": id, "status": pending(days(30))}


def renew_all(gate):
    creates = {id: {"@type": "AcmeRenewal", "domainId": id} for id in IDS}
    (_, answer), = gate.call(["x:Task/set", {"create": creates}])
    return {key: made["id"] for key, made in answer["created"].items()}


@pytest.mark.parametrize("unreadable", ["c", "cm", IDS])
def test_a_remembered_task_that_cannot_be_read_harms_no_other_domain(standin, gate, unreadable):
    standin.put_state(**many())
    ids = renew_all(gate)
    ids = renew_all(gate)
    assert ids == {id: f"jq{id}" for id in IDS}
    standin.put_state(**many(unreadable=unreadable))
    standin.clear_log()
    again = renew_all(gate)
    assert all(again[id] == ids[id] for id in IDS if id not in unreadable)
    assert not {again[id] for id in unreadable} & {ids[id] for id in unreadable}
    rows = [line["row"] for line in gate.decisions(3 * len(IDS))[2 * len(IDS):]]
    assert sorted(rows) == [3] * (len(IDS) - len(unreadable)) + [4] * len(unreadable)
    told = gate.logged("cannot read, change or remove", len(unreadable))
    assert {line["id"] for line in told} == {ids[id] for id in unreadable}
    assert f"renewgate_unreadable_tasks_total {len(unreadable)}\n" in gate.admin("/metrics")[1]
    lookups = [entry for entry in standin.log()
               if '"x:Task/query"' in entry["body"] or '"properties":["domainId"]' in entry["body"]]
    assert len(lookups) <= 6, "the look-up, its parts, and the look-up again"
    assert live_tasks(standin) and standin.counters()["orders"] == 0

    standin.clear_log()
    renew_all(gate)
    assert len(standin.log()) == 2, "it is looked for once"


def test_sweeps_and_audits_pass_it_over(standin):
    standin.put_state(**state([certificate(FRESH)], domains=[domain("b", "example.org"),
                                                             domain("c", "example.net")]))
    poisoned(standin, "c")
    for command in (["sweep", "--dry-run"], ["audit"]):
        done = run(*command, UPSTREAM_URL=standin.url, SERVICE_AUTHORIZATION=basic())
        assert "did not come to its end" not in done.stderr and done.returncode in (0, 1, 3), done
        assert done.stdout


def test_a_server_that_is_unavailable_is_no_such_task(standin):
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port) as gate:
        gate.renew()
        standin.fault(match="x:Task/get", method="x:Task/get", method_error="serverUnavailable",
                      times=1)
        gate.renew()
        assert gate.decisions(2)[1]["row"] == 9
        assert not [line for line in gate.lines if "cannot read" in line]
        gate.renew()
        assert gate.decisions(3)[2]["row"] == 2
