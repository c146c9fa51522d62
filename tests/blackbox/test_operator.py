"""What the person who runs the gate meets: its words, its refusals, its end."""

import os
import re
import shutil
import signal
import socket
import subprocess
import threading

import pytest

from gate import Gate
from standin import ROOT, basic, binary
from test_gate import CREATE, FRESH, certificate, state
from waiting import wait_until


def run(*arguments, **settings):
    environment = {key: value for key, value in os.environ.items()
                   if not key.startswith("RENEWGATE_")}
    environment.update({"RENEWGATE_" + key: value for key, value in settings.items()})
    return subprocess.run([binary("renewgate"), *arguments], env=environment, timeout=30,
                          capture_output=True, text=True)


def test_help_and_version():
    assert "RENEWGATE_UPSTREAM_URL" in run("--help").stdout
    version = run("--version")
    first, *libraries = version.stdout.splitlines()
    assert version.returncode == 0
    assert first == f"renewgate {(ROOT / 'VERSION').read_text().strip()}"
    found = dict(line.split()[:2] for line in libraries)
    assert found["libcurl"] == re.search(r"libcurl/(\S+)", subprocess.check_output(
        ["curl", "--version"], text=True))[1]
    part = ROOT / "build/deps/libmicrohttpd.version"
    assert ("libmicrohttpd " + part.read_text().strip() + ", part of this binary" in version.stdout
            if part.exists() else "part of" not in version.stdout)
    assert all(line in run("--check", UPSTREAM_URL="http://127.0.0.1:1").stdout
               for line in version.stdout.splitlines()), "--check says it, too"


@pytest.mark.parametrize("name, value", [
    ("UPSTREAM_URL", "ftp://x"), ("UPSTREAM_URL", "http://x/path"), ("MODE", "maybe"),
    ("UPSTREAM_URL", "http://[::1"), ("UPSTREAM_URL", "http://x:99999"),
    ("NOT_DUE", "no"), ("FORCE", "yes"), ("ON_LOOKUP_FAILURE", "x"), ("BLIND_INTERVAL", "5"),
    ("BLIND_HOLD", "-1h"), ("ISSUE_LIMIT", "5"), ("WORKERS", "0"), ("MAX_REQUEST", "lots"),
    ("CONNECT_TIMEOUT", "0s"), ("LOOKUP_TIMEOUT", "soon"), ("LISTEN", "here"),
    ("LOG_LEVEL", "loud"), ("LOG_FORMAT", "xml"), ("SWEEPS", "on"),
    ("LOCK_URL", "http://cache"), ("LOCK_URL", "redis://user@cache"), ("LOCK_CA", "/absent"),
    ("LOCK_PREFIX", "a{b}"), ("LOCK_TIMEOUT", "1ms"), ("UPSTREAM_CA", "/etc"),
])
def test_a_wrong_value_stops_the_start_with_one_line(name, value):
    settings = {"UPSTREAM_URL": "http://127.0.0.1:1", name: value}
    ended = run(**settings)
    line, = ended.stderr.splitlines()
    assert ended.returncode == 2
    assert f"RENEWGATE_{name}" in line and "allowed" in line


def test_whether_a_gate_is_alive_depends_on_nothing_but_its_address():
    """It goes on with what it has read from files that are no good by now."""
    with Gate(1) as gate:
        alive = run("--alive", ADMIN_LISTEN=f"127.0.0.1:{gate.admin_port}",
                    UPSTREAM_URL="http://mail.invalid", TLS_CERT="/absent", TLS_KEY="/absent",
                    SERVICE_AUTHORIZATION_FILE="/absent", LOCK_CA="/absent")
    assert (alive.returncode, alive.stdout, alive.stderr) == (0, "", "")


@pytest.mark.parametrize("words, offered", [
    ([""], ["sweep", "audit", "explain", "--check", "--alive", "--help", "--help-markdown", "--version"]),
    (["--h"], ["--help", "--help-markdown"]),
    (["sweep", ""], ["--dry-run", "--json"]),
    (["audit", "--d"], ["--domain"]),
    (["explain", "--"], ["--force", "--json"]),
    (["--check", ""], []),
])
def test_the_shell_completes_commands_and_their_options(words, offered):
    script = (f'source {ROOT}/deploy/completion/renewgate.bash; COMP_WORDS=("$@"); '
              'COMP_CWORD=$(($# - 1)); _renewgate; echo "${COMPREPLY[@]}"')
    path = f"{binary('').resolve()}:{os.environ['PATH']}"
    ended = subprocess.run(["bash", "-c", script, "bash", "renewgate", *words], timeout=30,
                           capture_output=True, text=True, env={**os.environ, "PATH": path})
    assert (ended.stdout.split(), ended.stderr) == (offered, "")


def test_a_secret_is_not_shown_and_can_come_from_a_file(tmp_path):
    ended = run(UPSTREAM_URL="http://127.0.0.1:1", SERVICE_AUTHORIZATION="hunter2\n")
    assert ended.returncode == 2 and "hunter2" not in ended.stderr
    missing = run(UPSTREAM_URL="http://127.0.0.1:1",
                  SERVICE_AUTHORIZATION_FILE=str(tmp_path / "absent"))
    assert missing.returncode == 2 and "SERVICE_AUTHORIZATION_FILE" in missing.stderr


def test_a_file_with_a_wrong_secret_is_named_and_its_content_is_not(tmp_path):
    file = tmp_path / "authorization"
    file.write_text("hunter2\n")
    ended = run(UPSTREAM_URL="http://127.0.0.1:1", SERVICE_AUTHORIZATION_FILE=str(file))
    line, = ended.stderr.splitlines()
    assert ended.returncode == 2 and "hunter2" not in line
    assert f'RENEWGATE_SERVICE_AUTHORIZATION_FILE="{file}"' in line and "allowed is" in line


@pytest.mark.parametrize("command, options", [
    ("audit", ["--all", "--domain NAME", "--json", "--probe HOST:PORT"]),
    ("sweep", ["--dry-run", "--json"]),
])
def test_commands_tell_how_they_are_used(command, options):
    """Without any configuration."""
    told = run(command, "--help")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith(f"renewgate {command}: ")
    assert all(f"\n  {option} " in told.stdout for option in options)
    assert max(map(len, told.stdout.splitlines())) <= 100
    assert set(re.findall(r"--[a-z-]+", told.stdout)) == {option.split()[0] for option in options}


@pytest.mark.parametrize("arguments", [
    ["--chek"], ["check"], ["sweep", "--quickly"], ["audit", "--domain"], ["--check", "now"],
    ["sweep", "--help", "--json"], ["--check", "--help"],
])
def test_a_command_line_that_is_not_understood_is_repeated(arguments):
    ended = run(*arguments, UPSTREAM_URL="http://127.0.0.1:1")
    assert ended.returncode == 2
    assert ended.stderr == f'renewgate: "{" ".join(arguments)}" is not understood; see ' \
                           "renewgate --help\n"


def test_check(standin):
    url = f"http://127.0.0.1:{standin.port}"
    fine = run("--check", UPSTREAM_URL=url, SERVICE_AUTHORIZATION=basic("admin"))
    assert fine.returncode == 0, fine.stdout + fine.stderr
    wrong = run("--check", UPSTREAM_URL=url, SERVICE_AUTHORIZATION=basic("admin", "wrong"))
    assert wrong.returncode == 1
    assert run("--check", UPSTREAM_URL="http://127.0.0.1:1").returncode == 1


def test_check_warns_of_limits_that_look_ups_do_not_go_with(standin):
    for objects, warned in (500, False), (99, True):
        standin.put_state(**state(), max_objects=objects)
        checked = run("--check", UPSTREAM_URL=f"http://127.0.0.1:{standin.port}",
                      SERVICE_AUTHORIZATION=basic("admin"))
        assert checked.returncode == 0, "a warning is no fault"
        lines = [line for line in checked.stdout.splitlines() if line.startswith("limits:")]
        assert [("maxObjectsInGet is 99" in line, "getMaxResults" in line, "need 100" in line)
                for line in lines] == [(True, True, True)] * warned


def test_check_says_what_the_credential_may_do(standin):
    url = f"http://127.0.0.1:{standin.port}"
    for user, missing in (("admin", False), ("blind", True)):
        checked = run("--check", UPSTREAM_URL=url, SERVICE_AUTHORIZATION=basic(user))
        assert "accepted; it may" in checked.stdout
        assert ("MISSING" in checked.stdout) == missing == (checked.returncode == 1)
    assert "not set" in run("--check", UPSTREAM_URL=url).stdout


@pytest.mark.parametrize("user, reads, words", [
    ("admin", True, "the server reads X-Forwarded-For"),
    ("admin", False, "WARNING: the server does not read X-Forwarded-For"),
    ("reader", False, "may not read"),
    (None, False, "not checked without a service credential"),
])
def test_check_tells_whether_the_server_sees_its_clients(standin, user, reads, words):
    standin.put_state(**state(http={"useXForwarded": reads}))
    settings = {"SERVICE_AUTHORIZATION": basic(user)} if user else {}
    checked = run("--check", UPSTREAM_URL=f"http://127.0.0.1:{standin.port}", **settings)
    assert checked.returncode == 0, "a warning is no fault"
    line, = [line for line in checked.stdout.splitlines() if "clients' addresses" in line]
    assert words in line


def test_metrics_please_promtool(standin):
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed")
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port) as gate:
        gate.renew()
        _, metrics = gate.admin("/metrics")
    checked = subprocess.run(["promtool", "check", "metrics"], input=metrics, text=True,
                             capture_output=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_what_is_under_way_is_finished_at_the_end(standin):
    standin.put_state(**state([certificate(FRESH)]))
    standin.fault(match="x:Task/set", delay_ms=1500, times=1)
    answers = []
    gate = Gate(standin.port)
    request = threading.Thread(target=lambda: answers.append(gate.renew()))
    request.start()
    wait_until(lambda: standin.faults()[0]["met"])
    gate.process.send_signal(signal.SIGTERM)
    for _ in range(1000):
        try:
            socket.create_connection(("127.0.0.1", gate.port)).close()
        except ConnectionResetError:  # it came while the address was given up
            continue
        except ConnectionRefusedError:
            break
    else:
        raise AssertionError("connections are still taken")
    request.join(20)
    assert gate.stop() == 0
    assert answers and answers[0].startswith("p33")


def test_the_end_does_not_wait_for_ever(standin):
    standin.put_state(**state([certificate(FRESH)]))
    standin.fault(match="x:Task/set", hang=True, times=1)
    gate = Gate(standin.port, DRAIN_TIMEOUT="1s")
    body = {"using": [], "methodCalls": [["x:Task/set", {"create": {"k": CREATE}}, "c"]]}

    def ask():
        with pytest.raises(Exception):
            gate.post(body)

    request = threading.Thread(target=ask)
    request.start()
    wait_until(lambda: standin.faults()[0]["met"])
    assert gate.stop() == 0
    request.join(20)


def test_a_server_that_never_answers(standin):
    standin.put_state(**state())
    standin.fault(match="Core/echo", hang=True, times=1)
    with Gate(standin.port, IDLE_TIMEOUT="1s") as gate:
        status, problem = gate.post({"using": [], "methodCalls": [["Core/echo", {}, "c"]]})
        assert (status, problem["status"]) == (504, 504)
        assert gate.post({"using": [], "methodCalls": []})[0] == 200


def test_readiness_follows_the_server(standin):
    with Gate(standin.port) as gate:
        assert gate.admin("/readyz")[0] == 200
        standin.stop()
        wait_until(lambda: gate.admin("/readyz")[0] == 503)
        assert gate.admin("/healthz")[0] == 200
        standin.start()
