"""The gate's own credential, when the server does not know it any more: it rests."""

import json
import os
import re
import signal

import pytest

from gate import Gate
from standin import basic
from test_gate import FRESH, certificate, state
from test_operator import run
from test_workers import at_once
from waiting import wait_until


def state_with_bans(*certificates):
    """A server that bans whoever fails to log in a hundred times, the gate too."""
    return {**state(list(certificates)), "bans": True}


def logins(standin, value):
    """Requests with that Authorization."""
    return [entry for entry in standin.log()
            if ["Authorization", value] in entry["headers"]]


until = wait_until


WRONG = basic("admin", "no longer")


def swept(gate, times):
    """Waits for so many sweeps that have failed."""
    until(lambda: int(re.search(r'^renewgate_sweeps_total\{result="failed"\} (\d+)$',
                                gate.admin("/metrics")[1], re.M)[1]) >= times)


def test_sweeps_and_surveys_do_not_get_the_gate_banned(standin):
    standin.put_state(**state_with_bans(certificate(FRESH)))
    with Gate(standin.port, SERVICE_AUTHORIZATION=WRONG, SWEEP_INTERVAL="1s",
              SURVEY_INTERVAL="1s") as gate:
        swept(gate, 3)
        assert len(gate.logged("sweep given up")) == 1, "one line a rest"
        assert len(gate.logged("survey given up")) == 1
        assert standin.counters()["failed_logins"] == 1
        refused, = gate.logged("the server refuses the gate's own credential")
        assert refused["refusals"] == 1 and refused["rest_milliseconds"] == 600000
        gate.renew()
    assert standin.counters()["failed_logins"] == 1


def test_creates_of_who_may_not_read_do_not_get_the_gate_banned(standin):
    standin.put_state(**state_with_bans(certificate(FRESH)))
    with Gate(standin.port, SERVICE_AUTHORIZATION=WRONG, SWEEP_INTERVAL="off",
              SURVEY_INTERVAL="off") as gate:
        ids = {gate.renew(user="blind") for _ in range(110)}
        assert len(ids) == 1, "as when a look-up fails"
        assert {line["row"] for line in gate.decisions(110)} == {9}
    counters = standin.counters()
    assert counters["failed_logins"] == 1
    assert counters["tasks_created"] == 1


def test_people_are_told(standin):
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port, SERVICE_AUTHORIZATION=WRONG, SWEEP_INTERVAL="off",
              SURVEY_INTERVAL="off") as gate:
        assert gate.admin("/readyz") == (200, "ready\n")
        assert "renewgate_service_credential_refused 0\n" in gate.admin("/metrics")[1]
        assert "own credential" not in gate.admin("/")[1]
        gate.renew(user="blind")
        status, body = gate.admin("/readyz")
        assert status == 200
        assert "refuses the gate's own credential (1 times in a row)" in body
        metrics = gate.admin("/metrics")[1]
        assert "renewgate_service_credential_refused 1\n" in metrics
        assert "renewgate_service_credential_refusals_total 1\n" in metrics
        assert "refuses the gate&#39;s own credential" in gate.admin("/")[1]
        shown = json.loads(gate.admin("/status.json")[1])["gate"]["credential"]
        assert shown["refused"] is True and shown["refusals"] == 1
        assert shown["refused_since"] < shown["tried_again"]
        assert "bm8gbG9uZ2Vy" not in "\n".join(gate.lines) and "no longer" not in body


def test_without_a_credential_there_is_nothing_to_tell(standin, gate):
    assert "service_credential" not in gate.admin("/metrics")[1]
    assert json.loads(gate.admin("/status.json")[1])["gate"]["credential"] is None


def test_sighup_ends_the_rest(standin):
    """The operator has mended the user at the server."""
    standin.put_state(**state([certificate(FRESH)]))
    right = [{"name": "blind", "password": "secret", "permissions": ["sysTaskCreate", "taskAcmeRenewal"]},
             {"name": "gate", "password": "now known", "permissions": "all"}]
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("gate", "now known"),
              SWEEP_INTERVAL="off", SURVEY_INTERVAL="off") as gate:
        gate.renew(user="blind")
        gate.renew(user="blind")
        assert standin.counters()["failed_logins"] == 1
        standin.put_state(**state([certificate(FRESH)]), users=right)
        gate.process.send_signal(signal.SIGHUP)
        until(lambda: gate.admin("/readyz") == (200, "ready\n"))
        gate.renew(user="blind")
        assert gate.decisions(3)[-1]["row"] == 4
        assert "renewgate_service_credential_refused 0\n" in gate.admin("/metrics")[1]


def test_a_changed_file_is_read_again(standin, tmp_path):
    standin.put_state(**state_with_bans(certificate(FRESH)))
    path = tmp_path / "credential"
    path.write_text(WRONG + "\n")
    with Gate(standin.port, SERVICE_AUTHORIZATION_FILE=path, SWEEP_INTERVAL="1s",
              SURVEY_INTERVAL="off") as gate:
        gate.logged("sweep given up")
        path.write_text("nonsense")
        line, = gate.logged("cannot be read again, the old one stays")
        assert line["error"] == "it does not hold an Authorization value"
        fresh = tmp_path / "next"
        fresh.write_text(basic())
        os.replace(fresh, path)
        gate.logged("the gate's own credential has changed")
        gate.logged("sweep done")
        assert gate.admin("/readyz") == (200, "ready\n")
    assert standin.counters()["failed_logins"] == 1
    assert "nonsense" not in "\n".join(gate.lines)


def test_a_file_that_is_written_again_as_it_was_ends_no_rest(standin, tmp_path):
    standin.put_state(**state([certificate(FRESH)]))
    path = tmp_path / "credential"
    path.write_text(WRONG)
    with Gate(standin.port, SERVICE_AUTHORIZATION_FILE=path, SWEEP_INTERVAL="1s",
              SURVEY_INTERVAL="off") as gate:
        gate.logged("sweep given up")
        path.write_text(WRONG)
        swept(gate, 8)
    assert standin.counters()["failed_logins"] == 1


def test_check_tells_how_to_exempt_the_gate_from_bans(standin):
    """Not from an address that the server exempts by itself."""
    with Gate(standin.port, LISTEN="127.0.0.2:0") as server:
        for settings in ({}, {"SERVICE_AUTHORIZATION": basic()}):
            checked = run("--check", UPSTREAM_URL=f"http://127.0.0.2:{server.port}", **settings)
            assert '"x:AllowedIp/set"' in checked.stdout and '"ReloadSettings"' in checked.stdout


@pytest.mark.parametrize("command", ["sweep", "audit"])
def test_a_command_gives_up_at_the_first_refusal(standin, command):
    standin.put_state(**state_with_bans(certificate(FRESH)))
    done = run(command, UPSTREAM_URL=standin.url, SERVICE_AUTHORIZATION=WRONG)
    assert done.returncode != 0 and "does not know the credential" in done.stderr
    assert standin.counters()["failed_logins"] == 1


@pytest.mark.workers
def test_all_threads_share_one_rest(standin):
    """Of what is under way when the first answer comes, each request may cost a refusal."""
    standin.put_state(**state_with_bans(certificate(FRESH)))
    with Gate(standin.port, SERVICE_AUTHORIZATION=WRONG, WORKERS=4, SWEEP_INTERVAL="1s",
              SURVEY_INTERVAL="1s") as gate:
        for _ in range(5):
            at_once(20, lambda _: gate.renew(user="blind"))
    assert 1 <= standin.counters()["failed_logins"] <= 21
