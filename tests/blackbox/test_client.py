"""Who the client is: to the server, in look-ups, and in the log."""

import pytest

from gate import Gate, basic
from test_gate import FRESH, certificate, state
from test_operator import run

CLIENT = "192.0.2.7"
SPOOFED = "203.0.113.5"


def told(standin, name):
    """What the requests that reached the server said in a field, each once."""
    return {value for entry in standin.log() for key, value in entry["headers"]
            if key.lower() == name.lower()}


def test_nobody_is_believed_by_default(standin):
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port) as gate:
        gate.renew(headers={"X-Forwarded-For": SPOOFED, "Forwarded": f"for={SPOOFED}",
                            "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.test"})
        line, = gate.decisions(1)
    assert line["peer"] == "127.0.0.1"
    assert told(standin, "X-Forwarded-For") == {"127.0.0.1"}
    assert told(standin, "Forwarded") == {
        f'for=127.0.0.1;host="127.0.0.1:{gate.port}";proto=http'}
    assert told(standin, "X-Forwarded-Proto") == {"http"}
    assert told(standin, "X-Forwarded-Host") == {f"127.0.0.1:{gate.port}"}


@pytest.mark.parametrize("fields", [
    {"X-Forwarded-For": f"{SPOOFED}, {CLIENT}, 10.0.0.2", "X-Forwarded-Proto": "https",
     "X-Forwarded-Host": "mail.test", "Forwarded": f"for={SPOOFED}"},
    {"Forwarded": f"for={SPOOFED}, for={CLIENT};proto=https;host=mail.test, for=10.0.0.2"},
], ids=["X-Forwarded-For", "Forwarded"])
def test_a_trusted_proxy_is_believed_and_its_client_is_not(standin, fields):
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port, TRUSTED_PROXIES="127.0.0.0/8, 10.0.0.0/8") as gate:
        gate.renew(headers=fields)
        line, = gate.decisions(1)
    assert len(standin.log()) >= 2, "a look-up and the request itself"
    assert line["peer"] == CLIENT
    assert told(standin, "X-Forwarded-For") == {f"{CLIENT}, 10.0.0.2, 127.0.0.1"}
    assert told(standin, "Forwarded") == {
        f'for={CLIENT};host="mail.test";proto=https, for=10.0.0.2, for=127.0.0.1'}
    assert told(standin, "X-Forwarded-Proto") == {"https"}
    assert told(standin, "X-Forwarded-Host") == {"mail.test"}


def test_a_look_up_with_the_gates_own_credential_speaks_for_nobody(standin):
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port, TRUSTED_PROXIES="127.0.0.1",
              SERVICE_AUTHORIZATION=basic("admin")) as gate:
        gate.renew(user="blind", headers={"X-Forwarded-For": CLIENT})
    own = [entry for entry in standin.log()
           if ["Authorization", basic("admin")] in entry["headers"]]
    assert {value for entry in own for name, value in entry["headers"]
            if name == "X-Forwarded-For"} == {"127.0.0.1"}, "the gate's own address"


@pytest.mark.parametrize("value", ["everyone", "10.0.0.0/33", "10.0.0.1,", "::/x"])
def test_what_is_no_network_stops_the_start(value):
    ended = run(UPSTREAM_URL="http://127.0.0.1:1", TRUSTED_PROXIES=value)
    line, = ended.stderr.splitlines()
    assert ended.returncode == 2 and "RENEWGATE_TRUSTED_PROXIES" in line and value in line
