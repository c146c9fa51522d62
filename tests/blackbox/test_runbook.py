"""The calls of docs/runbook.md, as they stand there, do what it says."""

import json
import re
import shlex

import pytest

from gate import Gate
from standin import ROOT
from test_gate import DUE, FRESH, certificate, live_tasks, state
from test_refusals import OTHER_CA, change, failed_tasks

PAGE = (ROOT / "docs/runbook.md").read_text()
BLOCK = re.compile(r"^( *)```(json|sh)\n(.*?)^\1```$", re.M | re.S)
SECTIONS = ["How to force a renewal", "A domain whose orders fail",
            "A refusal that no longer holds"]


def blocks(section):
    """What stands in blocks of its own below a heading, without its indentation."""
    text = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)[1]
    return [re.sub(rf"^{indent}", "", body, flags=re.M) for indent, _, body in BLOCK.findall(text)]


def request_of(block):
    """Target, header fields and document, of a curl command or of calls alone."""
    if not block.startswith("curl"):
        return "/jmap/", {}, {"using": [], "methodCalls": json.loads(f"[{block}]")}
    words, fields, target, body = shlex.split(block.replace("\\\n", " ")), {}, None, None
    rest = iter(words[1:])
    for word in rest:
        if word == "-H":
            name, value = next(rest).split(": ")
            fields[name] = value
        elif word == "-u":
            assert next(rest) == "admin"
        elif word == "-d":
            body = json.loads(next(rest))
        else:
            assert word.startswith("http://127.0.0.1:8088/"), word
            target = word.removeprefix("http://127.0.0.1:8088")
    return target, fields, body


def run(gate, block, **ids):
    """Sends it with these ids in their places; what the last call was answered."""
    text = block
    for place, id in ids.items():
        listed = '","'.join(id) if isinstance(id, list) else id
        text = text.replace(f'"{place}"', f'"{listed}"')
    target, fields, document = request_of(text)
    status, answer = gate.post(document, target=target, headers=fields)
    assert status == 200, answer
    assert not any(name == "error" for name, *_ in answer["methodResponses"]), answer
    return answer["methodResponses"][-1][1]


def test_each_section_has_its_calls():
    assert [len(blocks(section)) for section in SECTIONS] == [3, 3, 3]


def test_a_renewal_is_forced_by_removing_the_certificate(standin, gate):
    find, replace, _ = blocks(SECTIONS[0])
    standin.put_state(**state([certificate(FRESH), certificate(DUE)]))
    old = [each["id"] for each in run(gate, find)["list"]]
    assert len(old) == 2
    answer = run(gate, replace, CERTIFICATE=old, DOMAIN="b")
    assert answer["created"]["k"]["id"] == live_tasks(standin)[0]["id"]
    standin.run()
    new, = standin.state()["certificates"]
    assert new["id"] not in old and standin.counters()["orders"] == 1


def test_a_renewal_is_forced_by_a_field_where_the_server_lets_it(standin):
    _, _, force = blocks(SECTIONS[0])
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port, FORCE="allow") as gate:
        assert run(gate, force, DOMAIN="b")["created"]
        standin.run()
    orders = 1 if standin.version == "v0.16.5" else 0
    assert standin.counters()["orders"] == orders and len(failed_tasks(standin)) == 1 - orders


@pytest.mark.parametrize("restarted", [False, True], ids=["", "after a restart"])
def test_a_domain_whose_orders_fail_is_asked_for_at_once(standin, restarted):
    find, remove, create = blocks(SECTIONS[1])
    standin.put_state(**state(ca={"invalid": "urn:ietf:params:acme:error:badCSR: no"}))
    with Gate(standin.port) as gate:
        for _ in range(3):
            gate.renew()
            standin.run()
    assert standin.counters()["orders"] == 1
    standin.ca(invalid=None)
    with Gate(standin.port, FORCE="allow") as gate:
        if not restarted:
            gate.renew()
        failed = [each["id"] for each in run(gate, find)["list"]]
        assert len(failed) == 1
        answer = run(gate, remove, TASK=failed)
        if standin.version == "v0.16.5":
            assert answer["notDestroyed"]
            run(gate, blocks(SECTIONS[0])[2], DOMAIN="b")
        else:
            run(gate, create, DOMAIN="b")
        assert standin.run() == 1
    assert standin.counters()["orders"] == 2


def test_a_refusal_that_no_longer_holds_is_ended(standin):
    remove, create, let_run = blocks(SECTIONS[2])
    standin.put_state(**state(providers=state()["providers"] + [OTHER_CA],
                              ca={"refuse": True, "refuse_seconds": 604800}))
    with Gate(standin.port) as gate:
        task = gate.renew()
        standin.run()
        change(gate, {"certificateManagement/acmeProviderId": "d"})
    standin.ca(refuse=False)
    with Gate(standin.port) as gate:
        assert gate.renew() == task and standin.run() == 0, "it was not seen before the change"
        if standin.version == "v0.16.5":
            assert run(gate, remove, TASK=task)["notDestroyed"]
            now = standin.clock()["now"]
            assert run(gate, let_run.replace("2026-11-23T21:33:17Z", now), TASK=task)["updated"]
        else:
            assert run(gate, remove, TASK=task)["destroyed"] == [task]
            assert run(gate, create, DOMAIN="b")["created"]["k"]["id"] != task
        standin.run()
    assert standin.counters()["certificates"] == 1
