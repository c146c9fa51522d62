"""Text that others chose, for people to read: nothing in it commands a terminal or turns text around."""

import json
import re
import subprocess

import pytest

from gate import Gate
from standin import basic, binary
from test_collapse import refused
from test_gate import DUE, certificate, days, domain, retry, state
from test_sweep import environment
from wire import ask

#: C0 but line feed, DEL, C1, direction, separators of lines.
HIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
EVIL = "\x1b]0;owned\x07\x9b1m\x7f\u202e\u2066\u200f\u2028b\u00fccher.test"
REASON = "\x1b[2JDNS \x9b31m\u202e error\u0085"
SECRET = "P4ssw0rd"


def evil_state():
    return state([certificate(DUE)], [retry(days(1), REASON), *refused(3)],
                 domains=[domain("b", EVIL, names=("mail.example.org",)), domain("c", EVIL + "2")])


@pytest.fixture
def gate(standin):
    standin.put_state(**evil_state())
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin"), METRICS_DOMAINS="on",
              SURVEY_INTERVAL="1s", SWEEP_INTERVAL="1s", LOG_LEVEL="debug") as gate:
        gate.logged('"survey done"')
        gate.logged('"sweep done"')
        yield gate


def test_nothing_hidden_is_shown_raw(gate):
    gate.renew("b")
    gate.renew("c")
    for line in list(gate.lines):
        assert not HIDDEN.search(line), line
    for target in ("/", "/status.json", "/metrics", "/readyz"):
        status, text = gate.admin(target)
        assert status == 200 and not HIDDEN.search(text), target
    assert "b\u00fccher.test" in gate.admin("/")[1]


def test_machines_get_it_whole(gate):
    gate.renew("b")
    assert gate.decisions(1)[0]["domain"] == EVIL
    domains = json.loads(gate.admin("/status.json")[1])["domains"]["items"]
    assert {found["name"] for found in domains} == {EVIL, EVIL + "2"}


def test_each_domain_has_a_label_of_its_own(standin):
    names = ["a\x1b.test", "a\x1c.test", "a\u202e.test", "a\ufffd001b.test", "a\ufffd.test"]
    domains = [domain("bcdef"[i], name) for i, name in enumerate(names)]
    standin.put_state(**state([], [retry(days(3), domain=id, id=f"jp173xlcamq{id}") for id in "bcdef"],
                              domains=domains))
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin"), METRICS_DOMAINS="on",
              SURVEY_INTERVAL="1s") as gate:
        gate.logged('"survey done"')
        series = re.findall(r"^renewgate_domain_held_until_timestamp_seconds{.*} ", gate.admin("/metrics")[1], re.M)
        assert len(series) == len(set(series)) == len(names), series


@pytest.mark.parametrize("words", [["sweep", "--dry-run"], ["sweep", "--dry-run", "--json"],
                                   ["audit", "--all"], ["audit", "--json"]])
def test_commands_show_nothing_raw(standin, words):
    standin.put_state(**evil_state())
    ended = subprocess.run([binary("renewgate"), *words], capture_output=True, text=True, timeout=60,
                           env=environment(standin.port))
    assert ended.returncode in (0, 1) and not HIDDEN.search(ended.stdout + ended.stderr)
    if "--json" in words:
        assert json.dumps(EVIL) in re.sub(r"\\u....", lambda code: code[0].lower(), ended.stdout)


# Requests.

@pytest.mark.parametrize("target", [
    f"http://admin:{SECRET}@h/x", f"HTTPS://{SECRET}@h", f"http://admin:{SECRET}@h/jmap/",
    f"http:admin:{SECRET}@h/x", f"admin:{SECRET}@h", f"http:/admin:{SECRET}@h/",
    f"ftp://admin:{SECRET}@h/x",
])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_target_with_a_password_is_refused_and_not_logged(standin, target, version):
    host = "" if version == "1.0" else "Host: h\r\n"
    with Gate(standin.port, LOG_LEVEL="debug") as gate:
        answer = ask(gate.port, f"GET {target} HTTP/{version}\r\n{host}\r\n".encode())
        assert answer.status == 400
        gate.logged('"exchange"')
        assert SECRET not in "\n".join(gate.lines)
    assert not [request for request in standin.log() if SECRET in json.dumps(request)]


def test_a_url_as_a_target_is_logged_by_its_path(standin):
    with Gate(standin.port, LOG_LEVEL="debug") as gate:
        ask(gate.port, b"GET http://h/healthz/live?token=" + SECRET.encode() +
            b" HTTP/1.1\r\nHost: h\r\n\r\n")
        assert gate.logged('"exchange"')[0]["path"] == "/healthz/live"
        assert SECRET not in "\n".join(gate.lines)
