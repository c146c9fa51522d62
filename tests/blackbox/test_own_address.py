"""Requests of the gate's own tell an address: a server that reads them complains of each without one."""

from gate import Gate
from standin import basic
from test_gate import DUE, certificate, state
from test_operator import run


def told(standin):
    """What each request said of its client's address, by path."""
    return {(entry["target"], value) for entry in standin.log()
            for value in [dict(entry["headers"]).get("X-Forwarded-For")]}


def test_sweeps_probes_and_checks_tell_the_gates_own(standin):
    url = f"http://localhost:{standin.port}"
    with Gate(standin.port, UPSTREAM_URL=f"http://127.0.0.1:{standin.port}",
              SERVICE_AUTHORIZATION=basic("admin"), SWEEP_INTERVAL="1s") as gate:
        gate.logged("sweep done")
        assert gate.admin("/readyz")[0] == 200
    assert run("--check", UPSTREAM_URL=url, SERVICE_AUTHORIZATION=basic("admin")).returncode == 0
    seen = told(standin)
    assert seen and {value for _, value in seen} <= {"127.0.0.1", "::1"}, seen


def test_look_ups_for_a_caller_who_may_not_read_tell_it_too(standin):
    standin.put_state(**state([certificate(DUE)]))
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin"), SWEEP_INTERVAL="off",
              SURVEY_INTERVAL="off", TRUSTED_PROXIES="127.0.0.1") as gate:
        gate.renew(user="blind", headers={"X-Forwarded-For": "192.0.2.7"})
    by_credential = {(dict(entry["headers"])["Authorization"],
                      dict(entry["headers"]).get("X-Forwarded-For")) for entry in standin.log()}
    assert (basic("admin"), "127.0.0.1") in by_credential
    assert {value for credential, value in by_credential if credential == basic("blind")} == \
        {"192.0.2.7, 127.0.0.1"}
