"""What a person does next, as the audit, the status page and an explanation tell it: pasted, it works."""

import html
import json
import os
import re
import subprocess

import pytest

from gate import Gate
from standin import Standin, basic, binary
from test_audit import audit, report
from test_decisions import failed
from test_explain import QUIET, explain
from test_gate import (DUE, FRESH, certificate, days, domain, live_tasks, retry, stamp, state,
                       task)
from test_metrics import metrics_of
from test_sweep import environment

FAILING = [failed("Order invalid: no")]


def paste(command, port):
    """As a person does: in a shell, with the administrator's password, and what the unit knows."""
    command = command.replace("curl -u admin ", "curl -sS -u admin:secret ")
    path = f"{binary('')}:{os.environ['PATH']}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60,
                           env=environment(port) | {"PATH": path})
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def only(items):
    item, = items
    return item


def ways(standin, gate):
    """The three that tell, each with its words and its command."""
    told = [only(json.loads(gate.admin("/status.json")[1])["to_do"]["items"])["next"],
            only(report(standin.port, status=1)["domains"])["next"],
            json.loads(explain(standin.port, "example.org", "--json"))["next"]]
    assert len({each["words"] for each in told}) == 1
    return told


@pytest.mark.parametrize("way", [0, 1, 2])
def test_after_a_failure_is_mended_its_call_lets_the_next_order_run(standin, way):
    standin.put_state(**state([certificate(DUE)], FAILING))
    with Gate(standin.port, **QUIET) as gate:
        gate.renew()
        assert gate.decisions(1)[0]["row"] == 6
        standin.reset_counters()
        standin.run()
        assert standin.counters()["orders"] == 0
        advice = ways(standin, gate)[way]
        paste(advice["command"], standin.port)
        standin.run()
        assert standin.counters()["orders"] == 1


@pytest.mark.parametrize("tasks", [[task(days(-1))], []], ids=["stuck", "lost"])
def test_a_sweep_is_told_where_it_mends(standin, tasks):
    standin.put_state(**state([certificate(DUE)], tasks))
    told = only(report(standin.port, status=1)["domains"])
    assert told["next"]["command"] == f"{binary('renewgate')} sweep"
    paste(told["next"]["command"], standin.port)
    left = live_tasks(standin)
    assert [each for each in left if each["status"]["due"] > days(-1)]
    again = only(report(standin.port)["domains"])
    assert not again["next"]


def test_who_waits_for_the_ca_is_told_to_wait(standin):
    standin.put_state(**state([certificate(DUE)], [retry(days(6))]))
    with Gate(standin.port, **QUIET) as gate:
        gate.renew()
        for advice in ways(standin, gate):
            assert advice["words"].startswith("wait") and advice["command"] is None
        assert metrics_of(gate)['renewgate_held_domains{by="ca"}'] == 1
        assert metrics_of(gate)["renewgate_failing_domains"] == 0


def test_who_is_held_and_why(standin):
    standin.put_state(**state([certificate(DUE)], FAILING))
    with Gate(standin.port, **QUIET) as gate:
        gate.renew()
        data = json.loads(gate.admin("/status.json")[1])
        page = gate.admin("/")[1]
        metrics = metrics_of(gate)
    held = only(data["held"]["items"])
    assert (held["held_by"], held["failures"], held["last_failure"]) == \
        ("failures", 1, "Order invalid: no")
    assert metrics['renewgate_held_domains{by="failures"}'] == 1
    assert metrics["renewgate_failing_domains"] == 1
    assert "its orders fail" in page and "Order invalid: no" in page
    command = html.unescape(re.search(r"<code>(curl.*?)</code>", page)[1])
    assert command == held["next"]["command"]
    assert f"<code>{binary('renewgate')} explain example.org</code>" in page


def test_the_account_has_other_orders_first(standin):
    domains = [domain(id, f"{id}.test") for id in "bcd"]
    standin.put_state(**state(domains=domains))
    with Gate(standin.port, ACCOUNT_LIMIT="2/1h", **QUIET) as gate:
        for each in "bcd":
            gate.renew(each)
        data = json.loads(gate.admin("/status.json")[1])
        assert metrics_of(gate)['renewgate_held_domains{by="account"}'] == 1
    assert [each["held_by"] for each in data["held"]["items"]] == ["account"]


def test_a_command_of_the_audits_table_can_be_pasted(standin):
    standin.put_state(**state([certificate(DUE)], FAILING + [task(days(3), id="jp173xlcamqa")]))
    command = only(re.findall(r"^      \$ (curl .*)$", audit(standin.port, status=1), re.M))
    assert '"updated"' in paste(command, standin.port)


def test_nothing_is_to_be_done_where_all_is_well(standin):
    standin.put_state(**state([certificate(FRESH)], [task(days(57))]))
    with Gate(standin.port, **QUIET) as gate:
        gate.renew()
        assert json.loads(gate.admin("/status.json")[1])["to_do"] == {"total": 0, "items": []}
        assert '<h2 id="next">What to do</h2><p class="muted">Nothing.</p>' in gate.admin("/")[1]


def test_a_mended_credential_is_tried_at_once():
    """The process id in the command is the gate's."""
    with Standin("v0.16.18") as standin:
        standin.put_state(**state([certificate(FRESH)], [task(days(57))]))
        with Gate(standin.port, **QUIET) as gate:
            standin.fault(match="x:", status=401, times=1)
            gate.admin("/status.json?domain=example.org")
            gate.logged("which rests")
            credential = json.loads(gate.admin("/status.json")[1])["gate"]["credential"]
            assert credential["refused"]
            assert f"<code>{credential['try_now']}</code>" in gate.admin("/")[1]
            paste(credential["try_now"], standin.port)
            for _ in range(100):
                told = json.loads(gate.admin("/status.json?domain=example.org")[1])
                if "create" in told["explanation"]:
                    break
            assert told["explanation"]["create"]["row"] == 3
